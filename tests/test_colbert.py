"""Late interaction: three layouts read alike, MaxSim is the library's, what is cut and skipped is known."""

import json
import random
import shutil

import numpy as np
import pytest

from jbench import Texts, open_model
from jbench.models.colbert import Layout
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.types import Unavailable, UsageError
from tests import tiny

LAYOUTS = ["colbert_native", "colbert_pylate", "colbert_stanford"]


def sentences(count, seed=0):
    """Sentences of one to forty words out of the small corpus, punctuation among them."""
    draw = random.Random(seed)
    pieces = [piece for text in tiny.CORPUS for piece in (text[i : i + 4] for i in range(0, len(text), 4))]
    return ["".join(draw.choices([*pieces, "。", "、", "!"], k=draw.randint(1, 40))) for _ in range(count)]


PAIRS = list(zip(sentences(200, seed=1), sentences(200, seed=2), strict=True))


@pytest.fixture(params=LAYOUTS)
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def library(request):
    from sentence_transformers import MultiVectorEncoder

    loaded = {}

    def load(folder):
        return loaded.setdefault(folder, MultiVectorEncoder(str(folder), device="cpu"))

    return load


def test_score_is_the_librarys_maxsim_on_200_pairs(folder, library):
    module = library(folder)
    queries, documents = module.encode_query([q for q, _ in PAIRS]), module.encode_document([d for _, d in PAIRS])
    theirs = module.similarity_pairwise(queries, documents).numpy()
    mine = open_model(str(folder)).score(PAIRS, ("query", "document"))
    assert np.abs(mine - theirs).max() < 1e-4


def test_a_text_alone_and_in_a_padded_batch_gives_the_same_vectors(folder):
    model = open_model(str(folder))
    together = {
        role: model._encode([p[i] for p in PAIRS[:40]], role, "") for i, role in enumerate(("query", "document"))
    }
    for i, role in enumerate(("query", "document")):
        alone = open_model(str(folder))
        for pair, vectors in zip(PAIRS[:40], together[role], strict=True):
            one = alone._encode([pair[i]], role, "")[0]
            assert one.shape == vectors.shape
            assert np.abs(one - vectors).max() < 1e-5


def test_search_equals_score_over_all_pairs(folder, monkeypatch):
    from jbench.models import colbert

    monkeypatch.setattr(colbert, "_DOCUMENTS_AT_ONCE", 7)
    queries = Texts([f"q{i}" for i in range(10)], sentences(10, seed=3))
    documents = Texts([f"d{i}" for i in range(50)], sentences(50, seed=4))
    model = open_model(str(folder))
    run = model.search(queries, documents, 50)
    scores = model.score([(q, d) for q in queries.texts for d in documents.texts], ("query", "document"))
    table = {(q, d): scores[i * 50 + j] for i, q in enumerate(queries.ids) for j, d in enumerate(documents.ids)}
    found = {(q, d): score for i, q in enumerate(queries.ids) for d, score in run.rows(i)}
    assert found.keys() == table.keys()
    assert max(abs(found[at] - table[at]) for at in table) < 1e-4


def test_one_model_scores_alike_in_two_layouts(colbert_native, colbert_pylate):
    one, other = (open_model(str(f)).score(PAIRS, ("query", "document")) for f in (colbert_native, colbert_pylate))
    assert np.abs(one - other).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "layout"), list(zip(LAYOUTS, ["sentence-transformers", "PyLate", "Stanford"], strict=True))
)
def test_the_card_holds_what_the_layout_says(name, layout, request, library):
    folder = request.getfixturevalue(name)
    card, module = open_model(str(folder)).card, library(folder)
    held = card.settings
    assert held["layout"] == layout
    assert held["query_length"] == module[0].query_expansion["length"] == tiny.QUERY_LENGTH
    assert held["document_length"] == module[0].document_length == tiny.DOCUMENT_LENGTH
    assert (held["query_expansion"], held["attend_to_expansion"]) == ("fixed", False)
    assert held["projection"] == module.get_embedding_dimension() == tiny.PROJECTION
    assert held["similarity"] == module.similarity_fn_name == "maxsim"
    assert held["skiplist"].split() == next(m.skiplist_words for m in module if hasattr(m, "skiplist_words"))
    assert {role: card.prompts[role].strip() for role in card.prompts} == {
        "query": "[unused0]",
        "document": "[unused1]",
    }
    assert dict(card.prompts) == {role: text for role, text in module.prompts.items() if text}


