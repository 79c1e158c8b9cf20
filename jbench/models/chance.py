"""``random``: scores that know nothing, the same at every run. What chance gives on a board, and random negatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jbench.fingerprint import UInt64, hashed, mixed
from jbench.models.options import Options
from jbench.search import spans, top_k
from jbench.types import Card, Float32, Run, Texts

REVISION = 1
"""Rises when the same texts would get other scores."""


@dataclass(frozen=True)
class Chance:
    """A pair's score lies evenly between 0 and 1, by a hash of its two texts."""

    card: Card
    options: Options

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """One float32 a pair; ``roles`` change nothing."""
        left, right = (hashed([pair[side] for pair in pairs]) for side in (0, 1))
        return _scores(left, right)

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """Random documents, in random order; equal texts stand together."""
        asked = hashed(queries.texts)

        def windows() -> Iterator[Float32]:
            for span in spans(len(asked), len(documents), k, self.options.track, self.options.memory):
                yield _scores(asked[:, None], hashed(documents.texts[span]))

        return top_k(queries.ids, documents.ids, windows(), k)

    def report(self) -> dict[str, Any]:
        """Nothing is cut and nothing runs on a device."""
        return {"device": "cpu", "setup": 0.0, "cost": {"parameters": 0}}


def chance(options: Options) -> Chance:
    """The model ``random``.

    :raises UsageError: for options that need weights.
    """
    options.only("random")
    card = Card(options.name or "random", f"random-{REVISION}", "random", settings={"dtype": "float32"})
    return Chance(card, options)


def _scores(left: UInt64, right: UInt64) -> Float32:
    """The upper 24 bits of both hashes together, which a float32 holds exactly."""
    found: Float32 = (mixed(left + mixed(right)) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return found
