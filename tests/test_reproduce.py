"""Published figures against the same figures computed here: measured, derived, rounded, or what it would take."""

import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import jbench.reproduce.measure as measuring
from jbench.cli import app
from jbench.evaluate import Failure
from jbench.metrics import parse
from jbench.models.options import Options
from jbench.published import FAMILIES, grid
from jbench.published.runs import RunFile, RunFiles, run_files
from jbench.registry import own_tasks
from jbench.reproduce import published, reproduce, tally
from jbench.reproduce.cell import NEAR_BY, Computed, Printed, Setting, compared
from jbench.reproduce.measure import Asked
from jbench.results import to_json
from jbench.types import Collection, Pairs, Result, Unavailable, UsageError, silent
from tests import hub, tiny
from tests.conftest import ROOT


def printed(model="a/b", task="jsts@valid1457", measure="spearman", text="0.8305", notes=(), origin="simcse"):
    return Printed(origin, model, task, measure, text, "x/y@c:README.md", tuple(notes))


TASK = own_tasks()["jsts@valid1457"]
BASELINES = [path.read_text() for path in (ROOT / "leaderboards" / "results").rglob("jsts@valid1457.v1.json")]
SHA = "a" * 64
DATA = {("jsts@valid1457", 1): SHA, ("jqara@test", 1): SHA}


def result(model="a/b", task="jsts@valid1457", **more):
    base = {
        "schema": 1, "task": task, "task_version": 1, "kind": "sts", "model": model, "revision": "r1", "key": "k",
        "adapter": "dense", "main": "spearman", "scores": {"spearman": 0.83054}, "counts": {},
        "data": {"sha256": SHA}, "prompts": {}, "settings": {"dtype": "float32"},
    }  # fmt: skip
    base |= more
    return Result(**{"definitions": {name: parse(name).definition for name in base["scores"]}, **base})


def computed(wanted, results=(), failures=None, data=DATA, say=pytest.fail):
    return reproduce(wanted, results, failures or {}, data, say, silent)


