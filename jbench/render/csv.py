"""A board as CSV: one line a row, scores as fractions, tie intervals in columns of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import get_args

import orjson

from jbench.board import COSTS, Cell, Table
from jbench.exposure import Domain
from jbench.render.figures import shielded


def render(table: Table) -> str:
    """Columns: label, model, revision, adapter, variant, then value, low and high (of ties) of each column.

    Where there are any, also 95 % interval and ranks of each, what the model has seen of it, and why it
    is not counted; where a board shows published numbers, whose the row is, and source and notes of each.
    """
    columns = [column.id for column in table.board.columns]
    heads = ["label", "model", "revision", "adapter", "variant", "unprompted", "truncated"]
    heads += ["source"] if table.mixed else []
    cells = [cell for row in table.rows for cell in row.cells if cell]
    parts: dict[str, Callable[[Cell], object]] = {
        "": _value,
        " low": lambda cell: _end(cell.ties, 0),
        " high": lambda cell: _end(cell.ties, 1),
    }
    if any(cell.interval for cell in cells):
        parts |= {
            " interval low": lambda cell: _end(cell.interval, 0),
            " interval high": lambda cell: _end(cell.interval, 1),
            " best rank": lambda cell: _end(cell.ranks, 0),
            " worst rank": lambda cell: _end(cell.ranks, 1),
        }
    if any(cell.exposure for cell in cells):
        parts[" exposure"] = _exposure
    if any(cell.apart for cell in cells):
        parts[" apart"] = lambda cell: shielded(cell.apart)
    if table.mixed:
        parts |= {" source": lambda cell: shielded(cell.source), " notes": lambda cell: shielded("; ".join(cell.notes))}
    domains = [domain for domain in get_args(Domain) if any(domain in row.means for row in table.rows)]
    costs = [name for name in COSTS if table.board.cost and any(name in row.cost for row in table.rows)]
    heads += [f"{column}{part}" for column in columns for part in parts]
    heads += [table.board.average.name] if table.board.average else []
    heads += [f"{domain} {what}" for domain in domains for what in ("mean", "columns")] + costs
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(shielded, heads))
    for row in table.rows:
        variant = orjson.dumps(dict(row.variant)).decode() if row.variant else ""
        line: list[object] = [
            *map(shielded, (row.label, row.model, row.revision, row.adapter, variant, " ".join(row.unprompted)))
        ]
        line += [row.truncated, *([row.whose] if table.mixed else [])]
        for cell in row.cells:
            line += ["" if cell is None else part(cell) for part in parts.values()]
        if table.board.average:
            line.append("" if row.average is None else row.average)
        for domain in domains:
            mean = row.means.get(domain)
            line += ["", 0] if mean is None else [mean.value, mean.columns]
        line += [row.cost.get(name, "") for name in costs]
        writer.writerow(line)
    return out.getvalue()


def _exposure(cell: Cell) -> str:
    """The flag, with ``!`` where statements contradict one another."""
    return cell.exposure.flag + "!" * cell.exposure.conflict if cell.exposure else ""


def _value(cell: Cell) -> object:
    return cell.value if cell.decimals is None else f"{cell.value:.{cell.decimals}f}"


def _end(ends: tuple[float, float] | None, i: int) -> object:
    return "" if ends is None else ends[i]
