"""Which documents reach a score, where finding them in bf16 costs less than comparing all in float32.

A product leaves room for all that its rounding can hide, so that nothing that reaches the score is left out; the scores
are of float32, each pair's by itself, and so the same in whatever window it stands.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from jbench import similarity
from jbench.cpu import bf16_units
from jbench.types import Float32, Int64

FEW = 32
"""One pair by itself costs about what so many of all cost in a product."""

_BFLOAT16 = 2.0**-8  # the most that rounding takes of a number
_FLOAT32 = 2.0**-22  # the same, four times: in two sums, with as much again to spare
_UP = 1 + 2.0**-7  # that a bfloat16 is not below what it is made of
_PRODUCTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0))  # of parts of two float32: the others are too small

_ONE_WAY = 0.8
"""How long the mean of documents, each of length 1, must be for leaving it out to save more than it costs."""

Found = tuple[Int64, Int64, Float32]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


def nearest(name: str, a: Float32, k: int, device: str, documents: int) -> Nearest | None:
    """`Nearest` where it is the faster: a CPU with units for bf16, the best few of many documents, cosine or dot."""
    few = documents >= FEW * k and a.size * documents >= similarity.WORTH_TORCH
    if name not in ("cosine", "dot") or device != "cpu" or not few:
        return None
    return Nearest(name, a, k) if bf16_units() else None


class Nearest:
    """Queries, float32[n, d], of which each looks for its best ``k`` by cosine or dot."""

    def __init__(self, name: str, a: Float32, k: int) -> None:
        import torch

        self._cosine, self._k = name == "cosine", k
        self._asked = similarity.tensor(name, a, "cpu")
        count, self._d = self._asked.shape
        # More columns take the score to be reached from each product before that is rounded.
        self._rough = torch.zeros(count, -(-(self._d + 2 + len(_PRODUCTS)) // 32) * 32, dtype=torch.bfloat16)
        self._rough[:, : self._d] = self._asked
        self._against = self._rough[:0]
        self._mean = torch.zeros(self._d)
        lengths, lost = (
            torch.linalg.vector_norm(one, dim=1) for one in (self._asked, self._asked - self._rough[:, : self._d])
        )
        self._longest = lengths.max()
        # Of a vector of length 1 (Cauchy-Schwarz): what sums lose, and what both roundings lose besides. A score
        # that is twice as large as the lengths' product is not reached, and below 0 it is missed by none.
        self._summed = (self._d + 7) * _FLOAT32 * lengths
        self._rough[:, self._d] = (lost + _BFLOAT16 * (lengths + lost)) * _UP
        self._rough[:, self._d + 1] = 5 * self._summed * _UP

    def __call__(self, b: Float32, last: Float32 | None) -> Found:
        """Of m documents, float32[m, d], all that reach each query's ``last`` score, float32[n].

        Without ``last``, at least those that reach the query's k-th best score of these documents. Where bf16 leaves
        many, as of vectors that are nearly alike, a product in float32 leaves fewer.

        :returns: queries, documents and scores, by rising query.
        """
        import torch

        held = torch.from_numpy(b)
        lengths = torch.linalg.vector_norm(held, dim=1)
        scale = 1 / lengths.clamp_min(1e-12) if self._cosine else torch.ones(len(b))
        if not torch.isfinite(self._longest * lengths.max()):
            near = np.ones((len(self._asked), len(b)), np.bool_)  # and whoever is given the scores sees what is wrong
        elif last is None:
            self._look(held * scale[:, None])
            scores = (self._asked @ held.T * scale).numpy()
            least = max(0, len(b) - self._k)
            near = self._close(scores, np.partition(scores, least, axis=1)[:, least], lengths * scale)
        elif np.count_nonzero(near := self._near(held, lengths, torch.from_numpy(last))) * FEW > near.size:
            near = self._close((self._asked @ held.T * scale).numpy(), last, lengths * scale)
        query, document = np.divmod(np.flatnonzero(near), len(b))
        found = _products(self._asked, held, query, document) * scale.numpy()[document]
        if last is not None:
            reached = ~(found < last[query])
            query, document, found = query[reached], document[reached], found[reached]
        return query, document, found

    def _look(self, held: Any) -> None:
        """Keep the mean of documents that, as those of many encoders, all lie in about one direction."""
        import torch

        mean = held.mean(0)
        if torch.linalg.vector_norm(mean) > _ONE_WAY * torch.linalg.vector_norm(held, dim=1).mean():
            self._mean = mean

    def _close(self, scores: Float32, reach: Float32, lengths: Any) -> Bools:
        """bool[n, m]: true at least of the pairs that reach a score, by scores that a product of matrices gave."""
        near: Bools = scores >= (reach - (self._summed * lengths.max()).numpy())[:, None]
        return near

    def _near(self, held: Any, lengths: Any, last: Any) -> Bools:
        """bool[n, m]: true at least of the pairs that reach ``last``, by one product in bf16.

        It is that of the vectors, with what rounding may have taken added, less ``last``, for the cosine times the
        document's length: where that is not negative. The mean is left out of the documents and of ``last``, so that
        less is rounded.
        """
        import torch

        if len(self._against) != len(held):
            self._against = torch.zeros(len(held), self._rough.shape[1], dtype=torch.bfloat16)
        times, rest, of_rest = lengths if self._cosine else torch.ones(len(held)), held, lengths
        if self._mean.any():
            rest = torch.addcmul(held, times[:, None], self._mean, value=-1)
            of_rest = torch.linalg.vector_norm(rest, dim=1)
            last = last - self._asked @ self._mean
        self._against[:, : self._d] = rest
        self._against[:, self._d] = of_rest * _UP
        self._against[:, self._d + 1] = (lengths + times * torch.linalg.vector_norm(self._mean)) * _UP
        less, of = _parts(-last), _parts(times)
        for column, (i, j) in enumerate(_PRODUCTS, self._d + 2):
            self._rough[:, column], self._against[:, column] = less[i], of[j]
        # Of a bfloat16 that is not negative, the bits are not either.
        near: Bools = (self._rough @ self._against.T).view(torch.int16).numpy() >= 0
        return near


def _parts(values: Any) -> tuple[Any, Any, Any]:
    """Three bfloat16 that add up to a float32 but for its last bit or two."""
    first = values.bfloat16()
    second = (values - first).bfloat16()
    return first, second, (values - first - second).bfloat16()


def _products(a: Any, b: Any, left: Int64, right: Int64) -> Float32:
    """float32[n]: the dot products of rows of a with rows of b, by rising row of a."""
    import torch

    ends = torch.from_numpy(np.concatenate([[0], np.cumsum(np.bincount(left, minlength=len(a)))]))
    size, zeros = (len(a), len(b)), torch.zeros(len(right))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        pairs = torch.sparse_csr_tensor(ends, torch.from_numpy(right), zeros, size, check_invariants=False)
    found: Float32 = torch.sparse.sampled_addmm(pairs, a, b.T, beta=0.0).values().numpy()
    return found
