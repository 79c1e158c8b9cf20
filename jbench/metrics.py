"""Measures by name: ``spearman``, ``ndcg@10``, ``recall@5``, ``micro-recall@30`` ...

scipy and pytrec_eval do the arithmetic; this room fixes the one order for ties, counts every
judged query, and finds the smallest and largest value that any order of ties could give.
Definitions follow trec_eval (linear gain, ideal cut at k, MAP over all relevant); micro recall
is that of JapaneseEmbeddingEval's MIRACL Recall@30.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jbench.types import Float32, Float64, Int64, InvalidScores, Qrels, Run, Spread, UsageError, unknown

_PAIRS = {"spearman": "spearman/average-ranks", "pearson": "pearson/float64"}
_RANKED = {
    "ndcg": ("ndcg_cut_{k}", "ndcg@{k}/trec-linear"),
    "map": ("map_cut_{k}", "map@{k}/trec-R"),
    "mrr": ("recip_rank", "mrr@{k}/first-relevant"),
    "hit": ("success_{k}", "hit@{k}/any-relevant"),
    "recall": ("recall_{k}", "recall@{k}/macro"),
    "micro-recall": ("recall_{k}", "recall@{k}/micro"),
}


@dataclass(frozen=True)
class Measure:
    """A measure that has been understood: ``ndcg@10`` is ``Measure("ndcg", 10)``."""

    base: str
    k: int = 0

    def __str__(self) -> str:
        return f"{self.base}@{self.k}" if self.k else self.base

    @property
    def ranked(self) -> bool:
        """Whether it measures a run; otherwise it measures pairs."""
        return self.base in _RANKED

    @property
    def definition(self) -> str:
        """The id of the exact definition, kept in every result."""
        return _RANKED[self.base][1].format(k=self.k) if self.k else _PAIRS[self.base]

    @property
    def trec(self) -> str:
        """pytrec_eval's name for the per-query value."""
        return _RANKED[self.base][0].format(k=self.k)


@dataclass(frozen=True)
class Measured:
    """``scores`` and ``ties`` (smallest and largest, only where they differ) by measure name.

    Ties hold every value that an order of the tied documents can give. They are exact while the
    ties end within the run; of ties beyond its end only the number is known, and any relevant
    document that the run lacks may be among them. Of ties in earlier stages (`jbench.types.Spread`)
    they are bounds: no order gives a value outside, but the ends need not be reached, since each
    document is taken at its best or worst by itself.

    ``items`` names the queries or pairs; ``values`` holds one float64 for each of them and column.
    """

    scores: dict[str, float]
    ties: dict[str, tuple[float, float]]
    items: Sequence[str]
    values: dict[str, Float64]
    unanswered: int = 0


def parse(name: str) -> Measure:
    """Understand a measure's name.

    :raises UsageError: for an unknown name, with the nearest ones; for a missing or bad cut-off.
    """
    base, at, cut = name.partition("@")
    if base in _PAIRS and not at:
        return Measure(base)
    if base not in _RANKED:
        raise unknown("measure", name, [*_PAIRS, *(f"{b}@10" for b in _RANKED)])
    if not (cut.isascii() and cut.isdigit() and cut[0] != "0"):
        raise UsageError(f"measure {name!r} needs a cut-off of 1 or more, such as {base}@10")
    return Measure(base, int(cut))


def measure_pairs(gold: Sequence[float], predicted: Float32 | Float64, measures: Sequence[str]) -> Measured:
    """Correlate ``predicted`` (a number for each of n pairs) with ``gold`` (n), in float64.

    :raises InvalidScores: for fewer than two pairs, a non-finite or constant prediction or gold.
    """
    from scipy import stats

    x, y = np.asarray(gold, np.float64), np.asarray(predicted, np.float64)
    if len(x) != len(y):
        raise InvalidScores(f"{len(y)} predictions for {len(x)} pairs")
    for what, column in (("gold", x), ("predicted", y)):
        if bad := np.flatnonzero(~np.isfinite(column)).tolist():
            raise InvalidScores(f"{len(bad)} of {len(column)} {what} scores are not finite, first for pair {bad[0]}")
        if len(column) < 2 or np.ptp(column) == 0:
            raise InvalidScores(f"a correlation is undefined: {len(column)} {what} scores, all the same")
    by_name: dict[str, Any] = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}
    scores = {name: float(by_name[parse(name).base](x, y).statistic) for name in measures}
    return Measured(scores, {}, [str(i) for i in range(len(x))], {"gold": x, "predicted": y})