def test_a_marker_is_one_token_and_not_its_letters(folder):
    tokenizer = open_model(str(folder)).weights.module.tokenizer
    ids = tokenizer("[unused0] 傘")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids)[:2] == ["[CLS]", "[unused0]"]


def test_the_skip_list_drops_document_tokens_and_no_query_tokens(colbert_native):
    model = open_model(str(colbert_native))
    with_stop, without = model._encode(["傘。", "傘"], "document", "")
    assert len(with_stop) == len(without)
    model = open_model(str(colbert_native), Options(settings={"query_expansion": "none", "query_length": "12"}))
    with_stop, without = model._encode(["傘。", "傘"], "query", "")
    assert len(with_stop) == len(without) + 1


def test_queries_are_filled_to_their_length_and_cut_at_it(colbert_native):
    model = open_model(str(colbert_native))
    short, long = model._encode(["傘", tiny.CORPUS[0] * 2], "query", "")
    assert len(short) == len(long) == tiny.QUERY_LENGTH
    assert model.report()["truncated"] == 1


@pytest.mark.parametrize(("expansion", "short", "cut"), [("fixed", 20, 1), ("min", 20, 0), ("none", 4, 1)])
def test_expansion_and_length_are_settings_of_the_key(expansion, short, cut, colbert_native):
    asked = {"query_expansion": expansion, "query_length": "20"}
    model = open_model(str(colbert_native), Options(settings=asked))
    vectors = model._encode(["傘", "傘" * 30], "query", "")
    assert len(vectors[0]) == short
    assert model.report()["truncated"] == cut
    changed = {"query_length": 20} | ({} if expansion == "fixed" else {"query_expansion": expansion})
    assert model.card.variant == changed


def test_a_document_is_cut_at_its_length_and_the_loss_is_counted(colbert_native):
    model = open_model(str(colbert_native), Options(settings={"document_length": "8"}))
    (vectors,) = model._encode([tiny.CORPUS[1]], "document", "")
    assert len(vectors) <= 8
    whole = len(model.weights.module.tokenizer("[unused1]" + tiny.CORPUS[1])["input_ids"])
    assert model.report()["tokens_lost"] == whole - 8


def test_means_and_max_are_named_variants_of_the_sum(colbert_native):
    def scored(name):
        model = open_model(str(colbert_native), Options(settings={"similarity": name}))
        run = model.search(Texts(["q"], [PAIRS[0][0]]), Texts(["d"], [PAIRS[0][1]]), 1)
        (score,) = model.score(PAIRS[:1], ("query", "document"))
        assert run.rows(0)[0][1] == pytest.approx(score, abs=1e-6)
        return score, model

    total, model = scored("maxsim")
    query, document = model._encode([PAIRS[0][0]], "query", "")[0], model._encode([PAIRS[0][1]], "document", "")[0]
    best = (query @ document.T).max(axis=1)
    assert total == pytest.approx(best.sum(), abs=1e-5)
    assert scored("meanmaxsim")[0] == pytest.approx(best.mean(), abs=1e-6)
    assert scored("maxmaxsim")[0] == pytest.approx(best.max(), abs=1e-6)
    assert scored("avgsim")[0] == pytest.approx((query @ document.T).mean(axis=1).sum(), abs=1e-5)
    assert scored("maxmaxsim")[1].card.variant == {"similarity": "maxmaxsim"}


def test_an_unknown_similarity_of_dense_vectors_is_refused(colbert_native):
    with pytest.raises(UsageError, match="unknown similarity 'cosine'; known: avgsim, maxmaxsim, maxsim, meanmaxsim"):
        open_model(str(colbert_native), Options(settings={"similarity": "cosine"}))


def test_a_length_beyond_the_positions_is_refused(colbert_native):
    with pytest.raises(UsageError, match="document_length=600: colbert-native has 512 positions"):
        open_model(str(colbert_native), Options(settings={"document_length": "600"}))


def test_a_length_of_its_own_beyond_the_positions_says_what_to_give(colbert_native, tmp_path):
    folder = tiny.stanford(tmp_path / "long", colbert_native, doc_maxlen=600)
    with pytest.raises(UsageError, match="document_length=600: long has 512 positions; give --model-set document_leng"):
        open_model(str(folder))
    assert open_model(str(folder), Options(settings={"document_length": "512"})).card.settings["document_length"] == 512


