"""Texts to vectors: each distinct text once, sorted by length, in batches of equal token cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jbench.types import Float32, InvalidScores, Track

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}


@dataclass(frozen=True)
class Tokenized:
    """``items`` are what a batch is made of; ``lengths`` and ``lost`` count tokens kept and cut."""

    items: Sequence[Any]
    lengths: Sequence[int]
    lost: Sequence[int]


@dataclass
class Tally:
    """What encoding did: distinct texts, tokens and padding run through the model, texts cut."""

    texts: int = 0
    tokens: int = 0
    padding: int = 0
    seconds: float = 0.0
    truncated: int = 0
    tokens_lost: int = 0

    def rates(self) -> dict[str, float]:
        """Texts and tokens a second, and the share of tokens that was padding."""
        if not self.texts:
            return {}
        return {
            "texts_per_s": round(self.texts / self.seconds, 1),
            "tokens_per_s": round(self.tokens / self.seconds, 1),
            "padding": round(self.padding / max(self.tokens + self.padding, 1), 4),
        }


@dataclass
class Encoder:
    """Encodes through ``tokenize`` and ``forward`` and remembers every vector.

    ``forward(items, prompt)`` gives float32[len(items), d] for tokenized texts that all begin
    with ``prompt``; a batch costs at most ``budget`` tokens, padding included.
    """

    tokenize: Callable[[list[str]], Tokenized]
    forward: Callable[[list[Any], str], Float32]
    budget: int
    track: Track
    tally: Tally = field(default_factory=Tally)
    _vectors: dict[tuple[str, str], Float32] = field(default_factory=dict)
    _lost: dict[tuple[str, str], int] = field(default_factory=dict)

    def __call__(self, texts: Sequence[str], prompt: str) -> Float32:
        """float32[len(texts), d], in the order of ``texts``, each with ``prompt`` before it.

        :raises InvalidScores: when the model gives NaN or infinity for a text.
        """
        asked = [(prompt, text) for text in texts]
        distinct = list(dict.fromkeys(asked))
        if new := [text for text in distinct if text not in self._vectors]:
            self._encode(new, prompt)
        lost = [self._lost[text] for text in distinct]
        self.tally.truncated += sum(n > 0 for n in lost)
        self.tally.tokens_lost += sum(lost)
        return np.stack([self._vectors[text] for text in asked]) if asked else np.zeros((0, 1), np.float32)

    def _encode(self, asked: list[tuple[str, str]], prompt: str) -> None:
        start = time.perf_counter()
        tokenized = self.tokenize([prompt + text for _, text in asked])
        lengths = np.array(tokenized.lengths, np.int64)
        advance = self.track("encode", len(asked))
        for batch in batches(lengths, self.budget):
            vectors = self.forward([tokenized.items[i] for i in batch], prompt)
            if bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist():
                text = asked[batch[bad[0]]][1]
                raise InvalidScores(f"the model gave a non-finite vector for the text {text[:40]!r}")
            for i, vector in zip(batch, vectors, strict=True):
                self._vectors[asked[i]], self._lost[asked[i]] = vector, tokenized.lost[i]
            self.tally.padding += int(lengths[batch].max() * len(batch) - lengths[batch].sum())
            advance(len(batch))
        self.tally.texts += len(asked)
        self.tally.tokens += int(lengths.sum())
        self.tally.seconds += time.perf_counter() - start


def batches(lengths: np.ndarray[Any, np.dtype[np.int64]], budget: int) -> list[list[int]]:
    """Positions sorted by length, longest first, cut so that rows x longest stays within ``budget``."""
    out: list[list[int]] = []
    room = 0
    for i in np.argsort(-lengths, kind="stable").tolist():
        if not out or len(out[-1]) >= room:
            out.append([])
            room = max(1, budget // max(int(lengths[i]), 1))
        out[-1].append(i)
    return out
