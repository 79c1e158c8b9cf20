"""Finds tasks and boards: those of the package, of ``--task-dir``, of installed plug-ins."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from jbench.files import below
from jbench.manifest import toml
from jbench.metrics import parse
from jbench.task import KINDS, Task
from jbench.types import Unavailable, UsageError, unknown

_PACKAGE = Path(__file__).parent
LOCK = "versions.lock"
PUBLISHED = "published only"
"""The group of tasks that cannot be run."""


def home(name: str) -> Path:
    """``tasks`` or ``leaderboards``: inside the installed package, beside it in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


@dataclass(frozen=True, kw_only=True)
class _Shown(Task):
    """What the kinds share that jbench cannot measure: others' numbers by their measures can be shown."""

    takes: ClassVar[tuple[str, ...]]

    def fits(self, measure: str) -> bool:
        """Whether the kind's numbers are given by this measure."""
        return measure in self.takes


class _Classification(_Shown):
    kind = "classification"
    takes = ("macro_f1", "accuracy")


class _Clustering(_Shown):
    kind = "clustering"
    takes = ("v_measure",)


class _PairClassification(_Shown):
    kind = "pair-classification"
    takes = ("binary_f1", "max_ap")


class _Mean(_Shown):
    """A mean over tasks as its source prints it."""

    kind = "mean"
    takes = ("mean",)


_SHOWN: Mapping[str, type[_Shown]] = {
    kind.kind: kind for kind in (_Classification, _Clustering, _PairClassification, _Mean)
}


class Published(BaseModel):
    """A protocol of which only published numbers exist, a row of ``published.toml`` beside task files.

    ``because`` says why it cannot be run; the first measure is the main one unless ``main`` says another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[\w.-]+@[\w.-]+$")
    kind: Literal["sts", "retrieval", "reranking", "qa", "classification", "clustering", "pair-classification", "mean"]
    version: int = Field(default=1, ge=1)
    measures: Annotated[tuple[str, ...], Field(min_length=1)]
    main: str = ""
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    citation: str = Field(min_length=1)
    because: str = Field(min_length=1)

    def task(self) -> Task:
        """A task that boards can show, and that refuses to load."""

        def refuse() -> Any:
            raise UsageError(f"{self.id} cannot be run, only published numbers exist: {self.because}")

        name, protocol = self.id.split("@")
        kind: type[Task] = {**KINDS, **_SHOWN}[self.kind]
        return kind(
            name=name,
            protocol=protocol,
            version=self.version,
            load=refuse,
            license="no data here",
            measures=self.measures,
            main=self.main or self.measures[0],
            group=PUBLISHED,
            citation=self.citation,
            sources=self.sources,
        )


class _PublishedFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[Published, ...]


class Column(BaseModel):
    """One task, at one version, by one measure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    version: int
    measure: str
    title: str = ""

    @property
    def id(self) -> str:
        """``task measure``, such as ``jsts@valid1457 spearman``."""
        return f"{self.task} {self.measure}"

    @property
    def label(self) -> str:
        """The column's heading: its title, else the task's id; the measure below."""
        return f"{self.title or self.task} {self.measure}"


