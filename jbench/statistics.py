"""Is a difference real? Two results on one task, compared value by value; ranks that tests leave open.

Intervals are percentile bootstraps, p values paired permutation tests (`resample`). Percentile rather
than BCa: it needs no jackknife, is defined wherever the resamples are, and swapping the two models
mirrors it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat, PositiveInt

from jbench.cache import recalled
from jbench.metrics import parse
from jbench.resample import (
    LEVEL,
    TINY,
    Values,
    batch,
    check_defined,
    figure,
    interval,
    p_value,
    score_of,
    sums_of,
    swapped_correlations,
    swapped_means,
)
from jbench.types import Float64, JbenchError, Result, Unavailable, UsageError

RESAMPLES, SEED = 9_999, 0
ALPHA = 0.05
FEWEST = 99
"""With fewer resamples the corrected p of two tasks could not fall below `ALPHA`."""
PLURAL = {"query": "queries", "pair": "pairs", "cluster": "clusters"}
"""What is drawn, in words."""
_BINS = 20
_METHOD = "percentile-1"
"""Rises when the same values would give another interval or rank."""
_SWAPPED = {"spearman": "ranks of the predictions", "pearson": "standardised predictions"}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One measure of one task under two models; scores and ``difference`` (``b`` less ``a``) are fractions.

    ``low`` and ``high`` bound the 95 % interval, ``p`` is two-sided, ``holm`` the same corrected over
    all that was compared with it; the four are None where ``reason`` says why. ``items`` were measured,
    in ``clusters`` (None: the task has none); ``unit`` is what was drawn and swapped.
    """

    task: str
    task_version: int
    measure: str
    a: float
    b: float
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    holm: float | None = None
    items: int | None = None
    clusters: int | None = None
    unit: str = ""
    interval: str = ""
    test: str = ""
    resamples: int
    seed: int
    reason: str = ""

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below 0.05."""
        return self.holm is not None and self.holm < ALPHA


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """For each row the smallest and largest rank that the tests leave open; None for a row without values.

    Ranks are among the rows that have values.
    """

    task: str
    measure: str
    ranks: tuple[tuple[int, int] | None, ...]
    unit: str
    test: str
    resamples: int
    seed: int


@dataclass(frozen=True)
class Spread:
    """What resampling says of one score: its 95 % ``interval`` and the best and worst of its ``ranks``.

    ``histogram`` counts the per-query values in 20 equal steps from 0 to 1; None for a correlation, which
    has no value a pair. ``unit`` is what was drawn.
    """

    interval: tuple[float, float]
    ranks: tuple[int, int]
    histogram: tuple[int, ...] | None
    unit: str


def compare(
    a: Result,
    b: Result,
    values: tuple[Values, Values] | str,
    measure: str,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Two results by one measure; ``values`` are those of a and b, or why there are none.

    :raises UsageError: when the two answer different questions; for too few resamples, or a seed below 0.
    """
    check_draws(resamples, seed)
    _check_same(a, b, measure)
    plain = Comparison(
        task=a.task,
        task_version=a.task_version,
        measure=measure,
        a=a.scores[measure],
        b=b.scores[measure],
        difference=figure(b.scores[measure] - a.scores[measure]),
        resamples=resamples,
        seed=seed,
    )
    if isinstance(values, str):
        return replace(plain, reason=values)
    check_items(*values)
    try:
        return _tested(plain, *values)
    except Unavailable as error:
        return replace(plain, reason=str(error))


def score_interval(values: Values, measure: str, resamples: int = RESAMPLES, seed: int = SEED) -> tuple[float, float]:
    """The 95 % interval of one model's score.

    :raises Unavailable: when its values give none.
    """
    check_draws(resamples, seed)
    return interval([score_of(values, measure)], values.units, resamples, seed)


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same with ``holm`` over those that have a p."""
    ps = iter(holm([c.p for c in comparisons if c.p is not None]))
    return [c if c.p is None else replace(c, holm=next(ps)) for c in comparisons]


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p values, in the order given."""
    given = np.asarray(ps, np.float64)
    order = np.argsort(given, kind="stable")
    adjusted = np.empty(len(given))
    adjusted[order] = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    return [figure(p) for p in np.minimum(adjusted, 1.0)]


