"""Two models are found among results or evaluated, and compared on the same questions alone."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from jbench import results
from jbench.compare import compare, named
from jbench.evaluate import evaluate
from jbench.models.options import Options
from jbench.registry import board_tasks, find_board, find_tasks
from jbench.types import Unavailable, UsageError
from tests.conftest import ROOT

BASELINES = ROOT / "leaderboards" / "results"
LISTED = results.located([BASELINES], print)


def compared(a, b, tmp_path, *tasks, board=None, resamples=99, **options):
    definition = find_board(board) if board else None
    chosen = board_tasks(definition) if definition else find_tasks(tasks)
    roots = [BASELINES, tmp_path]
    return compare((a, b), roots, tmp_path, chosen, definition, resamples=resamples, **options)


def rows(report):
    return [(c.task, c.measure) for c in report.comparisons]


def stored(tmp_path, model, *tasks, **options):
    """Results of a built-in model made in ``tmp_path``, by task."""
    list(evaluate([model], find_tasks(tasks), tmp_path, Options(**options)))
    return {
        r.task: (p, r) for p, r in results.located([tmp_path], print).items() if r.model == options.get("name", model)
    }


def test_without_tasks_it_is_all_that_both_have(tmp_path):
    stored(tmp_path, "ngram", "mini-qa", "mini-sts", name="mine")
    report = compared("bm25:mecab", "mine", tmp_path)
    assert rows(report) == [("mini-qa@v1", "recall@1"), ("mini-sts@v1", "spearman")]
    assert (report.sides, report.missing, report.failures) == (("bm25:mecab", "mine"), (), ())
    assert [c.resamples for c in report.comparisons] == [99, 99]


def test_a_board_gives_its_columns_and_what_one_lacks_is_said(tmp_path):
    stored(tmp_path, "ngram", "mini-qa", name="mine")
    report = compared("bm25:mecab", "mine", tmp_path, board="mini")
    assert rows(report) == [("mini-qa@v1", "recall@1")]
    lacking = ("mini-sts@v1", "mini-retrieval@v1", "mini-rerank@v1")
    assert report.missing == tuple(f"mine has no result on {task}" for task in lacking)
    with pytest.raises(Unavailable, match="cannot be told: mine has no result on mini-sts@v1"):
        report.regressions(0.5)


def test_a_model_without_results_is_evaluated_once(tmp_path):
    (tmp_path / "r.trec").write_text("aq01 Q0 a01 1 0.9 t\n")
    heard = []
    report = compared("ngram", f"run:{tmp_path / 'r.trec'}", tmp_path / "new", "mini-qa", tell=heard.append)
    assert [result.model for result in heard] == ["r"]
    assert report.sides == ("ngram", "r")
    again = compared("ngram", "r", tmp_path / "new", "mini-qa", tell=heard.append)
    assert (again, len(heard)) == (report, 1)


def test_a_row_that_lacks_an_asked_task_is_evaluated_as_a_model(tmp_path):
    stored(tmp_path, "ngram", "mini-qa")
    report = compare(("ngram", "ngram"), [tmp_path], tmp_path, find_tasks(["mini-qa", "mini-sts"]), resamples=99)
    assert rows(report) == [("mini-qa@v1", "recall@1"), ("mini-sts@v1", "spearman")]


def test_what_cannot_be_evaluated_fails_and_what_is_there_is_compared(tmp_path):
    stored(tmp_path, "ngram", "mini-qa", name="mine")
    report = compared("bm25:mecab", "mine", tmp_path, "mini-qa", "mini-sts")
    assert rows(report) == [("mini-qa@v1", "recall@1")]
    assert [(f.task, f.exit) for f in report.failures] == [("mini-qa@v1", 2), ("mini-sts@v1", 2)]
    assert "unknown model 'mine'" in report.failures[0].error
    assert report.missing == ("mine has no result on mini-sts@v1",)


def result_like(i, path, result, **change):
    return {path.with_name(f"{i}.json"): replace(result, **change)}


def test_a_name_of_several_rows_is_refused_with_their_labels():
    path, result = next((p, r) for p, r in LISTED.items() if (r.model, r.task) == ("ngram", "mini-qa@v1"))
    found = {path: result, **result_like(1, path, result, revision="0123456789abcdef0123")}
    with pytest.raises(
        UsageError, match="'ngram' has several results; write one of: ngram @ ngram-1, ngram @ 01234567"
    ):
        named("ngram", found)
    for name in ("ngram @ 0123456789abcd", "ngram@0123", "ngram@0123456789abcdef0123"):
        assert [one.revision for _, one in named(name, found).values()] == ["0123456789abcdef0123"]
    found |= result_like(2, path, result, revision="ngram-1", variant={"dtype": "bfloat16"})
    with pytest.raises(UsageError, match=r"write one of: ngram @ ngram-1, ngram @ ngram-1 \(dtype=bfloat16\)"):
        named("ngram@ngram", found)
    assert next(iter(named("ngram @ ngram-1 (dtype=bfloat16)", found)))
    assert named("other", found) == {}


def test_a_name_means_the_row_of_today_beside_one_of_before_digests():
    path, result = next((p, r) for p, r in LISTED.items() if (r.model, r.task) == ("ngram", "mini-qa@v1"))
    older = result_like(1, path, result, revision="local-ffffffffffff", digest="")
    today = result_like(2, path, result, revision="local-cccccccccccc", digest="c" * 64)
    rows = {**older, **today}
    rows = {p: replace(r, model="m") for p, r in rows.items()}
    assert [one.revision for _, one in named("m", rows).values()] == ["local-cccccccccccc"]
    label = "m @ local-ffffffff (older revision)"
    assert [one.revision for _, one in named(label, rows).values()] == ["local-ffffffffffff"]


def test_results_of_one_commit_from_before_digests_and_since_are_one_row(tmp_path):
    one, digest = next(iter(LISTED.values())), "0123456789ab" + "c" * 52
    for name, known in (("before", ""), ("since", digest)):
        told = replace(one, model="org/name", revision="0" * 40, digest=known, key=name)
        for i in range(2 if known else 1):
            path = tmp_path / name / "org" / str(i) / "task.json"
            path.parent.mkdir(parents=True)
            path.write_bytes(results.to_json(replace(told, task_version=1 + i)))
    found = results.located([tmp_path / "before", tmp_path / "since"], print)
    assert {result.digest for result in found.values()} == {digest}
    assert len(named("org/name", found)) == 2


def test_two_files_of_one_row_that_disagree_are_named():
    path, result = next((p, r) for p, r in LISTED.items() if (r.model, r.task) == ("ngram", "mini-qa@v1"))
    assert named("ngram", {path: result, **result_like(1, path, result)}) == {("mini-qa@v1", 1): (path, result)}
    with pytest.raises(UsageError, match=r"two results of ngram on mini-qa@v1 disagree: .*json and .*1\.json"):
        named("ngram", {path: result, **result_like(1, path, result, scores={**result.scores, "recall@1": 0.99})})


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("ngrm", "ngram", r"unknown result 'ngrm'; did you mean ngram\? \(to evaluate a model, name --task ID or"),
        ("ngram", "mine", "ngram and mine have no task in common"),
        ("ngram", "old", "ngram and old cannot be compared: different versions of mini-qa@v1, 1 and 7"),
    ],
)
def test_what_cannot_be_compared_is_one_line(a, b, says, tmp_path, monkeypatch):
    path, result = next((p, r) for p, r in LISTED.items() if (r.model, r.task) == ("ngram", "mini-qa@v1"))
    extra = result_like(1, path, result, model="mine", task="else@v1")
    extra |= result_like(2, path, result, model="old", task_version=7)
    monkeypatch.setattr("jbench.compare.located", lambda roots, complain: {**LISTED, **extra})
    with pytest.raises(UsageError, match=says) as error:
        compared(a, b, tmp_path)
    assert "\n" not in str(error.value)


def test_other_data_is_an_error(tmp_path, monkeypatch):
    path, result = next((p, r) for p, r in LISTED.items() if (r.model, r.task) == ("ngram", "mini-qa@v1"))
    extra = result_like(1, path, result, model="mine", data={"sha256": "0" * 64})
    monkeypatch.setattr("jbench.compare.located", lambda roots, complain: {**LISTED, **extra})
    with pytest.raises(UsageError, match=r"ngram and mine cannot be compared on mini-qa@v1: different data \(sha256\)"):
        compared("ngram", "mine", tmp_path)


def test_a_regression_is_more_than_the_limit_and_significant(tmp_path):
    report = compared("bm25:mecab", "ngram", tmp_path, board="mini", resamples=9999)
    figures = [(c.task, round(100 * c.difference, 2), c.holm) for c in report.comparisons]
    assert figures == [
        ("mini-sts@v1", -0.79, 1.0),
        ("mini-retrieval@v1", -23.28, 0.0008),
        ("mini-rerank@v1", -1.54, 1.0),
        ("mini-qa@v1", -7.14, 0.0282),
    ]
    assert [c.task for c in report.regressions(0.001)] == ["mini-retrieval@v1", "mini-qa@v1"]
    assert [c.task for c in report.regressions(0.1)] == ["mini-retrieval@v1"]
    assert report.regressions(0.24) == []
    assert compared("ngram", "bm25:mecab", tmp_path, board="mini").regressions(0.0) == []


def test_without_values_there_is_a_difference_and_a_reason(tmp_path):
    path, _ = stored(tmp_path, "ngram", "mini-qa", name="mine")["mini-qa@v1"]
    path.with_suffix(".values.parquet").unlink()
    report = compared("bm25:mecab", "mine", tmp_path, "mini-qa")
    (row,) = report.rows()
    assert row["95 % interval"] == "none: no per-query values lie beside the result"
    assert (row["difference"], row["p"], row["Holm p"]) == ("-7.14", "", "")
    assert report.method().endswith("the difference is B less A.")
    with pytest.raises(Unavailable, match="regression on mini-qa@v1 recall@1 cannot be told: no per-query values"):
        report.regressions(0.001)


def test_a_score_that_was_edited_has_no_interval(tmp_path):
    path, result = stored(tmp_path, "ngram", "mini-qa", name="mine")["mini-qa@v1"]
    path.write_bytes(results.to_json(replace(result, scores={**result.scores, "recall@1": 0.99})))
    report = compared("bm25:mecab", "mine", tmp_path, "mini-qa")
    assert "give recall@1 0.473214, the result says 0.990000" in report.comparisons[0].reason


def test_values_with_other_queries_are_an_error(tmp_path):
    path, result = stored(tmp_path, "ngram", "mini-qa", name="mine")["mini-qa@v1"]
    beside = path.with_suffix(".values.parquet")
    table = pq.read_table(beside)
    pq.write_table(table.set_column(0, "item", [np.char.add("x", table["item"].to_numpy().astype(str))]), beside)
    path.write_bytes(results.to_json(replace(result, host={**result.host, "values": results.file_sha256(beside)})))
    with pytest.raises(UsageError, match="different items, 112 and 112, only one has 'aq01'"):
        compared("bm25:mecab", "mine", tmp_path, "mini-qa")


def test_one_sentence_says_how(tmp_path):
    report = compared("bm25:mecab", "bm25:char-bigram", tmp_path, "jsquad@valid1145", "mini-qa")
    assert [row["n"] for row in report.rows()] == ["4,442 in 1,145 clusters", "112"]
    assert report.method() == (
        "A is bm25:mecab, B is bm25:char-bigram; figures are percentages, the difference is B less A, its interval the "
        "95 % percentile bootstrap over clusters and queries, p a two-sided paired permutation test over the same, "
        "Holm p that over 2 rows; 99 resamples, seed 0."
    )


ACTION = yaml.safe_load((ROOT / ".github" / "actions" / "compare" / "action.yml").read_text("utf-8"))


def in_action(tmp_path, **given):
    """Run the action's last step as a runner does: its variables filled, its script in bash."""
    step = ACTION["runs"]["steps"][-1]
    inputs = {name: field.get("default", "") for name, field in ACTION["inputs"].items()} | given
    filled = {
        variable: inputs[value.removeprefix("${{ inputs.").removesuffix(" }}")]
        for variable, value in step["env"].items()
    }
    outputs = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    venv = {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path)}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={**os.environ, **venv, **outputs, **filled}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_action_fails_on_a_regression_and_shows_the_table(tmp_path):
    done = in_action(tmp_path, baseline="bm25:mecab", candidate="ngram", task="mini-qa mini-retrieval")
    assert done.returncode == 4, done.stderr
    assert "regression: mini-retrieval@v1 ndcg@10: -23.28" in done.stderr
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text().count("mini-") == 2
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"report={tmp_path}/jbench-compare.json\n"


def test_a_name_in_the_action_is_never_a_command(tmp_path):
    done = in_action(tmp_path, baseline="--help", candidate='"; touch gone; $(touch gone)', task="mini-qa")
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "gone").exists()


def test_no_workflow_pastes_an_input_into_a_script():
    for path in (ROOT / ".github").rglob("*.yml"):
        tree = yaml.safe_load(path.read_text("utf-8"))
        steps = tree["runs"]["steps"] if "runs" in tree else [s for job in tree["jobs"].values() for s in job["steps"]]
        assert [step for step in steps if "${{" in step.get("run", "")] == []
