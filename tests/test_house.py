"""The shape of the house: imports point one way, one score is a short way, code from data never runs."""

import ast
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

import jbench
from jbench import open_model
from jbench.evaluate import evaluate, evaluate_one
from jbench.models.options import Options
from jbench.registry import own_tasks
from jbench.task import load

PACKAGE = Path(jbench.__file__).parent
ROOT = PACKAGE.parent
LINE = [
    {"types"},
    {"cpu", "files", "formats", "memory"},
    {"answers", "cache", "lock"},
    {"canary", "metrics", "source", "manifest", "fingerprint"},
    {"arrow", "deferred"},
    {"store", "search", "similarity", "residual"},
    {"nearest", "quantised"},
    {"encode"},
    {"models"},
    {"task"},
    {"registry"},
    {"results", "published"},
    {"evaluate", "fetch"},
    {"resample"},
    {"exposure", "overlap", "statistics"},
    {"board"},
    {"render", "compare"},
    {"reproduce", "exchange"},
]
BESIDE = {"progress", "cli", "train", "__init__", "__main__"}
FLOOR = {room: i for i, rooms in enumerate(LINE) for room in rooms}
HEAVY = {
    "torch",
    "transformers",
    "sentence_transformers",
    "mteb",
    "ranx",
    "datasets",
    "scipy",
    "pandas",
    "bm25s",
    "sklearn",
    "altair",
    "vl_convert",
}
MODULES = sorted(PACKAGE.rglob("*.py"))
INSTALLED = [m for m in MODULES if m.relative_to(PACKAGE).parts[0] not in ("tasks", "leaderboards")]


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(tree, top=False):
    """The modules that are imported: all, or at the top of the file only."""
    nodes = tree.body if top else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module == "jbench":
                yield from (f"jbench.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", INSTALLED, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    here = room(path)
    assert here in FLOOR or here in BESIDE, f"{here} has no place on the line"
    for name in imports(ast.parse(path.read_text("utf-8"))):
        parts = name.split(".")
        if parts[0] == "jbench" and len(parts) > 1 and here in FLOOR and parts[1] != "__version__":
            assert parts[1] == here or FLOOR[parts[1]] < FLOOR[here], f"{here} imports {name}"


def test_no_module_of_a_room_imports_in_a_circle():
    graph = {}
    for path in INSTALLED:
        name = ".".join(("jbench", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        graph[name] = set(imports(ast.parse(path.read_text("utf-8")))) - {name}
    names = set(graph)

    def reach(name, seen):
        for other in graph[name] & names - {"jbench"}:
            if other not in seen:
                seen.add(other)
                reach(other, seen)
        return seen

    assert [name for name in names if name in reach(name, set())] == []


@pytest.mark.parametrize("path", INSTALLED, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_when_used(path):
    assert not {name.split(".")[0] for name in imports(ast.parse(path.read_text("utf-8")), top=True)} & HEAVY


@pytest.mark.parametrize("path", INSTALLED, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_reads_pickles_or_decides_ties_by_an_unstable_sort(path):
    text = path.read_text("utf-8")
    if path == PACKAGE / "models" / "reader.py":  # in a process of its own, and as weights alone
        text, loads = re.subn(r"torch\.load\([^()\n]*\bweights_only=True\)", "", text)
        assert loads == 1
    assert not re.search(r"\bpickle\b|torch\.load\b|allow_pickle|joblib|yaml\.load\b|\.topk\(", text)
    assert not re.search(r"np\.argsort\((?![^\n]*stable)", text)


def traced(monkeypatch, work):
    """The calls of jbench's own functions while ``work`` runs, in order: file and name."""
    called = []

    def note(frame, event, argument):
        code = frame.f_code
        # A class body that runs when its module is imported is no call.
        if (
            event == "call"
            and code.co_flags & inspect.CO_OPTIMIZED
            and code.co_filename.startswith(str(PACKAGE))
            and not code.co_name.startswith("<")
        ):
            called.append((Path(code.co_filename).relative_to(PACKAGE).as_posix(), code.co_qualname))

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    print(f"{len(set(called))} functions in {len({file for file, _ in called})} files")
    return called


@pytest.mark.parametrize(("task", "verb"), [("mini-sts@v1", "score"), ("mini-qa@v1", "search")])
def test_one_score_takes_eight_hops(task, verb, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from jbench.cli import app

    monkeypatch.chdir(tmp_path)
    called = traced(monkeypatch, lambda: CliRunner().invoke(app, ["run", "bm25:mecab", "--task", task]))
    order = [name.rsplit(".", 1)[-1] for _, name in called]
    way = ["run", "find_tasks", "evaluate", "predict", verb, "measure", "save", "draw", "render"]
    places = [order.index(name) for name in way]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("task", "most_functions", "most_files"),
    [("mini-sts@v1", 75, 16), ("mini-rerank@v1", 98, 16), ("mini-qa@v1", 110, 17)],
)
def test_from_task_to_saved_result_is_a_short_way(task, most_functions, most_files, tmp_path, monkeypatch):
    tasks = [own_tasks()[task]]
    called = traced(monkeypatch, lambda: list(evaluate(["bm25:mecab"], tasks, tmp_path)))
    assert len(set(called)) <= most_functions
    assert len({file for file, _ in called}) <= most_files


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    found = [p for p in [*MODULES, ROOT / "noxfile.py"] if f'"{jbench.__version__}"' in p.read_text("utf-8")]
    assert found == [PACKAGE / "__init__.py"]
    assert f"## {jbench.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_public_name_loads_and_has_a_docstring():
    for name in jbench.__all__:
        thing = getattr(jbench, name)
        assert thing.__doc__ or name in ("__version__", "Qrels")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jbench.nothing


def test_the_readme_names_every_verb_and_option():
    import typer

    from jbench.cli import app

    readme = (ROOT / "README.md").read_text("utf-8")
    for name, command in typer.main.get_command(app).commands.items():
        assert f"jbench {name}" in readme
        options = {o for p in command.params for o in p.opts if o.startswith("--")} - {"--help"}
        assert [o for o in sorted(options) if o not in readme] == []


def test_the_readme_shows_the_mini_board_as_it_is():
    board = (ROOT / "leaderboards" / "mini.v1.md").read_text("utf-8")
    table = "\n".join(row for row in board.partition("\n## ")[0].splitlines() if row.startswith("|"))
    assert table in (ROOT / "README.md").read_text("utf-8")


def test_a_result_is_the_same_every_time(tmp_path):
    task = own_tasks()["mini-rerank@v1"]
    one, other = (evaluate_one(open_model("bm25:mecab"), task, load(task), tmp_path / n, Options()) for n in ("a", "b"))
    assert one == other
    values = [p.read_bytes() for p in sorted(tmp_path.rglob("*.parquet"))]
    assert values[0] == values[1]