def rank_intervals(rows: Sequence[Values | None], measure: str, resamples: int = RESAMPLES, seed: int = SEED) -> Ranks:
    """The ranks of ``rows`` on one task that tests of all pairs leave open, at 5 % over the pairs together.

    A row's best rank is 1 and one more for each row that is significantly better, its worst likewise.
    The correction is Westfall and Young's step-down over one set of sign flips: Holm's on the joint
    distribution. Holm's own bound, p times the number of pairs, is beyond 9,999 resamples from 23
    rows on. A correlation stands in it by the jackknife's pseudo-values.

    :raises UsageError: when the rows answer different questions, or none has values.
    :raises Unavailable: when the values of one give no score.
    """
    check_draws(resamples, seed)
    present = [row for row in rows if row is not None]
    if not present:
        raise UsageError("no row has per-query values to rank")
    first = present[0]
    for row in present[1:]:
        _check_same(first.result, row.result, measure)
        check_items(first, row)
    wins = _wins(np.stack([_shares(row, measure) for row in present], axis=1), resamples, seed)
    better, worse = wins.sum(axis=0), wins.sum(axis=1)
    found = iter(zip((1 + better).tolist(), (len(present) - worse).tolist(), strict=True))
    return Ranks(
        task=first.result.task,
        measure=measure,
        ranks=tuple(None if row is None else next(found) for row in rows),
        unit=first.drawn,
        test="sign flips, step-down over all pairs (Westfall-Young)",
        resamples=resamples,
        seed=seed,
    )


def spreads(rows: Sequence[Values | None], measure: str) -> tuple[list[Spread | None], list[str]]:
    """For each row of one column what resampling says of its score, and why it says nothing (else empty)."""
    reasons = [""] * len(rows)
    held: dict[int, Values] = {}
    intervals: dict[int, tuple[float, float]] = {}
    for i, row in enumerate(rows):
        if row is None or measure not in row.result.scores:
            continue
        try:
            first = next(iter(held.values()), row)
            _check_same(first.result, row.result, measure)
            check_items(first, row)
            intervals[i] = _interval(row, measure)
            held[i] = row
        except JbenchError as error:
            reasons[i] = str(error)
    found: list[Spread | None] = [None] * len(rows)
    among = [*held.values()]
    for (i, row), open_to in zip(held.items(), _ranks(among, measure) if among else (), strict=True):
        found[i] = Spread(intervals[i], open_to, _histogram(row, measure), row.drawn)
    return found, reasons


def _interval(row: Values, measure: str) -> tuple[float, float]:
    shape = tuple[FiniteFloat, FiniteFloat]
    return recalled("intervals", _drawn([row], measure), shape, lambda: score_interval(row, measure))


def _ranks(rows: Sequence[Values], measure: str) -> tuple[tuple[int, int], ...]:
    shape = Annotated[tuple[tuple[PositiveInt, PositiveInt], ...], Field(min_length=len(rows), max_length=len(rows))]
    return recalled(
        "ranks", _drawn(rows, measure), shape, lambda: tuple(filter(None, rank_intervals(rows, measure).ranks))
    )


def _drawn(rows: Sequence[Values], measure: str) -> list[Any]:
    """All that an interval or ranks depend on."""
    of = [
        [row.result.host.get("values"), row.result.scores[measure], row.result.definitions.get(measure)] for row in rows
    ]
    return [_METHOD, *_libraries(), measure, LEVEL, ALPHA, RESAMPLES, SEED, of]


@cache
def _libraries() -> tuple[str, ...]:
    """The versions of what draws: numpy's random streams and scipy's bootstrap may change between them."""
    return version("numpy"), version("scipy")


def method(units: Sequence[str]) -> str:
    """How the intervals and ranks of `spreads` came about, in a sentence; ``units`` were drawn."""
    drawn = " and ".join(PLURAL[unit] for unit in units)
    return (
        f"95 % percentile bootstrap over {drawn}; ranks that tests of all pairs leave open at 5 % together (sign flips "
        f"of the same, Westfall-Young step-down); {RESAMPLES:,} resamples, seed {SEED}"
    )


def _histogram(values: Values, measure: str) -> tuple[int, ...] | None:
    if not parse(measure).ranked:
        return None
    counts, _ = np.histogram(values.columns[measure], _BINS, (0.0, 1.0))
    return tuple(counts.tolist())


def check_draws(resamples: int, seed: int) -> None:
    """Refuse what cannot be drawn.

    :raises UsageError: for fewer than 99 resamples, or a seed below 0.
    """
    if resamples < FEWEST:
        raise UsageError(f"{resamples} resamples are too few: {FEWEST} or more")
    if seed < 0:
        raise UsageError(f"seed {seed} must be 0 or more")


