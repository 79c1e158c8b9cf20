"""A board as JSON: the definition and the rows, scores as fractions."""

from __future__ import annotations

from typing import Any

import orjson

from jbench.board import Table

_PUBLISHED = ("published", "decimals", "source", "notes")
"""What only published numbers have."""


def render(table: Table) -> str:
    """``{"board": definition, "rows": [...]}``; a cell is null or value with optional ties.

    A row that others published says so in ``published``, each of its cells its decimals and source.
    """
    board = {key: value for key, value in table.board.model_dump(mode="json").items() if value or key != "published"}
    option = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS
    return orjson.dumps({"board": board, "rows": table.rows}, _fields, option).decode() + "\n"


def _fields(thing: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(thing).items() if value or key not in _PUBLISHED}