@pytest.fixture(scope="module")
def without():
    """Every figure, with neither run files nor results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JBENCH_OFFLINE", "1")
        patch.setenv("JBENCH_HOME", "/nonexistent")
        patch.delenv("JBENCH_MIRROR", raising=False)
        return computed(published())


def counted(cells):
    return [tuple(row.values()) for row in tally(cells)]


#    source            class             cells equal inside near outside without a reason
DERIVED = [
    ("simcse", "derived", 389, 386, 3, 0, 0, 0),
    ("jacolbert", "derived", 5, 1, 1, 0, 3, 0),
    ("jacolbert-card", "derived", 27, 22, 2, 0, 3, 0),
    ("ruri", "derived", 22, 20, 2, 0, 0, 0),
    ("ruri-card", "derived", 60, 60, 0, 0, 0, 0),
    ("jmteb-v1", "derived", 29, 29, 0, 0, 0, 0),
]
ROUNDED = [("simcse", "rounded", 108, 108, 0, 0, 0, 0), ("jacolbert-card", "rounded", 81, 75, 0, 0, 6, 0)]
NEITHER = {
    "simcse": 228, "jacolbert": 126, "dvsb-2024": 112, "ruri": 75, "jmteb-v1": 464, "jqara": 74, "jacwir": 68,
    "jee": 104, "mteb": 525, "bm25": 8,
}  # fmt: skip


def test_without_any_file_the_derived_figures_are_compared_and_the_others_said_to_be_missing(without):
    assert [row for row in counted(without) if row[1] == "derived"] == DERIVED
    assert [row for row in counted(without) if row[1] == "rounded"] == ROUNDED
    assert {row[0]: row[2] for row in counted(without) if row[1] == "not computable"} == NEITHER
    assert not [row for row in counted(without) if row[1] == "measured"]
    assert [row[0] for row in counted(without)] == sorted((row[0] for row in counted(without)), key=[*FAMILIES].index)
    assert len(without) == len(published()) == 532 + 189 + sum(NEITHER.values())


LARGE = "cl-tohoku/bert-large-japanese-v2"
ROUNDED_OR_NOT = [
    (f"{LARGE} (unsup-simcse Wiki40B)", "jsts@valid1457", "spearman", "rounded", "0.810042"),
    (f"{LARGE} (unsup-simcse Wiki40B)", "simcse-mean@3", "mean", "derived", "0.791064"),
    (f"{LARGE} (sup-simcse JSNLI)", "jsts@valid1457", "spearman", "derived", "0.829781"),
    ("bclavie/JaColBERT", "jsquad@valid1145", "recall@1", "rounded", "0.90567"),
    ("bclavie/JaColBERT", "jacolbert-mean@recall1-3", "mean", "derived", "0.70467"),
]


@pytest.mark.parametrize(("model", "task", "measure", "kind", "shown"), ROUNDED_OR_NOT)
def test_the_same_figure_with_more_decimals_is_rounded_and_not_derived(model, task, measure, kind, shown, without):
    (cell,) = [
        c
        for c in without
        if c.printed.place == (model, task, measure) and c.printed.origin in ("simcse", "jacolbert-card")
    ]
    assert (cell.kind, cell.shown) == (kind, shown)


def test_what_is_derived_is_a_mean_a_rank_or_the_best_of_several(without):
    made_from = {c.computed.made_from for c in without if c.kind == "derived"}
    means = {one for one in made_from if one.startswith(("the mean of ", "the row's six columns "))}
    ranks = {one for one in made_from if one.startswith("ranks in ")}
    assert made_from - means - ranks == {
        "the best of sup-all.csv",
        "sup-all.csv: the best on JSICK val",
        "unsup-best.csv",
    }
    assert {c.printed.measure for c in without if c.kind == "derived" and c.computed.made_from == "unsup-best.csv"} == {
        "mean"
    }


ANCHORS = [
    ("nlp-waseda/roberta-large-japanese", "ranking of models", "supervised", "1.20", 1.2),
    ("nlp-waseda/roberta-large-japanese", "ranking of models", "unsupervised", "1.00", 1.0),
    ("JSNLI", "ranking of data sets", "supervised", "1.583", 38 / 24),
    ("CC100", "ranking of data sets", "unsupervised", "3.833", 92 / 24),
    ("512", "ranking of batch sizes", "supervised, mean", "2.331", 839 / 360),
    ("64", "ranking of batch sizes", "supervised, 1e-5", "2.750", 330 / 120),
    ("cl-tohoku/bert-large-japanese-v2", "best setting", "supervised, jsnli", "5e-5, 512", "5e-5, 512"),
    ("nlp-waseda/roberta-large-japanese", "best setting", "supervised, jsnli", "1e-5, 128", "1e-5, 128"),
    ("cl-tohoku/bert-base-japanese-v3 (sup-simcse JSNLI)", "simcse-mean@3", "mean", "0.8023", 0.802326),
    ("cl-tohoku/bert-large-japanese-v2 (sup-simcse JSNLI)", "jsts@train12451", "spearman", "0.7944", 0.794414),
    ("cl-nagoya/sup-simcse-ja-large", "simcse-mean@3", "mean", "0.8191", 0.8191),
    ("sbintuitions/sarashina-embedding-v1-1b", "jmteb-mean@v1", "mean", "0.7550", 0.755013),
    ("cl-nagoya/ruri-pt-large", "jmteb-mean@v1", "mean", "0.7246", 0.724575),
    ("cl-nagoya/ruri-large", "jmteb-mean@v1-retrieval", "mean", "0.7302", 0.730195),
    ("cl-nagoya/sup-simcse-ja-base", "jmteb-mean@v1-macro", "mean", "0.6856", 0.685587),
    ("intfloat/multilingual-e5-large", "jmteb-mean@v1-macro", "mean", "0.7165", 0.716532),
    ("bclavie/JaColBERT", "jacolbert-mean@recall5", "mean", "0.765", 0.765),
]


@pytest.mark.parametrize(("model", "task", "measure", "text", "value"), ANCHORS)
def test_a_derived_figure_is_the_one_that_was_printed(model, task, measure, text, value, without):
    found = [c for c in without if c.printed.place == (model, task, measure) and c.kind == "derived"]
    assert {c.printed.text for c in found} == {text}
    assert {c.verdict for c in found} == {"equal"}
    for cell in found:
        of = cell.computed.text if isinstance(value, str) else cell.computed.value
        assert of == (value if isinstance(value, str) else pytest.approx(value, abs=2e-6))


def test_the_misprints_are_found_and_their_notes_say_why(without):
    found = {
        (c.printed.origin, c.printed.model.split("/")[1], c.printed.task.split("@")[0], c.printed.measure): c
        for c in without
        if c.verdict == "outside"
    }
    assert {key: (c.printed.text, c.shown) for key, c in found.items()} == {
        ("jacolbert", "JaColBERT", "jacolbert-mean", "mean"): ("0.813", "0.81457"),
        ("jacolbert", "multilingual-e5-large", "jacolbert-mean", "mean"): ("0.730", "0.73314"),
        ("jacolbert", "sentence-bert-base-ja-mean-tokens-v2", "jacolbert-mean", "mean"): ("0.435", "0.43798"),
        ("jacolbert-card", "JaColBERT", "jacolbert-mean", "mean"): ("0.813", "0.81467"),
        ("jacolbert-card", "multilingual-e5-large", "jacolbert-mean", "mean"): ("0.730", "0.73333"),
        ("jacolbert-card", "sentence-bert-base-ja-mean-tokens-v2", "jacolbert-mean", "mean"): ("0.435", "0.43800"),
        ("jacolbert-card", "multilingual-e5-small", "mrtydi-ja", "recall@3"): ("0.767", "0.76366"),
        ("jacolbert-card", "GLuCoSE-base-ja", "mrtydi-ja", "recall@5"): ("0.670", "0.66921"),
        ("jacolbert-card", "sup-simcse-ja-large", "mrtydi-ja", "recall@3"): ("0.457", "0.45856"),
        ("jacolbert-card", "sup-simcse-ja-large", "miracl-ja", "recall@5"): ("0.212", "0.21258"),
        ("jacolbert-card", "fio-base-japanese-v0.1", "miracl-ja", "recall@10"): ("0.462", "0.46295"),
        ("jacolbert-card", "sentence-bert-base-ja-mean-tokens-v2", "mrtydi-ja", "recall@10"): ("0.611", "0.61157"),
    }
    assert all(cell.reason.startswith("misprint: ") for cell in found.values())


@pytest.mark.parametrize(
    ("model", "task", "measure", "says"),
    [
        ("64", "ranking of batch sizes", "unsupervised, mean", "results/unsup-simcse/all.csv (1,152 rows)"),
        ("xlm-roberta-base", "best setting", "unsupervised, cc100", "results/unsup-simcse/all.csv (1,152 rows)"),
        ("cl-nagoya/ruri-pt-base", "jmteb-mean@v1-sts", "mean", "the figures that were averaged"),
        ("cl-nagoya/ruri-large", "jmteb-mean@v1-sts", "mean", ""),
        ("cl-nagoya/ruri-large", "esci-ja@jmteb-v1", "ndcg@10", "JMTEB's script data set, which is never run"),
        ("cl-nagoya/sup-simcse-ja-base", "jsick@test4927", "spearman", "the checkpoint: with a hub, jbench reproduce"),
        ("cl-nagoya/ruri-small", "jacwir@eval", "map@10", "the checkpoint in fp16, as published: with a hub"),
        ("cl-nagoya/ruri-large", "jqara@test", "ndcg@10", "runs/ruri-large.lz4: with a network, --models brings it"),
        ("openai/text-embedding-ada-002", "jsick@test4927", "spearman", "a model that is no checkpoint of the hub"),
        ("bm25 (Anserini)", "mrtydi-ja@test-full", "mrr@100", "jbench run run:FILE --name MODEL --task TASK"),
    ],
)
def test_what_cannot_be_computed_says_what_it_would_take(model, task, measure, says, without):
    reasons = {c.reason for c in without if c.printed.place == (model, task, measure)}
    assert all(says in reason for reason in reasons)
    assert bool(says) == all(reasons)


@pytest.mark.parametrize(
    ("text", "value", "low", "high", "verdict"),
    [
        ("0.83", 0.8349, 0.8349, 0.8349, "equal"),
        ("0.83", 0.835, 0.835, 0.835, "equal"),
        ("0.83", 0.8351, 0.8351, 0.8351, "outside"),
        ("0.83", 0.8451, 0.8349, 0.8451, "inside"),
        ("0.83", 0.8451, 0.8352, 0.8451, "outside"),
        ("0.830", 0.8304, 0.8304, 0.8304, "equal"),
        ("0.830", 0.8306, 0.8306, 0.8306, "outside"),
        ("2.331", 839 / 360, 839 / 360, 839 / 360, "equal"),
    ],
)
def test_a_figure_may_be_off_by_half_a_unit_and_by_what_ties_can_do(text, value, low, high, verdict):
    cell = compared(printed(text=text), Computed(value, low, high, "here", "measured"))
    assert (cell.verdict, cell.unexplained) == (verdict, verdict == "outside")


@pytest.mark.parametrize(
    ("value", "verdict", "distance"),
    [
        (0.83004, "equal", 0.00004),
        (0.83014, "near", 0.00014),  # half a unit and 1e-4 are .00015
        (0.83016, "outside", 0.00016),
        (0.82986, "near", -0.00014),
    ],
)
def test_the_figure_of_a_model_run_here_may_be_near(value, verdict, distance):
    ran = Computed(value, value, value, "here", "measured", NEAR_BY)
    cell = compared(printed(text="0.8300"), ran)
    assert (cell.verdict, cell.as_dict()["distance"]) == (verdict, pytest.approx(distance))
    assert cell.of_model
    # A run file is not run here: its numbers are the same everywhere.
    assert compared(printed(text="0.8300"), replace(ran, near=0.0)).verdict == (
        "equal" if verdict == "equal" else "outside"
    )


@pytest.mark.parametrize(("text", "verdict"), [("5e-5, 512", "equal"), ("5e-5, 256", "outside")])
def test_a_setting_is_the_same_text_or_another(text, verdict):
    cell = compared(printed(text="5e-5, 512"), Setting(text, "here"))
    assert (cell.verdict, cell.shown, cell.unexplained) == (verdict, text, verdict == "outside")
    assert [cell.as_dict()[key] for key in ("computed", "low", "high", "from")] == [text, None, None, "here"]


def test_only_a_misprint_explains_what_was_derived_and_a_way_of_its_own_what_a_model_scored():
    notes = ("512 tokens", "PLAID index of 2 bits", "misprint: it is .9")
    far = Computed.about(0.9, 0, "here")
    assert compared(printed(notes=notes), far).reason == "misprint: it is .9"
    assert compared(printed(notes=notes[:2]), far).reason == "no reason known"
    assert compared(printed(notes=notes[:2]), far, measuring.DIFFERS).reason == "PLAID index of 2 bits"
    assert compared(printed(notes=notes[:1]), far, measuring.DIFFERS).reason == "no reason known"


@pytest.mark.parametrize(
    ("cell", "model", "checkpoint", "settings", "dtype"),
    [
        (printed("cl-nagoya/ruri-small"), "cl-nagoya/ruri-small", True, {}, "float32"),
        (printed("a/b", notes=["its dense vectors, fp16"]), "a/b", True, {}, "float16"),
        (printed("a/b (CLS)"), "a/b", True, {"pooling": "cls"}, "float32"),
        (printed("a/b (mean)"), "a/b", True, {"pooling": "mean"}, "float32"),
        (printed("a/b (SentenceTransformer)"), "a/b", True, {}, "float32"),
        (printed("a/b (sup-simcse JSNLI)"), "a/b (sup-simcse JSNLI)", False, {}, "float32"),
        (printed("openai/text-embedding-3-small"), "openai/text-embedding-3-small", False, {}, "float32"),
        (printed("bm25"), "bm25", False, {}, "float32"),
    ],
)
def test_a_row_says_what_it_was_scored_with(cell, model, checkpoint, settings, dtype):
    assert Asked.of(cell) == Asked(model, checkpoint, tuple(settings.items()), dtype)


@pytest.mark.parametrize(
    ("notes", "more", "verdict"),
    [
        ((), {}, "equal"),
        ((), {"scores": {"spearman": 0.8307}}, "outside"),
        ((), {"scores": {"spearman": 0.8307}, "ties": {"spearman": (0.8304, 0.8309)}}, "inside"),
        ((), {"scores": {"pearson": 0.8305}, "main": "pearson"}, None),
        ((), {"model": "a/c"}, None),
        ((), {"task": "jsick@test4927"}, None),
        ((), {"task_version": 2}, None),
        ((), {"unprompted": ["sts"]}, None),
        ((), {"variant": {"max_length": 64}}, None),
        ((), {"settings": {"dtype": "float16"}, "variant": {"dtype": "float16"}}, None),
        (["fp16"], {"settings": {"dtype": "float16"}, "variant": {"dtype": "float16"}}, "equal"),
        (["fp16"], {}, None),
        (["fp16"], {"adapter": "run", "settings": {}}, "equal"),
    ],
)
def test_a_result_counts_for_a_row_of_the_same_model_run_the_same_way(notes, more, verdict):
    (cell,) = computed([printed(notes=notes)], [result(**more)])
    assert (cell.verdict or None) == verdict
    assert cell.kind == ("measured" if verdict else "not computable")


def test_two_revisions_are_two_comparisons_and_a_failure_is_the_reason_where_there_is_none():
    cells = computed([printed()], [result(), result(revision="r2", scores={"spearman": 0.9})])
    assert [(c.verdict, c.computed.made_from) for c in cells] == [
        ("equal", "a/b @ r1 (dense)"),
        ("outside", "a/b @ r2 (dense)"),
    ]
    (cell,) = computed([printed()], failures={("a/b", "jsts@valid1457"): "a/b is not to be had"})
    assert cell.reason == "a/b is not to be had"


def test_two_folders_are_two_names():
    folders = [result(revision=f"local-12345678{end}") for end in ("aaaa", "bbbb")]
    assert [c.computed.made_from for c in computed([printed()], folders)] == [
        "a/b @ local-12345678aaaa (dense)",
        "a/b @ local-12345678bbbb (dense)",
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"data": {"sha256": "b" * 64}}, "left out: measured on other data (sha256 bbbbbbbbbbbb, not aaaaaaaaaaaa)"),
        ({"data": {}}, "left out: measured on other data (sha256 missing, not aaaaaaaaaaaa)"),
        (
            {"definitions": {"spearman": "spearman/first-rank"}},
            "spearman is left out: by another definition ('spearman/first-rank', not spearman/average-ranks)",
        ),
        ({"definitions": {}}, "spearman is left out: by another definition (None, not spearman/average-ranks)"),
    ],
)
def test_a_result_on_other_data_or_by_another_definition_is_no_measurement_and_named(more, says):
    said = []
    (cell,) = computed([printed()], [result(**more)], say=said.append)
    assert (cell.kind, cell.verdict) == ("not computable", "")
    (line,) = said
    assert line.startswith("a/b @ r1 (dense) on jsts@valid1457")
    assert line.endswith(says)


def test_one_measure_by_another_definition_costs_no_other():
    both = result(
        scores={"spearman": 0.83054, "pearson": 0.82},
        definitions={"spearman": "x", "pearson": parse("pearson").definition},
    )
    said = []
    cells = computed([printed(), printed(measure="pearson", text="0.82")], [both], say=said.append)
    assert [(c.kind, c.verdict) for c in cells] == [("not computable", ""), ("measured", "equal")]
    assert len(said) == 1


def test_results_of_models_that_no_figure_is_of_are_not_spoken_of():
    assert computed([printed()], [result("a/c", data={})])[0].kind == "not computable"


def test_without_a_baseline_the_task_s_own_data_decides(monkeypatch):
    pairs = Pairs(["a", "b"], ["c", "d"], [0.0, 1.0])
    monkeypatch.setitem(own_tasks(), "jsts@valid1457", replace(TASK, load=lambda: pairs, expects={}))
    same, other = result(data={"sha256": pairs.sha256}), result(revision="r2")
    said = []
    (cell,) = computed([printed()], [same, other], data={}, say=said.append)
    assert (cell.verdict, cell.computed.made_from) == ("equal", "a/b @ r1 (dense)")
    assert [line.partition(" is left out")[0] for line in said] == ["a/b @ r2 (dense) on jsts@valid1457"]


def test_where_there_is_neither_nothing_is_checked_and_that_is_said(monkeypatch):
    def absent():
        raise Unavailable("no such file")

    monkeypatch.setitem(own_tasks(), "jsts@valid1457", replace(TASK, load=absent))
    said = []
    cells = computed([printed()], [result(), result(revision="r2")], data={}, say=said.append)
    assert [c.verdict for c in cells] == ["equal", "equal"]
    assert said == ["jsts@valid1457: on which data results were measured is not checked: no such file"]


QRELS = {f"q{i}": {f"d{i}": 1} for i in range(4)}
FILES = RunFiles(
    task="jqara@test",
    repo="o/n",
    commit="c" * 40,
    folder="runs",
    files=(RunFile(model="a/b", file="one.lz4"), RunFile(model="a/c", file="two.lz4")),
)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A small JQaRA and the run file of a/b; that of a/c is not at hand."""
    documents = {f"d{i}": "" for i in range(4)}
    lists = {query: list(documents) for query in QRELS}
    small = Collection.of(dict.fromkeys(QRELS, ""), documents, QRELS, lists)
    task = replace(own_tasks()["jqara@test"], load=lambda: small, expects={})
    monkeypatch.setitem(own_tasks(), "jqara@test", task)
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    # q0 and q1 first, q2 second, q3 first or second: it ties.
    ranks = {"q0": {"d0": 2.0, "d1": 1.0}, "q1": {"d1": 2.0, "d0": 1.0}, "q2": {"d0": 2.0, "d2": 1.0}}
    hub.write(tmp_path, FILES.source(FILES.files[0]), {**ranks, "q3": {"d3": 1.0, "d0": 1.0}})
    monkeypatch.setattr(measuring, "run_files", lambda: FILES)
    return tmp_path


