"""Which adapter serves which kind of checkpoint in which layout: the README's table, each row built small."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from jbench import open_model
from jbench.models.options import Options
from jbench.types import UsageError
from tests import tiny
from tests.conftest import ROOT

PAIRS = [(query, document) for query in ("味噌の寝かせ方", "駅まで傘") for document in tiny.CORPUS]


class Layout(NamedTuple):
    checkpoint: str
    files: str
    adapter: str
    build: Callable[[Path], Path]
    settings: dict[str, str] = {}  # noqa: RUF012


def bare(model, tokenizer=tiny.unigram, **config):
    return lambda folder: tiny.transformer(folder, tokenizer(), model, **config)


def japanese(pieces):
    return lambda folder: tiny.transformer(folder, tiny.words(folder, pieces=pieces), "BertModel")


def over_bert(build, **how):
    return lambda folder: build(folder, tiny.bert_folder(folder.parent / f"{folder.name}-bare"), **how)


def over_colbert(build):
    return lambda folder: build(folder, over_bert(tiny.colbert)(folder.parent / f"{folder.name}-native"))


def static(folder):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    table = StaticEmbedding(tiny.unigram().backend_tokenizer, embedding_dim=16)
    SentenceTransformer(modules=[table], device="cpu").save(str(folder))
    return folder


def relevance(folder, bare):
    config = json.loads((tiny.classifier(folder, bare, labels=2) / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "irrelevant", "1": "relevant"}}))
    return folder


POOLED = "bare transformer, `pooling=mean` given"
MEAN = {"pooling": "mean"}
LAYOUTS = [
    Layout("BERT, MeCab and WordPiece", POOLED, "dense", japanese("wordpiece"), MEAN),
    Layout("BERT, MeCab and characters", POOLED, "dense", japanese("character"), MEAN),
    Layout("BERT, Unigram (sentencepiece)", POOLED, "dense", bare("BertModel"), MEAN),
    Layout("ModernBERT", POOLED, "dense", bare("ModernBertModel", num_hidden_layers=3), MEAN),
    Layout("RoBERTa", POOLED, "dense", bare("RobertaModel", max_position_embeddings=513), MEAN),
    Layout("DeBERTa-v2", POOLED, "dense", bare("DebertaV2Model"), MEAN),
    Layout("LUKE", POOLED, "dense", bare("LukeModel", entity_vocab_size=4, max_position_embeddings=513), MEAN),
    Layout("DistilBERT", POOLED, "dense", bare("DistilBertModel", dim=32, hidden_dim=64, n_layers=2, n_heads=2), MEAN),
    Layout(
        "sentence embedding, mean",
        "SentenceTransformer",
        "dense",
        over_bert(tiny.sentence_transformer, pooling_mode="mean"),
    ),
    Layout(
        "sentence embedding, CLS",
        "SentenceTransformer",
        "dense",
        over_bert(tiny.sentence_transformer, pooling_mode="cls"),
    ),
    Layout(
        "sentence embedding, mean and Dense head",
        "SentenceTransformer",
        "dense",
        over_bert(tiny.sentence_transformer, head=True, pooling_mode="mean"),
    ),
    Layout("static embeddings", "SentenceTransformer", "dense", static),
    Layout("ColBERT", "MultiVectorEncoder", "colbert", over_bert(tiny.colbert)),
    Layout("ColBERT", "PyLate", "colbert", over_colbert(tiny.pylate)),
    Layout("ColBERT", "Stanford (`artifact.metadata`)", "colbert", over_colbert(tiny.stanford)),
    Layout("reranker, one label", "CrossEncoder", "cross-encoder", over_bert(tiny.cross_encoder)),
    Layout("reranker, one label", "`...ForSequenceClassification`", "cross-encoder", over_bert(tiny.classifier)),
    Layout(
        "reranker, labels relevant and irrelevant",
        "`...ForSequenceClassification`",
        "cross-encoder",
        over_bert(relevance),
    ),
    Layout(
        "reranker, language model with a chat template",
        "CrossEncoder with LogitScore",
        "cross-encoder",
        lambda folder: tiny.logit_score(folder, tiny.qwen(folder.parent / "qwen", chat=tiny.QWEN_CHAT)),
    ),
    Layout(
        "reranker, language model of a known template",
        "`...ForCausalLM`",
        "cross-encoder",
        lambda folder: tiny.qwen(folder.parent / "Qwen3-Reranker-0.6B"),
    ),
    Layout(
        "classifier, two labels",
        "`...ForSequenceClassification`",
        "none: nothing says which label is relevance",
        over_bert(tiny.classifier, labels=2),
    ),
    Layout(
        "SPLADE", "SparseEncoder", "sparse", lambda folder: tiny.splade(folder, tiny.words(folder.parent / "words"))
    ),
    Layout(
        "SPLADE, `splade` in its name",
        "`...ForMaskedLM`",
        "sparse",
        lambda folder: tiny.transformer(folder.parent / "splade", tiny.unigram(), "BertForMaskedLM"),
    ),
    Layout(
        "inference-free SPLADE",
        "SparseEncoder with a Router",
        "sparse",
        lambda folder: tiny.inference_free(folder, tiny.unigram()),
    ),
]


def table():
    """The README's table of `LAYOUTS`, in Markdown."""
    head = ("checkpoint", "saved as", "adapter")
    cells = [head, *((row.checkpoint, row.files, row.adapter) for row in LAYOUTS)]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda row: f"{row.checkpoint}, {row.files}")
def test_each_layout_is_recognised_and_scored(layout, tmp_path):
    folder = layout.build(tmp_path / "checkpoint")
    said: list[str] = []
    options = Options(settings=layout.settings, say=said.append)
    if layout.adapter.startswith("none"):
        with pytest.raises(UsageError, match="nothing says which of them is relevance"):
            open_model(str(folder), options)
        return
    model = open_model(str(folder), options)
    assert model.card.adapter == layout.adapter
    assert said[0].startswith(f"{folder.name}: {layout.adapter} (")
    scores = model.score(PAIRS, ("query", "document"))
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 0
    (alone,) = open_model(str(folder), Options(settings=layout.settings)).score(PAIRS[3:4], ("query", "document"))
    assert alone == pytest.approx(scores[3], abs=1e-5)
    assert model.report()["cost"]["parameters"] > 0


def test_the_readme_shows_this_table():
    print(table())
    assert table() in (ROOT / "README.md").read_text("utf-8")
