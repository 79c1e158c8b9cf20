"""Token vectors in 2 bits a dimension beside a centroid, as ColBERTv2 stores them and JaColBERT was measured.

Santhanam et al. 2022, section 3.3; the report (arXiv 2312.16144): 2 bits. A vector is the nearest centroid and what is
left of each dimension, as one of four values: the cuts between them are the quartiles of all that is left, and each is
the quantile in the middle of its quarter. What is read back has length 1, as what was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jbench.types import Float32

SAMPLE = 1 << 18
"""Vectors from which centroids are learnt, at most: 128 MiB of 128 dimensions."""

_SEED, _ROUNDS, _AT_ONCE, _SIMILARITIES = 42, 4, 1 << 13, 1 << 22
_PLACES = np.array([0, 2, 4, 6], np.uint8)
UInt8 = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Residual:
    """``centroids`` float32[c, d]; ``cuts`` float32[3] and ``values`` float32[4] of what is left in a dimension."""

    centroids: Float32
    cuts: Float32
    values: Float32

    def encode(self, vectors: Float32) -> tuple[np.ndarray[Any, Any], UInt8]:
        """Of float32[n, d] the centroids, uint16[n] (uint32 beyond 65,536), and uint8[n, d / 4 rounded up]."""
        kind = np.uint16 if len(self.centroids) <= 1 << 16 else np.uint32
        nearest = _nearest(vectors, self.centroids)
        codes = np.searchsorted(self.cuts, vectors - self.centroids[nearest], side="right").astype(np.uint8)
        codes = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 4)))
        packed = np.bitwise_or.reduce(codes.reshape(len(codes), -1, 4) << _PLACES, axis=2)
        return nearest.astype(kind), np.asarray(packed, np.uint8)

    def decode(self, nearest: np.ndarray[Any, Any], packed: UInt8) -> Float32:
        """float32[n, d], each of length 1."""
        codes = (packed[:, :, None] >> _PLACES & 3).reshape(len(packed), -1)[:, : self.centroids.shape[1]]
        found = self.centroids[nearest] + self.values[codes]
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return np.asarray(found, np.float32)

    def read_back(self, documents: Sequence[Float32]) -> list[Float32]:
        """Documents, float32[tokens, d] each, as they are after they were stored."""
        ends = np.cumsum([len(document) for document in documents])
        whole = np.concatenate(documents)
        parts = [self.decode(*self.encode(whole[i : i + _AT_ONCE])) for i in range(0, len(whole), _AT_ONCE)]
        return np.split(np.concatenate(parts), ends[:-1]) if parts else list(documents)

    @property
    def bytes_per_vector(self) -> int:
        """What one vector takes, without the centroids that all share."""
        count, width = self.centroids.shape
        return (2 if count <= 1 << 16 else 4) + int(width + 3) // 4


def fit(sample: Float32, vectors: int) -> Residual:
    """Learn from ``sample``, float32[n, d] of length 1, for a collection of so many ``vectors``.

    There are as many centroids as ColBERTv2 takes (the power of two below sixteen times the square root of the
    vectors), but at most a quarter of the sample.
    """
    wanted = int(2 ** np.floor(np.log2(16 * np.sqrt(max(1, vectors)))))
    centroids = _centroids(sample, max(1, min(wanted, len(sample) // 4)))
    left = (sample - centroids[_nearest(sample, centroids)]).ravel()
    cuts, values = (
        np.quantile(left, places).astype(np.float32) for places in ((0.25, 0.5, 0.75), (0.125, 0.375, 0.625, 0.875))
    )
    return Residual(centroids, cuts, values)


def _centroids(sample: Float32, count: int) -> Float32:
    """Means of the groups that a few rounds of k-means end with, each of length 1; the same for the same sample."""
    draw = np.random.default_rng(_SEED)
    centroids = sample[np.sort(draw.choice(len(sample), count, replace=False))]
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, centroids)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, sample)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids = np.where(length > 0, sums / np.maximum(length, 1e-12), centroids).astype(np.float32)
    return centroids


def _nearest(vectors: Float32, centroids: Float32) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which of the centroids, all of length 1, each vector is most similar to."""
    rows = max(1, _SIMILARITIES // len(centroids))
    found = [(vectors[i : i + rows] @ centroids.T).argmax(axis=1) for i in range(0, len(vectors), rows)]
    return np.concatenate(found) if found else np.zeros(0, np.int64)
