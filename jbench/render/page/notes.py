"""What stands around the table: how many figures there are and whose, what its signs mean, how to read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jbench.board import Table
from jbench.exposure import SEEN, WORDS
from jbench.metrics import parse
from jbench.published import IMPORTED
from jbench.registry import Column
from jbench.render.figures import places
from jbench.render.page.words import said, shown
from jbench.task import Task
from jbench.types import UsageError


def counts(table: Table) -> tuple[int, int, int]:
    """How many rows were measured here, published by others, imported."""
    imported = sum(row.published == IMPORTED for row in table.rows)
    measured = sum(not row.published for row in table.rows)
    return measured, len(table.rows) - measured - imported, imported


def facts(table: Table) -> str:
    """The size of the board in one line."""
    measured, published, imported = counts(table)
    numbers = {
        "count_measured": measured,
        "count_published": published,
        "count_imported": imported,
        "count_columns": len(table.board.columns),
        "count_tasks": len({(column.task, column.version) for column in table.board.columns}),
    }
    return " · ".join(said(key, n=n) for key, n in numbers.items() if n or key == "count_measured")


def key_of(table: Table) -> str:
    """What the signs in this table mean; those that do not occur are left out."""
    cells = [cell for row in table.rows for cell in row.cells if cell]
    seen = [cell.exposure for cell in cells if cell.exposure]
    domains = {one.domain for one in seen}
    ways = ", ".join(said(f"x_{flag}") for flag in WORDS if flag in SEEN and any(one.flag == flag for one in seen))
    signs = [
        ("<b>00.00</b>", "best", "key_best", len(cells) > 1),
        (ways, "in-domain", "key_seen", "in-domain" in domains),
        (said("x_unseen"), "out-of-domain", "key_unseen", "out-of-domain" in domains),
        (said("x_unknown"), "unknown", "key_unknown", "unknown" in domains),
        ("!", "", "key_conflict", any(one.conflict for one in seen)),
        ("≈", "", "key_ties", any(cell.ties for cell in cells)),
        ("*", "", "key_notes", any(cell.notes for cell in cells)),
        ("[ ]", "", "key_apart", any(cell.apart for cell in cells)),
    ]
    items = [
        f'<div><dt class="{kind}">{sign}</dt>{said(key, "dd")}</div>' for sign, kind, key, occurs in signs if occurs
    ]
    return f'<dl class="key">{"".join(items)}</dl>' if items else ""


def howto(table: Table) -> str:
    """The explanations, each behind its heading."""
    board = table.board
    named = {column.id: column.label for column in board.columns}
    average = board.average and said(
        "average_over", "p", name=board.average.name, over=", ".join(named[one] for one in board.average.over)
    )
    flags = "".join(f"<div><dt>{said(f'x_{flag}')}</dt>{said(f'text_{flag}', 'dd')}</div>" for flag in WORDS)
    measures = dict.fromkeys(column.measure for column in board.columns)
    parts = [
        (
            "def_whose",
            said("text_whose", "p") + _list(f"{whose}: {', '.join(where)}" for whose, where in places(table).items()),
        ),
        ("def_exposure", f'{said("text_exposure", "p")}<dl class="terms">{flags}</dl>'),
        ("def_intervals", said("text_intervals", "p") + (f"<p>{shown(table.method)}.</p>" if table.method else "")),
        ("def_averages", (average or "") + said("text_averages", "p")),
        ("def_measures", f'<dl class="terms">{"".join(map(_measure, measures))}</dl>'),
        ("def_tasks", _tasks(board.columns, table.tasks)),
        ("def_out", _list(table.complaints)),
    ]
    return "\n".join(f"<details>{said(key, 'summary')}{text}</details>" for key, text in parts if text)


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{shown(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def definition(measure: str) -> tuple[str, str, int]:
    """The id of a measure's definition, the key of its words and its cut-off; no id where others define it."""
    try:
        known = parse(measure)
    except UsageError:
        return "", "measure_", 0
    return known.definition, f"measure_{known.base}", known.k


def _measure(name: str) -> str:
    known, key, k = definition(name)
    code = f" <code>{shown(known)}</code>" if known else ""
    return f"<div><dt>{shown(name)}</dt><dd>{said(key, k=k)}{code}</dd></div>"


def _tasks(columns: Iterable[Column], tasks: Mapping[str, Task]) -> str:
    terms = []
    for name, version in dict.fromkeys((column.task, column.version) for column in columns):
        task = tasks.get(name)
        words = (task.citation, task.license) if task else ()
        told = [said("version") + f" {version}", *map(shown, filter(None, words))]
        terms.append(f"<div><dt>{shown(name)}</dt><dd>{' · '.join(told)}</dd></div>")
    return f'<dl class="terms">{"".join(terms)}</dl>'
