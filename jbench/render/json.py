"""A board as JSON: the definition and the rows, scores as fractions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from jbench.board import Cell, Table

_ASKED = ("published", "cost")
"""What a definition may ask for."""
_ALWAYS = ("value", "ties")
"""What every cell has; of the rest only what there is."""


def render(table: Table) -> str:
    """``{"board": definition, "rows": [...]}``; a cell is null or value with optional ties.

    What a row or a cell lacks is left out: a row that others published says so in ``published``, each of its
    cells its decimals and source. Costs stand there if the board shows them.
    """
    board = {key: value for key, value in table.board.model_dump(mode="json").items() if value or key not in _ASKED}
    rows = table.rows if table.board.cost else [replace(row, cost={}) for row in table.rows]
    told = {"unseen": table.unseen, "method": table.method, "complaints": table.complaints}
    found = {"board": board, "rows": rows, **{key: value for key, value in told.items() if value}}
    option = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS
    return orjson.dumps(found, _fields, option).decode() + "\n"


def _fields(thing: Any) -> dict[str, Any]:
    if isinstance(thing, Cell):
        return {key: value for key, value in vars(thing).items() if key in _ALWAYS or value not in (None, "", ())}
    return {key: value for key, value in vars(thing).items() if value or key not in ("published", "means", "cost")}
