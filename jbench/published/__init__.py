"""Numbers that others published, a CSV file a source, one cell a row: data, read when a board asks for it.

``value`` is a fraction with the ``decimals`` that the source's print determines; where a source dumps
binary floats, six of them (four of JapaneseEmbeddingEval's). ``source`` is where a stranger checks it.
``note`` says what it takes to compare it, several with ``; `` between: settings, the source's own name
of the model, a misprint, which stands as it was printed. A cell is a number under the protocol of the
task that it names. What is no such number lies in folders: the grid behind a report (`jbench.published.grid`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jbench.registry import own_tasks
from jbench.types import UsageError, unknown

COLUMNS = ["model", "task", "measure", "value", "decimals", "source", "note"]
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


@dataclass(frozen=True)
class PublishedCell:
    """One number; ``origin`` is the name of its file."""

    model: str
    task: str
    measure: str
    value: float
    decimals: int
    source: str
    note: str
    origin: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Which number it is: model, task, measure; a file has each once."""
        return self.model, self.task, self.measure

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
    files = {path.name: path for root in roots for path in sorted((root / IMPORTED).glob("*.csv"))}
    found: dict[tuple[str, str, str], PublishedCell] = {}
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
    found: dict[tuple[str, str, str], PublishedCell] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            if next(rows, None) != COLUMNS:
                raise UsageError(f"the columns must be {','.join(COLUMNS)}")
            for row in rows:
                cell = cell_of(row, origin or path.stem)
                if found.setdefault(cell.place, cell) is not cell:
                    raise UsageError(f"{cell.model} has {cell.measure} of {cell.task} twice")
        except (UsageError, ValueError, csv.Error) as error:  # ValueError: no UTF-8
            raise UsageError(f"{path.name}, line {max(rows.line_num, 1)}: {error}") from error
    return tuple(found.values())


def cell_of(row: list[str], origin: str) -> PublishedCell:
    """The number in a row of `COLUMNS`.

    :raises UsageError: for whatever is not a cell of a known task.
    """
    if len(row) != len(COLUMNS):
        raise UsageError(f"{len(row)} fields, not {len(COLUMNS)}")
    model, task, measure, value, decimals, source, note = row
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
    return PublishedCell(model, task, measure, float(value), int(decimals), source, note, origin)
