"""A board as JSON: the definition and the rows, scores as fractions."""

from __future__ import annotations

import orjson

from jbench.board import Table


def render(table: Table) -> str:
    """``{"board": definition, "rows": [...]}``; a cell is null or value with optional ties."""
    board = table.board.model_dump(mode="json")
    return orjson.dumps({"board": board, "rows": table.rows}, option=orjson.OPT_INDENT_2).decode() + "\n"
