"""Speed as ratios: jbench and a peer in turn, in one run, whole processes where start-up counts.

``nox -s bench`` prints each median ratio with its spread, in one table. No time is asserted: machines are noisy.
"""

from tests.benchmarks.rows import Command, ratio

VERBS = ("run", "tasks", "models", "fetch", "board", "compare", "overlap")
EMPTY_APP = (
    "import typer\napp = typer.Typer()\n" + "".join(f"@app.command()\ndef {v}(): pass\n" for v in VERBS) + "app()\n"
)


def test_help_against_an_empty_typer_app(benchmark, tmp_path):
    (tmp_path / "empty.py").write_text(EMPTY_APP)
    ratio(benchmark, Command("-m", "jbench", "--help"), Command(str(tmp_path / "empty.py"), "--help"), rounds=15)


def test_a_finished_run_against_its_first(benchmark, mirror, tmp_path):
    again = ["-m", "jbench", "run", "bm25:mecab", "--task", "jsquad@valid1145", "--results"]
    first = Command(*again, str(tmp_path / "new"), "--overwrite")
    ratio(benchmark, Command(*again, str(tmp_path / "kept")), first, rounds=5)


def test_help_against_mteb(benchmark):
    ratio(benchmark, Command("-m", "jbench", "--help"), Command("-m", "mteb", "--help"), rounds=7)
