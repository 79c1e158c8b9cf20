"""A board as one HTML file: a table that anybody's browser shows, and a script that makes it answer.

The parts lie in ``page/``: a frame, a style, a script, and every word of the interface in both
languages. Data is escaped where it is text, and reaches the script as JSON alone. The policy in the
head allows the file's own style and scripts by their hashes and nothing else: no network, no eval.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from functools import cache
from hashlib import sha256
from html import escape
from typing import Any

from jbench.board import COSTS, Table
from jbench.exposure import Evidence, Exposure
from jbench.published import IMPORTED
from jbench.render.page.notes import counts, definition, facts, howto, key_of
from jbench.render.page.table import DOMAINS, table_of, tracks, widths
from jbench.render.page.words import filled, part, said, shown, strings, words
from jbench.task import Task


def render(table: Table, index: str = "") -> str:
    """The page of one board; ``index`` is the page over the boards.

    Figures are percentages: measured ones with two decimals, published ones as they were printed.
    """
    board = table.board
    chart = _chart(table)
    main = filled(
        "board.html",
        id=shown(board.id),
        status=said(f"status_{board.status}", more=' class="badge"'),
        title=shown(board.title.removeprefix(f"{board.name}: ")),
        facts=facts(table),
        note=f'<p class="note">{shown(board.note)}</p>' if board.note else "",
        table=table_of(table),
        key=key_of(table),
        howto=howto(table),
    )
    data = [_script("data", "application/json", _json(_data(table, chart)))]
    # Text until the chart is looked at; the policy then knows the script by its hash.
    data += [_script("vega", "text/plain", _vega())] if chart else []
    back = f'<a class="back" href="{escape(index)}" data-page data-t="boards">{words("boards")}</a>' if index else ""
    later = [_vega()] if chart else []
    return _page(board.title, main, "\n".join(data), back, later, tracks(table))


def render_index(tables: Sequence[Table]) -> str:
    """A page over ``tables``, each of which links to ``<id>.html`` beside it."""
    lines = []
    for table in tables:
        board = table.board
        measured, published, _ = counts(table)
        average = shown(board.average.name) if board.average else ""
        lines.append(
            f'<tr><th scope="row"><a href="{escape(board.id)}.html" data-page>{shown(board.title)}</a>'
            f"<small>{shown(board.id)}</small></th>"
            f"<td>{measured}</td><td>{published}</td><td>{len(board.columns)}</td>"
            f'<td class="words">{average}</td><td class="words">{said(f"state_{board.status}")}</td></tr>'
        )
    left = ' class="words"'
    heads = [("board", ""), ("measured", ""), ("published", ""), ("columns", ""), ("average", left), ("status", left)]
    head = "".join(said(key, "th", f' scope="col"{more}') for key, more in heads)
    caption = said("index_title", "caption", ' id="caption" class="vh"')
    whole = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return _page("jbench", filled("index.html", table=whole), "", "", ())


def site(tables: Sequence[Table]) -> dict[str, str]:
    """Every page by its file name: one for each board, and ``index.html`` over them."""
    pages = {f"{table.board.id}.html": render(table, "index.html") for table in tables}
    return {"index.html": render_index(tables), **pages}


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed in one script, as Altair puts them into its own pages."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _page(title: str, main: str, data: str, back: str, later: Sequence[str], own: str = "") -> str:
    style, script = part("page.css") + own, part("page.js")
    policy = (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {' '.join(map(_hash, [script, *later]))}"
    )
    return filled(
        "page.html",
        policy=policy,
        title=shown(title),
        style=style,
        back=back,
        main=main,
        strings=_json(strings()),
        data=data,
        script=script,
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _script(name: str, kind: str, text: str) -> str:
    return f'<script type="{kind}" id="{name}">{text}</script>'


def _json(thing: Any) -> str:
    """JSON that can stand in a script element and be written as UTF-8."""
    text = json.dumps(thing, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", text)


def _data(table: Table, chart: Mapping[str, Any] | None) -> dict[str, Any]:
    """All that the script draws from; what stands in many cells is listed once and named by its place."""
    board = table.board
    exposures: dict[Exposure, int] = {}
    evidence: dict[Evidence, int] = {}
    rows = []
    for row in table.rows:
        cells = [_bare(vars(cell), exposure=exposures) if cell else None for cell in row.cells]
        rows.append(
            {**vars(row), "whose": row.whose, "cells": cells, "means": {k: vars(mean) for k, mean in row.means.items()}}
        )
    seen = [
        {"flag": one.flag, "domain": one.domain, "evidence": [_place(evidence, each) for each in one.evidence]}
        for one in exposures
    ]
    columns = []
    for column in board.columns:
        means, key, k = definition(column.measure)
        columns.append({**column.model_dump(), "id": column.id, "definition": means, "words": key, "k": k})
    return {
        "board": {"id": board.id, "title": board.title, "status": board.status},
        "average": board.average.model_dump() if board.average else None,
        "columns": columns,
        "tasks": {name: _about(task) for name, task in table.tasks.items()},
        "costs": list(COSTS),
        "domains": DOMAINS,
        "widths": widths(table),
        "rows": rows,
        "exposures": seen,
        "evidence": [astuple(one) for one in evidence],
        "imported": IMPORTED,
        "method": table.method,
        "chart": chart,
    }


def _bare(cell: Mapping[str, Any], exposure: dict[Exposure, int]) -> dict[str, Any]:
    kept = {key: value for key, value in cell.items() if value not in (None, "", ())}
    return kept | ({"exposure": _place(exposure, kept["exposure"])} if "exposure" in kept else {})


def _place(known: dict[Any, int], one: Any) -> int:
    return known.setdefault(one, len(known))


def _about(task: Task) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "license": task.license,
        "citation": task.citation,
        "sources": task.sources,
        "expects": dict(task.expects),
    }


def _chart(table: Table) -> dict[str, Any] | None:
    """Score against cost as Vega-Lite; the script gives it points and titles. None where no row has a cost."""
    if not any(value > 0 for row in table.rows for value in row.cost.values()):
        return None
    import altair as alt

    whose = ["measured", "published"]
    # Billions are B where people speak of parameters.
    label = "replace(format(datum.value, '~s'), 'G', 'B')"
    axis = alt.Axis(grid=False, labelExpr=label, labelOverlap="greedy", labelSeparation=12, tickCount=6)
    drawn = (
        alt.Chart(alt.NamedData("points"))
        .mark_point(size=70, strokeWidth=1.5, opacity=0.85, cursor="pointer")
        .encode(
            x=alt.X("x:Q", axis=axis).scale(type="log", nice=False, padding=16),
            y=alt.Y("y:Q").scale(zero=False, nice=True, padding=8).axis(tickCount=6),
            shape=alt.Shape("whose:N").scale(domain=whose, range=["circle", "diamond"]).legend(None),
            stroke=alt.Stroke("whose:N").scale(domain=whose).legend(None),
            fill=alt.Fill("whose:N").scale(domain=whose).legend(None),
            tooltip=["label:N"],
            description=alt.Description("label:N"),
        )
        .properties(width="container", height=360)
    )
    spec: dict[str, Any] = drawn.to_dict()
    return spec