def test_a_run_file_is_measured_once_and_ties_leave_room(runs, monkeypatch):
    opened = []
    monkeypatch.setattr(measuring, "runfile", lambda *given, read=measuring.runfile: opened.append(1) or read(*given))
    texts = ("0.8750", "0.7500", "0.8125", "0.7499", "0.7400")
    rows = [printed("a/b", "jqara@test", "mrr@10", text, [f"misprint: {text}"], "jqara") for text in texts]
    rows += [printed("a/b", "jqara@test", "ndcg@10", "0.9077"), printed("a/c", "jqara@test", "mrr@10", "0.8")]
    cells = computed(rows)
    assert [c.verdict for c in cells] == ["equal", "inside", "inside", "outside", "outside", "equal", ""]
    assert (cells[0].computed.value, cells[0].computed.low, cells[0].computed.high) == (0.875, 0.75, 0.875)
    assert cells[0].computed.made_from == "run file github:o/n@ccccccc/runs/one.lz4"
    assert cells[-1].reason.startswith("github:o/n@ccccccc/runs/two.lz4: with a network")
    assert opened == [1]


def test_a_result_that_has_a_run_file_saves_reading_it(runs, monkeypatch):
    sha = "f" * 64
    files = FILES.model_copy(update={"files": (RunFile(model="a/c", file="two.lz4", sha256=sha),)})
    monkeypatch.setattr(measuring, "run_files", lambda: files)
    known = result("two", "jqara@test", adapter="run", revision=sha, main="mrr@10", scores={"mrr@10": 0.8})
    named = replace(known, model="a/c")
    for have in ([known], [known, named]):
        (cell,) = computed([printed("a/c", "jqara@test", "mrr@10", "0.8000", origin="jqara")], have)
        assert (cell.kind, cell.verdict) == ("measured", "equal")


