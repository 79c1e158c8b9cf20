"""Sparse checkpoints in the published layouts: queries by a table, activations, bare masked language models."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest

from jbench import Texts, open_model
from jbench.models.options import Options
from jbench.types import Unavailable, UsageError
from tests import tiny

QUERIES = ("味噌の寝かせ方", "駅まで傘を差して歩いた", "コーヒー コーヒー", "")
DOCUMENTS = (*tiny.CORPUS, tiny.CORPUS[2] * 9)
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]


@pytest.fixture(scope="module")
def inference_free(tmp_path_factory):
    return tiny.inference_free(tmp_path_factory.mktemp("sparse") / "doc-v2", tiny.words(tmp_path_factory.mktemp("w")))


def products(folder, **how):
    """Of every query with every document, as sentence-transformers gives it."""
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(folder), device="cpu", **how)
    asked, held = model.encode_query(list(QUERIES)), model.encode_document(list(DOCUMENTS))
    return (asked.to_dense() @ held.to_dense().T).numpy()


def scores(folder, options=None):
    return open_model(str(folder), options).score(PAIRS, ("query", "document")).reshape(len(QUERIES), len(DOCUMENTS))


@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_queries_go_by_the_table_and_documents_by_the_model(activation, tmp_path):
    folder = tiny.inference_free(tmp_path / "doc-v3", tiny.words(tmp_path / "words"), activation=activation)
    model = open_model(str(folder))
    assert model.card.adapter == "sparse"
    mine = scores(folder)
    assert np.abs(mine - products(folder)).max() < 1e-4
    assert np.ptp(mine) > 0.1
    run = model.search(Texts(list("abcd"), list(QUERIES)), Texts(list("123456"), list(DOCUMENTS)), 6)
    assert dict(run.rows(0)) == {str(i + 1): pytest.approx(s, abs=1e-4) for i, s in enumerate(mine[0]) if s > 0}
    assert run.rows(3) == []


def test_a_query_is_the_sum_of_its_tokens_weights_in_the_document(inference_free):
    """By hand: idf.json for the query, log(1 + max(0, logits)) at its largest for the document."""
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(inference_free)
    idf = json.loads((inference_free / "idf.json").read_text())
    with torch.no_grad():
        logits = AutoModelForMaskedLM.from_pretrained(inference_free)(
            **tokenizer(DOCUMENTS[0], return_tensors="pt")
        ).logits[0]
    weights = torch.log1p(torch.relu(logits)).amax(0).tolist()
    wanted = sum(
        idf.get(token, 0) * weights[tokenizer.convert_tokens_to_ids(token)]
        for token in set(tokenizer.tokenize(QUERIES[1]))
    )
    assert scores(inference_free)[1, 0] == pytest.approx(wanted, abs=1e-4)


def test_the_tables_old_name_is_the_same_table(inference_free, tmp_path):
    folder = shutil.copytree(inference_free, tmp_path / "doc-v2")
    (folder / "query_0_SparseStaticEmbedding").rename(folder / "query_0_IDF")
    path = folder / "router_config.json"
    path.write_text(path.read_text().replace("SparseStaticEmbedding", "IDF"))
    assert np.array_equal(scores(folder), scores(inference_free))


def test_pairs_of_one_role_take_the_default_way(inference_free):
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(inference_free), device="cpu")
    left, right = model.encode(list(DOCUMENTS[:5])), model.encode(list(DOCUMENTS[1:]))
    theirs = model.similarity_pairwise(left, right).numpy()
    mine = open_model(str(inference_free)).score(list(pairwise(DOCUMENTS)), ("sts", "sts"))
    assert np.abs(mine - theirs).max() < 1e-4


def test_a_router_without_a_way_for_a_role_says_so(inference_free, tmp_path):
    folder = shutil.copytree(inference_free, tmp_path / "ce")
    path = folder / "router_config.json"
    config = json.loads(path.read_text())
    config["structure"]["passage"] = config["structure"].pop("document")
    path.write_text(json.dumps({**config, "parameters": {"default_route": None, "allow_empty_key": False}}))
    with pytest.raises(UsageError, match="texts of the role document have no way through its Router"):
        scores(folder)


def test_a_router_saved_by_the_library_is_read(tmp_path):
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    bare = tiny.transformer(tmp_path / "mlm", tiny.unigram(), "BertForMaskedLM", 3)
    first = Transformer(str(bare), transformer_task="fill-mask")
    table = SparseStaticEmbedding(tokenizer=first.tokenizer)
    router = Router.for_query_document(query_modules=[table], document_modules=[first, SpladePooling("max")])
    SparseEncoder(modules=[router], similarity_fn_name="dot", device="cpu").save(str(tmp_path / "router"))
    assert np.abs(scores(tmp_path / "router") - products(tmp_path / "router")).max() < 1e-4


def test_a_head_inside_a_router_that_its_weights_lack_is_refused(inference_free, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(inference_free, tmp_path / "headless")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("vocab_transform")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Unavailable, match=r"2 weights, vocab_transform\.bias among them, are missing"):
        scores(folder)


def test_a_table_that_is_read_otherwise_than_its_files_say_is_refused(tmp_path):
    """A Unigram tokenizer.json under a class that the library rebuilds as another model."""
    folder = tiny.inference_free(tmp_path / "doc-v2", tiny.unigram())
    path = folder / "query_0_SparseStaticEmbedding" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": "BertTokenizer"}))
    with pytest.raises(Unavailable, match=r"doc-v2/query_0_SparseStaticEmbedding: its tokens are not those"):
        scores(folder)


# The most entries of a vector


def test_max_active_dims_keeps_the_heaviest(tmp_path):
    folder = tiny.splade(tmp_path / "splade", tiny.words(tmp_path / "words"))
    model = open_model(str(folder), Options(settings={"max_active_dims": "9"}))
    mine = model.score(PAIRS[:6], ("query", "document"))
    assert np.abs(mine - products(folder, max_active_dims=9)[0]).max() < 1e-4
    assert model.card.variant == {"max_active_dims": 9}


def test_the_checkpoints_own_max_active_dims_is_kept(tmp_path):
    folder = tiny.splade(tmp_path / "splade", tiny.words(tmp_path / "words"))
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "max_active_dims": 9}))
    assert np.abs(scores(folder) - products(folder)).max() < 1e-4
    assert not open_model(str(folder)).card.variant


# Bare masked language models


def test_a_bare_splade_is_known_by_its_head_and_its_name(tmp_path):
    folder = tiny.transformer(tmp_path / "japanese-splade-v2", tiny.words(tmp_path / "words"), "BertForMaskedLM")
    said = []
    model = open_model(str(folder), Options(say=said.append))
    assert said[0].startswith("japanese-splade-v2: sparse (architecture BertForMaskedLM and its name), revision")
    assert np.abs(scores(folder) - products(folder)).max() < 1e-4
    assert model.card.adapter == "sparse"


def test_another_bare_masked_language_model_is_told_both_readings(tmp_path):
    folder = tiny.transformer(tmp_path / "bert-base-japanese", tiny.words(tmp_path / "words"), "BertForMaskedLM")
    with pytest.raises(UsageError) as refused:
        open_model(str(folder))
    said = str(refused.value)
    assert f"sparse:{folder}" in said
    assert "pooling=mean or pooling=cls" in said
    assert "BertForMaskedLM" in said
    assert open_model(f"sparse:{folder}").card.adapter == "sparse"
    assert open_model(str(folder), Options(settings={"pooling": "mean"})).card.adapter == "dense"


def test_vectors_that_are_not_sparse_are_said(tmp_path):
    folder = tiny.transformer(tmp_path / "bert-base-japanese", tiny.words(tmp_path / "words"), "BertForMaskedLM")
    said = []
    open_model(f"sparse:{folder}", Options(say=said.append)).score(PAIRS, ("query", "document"))
    assert any("of the vocabulary, those of a SPLADE a hundredth" in line for line in said)


def test_a_bare_model_with_a_table_for_queries_is_refused(inference_free, tmp_path):
    """An older revision of opensearch's: the library would have the model read the queries too."""
    folder = shutil.copytree(inference_free, tmp_path / "doc-v1", ignore=shutil.ignore_patterns("*_*", "modules.json"))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (inference_free / name).is_file():
            shutil.copy(inference_free / name, folder)
    with pytest.raises(UsageError, match=r"doc-v1 weighs queries by idf\.json, and nothing says"):
        open_model(str(folder))


def test_a_head_over_the_vocabulary_is_as_wide_as_it(tmp_path):
    """sentence-transformers takes the hidden size for it, before the first text is encoded."""
    folder = tiny.transformer(tmp_path / "splade", tiny.words(tmp_path / "words"), "BertForMaskedLM")
    model = open_model(str(folder))
    model.search(Texts(["a"], [QUERIES[0]]), Texts(["1"], [DOCUMENTS[0]]), 1)
    assert model.report()["cost"]["dimension"] == json.loads((folder / "config.json").read_text())["vocab_size"]
