"""Rows that were measured: what belongs together, what stands apart, what resampling says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from jbench import statistics
from jbench.board.means import average, by_domain, seen_by
from jbench.board.rows import labels, row_of
from jbench.board.table import COSTS, Cell, Row
from jbench.manifest import joined
from jbench.metrics import parse
from jbench.registry import Board
from jbench.resample import Values
from jbench.statistics import Spread
from jbench.task import Task
from jbench.types import Result, UsageError

Found = dict[tuple[str, int], Result]
"""The results of one row by task and version."""


def measured_rows(
    board: Board,
    results: Sequence[Result],
    tasks: Mapping[str, Task],
    values: Callable[[Result], Values | None],
    data: Mapping[tuple[str, int], str],
) -> tuple[list[Row], str, list[str]]:
    """The rows of ``results`` that have a column, how their intervals came about, and what was kept out.

    For the parameters see `jbench.board.draw`.
    """
    wanted = {(column.task, column.version) for column in board.columns}
    shown = [result for result in results if (result.task, result.task_version) in wanted]
    apart = _apart(board, shown, data)
    rows: dict[bytes, Found] = {}
    for result in shown:
        rows.setdefault(row_of(result), {})[result.task, result.task_version] = result
    found = list(rows.values())
    names = labels([next(iter(row.values())) for row in found])
    spread, unsure = _spread(board, found, names, apart, values)
    drawn = [_row(board, *one, tasks, apart) for one in zip(found, names, spread, strict=True)]
    kept = [
        f"{name} on {one.task}: {apart[id(one)]}"
        for name, row in zip(names, found, strict=True)
        for one in row.values()
        if id(one) in apart
    ]
    units = dict.fromkeys(one.unit for row in spread for one in row if one)
    return drawn, statistics.method(tuple(units)) if units else "", [*kept, *unsure]


def _apart(board: Board, results: Sequence[Result], data: Mapping[tuple[str, int], str]) -> dict[int, str]:
    """Why a result (by identity) is not counted: other data than its column's, or another definition."""
    hashes: dict[tuple[str, int], Counter[str]] = {}
    for result in results:
        hashes.setdefault((result.task, result.task_version), Counter())[_sha(result)] += 1
    own = dict(data)
    for key, counted in hashes.items():
        (most, count), *others = counted.most_common(2)
        own.setdefault(key, most if not others or others[0][1] < count else "")
    found = {}
    for result in results:
        mine, theirs = _sha(result), own[result.task, result.task_version]
        if mine != theirs:
            against = f"the column's is {theirs[:12]}" if theirs else "others' differs, and neither is the more usual"
            found[id(result)] = f"measured on other data (sha256 {mine[:12] or 'missing'}; {against})"
        for measure in _shown(board, result):
            by, ours = result.definitions.get(measure), _definition(measure)
            if by != ours or not ours:
                found[id(result)] = f"{measure} by another definition ({by or 'missing'}, not {ours or 'known here'})"
    return found


def _definition(measure: str) -> str:
    """What jbench computes under the name; empty for a measure of which only published numbers exist."""
    try:
        return parse(measure).definition
    except UsageError:
        return ""


def _shown(board: Board, result: Result) -> list[str]:
    """The measures by which the board shows a result."""
    key = result.task, result.task_version
    return [c.measure for c in board.columns if (c.task, c.version) == key and c.measure in result.scores]


def _sha(result: Result) -> str:
    return str(result.data.get("sha256", ""))


def _spread(
    board: Board,
    rows: Sequence[Found],
    names: Sequence[str],
    apart: Mapping[int, str],
    values: Callable[[Result], Values | None],
) -> tuple[list[list[Spread | None]], list[str]]:
    """For each row and column what resampling says of the score, and what could not be resampled."""
    read = [{key: None if id(one) in apart else values(one) for key, one in row.items()} for row in rows]
    found, complaints = [], []
    for column in board.columns:
        held = [row.get((column.task, column.version)) for row in read]
        spreads, reasons = statistics.spreads(held, column.measure)
        found.append(spreads)
        complaints += [
            f"{name} on {column.id}: no interval: {why}" for name, why in zip(names, reasons, strict=True) if why
        ]
    return [list(row) for row in zip(*found, strict=True)], complaints


def _row(
    board: Board,
    found: Found,
    label: str,
    spread: Sequence[Spread | None],
    tasks: Mapping[str, Task],
    apart: Mapping[int, str],
) -> Row:
    one = next(iter(found.values()))
    seen = seen_by(one.model, one.revision, joined([result.training for result in found.values()]), tasks)
    cells: list[Cell | None] = []
    for column, beside in zip(board.columns, spread, strict=True):
        result = found.get((column.task, column.version))
        if result is None or column.measure not in result.scores:
            cells.append(None)
            continue
        cell = Cell(result.scores[column.measure], result.ties.get(column.measure), exposure=seen(column.task))
        cell = replace(cell, apart=apart.get(id(result), ""))
        if beside:
            cell = replace(cell, interval=beside.interval, ranks=beside.ranks, histogram=beside.histogram)
        cells.append(cell)
    unprompted = sorted({role for result in found.values() for role in result.unprompted})
    return Row(
        label=label,
        model=one.model,
        revision=one.revision,
        adapter=one.adapter,
        variant=one.variant,
        unprompted=tuple(unprompted),
        truncated=sum(result.counts.get("truncated", 0) for result in found.values()),
        cells=tuple(cells),
        average=average(board, cells),
        means=by_domain(board, cells),
        cost=_cost(found.values()),
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