@pytest.mark.parametrize(
    "more", [{"data": {"sha256": "b" * 64}}, {"definitions": {"mrr@10": "other"}}, {"scores": {"ndcg@10": 0.5}}]
)
def test_a_result_of_a_run_file_that_does_not_count_leaves_the_file_to_be_read(runs, monkeypatch, more):
    path = next(Path(runs).rglob("one.lz4"))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    pinned = FILES.model_copy(update={"files": (RunFile(model="a/b", file="one.lz4", sha256=sha),)})
    monkeypatch.setattr(measuring, "run_files", lambda: pinned)
    stray = {"adapter": "run", "revision": sha, "main": "mrr@10", "scores": {"mrr@10": 0.9}} | more
    row = printed("a/b", "jqara@test", "mrr@10", "0.8750", origin="jqara")
    (cell,) = computed([row], [result("two", "jqara@test", **stray)], say=lambda line: None)
    assert (cell.verdict, cell.computed.value) == ("equal", 0.875)


def test_a_run_file_with_other_bytes_is_no_measurement(runs, monkeypatch):
    pinned = RunFile(model="a/b", file="one.lz4", sha256="f" * 64)
    monkeypatch.setattr(measuring, "run_files", lambda: FILES.model_copy(update={"files": (pinned,)}))
    (cell,) = computed([printed("a/b", "jqara@test", "mrr@10", "0.8750", origin="jqara")])
    assert cell.kind == "not computable"
    assert "expected ffffffffffff" in cell.reason


