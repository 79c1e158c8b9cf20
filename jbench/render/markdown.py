"""A board as Markdown: columns aligned in plain text, best figure bold, every sign explained.

Below the figures stand what the models have seen, in words, and intervals and ranks, where there are any.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from jbench.board import COSTS, Cell, Row, Table
from jbench.exposure import LEGEND, contradictions
from jbench.render.figures import best, percent, places, shared

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNS = str.maketrans(dict.fromkeys("†‡⁰¹²³⁴⁵⁶⁷⁸⁹", " "))


def render(table: Table) -> str:
    """Figures are percentages: measured ones with two decimals, published ones as they were printed."""
    board = table.board
    marks = _marks(table)
    whose = ["source"] if table.mixed else []
    heads = ["model", *whose, *(escape(column.label) for column in board.columns)]
    tops = [best([row.cells[i] for row in table.rows]) for i in range(len(board.columns))]
    lines = []
    for row in table.rows:
        common = shared(row)
        figures = [_figure(cell, top) for cell, top in zip(row.cells, tops, strict=True)]
        for i, cell in enumerate(row.cells):
            figures[i] += "".join(f" {marks[note]}" for note in (cell.notes if cell else ()) if note not in common)
        label = _name(row.label) + (" †" if row.unprompted else "") + (" ‡" if row.truncated else "")
        label += "".join(f" {marks[note]}" for note in common)
        lines.append([label, *([row.whose] if whose else []), *figures])
    if board.average:
        heads.append(escape(board.average.name))
        for line, row in zip(lines, table.rows, strict=True):
            line.append("" if row.average is None else f"{100 * row.average:.2f}")
    if costs := _costs(table):
        heads += [name.replace("_", " ") for name in costs]
        for line, row in zip(lines, table.rows, strict=True):
            line += [_cost(row, name) for name in costs]
    title = f"# {escape(board.title)} ({board.id}, {board.status})"
    parts = [title, grid(heads, lines, 1 + len(whose)), *_notes(table), *_seen(table), *_intervals(table)]
    return "\n\n".join(parts) + "\n"


def _figure(cell: Cell | None, top: float | None) -> str:
    if cell is None:
        return ""
    figure = percent(cell)
    if cell.value == top and not cell.apart:
        figure = f"**{figure}**"
    if _domain(cell) == "in-domain":
        figure = f"*{figure}*"
    signs = [
        (" ?", _domain(cell) == "unknown"),
        (" ≈", cell.ties),
        (" §", cell.apart),
    ]
    return figure + "".join(sign for sign, there in signs if there)


def _marks(table: Table) -> dict[str, str]:
    """A raised number for each note, in order of appearance."""
    notes = dict.fromkeys(note for row in table.rows for cell in row.cells if cell for note in cell.notes)
    return {note: str(i).translate(_RAISED) for i, note in enumerate(notes, 1)}


def _notes(table: Table) -> list[str]:
    board = table.board
    notes = [f"- {escape(c.label)}: {escape(c.task)}, version {c.version}" for c in board.columns if c.title]
    more = ", or not published" if table.mixed else ""
    notes.append(f"- Figures are percentages, the best of a column bold; an empty cell was not measured{more}.")
    if table.mixed:
        notes.append(
            "- source: a row is measured here throughout, or published elsewhere and shown as printed (a float as the "
            "CSV has it, with the source of each figure); a mean is of the figures in its row."
        )
        notes += [f"- {escape(whose)}: {escape(', '.join(found))}" for whose, found in places(table).items()]
    if board.average:
        named = [escape(column.label) for column in board.columns if column.id in board.average.over]
        notes.append(f"- {escape(board.average.name)}: the mean of {', '.join(named)}; complete rows only.")
        if any(row.average is None for row in table.rows):
            notes.append("- Rows without it stand below, by the columns that they have; they are in no order of merit.")
    elif len(board.columns) > 1:
        notes.append(
            "- Rows with the same columns are in the order of the first of them; others are in no order of merit."
        )
    tied = [cell.ties[1] - cell.ties[0] for row in table.rows for cell in row.cells if cell and cell.ties]
    if tied:
        notes.append(
            f"- ≈ documents tie: another order of them moves the figure, by {100 * max(tied):.2f} at the most."
        )
    shown = [cell for row in table.rows for cell in row.cells if cell]
    domains = {cell.exposure.domain for cell in shown if cell.exposure}
    if "in-domain" in domains:
        notes.append("- Italic: in-domain, the model has seen data of the task, as is said below.")
    if "unknown" in domains:
        notes.append("- ? nobody says whether the model has seen the task's data; that is not out-of-domain.")
    if domains == {"out-of-domain"} and all(cell.exposure for cell in shown):
        notes.append("- Out-of-domain: no model here has seen the data of any task that it is shown for.")
    elif domains:
        named = [escape(column.label) for column in board.columns if column.id in table.unseen]
        notes.append(f"- Columns that no model here has seen, as far as is stated: {', '.join(named) or 'none'}.")
    if any(cell.apart for cell in shown):
        notes.append("- § kept out of means and best figures:")
        notes += [
            f"  - {_name(row.label)}, {escape(column.label)}: {escape(cell.apart)}"
            for row in table.rows
            for column, cell in zip(board.columns, row.cells, strict=True)
            if cell and cell.apart
        ]
    if any(row.unprompted for row in table.rows):
        notes.append("- † ran without a prompt that this model's family has.")
    if any(row.truncated for row in table.rows):
        notes.append("- ‡ some texts were longer than the model reads, and were cut.")
    notes += [f"- {name.replace('_', ' ')}: {COSTS[name]}." for name in _costs(table) if COSTS[name] != name]
    notes += [f"- {mark} {escape(note)}" for note, mark in _marks(table).items()]
    return ["\n".join(notes), *([escape(board.note)] if board.note else [])]


def _costs(table: Table) -> list[str]:
    return [name for name in COSTS if table.board.cost and any(name in row.cost for row in table.rows)]


def _cost(row: Row, name: str) -> str:
    value = row.cost.get(name)
    if value is None:
        return ""
    if name == "parameters" and value >= 1e6:
        return f"{value / 1e6:,.0f} M"
    return f"{value:,.1f}" if name == "ms_per_query" else f"{value:,.0f}"


def _seen(table: Table) -> list[str]:
    """What the models have seen, a row a model and a column a task, where any has seen something."""
    board = table.board
    tasks = {column.task: (column.title or column.task, i) for i, column in enumerate(board.columns)}
    known = [row for row in table.rows if any(_domain(cell) in ("in-domain", "out-of-domain") for cell in row.cells)]
    if not any(_domain(cell) == "in-domain" for row in known for cell in row.cells):
        return []
    whose = ["source"] if table.mixed else []
    heads = ["model", *whose, *(escape(title) for title, _ in tasks.values()), "in-domain mean", "out-of-domain mean"]
    lines = []
    for row in known:
        first = {column.task: cell for column, cell in zip(board.columns, row.cells, strict=True) if cell}
        words = [(exposure := first[task].exposure) and exposure.word if task in first else "" for task in tasks]
        lines.append([
            _name(row.label), *([row.whose] if whose else []), *(word or "" for word in words),
            *(_mean(row, domain) for domain in ("in-domain", "out-of-domain")),
        ])  # fmt: skip
    over = f"the columns of {escape(board.average.name)}" if board.average else "all columns"
    notes = [
        f"- {LEGEND}",
        f"- Means are over {over}, with the number that they cover; they cover other columns from model to model, "
        "and nothing is ranked by them.",
    ]
    if left := len(table.rows) - len(known):
        notes.append(
            f"- Left out: {left} row{'s' * (left > 1)} of which nobody says what the model has seen of the columns."
        )
    contradicted = [
        line
        for row in table.rows
        for cell in row.cells
        if cell and cell.exposure
        for line in contradictions(row.model, cell.exposure)
    ]
    notes += [f"- {escape(line)}" for line in dict.fromkeys(contradicted)]
    return ["## What the models have seen", grid(heads, lines, 1 + len(whose)), "\n".join(notes)]


def _domain(cell: Cell | None) -> str:
    return cell.exposure.domain if cell and cell.exposure else ""


def _mean(row: Row, domain: str) -> str:
    mean = row.means.get(domain)
    return f"{100 * mean.value:.2f} ({mean.columns})" if mean and mean.value is not None else ""


def _intervals(table: Table) -> list[str]:
    """Interval and ranks of each measured figure, where resampling gave them."""
    columns = [
        i for i in range(len(table.board.columns)) if any((c := row.cells[i]) and c.interval for row in table.rows)
    ]
    rows = [row for row in table.rows if any(cell and cell.interval for cell in row.cells)]
    if not rows:
        return []
    heads = ["model", *(escape(table.board.columns[i].label) for i in columns)]
    lines = [[_name(row.label), *(_interval(row.cells[i]) for i in columns)] for row in rows]
    note = f"- Low to high, and the ranks left open among these rows: {table.method}."
    return ["## Intervals", grid(heads, lines, 1), note]


def _interval(cell: Cell | None) -> str:
    if not cell or not cell.interval or not cell.ranks:
        return ""
    (low, high), (best, worst) = cell.interval, cell.ranks
    return f"{100 * low:.2f} to {100 * high:.2f}, {best}" + (f" to {worst}" if worst > best else "")


def grid(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> str:
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


def escape(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    visible = "".join(c if unicodedata.category(c) not in ("Cc", "Cf") else " " for c in text)
    return re.sub(r"([\\`*\[\]<>|&~]|(?<!\w)_|_(?!\w))", r"\\\1", visible).strip()


def _name(label: str) -> str:
    """A row's name, without the signs that say something of a figure."""
    return escape(label.translate(_SIGNS))
