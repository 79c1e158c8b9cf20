"""The reports' orderings on small models: each arm's score over seeds, each claim held, reversed or undecided.

Seeds are resampled first, then a task's units (queries, pairs or clusters), which are the same for every arm: they
answered the same questions. An arm's value on a resample is the mean over the drawn seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat

from jbench import resample
from jbench.cache import recalled
from jbench.metrics import parse
from jbench.registry import find_tasks
from jbench.resample import LEVEL, Values, batch, check_defined, counts, figure, score_of
from jbench.results import located, same_figures
from jbench.statistics import RESAMPLES, SEED, check_items
from jbench.task import Task
from jbench.train.claims.arms import Arm, Claim
from jbench.train.claims.commands import names
from jbench.types import Float64, Result, Track, Unavailable, UsageError, silent

HELD, REVERSED, UNDECIDED, NOT_RUN = "held", "reversed", "undecided", "not run"
_METHOD = "resamples-1"
"""Rises when the same values would give other resamples."""

Interval = tuple[float, float]
Data = Mapping[tuple[str, int], str]
"""The sha256 of a task's data, by task and version."""


@dataclass(frozen=True, eq=False)
class Score:
    """One arm on one task, in fractions: ``by_seed`` (None: nothing is trained) by the task's main measure.

    ``resampled`` is float64[RESAMPLES], one value a resample; ``unit`` is what was drawn beside seeds.
    """

    by_seed: Mapping[int | None, float]
    resampled: Float64
    unit: str

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return fmean(self.by_seed.values())

    @property
    def interval(self) -> Interval:
        """The 95 % percentile interval."""
        return _interval(self.resampled)

    @property
    def deviation(self) -> float | None:
        """The standard deviation over the seeds, with n - 1; None for one."""
        return stdev(self.by_seed.values()) if len(self.by_seed) > 1 else None


@dataclass(frozen=True)
class Verdict:
    """A claim on one task; ``difference`` is better less worse, a fraction, None where one was not run."""

    claim: Claim
    task: str
    difference: float | None = None
    interval: Interval | None = None

    @property
    def verdict(self) -> str:
        """Held when the interval lies above 0, reversed when below; undecided when 0 is in it."""
        if self.interval is None:
            return NOT_RUN
        low, high = self.interval
        return HELD if low > 0 else REVERSED if high < 0 else UNDECIDED


@dataclass(frozen=True)
class Report:
    """What was measured of ``arms`` and what became of the claims; ``measures`` are the main ones, by task."""

    arms: tuple[Arm, ...]
    measures: Mapping[str, str]
    scores: Mapping[tuple[str, str], Score]
    verdicts: tuple[Verdict, ...]

    def lacking(self, arm: Arm) -> dict[tuple[int | None, ...], list[str]]:
        """The tasks on which seeds of an arm have no result, by those seeds."""
        found: dict[tuple[int | None, ...], list[str]] = {}
        for task in arm.tasks:
            score = self.scores.get((arm.name, task))
            if missing := tuple(seed for seed in names(arm) if not score or seed not in score.by_seed):
                found.setdefault(missing, []).append(task)
        return found


def judge(
    arms: Sequence[Arm],
    claims: Sequence[Claim],
    folders: Sequence[Path],
    data: Data,
    say: Callable[[str], None],
    track: Track = silent,
) -> Report:
    """The scores of ``arms`` and a verdict for each of ``claims`` and its tasks, from the results in ``folders``.

    Of a result that lies in several folders the last one's counts. Those that are not of the present task, on its
    ``data`` (where that is unknown: the first result's), or not whole are named to ``say`` and left out.
    """
    tasks = {task.id: task for task in find_tasks([task for arm in arms for task in arm.tasks])}
    found = _found(arms, tasks, folders, data, say, track)
    scores: dict[tuple[str, str], Score] = {}
    for arm in arms:
        for task in arm.tasks:
            drawn = {seed: found[name, task] for seed, name in names(arm).items() if (name, task) in found}
            if drawn:
                by_seed = {seed: one.result.scores[one.result.main] for seed, one in drawn.items()}
                trained = arm.commands[-1] if arm.commands else arm.name
                resampled = _over_seeds(np.stack([one.resampled for one in drawn.values()]), trained)
                scores[arm.name, task] = Score(by_seed, resampled, next(iter(drawn.values())).unit)
    verdicts = [_verdict(claim, task, scores) for claim in claims for task in claim.tasks]
    return Report(tuple(arms), {task.id: task.main for task in tasks.values()}, scores, tuple(verdicts))


