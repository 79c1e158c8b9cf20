"""Results are kept, found again, and never mixed up; one failure costs nothing but itself."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from jbench import STS, Card, Collection, Pairs, Retrieval, find_tasks, local, open_model, results
from jbench.evaluate import Failure, evaluate, evaluate_one
from jbench.models.options import Options
from jbench.task import Loaded
from jbench.types import Unavailable, UsageError

PAIRS = Pairs(["a", "bb", "ccc"], ["a", "b", "ccd"], [1.0, 2.0, 3.0])
LOADED = Loaded(PAIRS, (local("pairs.tsv", "0" * 64),))
COMMON = {"version": 1, "license": "CC0-1.0"}
TASK = STS(name="x", protocol="y", load=lambda: PAIRS, **COMMON)


class Lengths:
    """A model that scores a pair by the length of its left text, and counts its calls."""

    def __init__(self, **card):
        self.card = Card(**{"model": "m", "revision": "1", "adapter": "stub", "settings": {"dtype": "float32"}, **card})
        self.calls = 0

    def score(self, pairs, roles):
        self.calls += 1
        return np.float32([len(left) for left, _ in pairs])

    def report(self):
        return {"device": "cpu", "truncated": 2, "tokens_lost": 7}


def test_a_result_holds_everything_inside_itself(tmp_path):
    result = evaluate_one(Lengths(), TASK, LOADED, tmp_path, Options())
    (path,) = tmp_path.rglob("*.json")
    assert path.relative_to(tmp_path).as_posix() == "m/1/x@y.v1.json"
    record = json.loads(path.read_text())
    host = record.pop("host")
    assert record == {
        "schema": 1,
        "task": "x@y",
        "task_version": 1,
        "kind": "sts",
        "model": "m",
        "revision": "1",
        "adapter": "stub",
        "main": "spearman",
        "scores": {"spearman": pytest.approx(1.0), "pearson": pytest.approx(1.0)},
        "definitions": {"spearman": "spearman/average-ranks", "pearson": "pearson/float64"},
        "counts": {
            "pairs": 3, "queries": 0, "documents": 0, "relevant": 0,
            "truncated": 2, "tokens_lost": 7, "empty": 0, "unanswered": 0,
        },
        "data": {"sha256": PAIRS.sha256, "pinned": True, "sources": ["local:pairs.tsv"]},
        "prompts": {"sts": ""},
        "settings": {"dtype": "float32"},
        "key": result.key,
    }  # fmt: skip
    assert host["device"] == "cpu"
    assert host["versions"]["torch"]
    assert results.read(path) == result


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("bm25:mecab", {"parameters": 0}),
        ("dense_bert", {"dimension": 32, "bytes_per_document": 64.0, "longest_input": 512}),
        ("colbert_native", {"dimension": 16, "longest_input": 48}),
        ("sparse_bert", {"dimension": 178, "longest_input": 512}),
    ],
)
def test_what_a_model_costs_is_kept_outside_the_key(model, expected, request, tmp_path):
    name = model if ":" in model else str(request.getfixturevalue(model))
    (result,) = evaluate([name], find_tasks(["mini-qa"]), tmp_path)
    cost = result.host["cost"]
    assert expected.items() <= cost.items()
    assert 0 < cost["ms_per_query"] < 1000 * result.host["seconds"] / result.counts["queries"]
    if ":" not in model:
        weights = open_model(name).weights.module.parameters()
        assert cost["parameters"] == sum(p.numel() for p in weights)
        assert cost["bytes_per_document"] > 0


def test_per_query_values_lie_beside_it_with_their_groups(tmp_path):
    data = Collection.of({"p1": "a", "p2": "b"}, {"a": "a", "b": "b"}, {"p1": {"a": 1}, "p2": {"a": 1}})
    task = Retrieval(name="r", protocol="y", load=lambda: data, cluster=lambda q: q[0], **COMMON)
    list(evaluate(["ngram"], [task], tmp_path))
    (path,) = tmp_path.rglob("*.values.parquet")
    table = pq.read_table(path).to_pydict()
    assert (table["item"], table["cluster"]) == (["p1", "p2"], ["p", "p"])
    assert table["ndcg@10"] == [1.0, 0.0]
    assert path.name == "r@y.v1.values.parquet"


def test_a_result_whose_key_exists_is_not_computed_again(tmp_path):
    model = Lengths()
    first = evaluate_one(model, TASK, LOADED, tmp_path, Options())
    second = evaluate_one(model, TASK, LOADED, tmp_path, Options())
    assert (first, model.calls) == (second, 1)
    evaluate_one(model, TASK, LOADED, tmp_path, Options(), overwrite=True)
    assert model.calls == 2


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"revision": "2"},
        {"adapter": "other"},
        {"prompts": {"sts": "query: "}},
        {"settings": {"dtype": "bfloat16"}},
        {"settings": {"dtype": "float32", "max_length": 64}},
    ],
)
def test_whatever_touches_a_score_touches_the_key(change):
    assert results.key_of(Lengths(**change).card, TASK, "d") != results.key_of(Lengths().card, TASK, "d")


@pytest.mark.parametrize("change", [{"prompts": {"query": "q: "}}, {"variant": {"a": 1}}, {"unprompted": ("query",)}])
def test_what_touches_no_score_leaves_the_key(change):
    assert results.key_of(Lengths(**change).card, TASK, "d") == results.key_of(Lengths().card, TASK, "d")


def test_data_version_and_measures_are_in_the_key():
    card = Lengths().card
    keys = {
        results.key_of(card, TASK, "d"),
        results.key_of(card, TASK, "e"),
        results.key_of(card, replace(TASK, version=2), "d"),
        results.key_of(card, replace(TASK, measures=("spearman",)), "d"),
        results.key_of(card, replace(TASK, protocol="z"), "d"),
    }
    assert len(keys) == 5


def test_another_key_in_the_same_place_is_said_and_computed_again(tmp_path):
    said, model = [], Lengths()
    evaluate_one(model, TASK, LOADED, tmp_path, Options())
    changed = Pairs(PAIRS.left, PAIRS.right, [3.0, 2.0, 1.0])
    result = evaluate_one(model, TASK, Loaded(changed), tmp_path, Options(say=said.append))
    assert result.scores["spearman"] == pytest.approx(-1)
    assert said == ["m on x@y: the stored result has another key; computed again"]


QUERIES = Collection.of({"p1": "a", "p2": "b"}, {"a": "a", "b": "b"}, {"p1": {"a": 1}, "p2": {"a": 1}})
RETRIEVAL = Retrieval(name="r", protocol="y", load=lambda: QUERIES, measures=("ndcg@10", "recall@1"), **COMMON)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cluster": lambda query: query[0]}, "the task has another cluster now"),
        ({"main": "recall@1"}, "the task has another main measure now"),
        ({"measures": ("ndcg@10",)}, "the stored result has another key"),
    ],
)
def test_a_stored_result_is_reused_only_for_the_task_of_today(change, says, tmp_path):
    said, today = [], replace(RETRIEVAL, **change)
    list(evaluate(["ngram"], [RETRIEVAL], tmp_path))
    for task in (today, today, RETRIEVAL):
        (result,) = evaluate(["ngram"], [task], tmp_path, Options(say=said.append))
        assert result.main == task.main
    assert said == [f"ngram on r@y: {says}; computed again"] * 2
    (values,) = tmp_path.rglob("*.parquet")
    assert "cluster" not in pq.read_schema(values).names


@pytest.mark.parametrize("torn", ["", "{", '{"schema": 1}', "[]", "\x00\x00"])
def test_a_torn_result_is_said_and_computed_again(torn, tmp_path):
    said, model = [], Lengths()
    evaluate_one(model, TASK, LOADED, tmp_path, Options())
    (path,) = tmp_path.rglob("*.json")
    path.write_text(torn)
    evaluate_one(model, TASK, LOADED, tmp_path, Options(say=said.append))
    assert model.calls == 2
    assert "is not a result" in said[0]
    assert results.read(path).task == "x@y"


def test_variants_lie_beside_each_other(tmp_path):
    plain = evaluate_one(Lengths(), TASK, LOADED, tmp_path, Options())
    other = Lengths(settings={"dtype": "bfloat16"}, variant={"dtype": "bfloat16"})
    varied = evaluate_one(other, TASK, LOADED, tmp_path, Options())
    assert {r.key for r in results.read_all([tmp_path], print)} == {plain.key, varied.key}


def test_models_of_one_name_in_two_folders_do_not_meet(tmp_path):
    for name in ("org1/m", "org2/m", "org1__m", "../m"):
        evaluate_one(Lengths(model=name), TASK, LOADED, tmp_path / "results", Options())
    assert sorted(r.model for r in results.read_all([tmp_path / "results"], print)) == [
        "../m",
        "org1/m",
        "org1__m",
        "org2/m",
    ]
    assert os.listdir(tmp_path) == ["results"]


def failing(error):
    def load():
        raise error

    return load


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    model = Lengths()
    with pytest.raises(Unavailable, match=r"cannot write .*/file/m/1/x@y\.v1\.json: .*/file is no folder"):
        evaluate_one(model, TASK, LOADED, tmp_path / "file", Options())
    assert model.calls == 0


def test_one_failing_task_never_stops_the_others(tmp_path):
    tasks = [
        STS(name="gone", protocol="y", load=failing(Unavailable("no such file")), **COMMON),
        STS(name="bug", protocol="y", load=failing(ZeroDivisionError("oh")), **COMMON),
        STS(name="flat", protocol="y", load=lambda: Pairs(["a", "a"], ["b", "b"], [1.0, 2.0]), **COMMON),
        STS(name="fine", protocol="y", load=lambda: PAIRS, **COMMON),
    ]
    found = list(evaluate(["ngram", "nonsense"], tasks, tmp_path))
    seen = [(o.task, o.exit, o.error) if isinstance(o, Failure) else o.task for o in found[:4]]
    assert seen == [
        ("gone@y", 5, "no such file"),
        ("bug@y", 1, "ZeroDivisionError: oh"),
        ("flat@y", 3, "a correlation is undefined: 2 predicted scores, all the same"),
        "fine@y",
    ]
    assert "Traceback" in found[1].trace
    assert [(o.opened, o.exit) for o in found[4:]] == [(False, 2)] * 4
    assert [p.name for p in tmp_path.rglob("*.json")] == ["fine@y.v1.json"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError("Unable to allocate 9 TiB"), "out of memory: Unable to allocate 9 TiB"),
        (MemoryError(), "out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "out of memory: CUDA"),
    ],
)
def test_too_little_memory_is_one_line(error, says, tmp_path):
    task = STS(name="x", protocol="y", load=failing(error), **COMMON)
    (failure,) = evaluate(["ngram"], [task], tmp_path)
    assert (failure.error, failure.exit, failure.trace) == (says, 5, "")


def test_data_is_loaded_once_for_all_models(tmp_path):
    loads = []
    task = STS(name="x", protocol="y", load=lambda: loads.append(1) or PAIRS, **COMMON)
    list(evaluate(["ngram", "bm25:char-bigram"], [task], tmp_path))
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scores": {"spearman": 1.7}}, "its scores are not fractions"),
        ({"scores": {"pearson": 0.5}}, "its scores are not fractions, or lack spearman"),
        ({"scores": {"spearman": "high"}}, "scores.spearman"),
        ({"schema": 2}, "has schema 2; this version reads 1"),
        ({"extra": 1}, "extra"),
        ({"key": None}, "key"),
    ],
)
def test_a_hostile_result_is_refused_by_name(change, says, tmp_path):
    evaluate_one(Lengths(), TASK, LOADED, tmp_path, Options())
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(orjson.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(Unavailable, match=says):
        results.read(path)


def test_a_nan_in_a_result_is_refused(tmp_path):
    evaluate_one(Lengths(), TASK, LOADED, tmp_path, Options())
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text().replace('"spearman": 1.0', '"spearman": NaN').replace("0.99", "NaN"))
    with pytest.raises(Unavailable, match="is not a result"):
        results.read(path)


def test_of_one_computation_the_later_result_stands_and_others_stand_beside_one_another(tmp_path):
    for root, gold in (("a", [1.0, 2.0, 3.0]), ("b", [1.0, 2.0, 3.0]), ("c", [3.0, 2.0, 1.0])):
        evaluate_one(Lengths(), TASK, Loaded(Pairs(PAIRS.left, PAIRS.right, gold)), tmp_path / root, Options())
    found = results.located([tmp_path / name for name in "abc"], print)
    assert [path.relative_to(tmp_path).parts[0] for path in found] == ["b", "c"]
    assert [one.scores["spearman"] for one in found.values()] == [pytest.approx(1), pytest.approx(-1)]


def _write(arguments):
    root, seed = arguments
    for _ in range(20):
        evaluate_one(Lengths(), TASK, LOADED, root, Options(), overwrite=True)
    return seed


def test_many_processes_may_share_one_folder(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(_write, [(tmp_path, i) for i in range(4)])
    assert len(results.read_all([tmp_path], print)) == 1
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 2


@pytest.mark.long
def test_a_kill_at_any_write_leaves_results_whole(tmp_path):
    program = """
        import os, signal, sys
        from pathlib import Path
        fatal, seen, fsync = int(sys.argv[2]), 0, os.fsync
        def dying(handle):
            global seen
            seen += 1
            if seen == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(handle)
        os.fsync = dying
        from jbench.evaluate import evaluate
        from jbench.registry import find_tasks
        list(evaluate(["ngram"], find_tasks(["mini-sts@v1"]), Path(sys.argv[1])))
    """
    for fatal in range(1, 6):
        root = tmp_path / str(fatal)
        command = [sys.executable, "-c", textwrap.dedent(program), str(root), str(fatal)]
        done = subprocess.run(command, check=False)
        assert done.returncode == (-signal.SIGKILL if fatal < 5 else 0)
        assert len(results.read_all([root], print)) == (0 if fatal < 4 else 1)
        subprocess.run([*command[:-1], "0"], check=True)
        assert len(results.read_all([root], print)) == 1


def test_an_error_is_one_line(tmp_path):
    task = STS(name="x", protocol="y", load=failing(UsageError("two\nlines")), **COMMON)
    (failure,) = evaluate(["ngram"], [task], tmp_path)
    assert failure.error == "two lines"


def test_data_that_nobody_pinned_is_not_called_pinned(tmp_path):
    (tmp_path / "x.tsv").write_text("a\tb\n")

    def load():
        local(tmp_path / "x.tsv").tsv()
        return PAIRS

    task = STS(name="x", protocol="y", load=load, **COMMON)
    (loose,) = evaluate(["ngram"], [task], tmp_path / "one")
    (none,) = evaluate(["ngram"], [TASK], tmp_path / "two")
    assert (loose.data["pinned"], loose.data["sources"]) == (False, ["local:x.tsv"])
    assert (none.data["pinned"], none.data["sources"]) == (False, [])


def test_values_of_another_run_beside_a_result_are_noticed(tmp_path):
    said, model = [], Lengths()
    evaluate_one(model, TASK, LOADED, tmp_path, Options())
    (values,) = tmp_path.rglob("*.parquet")
    values.write_bytes(b"other")
    evaluate_one(model, TASK, LOADED, tmp_path, Options(say=said.append))
    assert model.calls == 2
    assert "per-query values are not the result's own" in said[0]
    values.unlink()
    evaluate_one(model, TASK, LOADED, tmp_path, Options())
    assert model.calls == 3


def test_a_failed_task_leaves_no_counts_to_the_next(tmp_path, dense_bert):
    long = "長い文。" * 400
    tasks = [
        STS(name="bad", protocol="y", load=lambda: Pairs([long, long], ["a", "b"], [1.0, float("nan")]), **COMMON),
        STS(name="good", protocol="y", load=lambda: Pairs(["a", "い"], ["b", "う"], [1.0, 2.0]), **COMMON),
    ]
    failure, result = evaluate([str(dense_bert)], tasks, tmp_path)
    assert failure.exit == 3
    assert (result.counts["truncated"], result.counts["tokens_lost"]) == (0, 0)


def test_data_that_fails_to_load_is_not_loaded_for_each_model(tmp_path):
    loads = []

    def load():
        loads.append(1)
        raise Unavailable("gone")

    found = list(evaluate(["ngram", "bm25:mecab"], [STS(name="x", protocol="y", load=load, **COMMON)], tmp_path))
    assert ([o.error for o in found], len(loads)) == (["gone", "gone"], 1)


def test_built_in_models_under_one_name_do_not_meet(tmp_path):
    for model in ("ngram", "bm25:mecab"):
        list(evaluate([model], [TASK], tmp_path, Options(name="same")))
    assert len(results.read_all([tmp_path], print)) == 2


def test_a_file_that_is_no_result_is_named_and_left_out(tmp_path):
    complaints = []
    evaluate_one(Lengths(), TASK, LOADED, tmp_path, Options())
    (tmp_path / "m" / "1" / "notes.json").write_text("{}")
    assert len(results.read_all([tmp_path], complaints.append)) == 1
    assert "notes.json is not a result" in complaints[0]


@pytest.mark.parametrize("grade", [np.int64(1), np.int32(1), np.uint8(1)])
def test_grades_of_numpy_are_saved_as_whole_numbers(grade, tmp_path):
    data = Collection.of({"q": "文書"}, {"d1": "文書", "d2": "別"}, {"q": {"d1": grade}})
    task = Retrieval(name="np", protocol="v1", load=lambda: data, **COMMON)
    (result,) = evaluate(["ngram"], [task], tmp_path)
    assert (result.counts["relevant"], type(result.counts["relevant"])) == (1, int)
    assert results.read_all([tmp_path], pytest.fail)[0].counts["relevant"] == 1
