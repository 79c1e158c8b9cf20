"""Small tokenizer files in the layouts of published checkpoints, trained in a moment on a few sentences. No weights."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

from jbench.models.checkpoint import Checkpoint
from jbench.models.reading import PROBES
from tests.tiny import CORPUS

SENTENCES = [*CORPUS, *(probe for probe in PROBES if probe)] * 4
S = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "model_max_length": 64}
XLMR = {**S, "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
BRACKETS = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"} | {
    "mask_token": "[MASK]",
    "model_max_length": 64,
}
END = "<|endoftext|>"


@cache
def sentencepiece(**settings: Any) -> bytes:
    """A sentencepiece model; ``settings`` are those of its trainer."""
    from sentencepiece import SentencePieceTrainer

    out = io.BytesIO()
    usual = {"vocab_size": 700, "hard_vocab_limit": False, "character_coverage": 0.9995, "minloglevel": 5}
    SentencePieceTrainer.train(sentence_iterator=iter(SENTENCES), model_writer=out, **{**usual, **settings})
    return out.getvalue()


def piece_ids(model: bytes, text: str) -> list[int]:
    """A text's ids as the sentencepiece model itself numbers its pieces."""
    from sentencepiece import SentencePieceProcessor

    ids: list[int] = SentencePieceProcessor(model_proto=model).encode(text)
    return ids


def piece_count(model: bytes) -> int:
    from sentencepiece import SentencePieceProcessor

    return int(SentencePieceProcessor(model_proto=model).get_piece_size())


BRACKET_PIECES = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": "[CLS],[SEP],[MASK]"}


def unigram(scheme: str = "never", framed: bool = True) -> Any:
    """``tokenizer.json`` of a Unigram model with ``<s> $A </s>`` around a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    trainer = trainers.UnigramTrainer(vocab_size=420, special_tokens=special, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(SENTENCES, trainer)
    if framed:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return made


def bpe() -> Any:
    """``tokenizer.json`` of a Llama: BPE over pieces, ``<s>`` in front."""
    from tokenizers import Tokenizer, models, normalizers, processors, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    made.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return made


def byte_level(blank: bool = False, end: bool = False) -> Any:
    """``tokenizer.json`` of a GPT-2; ``end``: with `END` behind a text, as Qwen3-Embedding has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=blank)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [END, "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(SENTENCES, trainer)
    if end:
        made.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, 0)]
        )
    return made


def wordpiece(lower: bool) -> Any:
    """``tokenizer.json`` of a BERT."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    made.train_from_iterator(SENTENCES, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def lines(made: Any) -> str:
    """``vocab.txt`` of a vocabulary."""
    numbers = made.get_vocab()
    return "\n".join(sorted(numbers, key=numbers.get)) + "\n"


def checkpoint(
    folder: Path,
    files: dict[str, Any],
    said: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> Checkpoint:
    """A checkpoint without weights: ``files`` by name, ``said`` in tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {**files, "config.json": config or {}}
    if said is not None:
        given["tokenizer_config.json"] = said
    for name, what in given.items():
        if isinstance(what, bytes):
            (folder / name).write_bytes(what)
        elif isinstance(what, str):
            (folder / name).write_text(what, encoding="utf-8")
        elif isinstance(what, dict):
            (folder / name).write_text(json.dumps(what), encoding="utf-8")
        else:
            what.save(str(folder / name))
    return Checkpoint("model", "local-0", folder)
