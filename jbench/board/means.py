"""What a row's cells come to, and what its model has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from jbench.board.table import Cell
from jbench.exposure import Exposure, Mean, exposure, means
from jbench.registry import Board
from jbench.task import Task


def _averaged(board: Board, cells: Sequence[Cell | None]) -> list[Cell | None]:
    """The cells that the board's average is of, all where it has none; those kept apart are missing."""
    over = board.average.over if board.average else [column.id for column in board.columns]
    return [
        None if cell is None or cell.apart else cell
        for cell, column in zip(cells, board.columns, strict=True)
        if column.id in over
    ]


def average(board: Board, cells: Sequence[Cell | None]) -> float | None:
    """The board's average, of complete rows alone."""
    averaged = _averaged(board, cells)
    values = [cell.value for cell in averaged if cell is not None]
    return fmean(values) if board.average and len(values) == len(averaged) else None


def by_domain(board: Board, cells: Sequence[Cell | None]) -> dict[str, Mean]:
    """The means of the averaged columns that are in-domain, out-of-domain and unknown, where there are any."""
    averaged = _averaged(board, cells)
    values = [cell.value if cell else None for cell in averaged]
    found = means(values, [cell.exposure if cell else None for cell in averaged])
    return {domain: mean for domain, mean in found.items() if mean.columns}


def seen_by(
    model: str, revision: str, training: Mapping[str, Any], tasks: Mapping[str, Task]
) -> Callable[[str], Exposure | None]:
    """What the model has seen of a task, by the task's id; None for a task that is not known."""

    def of(task: str) -> Exposure | None:
        known = tasks.get(task)
        return exposure(model, revision, known, training) if known else None

    return of
