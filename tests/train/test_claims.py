"""Claims on small models: commands in order and gone on with, verdicts on literal values, the table."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from jbench import resample, results
from jbench.cli import app
from jbench.metrics import Measured, parse
from jbench.registry import find_tasks
from jbench.statistics import score_interval
from jbench.train.claims import arms as small
from jbench.train.claims.arms import ARMS, CLAIMS, Arm, Claim
from jbench.train.claims.commands import Ended, names, plan, run
from jbench.train.claims.judge import HELD, NOT_RUN, REVERSED, UNDECIDED, judge
from jbench.train.claims.report import markdown
from jbench.types import Result, Unavailable
from tests.conftest import ROOT
from tests.test_house import HEAVY

TASK = "mini-qa@v1"
A = Arm("a", "the first", (), "./a-{seed}", (TASK,), (1, 2))
B = Arm("b", "the other", (), "b", (TASK,), ())
A_ABOVE_B = Claim("a beats b", "Table 1", "a", "b", (TASK,))


def saved(root, model, values, folder="r1", clusters=None, **more):
    """A result of recall@1 with ``values``, one a question, as if it had been measured."""
    measured = Measured({"recall@1": float(np.mean(values))}, {}, [f"q{i}" for i in range(len(values))], {})
    measured.values["recall@1"] = np.array(values, np.float64)
    base = {
        "schema": 1, "task": TASK, "task_version": 1, "kind": "qa", "model": model, "revision": folder, "key": model,
        "adapter": "stub", "main": "recall@1", "scores": measured.scores, "counts": {}, "data": {"sha256": "d"},
        "definitions": {"recall@1": parse("recall@1").definition}, "prompts": {}, "settings": {},
    }  # fmt: skip
    path = root / model / folder / f"{TASK}.v1.json"
    results.save(path, Result(**{**base, **more}), measured, clusters)
    return path


def judged(root, arms=(A, B), claims=(A_ABOVE_B,), say=pytest.fail, data=()):
    return judge(arms, claims, [*root] if isinstance(root, list) else [root], dict(data), say)


def verdict(root, **more):
    (one,) = judged(root, **more).verdicts
    return one.difference, one.interval, one.verdict


HALVES = [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("first", "second", "other", "expected"),
    [
        # Above on every question and seed by as much: no resample says otherwise.
        ([0.25, 0.75], [0.25, 0.75], [0.0, 0.5], (0.25, (0.25, 0.25), HELD)),
        ([0.0, 0.5], [0.0, 0.5], [0.25, 0.75], (-0.25, (-0.25, -0.25), REVERSED)),
        ([0.25, 0.75], [0.25, 0.75], [0.25, 0.75], (0.0, (0.0, 0.0), UNDECIDED)),
        # Seeds that disagree: both may be drawn twice.
        ([0.75, 0.75], [0.25, 0.25], [0.5, 0.5], (0.0, (-0.25, 0.25), UNDECIDED)),
        ([0.75, 0.75], [0.5, 0.5], [0.5, 0.5], (0.125, (0.0, 0.25), UNDECIDED)),
        # Questions that disagree: one alone may be drawn.
        ([1.0, 0.0], [1.0, 0.0], [0.0, 0.25], (0.375, (-0.25, 1.0), UNDECIDED)),
    ],
)
def test_a_verdict_is_where_the_interval_lies(first, second, other, expected, tmp_path):
    for model, values in (("a-s1", first), ("a-s2", second), ("b", other)):
        saved(tmp_path, model, values)
    assert verdict(tmp_path) == expected


def test_three_seeds_are_drawn_with_replacement(tmp_path):
    arm = replace(A, seeds=(1, 2, 3))
    for seed, value in ((1, 0.25), (2, 0.5), (3, 0.75)):
        saved(tmp_path, f"a-s{seed}", [value, value])
    score = judged(tmp_path, [arm], []).scores["a", TASK]
    assert (score.mean, score.deviation, score.interval) == (0.5, 0.25, (0.25, 0.75))
    # Of 27 draws of three seeds, 1, 3, 6, 7, 6, 3, 1 have these means.
    means, counts = np.unique(np.round(score.resampled * 12), return_counts=True)
    assert means.tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert (counts / 9_999 * 27).tolist() == pytest.approx([1, 3, 6, 7, 6, 3, 1], abs=0.3)


def test_seeds_that_differ_widen_the_interval(tmp_path):
    values = np.tile(HALVES, 10)
    for root, shift in (("same", 0.0), ("apart", 0.2)):
        for i, model in enumerate(("a-s1", "a-s2")):
            saved(tmp_path / root, model, 0.7 * values + (i * 2 - 1) * shift / 2 + 0.1)
    same, apart = (judged(tmp_path / root, [A], []).scores["a", TASK] for root in ("same", "apart"))
    assert same.mean == pytest.approx(apart.mean)
    assert (same.deviation, apart.deviation) == (0.0, pytest.approx(0.2 / 2**0.5))
    width = [high - low for low, high in (same.interval, apart.interval)]
    assert width == pytest.approx([0.21, 0.34], abs=1e-9)


table = st.lists(st.lists(st.integers(0, 8), min_size=6, max_size=6), min_size=4, max_size=4)


@settings(max_examples=15, deadline=None)
@given(table)
def test_the_other_way_round_the_interval_is_mirrored(rows):
    other = replace(A, name="b")
    claims = (A_ABOVE_B, Claim("b beats a", "", "b", "a", (TASK,)))
    with tempfile.TemporaryDirectory() as folder:
        for model, row in zip(("a-s1", "a-s2", "b-s1", "b-s2"), rows, strict=True):
            saved(Path(folder), model, np.array(row) / 8)
        one, mirrored = judged(Path(folder), [A, other], claims).verdicts
    assert one.interval == pytest.approx([-end for end in reversed(mirrored.interval)], abs=1e-12)
    assert one.difference == -mirrored.difference
    assert {one.verdict, mirrored.verdict} in ({HELD, REVERSED}, {UNDECIDED})


@pytest.mark.parametrize("task", ["mini-sts@v1", "mini-qa@v1", "jsquad@valid1145"])
def test_one_evaluation_has_the_interval_that_boards_show(task):
    baselines = ROOT / "leaderboards" / "results"
    found = results.located([baselines], print)
    path, result = next((p, r) for p, r in found.items() if (r.model, r.task) == ("ngram", task))
    arm = Arm("ngram", "", (), "ngram", (task,), ())
    score = judged(baselines, [arm], []).scores["ngram", task]
    assert score.interval == score_interval(resample.read(path, result), result.main)
    assert (score.mean, score.deviation) == (result.scores[result.main], None)


def test_no_figure_of_a_model_depends_on_which_others_there_are(tmp_path):
    for model, values in (("a-s1", HALVES), ("a-s2", [1.0, 1.0, 0.0, 1.0]), ("b", [0.0, 0.0, 0.0, 1.0])):
        saved(tmp_path, model, values)
    both, alone = judged(tmp_path), judged(tmp_path, [A], [])
    assert both.scores["a", TASK].resampled.tolist() == alone.scores["a", TASK].resampled.tolist()


def test_the_questions_of_a_cluster_are_drawn_together(tmp_path):
    values = [0.0, 0.0, 1.0, 1.0]
    saved(tmp_path / "alone", "b", values)
    saved(tmp_path / "together", "b", values, clusters=["x", "x", "y", "y"])
    alone, together = (judged(tmp_path / name, [B], []).scores["b", TASK] for name in ("alone", "together"))
    assert sorted({*together.resampled.tolist()}) == [0.0, 0.5, 1.0]
    assert sorted({*alone.resampled.tolist()}) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert (alone.unit, together.unit) == ("query", "cluster")


def test_with_fewer_seeds_there_is_a_verdict_and_without_any_there_is_none(tmp_path):
    saved(tmp_path, "a-s2", [0.5, 1.0])
    alone = judged(tmp_path)
    assert [(one.difference, one.interval, one.verdict) for one in alone.verdicts] == [(None, None, NOT_RUN)]
    assert [alone.lacking(arm) for arm in (A, B)] == [{(1,): [TASK]}, {(None,): [TASK]}]
    saved(tmp_path, "b", [0.25, 0.75])
    assert verdict(tmp_path) == (0.25, (0.25, 0.25), HELD)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"task_version": 2}, "it is of version 2, the task's is 1"),
        ({"data": {"sha256": "e"}}, "it was measured on other data"),
        ({"definitions": {"recall@1": "mine"}}, "it has no recall@1 by the definition that is known here"),
        ({"main": "mrr@10", "scores": {"mrr@10": 0.5}}, "it has no recall@1 by the definition that is known here"),
        ({"scores": {"recall@1": 0.75}}, "the per-query values give recall@1 0.500000, the result says 0.750000"),
    ],
)
def test_what_does_not_count_is_said_and_left_out(more, says, tmp_path):
    saved(tmp_path, "b", HALVES, **more)
    said = []
    assert judged(tmp_path, say=said.append, data={(TASK, 1): "d"}).scores == {}
    assert said == [f"b on {TASK} is left out: {says}"]


def test_results_are_of_the_same_questions_and_whole(tmp_path):
    saved(tmp_path, "a-s1", HALVES)
    saved(tmp_path, "a-s2", HALVES[:3])
    saved(tmp_path, "b", HALVES).with_suffix(".values.parquet").unlink()
    said = []
    assert judged(tmp_path, say=said.append).lacking(A) == {(2,): [TASK]}
    assert said == [
        f"a-s2 on {TASK} is left out: a-s2 and a-s1 cannot be compared on {TASK}: different items, 3 and 4, "
        "only one has 'q3'",
        f"b on {TASK} is left out: no per-query values lie beside the result",
    ]


def test_arms_of_one_training_draw_their_seeds_alike(tmp_path):
    trained = [Arm(name, "", ("jbench train x",), "m", (TASK,), (1, 2, 3)) for name in ("a", "b")]
    for seed, value in ((1, 0.25), (2, 0.5), (3, 1.0)):
        saved(tmp_path, f"a-s{seed}", [value, value])
        saved(tmp_path, f"b-s{seed}", [value / 2, value / 2])
    claim = Claim("", "", "a", "b", (TASK,))
    (found,) = judge(trained, [claim], [tmp_path], {}, print).verdicts
    assert found.interval == (0.125, 0.5)


def test_the_last_folder_counts_and_results_of_one_that_disagree_do_not(tmp_path):
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for root, value in ((theirs, 0.25), (mine, 0.5)):
        saved(root, "b", [value, value])
    said = []
    assert judged([theirs, mine], say=said.append).scores["b", TASK].mean == 0.5
    here, there = (root / "b" / "r1" / f"{TASK}.v1.json" for root in (mine, theirs))
    assert said == [f"b on {TASK}: {here} counts, not {there}"]
    again = saved(mine, "b", [0.75, 0.75], folder="r2")
    said.clear()
    assert judged(mine, say=said.append).scores == {}
    assert said == [f"b on {TASK} is left out: {here} and {again} disagree"]


def test_what_was_drawn_is_not_drawn_again(tmp_path, monkeypatch):
    saved(tmp_path, "b", HALVES)
    before = judged(tmp_path).scores["b", TASK].resampled
    monkeypatch.setattr("jbench.train.claims.judge._drawn", pytest.fail)
    assert judged(tmp_path).scores["b", TASK].resampled.tolist() == before.tolist()


BASE = "jbench train bert --output base"
TRAINED = (
    Arm("x", "", (BASE, "jbench train x --set seed={seed} --output x-{seed}"), "./x-{seed}", (TASK,), (7, 8)),
    Arm("y", "", (BASE, "jbench mine d --output m.jsonl"), "rerank(ngram, 9, ./y-{seed})", (TASK, "q"), (9,), "--json"),
    B,
)
RUN = "jbench run {} --name {} --task mini-qa@v1 --results results"
PLAN = [
    ("x", 7, BASE),
    ("x", 7, "jbench train x --set seed=7 --output x-7"),
    ("x", 7, RUN.format("./x-7", "x-s7")),
    ("y", 9, "jbench mine d --output m.jsonl"),
    (
        "y", 9,
        "jbench run 'rerank(ngram, 9, ./y-9)' --name y-s9 --task mini-qa@v1 --task q --results results --json",
    ),
    ("b", None, RUN.format("b", "b")),
    ("x", 8, "jbench train x --set seed=8 --output x-8"),
    ("x", 8, RUN.format("./x-8", "x-s8")),
]  # fmt: skip


def test_the_first_seed_of_all_comes_first_and_what_is_shared_comes_once():
    assert [(step.model, step.seed, step.command) for step in plan(TRAINED)] == PLAN


# Notes what it was given, and makes its output; `x` stops when it is told to, and is gone on with.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
words = sys.argv[1:]
def note(line):
    with open("log", "a") as file:
        print(line, file=file, flush=True)
def stop(number, frame):
    note(f"saved after {signal.Signals(number).name}")
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop), signal.signal(signal.SIGINT, stop)
note(" ".join(words))
print("data")
if words[1] == os.environ.get("FAILS"):
    sys.exit(int(os.environ["CODE"])) if os.environ["CODE"] != "9" else os.kill(os.getpid(), 9)
if "--output" in words:
    output = Path(words[words.index("--output") + 1])
    if words[1] == os.environ.get("WAITS") and "--resume" not in words:
        output.with_name(f"{output.name}.training").mkdir()
        time.sleep(60)
    output.mkdir()
"""
FAKE = [sys.executable, "-c", PROGRAM]
DONE = [command.replace("jbench ", "").replace("'", "") for _, _, command in PLAN]


