"""What every adapter owes, and what each says of itself."""

import json
import shutil

import numpy as np
import pytest

from jbench import Pairs, Texts, open_model, similarity
from jbench.models import neural, prompts
from jbench.models.combine import leaves
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.types import ROLES, InvalidScores, Scorer, Searcher, Unavailable, UsageError
from tests import tiny
from tests.conftest import ROOT

QUERIES = Texts(["q1", "q2", "q3"], ["味噌の寝かせ方", "駅まで傘", "coffee"])
DOCUMENTS = Texts(
    ["d1", "d2", "d3", "d4"],
    ["味噌は半年ほど寝かせて造る。", "傘を差して駅まで歩いた。", "図書館の返却ポスト。", "コーヒー coffee を飲んだ。"],
)
BUILT = ["dense_bert", "dense_unigram", "colbert_native", "colbert_pylate", "colbert_stanford", "sparse_bert"]
ADAPTERS = ["bm25:char-bigram", "bm25:mecab", "ngram", "random", *BUILT]


@pytest.fixture(params=ADAPTERS)
def name(request):
    return str(request.getfixturevalue(request.param)) if request.param in BUILT else request.param


@pytest.fixture
def model(name):
    return open_model(name)


def test_score_gives_one_float32_a_pair(model):
    pairs = [(q, d) for q in QUERIES.texts for d in DOCUMENTS.texts]
    scores = model.score(pairs, ("query", "document"))
    assert (scores.dtype, scores.shape) == (np.float32, (12,))
    assert np.isfinite(scores).all()


def test_search_equals_score_over_all_pairs(model):
    run = model.search(QUERIES, DOCUMENTS, 4)
    scores = model.score([(q, d) for q in QUERIES.texts for d in DOCUMENTS.texts], ("query", "document"))
    table = dict(zip([(q, d) for q in QUERIES.ids for d in DOCUMENTS.ids], scores.tolist(), strict=True))
    for i, query in enumerate(QUERIES.ids):
        for document, score in run.rows(i):
            assert score == pytest.approx(table[query, document], abs=1e-5)
        found = {d for d, _ in run.rows(i)}
        assert all(table[query, d] == 0 for d in DOCUMENTS.ids if d not in found)


def test_equal_documents_score_equally_and_rank_by_id(model):
    twins = Texts(["b", "a", "c"], [DOCUMENTS.texts[0], DOCUMENTS.texts[1], DOCUMENTS.texts[0]])
    rows = model.search(QUERIES, twins, 3).rows(0)
    order, scores = [d for d, _ in rows], dict(rows)
    assert scores["b"] == scores["c"]
    assert order.index("c") < order.index("b")


def test_the_cut_at_k_keeps_the_best(model):
    whole, cut = model.search(QUERIES, DOCUMENTS, 4), model.search(QUERIES, DOCUMENTS, 1)
    assert [cut.rows(i) for i in range(3)] == [whole.rows(i)[:1] for i in range(3)]


def test_little_memory_makes_small_windows_and_changes_nothing(name, model):
    widths = []

    def track(label, total):
        return lambda step, note="": widths.append(step) if label == "documents" else None

    whole, windowed = (
        one.search(QUERIES, DOCUMENTS, 4) for one in (model, open_model(name, Options(memory=1, track=track)))
    )
    assert widths == [1, 1, 1, 1]
    for i in range(3):
        assert dict(windowed.rows(i)) == {d: pytest.approx(score, abs=1e-5) for d, score in whole.rows(i)}


def test_an_empty_text_is_no_error(model):
    scores = model.score([("", "味噌"), ("味噌", ""), ("味噌", "味噌")], ("sts", "sts"))
    assert np.isfinite(scores).all()


def test_the_card_says_who_it_is(model):
    assert isinstance(model, Scorer)
    assert isinstance(model, Searcher)
    assert model.card.model
    assert model.card.revision
    assert "/" not in model.card.revision
    assert model.card.settings["dtype"] == "float32"
    model.score([("味噌", "傘")], ("sts", "sts"))
    assert model.report()["device"] == "cpu"


