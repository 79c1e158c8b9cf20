"""The table of the page, as a browser without scripts shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from jbench.board import Cell, Row, Table
from jbench.exposure import Domain
from jbench.published import IMPORTED
from jbench.registry import Column
from jbench.render.figures import best, percent, shared
from jbench.render.page.words import said, shown

DOMAINS: tuple[str, ...] = get_args(Domain)


def table_of(table: Table) -> str:
    """Its rows are laid out one by one, so that a browser need not lay out those that nobody looks at.

    That takes the display of a table from the elements, and so their roles are said.
    """
    board = table.board
    if not table.rows:
        return said("no_rows", "p", ' class="told" id="caption"')
    sized, marked = _sized(table), _marked(table)
    highest = [best([row.cells[i] for row in table.rows]) for i in range(len(board.columns))]
    starts = [i == 0 or _group(board.columns[i - 1]) != _group(column) for i, column in enumerate(board.columns)]
    lines = []
    for row in table.rows:
        cells = [_plain(_count(row.cost.get("parameters")))] if sized else []
        cells += [_plain(_percent(row.average))] if board.average else []
        cells += ['<td role="cell" class="text" hidden></td>']
        common = shared(row)
        cells += [_cell(*one, common) for one in zip(row.cells, highest, starts, strict=True)]
        cells += [_mean(row, domain, not i) for i, domain in enumerate(DOMAINS)] if marked else []
        lines.append(f'<tr role="row">{_name(row, common)}{"".join(cells)}</tr>')
    caption = said("table", "caption", ' id="caption" class="vh"')
    body = "\n".join(lines)
    head = _head(table, sized, marked)
    return f'<table role="table" class="board">{caption}{head}<tbody role="rowgroup">\n{body}\n</tbody></table>'


def _sized(table: Table) -> bool:
    return any("parameters" in row.cost for row in table.rows)


def _marked(table: Table) -> bool:
    return any(row.means for row in table.rows)


def widths(table: Table) -> list[float | None]:
    """The least width of each column of the page in rem after the first; None for the one that is hidden."""
    board = table.board
    widths: list[float | None] = [4.2] * _sized(table) + [5.2] * (board.average is not None) + [None]
    beside = Counter(map(_group, board.columns))
    for column in board.columns:
        # What cannot break must fit: a piece of the heading over its columns, and the measure.
        piece = max(map(len, re.split("[-/@_ ]", column.title or column.task))) / beside[_group(column)]
        widths.append(round(max(5.1, 0.52 * piece + 1.2, 0.42 * len(column.measure) + 1.2), 1))
    return widths + ([4.5, 4.5, 5.1] if _marked(table) else [])


def tracks(table: Table) -> str:
    """The style of this board alone: its tracks, and how many of them a heading spans."""
    kept = [width for width in widths(table) if width]
    tracks = " ".join(f"minmax({width}rem,{width}fr)" for width in kept)
    spans = "".join(f'[colspan="{n}"]{{grid-column:span {n}}}' for n in range(2, max(3, len(table.board.columns)) + 1))
    return f".board{{--least:calc(var(--name) + {sum(kept):g}rem);--tracks:{tracks}}}{spans}"


def _group(column: Column) -> tuple[str, int, str]:
    """Columns side by side that have this in common stand under one heading."""
    return column.task, column.version, column.title


def _plain(text: str, more: str = "") -> str:
    return f'<td role="cell" class="text{more}">{text}</td>'


def _head(table: Table, sized: bool, marked: bool) -> str:
    board = table.board

    def sortable(key: str, words: str, more: str = "") -> str:
        button = f'<button type="button">{words}</button>'
        return f'<th role="columnheader" scope="col" data-sort="{shown(key)}"{more}>{button}</th>'

    over = ' rowspan="2" aria-rowspan="2"'
    group = '<th role="columnheader" scope="colgroup" class="task" colspan="{0}" aria-colspan="{0}">'
    first = [sortable("name", said("model"), over)]
    first += [sortable("size", said("size_short"), over)] if sized else []
    first += [sortable("average", f"<bdi>{shown(board.average.name)}</bdi>", over)] if board.average else []
    first += [sortable("unseen", said("unseen_mean"), f"{over} hidden")]
    second = []
    for _, columns in groupby(board.columns, _group):
        own = list(columns)
        name = _breaking(own[0].title or own[0].task)
        button = f'<button type="button" aria-haspopup="dialog"><bdi>{name}</bdi></button>'
        first.append(f"{group.format(len(own))}{button}</th>")
        second += [
            sortable(f"column:{column.id}", f"<bdi>{shown(column.measure)}</bdi>", "" if i else ' class="starts"')
            for i, column in enumerate(own)
        ]
    if marked:
        first.append(f"{group.format(len(DOMAINS))}{said('means')}</th>")
        kind = ' role="columnheader" scope="col"'
        second += [
            said(f"domain_{one}", "th", kind + ("" if i else ' class="starts"')) for i, one in enumerate(DOMAINS)
        ]
    rows = "".join(f'<tr role="row">{"".join(row)}</tr>' for row in (first, second))
    return f'<thead role="rowgroup">{rows}</thead>'


def _breaking(name: str) -> str:
    """A name that may break after its hyphens and slashes, not elsewhere."""
    return re.sub(r"([-/@_])(?=.)", r"\1<wbr>", shown(name))


def _name(row: Row, common: Sequence[str]) -> str:
    owner, slash, name = (
        row.label.rpartition("/") if re.fullmatch(r"[^/\s()]+/[^/]+", row.label) else ("", "", row.label)
    )
    first = f'<span class="owner">{_breaking(owner + slash)}<wbr></span>' if owner else ""
    told = [_whose(row)]
    told += [said("unprompted")] if row.unprompted else []
    told += [said("truncated", n=row.truncated)] if row.truncated else []
    kind = "published" if row.published else "measured"
    star = '<span class="star">*</span>' if common else ""
    return (
        '<th role="rowheader" scope="row"><button type="button" tabindex="-1" aria-haspopup="dialog">'
        f'<bdi translate="no">{first}{_breaking(name)}</bdi>{star}</button>'
        f'<small class="{kind}">{", ".join(told)}</small></th>'
    )


def _whose(row: Row) -> str:
    if row.published == IMPORTED:
        return said("imported")
    return said("published_by", whose=row.published) if row.published else said("measured_here")


def _cell(cell: Cell | None, highest: float | None, starts: bool, common: Sequence[str]) -> str:
    if cell is None:
        return _plain("", " starts" if starts else "")
    figure = percent(cell)
    marks = ("≈" if cell.ties else "") + ("*" if any(note not in common for note in cell.notes) else "")
    marks = f"<i>{marks}</i>" if marks else ""
    classes: list[str] = [cell.exposure.domain] if cell.exposure else []
    classes += ["starts"] if starts else []
    classes += ["apart"] if cell.apart else ["best"] if cell.value == highest else []
    word = ""
    if cell.apart:
        word, figure = said("apart", "small"), f"[{figure}]"
    elif cell.exposure:
        flag = f"x_{cell.exposure.flag}"
        word = f"<small>{said(flag)}!</small>" if cell.exposure.conflict else said(flag, "small")
    marked = f' class="{" ".join(classes)}"' if classes else ""
    return f'<td role="cell"{marked}><button type="button" tabindex="-1"><b>{figure}{marks}</b>{word}</button></td>'


def _mean(row: Row, domain: str, starts: bool) -> str:
    mean = row.means.get(domain)
    text = _percent(mean.value) + said("of_columns", "small", n=mean.columns) if mean else ""
    return _plain(text, " starts" if starts else "")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _count(number: float | None) -> str:
    """Parameters as people say them: 118M, 1.24B."""
    if number is None:
        return ""
    if number >= 1e9:
        return f"{number / 1e9:.2f}B"
    return f"{number / 1e6:.0f}M" if number >= 1e7 else f"{number / 1e6:.1f}M" if number else "0"
