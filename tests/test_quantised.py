"""Vectors cut to a dimension (Matryoshka), and stored in a byte or a bit a dimension."""

import json
import shutil

import numpy as np
import pytest

from jbench import Collection, Retrieval, Texts, open_model, quantised, similarity
from jbench.evaluate import evaluate_one
from jbench.models.options import Options
from jbench.quantised import Quantised
from jbench.task import load
from jbench.types import UsageError
from tests import tiny
from tests.test_colbert import sentences

QUERIES, DOCUMENTS = sentences(8, seed=11), sentences(60, seed=12)
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]
ROLES = ("query", "document")


@pytest.fixture(scope="module")
def normalised(tmp_path_factory, bare_bert):
    """A mean pooling and a Normalize, compared by the dot product."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    first = Transformer(str(bare_bert))
    modules = [first, Pooling(first.get_embedding_dimension(), "mean"), Normalize()]
    folder = tmp_path_factory.mktemp("dense") / "normalised"
    SentenceTransformer(modules=modules, similarity_fn_name="dot", device="cpu").save(str(folder))
    return folder


def settings(**asked):
    return Options(settings={key: str(value) for key, value in asked.items()})


def theirs(folder, compared, **how):
    """What sentence-transformers makes of all queries and documents: float32[8, 60]."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", similarity_fn_name=compared, **how)
    normalise = compared in ("cosine", "dot")
    asked, held = (model.encode(texts, normalize_embeddings=normalise) for texts in (QUERIES, DOCUMENTS))
    return model.similarity(asked, held).numpy()


# A dimension


@pytest.mark.parametrize("compared", ["cosine", "euclidean", "manhattan"])
def test_vectors_are_cut_and_then_normalised_where_the_similarity_does(compared, dense_bert):
    model = open_model(str(dense_bert), settings(dimension=7, similarity=compared))
    mine = model.score(PAIRS, ROLES).reshape(8, 60)
    assert np.abs(mine - theirs(dense_bert, compared, truncate_dim=7)).max() < 1e-5


def test_they_are_normalised_again_where_the_model_does(normalised):
    mine = open_model(str(normalised), settings(dimension=7)).score(PAIRS, ROLES).reshape(8, 60)
    assert np.abs(mine - theirs(normalised, "dot", truncate_dim=7)).max() < 1e-5


def test_they_are_as_they_were_cut_where_nothing_normalises(dense_bert):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(dense_bert), device="cpu", truncate_dim=7)
    asked, held = model.encode(QUERIES), model.encode(DOCUMENTS)
    mine = open_model(str(dense_bert), settings(dimension=7, similarity="dot")).score(PAIRS, ROLES).reshape(8, 60)
    assert np.abs(mine - asked @ held.T).max() < 1e-4


def test_a_dimension_is_in_settings_variant_and_cost(dense_bert):
    model = open_model(str(dense_bert), settings(dimension=7))
    model.search(Texts(list("abcdefgh"), QUERIES), texts(DOCUMENTS), 5)
    assert model.card.settings["dimension"] == 7
    assert model.card.variant == {"dimension": 7}
    cost = model.report()["cost"]
    assert (cost["dimension"], cost["bytes_per_document"]) == (7, 14)


def test_a_dimension_that_the_model_has_not_is_refused_before_a_text_is_read(dense_bert):
    model = open_model(str(dense_bert), settings(dimension=33))
    with pytest.raises(UsageError, match="dimension=33: dense-bert has 32, of which fewer can be kept"):
        model.score(PAIRS, ROLES)
    assert "texts_per_s" not in model.report()["rates"]


def test_a_dimension_that_the_checkpoint_stores_is_its_own(dense_bert, tmp_path):
    folder = shutil.copytree(dense_bert, tmp_path / "short")
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncate_dim": 7}))
    model = open_model(str(folder))
    assert np.abs(model.score(PAIRS, ROLES).reshape(8, 60) - theirs(folder, "cosine")).max() < 1e-5
    assert model.card.settings["dimension"] == 7
    assert not model.card.variant
    whole = open_model(str(folder), settings(dimension=32))
    assert np.abs(whole.score(PAIRS, ROLES) - open_model(str(dense_bert)).score(PAIRS, ROLES)).max() < 1e-6
    assert whole.card.variant == {"dimension": 32}


def test_other_dimensions_encode_nothing_anew(dense_bert):
    for given, new in (({}, True), ({"dimension": 7}, False), ({"dimension": 7, "precision": "int8"}, False)):
        asked = Options(settings={key: str(value) for key, value in given.items()}, store=True)
        model = open_model(str(dense_bert), asked)
        model.score(PAIRS, ROLES)
        assert ("texts_per_s" in model.report()["rates"]) is new


# A precision


