"""Per-query values, and what a measure becomes when they are drawn again or swapped between two models.

What is drawn are units: queries or pairs, or whole clusters where a task has them (questions on one
paragraph). A resample is told by how often each unit is in it, a swap by a sign for each unit; so
every measure is a few products of matrices. scipy draws, takes quantiles and counts.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jbench.metrics import parse
from jbench.results import is_whole
from jbench.types import Float64, Int64, Result, Unavailable

LEVEL = 0.95
TINY = 1e-12
"""A variance below it is none."""
# Sums of floats differ in their last digits between machines; rounded, neither a figure nor a tie does.
_DIGITS = 12
# Resamples times units that are held at once: 1 MB, which a processor's cache holds; what scipy swaps
# is some 100 MB, for its swapping costs by the batch.
_ENTRIES, _SWAPPED = 1 << 17, 1 << 20
# A model's scores are float32; their squares, and the products of those, are no more than float64 holds.
_LARGEST = np.finfo(np.float32).max

Score = Callable[[Float64], Float64]
"""A measure on k resamples, float64[k], told how often each unit is in each, float64[k, units]."""


@dataclass(frozen=True, eq=False)
class Values:
    """What `results.save` wrote beside a result: columns of float64[n], one value an item.

    ``unit[i]`` is the unit of item i, of ``units``: a cluster where ``clustered``, else the item itself.
    """

    result: Result
    items: tuple[str, ...]
    columns: Mapping[str, Float64]
    unit: Int64
    units: int
    clustered: bool

    @property
    def drawn(self) -> str:
        """What a unit is: ``cluster``, ``pair`` or ``query``."""
        return "cluster" if self.clustered else "pair" if self.result.kind == "sts" else "query"

    def by_unit(self, column: Float64) -> Float64:
        """The sums of ``column`` (n, or n rows) by unit."""
        sums = np.zeros((self.units, *column.shape[1:]))
        np.add.at(sums, self.unit, column)
        return sums


def read(path: Path, result: Result) -> Values:
    """The per-query values beside the result at ``path``.

    :raises Unavailable: when there are none, they were not written with it, or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    beside = path.with_suffix(".values.parquet")
    if not os.path.isfile(beside):
        raise Unavailable("no per-query values lie beside the result")
    if not is_whole(path, result):
        raise Unavailable("the per-query values are not those that were written with the result")
    try:
        with pq.ParquetFile(beside) as file:  # read_table would import pandas
            table = file.read()
        labels = [name for name in ("item", "cluster") if name in table.column_names]
        # A cast refuses a column of anything but one text, or one number, an item.
        texts = {name: table[name].cast(pa.string()).to_pylist() for name in labels}
        numbers = {n: table[n].cast(pa.float64()).to_pylist() for n in table.column_names if n not in labels}
        columns = {name: np.array(column, np.float64) for name, column in numbers.items()}
        items, clusters = tuple(map(str, texts["item"])), texts.get("cluster")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise Unavailable("the per-query values cannot be read") from error
    if not all((np.abs(column) <= _LARGEST).all() for column in columns.values()):
        raise Unavailable("a per-query value is not a finite number of 32 bits")
    names, unit = (
        np.unique(np.array(clusters, str), return_inverse=True) if clusters else (items, np.arange(len(items)))
    )
    return Values(result, items, columns, unit.astype(np.int64), len(names), clustered=bool(clusters))


def beside(path: Path, result: Result) -> Values | None:
    """`read`, where values lie beside the result; None where there are none.

    :raises Unavailable: when they are not those that were written with it, or cannot be read.
    """
    return read(path, result) if os.path.lexists(path.with_suffix(".values.parquet")) else None


class Disproved(Unavailable):
    """Values that do not give the score that they lie beside."""


def disproof(values: Values, measure: str) -> str:
    """How the values contradict the recorded score; empty where they give it, or cannot tell."""
    try:
        score_of(values, measure)
    except Disproved as error:
        return str(error)
    except Unavailable:
        pass
    return ""


def score_of(values: Values, measure: str) -> Score:
    """How to compute ``measure`` on resamples of ``values``.

    :raises Unavailable: when there is one unit or none, or a column is missing; `Disproved` when the
        values do not give the recorded score.
    """
    base = parse(measure).base
    needed = {"micro-recall": (measure, "relevant")}.get(base, ("gold", "predicted") if base in _PAIRS else (measure,))
    if missing := [name for name in needed if name not in values.columns]:
        raise Unavailable(f"the per-query values lack {missing[0]}")
    if values.units < 2:
        raise Unavailable(f"{values.units} {values.drawn} cannot be resampled")
    score = _PAIRS[base](values) if base in _PAIRS else _mean(values, measure)
    recorded, given = values.result.scores[measure], float(score(np.ones((1, values.units)))[0])
    if not math.isclose(recorded, given, abs_tol=1e-9):
        raise Disproved(f"the per-query values give {measure} {given:.6f}, the result says {recorded:.6f}")
    return score


