"""Numbers that others published, a CSV file a source, one cell a row: data, read when a board asks for it.

``value`` is a fraction with the ``decimals`` that the source's print determines; where a source dumps
binary floats, six of them (four of JapaneseEmbeddingEval's; seven of JMTEB's, as with six the mean of
multilingual-e5-small, 67.7050026, falls on the 67.705 that would not round to the 67.71 of its
leaderboard). ``source`` is where a stranger checks it.
``note`` says what it takes to compare it, several with ``; `` between: settings, the source's own name
of the model, a misprint, which stands as it was printed. A cell is a number under the protocol of the
task that it names, in its version 1. What is no such number lies in folders: the grid behind a report
(`jbench.published.grid`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jbench.files import below
from jbench.registry import own_tasks
from jbench.types import UsageError, unknown

COLUMNS = ["model", "task", "measure", "value", "decimals", "source", "note"]
VERSION = "task_version"
"""The eighth column of what was imported: the version of the task that the number is of."""
FAMILIES = {
    "simcse": "SimCSE report",
    "jacolbert": "JaColBERT report",
    "jacolbert-card": "JaColBERT model card",
    "dvsb-2024": "dvsb 2024",
    "ruri": "Ruri report",
    "ruri-card": "Ruri model card",
    "jmteb-v1": "JMTEB v1",
    "jqara": "JQaRA and JaCWIR",
    "jacwir": "JQaRA and JaCWIR",
    "jee": "JapaneseEmbeddingEval",
    "mteb": "mteb",
    "bm25": "Anserini",
}
"""Whose numbers a file's are, by its name: one model of one family is one row of a board."""

IMPORTED = "imported"
"""The origin of what ``jbench import`` wrote into ``RESULTS/imported``: any board shows it, as rows of its own."""

Place = tuple[str, str, str, int]
"""Model, task, measure, version of the task."""

_SAME_WEIGHTS = re.compile(r" \((all|colbert|sparse|dense|mean|CLS|SentenceTransformer|Anserini)\)\Z")
_WHOLE = re.compile("[1-9][0-9]{0,8}")


def plain(model: str) -> str:
    """A model's name without the bracket that says how its weights were used: ``BAAI/bge-m3 (colbert)``.

    Other brackets are another model: ``(sup-simcse JSNLI)`` was fine-tuned, ``(without pre-training)`` is an ablation.
    """
    return _SAME_WEIGHTS.sub("", model)


@dataclass(frozen=True)
class PublishedCell:
    """One number; ``origin`` is the name of its file, ``version`` that of its task."""

    model: str
    task: str
    measure: str
    value: float
    decimals: int
    source: str
    note: str
    origin: str
    version: int = 1

    @property
    def place(self) -> Place:
        """Which number it is; a file has each once."""
        return self.model, self.task, self.measure, self.version

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes one by one."""
        return tuple(self.note.split("; ")) if self.note else ()

    @property
    def printed(self) -> str:
        """The number with its decimals."""
        return f"{self.value:.{self.decimals}f}"

    @property
    def family(self) -> str:
        """Whose number it is, in words."""
        return FAMILIES.get(self.origin, self.origin)


@cache
def cells() -> tuple[PublishedCell, ...]:
    """Every published number, file by file."""
    return tuple(cell for path in sorted(Path(__file__).parent.glob("*.csv")) for cell in read(path))


def imported(roots: Iterable[Path], complain: Callable[[str], None]) -> tuple[PublishedCell, ...]:
    """The numbers that were imported into results folders; of two files of one name, the later root's counts.

    What is no such file, and a number that another file gives too, is named to ``complain`` and left out.
    """
    files = {
        path.name: path
        for root in roots
        for path in below(root / IMPORTED, 0, ".csv", lambda fault: complain(f"{fault}; left out"))
    }
    found: dict[Place, PublishedCell] = {}
    for path in files.values():
        try:
            for cell in read(path, IMPORTED):
                if found.setdefault(cell.place, cell) is not cell:
                    complain(f"{path}: {cell.measure} of {cell.task} of {cell.model} is in another file too; left out")
        except (OSError, UsageError) as error:
            complain(f"{path.parent}: {error}; left out")
    return tuple(found.values())


def read(path: Path, origin: str = "") -> tuple[PublishedCell, ...]:
    """The numbers of one file; their ``origin`` is its name, unless another is given.

    :raises UsageError: naming file and line, for whatever is not a cell of a known task.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            columns = next(rows, [])
            if columns not in (COLUMNS, [*COLUMNS, VERSION]):
                raise UsageError(f"line 1: the columns must be {','.join(COLUMNS)}")
            return collected(((f"line {rows.line_num}", row) for row in rows), columns, origin or path.stem)
        except (ValueError, csv.Error) as error:  # ValueError: no UTF-8
            raise UsageError(f"{path.name}, line {max(rows.line_num, 1)}: {error}") from error
        except UsageError as error:
            raise UsageError(f"{path.name}, {error}") from error


def collected(rows: Iterable[tuple[str, list[str]]], columns: list[str], origin: str) -> tuple[PublishedCell, ...]:
    """The numbers in rows of ``columns`` (`COLUMNS`, or those and `VERSION`), each with where it stands.

    :raises UsageError: naming the place of whatever is not a cell of a known task, or stands twice.
    """
    found: dict[Place, PublishedCell] = {}
    for where, row in rows:
        try:
            cell = _cell(row, columns, origin)
            if found.setdefault(cell.place, cell) is not cell:
                raise UsageError(f"{cell.model} has {cell.measure} of {cell.task} twice")
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
    return tuple(found.values())


def _cell(row: list[str], columns: list[str], origin: str) -> PublishedCell:
    if len(row) != len(columns):
        raise UsageError(f"{len(row)} fields, not {len(columns)}")
    model, task, measure, value, decimals, source, note, version = (*row, "1")[: len(COLUMNS) + 1]
    if not model or not source:
        raise UsageError("model and source must not be empty")
    if task not in own_tasks():
        raise unknown("task", task, own_tasks())
    if measure not in own_tasks()[task].measures:
        raise unknown(f"measure of {task}", measure, own_tasks()[task].measures)
    if not re.fullmatch(r"-?\d\.\d+", value, re.ASCII) or not -1 <= float(value) <= 1:
        raise UsageError(f"value {value!r} is no fraction between -1 and 1, such as 0.8305")
    if decimals != str(len(value.partition(".")[2])):
        raise UsageError(f"value {value} has not {decimals} decimals")
    if not _WHOLE.fullmatch(version):
        raise UsageError(f"{VERSION} {version!r} is no whole number of 1 or more")
    return PublishedCell(model, task, measure, float(value), int(decimals), source, note, origin, int(version))