def _check_same(a: Result, b: Result, measure: str) -> None:
    who = f"{a.model} and {b.model} cannot be compared"
    if a.task != b.task:
        raise UsageError(f"{who}: one is of {a.task}, the other of {b.task}")
    for what, one, other in (
        ("versions of the task", a.task_version, b.task_version),
        ("data (sha256)", str(a.data.get("sha256"))[:12], str(b.data.get("sha256"))[:12]),
        (f"definitions of {measure}", a.definitions.get(measure), b.definitions.get(measure)),
    ):
        if one != other:
            raise UsageError(f"{who} on {a.task}: different {what}, {one} and {other}")
    if lacking := [result.model for result in (a, b) if measure not in result.scores]:
        raise UsageError(f"{lacking[0]} has no {measure} on {a.task}")


def check_items(a: Values, b: Values) -> None:
    """Refuse values of other questions, or of the same in another order.

    :raises UsageError: saying how they differ.
    """
    who = f"{a.result.model} and {b.result.model} cannot be compared on {a.result.task}"
    if a.items != b.items:
        stray = sorted(set(a.items) ^ set(b.items))
        how = f"only one has {stray[0]!r}" if stray else "in different orders"
        raise UsageError(f"{who}: different items, {len(a.items)} and {len(b.items)}, {how}")
    if a.clustered != b.clustered or not np.array_equal(a.unit, b.unit):
        raise UsageError(f"{who}: their items are clustered in different ways")
    for column in ("gold", "relevant"):
        if not np.array_equal(a.columns.get(column, ()), b.columns.get(column, ())):
            raise UsageError(f"{who}: different values of {column}")


def _tested(plain: Comparison, a: Values, b: Values) -> Comparison:
    scores = [score_of(values, plain.measure) for values in (a, b)]
    low, high = interval(scores, a.units, plain.resamples, plain.seed)
    swapped = swapped_means if parse(plain.measure).ranked else swapped_correlations
    return replace(
        plain,
        low=low,
        high=high,
        p=p_value(swapped(a, b, plain.measure), a.units, plain.resamples, plain.seed),
        items=len(a.items),
        clusters=a.units if a.clustered else None,
        unit=a.drawn,
        interval="95 % percentile bootstrap",
        test=f"paired permutation, {_SWAPPED.get(plain.measure, 'per-query values')} swapped",
    )


def _shares(values: Values, measure: str) -> Float64:
    """What each unit adds to the score, float64[units]; of a correlation the jackknife's pseudo-values."""
    score, units = score_of(values, measure), values.units
    if parse(measure).ranked:
        sums, weights = sums_of(values, measure)
        mean: Float64 = sums / weights.sum()
        return mean
    step = batch(units)
    without = np.concatenate([score(1.0 - np.eye(min(step, units - i), units, i)) for i in range(0, units, step)])
    check_defined(without, units)
    shares: Float64 = (score(np.ones((1, units)))[0] + (units - 1) * (without.mean() - without)) / units
    return shares


def _wins(shares: Float64, resamples: int, seed: int) -> npt.NDArray[np.bool_]:
    """Whether row i is significantly better than row j, bool[m, m], by what units add, float64[units, m]."""
    units, m = shares.shape
    wins = np.zeros((m, m), np.bool_)
    better, worse = np.triu_indices(m, 1)
    total = shares.sum(axis=0)
    down = total[better] < total[worse]
    better, worse = np.where(down, worse, better), np.where(down, better, worse)
    # No flip changes a pair's sum of squares, so that it puts pairs of every spread on one scale.
    squares = np.array([np.sum((shares[:, i] - shares[:, j]) ** 2) for i, j in zip(better, worse, strict=True)])
    scale = np.array([0.0 if square < TINY**2 else square**-0.5 for square in squares.tolist()])
    order = np.argsort((total[better] - total[worse]) * scale, kind="stable")
    better, worse, scale = better[order], worse[order], scale[order]
    observed = (total[better] - total[worse]) * scale
    reached = np.zeros(len(order), np.int64)
    rng, step = np.random.default_rng(seed), batch(max(units, len(order), 1))
    for start in range(0, resamples, step):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (min(step, resamples - start), units))
        flipped = signs @ shares
        largest = np.maximum.accumulate(np.abs(flipped[:, better] - flipped[:, worse]) * scale, axis=1)
        reached += (largest >= observed - 1e-9).sum(axis=0)  # a tie counts, whatever its last digit
    # From the largest difference down, no p is smaller than the one before.
    p = np.maximum.accumulate(((reached + 1) / (resamples + 1))[::-1])[::-1]
    wins[better[p < ALPHA], worse[p < ALPHA]] = True
    return wins
