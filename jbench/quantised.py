"""Vectors stored in a byte or in one bit a dimension, and search over them as sentence-transformers does it.

A query stays float32. It finds twice as many documents as are asked for by its own stored form, as
`semantic_search_usearch` does: by the dot product of bytes, or by how many bits differ; those that tie with the last of
them too, so that nothing is left to chance. These are put in order by the query itself, against the documents as they
are read back: bytes by their ranges, bits as 0 and 1. The code of a vector is that of `quantize_embeddings`, and a
dimension's range reaches from its least to its largest value in any document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jbench.search import Best
from jbench.types import Float32, Int64, Run, Texts

PRECISIONS = ("int8", "binary", "ubinary")
"""``ubinary`` is ``binary``: the same bits, in a byte without a sign."""

KEPT = 10
"""Of a query's best so many by float32, what stays among its best so many is the recall that is kept."""

_MULTIPLIER = 2
"""How many times as many documents are put in order as are asked for, by default in sentence-transformers."""

Codes = np.ndarray[Any, Any]
Windows = Callable[[], Iterator[Float32]]
"""The vectors of a corpus, float32[n, d], a window after the other; the same windows at each call."""


@dataclass(frozen=True)
class Quantised:
    """``precision`` is int8 or binary; ``ranges``, float32[2, d], the least and the largest value of a dimension."""

    precision: str
    ranges: Float32

    @classmethod
    def learnt(cls, precision: str, vectors: Iterable[Float32]) -> Quantised:
        """What stores such ``vectors``, each float32[n, d]."""
        ranges = np.zeros((2, 0), np.float32)
        for some in vectors:
            found = np.stack([some.min(axis=0), some.max(axis=0)]) if len(some) else ranges
            known = ranges if ranges.size else found
            ranges = np.stack([np.minimum(known[0], found[0]), np.maximum(known[1], found[1])])
        return cls("int8" if precision == "int8" else "binary", ranges)

    def encode(self, vectors: Float32) -> Codes:
        """Of float32[n, d] int8[n, d], or uint8[n, d / 8 rounded up]."""
        from sentence_transformers.util.quantization import quantize_embeddings

        named = "int8" if self.precision == "int8" else "ubinary"
        return np.asarray(quantize_embeddings(vectors, precision=named, ranges=self.ranges))

    def read_back(self, codes: Codes) -> Float32:
        """float32[n, d]: what a query is compared with."""
        if self.precision == "binary":
            return np.unpackbits(codes, axis=1)[:, : self.ranges.shape[1]].astype(np.float32)
        steps = (self.ranges[1] - self.ranges[0]) / 255
        return np.asarray(
            (codes.astype(np.float32) + 128) * np.where(steps == 0, 1, steps) + self.ranges[0], np.float32
        )

    def first(self, queries: Float32) -> Callable[[Codes], Float32]:
        """Of codes of m documents the scores float32[n, m] by which a query, float32[n, d], finds them first."""
        asked = self._numbers(self.encode(queries))
        return lambda codes: asked @ self._numbers(codes).T

    @property
    def bytes_per_vector(self) -> int:
        """What one vector takes."""
        width = self.ranges.shape[1]
        return int(width if self.precision == "int8" else -(-width // 8))

    @property
    def bytes_shared(self) -> int:
        """What all vectors share: the ranges of bytes."""
        return self.ranges.nbytes if self.precision == "int8" else 0

    def _numbers(self, codes: Codes) -> Float32:
        """Numbers whose dot product is the bytes' own, or, of bits, falls with how many of them differ."""
        if self.precision == "int8":
            return codes.astype(np.float32)
        return 2 * np.unpackbits(codes, axis=1)[:, : self.ranges.shape[1]].astype(np.float32) - 1


def search(stored: Quantised, queries: Texts, asked: Float32, documents: Texts, windows: Windows, k: int) -> Run:
    """The best k documents of each query, ``asked`` being the queries' vectors, float32[n, d]."""
    first, least = stored.first(asked), None
    if len(documents) > _MULTIPLIER * k:
        rough = Best(queries.ids, documents.ids, _MULTIPLIER * k)
        for vectors in windows():
            rough.add(first(stored.encode(vectors)))
        least = rough.last
    best = Best(queries.ids, documents.ids, k)
    for vectors in windows():
        codes = stored.encode(vectors)
        scores = asked @ stored.read_back(codes).T
        if least is None:
            best.add(scores)
        else:
            query, column = np.nonzero(first(codes) >= least[:, None])
            best.add_found(len(vectors), query, column, scores[query, column])
    return best.run()


def kept(float32: Run, stored: Run) -> list[float]:
    """For each query, the share of its best `KEPT` by float32 that is among as many by what is stored.

    None where there are no more documents than that, as all are kept.
    """
    if len(float32.documents) <= KEPT:
        return []
    shares = []
    for i in range(len(float32.queries)):
        wanted, found = (documents_of(run, i)[:KEPT] for run in (float32, stored))
        if len(wanted):
            shares.append(float(np.isin(wanted, found).mean()))
    return shares


def kept_of_pairs(left: Sequence[str], float32: Float32, stored: Float32) -> list[float]:
    """The same of pairs, of which those with one left text are a query's; float32[n] each.

    A query with no more pairs than `KEPT` keeps all and tells nothing.
    """
    places: dict[str, list[int]] = {}
    for i, text in enumerate(left):
        places.setdefault(text, []).append(i)
    shares = []
    for rows in places.values():
        if len(rows) > KEPT:
            wanted, found = (np.argsort(-scores[rows], kind="stable")[:KEPT] for scores in (float32, stored))
            shares.append(float(np.isin(wanted, found).mean()))
    return shares


def documents_of(run: Run, query: int) -> Int64:
    """The places of a query's documents, best first."""
    return run.index[run.offsets[query] : run.offsets[query + 1]]
