"""A tokenizer and an encoder from nothing, by masked words: the base of the small models trained here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jbench.files import writing_folder
from jbench.memory import keep_memory
from jbench.train import running
from jbench.train.base import MARKERS
from jbench.train.output import describe
from jbench.train.prepared import devices
from jbench.train.recipes import Masked, steps_of
from jbench.train.watch import Best, Stop, watch
from jbench.types import UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *MARKERS.values())
"""The first pieces of the vocabulary; a ColBERT needs its markers there."""

_BATCH = 1000
_DROPOUT = ("attention_dropout", "embedding_dropout", "mlp_dropout")
LEFT = 0.1
"""Dropout of the embeddings for those who build on it: unsupervised SimCSE lives on one, and this one is cheap."""


def train(
    recipe: Masked,
    sets: Sequence[TrainingSet],
    output: Path,
    *,
    resume: bool = False,
    command: str = "",
    say: Callable[[str], None] = lambda message: None,
) -> list[dict[str, float]]:
    """Learn a tokenizer and an encoder from the texts of ``sets``, as `jbench.train.loop.train` does the rest.

    Texts are laid end to end and cut into blocks of ``max_length`` pieces, so that nothing is padding.

    :returns: what was logged: the loss at steps.
    :raises UsageError: for settings or data that do not fit, or an ``output`` in use.
    :raises KeyboardInterrupt: after a signal, once a checkpoint is written; SystemExit for SIGTERM.
    """
    import torch
    from transformers import PrinterCallback, TrainingArguments, set_seed

    running.check_installed()
    work = output.with_name(f"{output.name}.training")
    running.check_place(output, work, resume)
    if not sets:
        raise UsageError(f"{recipe.name} learns from texts: name some with --data, such as jaquad or text:FILE.parquet")
    if devices() > 1 or torch.cuda.device_count() > 1:
        raise UsageError(
            f"{recipe.name} trains on one device: leave out torchrun, choose a GPU with CUDA_VISIBLE_DEVICES"
        )
    keep_memory()
    facts = running.facts_of(recipe, sets, None)
    if resume:
        running.check_same(facts, work)
    else:
        running.begin(facts, work)
    set_seed(recipe.seed)
    with running.quiet():
        tokenizer = _tokenizer(recipe, sets, work)
        blocks = _blocks(recipe, sets, tokenizer)
        steps = steps_of(recipe, len(blocks))
        say(f"{len(tokenizer):,} pieces, {len(blocks):,} blocks of {recipe.max_length}; {steps:,} steps")
        model = _model(recipe, tokenizer)
        last, stop = running.last_whole(work) if resume else None, Stop()
        precision = running.precision_of(recipe)
        arguments = TrainingArguments(
            output_dir=str(work),
            max_steps=steps,
            per_device_train_batch_size=recipe.batch_size,
            dataloader_drop_last=True,
            dataloader_pin_memory=torch.cuda.is_available(),
            max_grad_norm=recipe.clip,
            bf16=precision == "bf16",
            fp16=precision == "fp16",
            seed=recipe.seed,
            save_strategy="steps" if recipe.checkpoints else "no",
            save_steps=max(1, -(-steps // max(recipe.checkpoints, 1))),
            save_total_limit=2,
            logging_steps=max(1, steps // 100),
            logging_nan_inf_filter=False,
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
        )
        trainer = _trainer()(
            model=model,
            args=arguments,
            train_dataset=_in_reading_order(blocks, steps * recipe.batch_size, recipe.seed),
            data_collator=partial(_masked, tokenizer=tokenizer, share=recipe.masked, seed=recipe.seed),
            optimizers=running.optimizer(recipe, model, steps),
            callbacks=[watch(Best(), "", stop, say)],
        )
        trainer.remove_callback(PrinterCallback)
        with stop.listening():
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        running.ended(stop, trainer.state.global_step, steps, say)
        with writing_folder(output) as folder:
            for key in _DROPOUT:
                setattr(model.config, key, LEFT if key == "embedding_dropout" else 0.0)
            running.to_save(recipe, model).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            describe(folder, recipe, None, sets, steps, precision, Best(), command)
    shutil.rmtree(work, ignore_errors=True)
    history: list[dict[str, float]] = trainer.state.log_history
    return history


def _texts(sets: Sequence[TrainingSet]) -> Iterator[str]:
    """Every text once, in order."""
    met: set[int] = set()
    for one in sets:
        for text in one.texts():
            if (mark := hash(text)) not in met:
                met.add(mark)
                yield text


def _tokenizer(recipe: Masked, sets: Sequence[TrainingSet], work: Path) -> Any:
    """Byte-pair pieces of NFKC text, without a word segmenter; kept in ``work`` for a resumed training.

    The library learns these the same way every time, and Unigram or WordPiece pieces not.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    kept = work / "tokenizer.json"
    if kept.is_file():
        pieces = Tokenizer.from_file(str(kept))
    else:
        pieces = Tokenizer(models.BPE(unk_token=SPECIAL[1]))
        pieces.normalizer = normalizers.NFKC()
        pieces.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.Punctuation(behavior="isolated")]
        )
        trainer = trainers.BpeTrainer(vocab_size=recipe.vocabulary, special_tokens=list(SPECIAL), show_progress=False)
        pieces.train_from_iterator(islice(_texts(sets), recipe.sampled), trainer)
        ends = [(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
        pieces.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
        )
        pieces.save(str(kept))
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=False))
    return PreTrainedTokenizerFast(tokenizer_object=pieces, model_max_length=recipe.positions, **named)  # type: ignore[no-untyped-call]


