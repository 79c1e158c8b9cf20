"""What is typed and what comes back: data on stdout, one line for each thing wrong, exit codes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

from jbench.registry import Board, find_board, own_boards
from tests.conftest import ROOT

HEAVY = ("torch", "transformers", "sentence_transformers", "mteb", "ranx", "datasets", "numba", "scipy", "pandas")


def jbench(*arguments, cwd, code=0, env=()):
    done = subprocess.run(
        [sys.executable, "-m", "jbench", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "JBENCH_OFFLINE": "1", "NO_COLOR": "1", **dict(env)},
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def line(done):
    """The one line of an error."""
    lines = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_a_board_shows_published_columns_and_runs_the_others(tmp_path):
    columns = "".join(
        f"[[columns]]\ntask = '{task}'\nversion = 1\nmeasure = '{measure}'\n"
        for task, measure in (("mini-sts@v1", "spearman"), ("jsick@jmteb-v1", "spearman"))
    )
    (tmp_path / "x.toml").write_text(f"name = 'x'\nversion = 1\ntitle = 'X'\nstatus = 'draft'\n{columns}")
    done = jbench("run", "ngram", "--board", "x.toml", cwd=tmp_path)
    assert next(row.split("|")[1:-1] for row in done.stdout.splitlines() if row.startswith("| ngram"))[2].strip() == ""
    assert "jsick@jmteb-v1" in done.stdout
    fetched = json.loads(jbench("fetch", "--board", "x.toml", "ngram", "--json", cwd=tmp_path).stdout)
    assert {row["what"] for row in fetched} == {"mini-sts@v1", "ngram"}


def models_of(board):
    """The models of a board's figures, as Markdown."""
    figures = board.partition("\n## ")[0]
    return [row.split("|")[1].strip() for row in figures.splitlines() if row.startswith("|")][2:]


BASELINES = {"bm25:char-bigram", "bm25:mecab", "ngram", "dense-mini ‡", "colbert-mini ‡"}


def test_run_without_arguments_draws_the_embedded_board(tmp_path):
    done = jbench("run", cwd=tmp_path)
    assert set(models_of(done.stdout)) == BASELINES
    assert (tmp_path / "jbench-results" / "mini.v1.md").read_text() == done.stdout
    assert len(list((tmp_path / "jbench-results").glob("*/*/*.json"))) == 12
    assert "\x1b" not in done.stdout + done.stderr
    again = jbench("run", cwd=tmp_path)
    assert again.stdout == done.stdout
    assert again.stderr.count("(stored)") == 12


def test_json_is_an_array_of_results_and_failures(tmp_path):
    done = jbench("run", "ngram", "--task", "mini-sts@v1", "--task", "jsts@valid1457", "--json", cwd=tmp_path, code=5)
    fine, failed = json.loads(done.stdout)
    assert (fine["task"], fine["main"], fine["key"].isalnum()) == ("mini-sts@v1", "spearman", True)
    assert failed.keys() == {"task", "model", "error", "exit"}
    assert (failed["task"], failed["model"], failed["exit"]) == ("jsts@valid1457", "ngram", 5)


def test_a_folder_of_results_that_is_only_read_gives_its_board(tmp_path):
    made = jbench("run", "random", cwd=tmp_path)
    board = tmp_path / "jbench-results" / "mini.v1.md"
    board.unlink()
    board.mkdir()  # so that nobody, root neither, can write the file
    again = jbench("run", "random", cwd=tmp_path)
    assert again.stdout == made.stdout
    assert again.stderr.splitlines()[-1] == f"cannot write {board}: it is a folder; the board is printed alone"
    assert "it is a folder" in line(jbench("run", "random", "--overwrite", cwd=tmp_path, code=5))