def test_the_run_files_are_those_of_the_published_table():
    with open(ROOT / "tests" / "data" / "jqara-readme.csv", encoding="utf-8") as file:
        table = {f"{row['run']}.lz4": row for row in csv.DictReader(file)}
    figures = {one.place: one for one in published("jqara")}
    files = run_files().files
    assert {file.file for file in files} == set(table)
    assert len({file.sha256 for file in files if file.sha256}) == 26
    for file in files:
        for measure in ("ndcg@10", "mrr@10"):
            found = figures[file.model, "jqara@test", measure]
            assert float(found.text) == float(table[file.file][measure])


def jbench(*arguments):
    return CliRunner().invoke(app, ["reproduce", *map(str, arguments)])


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_verb_prints_json_alone_and_the_counts_by_source_and_class(nowhere):
    done = jbench("jmteb-v1", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert list(found) == ["counts", "cells"]
    derived = {"equal": 29, "inside": 0, "near": 0, "outside": 0, "without a reason": 0}
    missing = {"equal": 0, "inside": 0, "near": 0, "outside": 0, "without a reason": 0}
    assert found["counts"] == [
        {"source": "jmteb-v1", "class": "derived", "cells": 29, **derived},
        {"source": "jmteb-v1", "class": "not computable", "cells": 464, **missing},
    ]
    (cell,) = [c for c in found["cells"] if c["task"] == "jmteb-mean@v1" and c["model"] == "cl-nagoya/ruri-large"]
    assert {key: cell[key] for key in ("published", "class", "verdict", "reason", "from", "where")} == {
        "published": "0.7331",
        "class": "derived",
        "verdict": "equal",
        "reason": "",
        "from": "the mean of its 16 data sets (micro)",
        "where": "sbintuitions/JMTEB@4dbe7a3:leaderboard.md",
    }
    assert cell["low"] < cell["computed"] < cell["high"]


def test_the_verb_shows_people_counts_what_lies_outside_and_what_is_missing(nowhere):
    done = jbench("jacolbert")
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["jacolbert", "derived", "5", "1", "1", "0", "3", "0"] in rows
    assert "misprint: the mean of the table's own .978, .645 and .821 is .815" in done.stdout
    assert ["117", "the", "checkpoint:"] in [row[:3] for row in rows]


def test_the_verb_holds_results_against_the_data_of_the_project_s_own_baselines(nowhere):
    path = nowhere / "jbench-results" / "m" / "r" / "jsts.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(to_json(result("cl-nagoya/sup-simcse-ja-base", data={"sha256": "b" * 64})))
    done = jbench("simcse", "--json")
    (own,) = {one["data"]["sha256"] for one in map(json.loads, BASELINES)}
    who = "cl-nagoya/sup-simcse-ja-base @ r1 (dense) on jsts@valid1457"
    assert f"{who} is left out: measured on other data (sha256 bbbbbbbbbbbb, not {own[:12]})" in done.stderr
    assert not [c for c in json.loads(done.stdout)["cells"] if c["class"] == "measured"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["simsce"], "unknown source 'simsce'; did you mean simcse"),
        (["simcse", "--device", "cpu"], "--device goes with --models"),
    ],
)
def test_what_the_verb_does_not_understand_is_a_usage_error(arguments, says, nowhere):
    done = jbench(*arguments)
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)


