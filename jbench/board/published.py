"""Rows that others published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jbench.board.means import average, by_domain, seen_by
from jbench.board.table import Cell, Row
from jbench.published import IMPORTED, PublishedCell
from jbench.published.sizes import size_of
from jbench.registry import Board
from jbench.task import Task


def published_rows(board: Board, published: Sequence[PublishedCell], tasks: Mapping[str, Task]) -> list[Row]:
    """A row for each model of each source that the board asks for, and of imports; see `jbench.board.draw`."""
    columns = {(column.task, column.version, column.measure) for column in board.columns}
    rows: dict[tuple[str, str], dict[tuple[str, str], Cell]] = {}
    for cell in published:
        if cell.origin in (*board.published, IMPORTED) and (cell.task, cell.version, cell.measure) in columns:
            shown = Cell(cell.value, decimals=cell.decimals, source=cell.source, notes=cell.notes)
            rows.setdefault((cell.model, cell.family), {})[cell.task, cell.measure] = shown
    return [_row(board, model, family, found, tasks) for (model, family), found in rows.items()]


def _row(
    board: Board, model: str, family: str, found: Mapping[tuple[str, str], Cell], tasks: Mapping[str, Task]
) -> Row:
    seen = seen_by(model, "", {}, tasks)
    cells = tuple(
        (cell := found.get((column.task, column.measure))) and replace(cell, exposure=seen(column.task))
        for column in board.columns
    )
    means = by_domain(board, cells)
    return Row(model, model, "", "", {}, (), 0, cells, average(board, cells), family, means, size_of(model))
