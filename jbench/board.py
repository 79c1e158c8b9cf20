"""A board's definition and results make one table: a pure function, no files, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from jbench.published import FAMILIES, PublishedCell
from jbench.registry import Board, Column
from jbench.results import canonical
from jbench.task import Task
from jbench.types import Result, unknown


@dataclass(frozen=True)
class Cell:
    """A score as a fraction, and the smallest and largest that another order of ties could give.

    A published one has a ``source``, as many ``decimals`` as were printed, and perhaps ``notes``.
    """

    value: float
    ties: tuple[float, float] | None = None
    decimals: int | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One model at one revision with one set of settings; ``cells`` follow the board's columns.

    ``truncated`` counts the texts of its columns that were longer than the model reads. A row is
    measured throughout, or published throughout: then ``published`` says by whom.
    """

    label: str
    model: str
    revision: str
    adapter: str
    variant: Mapping[str, Any]
    unprompted: tuple[str, ...]
    truncated: int
    cells: tuple[Cell | None, ...]
    average: float | None
    published: str = ""

    @property
    def whose(self) -> str:
        """Whose figures these are, in words."""
        return f"published: {self.published}" if self.published else "measured here"


@dataclass(frozen=True)
class Table:
    """What is rendered: rows best first, complete ones before the others."""

    board: Board
    rows: tuple[Row, ...]


Found = dict[tuple[str, int], Result]
"""The results of one row by task and version."""


def draw(board: Board, results: Sequence[Result], published: Sequence[PublishedCell] = ()) -> Table:
    """The table of ``board`` over ``results`` and what others ``published``; what has no column is left out.

    :raises UsageError: for a board that names an unknown source of published numbers.
    """
    if stray := [source for source in board.published if source not in FAMILIES]:
        raise unknown(f"published source of board {board.id}", stray[0], FAMILIES)
    wanted = {(column.task, column.version) for column in board.columns}
    rows: dict[bytes, Found] = {}
    for result in results:
        if (result.task, result.task_version) in wanted:
            rows.setdefault(row_of(result), {})[result.task, result.task_version] = result
    names = labels([next(iter(found.values())) for found in rows.values()])
    drawn = [_row(board, found, label) for found, label in zip(rows.values(), names, strict=True)]
    drawn += _published(board, published)
    return Table(board, tuple(sorted(drawn, key=_rank)))


def _published(board: Board, published: Sequence[PublishedCell]) -> list[Row]:
    columns = {(column.task, column.measure) for column in board.columns}
    rows: dict[tuple[str, str], dict[tuple[str, str], Cell]] = {}
    for cell in published:
        if cell.origin in board.published and (cell.task, cell.measure) in columns:
            shown = Cell(cell.value, decimals=cell.decimals, source=cell.source, notes=cell.notes)
            rows.setdefault((cell.model, cell.family), {})[cell.task, cell.measure] = shown
    return [_published_row(board, model, family, found) for (model, family), found in rows.items()]


def _published_row(board: Board, model: str, family: str, found: Mapping[tuple[str, str], Cell]) -> Row:
    cells = tuple(found.get((column.task, column.measure)) for column in board.columns)
    return Row(model, model, "", "", {}, (), 0, cells, _average(board, cells), family)


def row_of(result: Result) -> bytes:
    """The same bytes for two results of one row: one model at one revision with one set of settings."""
    return canonical([result.model, result.revision, result.adapter, result.settings, result.variant])


def labels(ones: Sequence[Result]) -> list[str]:
    """A label for each row, given one result of each: the model, and what it takes to tell it from the others."""
    named = []
    for one in ones:
        namesakes = [other for other in ones if other.model == one.model]
        revision = f" @ {one.revision[:14]}" if len({other.revision for other in namesakes}) > 1 else ""
        twins = [o for o in namesakes if (o.revision, o.variant) == (one.revision, one.variant)]
        told = {key: _said(one, key) for key in ("adapter", *one.settings) if len({_said(o, key) for o in twins}) > 1}
        aside = _variant({**told, **one.variant})
        named.append(one.model + revision + (f" ({aside})" if aside else ""))
    return named


def _said(result: Result, key: str) -> str:
    return result.adapter if key == "adapter" else str(result.settings.get(key))


def of_tasks(tasks: Sequence[Task]) -> Board:
    """The board of a run without one: each task by its main measure."""
    columns = tuple(Column(task=task.id, version=task.version, measure=task.main) for task in tasks)
    return Board(name="run", version=1, title="Results", status="draft", columns=columns)


def _row(board: Board, found: Found, label: str) -> Row:
    cells: list[Cell | None] = []
    for column in board.columns:
        result = found.get((column.task, column.version))
        if result is None or column.measure not in result.scores:
            cells.append(None)
        else:
            cells.append(Cell(result.scores[column.measure], result.ties.get(column.measure)))
    one = next(iter(found.values()))
    unprompted = sorted({role for result in found.values() for role in result.unprompted})
    return Row(
        label=label,
        model=one.model,
        revision=one.revision,
        adapter=one.adapter,
        variant=one.variant,
        unprompted=tuple(unprompted),
        truncated=sum(result.counts.get("truncated", 0) for result in found.values()),
        cells=tuple(cells),
        average=_average(board, cells),
    )


def _average(board: Board, cells: Sequence[Cell | None]) -> float | None:
    if board.average is None:
        return None
    averaged = [c for c, column in zip(cells, board.columns, strict=True) if column.id in board.average.over]
    values = [cell.value for cell in averaged if cell is not None]
    return fmean(values) if len(values) == len(averaged) else None


def _variant(variant: Mapping[str, Any]) -> str:
    flat = {k: v for k, v in variant.items() if k != "prompts"}
    flat |= {f"{role} prompt": repr(text) for role, text in variant.get("prompts", {}).items()}
    return ", ".join(f"{key}={value}" for key, value in sorted(flat.items()))


def _rank(row: Row) -> tuple[float, int, float, str, str]:
    filled = [cell.value for cell in row.cells if cell is not None]
    average = row.average if row.average is not None else -2
    return (-average, -len(filled), -fmean(filled or [0]), row.label, row.published)
