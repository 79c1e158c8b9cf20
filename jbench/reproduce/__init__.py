"""Published figures against the same figures computed here, in four classes that are kept apart.

Measured: from run files or models. Derived: recomputed from finer figures that were published too, as the
best, the mean or the rank of them. Rounded: the same figure, which was published with more decimals
elsewhere. Not computable here: with what it would take. A figure is compared with everything at hand that
gives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jbench.published import FAMILIES, cells
from jbench.registry import own_tasks
from jbench.reproduce.cell import KINDS, VERDICTS, Cell, Computed, Printed, Setting, compared
from jbench.reproduce.means import of_parts
from jbench.reproduce.measure import DIFFERS, Asked, Scores, comparable, of_results, of_runs, runnable
from jbench.reproduce.simcse import RANKING, SETTING, of_grid, placed, tables
from jbench.types import Result, Track, UsageError, unknown


def published(source: str | None = None) -> list[Printed]:
    """Every published figure, or those of one source, a file of `jbench.published`.

    :raises UsageError: for a source that is not known.
    """
    if source is not None and source not in FAMILIES:
        raise unknown("source", source, FAMILIES)
    every = [Printed.of(cell) for cell in cells()] + tables()
    return [one for one in every if source in (None, one.origin)]


def reproduce(
    wanted: Sequence[Printed],
    results: Sequence[Result],
    failures: Mapping[tuple[str, str], str],
    data: Mapping[tuple[str, int], str],
    say: Callable[[str], None],
    track: Track,
) -> list[Cell]:
    """Each figure of ``wanted`` compared with what ``results``, run files and finer figures give.

    ``failures`` says, by model and task, why a model gave no result where it was scored for this. For
    ``data`` and ``say`` see `jbench.reproduce.measure.comparable`.
    """
    results = comparable(wanted, results, data, say)
    figures = {(one.origin, one.place): one for one in published()}
    fine = of_grid()
    runs = of_runs(wanted, results, track)
    found: list[Cell] = []
    for one in wanted:
        run = runs.get(one)
        derived = (fine.get(placed(one)) if one.origin == "simcse" else None) or of_parts(one, figures)
        ways: list[tuple[Computed | Setting | None, tuple[str, ...]]] = [(derived, ())]
        if isinstance(run, Scores):
            ways.append((run.computed(one.measure), ()))
        ways += [(scored.computed(one.measure), DIFFERS) for scored in of_results(one, results)]
        mine = [compared(one, computed, excuses) for computed, excuses in ways if computed]
        if not mine:
            why = failures.get((Asked.of(one).model, one.task)) or (run if isinstance(run, str) else _needs(one))
            mine = [Cell(one, reason=why)]
        found += mine
    return found


def _needs(one: Printed) -> str:
    """What it would take to compute a figure that nothing at hand gives."""
    if one.task.startswith(RANKING) or one.task == SETTING:
        return "the grid of the unsupervised runs: hppRC/simple-simcse-ja, results/unsup-simcse/all.csv (1,152 rows)"
    if runnable(one) is None:
        return _because(one)
    asked = Asked.of(one)
    if asked.checkpoint:
        dtype = " in fp16, as published" if asked.dtype == "float16" else ""
        return f"the checkpoint{dtype}: with a hub, jbench reproduce {one.origin} --models"
    if own_tasks()[one.task].kind == "sts":
        return "the vectors of a model that is no checkpoint of the hub"
    return "the run file of a model that is no checkpoint of the hub: jbench run run:FILE --name MODEL --task TASK"


def _because(one: Printed) -> str:
    task = own_tasks()[one.task]
    if task.kind == "mean":
        return "the figures that were averaged, which are not published"
    try:
        task.load()  # a task of published numbers alone refuses, and says why
    except UsageError as error:
        return str(error).partition(": ")[2]
    raise AssertionError(f"{task.id} can be run")


def tally(found: Sequence[Cell]) -> list[dict[str, Any]]:
    """How many figures of each source and class were compared, by verdict."""
    by_kind = Counter((cell.printed.origin, cell.kind) for cell in found)
    verdicts = Counter((cell.printed.origin, cell.kind, cell.verdict) for cell in found)
    open_ = Counter((cell.printed.origin, cell.kind) for cell in found if cell.unexplained)
    return [
        {
            "source": source,
            "class": kind,
            "cells": by_kind[source, kind],
            **{verdict: verdicts[source, kind, verdict] for verdict in VERDICTS},
            "without a reason": open_[source, kind],
        }
        for source in FAMILIES
        for kind in KINDS
        if by_kind[source, kind]
    ]
