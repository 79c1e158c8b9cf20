"""Rows that were measured: what belongs together, what stands apart, what resampling says."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from jbench import statistics
from jbench.board.means import average, by_domain, seen_by
from jbench.board.rows import labels, row_of
from jbench.board.table import COSTS, Cell, Row
from jbench.manifest import joined
from jbench.metrics import parse
from jbench.registry import Board
from jbench.resample import Values, disproof
from jbench.results import same_figures
from jbench.statistics import Spread
from jbench.task import Task
from jbench.types import Advance, Result, Track, Unavailable, UsageError

Place = tuple[str, int]
"""A task and its version."""


@dataclass(frozen=True)
class _Shown:
    """A result in its row, the values beside it, and by measure why it is not counted (empty: it is)."""

    result: Result
    values: Values | None
    apart: Mapping[str, str]


def measured_rows(
    board: Board,
    results: Sequence[Result],
    tasks: Mapping[str, Task],
    values: Callable[[Result], Values | None],
    data: Mapping[Place, str],
    track: Track,
) -> tuple[list[Row], str, list[str]]:
    """The rows of ``results`` that have a column, how their intervals came about, and what was kept out.

    For the parameters see `jbench.board.draw`.
    """
    places = {(column.task, column.version) for column in board.columns}
    listed = [result for result in results if _place(result) in places]
    sha256 = _usual(listed, data)
    grouped: dict[bytes, dict[Place, list[Result]]] = {}
    for result in listed:
        grouped.setdefault(row_of(result), {}).setdefault(_place(result), []).append(result)
    rows = [
        {place: _shown(board, several, sha256[place], values) for place, several in row.items()}
        for row in grouped.values()
    ]
    names = labels([next(iter(row.values())).result for row in rows])
    spread, unsure = _spread(board, rows, names, track("intervals, by column", len(board.columns)))
    kept_out = [
        f"{name} on {one.result.task}: {reason}"
        for name, row in zip(names, rows, strict=True)
        for one in row.values()
        for reason in dict.fromkeys(filter(None, one.apart.values()))
    ]
    units = dict.fromkeys(one.unit for row in spread for one in row if one)
    drawn = [_row(board, *one, tasks) for one in zip(rows, names, spread, strict=True)]
    return drawn, statistics.method(tuple(units)) if units else "", [*kept_out, *unsure]


def _place(result: Result) -> Place:
    return result.task, result.task_version


def _usual(results: Sequence[Result], data: Mapping[Place, str]) -> dict[Place, str]:
    """The sha256 of the data of each column: the one that is known, else that of most results; empty for a draw."""
    counted: dict[Place, Counter[str]] = {}
    for result in results:
        counted.setdefault(_place(result), Counter())[_sha256(result)] += 1
    found = dict(data)
    for place, hashes in counted.items():
        (most, count), *others = hashes.most_common(2)
        found.setdefault(place, most if not others or others[0][1] < count else "")
    return found


def _sha256(result: Result) -> str:
    said = str(result.data.get("sha256", ""))
    return said if re.fullmatch("[0-9a-f]{64}", said) else ""


def _shown(board: Board, several: Sequence[Result], sha256: str, values: Callable[[Result], Values | None]) -> _Shown:
    """The result of one row on one task; of several that are not the same, the first on the column's data."""
    result = next((one for one in several if _sha256(one) == sha256), several[0])
    rivals = [one for one in several if _sha256(one) == _sha256(result) and not same_figures(one, result)]
    reasons = [_other_data(result, sha256)]
    if rivals:
        figures = " and ".join(f"{one.scores[one.main]:.4f}" for one in (result, *rivals))
        reasons.append(f"results of one row disagree ({result.main} {figures})")
    held = None
    try:
        held = values(result)
    except Unavailable as error:
        reasons.append(str(error))
    measures = [c.measure for c in board.columns if (c.task, c.version) == _place(result)]
    apart = {
        measure: "; ".join(
            filter(None, [*reasons, _other_definition(result, measure), disproof(held, measure) if held else ""])
        )
        for measure in measures
        if measure in result.scores
    }
    return _Shown(result, held, apart)


def _other_data(result: Result, sha256: str) -> str:
    mine = _sha256(result)
    if mine == sha256:
        return ""
    against = f"the column's is {sha256[:12]}" if sha256 else "others' differs, and neither is the more usual"
    return f"measured on other data (sha256 {mine[:12] or 'missing'}; {against})"


def _other_definition(result: Result, measure: str) -> str:
    try:
        ours = parse(measure).definition
    except UsageError:  # of which only published numbers exist
        ours = ""
    by = result.definitions.get(measure)
    return "" if ours and by == ours else f"{measure} by another definition ({by!r:.80}, not {ours or 'known here'})"


def _spread(
    board: Board, rows: Sequence[Mapping[Place, _Shown]], names: Sequence[str], advance: Advance
) -> tuple[list[list[Spread | None]], list[str]]:
    """For each row and column what resampling says of the score, and what could not be resampled."""
    found, complaints = [], []
    for column in board.columns:
        cells = [row.get((column.task, column.version)) for row in rows]
        spreads, reasons = statistics.spreads(
            [one.values if one and not one.apart.get(column.measure) else None for one in cells], column.measure
        )
        found.append(spreads)
        told = zip(names, reasons, strict=True)
        complaints += [f"{name} on {column.id}: no interval: {reason}" for name, reason in told if reason]
        advance(1)
    return [list(row) for row in zip(*found, strict=True)], complaints


def _row(
    board: Board,
    shown: Mapping[Place, _Shown],
    label: str,
    spread: Sequence[Spread | None],
    tasks: Mapping[str, Task],
) -> Row:
    results = [one.result for one in shown.values()]
    first = results[0]
    seen = seen_by(first.model, first.revision, joined([result.training for result in results]), tasks)
    cells: list[Cell | None] = []
    for column, beside in zip(board.columns, spread, strict=True):
        one = shown.get((column.task, column.version))
        if one is None or column.measure not in one.result.scores:
            cells.append(None)
            continue
        cell = Cell(
            one.result.scores[column.measure],
            one.result.ties.get(column.measure),
            apart=one.apart[column.measure],
            exposure=seen(column.task),
            interval=beside.interval if beside else None,
            ranks=beside.ranks if beside else None,
            histogram=beside.histogram if beside else None,
        )
        cells.append(cell)
    return Row(
        label=label,
        model=first.model,
        revision=first.revision,
        adapter=first.adapter,
        variant=first.variant,
        unprompted=tuple(sorted({role for result in results for role in result.unprompted})),
        truncated=sum(result.counts.get("truncated", 0) for result in results),
        cells=tuple(cells),
        average=average(board, cells),
        means=by_domain(board, cells),
        cost=_cost(results),
    )


def _cost(results: Iterable[Result]) -> dict[str, float]:
    """What the results say of `COSTS`, the mean where they differ; a stranger's may say anything."""
    said = [result.host.get("cost") for result in results]
    known = {
        name: [cost[name] for cost in said if isinstance(cost, dict) and _is_size(cost.get(name))] for name in COSTS
    }
    return {name: fmean(values) for name, values in known.items() if values}


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