@pytest.mark.parametrize(
    ("table", "right", "wrong", "outside"),
    [
        # a score of the best setting: its column, its mean, two ranks of models and four of batch sizes
        ("sup-all", "jsnli,1e-5,128,84.419137,83.079613", "jsnli,1e-5,128,84.419137,83.879613", 8),
        # what chose it: another setting, its five columns, two ranks of data sets
        ("sup-all", "jsnli,1e-5,128,84.419137,83.079613", "jsnli,1e-5,128,84.119137,83.079613", 8),
        # the last decimal that is printed: one column
        ("unsup-best", "wiki40b,3e-5,64,79.543641", "wiki40b,3e-5,64,79.533641", 1),
        ("rankings", "data sets,sup,JSNLI,,1.583", "data sets,sup,JSNLI,,1.538", 1),
        ("sup-best", "cl-tohoku/bert-large-japanese-v2,jsnli,5e-5", "cl-tohoku/bert-large-japanese-v2,jsnli,3e-5", 1),
    ],
)
def test_a_wrong_digit_in_the_grid_is_found(table, right, wrong, outside, nowhere, monkeypatch):
    folder = shutil.copytree(grid.FOLDER, nowhere / "grid")
    path = folder / f"{table}.csv"
    text = path.read_text("utf-8")
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong), "utf-8")
    monkeypatch.setattr(grid, "FOLDER", folder)
    done = jbench("simcse", "--json")
    found = [c for c in json.loads(done.stdout)["cells"] if c["reason"] == "no reason known"]
    print([(c["model"], c["task"], c["measure"], c["published"], c["computed"]) for c in found])
    assert (len(found), done.exit_code) == (outside, int(outside > 0))


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def checkpoints(nowhere, monkeypatch, dense_bert, bare_bert):
    """LaBSE and a bare BERT in a hub's cache, as small ones, and a JSTS of five pairs."""
    import huggingface_hub.constants

    for repo, folder in (("sentence-transformers/LaBSE", dense_bert), ("cl-tohoku/bert-base-japanese-v3", bare_bert)):
        place = nowhere / "hub" / f"models--{repo.replace('/', '--')}"
        shutil.copytree(folder, place / "snapshots" / COMMIT)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(nowhere / "hub"))
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    pairs = Pairs(list(tiny.CORPUS), list(tiny.CORPUS[1:] + tiny.CORPUS[:1]), [0.0, 1.0, 2.0, 4.0, 5.0])
    task = replace(TASK, version=2, load=lambda: pairs, expects={})  # version 1 has baselines, on other data
    monkeypatch.setitem(own_tasks(), "jsts@valid1457", task)
    return nowhere


