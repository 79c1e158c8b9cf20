"""Exact top-k in bounded memory: scores come in windows of documents, ties by the rule of the house.

The result does not depend on the windows: ties are broken by document id, descending, and the
ties that fall off the end are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from jbench.types import Float32, Int64, InvalidScores, Run, Track

SCORES_AT_ONCE = 1 << 22
"""How many scores a window holds: 16 MiB of float32, and about as much again while it is merged."""


MEMORY = 512 << 20
"""How many bytes a window may take where nobody says it."""

_COPIES = 6
"""How often the scores of a window stand in memory while they are compared and merged, with their places."""


def spans(
    queries: int, documents: int, k: int, track: Track, memory: int = MEMORY, each: int = 0, most: int = SCORES_AT_ONCE
) -> Iterator[slice]:
    """Windows over ``documents`` rows for the best ``k``: of at most ``most`` rows, and of ``memory`` bytes.

    For ``queries`` rows a window has 2^22 scores; where k is larger than that leaves, it is k wide, or merging would
    cost more than comparing. ``each`` is how many bytes a document takes beside its scores. One document is compared
    whatever it takes. Windows are about as wide as each other: a product of one column is summed in another order.
    """
    beside = memory // (4 * _COPIES * queries + each) if queries or each else documents
    width = max(1, min(most, max(SCORES_AT_ONCE // max(queries, 1), k), beside))
    advance = track("documents", documents)
    count = -(-documents // width)
    starts = [documents * window // count for window in range(count)]
    for start, end in pairwise([*starts, documents]):
        yield slice(start, end)
        advance(end - start)


def top_k(
    queries: Sequence[str],
    documents: Sequence[str],
    windows: Iterable[Float32],
    k: int,
    floor: float = -np.inf,
) -> Run:
    """The best k documents of each query.

    :param windows: score matrices float32[queries, w], side by side over all documents in order.
    :param floor: documents that score this or less are not retrieved.
    :raises InvalidScores: for a score that is NaN or infinite.
    """
    best = Best(queries, documents, k)
    for window in windows:
        best.add(window)
    return best.run(floor)


class Best:
    """The best k documents of each query so far; documents are added a window at a time, in order."""

    def __init__(self, queries: Sequence[str], documents: Sequence[str], k: int) -> None:
        self._queries, self._documents, self._k = queries, documents, k
        self._rank = _id_ranks(documents)
        # Inside, a document is its id's place when ids fall: smaller is better on a tie.
        self._scores = np.full((len(queries), 0), -np.inf, np.float32)
        self._places = np.zeros((len(queries), 0), np.int64)
        self._beyond = np.zeros(len(queries), np.int64)
        self._start = 0

    @property
    def last(self) -> Float32 | None:
        """The score that a document must reach, float32[queries]; None before there are k."""
        return self._scores.min(axis=1) if self._scores.shape[1] >= self._k else None

    def add(self, window: Float32) -> None:
        """Add the next documents by all their scores, float32[queries, w].

        :raises InvalidScores: for a score that is NaN or infinite.
        """
        # A sum costs less than a look at each, and is finite only where all are.
        if not np.isfinite(window.sum()):
            self._refuse_non_finite(*np.divmod(np.arange(window.size), max(1, window.shape[1])), window.ravel())
        last, width = self.last, window.shape[1]
        if last is None:
            self._merge(window, np.broadcast_to(self._rank[self._start : self._start + width], window.shape))
            self._start += width
        else:
            query, column = np.divmod(np.flatnonzero(window >= last[:, None]), max(1, width))
            self.add_found(width, query, column, window[query, column])

    def add_found(self, width: int, query: Int64, column: Int64, scores: Float32) -> None:
        """Add the next ``width`` documents by the scores of some, int64[n], int64[n], float32[n], by rising query.

        Pairs that do not reach `last` may be left out.

        :raises InvalidScores: for a score that is NaN or infinite.
        """
        if not np.isfinite(scores.sum()):
            self._refuse_non_finite(query, column, scores)
        counts = np.bincount(query, minlength=len(self._queries))
        inside = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.full((len(self._queries), counts.max(initial=0)), -np.inf, np.float32)
        of = np.zeros(found.shape, np.int64)
        found[query, inside] = scores
        of[query, inside] = self._rank[self._start + column]
        self._merge(found, of)
        self._start += width

    def run(self, floor: float = -np.inf) -> Run:
        """The run; documents that score ``floor`` or less are not retrieved."""
        kept = self._scores > floor
        query, column = np.nonzero(kept)
        document = np.empty(len(self._documents), np.int64)
        document[self._rank] = np.arange(len(self._documents))
        beyond = np.where(kept.all(axis=1), self._beyond, 0) if kept.shape[1] else self._beyond
        found = document[self._places[query, column]]
        return Run.ranked(self._queries, self._documents, query, found, self._scores[query, column], beyond)

    def _merge(self, scores: Float32, places: Int64) -> None:
        self._scores, self._places, self._beyond = _merge(
            np.concatenate([self._scores, scores], axis=1),
            np.concatenate([self._places, places], axis=1),
            self._beyond,
            self._k,
        )

    def _refuse_non_finite(self, query: Int64, column: Int64, scores: Float32) -> None:
        if len(wrong := np.flatnonzero(~np.isfinite(scores))):
            q, d = query[wrong[0]], self._start + column[wrong[0]]
            where = f"query {self._queries[q]!r}, document {self._documents[d]!r}"
            raise InvalidScores(f"{len(wrong)} scores are not finite, first for {where}")


def _merge(scores: Float32, places: Int64, beyond: Int64, k: int) -> tuple[Float32, Int64, Int64]:
    """Keep the best k columns of each row, and how many dropped ones tie with the last kept."""
    if scores.shape[1] <= k:
        return scores, places, beyond
    before = scores[:, :k].min(axis=1)
    picked = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    threshold = np.take_along_axis(scores, picked, axis=1).min(axis=1)
    tied = (scores == threshold[:, None]).sum(axis=1)
    chosen = (np.take_along_axis(scores, picked, axis=1) == threshold[:, None]).sum(axis=1)
    for row in np.flatnonzero(tied > chosen):
        # argpartition takes any of the tied; the ids decide.
        picked[row] = np.lexsort((places[row], -scores[row]))[:k]
    earlier = np.where(threshold == before, beyond, 0)
    return np.take_along_axis(scores, picked, 1), np.take_along_axis(places, picked, 1), earlier + tied - chosen


def _id_ranks(documents: Sequence[str]) -> Int64:
    ranks = np.empty(len(documents), np.int64)
    ranks[sorted(range(len(documents)), key=documents.__getitem__, reverse=True)] = np.arange(len(documents))
    return ranks
