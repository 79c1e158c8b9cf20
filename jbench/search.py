"""Exact top-k in bounded memory: scores come in windows of documents, ties by the rule of the house.

The result does not depend on the windows: ties are broken by document id, descending, and the
ties that fall off the end are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
    whatever it takes.
    """
    beside = memory // (4 * _COPIES * queries + each) if queries or each else documents
    width = max(1, min(most, max(SCORES_AT_ONCE // max(queries, 1), k), beside))
    advance = track("documents", documents)
    for start in range(0, documents, width):
        yield slice(start, start + width)
        advance(min(width, documents - start))


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
    rank = _id_ranks(documents)
    # Inside, a document is its id's place when ids fall: smaller is better on a tie.
    scores = np.full((len(queries), 0), -np.inf, np.float32)
    places = np.zeros((len(queries), 0), np.int64)
    beyond = np.zeros(len(queries), np.int64)
    start = 0
    for window in windows:
        width = window.shape[1]
        _refuse_non_finite(window, queries, documents, start)
        place = np.broadcast_to(rank[start : start + width], window.shape)
        start += width
        found = (window, place) if scores.shape[1] < k else _rivals(window, place, scores.min(axis=1))
        scores, places, beyond = _merge(
            np.concatenate([scores, found[0]], axis=1), np.concatenate([places, found[1]], axis=1), beyond, k
        )
    kept = scores > floor
    query, column = np.nonzero(kept)
    document = np.empty(len(documents), np.int64)
    document[rank] = np.arange(len(documents))
    last = np.where(kept.all(axis=1), beyond, 0) if kept.shape[1] else beyond
    return Run.ranked(queries, documents, query, document[places[query, column]], scores[query, column], last)


def _rivals(window: Float32, places: Int64, last: Float32) -> tuple[Float32, Int64]:
    """Of each row of a window what reaches the row's ``last`` score; shorter rows are filled with -inf."""
    row, column = np.divmod(np.flatnonzero(window >= last[:, None]), window.shape[1])
    counts = np.bincount(row, minlength=len(window))
    inside = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = np.full((len(window), counts.max(initial=0)), -np.inf, np.float32)
    of = np.zeros(found.shape, np.int64)
    found[row, inside] = window[row, column]
    of[row, inside] = places[row, column]
    return found, of


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


def _refuse_non_finite(window: Float32, queries: Sequence[str], documents: Sequence[str], start: int) -> None:
    # A sum costs less than a look at each, and is finite only where all are.
    if not np.isfinite(window.sum()) and not np.isfinite(window).all():
        q, d = np.argwhere(~np.isfinite(window))[0]
        where = f"query {queries[q]!r}, document {documents[start + d]!r}"
        raise InvalidScores(f"{int((~np.isfinite(window)).sum())} scores are not finite, first for {where}")