def test_a_marker_that_the_vocabulary_lacks_is_one_line(colbert_native, tmp_path):
    folder = tiny.stanford(tmp_path / "odd", colbert_native, query_token_id="[Q]")
    model = open_model(str(folder))
    with pytest.raises(Unavailable, match=r"odd: the query marker '\[Q\]' is not in its vocabulary") as caught:
        model.score(PAIRS[:1], ("query", "document"))
    assert "\n" not in str(caught.value)
    named = open_model(str(folder), Options(prompts={"query": "[unused0] "}))
    assert np.isfinite(named.score(PAIRS[:1], ("query", "document"))).all()


def test_a_bare_transformer_has_no_projection(bare_bert):
    with pytest.raises(UsageError, match="bare-bert is no ColBERT"):
        open_model(f"colbert:{bare_bert}")


def test_a_sentence_transformer_without_a_projection_is_no_colbert(dense_bert):
    with pytest.raises(UsageError, match=r"dense-bert is no ColBERT: its modules.json names no projection"):
        open_model(f"colbert:{dense_bert}")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"query_maxlen": 32, "doc_maxlen": 220, "attend_to_mask_tokens": True}, (32, 220, True)),
        ({"doc_maxlen": None, "query_maxlen": None}, (32, None, False)),
    ],
)
def test_stanfords_metadata_is_read_as_written(metadata, expected, colbert_native, tmp_path):
    layout = Layout.of(locate(str(tiny.stanford(tmp_path / "c", colbert_native, **metadata)), None))
    assert (layout.query_length, layout.document_length, layout.attend) == expected


def edited(source, folder, **files):
    """A copy of a checkpoint with keys of its JSON files laid over; ``__`` in a name is a dot."""
    shutil.copytree(source, folder)
    for name, content in files.items():
        path = folder / f"{name.replace('__', '.')}.json"
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **content}))
    return folder


@pytest.mark.parametrize(
    ("source", "own", "backbone"),
    [
        ("colbert_native", {}, {"query_expansion": {"strategy": "min", "length": 12}, "query_length": 20}),
        ("colbert_native", {}, {"query_expansion": {"strategy": "min", "length": 12}}),
        ("colbert_native", {}, {"query_expansion": {"strategy": "fixed", "length": 16, "attend": True}}),
        (
            "colbert_native",
            {},
            {"query_expansion": {"strategy": "fixed", "length": 16, "attend": True, "token": "[PAD]"}},
        ),
        ("colbert_native", {}, {"query_expansion": None, "query_length": 9}),
        ("colbert_native", {"similarity_fn_name": "meanmaxsim"}, {}),
        ("colbert_native", {"similarity_fn_name": "maxmaxsim"}, {}),
        ("colbert_pylate", {"query_expansion": {"strategy": "min", "length": 8}, "query_length": 10}, {}),
        ("colbert_pylate", {"attend_to_expansion_tokens": True}, {}),
        ("colbert_pylate", {"query_length": None, "document_length": None}, {}),
        (
            "colbert_pylate",
            {"query_prefix": "[unused0] ", "prompts": {"query": "[unused0] ", "document": "文書: "}},
            {},
        ),
        ("colbert_native", {"attend_to_mask_tokens": True, "prompts": {}}, {}),
    ],
)
def test_every_way_of_reading_that_the_files_ask_for_is_the_librarys(source, own, backbone, request, tmp_path, library):
    folder = edited(
        request.getfixturevalue(source),
        tmp_path / "c",
        config_sentence_transformers=own,
        sentence_bert_config=backbone,
    )
    module = library(folder)
    queries, documents = (
        module.encode_query([q for q, _ in PAIRS[:60]]),
        module.encode_document([d for _, d in PAIRS[:60]]),
    )
    theirs = module.similarity_pairwise(queries, documents).numpy()
    assert np.abs(open_model(str(folder)).score(PAIRS[:60], ("query", "document")) - theirs).max() < 1e-4


def test_a_colbert_takes_no_prompts_of_its_base_model(colbert_native, tmp_path):
    folder = edited(colbert_native, tmp_path / "c", config_sentence_transformers={"prompts": {}})
    (folder / "README.md").write_text("---\nbase_model: cl-nagoya/ruri-small\n---\n", encoding="utf-8")
    assert not any(open_model(str(folder)).card.prompts.values())