def interval(scores: Sequence[Score], units: int, resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of one score, or of the second less the first.

    :raises Unavailable: when a measure is undefined on a resample.
    """
    from scipy import stats

    def statistic(drawn: Int64, axis: int) -> Float64:
        often = counts(drawn, units)
        first, *second = (score(often) for score in scores)
        return second[0] - first if second else first

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is undefined is looked for below
        found = stats.bootstrap(
            (np.arange(units),),
            statistic,
            vectorized=True,
            method="percentile",
            confidence_level=LEVEL,
            n_resamples=resamples,
            batch=batch(units),
            rng=np.random.default_rng(seed),
        )
    check_defined(found.bootstrap_distribution, units)
    low, high = found.confidence_interval
    return figure(low), figure(high)


def p_value(swapped: Score, units: int, resamples: int, seed: int) -> float:
    """The two-sided p of a paired permutation test; ``swapped`` is told signs, float64[..., units].

    Every swap is tried where there are no more of them than ``resamples``.

    :raises Unavailable: when the difference is undefined for some swap.
    """
    from scipy import stats

    def statistic(signs: Float64, axis: int) -> Float64:
        return np.round(swapped(signs), _DIGITS)

    found = stats.permutation_test(
        (np.ones(units),),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _SWAPPED // units),
        rng=np.random.default_rng(seed),
    )
    check_defined(found.null_distribution, units)
    return figure(found.pvalue)


def swapped_means(a: Values, b: Values, measure: str) -> Score:
    """The mean of b less that of a when units of sign -1 are swapped between them."""
    (one, weights), (other, _) = sums_of(a, measure), sums_of(b, measure)
    gain = (other - one) / weights.sum()
    return lambda signs: signs @ gain


def swapped_correlations(a: Values, b: Values, measure: str) -> Score:
    """The correlation of b less that of a when the predictions for units of sign -1 are swapped.

    Swapped are ranks (Spearman) or standardised predictions (Pearson): the measures are blind to a
    model's scale, and one model's raw cosine among another's would say nothing.
    """
    from scipy import stats

    scale = stats.rankdata if measure == "spearman" else np.asarray
    columns = (a.columns["gold"], a.columns["predicted"], b.columns["predicted"])
    gold, one, other = (_standard(scale(column)) for column in columns)
    middle, half = (one + other) / 2, (other - one) / 2
    # The swapped columns are middle +- sign * half; with means of 0, their moments are linear in the signs.
    linear = a.by_unit(np.stack([gold * half, half, middle * half], axis=1) / len(gold))
    shared, spread = np.mean(gold * middle), np.mean(middle**2 + half**2)

    def score(signs: Float64) -> Float64:
        moved, mean, cross = np.moveaxis(signs @ linear, -1, 0)
        ends = (np.array(spread + sign * 2 * cross - mean**2) for sign in (-1, 1))
        first, second = (np.sqrt(np.where(variance > TINY, variance, np.nan)) for variance in ends)
        difference: Float64 = (shared + moved) / second - (shared - moved) / first
        return difference

    return score


def sums_of(values: Values, measure: str) -> tuple[Float64, Float64]:
    """By unit, float64[units] each: the sums of a ranked measure's weighted values, and of the weights."""
    column = values.columns[measure]
    weights = values.columns["relevant"] if parse(measure).base == "micro-recall" else np.ones(len(column))
    return values.by_unit(weights * column), values.by_unit(weights)


def check_defined(values: Any, units: int) -> None:
    """Refuse values on resamples that are not numbers.

    :raises Unavailable: saying of how many units.
    """
    if not np.isfinite(values).all():
        raise Unavailable(f"the measure is undefined on a resample: {units} are too few")


def batch(units: int) -> int:
    """How many resamples of so many units to hold at once; no figure depends on it."""
    return max(1, _ENTRIES // units)


def figure(value: Any) -> float:
    """As it is recorded: to twelve decimals, the same on every machine."""
    return round(float(value), _DIGITS) + 0.0  # no -0.0


def _mean(values: Values, measure: str) -> Score:
    columns = np.stack(sums_of(values, measure), axis=1)

    def score(counts: Float64) -> Float64:
        total, weight = np.moveaxis(counts @ columns, -1, 0)
        return _ratio(total, weight)

    return score


def _pearson(values: Values) -> Score:
    x, y = (_standard(values.columns[name]) for name in ("gold", "predicted"))
    moments = values.by_unit(np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1))

    def score(counts: Float64) -> Float64:
        n, sx, sy, sxx, syy, sxy = np.moveaxis(counts @ moments, -1, 0)
        spread = (n * sxx - sx * sx) * (n * syy - sy * sy)
        return _ratio(n * sxy - sx * sy, np.sqrt(np.where(spread > TINY * n**4, spread, 0.0)))

    return score


def _spearman(values: Values) -> Score:
    gold, predicted = (_resampled_ranks(values.columns[name]) for name in ("gold", "predicted"))

    def score(counts: Float64) -> Float64:
        times = counts[:, values.unit]
        x, y = gold(times), predicted(times)
        sxy, sxx, syy = (np.einsum("ij,ij,ij->i", times, p, q) for p, q in ((x, y), (x, x), (y, y)))
        return _ratio(sxy, np.sqrt(sxx * syy))

    return score


_PAIRS: Mapping[str, Callable[[Values], Score]] = {"pearson": _pearson, "spearman": _spearman}


def _resampled_ranks(column: Float64) -> Score:
    """Average ranks less their mean, float64[k, n], where item i is there ``times[:, i]`` times; sorted once."""
    _, place = np.unique(column, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))

    def ranks(times: Float64) -> Float64:
        equal = np.add.reduceat(times[:, order], starts, axis=1)
        upto = np.cumsum(equal, axis=1)
        centred: Float64 = (upto - equal / 2 - upto[:, -1:] / 2)[:, place]
        return centred

    return ranks


def counts(drawn: Int64, units: int) -> Float64:
    """How often each unit is in each resample, float64[k, units], of the drawn, int[k, units]."""
    cells = drawn + units * np.arange(len(drawn))[:, None]
    found: Float64 = np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape).astype(np.float64)
    return found


def _standard(column: Float64) -> Float64:
    centred: Float64 = column - column.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    return centred / spread if spread else centred


def _ratio(over: Float64, under: Float64) -> Float64:
    ratio: Float64 = np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)
    return ratio