def test_with_a_hub_the_models_themselves_are_scored_as_the_source_did(checkpoints, monkeypatch):
    names = ["sentence-transformers/LaBSE", "cl-tohoku/bert-base-japanese-v3 (CLS)", "a/absent", "bm25"]
    rows = [printed(name, text="0.9999") for name in names] + [printed(names[0], notes=["fp16"])]
    monkeypatch.setattr("jbench.reproduce.published", lambda source=None: rows)
    done = jbench("--models", "--json", "--device", "cpu")
    assert done.exit_code == 5
    cells = json.loads(done.stdout)["cells"]
    assert [c["class"] for c in cells] == ["measured", "measured", "not computable", "not computable", "measured"]
    assert cells[1]["from"] == f"cl-tohoku/bert-base-japanese-v3 @ {COMMIT[:18]} (dense)"
    assert "a/absent is not in the hub cache" in cells[2]["reason"]
    assert {c["reason"] for c in cells[:2]} == {"no reason known"}
    assert "outside, no reason known: simcse: sentence-transformers/LaBSE, jsts@valid1457 spearman" in done.stderr
    kept = [json.loads(path.read_text()) for path in Path("jbench-results").rglob("*.json")]
    assert sorted(str(one.get("variant", "")) for one in kept) == ["", "{'dtype': 'float16'}", "{'pooling': 'cls'}"]
    value = cells[0]["computed"]
    rows[:] = [printed(names[0], text=f"{value:.4f}")]
    again = jbench("--json")  # and from now on they are at hand
    assert (again.exit_code, json.loads(again.stdout)["cells"][0]["verdict"]) == (0, "equal")


