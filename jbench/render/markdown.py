"""A board as Markdown: columns aligned in plain text, best figure bold, every sign explained."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from jbench.board import Cell, Row, Table

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def render(table: Table) -> str:
    """Figures are percentages: measured ones with two decimals, published ones as they were printed."""
    board = table.board
    marks = _marks(table)
    whose = ["source"] if board.published else []
    heads = ["model", *whose, *(_escape(column.label) for column in board.columns)]
    best = [_best([row.cells[i] for row in table.rows]) for i in range(len(board.columns))]
    lines = []
    for row in table.rows:
        shared = _shared(row)
        figures = [_figure(cell, top) for cell, top in zip(row.cells, best, strict=True)]
        for i, cell in enumerate(row.cells):
            figures[i] += "".join(f" {marks[note]}" for note in (cell.notes if cell else ()) if note not in shared)
        label = _escape(row.label) + (" †" if row.unprompted else "") + (" ‡" if row.truncated else "")
        label += "".join(f" {marks[note]}" for note in shared)
        lines.append([label, *([row.whose] if whose else []), *figures])
    if board.average:
        heads.append(_escape(board.average.name))
        for line, row in zip(lines, table.rows, strict=True):
            line.append("" if row.average is None else f"{100 * row.average:.2f}")
    title = f"# {_escape(board.title)} ({board.id}, {board.status})"
    return "\n\n".join([title, _grid(heads, lines, 1 + len(whose)), *_notes(table)]) + "\n"


def _best(cells: Sequence[Cell | None]) -> float | None:
    values = [cell.value for cell in cells if cell]
    return max(values) if len(values) > 1 else None


def _figure(cell: Cell | None, best: float | None) -> str:
    if cell is None:
        return ""
    figure = f"{100 * cell.value:.{2 if cell.decimals is None else max(cell.decimals - 2, 0)}f}"
    return (f"**{figure}**" if cell.value == best else figure) + (" ≈" if cell.ties else "")


def _shared(row: Row) -> tuple[str, ...]:
    """The notes that all figures of a row have, which then stand at its model."""
    notes = [cell.notes for cell in row.cells if cell]
    return tuple(note for note in notes[0] if all(note in others for others in notes)) if notes else ()


def _marks(table: Table) -> dict[str, str]:
    """A raised number for each note, in order of appearance."""
    notes = dict.fromkeys(note for row in table.rows for cell in row.cells if cell for note in cell.notes)
    return {note: str(i).translate(_RAISED) for i, note in enumerate(notes, 1)}


def _sources(table: Table) -> list[str]:
    """Whose figures stand in the table, and where: of several files of one place, the place."""
    found: dict[str, dict[str, None]] = {}
    for row in table.rows:
        found.setdefault(row.published, {}).update((cell.source, None) for cell in row.cells if cell)
    lines = []
    for whose, files in sorted(found.items()):
        places = files if len(files) == 1 else dict.fromkeys(re.split("[@:,]", file)[0] for file in files)
        lines += [f"- {_escape(whose)}: {_escape(', '.join(places))}"] if whose else []
    return lines


def _notes(table: Table) -> list[str]:
    board = table.board
    notes = [f"- {_escape(c.label)}: {_escape(c.task)}, version {c.version}" for c in board.columns if c.title]
    notes.append("- Figures are percentages, the best of a column bold; an empty cell was not measured.")
    if board.published:
        notes.append(
            "- source: a row is measured here throughout, or published elsewhere and shown as printed; a mean is of "
            "the figures in its row. The CSV has the source of each figure."
        )
        notes += _sources(table)
    if board.average:
        named = [_escape(column.label) for column in board.columns if column.id in board.average.over]
        notes.append(f"- {_escape(board.average.name)}: the mean of {', '.join(named)}; complete rows only.")
    tied = [cell.ties[1] - cell.ties[0] for row in table.rows for cell in row.cells if cell and cell.ties]
    if tied:
        notes.append(
            f"- ≈ documents tie: another order of them moves the figure, by {100 * max(tied):.2f} at the most."
        )
    if any(row.unprompted for row in table.rows):
        notes.append("- † ran without a prompt that this model's family has.")
    if any(row.truncated for row in table.rows):
        notes.append("- ‡ some texts were longer than the model reads, and were cut.")
    notes += [f"- {mark} {_escape(note)}" for note, mark in _marks(table).items()]
    return ["\n".join(notes), *([_escape(board.note)] if board.note else [])]


def _grid(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first ``left`` columns are words, the others figures."""
    if not lines:
        return "No results yet."
    widths = [max(_width(row[i]) for row in [heads, *lines]) for i in range(len(heads))]
    dashes = ["-" * max(width - 1, 2) for width in widths]
    rule = [*(f":{dash}" for dash in dashes[:left]), *(f"{dash}:" for dash in dashes[left:])]

    def row(cells: Sequence[str]) -> str:
        padded = [(cell, " " * (width - _width(cell))) for cell, width in zip(cells, widths, strict=True)]
        words, figures = padded[:left], padded[left:]
        return "| " + " | ".join([*(cell + pad for cell, pad in words), *(pad + cell for cell, pad in figures)]) + " |"

    return "\n".join([row(heads), row(rule), *(row(line) for line in lines)])


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _escape(text: str) -> str:
    visible = "".join(c if unicodedata.category(c) not in ("Cc", "Cf") else " " for c in text)
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", visible).strip()