def texts(values):
    return Texts([f"d{i:02}" for i in range(len(values))], values)


def vectors(folder, sides=(QUERIES, DOCUMENTS)):
    """The model's own, of length 1: a rounding elsewhere is another byte."""
    model = open_model(str(folder))
    return [similarity.normalised(model._encode(side, role)) for side, role in zip(sides, ROLES, strict=True)]


@pytest.mark.parametrize("precision", ["int8", "binary"])
def test_codes_are_those_of_quantize_embeddings(precision, dense_bert):
    from sentence_transformers.util import quantize_embeddings

    _, held = vectors(dense_bert)
    stored = Quantised.learnt(precision, [held[:20], held[20:]])
    named = {"int8": "int8", "binary": "ubinary"}[precision]
    assert np.array_equal(stored.encode(held), quantize_embeddings(held, precision=named))
    assert stored.bytes_per_vector == stored.encode(held).nbytes / len(held) == {"int8": 32, "binary": 4}[precision]


def searched(asked, held, precision, k):
    """`semantic_search_usearch` by hand: twice as many by the codes, then in order by the query itself."""
    from sentence_transformers.util import quantize_embeddings

    ranges = np.stack([held.min(0), held.max(0)])
    if precision == "int8":
        codes, coded = (quantize_embeddings(side, "int8", ranges).astype(np.float64) for side in (held, asked))
        rough = coded @ codes.T
        back = (codes + 128) * (ranges[1] - ranges[0]) / 255 + ranges[0]
    else:
        bits, coded = (
            np.unpackbits(quantize_embeddings(side, "ubinary"), axis=1).astype(int) for side in (held, asked)
        )
        rough = -(bits[None] != coded[:, None]).sum(2)
        back = bits
    out = []
    for query, row in zip(asked, rough, strict=True):
        # Those that tie with the last one of them are put in order too.
        least = sorted(row, reverse=True)[: 2 * k][-1]
        chosen = [i for i in range(len(row)) if row[i] >= least]
        scores = {i: float(query.astype(np.float64) @ back[i]) for i in chosen}
        out.append(sorted(scores.items(), key=lambda item: (-item[1], -item[0]))[:k])
    return out


@pytest.mark.parametrize("precision", ["int8", "binary"])
@pytest.mark.parametrize("k", [5, 20, 40])
def test_search_is_the_librarys_search(precision, k):
    draw = np.random.default_rng(0)
    asked, held = (similarity.normalised(draw.normal(size=(n, 32)).astype(np.float32) + 0.5) for n in (8, 60))
    stored = Quantised.learnt(precision, [held])
    windows = lambda: (held[i : i + 23] for i in range(0, 60, 23))  # noqa: E731
    run = quantised.search(stored, Texts(list("abcdefgh"), QUERIES), asked, texts(DOCUMENTS), windows, k)
    for i, row in enumerate(searched(asked, held, precision, k)):
        assert run.rows(i) == [(f"d{d:02}", pytest.approx(score, abs=1e-5)) for d, score in row]


@pytest.mark.parametrize("precision", ["int8", "binary", "ubinary"])
def test_a_model_searches_so(precision, dense_bert):
    model = open_model(str(dense_bert), settings(precision=precision))
    run = model.search(Texts(list("abcdefgh"), QUERIES), texts(DOCUMENTS), 20)
    for i, row in enumerate(searched(*vectors(dense_bert), precision.removeprefix("u"), 20)):
        assert [s for _, s in run.rows(i)] == pytest.approx([s for _, s in row], abs=1e-5)
    assert model.card.settings["precision"] == model.card.variant["precision"] == precision.removeprefix("u")


def test_a_result_says_what_is_kept_of_the_best_ten_and_what_a_document_takes(dense_bert, tmp_path):
    data = Collection.of(
        {f"q{i}": text for i, text in enumerate(QUERIES)},
        dict(zip(texts(DOCUMENTS).ids, DOCUMENTS, strict=True)),
        {f"q{i}": {"d01": 1} for i in range(8)},
    )
    task = Retrieval(name="x", protocol="y", version=1, license="CC0-1.0", load=lambda: data)
    costs = {}
    for precision in ("int8", "binary"):
        options = settings(precision=precision)
        result = evaluate_one(open_model(str(dense_bert), options), task, load(task), tmp_path, options)
        costs[precision] = result.host["cost"]
    asked, held = vectors(dense_bert)
    exact = [sorted(range(60), key=lambda i: (-row[i], -i))[:10] for row in asked @ held.T]
    for precision, cost in costs.items():
        found = [[i for i, _ in row] for row in searched(asked, held, precision, 60)]
        kept = np.mean([len(set(wanted) & set(row[:10])) / 10 for wanted, row in zip(exact, found, strict=True)])
        assert cost["recall@10_kept"] == pytest.approx(
            kept, abs=0.013
        )  # one document of one query, tied but for rounding
        print(precision, cost["recall@10_kept"], kept)
    assert (costs["int8"]["bytes_per_document"], costs["int8"]["bytes_shared"]) == (32, 256)
    assert costs["binary"]["bytes_per_document"] == 4
    assert "bytes_shared" not in costs["binary"]


