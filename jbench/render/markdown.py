"""A board as Markdown: columns aligned in plain text, best figure bold, every sign explained."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from jbench.board import Cell, Table


def render(table: Table) -> str:
    """Figures are percentages with two decimals."""
    board = table.board
    heads = ["model", *(_escape(column.label) for column in board.columns)]
    best = [_best([row.cells[i] for row in table.rows]) for i in range(len(board.columns))]
    lines = []
    for row in table.rows:
        figures = [_figure(cell, top) for cell, top in zip(row.cells, best, strict=True)]
        label = _escape(row.label) + (" †" if row.unprompted else "") + (" ‡" if row.truncated else "")
        lines.append([label, *figures])
    if board.average:
        heads.append(_escape(board.average.name))
        for line, row in zip(lines, table.rows, strict=True):
            line.append("" if row.average is None else f"{100 * row.average:.2f}")
    parts = [f"# {_escape(board.title)} ({board.id}, {board.status})", _grid(heads, lines), *_notes(table)]
    return "\n\n".join(parts) + "\n"


def _best(cells: Sequence[Cell | None]) -> float | None:
    values = [cell.value for cell in cells if cell]
    return max(values) if len(values) > 1 else None


def _figure(cell: Cell | None, best: float | None) -> str:
    if cell is None:
        return ""
    figure = f"{100 * cell.value:.2f}"
    return (f"**{figure}**" if cell.value == best else figure) + (" ≈" if cell.ties else "")


def _notes(table: Table) -> list[str]:
    board = table.board
    notes = [f"- {_escape(c.label)}: {_escape(c.task)}, version {c.version}" for c in board.columns if c.title]
    notes.append("- Figures are percentages, the best of a column bold; an empty cell was not measured.")
    if board.average:
        notes.append(f"- {_escape(board.average.name)}: mean of {len(board.average.over)} columns, complete rows only.")
    tied = [cell.ties[1] - cell.ties[0] for row in table.rows for cell in row.cells if cell and cell.ties]
    if tied:
        notes.append(
            f"- ≈ documents tie: another order of them moves the figure, by {100 * max(tied):.2f} at the most."
        )
    if any(row.unprompted for row in table.rows):
        notes.append("- † ran without a prompt that this model's family has.")
    if any(row.truncated for row in table.rows):
        notes.append("- ‡ some texts were longer than the model reads, and were cut.")
    return ["\n".join(notes), *([_escape(board.note)] if board.note else [])]


def _grid(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return "No results yet."
    widths = [max(_width(row[i]) for row in [heads, *lines]) for i in range(len(heads))]
    rule = [":" + "-" * max(widths[0] - 1, 2), *("-" * max(w - 1, 2) + ":" for w in widths[1:])]

    def row(cells: Sequence[str]) -> str:
        first, *rest = [(cell, " " * (width - _width(cell))) for cell, width in zip(cells, widths, strict=True)]
        return "| " + " | ".join(["".join(first), *(pad + cell for cell, pad in rest)]) + " |"

    return "\n".join([row(heads), row(rule), *(row(line) for line in lines)])


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _escape(text: str) -> str:
    visible = "".join(c if unicodedata.category(c) not in ("Cc", "Cf") else " " for c in text)
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", visible).strip()