def test_a_checkpoint_meets_the_baselines_on_a_board(tmp_path, dense_bert):
    done = jbench("run", dense_bert, "--name", "mine", "--board", "mini", cwd=tmp_path)
    assert set(models_of(done.stdout)) == {*BASELINES, "mine"}
    assert str(dense_bert) not in done.stdout
    assert not [p for p in tmp_path.rglob("*.json") if str(dense_bert) in p.read_text()]
    assert "%|" not in done.stderr  # no bars off a terminal


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["run", "ngram", "--task", "jsqad@valid1145"],
            2,
            "unknown task 'jsqad@valid1145'; did you mean jsquad@valid1145",
        ),
        (["run", "ngram", "--task", "jsts"], 2, "task 'jsts' has several protocols: jsts@valid1457, jsts@train12451"),
        (["run", "ngrm", "--task", "mini-sts"], 2, "unknown model 'ngrm'; did you mean ngram, random?"),
        (["run", "--board", "minni"], 2, "unknown board 'minni'; did you mean mini"),
        (["run", "--board", "mini", "--task", "mini-sts"], 2, "give --board or --task, not both"),
        (["run", "--task", "mini-sts"], 2, "name a model"),
        (["run", "ngram", "bm25:mecab", "--name", "x"], 2, "--name goes with one model"),
        (["run", "ngram", "--model-set", "pooling"], 2, "--model-set 'pooling': expected KEY=VALUE"),
        (["run", "x", "--prompt", "query"], 2, "--prompt 'query': expected ROLE=TEXT"),
        (
            ["run", "x", "--prompt", "query=a", "--prompt", "query=b"],
            2,
            "--prompt gives query twice: a and b",
        ),
        (["run", "ngram", "--prompt", ""], 2, "--prompt '': expected ROLE=TEXT"),
        (["run", "ngram", "--task-dir", "."], 2, "name those to evaluate with --task"),
        (["board", "mini", "--results", "nowhere"], 5, "results folder nowhere does not exist"),
        (["board", "mini", "--output", "."], 5, "it is a folder"),
        (["board", "mini", "--output", "/dev/full"], 5, "cannot write /dev/full: No space left on device"),
        (["run", "./nowhere", "--task", "mini-sts"], 5, "./nowhere: checkpoint folder ./nowhere does not exist"),
        (["run", "cl-nagoya/ruri-small"], 5, "is not in the hub cache and the network is off"),
        (["run", "run:nowhere", "--task", "mini-qa"], 5, "run file nowhere does not exist"),
        (["run", "ngram", "--task", "jsts@valid1457"], 5, "put it at $JBENCH_MIRROR/github/yahoojapan/JGLUE"),
        (["run", "ngram", "--task", "x", "--task-dir", "nowhere"], 5, "task folder nowhere does not exist"),
        (["compare", "ngram", "ngrm"], 2, "unknown result 'ngrm'; did you mean ngram?"),
        (
            ["compare", "ngram", "ngrm", "--task", "mini-sts", "--task", "mini-qa"],
            2,
            "unknown model 'ngrm'; did you mean ngram, random?",
        ),
        (["compare", "ngram", "run:nowhere", "--task", "mini-qa"], 5, "run file nowhere does not exist"),
        (["compare", "ngram", "ngram", "--task", "x", "--board", "mini"], 2, "give --board or --task, not both"),
        (["compare", "ngram", "ngram", "--task-dir", "."], 2, "name those to compare on with --task"),
        (["compare", "ngram", "ngram", "--fail-below", "1.5"], 2, "--fail-below 1.5: expected a fraction"),
        (["compare", "ngram", "ngram", "--resamples", "9"], 2, "9 resamples are too few: 99 or more"),
        (["compare", "ngram", "ngram", "--results", "new", "--results", "nowhere"], 5, "folder nowhere does not exist"),
        (["board", "mini", "--format", "htm"], 2, "unknown format 'htm'"),
        (["board", "--results", "nowhere"], 2, "--results goes with a board NAME; all of them together are pages"),
        (["board", "--task-dir", "."], 2, "--task-dir goes with a board NAME"),
        (["board", "--cost"], 2, "--cost goes with a board NAME"),
        (["board", "--format", "csv"], 2, "--format csv goes with a board NAME"),
        (["board", "--format", "html"], 2, "--format html goes with a board NAME; all of them"),
        (["board", "--output", "x.csv"], 2, "name a board; all of them together are pages: --format html --output"),
        (["board", "mini", "--check"], 2, "--check compares the board NAME with --output FILE"),
        (["board", "mini", "--check", "--output", "nowhere.md"], 1, "nowhere.md does not exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(arguments, code, says, tmp_path):
    done = jbench(*arguments, cwd=tmp_path, code=code)
    assert says in line(done)
    assert done.stdout == ""
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        ("aq01 Q0 a01 1 0.5 t\naq01 Q0 a01 2 0.4 t\n", 3, "document 'a01' is ranked twice for query 'aq01'"),
        ("aq01 Q0 a01 1 nan t\n", 3, "1 of 1 scores are not finite"),
        ("aq01 Q0 zz 1 0.5 t\n", 3, "ranks document 'zz' for query 'aq01', which the task lacks"),
        ("other Q0 a01 1 0.5 t\n", 3, "answers none of the 112 queries"),
        ("aq01 a01 0.5\n", 2, "line 1 has 3 fields"),
    ],
)
def test_a_bad_run_file_is_one_line_and_leaves_nothing(rows, code, says, tmp_path):
    (tmp_path / "r.trec").write_text(rows)
    done = jbench("run", "run:r.trec", "--task", "mini-qa@v1", cwd=tmp_path, code=code)
    assert says in line(done)
    assert not (tmp_path / "jbench-results").exists()