def test_where_every_model_failed_the_exit_code_says_so(checkpoints, monkeypatch):
    monkeypatch.setattr("jbench.reproduce.published", lambda source=None: [printed("a/absent"), printed("a/gone")])
    done = jbench("--models")
    assert done.exit_code == 5
    assert "a/absent is not in the hub cache" in done.stderr


def test_a_model_that_fails_is_said_and_costs_no_other(checkpoints):
    rows = [printed("a/absent"), printed("sentence-transformers/LaBSE")]
    first, second = measuring.score(rows, checkpoints / "results", Options())
    assert isinstance(first, Failure)
    assert second.model == "sentence-transformers/LaBSE"


#    source   class       cells equal inside near outside without a reason
MEASURED = [("ruri", "measured", 7, 6, 1, 0, 0, 0), ("jqara", "measured", 52, 10, 42, 0, 0, 0)]


@pytest.mark.long
def test_every_measured_and_derived_figure_holds_or_has_a_written_reason(mirror, nowhere):
    done = jbench("--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    rows = [tuple(row.values()) for row in found["counts"]]
    assert [row for row in rows if row[1] == "measured"] == MEASURED
    assert [row for row in rows if row[1] == "derived"] == DERIVED
    assert [row for row in rows if row[1] == "rounded"] == ROUNDED
    (cell,) = [
        c
        for c in found["cells"]
        if (c["source"], c["model"], c["measure"]) == ("jqara", "answerdotai/JaColBERTv2.4", "ndcg@10")
    ]
    assert (cell["published"], cell["verdict"]) == ("0.6265", "inside")
    assert [cell[key] for key in ("computed", "low", "high")] == pytest.approx([0.62615, 0.61404, 0.63966], abs=1e-5)
    assert cell["from"].endswith("evaluator/data/eval_results/runs/JaColBERTv2.4.lz4")