def measure_run(run: Run, qrels: Qrels, measures: Sequence[str]) -> Measured:
    """Measure a run against judgements, over every judged query; one without an answer counts 0.

    :raises InvalidScores: when in more than half of the queries with two or more documents all have one score.
    """
    wanted = [parse(name) for name in measures]
    cut = max(m.k for m in wanted)
    rows = _Rows.of(run, qrels)
    _check_order(run)
    queries = list(qrels)
    relevant = np.array([sum(g > 0 for g in qrels[q].values()) for q in queries], np.float64)

    def values(order: _Rows) -> dict[str, Float64]:
        return _per_query(order.cut(cut), run, qrels, wanted)

    def mean(column: Float64, measure: Measure) -> float:
        weights = relevant if measure.base == "micro-recall" else None
        return float(np.average(column, weights=weights)) if len(column) else 0.0

    per_query = values(rows)
    scores = {str(m): mean(per_query[str(m)], m) for m in wanted}
    ties = {}
    if run.tied:
        if run.spread is None:
            near = rows.within(cut)
            worst, best = near.pessimal(run, qrels, cut), near.optimal(run, qrels)
        else:
            worst, best = rows.lowest(run.spread, cut), rows.highest(run.spread, run, qrels)
        least, most = values(worst), values(best)
        for m in wanted:
            low, high = mean(least[str(m)], m), mean(most[str(m)], m)
            if not math.isclose(low, high, abs_tol=1e-12):
                ties[str(m)] = (low, high)
    answered = {run.queries[i] for i in np.flatnonzero(np.diff(run.offsets)).tolist()}
    unanswered = sum(q not in answered for q in queries)
    return Measured(scores, ties, queries, {**per_query, "relevant": relevant}, unanswered)


def _check_order(run: Run) -> None:
    """Refuse a run that is no ranking.

    :raises InvalidScores: when in more than half of the queries with two or more documents all have one score.
    """
    counts = np.diff(run.offsets)
    several = np.flatnonzero(counts > 1)
    # A run is ordered, so that all scores of a query are the same where the first and the last are.
    same = run.scores[run.offsets[several]] == run.scores[run.offsets[several + 1] - 1]
    if 2 * np.count_nonzero(same) > len(several):
        raise InvalidScores(
            f"in {np.count_nonzero(same)} of the {len(several)} queries with two or more documents all documents have "
            f"the same score, first in query {run.queries[several[same][0]]!r}: no ranking (degenerate scores)"
        )