def test_two_models_are_compared_for_people_and_programs(tmp_path):
    (tmp_path / "r.trec").write_text("aq01 Q0 a01 1 0.9 t\n")
    command = ["compare", "ngram", "run:r.trec", "--task", "mini-qa"]
    done = jbench(*command, cwd=tmp_path)
    head, row, method = done.stdout.splitlines()
    assert head.split() == ["task", "measure", "A", "B", "difference", "95", "%", "interval", "p", "Holm", "p", "n"]
    assert row.split()[:5] == ["mini-qa@v1", "recall@1", "47.32", "0.00", "-47.32"]
    assert method.startswith("A is ngram, B is r; ")
    assert "r on mini-qa@v1: recall@1 0.0000" in done.stderr
    done = jbench(*command, "--json", "--fail-below", "0.001", "--seed", "3", "--resamples", "99", cwd=tmp_path, code=4)
    report = json.loads(done.stdout)
    (one,) = report["comparisons"]
    assert (report["a"]["label"], report["b"]["label"], report["b"]["adapter"]) == ("ngram", "r", "run")
    assert (one["seed"], one["resamples"], one["items"], one["clusters"], one["p"]) == (3, 99, 112, None, 0.02)
    assert "regression: mini-qa@v1 recall@1: -47.32" in done.stderr
    assert (tmp_path / "jbench-results" / "r").is_dir()


def test_a_models_name_gives_a_terminal_no_orders(tmp_path):
    name = "a\x1b[31m"
    jbench("run", "ngram", "--name", name, "--task", "mini-qa", cwd=tmp_path)
    done = jbench("compare", "ngram", name, "--resamples", "99", cwd=tmp_path)
    assert "B is a[31m;" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr + jbench("models", cwd=tmp_path).stdout


def test_a_gate_that_cannot_be_judged_is_an_error(tmp_path):
    (tmp_path / "r.trec").write_text("aq01 Q0 a01 1 0.9 t\n")
    jbench("run", "run:r.trec", "--task", "mini-qa", cwd=tmp_path)
    next(tmp_path.rglob("*.values.parquet")).unlink()
    done = jbench("compare", "ngram", "r", cwd=tmp_path)
    assert "none: no per-query values lie beside the result" in done.stdout
    done = jbench("compare", "ngram", "r", "--fail-below", "0.001", cwd=tmp_path, code=5)
    assert "on mini-qa@v1 recall@1 cannot be told: no per-query values lie beside the result" in line(done)