def test_metadata_beside_another_architecture_is_no_colbert(colbert_stanford, tmp_path):
    folder = edited(colbert_stanford, tmp_path / "c", config={"architectures": ["BertModel"]})
    with pytest.raises(UsageError, match=r"c is no ColBERT: config.json names no HF_ColBERT"):
        open_model(str(folder))


def test_a_projection_of_another_width_than_said_is_refused(colbert_native, tmp_path):
    folder = tiny.stanford(tmp_path / "wide", colbert_native, dim=99)
    with pytest.raises(Unavailable, match=r"wide: artifact.metadata says dim 99, its weights have 16"):
        open_model(str(folder)).score(PAIRS[:1], ("query", "document"))


@pytest.mark.parametrize(
    ("own", "backbone"),
    [
        ({}, {"query_expansion": {"strategy": "fixed"}}),
        ({}, {"query_expansion": {"length": 5}}),
        ({}, {"query_expansion": "fixed"}),
        ({}, {"query_expansion": {"strategy": "most", "length": 5}}),
        ({}, {"document_length": "48"}),
        ({}, {"document_length": -1}),
    ],
)
def test_files_that_hold_something_else_are_one_line(own, backbone, colbert_native, tmp_path):
    folder = edited(colbert_native, tmp_path / "c", config_sentence_transformers=own, sentence_bert_config=backbone)
    with pytest.raises(Unavailable, match="c: its files do not say how a ColBERT reads") as caught:
        open_model(str(folder))
    assert "\n" not in str(caught.value)


def test_pylate_without_expansion_is_read_as_such(colbert_pylate, tmp_path, library):
    shutil.copytree(colbert_pylate, tmp_path / "plain")
    path = tmp_path / "plain" / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_query_expansion": False}))
    model = open_model(str(tmp_path / "plain"))
    assert (model.card.settings["query_expansion"], model.card.settings["query_length"]) == ("none", 12)
    module = library(tmp_path / "plain")
    theirs = module.similarity_pairwise(
        module.encode_query([q for q, _ in PAIRS[:20]]), module.encode_document([d for _, d in PAIRS[:20]])
    )
    assert np.abs(model.score(PAIRS[:20], ("query", "document")) - theirs.numpy()).max() < 1e-4


def test_a_pair_of_sentences_is_read_as_query_and_document(colbert_native):
    model = open_model(str(colbert_native))
    assert (model.score(PAIRS[:9], ("sts", "sts")) == model.score(PAIRS[:9], ("query", "document"))).all()


def test_the_cost_of_a_document_is_its_vectors_in_sixteen_bits(colbert_native):
    model = open_model(str(colbert_native))
    model.score(PAIRS[:5], ("query", "document"))
    held = [len(v) for v in model._encode([d for _, d in PAIRS[:5]], "document", "")]
    cost = model.report()["cost"]
    assert cost["bytes_per_document"] == pytest.approx(2 * tiny.PROJECTION * np.mean(held), abs=0.1)
    assert (cost["dimension"], cost["longest_input"]) == (tiny.PROJECTION, tiny.DOCUMENT_LENGTH)


# A dimension


def test_token_vectors_are_cut_and_brought_back_to_length_one(colbert_native):
    def vectors(model, texts, role):
        return [value[:, :5] for value in model._encode(texts, role, "")]

    model = open_model(str(colbert_native), Options(settings={"dimension": "5"}))
    whole = open_model(str(colbert_native))
    queries, documents = list(dict.fromkeys(q for q, _ in PAIRS[:12])), list(dict.fromkeys(d for _, d in PAIRS[:12]))
    cut = [
        [v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors(whole, *side)]
        for side in ((queries, "query"), (documents, "document"))
    ]
    wanted = [(cut[0][queries.index(q)] @ cut[1][documents.index(d)].T).max(1).sum() for q, d in PAIRS[:12]]
    assert np.abs(model.score(PAIRS[:12], ("query", "document")) - wanted).max() < 1e-4
    cost = model.report()["cost"]
    assert cost["dimension"] == 5
    assert model.card.variant == {"dimension": 5}
    with pytest.raises(UsageError, match="dimension=17: colbert-native has 16, of which fewer can be kept"):
        open_model(str(colbert_native), Options(settings={"dimension": "17"})).score(PAIRS[:2], ("query", "document"))