def test_random_scores_lie_evenly_and_are_those_of_yesterday():
    model = open_model("random")
    assert model.score([("味噌", "傘"), ("傘", "味噌"), ("", "")], ("query", "document")).tolist() == [
        0.06525599956512451,
        0.08375310897827148,
        0.47287219762802124,
    ]
    scores = model.score([(str(i), str(j)) for i in range(100) for j in range(100)], ("query", "document"))
    counts, _ = np.histogram(scores, 10, (0, 1))
    assert abs(counts - 1000).max() < 120  # four standard deviations
    assert abs(np.corrcoef(scores[:-1], scores[1:])[0, 1]) < 0.04


@pytest.mark.parametrize("tokenizer", ["char-bigram", "mecab"])
def test_bm25_equals_bm25s_own_scores(tokenizer):
    import bm25s

    from jbench.models.bm25 import TOKENIZERS

    tokenize = TOKENIZERS[tokenizer]
    index = bm25s.BM25(k1=0.9, b=0.4, method="lucene")
    index.index([tokenize(text) for text in tiny.CORPUS], show_progress=False)
    queries = ["雨が降り、雨が止む", "図書館 駅"]
    theirs = np.concatenate([index.get_scores(tokenize(q)) for q in queries])
    mine = open_model(f"bm25:{tokenizer}").score([(q, d) for q in queries for d in tiny.CORPUS], ("query", "document"))
    assert mine == pytest.approx(theirs, abs=1e-5)


def test_lexical_models_fold_width_and_case():
    pairs = Pairs(["ＪＲの駅", "JRの駅"], ["jrの駅前", "jrの駅前"], [1, 2])
    for name in ("bm25:char-bigram", "bm25:mecab", "ngram"):
        scores = open_model(name).score(list(zip(pairs.left, pairs.right, strict=True)), ("sts", "sts"))
        assert scores[0] == scores[1] > 0