def log(work):
    return (work / "log").read_text().splitlines()


def test_commands_run_in_the_folder_and_what_is_there_is_left_out(tmp_path, capfd):
    work, said = tmp_path / "new" / "work", []
    run(plan(TRAINED), work, said.append, FAKE)
    assert said == [command for _, _, command in PLAN]
    assert log(work) == DONE
    assert capfd.readouterr() == ("", "data\n" * 8)
    (work / "log").unlink()
    run(plan(TRAINED), work, said.append, FAKE)
    assert log(work) == [command for command in DONE if command.startswith("run")]


def test_a_training_that_was_begun_goes_on(tmp_path):
    (tmp_path / "x-7.training").mkdir()
    run(plan(TRAINED)[:2], tmp_path, lambda line: None, FAKE)
    assert log(tmp_path) == [DONE[0], f"{DONE[1]} --resume"]


@pytest.mark.parametrize(("code", "exits"), [("5", 5), ("9", 137)])
def test_a_command_that_fails_ends_it_with_its_code(code, exits, tmp_path, monkeypatch):
    monkeypatch.setenv("FAILS", "x")
    monkeypatch.setenv("CODE", code)
    with pytest.raises(Ended) as ended:
        run(plan(TRAINED), tmp_path, lambda line: None, FAKE)
    assert ended.value.exit == exits
    assert str(ended.value) == f"exit code {exits} of: jbench train x --set seed=7 --output x-7"
    assert log(tmp_path) == DONE[:2]