def test_a_query_that_a_run_misses_is_said_and_counts_zero(tmp_path):
    (tmp_path / "r.trec").write_text("aq01 Q0 a01 1 0.9 t\naq01 Q0 a02 2 0.5 t\n")
    done = jbench("run", "run:r.trec", "--task", "mini-qa@v1", "--json", cwd=tmp_path)
    assert "r: 111 of 112 queries have no ranking, counted as 0 (first: aq02)" in done.stderr
    assert json.loads(done.stdout)[0]["counts"]["unanswered"] == 111


def test_of_several_failures_the_gravest_gives_the_exit_code(tmp_path):
    (tmp_path / "r.trec").write_text("aq01 Q0 a01 1 nan t\n")
    jbench("run", "./nowhere", "run:r.trec", "ngram", "--task", "mini-qa@v1", cwd=tmp_path, code=3)


TASK = '''
"""Two questions about rice."""

from jbench import QA, Collection

def load():
    documents = {"d1": "米は洗ってから三十分ほど水に浸す。", "d2": "炊けたら十分ほど蒸らしてほぐす。"}
    queries = {"q1": "米を水に浸す時間", "q2": "炊けた米をほぐす前に"}
    return Collection.of(queries, documents, {"q1": {"d1": 1}, "q2": {"d2": 1}})

TASKS = [QA(name="rice", protocol="v1", version=1, load=load, license="CC0-1.0", expects={"queries": 2})]
'''


def test_a_task_is_added_as_one_file(tmp_path):
    assert TASK.count("\n") <= 25
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rice.py").write_text(TASK)
    done = jbench("run", "bm25:mecab", "--task", "rice@v1", "--task-dir", "mine", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)[0]["scores"]["recall@1"] == 1.0
    assert "rice@v1" in jbench("tasks", "--task-dir", "mine", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 / 0", "task file mine/x.py: ZeroDivisionError: division by zero"),
        ("x = 1", "mine/x.py has no list TASKS of jbench tasks"),
        (TASK.replace('"rice"', '"mini-qa"'), "task mini-qa@v1 exists already"),
    ],
)
def test_a_broken_task_file_is_named(text, says, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.py").write_text(text)
    assert says in line(jbench("tasks", "--task-dir", "mine", cwd=tmp_path, code=2))


def plug_in(folder, module):
    """An installed package that offers tasks, as its files lie on the path."""
    info = folder / "rice-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rice\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jbench.tasks]\nrice = rice_tasks\n")
    (folder / "rice_tasks.py").write_text(module)
    return {"PYTHONPATH": str(folder)}


def test_an_installed_package_offers_tasks(tmp_path):
    env = plug_in(tmp_path / "site", TASK)
    done = jbench("run", "ngram", "--task", "rice", "--json", cwd=tmp_path, env=env)
    assert json.loads(done.stdout)[0]["task"] == "rice@v1"


def test_a_broken_package_is_named(tmp_path):
    done = jbench("tasks", cwd=tmp_path, env=plug_in(tmp_path / "site", "1 / 0"), code=2)
    assert "plug-in rice (rice_tasks): ZeroDivisionError" in line(done)


@pytest.mark.long
def test_a_hub_checkpoint_is_known_by_its_commit_and_gets_its_familys_prompts(tmp_path, dense_bert):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--intfloat--multilingual-e5-small"
    shutil.copytree(dense_bert, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    env = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    command = ["run", "intfloat/multilingual-e5-small", "--task", "mini-qa@v1", "--offline", "--json"]
    (result,) = json.loads(jbench(*command, cwd=tmp_path, env=env).stdout)
    assert (result["model"], result["revision"]) == ("intfloat/multilingual-e5-small", commit)
    assert result["prompts"] == {"query": "query: ", "document": "passage: "}
    plain = jbench(*command, "--prompt", "query=", "--prompt", "document=", cwd=tmp_path, env=env)
    (other,) = json.loads(plain.stdout)
    assert other["unprompted"] == ["query", "document"]
    assert other["scores"] != result["scores"]
    assert len(list((tmp_path / "jbench-results").rglob("*.json"))) == 2


def test_the_wheel_carries_everything_and_works_outside_the_checkout(tmp_path):
    project = Path(__file__).parent.parent
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} <= {
            "jbench",
            wheel.name.split("-py3")[0] + ".dist-info",
        }
        archive.extractall(tmp_path / "site")
    env = {"PYTHONPATH": str(tmp_path / "site")}
    where = subprocess.run(
        [sys.executable, "-c", "import jbench; print(jbench.__file__)"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, **env},
    )  # fmt: skip
    assert where.stdout.startswith(str(tmp_path / "site"))
    done = jbench("run", cwd=tmp_path, env=env)
    assert (project / "leaderboards" / "mini.v1.md").read_text("utf-8") == done.stdout
    assert "jsquad@valid1145" in jbench("tasks", cwd=tmp_path, env=env).stdout