def test_candidates_are_compared_as_they_are_found(dense_bert):
    model = open_model(str(dense_bert), settings(precision="int8"))
    scores = model.score(PAIRS, ROLES).reshape(8, 60)
    asked, held = vectors(dense_bert)
    wanted = [dict(row) for row in searched(asked, held, "int8", 60)]
    assert np.abs(scores - [[row[i] for i in range(60)] for row in wanted]).max() < 1e-5
    assert 0.5 < model.report()["cost"]["recall@10_kept"] <= 1


@pytest.mark.parametrize("precision", ["int8", "binary"])
def test_both_sides_of_a_sentence_pair_are_stored(precision, dense_bert):
    from sentence_transformers.util import quantize_embeddings

    left, right = DOCUMENTS[:30], DOCUMENTS[30:]
    (both, _) = vectors(dense_bert, (DOCUMENTS, QUERIES))
    if precision == "int8":
        low, high = both.min(0), both.max(0)
        back = (quantize_embeddings(both, "int8").astype(np.float64) + 128) * (high - low) / 255 + low
    else:
        back = 2 * np.unpackbits(quantize_embeddings(both, "ubinary"), axis=1).astype(np.float64) - 1
    unit = back / np.linalg.norm(back, axis=1, keepdims=True)
    model = open_model(str(dense_bert), settings(precision=precision))
    mine = model.score(list(zip(left, right, strict=True)), ("sts", "sts"))
    assert np.abs(mine - (unit[:30] * unit[30:]).sum(1)).max() < 1e-5


def test_a_distance_has_no_precision(dense_bert):
    with pytest.raises(UsageError, match="precision=int8 is for cosine and dot, not for similarity=euclidean"):
        open_model(str(dense_bert), settings(precision="int8", similarity="euclidean"))


def test_a_dimension_that_is_the_same_in_all_documents_is_read_back():
    stored = Quantised.learnt("int8", [np.array([[0.5, 1.0], [0.5, -1.0]], np.float32)])
    back = stored.read_back(stored.encode(np.array([[0.5, 1.0], [0.5, -1.0]], np.float32)))
    assert back.tolist() == [[0.5, pytest.approx(1, abs=2 / 255)], [0.5, -1]]


def test_the_precision_of_a_cut_vector_is_learnt_from_what_is_left(dense_bert):
    model = open_model(str(dense_bert), settings(precision="binary", dimension=12))
    model.search(Texts(list("abcdefgh"), QUERIES), texts(DOCUMENTS), 5)
    cost = model.report()["cost"]
    assert (cost["dimension"], cost["bytes_per_document"]) == (12, 2)


def test_cut_vectors_of_length_one_stay_so():
    made = similarity.cut(np.array([[3, 4, 12], [0, 0, 1]], np.float32), 2, unit=True)
    assert made == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert quantised.PRECISIONS == ("int8", "binary", "ubinary")


def test_a_static_model_is_cut_too(tmp_path):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    table = StaticEmbedding(tiny.unigram().backend_tokenizer, embedding_dim=16)
    SentenceTransformer(modules=[table], device="cpu").save(str(tmp_path / "static"))
    mine = open_model(str(tmp_path / "static"), settings(dimension=5)).score(PAIRS, ROLES).reshape(8, 60)
    assert np.abs(mine - theirs(tmp_path / "static", "cosine", truncate_dim=5)).max() < 1e-5


def test_ranges_that_would_be_those_of_a_part_are_refused(dense_bert, monkeypatch):
    from jbench.models import combine

    with pytest.raises(UsageError, match="precision=int8: dense-bert would learn its ranges from the pairs"):
        open_model(f"rerank(ngram, 5, {dense_bert})", settings(precision="int8"))
    open_model(f"rerank(ngram, 5, {dense_bert})", settings(precision="binary"))
    monkeypatch.setattr(combine, "_PAIRS_AT_ONCE", 7)
    fused = open_model(f"rrf(ngram, {dense_bert})", settings(precision="int8"))
    query, document = np.repeat(np.arange(2), 5), np.tile(np.arange(5), 2)
    with pytest.raises(UsageError, match="not from the task's documents; precision=binary learns nothing"):
        fused.rerank(Texts(["a", "b"], QUERIES[:2]), texts(DOCUMENTS[:5]), query, document)
