"""A board's definition and results make one table: a pure function, no files, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from jbench.registry import Board, Column
from jbench.task import Task
from jbench.types import Result


@dataclass(frozen=True)
class Cell:
    """A score as a fraction, and the smallest and largest that another order of ties could give."""

    value: float
    ties: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """One model at one revision with one set of settings; ``cells`` follow the board's columns."""

    label: str
    model: str
    revision: str
    adapter: str
    variant: Mapping[str, Any]
    unprompted: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    average: float | None


@dataclass(frozen=True)
class Table:
    """What is rendered: rows best first, complete ones before the others."""

    board: Board
    rows: tuple[Row, ...]


def draw(board: Board, results: Sequence[Result]) -> Table:
    """The table of ``board`` over ``results``; results that belong to no column are left out."""
    at = {(column.task, column.version): i for i, column in enumerate(board.columns)}
    groups: dict[tuple[str, str, str, str], dict[tuple[str, int], Result]] = {}
    for result in results:
        place = (result.task, result.task_version)
        if place in at:
            who = (result.model, result.revision, result.adapter, _variant(result.variant))
            groups.setdefault(who, {})[place] = result
    revisions: dict[str, set[str]] = {}
    for model, revision, *_ in groups:
        revisions.setdefault(model, set()).add(revision)
    rows = [_row(board, found, len(revisions[who[0]]) > 1) for who, found in groups.items()]
    return Table(board, tuple(sorted(rows, key=_rank)))


def of_tasks(tasks: Sequence[Task]) -> Board:
    """The board of a run without one: each task by its main measure."""
    columns = tuple(Column(task=task.id, version=task.version, measure=task.main) for task in tasks)
    return Board(name="run", version=1, title="Results", status="draft", columns=columns)


def _row(board: Board, found: Mapping[tuple[str, int], Result], say_revision: bool) -> Row:
    cells: list[Cell | None] = []
    for column in board.columns:
        result = found.get((column.task, column.version))
        if result is None or column.measure not in result.scores:
            cells.append(None)
        else:
            cells.append(Cell(result.scores[column.measure], result.ties.get(column.measure)))
    one = next(iter(found.values()))
    label = one.model + (f" @ {one.revision[:14]}" if say_revision else "")
    if one.variant:
        label += f" ({_variant(one.variant)})"
    unprompted = sorted({role for result in found.values() for role in result.unprompted})
    return Row(
        label=label,
        model=one.model,
        revision=one.revision,
        adapter=one.adapter,
        variant=one.variant,
        unprompted=tuple(unprompted),
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
    flat = {k: v for k, v in variant.items() if not isinstance(v, Mapping)}
    flat |= {f"{role} prompt": repr(text) for role, text in variant.get("prompts", {}).items()}
    return ", ".join(f"{key}={value}" for key, value in sorted(flat.items()))


def _rank(row: Row) -> tuple[float, int, float, str]:
    filled = [cell.value for cell in row.cells if cell is not None]
    return (-(row.average if row.average is not None else -2), -len(filled), -fmean(filled or [0]), row.label)