@dataclass(frozen=True)
class _Rows:
    """A run as loose rows in ranked order, documents known by their grade: query index, score, grade."""

    query: Int64
    score: Float32 | Float64
    grade: Int64

    @classmethod
    def of(cls, run: Run, qrels: Qrels) -> _Rows:
        query = run.query
        width = len(run.documents) + 1
        key = query * width + run.index
        order = np.argsort(key, kind="stable")
        at = {run.documents[d]: int(d) for d in np.unique(run.index)}
        judged = [
            (i * width + at[d], int(grade))
            for i, q in enumerate(run.queries)
            for d, grade in qrels.get(q, {}).items()
            if d in at and grade > 0
        ]
        grade = np.zeros(len(key), np.int64)
        if judged and len(key):
            wanted, grades = np.array(judged, np.int64).T
            ascending = key[order]
            place = np.minimum(np.searchsorted(ascending, wanted), len(key) - 1)
            hit = ascending[place] == wanted
            grade[order[place[hit]]] = grades[hit]
        return cls(query, run.scores, grade)

    def cut(self, k: int) -> _Rows:
        """The first k rows of each query."""
        return self._take(np.flatnonzero(self._places() < k))

    def within(self, k: int) -> _Rows:
        """The first k rows of each query, and those that tie with the k-th: no order of ties brings others there."""
        last = np.full(self.query.max(initial=-1) + 1, -np.inf, self.score.dtype)
        ends = self._places() == k - 1
        last[self.query[ends]] = self.score[ends]
        return self._take(np.flatnonzero(self.score >= last[self.query]))

    def _places(self) -> Int64:
        """From 0, where each row stands in its query."""
        counts = np.bincount(self.query)
        found: Int64 = np.arange(len(self.query)) - np.repeat(np.cumsum(counts) - counts, counts)
        return found

    def optimal(self, run: Run, qrels: Qrels) -> _Rows:
        """The order of ties that puts the highest grades first."""
        last = np.array([_last(run, i) if n else 0.0 for i, n in enumerate(run.beyond.tolist())])
        return self._with(_missed(run, qrels, run.beyond, last))._take_sorted(descending=True)

    def pessimal(self, run: Run, qrels: Qrels, cut: int) -> _Rows:
        """The order of ties that puts the highest grades last."""
        cut_off = np.flatnonzero(run.beyond).tolist()
        extra = [(i, 0, _last(run, i)) for i in cut_off for _ in range(min(int(run.beyond[i]), cut))]
        return self._with(extra)._take_sorted(descending=False)

    def highest(self, spread: Spread, run: Run, qrels: Qrels) -> _Rows:
        """Relevant documents at their highest scores, others at their lowest: no order of ties gives more.

        What the grades of the relevant documents can be at their places is bounded by their falling order.
        """
        relevant = self.grade > 0
        rows = replace(self, score=np.where(relevant, spread.high, spread.low))
        rows = rows._take(np.flatnonzero(np.isfinite(rows.score) | relevant))
        more = [
            (i, qrels.get(query, {}).get(run.documents[d], 0), float(high))
            for i, query in enumerate(run.queries)
            for d, high in zip(*_more_of(spread, i), strict=True)
        ]
        known = [{run.documents[d] for d in _more_of(spread, i)[0]} for i in range(len(run.queries))]
        extra = [row for row in more if row[1] > 0]
        extra += _missed(run, qrels, spread.unknown, spread.unknown_high, known)
        return rows._with(extra)._take_sorted(descending=True)._regraded(descending=True)

    def lowest(self, spread: Spread, cut: int) -> _Rows:
        """Relevant documents at their lowest scores, others at their highest: no order of ties gives less.

        A relevant document that another order drops counts as one that is not relevant, since it could still push
        others down; so do those that another order brings.
        """
        certain = (self.grade > 0) & np.isfinite(spread.low)
        score = np.where(certain, spread.low, spread.high)
        rows = replace(self, score=score, grade=np.where(certain, self.grade, 0))
        queries = len(spread.unknown)
        extra = [(i, 0, float(high)) for i in range(queries) for high in _more_of(spread, i)[1]]
        extra += [
            (i, 0, float(spread.unknown_high[i]))
            for i in np.flatnonzero(spread.unknown).tolist()
            for _ in range(min(int(spread.unknown[i]), cut))
        ]
        return rows._with(extra)._take_sorted(descending=False)._regraded(descending=False)

    def _regraded(self, descending: bool) -> _Rows:
        """The grades of each query's relevant documents sorted over their places."""
        held = np.flatnonzero(self.grade)
        grade, query = self.grade[held], self.query[held]
        sorted_grade = grade[np.lexsort((-grade if descending else grade, query))]
        regraded = self.grade.copy()
        regraded[held] = sorted_grade
        return replace(self, grade=regraded)

    def _with(self, extra: list[tuple[int, int, float]]) -> _Rows:
        if not extra:
            return self
        query, grade, score = zip(*extra, strict=True)
        return _Rows(
            np.concatenate([self.query, np.array(query, np.int64)]),
            np.concatenate([self.score, np.array(score, self.score.dtype)]),
            np.concatenate([self.grade, np.array(grade, np.int64)]),
        )

    def _take_sorted(self, descending: bool) -> _Rows:
        return self._take(np.lexsort((-self.grade if descending else self.grade, -self.score, self.query)))

    def _take(self, rows: Int64) -> _Rows:
        return _Rows(self.query[rows], self.score[rows], self.grade[rows])


