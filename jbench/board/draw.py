"""A board's definition and results make one table: no clock, no files but the values that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from jbench.board.measured import measured_rows
from jbench.board.published import published_rows
from jbench.board.table import Row, Table
from jbench.published import FAMILIES, PublishedCell
from jbench.registry import Board
from jbench.resample import Values
from jbench.task import Task
from jbench.types import Result, Track, silent, unknown


def draw(
    board: Board,
    results: Sequence[Result],
    published: Sequence[PublishedCell] = (),
    tasks: Mapping[str, Task] | None = None,
    values: Callable[[Result], Values | None] = lambda result: None,
    data: Mapping[tuple[str, int], str] | None = None,
    track: Track = silent,
) -> Table:
    """The table of ``board`` over ``results`` and what others ``published``; what has no column is left out.

    ``tasks`` (by id) tell what their data is, and so what each model has seen of it; ``values`` gives the
    per-query values of a result, for intervals and ranks; ``data`` the sha256 of the data by task and
    version where it is known: else most results decide, and where as many say one as another, none counts;
    ``track`` hears of each column that was resampled.

    :raises UsageError: for a board that names an unknown source of published numbers.
    """
    if stray := [source for source in board.published if source not in FAMILIES]:
        raise unknown(f"published source of board {board.id}", stray[0], FAMILIES)
    rows, method, complaints = measured_rows(board, results, tasks or {}, values, data or {}, track)
    rows += published_rows(board, published, tasks or {})
    ordered = tuple(sorted(rows, key=_rank))
    known = {column.task: tasks[column.task] for column in board.columns if tasks and column.task in tasks}
    return Table(board, ordered, known, _unseen(board, ordered), method, tuple(complaints))


def _unseen(board: Board, rows: Sequence[Row]) -> tuple[str, ...]:
    """One unknown is enough to leave a column out."""
    shown = [
        (column.id, [cell.exposure for row in rows if (cell := row.cells[i])]) for i, column in enumerate(board.columns)
    ]
    return tuple(
        column for column, seen in shown if seen and all(one and one.domain == "out-of-domain" for one in seen)
    )


def _rank(row: Row) -> tuple[float, tuple[bool, ...], float, str, str]:
    """Complete rows by their average; the others by which columns they have, then by the first of these.

    Rows without the same columns have no order of merit: a mean over what happens to be there would be one.
    """
    values = [cell.value if cell and not cell.apart else None for cell in row.cells]
    first = next((value for value in values if value is not None), -2.0)
    average = row.average if row.average is not None else -2.0
    return -average, tuple(value is None for value in values), -first, row.label, row.published