def test_tasks_and_models_are_listed_for_people_and_programs(tmp_path):
    listed = json.loads(jbench("tasks", "--json", cwd=tmp_path).stdout)
    assert {"jsts@valid1457", "jsick@simcse-dev4500", "jsquad@valid1145-nohead", "jqara@test", "jaquad@train"} <= {
        row["task"] for row in listed
    }
    assert "jsquad@valid1145" in jbench("tasks", cwd=tmp_path).stdout
    models = json.loads(jbench("models", "--json", cwd=tmp_path).stdout)
    assert (
        next(row for row in models if row["model"] == "cl-nagoya/ruri-(small|base|large)")["prompts"]["query"]
        == "クエリ: "
    )
    assert next(row for row in models if row["model"] == "BAAI/bge-reranker-v2-gemma") == {
        "model": "BAAI/bge-reranker-v2-gemma",
        "what": "reranker, template bge-reranker-v2-gemma",
        "prompts": {},
    }
    shown = jbench("models", cwd=tmp_path).stdout
    assert "bm25:char-bigram" in shown
    assert "bert-mini" in shown


def test_a_board_is_written_checked_and_found_stale(tmp_path):
    jbench("board", "mini", "--output", "b.md", cwd=tmp_path)
    jbench("board", "mini", "--output", "b.md", "--check", cwd=tmp_path)
    (tmp_path / "b.md").write_text("stale")
    jbench("board", "mini", "--output", "b.md", "--check", cwd=tmp_path, code=1)
    assert json.loads(jbench("board", "mini", "--format", "json", cwd=tmp_path).stdout)["board"]["name"] == "mini"


