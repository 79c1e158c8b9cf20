"""Which documents reach a score, where finding them in bf16 costs less than comparing all in float32.

The product in bf16 leaves room for all that its rounding can hide, so that nothing that reaches the score is left out;
the scores are of float32, each pair's by itself, and so the same in whatever window it stands.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from jbench import similarity
from jbench.types import Float32, Int64

FEW = 32
"""One pair by itself costs about what so many of all cost in a product."""

_BFLOAT16 = 2.0**-8  # the most that rounding takes of a number
_FLOAT32 = 2.0**-22  # the same, four times: in two sums, with as much again to spare
_UP = 1 + 2.0**-7  # that a bfloat16 is not below what it is made of
_PRODUCTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0))  # of parts of two float32: the others are too small

Found = tuple[Int64, Int64, Float32]


def nearest(name: str, a: Float32, k: int, device: str, documents: int) -> Nearest | None:
    """`Nearest` where it is the faster: a CPU with units for bf16, the best few of many documents, cosine or dot."""
    few = documents >= FEW * k and a.size * documents >= similarity.WORTH_TORCH
    if name not in ("cosine", "dot") or device != "cpu" or not few:
        return None
    import torch

    return Nearest(name, a, k) if torch.cpu._is_amx_tile_supported() else None


class Nearest:
    """Queries, float32[n, d], of which each looks for its best ``k`` by cosine or dot."""

    def __init__(self, name: str, a: Float32, k: int) -> None:
        import torch

        self._cosine, self._k = name == "cosine", k
        self._asked = similarity.tensor(name, a, "cpu")
        count, self._d = self._asked.shape
        # More columns take the score to be reached from each product before that is rounded.
        self._rough = torch.zeros(count, -(-(self._d + 1 + len(_PRODUCTS)) // 32) * 32, dtype=torch.bfloat16)
        self._rough[:, : self._d] = self._asked
        self._against = self._rough[:0]
        lengths, lost = (
            torch.linalg.vector_norm(one, dim=1) for one in (self._asked, self._asked - self._rough[:, : self._d])
        )
        self._longest = lengths.max()
        # Of a document of length 1 (Cauchy-Schwarz): what sums lose, and what both roundings lose besides. A score
        # that is twice as large as the lengths' product is not reached, and below 0 it is missed by none.
        self._summed = (self._d + 7) * _FLOAT32 * lengths
        self._rough[:, self._d] = (lost + _BFLOAT16 * (lengths + lost) + 3 * self._summed) * _UP

    def __call__(self, b: Float32, last: Float32 | None) -> Found:
        """Of m documents, float32[m, d], all that reach each query's ``last`` score, float32[n].

        Without ``last``, at least those that reach the query's k-th best score of these documents. Where many do, as
        where all vectors are nearly the same, all pairs are compared in one product.

        :returns: queries, documents and scores, by rising query.
        """
        import torch

        held = torch.from_numpy(b)
        lengths = torch.linalg.vector_norm(held, dim=1)
        scale = 1 / lengths.clamp_min(1e-12) if self._cosine else torch.ones(len(b))
        if not torch.isfinite(self._longest * lengths.max()):
            near = np.ones((len(self._asked), len(b)), np.bool_)  # and whoever is given the scores sees what is wrong
        elif last is None:
            scores = (self._asked @ held.T * scale).numpy()
            kth = np.partition(scores, max(0, len(b) - self._k), axis=1)[:, max(0, len(b) - self._k)]
            near = scores >= (kth - (self._summed * (lengths * scale).max()).numpy())[:, None]
        else:
            near = self._near(held, lengths, torch.from_numpy(last))
        query, document = np.divmod(np.flatnonzero(near), len(b))
        if len(query) > near.size // FEW:
            found = (self._asked @ held.T * scale).numpy()[query, document]
        else:
            found = _products(self._asked, held, query, document) * scale.numpy()[document]
        if last is not None:
            reached = ~(found < last[query])
            query, document, found = query[reached], document[reached], found[reached]
        return query, document, found

    def _near(self, held: Any, lengths: Any, last: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """bool[n, m]: true at least of the pairs that reach ``last``, by one product in bf16.

        It is that of the vectors, with what rounding may have taken added, less ``last``, for the cosine times the
        document's length: where that is not negative.
        """
        import torch

        if len(self._against) != len(held):
            self._against = torch.zeros(len(held), self._rough.shape[1], dtype=torch.bfloat16)
        self._against[:, : self._d] = held
        self._against[:, self._d] = lengths * _UP
        less, of = _parts(-last), _parts(lengths if self._cosine else torch.ones(len(held)))
        for column, (i, j) in enumerate(_PRODUCTS, self._d + 1):
            self._rough[:, column], self._against[:, column] = less[i], of[j]
        # Of a bfloat16 that is not negative, the bits are not either.
        found: np.ndarray[Any, np.dtype[np.bool_]] = (self._rough @ self._against.T).view(torch.int16).numpy() >= 0
        return found


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