def _blocks(recipe: Masked, sets: Sequence[TrainingSet], tokenizer: Any) -> Any:
    """The texts as blocks of pieces: int lists, [CLS] first, texts end in [SEP]."""
    from datasets import Dataset

    end, size = tokenizer.sep_token_id, recipe.max_length - 1

    def pieces() -> Iterator[Any]:
        texts = _texts(sets)
        while batch := list(islice(texts, _BATCH)):
            for ids in tokenizer(batch, add_special_tokens=False)["input_ids"]:
                yield np.array([*ids, end], np.int32)

    text = np.concatenate([*pieces(), np.empty(0, np.int32)])
    whole = len(text) // size
    blocks = np.full((whole, recipe.max_length), tokenizer.cls_token_id, np.int32)
    blocks[:, 1:] = text[: whole * size].reshape(whole, size)
    if len(blocks) < recipe.batch_size:
        raise UsageError(f"the texts fill {len(blocks)} blocks, fewer than a batch of {recipe.batch_size}")
    return Dataset.from_dict({"input_ids": blocks})


def _in_reading_order(blocks: Any, count: int, seed: int) -> Any:
    """``count`` blocks, epoch after epoch, each shuffled anew; ``at`` is the place of each."""
    epochs = range(-(-count // len(blocks)))
    order = np.concatenate([np.random.default_rng((seed, epoch)).permutation(len(blocks)) for epoch in epochs])
    return blocks.select(order[:count]).add_column("at", list(range(count)))


def _masked(rows: Sequence[dict[str, Any]], tokenizer: Any, share: float, seed: int) -> dict[str, Any]:
    """A batch whose pieces are to be guessed: of those chosen 80 % are [MASK], 10 % any piece (BERT, Devlin et al.).

    What is chosen depends on the seed and a block's place alone, so that a resumed training sees the same.
    """
    import torch

    ids = np.array([row["input_ids"] for row in rows], np.int64)
    labels = np.full_like(ids, -100)
    for row, at, label in zip(ids, [row["at"] for row in rows], labels, strict=True):
        rng = np.random.default_rng((seed, at))
        chosen = (rng.random(len(row)) < share) & (row >= len(SPECIAL))
        label[chosen] = row[chosen]
        how = rng.random(len(row))
        row[chosen & (how < 0.8)] = tokenizer.mask_token_id
        other = chosen & (how >= 0.9)
        row[other] = rng.integers(len(SPECIAL), len(tokenizer), int(other.sum()))
    found = torch.from_numpy(ids)
    return {"input_ids": found, "attention_mask": torch.ones_like(found), "labels": torch.from_numpy(labels)}


def _model(recipe: Masked, tokenizer: Any) -> Any:
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    if recipe.hidden % recipe.heads:
        raise UsageError(f"hidden={recipe.hidden} cannot be shared out over heads={recipe.heads}")
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    settings: dict[str, Any] = {
        **{"vocab_size": len(tokenizer), "hidden_size": recipe.hidden, "num_hidden_layers": recipe.layers},
        **{"num_attention_heads": recipe.heads, "max_position_embeddings": recipe.positions},
        "intermediate_size": 5 * recipe.hidden // 2,  # twice, with its gate
        **{"global_attn_every_n_layers": 2, "local_attention": 32},
        **{"pad_token_id": tokenizer.pad_token_id, "cls_token_id": first, "bos_token_id": first},
        **{"sep_token_id": last, "eos_token_id": last, "attn_implementation": running.attention_of(recipe)},
        **dict.fromkeys(_DROPOUT, recipe.dropout),
    }
    return ModernBertForMaskedLM(ModernBertConfig(**settings))


@cache
def _trainer() -> type[Any]:
    from torch.utils.data import SequentialSampler
    from transformers import Trainer

    class OfMasked(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, *rest: Any, **more: Any) -> Any:
            # The vocabulary costs as much as the encoder: it is asked of masked pieces alone.
            bare = self.accelerator.unwrap_model(model)
            labels = inputs.pop("labels")
            chosen = labels != -100
            with self.accelerator.autocast():
                pieces = bare.decoder(bare.head(bare.model(**inputs).last_hidden_state[chosen]))
            pieces = pieces.float()
            # Cross-entropy by its terms: the library's own is slower on a CPU, over so many pieces.
            right = pieces.gather(1, labels[chosen][:, None])[:, 0]
            loss = (pieces.logsumexp(1) - right).mean()
            return (loss, {}) if return_outputs else loss

    return OfMasked