SPY = """
import socket
def refuse(*args, **kwargs):
    open("socket-opened", "w").close()
    raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


def test_offline_opens_no_socket(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SPY)
    command = ["run", "org/name", "ngram", "--task", "jsts@valid1457", "--task", "mini-sts@v1"]
    env = {"PYTHONPATH": str(tmp_path / "site"), "HF_HUB_OFFLINE": "0", "JBENCH_OFFLINE": "0"}
    done = jbench(*command, "--offline", "--json", cwd=tmp_path, code=5, env=env)
    assert [row.get("exit") for row in json.loads(done.stdout)] == [5, 5, 5, None]
    assert not (tmp_path / "socket-opened").exists()
    jbench("run", "org/name", "--task", "mini-sts@v1", cwd=tmp_path, code=5, env=env)
    assert (tmp_path / "socket-opened").exists()


def test_the_ending_of_the_output_chooses_the_format(tmp_path):
    jbench("board", "mini", "--output", "b.csv", cwd=tmp_path)
    assert (tmp_path / "b.csv").read_text().startswith("label,model,revision,")


def test_a_full_standard_output_is_one_line(tmp_path):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "jbench", "board", "mini"], stdout=full, stderr=subprocess.PIPE, text=True,
            cwd=tmp_path, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (5, "error: No space left on device: standard output\n")


def test_names_are_whole_on_a_narrow_terminal(tmp_path):
    env = {"COLUMNS": "80"}
    for command in (["tasks"], ["models"]):
        listed = json.loads(jbench(*command, "--json", cwd=tmp_path).stdout)
        text = jbench(*command, cwd=tmp_path, env=env).stdout
        assert [row for row in listed if next(iter(row.values())) not in text] == []


def test_what_a_task_file_prints_does_not_spoil_the_data(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rice.py").write_text(
        "print('hello')\n" + TASK.replace("def load():", "def load():\n    print(1)")
    )
    done = jbench("run", "ngram", "--task", "rice", "--task-dir", "mine", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)[0]["task"] == "rice@v1"


def test_ctrl_c_ends_with_130_keeps_what_is_finished_and_goes_on(tmp_path):
    (tmp_path / "mine").mkdir()
    slow = TASK.replace("def load():", "def load():\n    import time, os\n    time.sleep(float(os.environ['SLOW']))")
    (tmp_path / "mine" / "rice.py").write_text(slow)
    command = ["run", "ngram", "--task", "mini-sts@v1", "--task", "rice@v1", "--task-dir", "mine"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the children of a job in the background ignore it
    running = subprocess.Popen(
        [sys.executable, "-m", "jbench", *command],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SLOW": "60"},
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert (
        errors.splitlines()[-1]
        == "stopped; what was finished or stored stays, and the same command goes on (train: with --resume)"
    )
    assert "Traceback" not in errors
    done = jbench(*command, cwd=tmp_path, env={"SLOW": "0"})
    assert done.stderr.count("(stored)") == 1


WORK = """
import time
from jbench.progress import display
with display() as shown:
    shown.say("begun")
    advance = shown.track("encode", 100)
    for _ in range(10):
        time.sleep(0.1)
        advance(10)