def _verdict(claim: Claim, task: str, scores: Mapping[tuple[str, str], Score]) -> Verdict:
    better, worse = scores.get((claim.better, task)), scores.get((claim.worse, task))
    if better is None or worse is None:
        return Verdict(claim, task)
    return Verdict(claim, task, figure(better.mean - worse.mean), _interval(better.resampled - worse.resampled))


@dataclass(frozen=True, eq=False)
class _One:
    """A result that counts, where it lies, and its score on each resample of the task's units."""

    path: Path
    result: Result
    resampled: Float64
    unit: str


def _found(
    arms: Sequence[Arm],
    tasks: Mapping[str, Task],
    folders: Sequence[Path],
    data: Data,
    say: Callable[[str], None],
    track: Track,
) -> dict[tuple[str, str], _One]:
    """The result of each name and task that has one."""
    wanted = {(name, task) for arm in arms for name in names(arm).values() for task in arm.tasks}
    asked: dict[str, Values] = {}
    known = dict(data)
    found: dict[tuple[str, str], _One] = {}
    for folder in folders:
        here: dict[tuple[str, str], list[_One]] = {}
        listed = [(p, r) for p, r in located([folder], say).items() if (r.model, r.task) in wanted]
        advance = track(f"resampling in {folder.name}", len(listed))
        for path, result in listed:
            try:
                one = _resampled(path, result, tasks[result.task], known, asked)
                here.setdefault((result.model, result.task), []).append(one)
            except (Unavailable, UsageError) as error:
                say(f"{result.model} on {result.task} is left out: {error}")
            advance(1)
        for (name, task), (one, *others) in here.items():
            if rival := next((other for other in others if not same_figures(one.result, other.result)), None):
                say(f"{name} on {task} is left out: {one.path} and {rival.path} disagree")
                found.pop((name, task), None)
                continue
            earlier = found.get((name, task))
            if earlier and not same_figures(one.result, earlier.result):
                say(f"{name} on {task}: {one.path} counts, not {earlier.path}")
            found[name, task] = one
    return found


def _resampled(
    path: Path, result: Result, task: Task, known: dict[tuple[str, int], str], asked: dict[str, Values]
) -> _One:
    """A result drawn again; the first of a task says what the others must have been asked.

    :raises Unavailable, UsageError: why it does not count.
    """
    if result.task_version != task.version:
        raise Unavailable(f"it is of version {result.task_version}, the task's is {task.version}")
    if result.main != task.main or result.definitions.get(task.main) != parse(task.main).definition:
        raise Unavailable(f"it has no {task.main} by the definition that is known here")
    values = resample.read(path, result)
    score = score_of(values, task.main)
    sha256 = str(result.data.get("sha256", ""))
    if known.setdefault((task.id, task.version), sha256) != sha256:
        raise Unavailable("it was measured on other data")
    check_items(values, asked.setdefault(task.id, values))
    kept = Annotated[list[FiniteFloat], Field(min_length=RESAMPLES, max_length=RESAMPLES)]
    of = [result.host["values"], task.main, result.scores[task.main], result.definitions[task.main]]
    resampled = recalled(
        "resamples", [_METHOD, version("numpy"), RESAMPLES, SEED, *of], kept, lambda: _drawn(score, values.units)
    )
    return _One(path, result, np.array(resampled), values.drawn)


def _drawn(score: resample.Score, units: int) -> list[float]:
    """The score on each resample; the draws depend on nothing but how many units there are."""
    rng, step = np.random.default_rng(SEED), batch(units)
    found = []
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(0, units, (min(step, RESAMPLES - start), units))
        found.append(score(counts(drawn, units)))
    resampled = np.concatenate(found)
    check_defined(resampled, units)
    kept: list[float] = resampled.tolist()
    return kept


def _over_seeds(resampled: Float64, trained: str) -> Float64:
    """The mean over as many seeds as there are, drawn with replacement: of float64[seeds, RESAMPLES].

    Arms draw by how they were ``trained``: those of one training alike, and none depends on which others there are.
    """
    rng = np.random.default_rng([SEED, *trained.encode()])
    drawn = rng.integers(0, len(resampled), (len(resampled), RESAMPLES))
    mean: Float64 = np.take_along_axis(resampled, drawn, axis=0).mean(axis=0)
    return mean


def _interval(resampled: Float64) -> Interval:
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return figure(low), figure(high)