class Average(BaseModel):
    """A named mean over columns (by id), shown only for rows that have all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    over: Annotated[tuple[str, ...], Field(min_length=1)]


class Board(BaseModel):
    """A board's definition (``leaderboards/<name>.v<N>.toml``).

    ``published`` names the sources of `jbench.published` whose rows stand beside the measured ones;
    ``cost`` asks for what the models cost. Of a published version name, version, columns and average never
    change: `sealed` is their hash, kept in ``versions.lock`` beside the definition.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: int = Field(ge=1)
    title: str
    status: Literal["draft", "published"]
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    average: Average | None = None
    models: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    cost: bool = False
    note: str = ""

    @property
    def id(self) -> str:
        """``name.vN``."""
        return f"{self.name}.v{self.version}"

    @property
    def sealed(self) -> str:
        """The sha256 (64 hex digits) over what never changes once the version is published."""
        fixed = self.model_dump(mode="json", include={"name", "version", "columns", "average"})
        return sha256(json.dumps(fixed, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def check(self) -> None:
        """The average names columns, each measure is known, no column stands twice.

        :raises UsageError: naming what is wrong.
        """
        ids = [column.id for column in self.columns]
        for column in self.columns:
            if not any(column.measure in kind.takes for kind in _SHOWN.values()):
                parse(column.measure)
            if ids.count(column.id) > 1:
                raise UsageError(f"board {self.id}: column {column.id!r} stands twice")
        if self.average and (stray := [i for i in self.average.over if i not in ids]):
            raise UsageError(f"board {self.id}: average {self.average.name!r} runs over {stray[0]!r}, not a column")


@cache
def own_tasks() -> dict[str, Task]:
    """The package's tasks by id."""
    return _from_folder(home("tasks"))


def all_tasks(task_dirs: Sequence[Path] = ()) -> dict[str, Task]:
    """Every task by id: the package's, the plug-ins' (entry points ``jbench.tasks``), ``task_dirs``'.

    :raises UsageError: for two tasks with one id, or a file that cannot be read.
    """
    found = dict(own_tasks())
    for point in entry_points(group="jbench.tasks"):
        where = f"plug-in {point.name} ({point.value})"
        try:
            module = point.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's package raises, the line must name it
            raise UsageError(f"{where}: {type(error).__name__}: {error}") from error
        _add(found, _listed(module, where), where)
    for folder in task_dirs:
        if not folder.is_dir():
            what = "is a file; give its folder" if folder.is_file() else "does not exist"
            raise Unavailable(f"task folder {folder} {what}")
        _add(found, _from_folder(folder).values(), str(folder))
    return found


def column_faults(board: Board, tasks: Mapping[str, Task]) -> list[str]:
    """What of ``board`` its tasks (by id) cannot fill: one line for each column."""
    return [f"board {board.id}: {fault}" for column in board.columns if (fault := _fault(column, tasks))]


def _fault(column: Column, tasks: Mapping[str, Task]) -> str:
    task = tasks.get(column.task)
    if task is None:
        if "@" not in column.task:
            return f"column {column.task!r} must be written name@protocol"
        return f"{unknown('task', column.task, tasks)} (--task-dir adds tasks)"
    if column.version != task.version:
        return f"{task.id} has version {task.version}, not {column.version}"
    if column.measure not in task.measures:
        return str(unknown(f"measure of {task.id}", column.measure, task.measures))
    return ""


def board_tasks(board: Board, task_dirs: Sequence[Path] = ()) -> list[Task]:
    """The tasks of a board's columns that can be run.

    :raises UsageError: as `find_tasks` does, for a column that its task would leave empty (a
        version that is not the task's, or a measure it does not take), and when none can be run.
    """
    tasks = find_tasks((column.task for column in board.columns), task_dirs)
    if faults := column_faults(board, {task.id: task for task in tasks}):
        raise UsageError(faults[0])
    runnable = [task for task in tasks if task.group != PUBLISHED]
    if not runnable:
        raise UsageError(f"board {board.id} cannot be run: of each of its tasks only published numbers exist")
    return runnable


def find_tasks(ids: Iterable[str], task_dirs: Sequence[Path] = ()) -> list[Task]:
    """Tasks by id, in order; a bare ``name`` stands for its only protocol that can be run.

    :raises UsageError: for an id that is not known, or a name with several protocols.
    """
    known = all_tasks(task_dirs)
    return [known[_resolve(task_id, known)] for task_id in dict.fromkeys(ids)]


def _resolve(task_id: str, known: dict[str, Task]) -> str:
    if task_id in known:
        return task_id
    named = [task for i, task in known.items() if i.startswith(f"{task_id}@")]
    protocols = [task.id for task in named if task.group != PUBLISHED] or [task.id for task in named]
    if len(protocols) > 1:
        raise UsageError(f"task {task_id!r} has several protocols: {', '.join(protocols)}")
    if not protocols:
        raise unknown("task", task_id, known)
    return protocols[0]


def find_board(name: str) -> Board:
    """A board by ``name`` (its newest version), ``name.vN`` or the path of a ``.toml`` file.

    :raises UsageError: for an unknown or malformed board.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise Unavailable(f"board file {name} does not exist")
        return _read_board(path)
    boards = own_boards()
    if exact := next((b for b in boards if b.id == name), None):
        return exact
    if versions := [b for b in boards if b.name == name]:
        return versions[-1]
    raise unknown("board", name, {n for b in boards for n in (b.name, b.id)})


def own_boards() -> list[Board]:
    """The package's boards, by name and version.

    :raises UsageError: for one that is malformed, or no longer what was published.
    """
    return sorted((_read_board(p) for p in home("leaderboards").glob("*.toml")), key=lambda b: (b.name, b.version))


def _read_board(path: Path) -> Board:
    board = toml(path, Board, "board")
    board.check()
    # A board of the package stays what it is wherever a file of its name lies.
    _check_sealed(board, {**locked_boards(path.parent / LOCK), **locked_boards(home("leaderboards") / LOCK)})
    return board


def locked_boards(path: Path) -> dict[str, str]:
    """The published boards of a ``versions.lock`` by id: the hash of each; a line is an id, ``=``, 64 hex digits.

    :raises UsageError: naming the line that is none.
    """
    found: dict[str, str] = {}
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for number, line in enumerate(text.splitlines(), 1):
        board, equals, sealed = line.partition(" = ")
        if not equals or not re.fullmatch(r"[0-9a-f]{64}", sealed) or board in found:
            raise UsageError(
                f"{path.name}, line {number}: expected a board and its sha256, each once, not {line!r:.80}"
            )
        found[board] = sealed
    return found


def _check_sealed(board: Board, published: Mapping[str, str]) -> None:
    locked = published.get(board.id)
    if locked and board.status == "draft":
        raise UsageError(f"board {board.id} is in {LOCK}: it was published, and cannot be a draft again")
    if board.status == "published" and not locked:
        raise UsageError(f"board {board.id} is published: {LOCK} beside it must say: {board.id} = {board.sealed}")
    if locked and locked != board.sealed:
        raise UsageError(
            f"board {board.id} differs from what was published ({LOCK}): columns, versions, measures, titles and "
            "average of a published version never change; give the changed board a new version, or a name of its own"
        )


def _from_folder(folder: Path) -> dict[str, Task]:
    found: dict[str, Task] = {}
    for path in below(folder, 0, ".py", _refuse):
        if path.name.startswith("_"):  # a helper of the others, which import it
            continue
        _add(found, _listed(_run_file(path), str(path)), str(path))
    if (path := folder / "published.toml").is_file():
        _add(found, [row.task() for row in toml(path, _PublishedFile, "tasks").tasks], str(path))
    return found


def _refuse(fault: str) -> None:
    raise Unavailable(fault)


def _run_file(path: Path) -> Any:
    name = f"jbench_task_{path.stem}_{sha256(bytes(path.resolve())).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        with redirect_stdout(sys.stderr), _helpers(path.parent):  # stdout is data
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a stranger's file raises, the line must name the file
        raise UsageError(f"task file {path}: {type(error).__name__}: {error}") from error
    return module


@contextmanager
def _helpers(folder: Path) -> Iterator[None]:
    """Within it, a task file of ``folder`` can import the files there whose names begin with ``_``."""
    names = [path.stem for path in folder.glob("_*.py") if path.stem.isidentifier()]
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def _listed(module: Any, where: str) -> list[Task]:
    tasks = module if isinstance(module, list | tuple) else getattr(module, "TASKS", None)
    if not isinstance(tasks, list | tuple) or not all(isinstance(task, Task) for task in tasks):
        raise UsageError(f"{where} has no list TASKS of jbench tasks (a helper's name begins with _)")
    return list(tasks)


def _add(found: dict[str, Task], tasks: Iterable[Task], where: str) -> None:
    for task in tasks:
        if task.id in found:
            raise UsageError(f"{where}: task {task.id} exists already")
        found[task.id] = task
