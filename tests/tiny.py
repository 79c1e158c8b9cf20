"""Small checkpoints with random weights, in the layouts of real ones. Built in seconds, no network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

CORPUS = (
    "雨が降り出したので、傘を差して駅まで歩いた。",
    "図書館の返却ポストは、閉館している間だけ使えます。",
    "味噌は大豆と麹と塩を合わせて、半年ほど寝かせて造る。",
    "The quick brown fox は、コーヒーを2杯飲んだ。",
    "自転車のチェーンに油を差すと、音がしなくなりました。",
)


def bert_folder(
    folder: Path, *, corpus: Iterable[str] = CORPUS, vocabulary: int = 600, hidden: int = 32, layers: int = 2
) -> Path:
    """A bare BERT with ``BertJapaneseTokenizer`` (MeCab words, then WordPiece learnt on ``corpus``)."""
    import torch
    from fugashi import Tagger
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertJapaneseTokenizer, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    tagger = Tagger("-Owakati")
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False)
    wordpiece.train_from_iterator([" ".join(w.surface for w in tagger(t)) for t in corpus], trainer)
    pieces = sorted(wordpiece.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("\n".join(token for token, _ in pieces) + "\n", encoding="utf-8")
    tokenizer = BertJapaneseTokenizer(
        str(folder / "vocab.txt"),
        word_tokenizer_type="mecab",
        subword_tokenizer_type="wordpiece",
        mecab_kwargs={"mecab_dic": "unidic_lite"},
        model_max_length=512,
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
    )
    BertModel(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def unigram_folder(folder: Path, *, hidden: int = 32) -> Path:
    """A bare ModernBERT-like BERT with a fast Unigram tokenizer and no word segmenter."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.NFKC()
    unigram.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="[UNK]", show_progress=False)
    unigram.train_from_iterator(CORPUS, trainer)
    unigram.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=unigram, model_max_length=512, **names)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
    )
    BertModel(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentence_transformer(folder: Path, bare: Path, **pooling: object) -> Path:
    """``bare`` with a pooling module, saved by sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer = Transformer(str(bare))
    module = SentenceTransformer(
        modules=[transformer, Pooling(transformer.get_embedding_dimension(), **pooling)], device="cpu"
    )
    module.save(str(folder))
    return folder