"""


def test_a_terminal_sees_a_bar_with_rate_and_time_left(tmp_path):
    program = f"import pty, sys; pty.spawn([sys.executable, '-c', {WORK!r}])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"},
    )  # fmt: skip
    assert "begun" in done.stdout
    assert re.search(r"encode .*━.* \d+/100 [\d,]+/s \d:\d\d:\d\d", done.stdout)


def test_elsewhere_long_work_gives_plain_lines_now_and_then():
    program = WORK.replace("with display", "import jbench.progress as p; p._SECONDS_BETWEEN_LINES = 0.45\nwith display")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    begun, *lines = done.stderr.splitlines()
    assert begun == "begun"
    assert 1 <= len(lines) <= 2
    assert all(re.fullmatch(r"encode: \d+ of 100, \d+/s, \d+ s left", text) for text in lines)


def test_help_loads_nothing_heavy(tmp_path):
    for command in (["--help"], ["run", "--help"], ["compare", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "jbench", *command],
            capture_output=True, text=True, cwd=tmp_path, check=True,
        )  # fmt: skip
        loaded = {row.rsplit("|", 1)[-1].strip().split(".")[0] for row in done.stderr.splitlines()}
        assert not loaded & {*HEAVY, "numpy", "orjson"}


@pytest.mark.parametrize("command", [["tasks"], ["models"], ["board", "mini"]])
def test_listing_loads_no_model_library(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "jbench", *command],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    loaded = {row.rsplit("|", 1)[-1].strip().split(".")[0] for row in done.stderr.splitlines()}
    assert not loaded & ({*HEAVY} - {"scipy"})  # which draws the resamples of a board


def test_one_digit_of_a_result_makes_its_generated_board_stale(tmp_path):
    own = ROOT / "leaderboards" / "results"
    (path,) = own.glob("ngram/*/jsquad*.json")
    text = path.read_text("utf-8")
    (changed := tmp_path / "r" / path.relative_to(own)).parent.mkdir(parents=True)
    changed.write_text(text.replace('"recall@10": 0.9', '"recall@10": 0.8', 1))
    assert changed.read_text() != text
    for form in ("md", "csv"):
        generated = str(ROOT / "leaderboards" / f"retrieval-ja.v1.{form}")
        (tmp_path / "none").mkdir(exist_ok=True)
        jbench("board", "retrieval-ja", "--results", "none", "--output", generated, "--check", cwd=tmp_path)
        done = jbench("board", "retrieval-ja", "--results", "r", "--output", generated, "--check", cwd=tmp_path, code=1)
        assert "differs from what the results give" in done.stderr


def test_without_a_name_the_boards_are_listed(tmp_path):
    listed = json.loads(jbench("board", "--format", "json", cwd=tmp_path).stdout)
    assert {row["board"]: row["status"] for row in listed}["retrieval-ja.v1"] == "published"
    assert "retrieval-ja.v1" in jbench("board", cwd=tmp_path).stdout


@pytest.mark.long
def test_without_a_name_all_boards_become_pages_with_an_index(tmp_path):
    (path,) = (ROOT / "leaderboards" / "results").glob("ngram/*/mini-sts*.json")
    (folder := tmp_path / "r" / "m" / "1").mkdir(parents=True)
    host = {"cost": {"parameters": 12345678}}
    (folder / "x.json").write_text(json.dumps({**json.loads(path.read_text()), "model": "mine", "host": host}))
    jbench("board", "--format", "html", "--output", "site", "--results", "r", "--cost", cwd=tmp_path)
    pages = {path.name for path in (tmp_path / "site").iterdir()}
    assert pages == {"index.html", *(f"{board.id}.html" for board in own_boards())}
    assert 'href="retrieval-ja.v1.html"' in (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "12345678" in (tmp_path / "site" / "mini.v1.html").read_text("utf-8")


def test_a_copy_of_a_published_board_is_that_board_wherever_it_lies(tmp_path):
    copy, text = tmp_path / "rerank-ja.v1.toml", (ROOT / "leaderboards" / "rerank-ja.v1.toml").read_text("utf-8")
    copy.write_text(text)
    assert find_board(str(copy)) == find_board("rerank-ja.v1")
    changed = text.replace("mean of 3", "mean of three")
    copy.write_text(changed)
    sealed = Board.model_validate(tomllib.loads(changed)).sealed
    for lock in ("", f"rerank-ja.v1 = {sealed}\n"):
        (tmp_path / "versions.lock").write_text(lock)
        done = jbench("board", "rerank-ja.v1.toml", cwd=tmp_path, code=2)
        assert "board rerank-ja.v1 differs from what was published (versions.lock)" in line(done)
    copy.write_text(changed.replace('"published"', '"draft"'))
    assert "cannot be a draft again" in line(jbench("board", "rerank-ja.v1.toml", cwd=tmp_path, code=2))
    copy.write_text(changed.replace('"rerank-ja"', '"mine"'))
    (tmp_path / "versions.lock").write_bytes(b"\xff\n")
    assert "versions.lock, line 1: expected a board" in line(jbench("board", "rerank-ja.v1.toml", cwd=tmp_path, code=2))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("x.toml", ["board", "x.toml"]),
        ("x.toml", ["run", "ngram", "--board", "x.toml"]),
        ("x.toml", ["run", "ngram", "--task", "mini-sts", "--trained-on", "x.toml"]),
        ("published.toml", ["tasks", "--task-dir", "."]),
        ("published.toml", ["board", "mini", "--task-dir", "."]),
    ],
)
def test_a_file_that_is_nested_too_deep_is_one_line(name, arguments, tmp_path):
    (tmp_path / name).write_text("a = " + "[" * 100_000)
    assert name in line(jbench(*arguments, cwd=tmp_path, code=2))


def test_a_generated_board_that_is_no_text_is_stale(tmp_path):
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe")
    done = jbench("board", "mini", "--output", "bad.md", "--check", cwd=tmp_path, code=1)
    assert "bad.md differs from what the results give" in line(done)


def test_a_task_file_that_would_end_the_program_is_named(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "end.py").write_text("raise SystemExit(3)")
    done = jbench("tasks", "--task-dir", "mine", cwd=tmp_path, code=2)
    assert line(done) == "error: task file mine/end.py: SystemExit: 3"
    (tmp_path / "mine" / "end.py").unlink()
    os.mkfifo(tmp_path / "mine" / "end.py")
    done = jbench("tasks", "--task-dir", "mine", cwd=tmp_path, code=5)
    assert line(done) == "error: cannot read mine/end.py: it is no regular file"


def test_a_board_with_a_task_that_nobody_knows_is_drawn_and_says_so(tmp_path):
    (tmp_path / "x.toml").write_text(
        "name = 'x'\nversion = 1\ntitle = 'X'\nstatus = 'draft'\n"
        "[[columns]]\ntask = 'jstss@valid1457'\nversion = 1\nmeasure = 'spearman'\n"
    )
    done = jbench("board", "x.toml", cwd=tmp_path)
    assert "No results yet." in done.stdout
    assert "board x.v1: unknown task 'jstss@valid1457'; did you mean jsts@valid1457" in done.stderr


def test_what_is_no_result_of_a_board_is_named_and_never_a_crash(tmp_path):
    (path,) = (ROOT / "leaderboards" / "results").glob("ngram/*/mini-sts*.json")
    good = json.loads(path.read_text("utf-8"))
    folder = tmp_path / "r" / "m" / "1"
    folder.mkdir(parents=True)
    files = {
        "torn.json": path.read_bytes()[:100],
        "deep.json": b"[" * 100_000,
        "bytes.json": b"\xff\xfe\x00",
        "foreign.json": b'{"schema": 1}',
        "junk-prompts.json": json.dumps({**good, "variant": {"prompts": None}}).encode(),
        "junk-training.json": json.dumps({**good, "training": {"datasets": "junk"}}).encode(),
        "other-data.json": json.dumps({**good, "model": "other", "data": {"sha256": "f" * 64}}).encode(),
        "markup.json": json.dumps({**good, "model": "<script>alert(1)</script>|\u202e\x1b[31m"}).encode(),
        "revision-a.json": json.dumps({**good, "model": "two", "revision": "a" * 40}).encode(),
        "revision-b.json": json.dumps({**good, "model": "two", "revision": "b" * 40}).encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    (folder / "loop.json").symlink_to("loop.json")
    done = jbench("board", "mini", "--results", "r", cwd=tmp_path)
    named = sorted(line.partition(" is not a ")[0] for line in done.stderr.splitlines() if " is not a result" in line)
    left_out = ("bytes", "deep", "foreign", "junk-prompts", "junk-training", "torn")
    assert named == [f"r/m/1/{name}.json" for name in left_out]
    for name, why in (("folder", "it is no regular file"), ("loop", "Too many levels of symbolic links"),
                      ("pipe", "it is no regular file")):  # fmt: skip
        assert f"cannot read r/m/1/{name}.json: {why}; left out" in done.stderr
    assert "other on mini-sts@v1: measured on other data (sha256 ffffffffffff" in done.stderr
    assert {"two @ aaaaaaaaaaaaaa", "two @ bbbbbbbbbbbbbb", "other"} <= set(models_of(done.stdout))
    for form in ("html", "csv", "json"):
        text = jbench("board", "mini", "--results", "r", "--format", form, cwd=tmp_path).stdout
        assert form != "html" or not ({"\x1b", "\u202e"} & set(text) or "<script>alert" in text)


@pytest.mark.parametrize("encoding", ["cp932", "cp1252", "ascii"])
def test_a_console_that_lacks_a_letter_gets_its_escape(encoding, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "JBENCH_HOME": str(tmp_path / "home")}
    run = [sys.executable, "-m", "jbench", "run", "random", "--name", "モデル≈é", "--task", "mini-sts@v1"]
    plain, as_json = (
        subprocess.run([*run, *more], capture_output=True, cwd=tmp_path, env=environment, check=False)
        for more in ([], ["--json"])
    )
    assert (plain.returncode, as_json.returncode) == (0, 0), plain.stderr + as_json.stderr
    assert b"\\u2248" in plain.stderr or "≈".encode(encoding, "replace") in plain.stderr
    assert json.loads(as_json.stdout.decode(encoding))[0]["model"] == "モデル≈é"