@pytest.mark.parametrize(
    ("string", "error", "says"),
    [
        ("bm25:char-bigrm", UsageError, "did you mean bm25:char-bigram"),
        ("ngrm", UsageError, "did you mean ngram"),
        ("elastic:x", UsageError, "unknown model 'elastic:x'"),
        ("rerank(bm25:mecab, 100)", UsageError, "rerank of 2 parts; expected rerank(FIRST, DEPTH, SECOND), such as"),
        ("rerank(bm25:mecab, ten, ./ce)", UsageError, "DEPTH must be a whole number of 1 or more, not 'ten'"),
        ("rerank(ngram, 9999999999, ./ce)", UsageError, "DEPTH must be a whole number of 1 or more, not '9999999999'"),
        ("rrf(bm25:mecab)", UsageError, "rrf of 1 parts; expected rrf(A, B, ...), such as"),
        ("rrf(bm25:mecab, ngram", UsageError, "the brackets of rrf do not match; expected rrf(A, B, ...), such as"),
        ("rrf(bm25:mecab, ngram) x", UsageError, "the brackets of rrf do not match"),
        ("rerank(bm25:mecab, 100, ./ce)", Unavailable, "checkpoint folder ./ce does not exist"),
        ("./nowhere", Unavailable, "checkpoint folder ./nowhere does not exist"),
        ("run:nowhere.trec", Unavailable, "run file nowhere.trec does not exist"),
        ("org/name", Unavailable, "org/name is not"),
        ("run:.", Unavailable, "run file . is no file"),
        ("pyproject.toml", UsageError, "unknown model 'pyproject.toml'"),
        ("./pyproject.toml", UsageError, "is a file; a checkpoint is a folder, a run file is run:./pyproject.toml"),
        ("org/na me", UsageError, "a checkpoint is org/name or ./folder"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(string, error, says, no_network, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(error, match=says.replace("(", r"\(").replace(")", r"\)")):
        open_model(string)


@pytest.mark.parametrize(
    ("string", "options", "says"),
    [
        ("ngram", {"dtype": "bf16"}, "--dtype does not apply to ngram"),
        ("bm25:mecab", {"prompts": {"query": "q: "}}, "--prompt does not apply"),
        ("dense", {"dtype": "float64"}, "unknown dtype 'float64'"),
        ("dense", {"settings": {"pooling": "men"}}, "unknown pooling 'men'; did you mean mean"),
        ("dense", {"settings": {"max_length": "0"}}, "expected a whole number of 1 or more"),
        ("dense", {"settings": {"max_length": "9999"}}, "has 512 positions"),
        ("dense", {"settings": {"similarity": "cosin"}}, "did you mean cosine"),
        ("dense", {"settings": {"poolin": "cls"}}, "did you mean pooling"),
        ("dense", {"prompts": {"quary": "q: "}}, "did you mean query"),
        ("dense", {"prompts": {"": "q: "}}, "unknown role ''"),
        ("dense", {"device": "gpu"}, "unknown device 'gpu'"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(string, options, says, dense_bert):
    with pytest.raises(UsageError, match=says):
        open_model(str(dense_bert) if string == "dense" else string, Options(**options))


def test_a_bare_transformer_needs_a_pooling(bare_bert):
    with pytest.raises(UsageError, match="add --model-set pooling=mean or pooling=cls"):
        open_model(str(bare_bert))


@pytest.mark.parametrize("layout", ["bare_bert", "bare_unigram"])
def test_a_bare_transformer_with_a_pooling_equals_the_saved_one(layout, request, tmp_path):
    bare = request.getfixturevalue(layout)
    saved = tiny.sentence_transformer(tmp_path / "saved", bare, pooling_mode="cls")
    pairs = [(a, b) for a in tiny.CORPUS for b in tiny.CORPUS]
    mine = open_model(str(bare), Options(settings={"pooling": "cls"})).score(pairs, ("sts", "sts"))
    assert mine == pytest.approx(open_model(str(saved)).score(pairs, ("sts", "sts")), abs=1e-6)


def test_a_pooling_asked_for_leaves_the_other_modules_in_place(bare_bert, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    parts = [Transformer(str(bare_bert)), Pooling(32, "mean"), Dense(32, 8)]
    SentenceTransformer(modules=parts, device="cpu", truncate_dim=5).save(str(tmp_path / "three"))
    plain, cls = (open_model(str(tmp_path / "three"), Options(settings=s)) for s in ({}, {"pooling": "cls"}))
    theirs = SentenceTransformer(str(tmp_path / "three"), device="cpu")
    assert plain._encode(tiny.CORPUS, "sts") == pytest.approx(theirs.encode(list(tiny.CORPUS)), abs=1e-5)
    theirs[1] = Pooling(32, "cls")
    mine = cls._encode(tiny.CORPUS, "sts")
    assert mine.shape == (5, 5)
    assert mine == pytest.approx(theirs.encode(list(tiny.CORPUS)), abs=1e-5)


def test_the_card_reads_from_files_what_the_library_decides(dense_bert):
    card, module = open_model(str(dense_bert)).card, open_model(str(dense_bert)).weights.module
    assert card.settings["max_length"] == module.max_seq_length == 512
    assert card.settings["pooling"] == module[1].pooling_mode == "mean"
    assert card.settings["similarity"] == module.similarity_fn_name == "cosine"


def test_a_length_asked_for_cuts_and_counts(dense_bert):
    model = open_model(str(dense_bert), Options(settings={"max_length": "8"}))
    model.score([(tiny.CORPUS[0], "短い")], ("sts", "sts"))
    report = model.report()
    assert report["truncated"] == 1
    assert report["tokens_lost"] > 0
    assert model.card.variant == {"max_length": 8}


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_weights_in_half_precision_give_float32_scores(dtype, dense_bert):
    pairs = [(a, b) for a in tiny.CORPUS for b in tiny.CORPUS]
    model = open_model(str(dense_bert), Options(dtype=dtype))
    scores = model.score(pairs, ("sts", "sts"))
    assert scores.dtype == np.float32
    assert np.abs(scores - open_model(str(dense_bert)).score(pairs, ("sts", "sts"))).max() < 0.02
    assert model.card.variant == {"dtype": {"bf16": "bfloat16", "fp16": "float16"}[dtype]}


@pytest.mark.parametrize(
    ("units", "dtype", "length", "attention"),
    [
        (True, "bf16", 512, "eager"),
        (True, "bf16", 513, "sdpa"),
        (False, "bf16", 512, "sdpa"),
        (True, "fp32", 512, "sdpa"),
    ],
)
def test_attention_is_written_out_where_that_is_faster_and_small(
    units, dtype, length, attention, bare_bert, tmp_path, monkeypatch
):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bare_bert)
    folder = tiny.transformer(tmp_path / "long", tokenizer, "BertModel", max_position_embeddings=600)
    monkeypatch.setattr(neural, "bf16_units", lambda: units)
    options = Options(dtype=dtype, device="cpu", settings={"max_length": str(length), "pooling": "mean"})
    assert open_model(str(folder), options).weights.module[0].model.config._attn_implementation == attention


@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_other_similarities_are_those_of_the_library(similarity, dense_bert):
    model = open_model(str(dense_bert), Options(settings={"similarity": similarity}))
    a, b = (model._encode([text], "sts")[0] for text in tiny.CORPUS[:2])
    by_hand = {"dot": a @ b, "euclidean": -np.linalg.norm(a - b), "manhattan": -np.abs(a - b).sum()}
    assert model.score([tiny.CORPUS[:2]], ("sts", "sts"))[0] == pytest.approx(by_hand[similarity], rel=1e-4)


def test_a_folder_is_known_by_its_bytes_and_called_by_its_name(dense_bert, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dense_bert, copy)
    one, other = open_model(str(dense_bert)).card, open_model(str(copy)).card
    assert one.revision == other.revision
    assert (one.model, other.model) == ("dense-bert", "copy")
    assert open_model(str(copy), Options(name="mine")).card.model == "mine"
    (copy / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 32, "pooling_mode": "cls"}')
    assert open_model(str(copy)).card.revision != one.revision
    assert open_model(str(copy)).card.settings["pooling"] == "cls"


def test_pickled_weights_are_refused(bare_bert, tmp_path):
    import torch

    folder = tmp_path / "pickled"
    shutil.copytree(bare_bert, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(Unavailable, match=r"pickled has no safetensors \(pickled weights are not read\)"):
        open_model(str(folder), Options(settings={"pooling": "mean"}))


def test_pickled_weights_of_a_single_module_are_refused_too(dense_bert, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(dense_bert, folder)
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    )
    with pytest.raises(Unavailable, match=r"half/2_Dense has no safetensors"):
        open_model(str(folder)).score([("a", "b")], ("sts", "sts"))


def test_code_in_a_checkpoint_is_not_run(dense_bert, tmp_path):
    folder, sentinel = tmp_path / "evil", tmp_path / "ran"
    shutil.copytree(dense_bert, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "evil.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "evil.py").write_text(f"open({str(sentinel)!r}, 'w')\nclass Pooling: pass\n")
    with pytest.raises(
        UsageError, match=r"evil runs code of its own, evil.Pooling \(modules.json\); add --trust-remote"
    ):
        open_model(str(folder))
    assert not sentinel.exists()


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"config.json": {"architectures": ["BertForSequenceClassification"]}}, "cross-encoder"),
        ({"config.json": {"architectures": ["HF_ColBERT"]}, "artifact.metadata": {}}, "colbert"),
        (
            {
                "config.json": {},
                "modules.json": [{"type": "x.Transformer", "path": ""}, {"type": "x.SpladePooling", "path": "1"}],
            },
            "sparse",
        ),
        ({"config.json": {}, "modules.json": [{"type": "pylate.models.Dense.Dense", "path": ""}]}, "colbert"),
    ],
)
def test_other_kinds_are_recognised(files, kind, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert locate(str(tmp_path), None).kind[0] == kind


def test_a_folder_that_says_nothing_is_an_error(tmp_path):
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(UsageError, match=r"neither modules.json nor config.json"):
        open_model(str(tmp_path))


E5 = dict.fromkeys(("sts", "classification", "clustering", "query"), "query: ") | {"document": "passage: "}


@pytest.mark.parametrize(
    ("model", "base", "own", "asked", "expected", "unprompted"),
    [
        ("intfloat/multilingual-e5-large", None, {}, {}, E5, ()),
        ("intfloat/multilingual-e5-large", None, {"query": "", "document": ""}, {}, E5, ()),
        ("cl-nagoya/ruri-small", None, {}, {}, {"sts": "クエリ: ", "query": "クエリ: ", "document": "文章: "}, ()),
        ("me/tuned", "intfloat/multilingual-e5-small", {}, {}, E5, ()),
        (
            "me/tuned",
            "intfloat/multilingual-e5-small",
            {"query": "問: "},
            {},
            {"query": "問: "},
            tuple(sorted(E5.keys() - {"query"})),
        ),
        ("me/plain", None, {}, {}, {}, ()),
        (
            "me/plain",
            None,
            {"query": "問: ", "default": "文: "},
            {},
            dict.fromkeys(ROLES, "文: ") | {"query": "問: "},
            (),
        ),
        ("me/plain", None, {"passage": "文: "}, {"query": "問: "}, {"document": "文: ", "query": "問: "}, ()),
        ("intfloat/multilingual-e5-large", None, {}, {"query": ""}, E5 | {"query": ""}, ("query",)),
        ("sbintuitions/sarashina-embedding-v2-1b", None, {}, {}, {"document": "text: "}, ("query", "sts")),
    ],
)
def test_prompts_come_from_the_first_that_has_them(model, base, own, asked, expected, unprompted):
    assert prompts.resolve(model, base, own, asked) == (expected, unprompted)


def test_a_prompt_reaches_the_texts_of_its_role(dense_bert):
    plain, prompted = open_model(str(dense_bert)), open_model(str(dense_bert), Options(prompts={"query": "駅 "}))
    pair = [(QUERIES.texts[0], DOCUMENTS.texts[0])]
    by_hand = plain.score([("駅 " + pair[0][0], pair[0][1])], ("query", "document"))
    assert prompted.score(pair, ("query", "document")) == pytest.approx(by_hand)
    assert prompted.score(pair, ("sts", "sts")) == pytest.approx(plain.score(pair, ("sts", "sts")))


TREC = "q1 Q0 d1 1 0.9 tag\nq1 Q0 d2 2 0.8 tag\nq2 Q0 d2 1 0.7 tag\n"
RUN = {"q1": {"d1": 0.9, "d2": 0.8}, "q2": {"d2": 0.7}}


def written(folder, suffix):
    """The same run in each format that is read."""
    path = folder / f"a{suffix}"
    if suffix == ".trec":
        path.write_text(TREC)
    else:
        import ranx

        ranx.Run(RUN).save(str(path))
    return path


@pytest.mark.parametrize("suffix", [".trec", ".json", ".lz4", ".parquet"])
def test_run_files_of_every_format_read_the_same(suffix, tmp_path):
    said = []
    model = open_model(f"run:{written(tmp_path, suffix)}", Options(say=said.append))
    run = model.search(QUERIES, DOCUMENTS, 10)
    assert run.to_dict() == {q: pytest.approx(docs) for q, docs in RUN.items()}
    assert said == ["a: 1 of 3 queries have no ranking, counted as 0 (first: q3)"]
    assert len(model.card.revision) == 64
    assert not isinstance(model, Scorer)


@pytest.mark.parametrize(
    ("name", "text", "error", "says"),
    [
        ("a.trec", TREC + "q1 Q0 d1 3 0.1 tag\n", InvalidScores, "document 'd1' is ranked twice for query 'q1'"),
        (
            "a.trec",
            TREC + "q2 Q0 d3 2 nan tag\n",
            InvalidScores,
            "1 of 4 scores are not finite, first for query 'q2', document 'd3'",
        ),
        ("a.trec", TREC + "q2 Q0 d3 2 high tag\n", UsageError, "line 4: score 'high' is not a number"),
        ("a.trec", TREC + "q2 d3 2\n", UsageError, "line 4 has 3 fields"),
        ("a.trec", "", InvalidScores, "holds no ranking"),
        ("a.json", '{"q1": {"d1": 1.0, "d1": 2.0}}', InvalidScores, "'d1' is given twice in one object"),
        ("a.json", '{"q1": {"d1": NaN}}', InvalidScores, "not finite"),
        ("a.json", '{"q1": {"d1": "x"}}', UsageError, "score 'x' is not a number"),
        ("a.json", '{"q1": {"d1": false}}', UsageError, "score False is not a number"),
        ("a.json", '[["q1", "d1", 1.0]]', UsageError, "expected {query: {document: score}}"),
        ("a.json", '{"q1":', UsageError, "is not a run file"),
        ("a.lz4", "not lz4", UsageError, "is not a run file"),
        ("a.parquet", "not parquet", UsageError, "is not a run file"),
    ],
)
def test_a_bad_run_file_is_one_line(name, text, error, says, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=says.replace("{", r"\{")) as caught:
        open_model(f"run:{tmp_path / name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q1 Q0 d9 1 0.9 tag\n", "ranks document 'd9' for query 'q1', which the task lacks"),
        ("q9 Q0 d1 1 0.9 tag\n", "answers none of the 3 queries"),
    ],
)
def test_a_run_for_something_else_is_refused(text, says, tmp_path):
    (tmp_path / "a.trec").write_text(text)
    with pytest.raises(InvalidScores, match=says):
        open_model(f"run:{tmp_path / 'a.trec'}").search(QUERIES, DOCUMENTS, 10)


@pytest.mark.parametrize(
    ("card", "base"),
    [
        ("---\nbase_model: org/x\n---\n", "org/x"),
        ('---\nbase_model: "org/x"\n---\n', "org/x"),
        ("---\nlanguage: ja\nbase_model:\n- org/x\n- org/y\n---\n", "org/x"),
        ("---\nbase_model: [org/x]\n---\n", "org/x"),
        ("---\nbase_model: 3\n---\n", None),
        ("no front matter", None),
    ],
)
def test_the_base_model_is_read_from_every_form_of_card(card, base, tmp_path):
    from jbench.models.checkpoint import Checkpoint

    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert Checkpoint("m", "r", tmp_path).base_model == base


def test_a_card_that_nobody_can_read_names_no_base(tmp_path):
    from jbench.models.checkpoint import Checkpoint

    (tmp_path / "README.md").write_bytes("---\nbase_model: 日本\n---\n".encode("shift_jis"))
    assert Checkpoint("m", "r", tmp_path).base_model is None


def test_links_are_followed_and_results_left_out_of_a_folders_revision(dense_bert, tmp_path):
    folder = tmp_path / "linked"
    shutil.copytree(dense_bert, folder)
    shutil.move(folder / "1_Pooling", tmp_path / "elsewhere")
    (folder / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    one = open_model(str(folder)).card.revision
    assert one == open_model(str(dense_bert)).card.revision
    (folder / "jbench-results").mkdir()
    (folder / "jbench-results" / "x.json").write_text("{}")
    assert open_model(str(folder)).card.revision == one
    (tmp_path / "elsewhere" / "config.json").write_text('{"embedding_dimension": 32, "pooling_mode": "cls"}')
    assert open_model(str(folder)).card.revision != one


def test_code_that_is_allowed_makes_a_row_of_its_own(dense_bert):
    plain, trusted = open_model(str(dense_bert)).card, open_model(str(dense_bert), Options(trust_remote_code=True)).card
    assert plain.settings != trusted.settings
    assert trusted.variant == {"trust_remote_code": True}


@pytest.mark.parametrize("modules", ["[{}]", '[{"type": "x"}]', "[1]"])
def test_a_broken_list_of_modules_is_one_line(modules, tmp_path):
    (tmp_path / "modules.json").write_text(modules)
    with pytest.raises(Unavailable, match=r"modules\.json has a row without type and path"):
        open_model(str(tmp_path))


def test_documents_without_a_word_are_no_error():
    assert open_model("bm25:mecab").score([("味噌", ""), ("傘", " ")], ("query", "document")).tolist() == [0, 0]


@pytest.mark.parametrize("content", [[1], 3, {"q": 1}, {"q": {"d": "x"}}])
def test_a_packed_run_file_that_holds_something_else_is_one_line(content, tmp_path):
    import cbor2
    import lz4.frame

    (tmp_path / "a.lz4").write_bytes(lz4.frame.compress(lz4.frame.compress(cbor2.dumps(content))))
    with pytest.raises(UsageError, match="is not a run file"):
        open_model(f"run:{tmp_path / 'a.lz4'}")


def edited(folder, copy, name, **changes):
    """A copy of a checkpoint with some fields of one of its JSON files changed."""
    shutil.copytree(folder, copy)
    path = copy / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy


@pytest.mark.parametrize("layout", ["dense_bert", "bare_bert"])
def test_weights_that_would_be_filled_at_random_are_refused(layout, request, tmp_path):
    folder = edited(request.getfixturevalue(layout), tmp_path / "deeper", "config.json", num_hidden_layers=3)
    options = Options(settings={"pooling": "mean"})
    with pytest.raises(Unavailable, match=r"deeper: 16 weights, encoder\.layer\.2\..* among them, are missing"):
        open_model(str(folder), options).score([("a", "b")], ("sts", "sts"))


def test_a_pooler_that_nobody_reads_may_be_missing(bare_bert, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "headless"
    shutil.copytree(bare_bert, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {f"bert.{k}": v for k, v in weights.items() if not k.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    options = Options(settings={"pooling": "mean"})
    pair = [(tiny.CORPUS[0], tiny.CORPUS[1])]
    expected = open_model(str(bare_bert), options).score(pair, ("sts", "sts"))
    assert open_model(str(folder), options).score(pair, ("sts", "sts")) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("layout", "setting", "special"),
    [("dense_bert", "max_length=2", 2), ("dense_unigram", "max_length=1", 2), ("cross_bert", "max_length=3", 3)],
)
def test_a_length_that_special_tokens_fill_is_refused(layout, setting, special, request):
    model = open_model(str(request.getfixturevalue(layout)), Options(settings=dict([setting.split("=")])))
    with pytest.raises(UsageError, match=f"{setting}: .* adds {special} special tokens, which leaves no room"):
        model.score([("味噌", "傘")], ("query", "document"))


@pytest.mark.parametrize(
    ("layout", "change", "says"),
    [
        ("cross_bert", {"processing_kwargs": {"text": {"max_length": 16}}}, "sets processing_kwargs of text"),
        (
            "dense_bert",
            {"modality_config": {"message": {"method": "forward", "method_output_name": "last_hidden_state"}}},
            "reads texts through a chat template, and there is none in it",
        ),
    ],
)
def test_a_way_of_reading_that_is_not_done_here_is_refused(layout, change, says, request, tmp_path):
    folder = shutil.copytree(request.getfixturevalue(layout), tmp_path / "odd")
    path = folder / "sentence_bert_config.json"
    held = json.loads(path.read_text())
    held.setdefault("modality_config", {}).update(change.pop("modality_config", {}))
    path.write_text(json.dumps({**held, **change}))
    with pytest.raises(Unavailable, match=says):
        open_model(str(folder)).score([("味噌", "傘")], ("sts", "sts"))


def test_a_tokenizer_that_cannot_pad_is_one_line(dense_unigram, tmp_path):
    folder = shutil.copytree(dense_unigram, tmp_path / "bare")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "pad_token"}))
    with pytest.raises(Unavailable, match="bare: its tokenizer has no padding token"):
        open_model(str(folder)).score([("味噌", "傘")], ("sts", "sts"))


@pytest.mark.parametrize("other", ["colbert_native", "cross_bert"])
def test_another_kind_taken_as_dense_is_pooled_by_the_mean(other, request):
    from sentence_transformers import SentenceTransformer

    folder = str(request.getfixturevalue(other))
    model = open_model(f"dense:{folder}")
    assert (model.card.settings["pooling"], model.card.settings["similarity"]) == ("mean", "cosine")
    theirs = SentenceTransformer(folder, device="cpu").encode(list(tiny.CORPUS))
    assert np.abs(model._encode(tiny.CORPUS, "sts") - theirs).max() < 1e-5


def test_a_checkpoint_without_a_tokenizer_is_refused(dense_unigram, tmp_path):
    folder = tmp_path / "mute"
    shutil.copytree(dense_unigram, folder, ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(Unavailable, match="mute: no tokenizer in it; save it beside the weights"):
        open_model(str(folder)).score([("a", "b")], ("sts", "sts"))


def test_cut_off_weights_are_one_line(dense_bert, tmp_path):
    folder = tmp_path / "torn"
    shutil.copytree(dense_bert, folder)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(Unavailable, match="torn: sentence-transformers cannot load it: ") as caught:
        open_model(str(folder)).score([("a", "b")], ("sts", "sts"))
    assert "\n" not in str(caught.value)


def test_a_folder_that_could_be_a_hub_id_must_say_which(dense_bert, tmp_path, monkeypatch):
    shutil.copytree(dense_bert, tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"write \./org/name or org/name@main"):
        open_model("org/name")
    assert open_model("./org/name").card.model == "name"


def test_a_folder_called_like_a_family_is_marked_when_it_runs_without_prompts(dense_bert, tmp_path):
    said = []
    shutil.copytree(dense_bert, tmp_path / "ruri-small")
    card = open_model(str(tmp_path / "ruri-small"), Options(say=said.append)).card
    assert (card.prompts, card.unprompted) == ({}, ("document", "query", "sts"))
    assert said[2] == (
        "ruri-small: prompts none (document, query, sts would have one in its family: give it with --prompt, or --name "
        "HUBID if this is a copy)"
    )


def test_the_prompts_in_use_are_said(dense_bert):
    said = []
    open_model(str(dense_bert), Options(prompts={"query": "問: "}, say=said.append))
    assert said[1] == "dense-bert: pooling mean, max_length 512, similarity cosine, dtype float32"
    assert said[2] == "dense-bert: prompts query '問: '"


def test_what_equals_the_checkpoints_own_ways_is_no_variant(dense_bert):
    settings = {"pooling": "mean", "max_length": "512", "similarity": "cosine"}
    card = open_model(str(dense_bert), Options(settings=settings, prompts={"query": ""}, dtype="fp32")).card
    assert card.variant == {}
    assert card.settings == open_model(str(dense_bert)).card.settings


def test_a_run_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.trec").write_bytes(b"\xef\xbb\xbf" + TREC.replace("\n", "\r\n").encode())
    assert open_model(f"run:{tmp_path / 'a.trec'}").search(QUERIES, DOCUMENTS, 10).to_dict().keys() == RUN.keys()


def test_the_order_of_options_makes_no_other_variant(dense_bert):
    one, other = ({"pooling": "cls", "max_length": "32"}, {"max_length": "32", "pooling": "cls"})
    cards = [open_model(str(dense_bert), Options(settings=settings)).card for settings in (one, other)]
    assert list(cards[0].variant) == list(cards[1].variant)


@pytest.mark.parametrize("value", ["9" * 5000, "0", "-1", "1.5", "１２", "1234567890"])
def test_a_length_that_is_none_is_one_short_line(value):
    with pytest.raises(UsageError, match="expected a whole number of 1 or more") as caught:
        open_model("dense-mini", Options(settings={"max_length": value}))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("scheme", ["", "dense:"])
def test_a_path_may_hold_a_colon(scheme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(open_model("dense-mini").weights.checkpoint.folder, "a:b")
    assert open_model(f"{scheme}./a:b").card.model == "a:b"
    assert [*leaves("rrf(./a:b, ngram)")] == ["./a:b", "ngram"]
    assert open_model("rrf(./a:b, ngram)", Options(prompts={"query": "q: "})).card.variant


@pytest.mark.parametrize("roles", [("sts", "sts"), ("query", "document")])
@pytest.mark.parametrize("setting", [{}, {"precision": "int8"}, {"similarity": "euclidean"}])
def test_pairs_of_a_dense_model_are_gathered_a_span_at_a_time(roles, setting, dense_bert, monkeypatch):
    pairs = [(query, text) for query in QUERIES.texts for text in DOCUMENTS.texts]
    whole = open_model(str(dense_bert), Options(settings=setting)).score(pairs, roles)
    spans, plain = [], similarity.pairwise

    def noted(name, a, b):
        spans.append(len(a))
        return plain(name, a, b)

    monkeypatch.setattr(similarity, "pairwise", noted)
    little = open_model(str(dense_bert), Options(settings=setting, memory=5 * 2 * 12 * 32))
    assert little.score(pairs, roles).tolist() == whole.tolist()
    assert max(spans) == 5


def test_a_local_copy_that_is_named_has_the_prompts_of_that_model(dense_bert):
    card = open_model(str(dense_bert), Options(name="intfloat/multilingual-e5-small")).card
    assert card.prompts == {
        "sts": "query: ",
        "classification": "query: ",
        "clustering": "query: ",
        "query": "query: ",
        "document": "passage: ",
    }
    assert (card.variant, card.unprompted) == ({}, ())
    assert open_model(str(dense_bert), Options(name="my/own")).card.prompts == {}
