"""What every rendering says of a figure in the same way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jbench.board import Cell, Row, Table


def percent(cell: Cell) -> str:
    """A measured figure with two decimals, a published one as it was printed."""
    return f"{100 * cell.value:.{2 if cell.decimals is None else max(cell.decimals - 2, 0)}f}"


def best(cells: Sequence[Cell | None]) -> float | None:
    """The highest figure of a column, those kept apart left out; None where there is no other to be better than."""
    values = [cell.value for cell in cells if cell and not cell.apart]
    return max(values) if len(values) > 1 else None


def shared(row: Row) -> tuple[str, ...]:
    """The notes that all figures of a row have, which then stand at its model."""
    notes = [cell.notes for cell in row.cells if cell]
    return tuple(note for note in notes[0] if all(note in others for others in notes)) if notes else ()


def places(table: Table) -> dict[str, list[str]]:
    """Whose figures stand in the table, and where: of several files of one place, the place."""
    found: dict[str, dict[str, None]] = {}
    for row in table.rows:
        if row.published:
            found.setdefault(row.published, {}).update((cell.source, None) for cell in row.cells if cell)
    return {
        whose: list(files if len(files) == 1 else dict.fromkeys(re.split("[@:,]", file)[0] for file in files))
        for whose, files in sorted(found.items())
    }


def shielded(text: str) -> str:
    """A text for a CSV; a spreadsheet would run a cell that begins like a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