ORDERS = f"""
from functools import partial
from jbench.cli import main
from jbench.train.claims import arms, commands
from jbench.train.claims.arms import Arm
arms.ARMS = {TRAINED}
commands.run = partial(commands.run, program={FAKE})
main()
"""


@pytest.mark.parametrize(("number", "exits"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_the_command_once_and_the_same_command_goes_on(number, exits, tmp_path):
    orders = [sys.executable, "-c", ORDERS, "reproduce", "claims", "--work", "."]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the children of a job in the background ignore it
    given = {"cwd": tmp_path, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen(orders, **given, env={**os.environ, "WAITS": "x"}, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "x-7.training").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, number)  # as a terminal does
    _, errors = running.communicate(timeout=60)
    assert running.returncode == exits
    assert log(tmp_path) == [*DONE[:2], f"saved after {number.name}"]
    assert errors.splitlines()[-1].startswith(
        "stopped; what was finished or stored stays, and the same command goes on"
    )
    subprocess.run(orders, **given, check=False)
    assert log(tmp_path)[3:] == [f"{DONE[1]} --resume", *DONE[2:]]


def test_two_never_run_in_one_folder(tmp_path):
    with FileLock(tmp_path / ".claims.lock"), pytest.raises(Unavailable, match="another process is running these"):
        run(plan(TRAINED), tmp_path, pytest.fail, FAKE)


def jbench(*words):
    return CliRunner().invoke(app, ["reproduce", "claims", *words])


@pytest.fixture
def lexical(monkeypatch):
    """Arms that need no training, on an embedded task."""
    arms = [Arm(name, f"{name}, no training", (), name, (TASK,), ()) for name in ("ngram", "bm25:mecab")]
    monkeypatch.setattr(small, "ARMS", (*arms, A))
    says = Claim("words beat n-grams", "nowhere *said*", "bm25:mecab", "ngram", (TASK,))
    monkeypatch.setattr(small, "CLAIMS", (says, Claim("training helps", "Table 2", "a", "ngram", (TASK,))))


TABLE = """\
# The reports' claims, on small models

| model | what it is      | seeds |                   mini-qa@v1 recall@1 |
| :---- | :-------------- | ----: | ------------------------------------: |
| a     | the first       |     2 | **62.50** (25.00 to 100.00), sd 35.36 |
| b     | the other       |       |                 12.50 (0.00 to 25.00) |
| c     | not made \\| yet |     0 |                                       |

- Figures are percentages: the mean over the seeds of the last training, in brackets its 95 % interval, and the \
standard deviation over seeds (n - 1); the best mean of a column bold; an empty cell was not measured.
- Intervals: 95 % percentile bootstrap over seeds, then over queries, the same draw of these for all models; \
9,999 resamples, seed 0.
- a lacks seed 2 on mini-qa@v1.
- c lacks seeds 1, 2 on mini-qa@v1.

## Claims

| no. | claim     | above | below | task       | mean above | mean below |   seeds | difference |    95 % interval |\
     verdict |
| :-- | :-------- | :---- | :---- | :--------- | ---------: | ---------: | ------: | ---------: | ---------------: |\
 ----------: |
| 1   | a beats b | a     | b     | mini-qa@v1 |      62.50 |      12.50 | 2 and 1 |     +50.00 | +25.00 to +75.00 |\
    **held** |
| 2   | c beats a | c     | a     | mini-qa@v1 |            |      62.50 | 0 and 2 |            |                  |\
 **not run** |

- held: the interval of the difference, above less below, lies above 0; reversed: below 0; undecided: 0 is in it.
- Three seeds are few, and an interval from them is too short; what a base or a mined file that all seeds share adds \
of its own is not in it.
- 1: Table 1
- 2: the \\*blog\\*

## Commands

`jbench reproduce claims --work DIR` runs them all, seed by seed, in a folder that holds the files they name; \
`{seed}` is each of a model's seeds.

```bash
# a: seeds 1, 2, 3
jbench run ./a-{seed} --name a-s{seed} --task mini-qa@v1 --results results
# b
jbench run b --name b --task mini-qa@v1 --results results
# c: seeds 1, 2
jbench train bert --output base
jbench run ./a-{seed} --name c-s{seed} --task mini-qa@v1 --results results
```
"""


def test_the_table_has_the_models_the_claims_and_the_commands(tmp_path):
    arms = [replace(A, seeds=(1, 2, 3)), B, replace(A, name="c", what="not made | yet", commands=(BASE,))]
    claims = [A_ABOVE_B, Claim("c beats\na", "the *blog*", "c", "a", (TASK,))]
    for model, values in (("a-s1", [0.75, 1.0]), ("a-s3", [0.25, 0.5]), ("b", [0.0, 0.25])):
        saved(tmp_path, model, values)
    assert markdown(judged(tmp_path, arms, claims)) == TABLE


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--work", ".", "--only", "ngrm"], 2, "unknown model 'ngrm'; did you mean ngram?"),
        (["--only", "ngram"], 2, "--only goes with --work DIR or --print"),
        (["--check"], 2, "--check compares the table with --output FILE"),
        (["--print", "--output", "x.md"], 2, "--print shows the commands alone; leave out --output"),
        (["--work", __file__], 2, "is a file; name a folder"),
        (["--work", ".", "--results", "a", "--results", "b"], 2, "give --results once"),
        (["--results", "nowhere"], 5, "results folder nowhere does not exist"),
        (["--models"], 2, "--models goes with published figures, not with claims"),
    ],
)
def test_bad_input_is_one_line(words, code, says, lexical, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = jbench(*words).exception
    assert (getattr(error, "exit", None), says in str(error)) == (code, True)


def test_options_of_claims_are_refused_elsewhere():
    error = CliRunner().invoke(app, ["reproduce", "simcse", "--work", "x"]).exception
    assert str(error) == "--work goes with jbench reproduce claims"


def test_print_shows_the_commands_and_runs_nothing(lexical, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_it = "jbench run ngram --name ngram --task mini-qa@v1 --results"
    assert jbench("--print", "--only", "ngram", "--work", "w").stdout == f"{run_it} results\n"
    assert json.loads(jbench("--print", "--only", "ngram", "--results", "r", "--json").stdout) == [
        {"model": "ngram", "seed": None, "command": f"{run_it} {shlex.quote(str(tmp_path / 'r'))}"}
    ]
    assert not [*tmp_path.iterdir()]


def test_one_command_runs_evaluates_and_judges(lexical, tmp_path):
    done = jbench("--work", str(tmp_path), "--only", "ngram", "--only", "bm25:mecab", "--json")
    found = json.loads(done.stdout)
    assert [path.name for path in sorted((tmp_path / "results").iterdir())] == ["bm25%3Amecab", "ngram"]
    assert [(model["model"], [*model["tasks"]]) for model in found["models"]] == [
        ("ngram", [TASK]), ("bm25:mecab", [TASK]), ("a", []),
    ]  # fmt: skip
    ngram = found["models"][0]["tasks"][TASK]
    assert (ngram["measure"], ngram["mean"], ngram["deviation"]) == ("recall@1", 0.4732142857142857, None)
    held, absent = found["claims"]
    assert (held["verdict"], held["difference"]) == (HELD, 0.071428571429)
    assert (absent["verdict"], absent["difference"], absent["interval"]) == (NOT_RUN, None, None)


def test_the_table_is_held_to_its_file(lexical, tmp_path):
    table = tmp_path / "claims.md"
    assert jbench("--output", str(table)).exit_code == 0
    assert jbench("--output", str(table), "--check").exit_code == 0
    assert table.read_text("utf-8") == jbench().stdout
    table.write_text(table.read_text("utf-8").replace("held", "held "), "utf-8")
    assert "differs from what the results give" in str(jbench("--output", str(table), "--check").exception)


def test_without_any_results_it_is_said_how_to_make_them(monkeypatch):
    monkeypatch.setattr(small, "ARMS", (A,))
    error = jbench().exception
    assert (error.exit, str(error)) == (
        5, "no results of any model: jbench reproduce claims --work DIR trains and evaluates them",
    )  # fmt: skip


def test_verdicts_open_no_socket(lexical, no_network):
    assert jbench().exit_code == 0


def test_verdicts_load_no_model_library():
    arms = (Arm("ngram", "", (), "ngram", (TASK,), ()),)
    program = (
        "from jbench.cli import main; from jbench.train.claims.arms import Arm; from jbench.train.claims import arms; "
    )
    program += f"arms.ARMS = {arms}; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, "reproduce", "claims"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "47.32 (38.39 to 57.14)" in done.stdout
    loaded = {row.rsplit("|", 1)[-1].strip().split(".")[0] for row in done.stderr.splitlines()}
    assert "numpy" in loaded
    assert not loaded & HEAVY


def test_arms_and_claims_fit_together():
    by_name = {arm.name: arm for arm in ARMS}
    assert len({name for arm in ARMS for name in names(arm).values()}) == sum(len(names(arm)) for arm in ARMS)
    outputs = [shlex.split(step.command) for step in plan(ARMS)]
    made = [words[words.index("--output") + 1] for words in outputs if words[1] != "run"]
    assert len(made) == len({*made})
    assert {words[0] for words in outputs} <= {"jbench"}
    for claim in CLAIMS:
        assert {*claim.tasks} <= {*by_name[claim.better].tasks} & {*by_name[claim.worse].tasks}
    find_tasks([task for arm in ARMS for task in arm.tasks])