def _missed(
    run: Run, qrels: Qrels, count: Int64, score: Float64, known: Sequence[set[str]] | None = None
) -> list[tuple[int, int, float]]:
    """Relevant documents that could be among those beyond the run's end: query, grade, score.

    ``count`` and ``score`` are how many there are for each query, and what they score; ``known`` documents of a query
    are not among them.
    """
    rows = []
    for i in np.flatnonzero(count).tolist():
        held = {d for d, _ in run.rows(i)} | (known[i] if known else set())
        missed = [g for d, g in qrels.get(run.queries[i], {}).items() if g > 0 and d not in held]
        rows += [(i, g, float(score[i])) for g in sorted(missed, reverse=True)[: int(count[i])]]
    return rows


def _more_of(spread: Spread, i: int) -> tuple[Int64, Float64]:
    """The documents beside the run that another order of ties brings for query i, and their highest scores."""
    span = slice(spread.more_offsets[i], spread.more_offsets[i + 1])
    return spread.more[span], spread.more_high[span]


def _last(run: Run, i: int) -> float:
    return float(run.scores[run.offsets[i + 1] - 1])


def _per_query(rows: _Rows, run: Run, qrels: Qrels, measures: Sequence[Measure]) -> dict[str, Float64]:
    """One value a judged query and measure, by pytrec_eval, from the order of ``rows``."""
    import pytrec_eval

    # pytrec_eval sees only strictly falling scores, so that no tie rule but ours is at work;
    # places stand in for ids, so that documents beyond the run's end need none.
    counts, place = np.bincount(rows.query), rows._places()
    names = [str(i) for i in range(counts.max(initial=0))]
    falling = [float(-i) for i in range(len(names))]
    ranked = {run.queries[q]: dict(zip(names, falling[: counts[q]])) for q in np.flatnonzero(counts).tolist()}  # noqa: B905
    gained: dict[str, dict[str, int]] = {}
    held = np.flatnonzero(rows.grade)
    for q, p, g in zip(rows.query[held].tolist(), place[held].tolist(), rows.grade[held].tolist(), strict=True):
        gained.setdefault(run.queries[q], {})[names[p]] = g
    judged: dict[str, dict[str, int]] = {}
    for query, grades in qrels.items():
        seen = gained.get(query, {})
        missed = sorted((int(g) for g in grades.values() if g > 0), reverse=True)
        for g in seen.values():
            missed.remove(g)
        judged[query] = {**seen, **{f"missed {i}": g for i, g in enumerate(missed)}}
    answered = {q: docs for q, docs in ranked.items() if q in judged}

    columns: dict[str, Float64] = {}
    plain = {m.trec for m in measures if m.base != "mrr"}
    found = pytrec_eval.RelevanceEvaluator(judged, plain).evaluate(answered) if plain else {}
    for m in measures:
        if m.base == "mrr":
            first = {q: dict(list(docs.items())[: m.k]) for q, docs in answered.items()}
            values: Mapping[str, Mapping[str, float]] = pytrec_eval.RelevanceEvaluator(judged, {m.trec}).evaluate(first)
        else:
            values = found
        columns[str(m)] = np.array([values.get(q, {}).get(m.trec, 0.0) for q in qrels], np.float64)
    return columns
