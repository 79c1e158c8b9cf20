"""A board as CSV: one line a row, scores as fractions, tie intervals in columns of their own."""

from __future__ import annotations

import csv
import io

import orjson

from jbench.board import Cell, Table


def render(table: Table) -> str:
    """Columns: model, revision, adapter, variant, then value, low and high of each column.

    Where a board shows published numbers, also whose the row is, and source and notes of each.
    """
    columns = [column.id for column in table.board.columns]
    heads = ["model", "revision", "adapter", "variant", "unprompted", "truncated"]
    heads += ["source"] if table.board.published else []
    parts = ["", " low", " high", *([" source", " notes"] if table.board.published else [])]
    heads += [f"{column}{part}" for column in columns for part in parts]
    heads += [table.board.average.name] if table.board.average else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_text, heads))
    for row in table.rows:
        variant = orjson.dumps(dict(row.variant)).decode() if row.variant else ""
        line: list[object] = [*map(_text, (row.model, row.revision, row.adapter, variant, " ".join(row.unprompted)))]
        line += [row.truncated, *([row.whose] if table.board.published else [])]
        for cell in row.cells:
            line += _fields(cell)[: len(parts)]
        if table.board.average:
            line.append("" if row.average is None else row.average)
        writer.writerow(line)
    return out.getvalue()


def _fields(cell: Cell | None) -> list[object]:
    if cell is None:
        return [""] * 5
    value = cell.value if cell.decimals is None else f"{cell.value:.{cell.decimals}f}"
    return [value, *(cell.ties or ("", "")), _text(cell.source), _text("; ".join(cell.notes))]


def _text(value: str) -> str:
    # A spreadsheet would run a cell that begins like a formula.
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
