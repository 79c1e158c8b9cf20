"""Two models over tasks: their results found by name or made, then compared value by value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jbench import canary, resample, statistics
from jbench.board import full_revision, is_older, labels, of_tasks, row_of
from jbench.evaluate import Failure, evaluate
from jbench.models.options import Options
from jbench.registry import Board, Column
from jbench.results import located, same_figures
from jbench.statistics import Comparison
from jbench.task import Task
from jbench.types import Result, Unavailable, UsageError, unknown

Row = Mapping[tuple[str, int], tuple[Path, Result]]
"""The results of one model and where each lies, by task and version."""


@dataclass(frozen=True)
class Report:
    """``sides`` are the labels of A and B, ``models`` what they are.

    ``missing`` says which of the two lacks a result that the other has, ``failures`` what went wrong
    where a model was evaluated.
    """

    sides: tuple[str, str]
    models: tuple[dict[str, Any], dict[str, Any]]
    comparisons: tuple[Comparison, ...]
    missing: tuple[str, ...]
    failures: tuple[Failure, ...]

    def regressions(self, limit: float) -> list[Comparison]:
        """Where B is below A by more than ``limit`` (a fraction), significantly after Holm's correction.

        :raises Unavailable: where one of the two was not measured, or there is nothing to test with.
        """
        if self.missing:
            raise Unavailable(f"whether there is a regression cannot be told: {self.missing[0]}")
        if untested := [c for c in self.comparisons if c.holm is None]:
            where = f"{untested[0].task} {untested[0].measure}"
            raise Unavailable(f"whether there is a regression on {where} cannot be told: {untested[0].reason}")
        return [c for c in self.comparisons if -c.difference > limit and c.significant]

    def as_dict(self) -> dict[str, Any]:
        """What ``jbench compare --json`` prints."""
        a, b = ({"label": label, **model} for label, model in zip(self.sides, self.models, strict=True))
        return {
            "a": a,
            "b": b,
            "comparisons": [asdict(c) for c in self.comparisons],
            "missing": list(self.missing),
            "failures": [{"task": f.task, "model": f.model, "error": f.error, "exit": f.exit} for f in self.failures],
        }

    def rows(self) -> list[dict[str, str]]:
        """What people read, a row a comparison: figures in points, p with four digits."""
        return [_shown(comparison) for comparison in self.comparisons]

    def method(self) -> str:
        """How the figures came about, in one sentence."""
        said = f"A is {self.sides[0]}, B is {self.sides[1]}; figures are percentages, the difference is B less A"
        tested = [c for c in self.comparisons if c.p is not None]
        if not tested:
            return f"{said}."
        first, rows = tested[0], f"{len(tested)} row{'s' * (len(tested) > 1)}"
        drawn = " and ".join(statistics.PLURAL[unit] for unit in dict.fromkeys(c.unit for c in tested))
        return (
            f"{said}, its interval the {first.interval} over {drawn}, p a two-sided paired permutation test over the "
            f"same, Holm p that over {rows}; {first.resamples:,} resamples, seed {first.seed}."
        )


def compare(
    names: tuple[str, str],
    roots: Sequence[Path],
    into: Path,
    tasks: Sequence[Task] = (),
    board: Board | None = None,
    options: Options | None = None,
    resamples: int = statistics.RESAMPLES,
    seed: int = statistics.SEED,
    tell: Callable[[Result | Failure], None] = lambda outcome: None,
) -> Report:
    """A and B by the main measures of ``tasks``, or by the columns of ``board``, whose tasks these are.

    Without tasks, by the main measures of all for which both have results.

    A name is first that of results under ``roots``: a label as boards print it, a model, or
    model@revision. It is a model string, evaluated into ``into``, where no results are called so, or
    they lack one of ``tasks`` that were asked for without a board. ``tell`` hears of each evaluation.

    :raises UsageError: for a name of several rows, no task in common, or results that answer different
        questions; for too few resamples, or a seed below 0.
    """
    options = options or Options()
    statistics.check_draws(resamples, seed)
    wanted = {(task.id, task.version) for task in tasks}
    found = located(roots, options.say)
    if tasks:
        found = {path: one for path, one in found.items() if (one.task, one.task_version) in wanted}
    rows = [named(name, found) for name in names]
    canary.warn((result for row in rows for _, result in row.values()), options.say)
    failures: list[Failure] = []
    if tasks:
        columns = [column for column in (board or of_tasks(tasks)).columns if (column.task, column.version) in wanted]
        for i, name in enumerate(names):
            if not rows[i] or (not board and wanted - rows[i].keys()):
                made, failed = _evaluated(name, tasks, into, options, tell)
                rows[i] = made or rows[i]
                failures += failed
    else:
        columns = _in_common(names, rows, [*found.values()])
    a, b = rows
    sides = _sides(names, a, b)
    both = [column for column in columns if (column.task, column.version) in a.keys() & b.keys()]
    one = [column for column in columns if (column.task, column.version) in a.keys() ^ b.keys()]
    if not both and not failures:
        raise UsageError(f"{sides[0]} and {sides[1]} have no task in common")
    lacking = [(column, sides[(column.task, column.version) in a]) for column in one]
    return Report(
        sides=sides,
        models=(_who(a), _who(b)),
        comparisons=tuple(statistics.corrected([_compared(a, b, column, resamples, seed) for column in both])),
        missing=tuple(f"{label} has no result on {column.task}" for column, label in lacking),
        failures=tuple(failures),
    )


def named(name: str, found: Mapping[Path, Result]) -> Row:
    """The results that ``name`` stands for: a label as boards print it, else a model or model@revision.

    Empty when there are none.

    :raises UsageError: when several rows are called so, with their labels; when files disagree.
    """
    rows: dict[bytes, dict[tuple[str, int], list[tuple[Path, Result]]]] = {}
    for path, result in found.items():
        rows.setdefault(row_of(result), {}).setdefault((result.task, result.task_version), []).append((path, result))
    ones = [next(iter(row.values()))[0][1] for row in rows.values()]
    labelled = list(zip(labels(ones), ones, rows.values(), strict=True))
    chosen = [(label, row) for label, _, row in labelled if label == name]
    chosen = chosen or [(label, row) for label, one, row in labelled if _is_called(one, name)]
    if len(chosen) > 1:  # a name means the row of today, where the others are of an older way to take revisions
        today = [(label, row) for label, row in chosen if not is_older(next(iter(row.values()))[0][1])]
        chosen = today if len(today) == 1 else chosen
    if len(chosen) > 1:
        raise UsageError(f"{name!r} has several results; write one of: {', '.join(label for label, _ in chosen)}")
    return {place: _only(several) for place, several in chosen[0][1].items()} if chosen else {}


def _only(several: Sequence[tuple[Path, Result]]) -> tuple[Path, Result]:
    """The one result of a row on a task, of which there may be copies."""
    path, result = several[0]
    if rival := next((other for other, one in several if not same_figures(one, result)), None):
        raise UsageError(f"two results of {result.model} on {result.task} disagree: {path} and {rival}")
    return path, result


def _is_called(result: Result, name: str) -> bool:
    model, at, revision = name.rpartition("@")
    revisions = (result.revision, full_revision(result))
    return name == result.model or bool(
        at and revision and model == result.model and any(one.startswith(revision) for one in revisions)
    )


def _in_common(names: tuple[str, str], rows: Sequence[Row], found: Sequence[Result]) -> list[Column]:
    """Each task that both have, at the newest version, by its main measure."""
    for name, row in zip(names, rows, strict=True):
        if not row:
            error = unknown("result", name, {one.model for one in found})
            raise UsageError(f"{error} (to evaluate a model, name --task ID or --board NAME)")
    newest = dict(sorted(rows[0].keys() & rows[1].keys()))
    for task in sorted({task for task, _ in rows[0]} & {task for task, _ in rows[1]} - newest.keys()):
        versions = (max(version for t, version in row if t == task) for row in rows)
        told = "{} and {}".format(*versions)
        raise UsageError(f"{names[0]} and {names[1]} cannot be compared: different versions of {task}, {told}")
    if not newest:
        raise UsageError(f"{names[0]} and {names[1]} have no task in common: name --task ID or --board NAME")
    return [Column(task=t, version=v, measure=rows[0][t, v][1].main) for t, v in newest.items()]


def _evaluated(
    name: str, tasks: Sequence[Task], into: Path, options: Options, tell: Callable[[Result | Failure], None]
) -> tuple[Row, list[Failure]]:
    results: list[Result] = []
    failures: list[Failure] = []
    for outcome in evaluate([name], tasks, into, options):
        tell(outcome)
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            results.append(outcome)
    keys = {result.key for result in results}
    kept = located([into], lambda complaint: None) if keys else {}
    return {(one.task, one.task_version): (path, one) for path, one in kept.items() if one.key in keys}, failures


def _compared(a: Row, b: Row, column: Column, resamples: int, seed: int) -> Comparison:
    (a_path, one), (b_path, other) = (row[column.task, column.version] for row in (a, b))
    try:
        values: Any = resample.read(a_path, one), resample.read(b_path, other)
    except Unavailable as error:
        values = str(error)
    return statistics.compare(one, other, values, column.measure, resamples, seed)


def _sides(names: tuple[str, str], a: Row, b: Row) -> tuple[str, str]:
    ones = [next(iter(row.values()))[1] for row in (a, b) if row]
    told = iter(labels(ones))
    one, other = (next(told) if row else name for name, row in zip(names, (a, b), strict=True))
    return one, other


def _shown(c: Comparison) -> dict[str, str]:
    shown = {"task": c.task, "measure": c.measure, "A": f"{100 * c.a:.2f}", "B": f"{100 * c.b:.2f}"}
    shown["difference"] = f"{100 * c.difference:+.2f}"
    if c.low is None or c.high is None or c.p is None or c.holm is None:
        return shown | {"95 % interval": f"none: {c.reason}", "p": "", "Holm p": "", "n": ""}
    shown["95 % interval"] = f"{100 * c.low:+.2f} to {100 * c.high:+.2f}"
    within = "" if c.clusters is None else f" in {c.clusters:,} clusters"
    return shown | {"p": f"{c.p:.4g}", "Holm p": f"{c.holm:.4g}", "n": f"{c.items:,}{within}"}


def _who(row: Row) -> dict[str, Any]:
    one = next((result for _, result in row.values()), None)
    return (
        {}
        if one is None
        else {n: getattr(one, n) for n in ("model", "revision", "digest", "adapter", "settings", "variant")}
    )
