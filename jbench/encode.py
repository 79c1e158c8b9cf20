"""Items to values: each distinct one once, sorted by length, in batches of equal token cost.

An item is a text or, for cross-encoders, a pair of texts; a value is whatever the model makes of
it: a vector, a matrix of token vectors, a score.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jbench.types import Float32, InvalidScores, Track, Unavailable

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}
REMEMBERED = 2 << 30
"""How many bytes of values an encoder keeps, to encode no text twice in one run."""

_AT_ONCE = 8192
"""How many items are tokenized ahead of the model."""


@dataclass(frozen=True)
class Tokenized:
    """``items`` are what a batch is made of; ``lengths`` and ``lost`` count tokens kept and cut."""

    items: Sequence[Any]
    lengths: Sequence[int]
    lost: Sequence[int]


@dataclass
class Tally:
    """What encoding did: distinct items, tokens and padding run through the model, items cut.

    ``cut`` holds a hash of each item already counted as cut.
    ``setup`` is the time in seconds that no query waits for: loading weights, encoding documents.
    ``documents`` and ``stored`` count documents held and the 16-bit numbers that they take.
    """

    items: int = 0
    tokens: int = 0
    padding: int = 0
    seconds: float = 0.0
    truncated: int = 0
    tokens_lost: int = 0
    cut: set[int] = field(default_factory=set)
    setup: float = 0.0
    documents: int = 0
    stored: int = 0

    def rates(self) -> dict[str, float]:
        """Items and tokens a second, and the share of tokens that was padding."""
        if not self.items:
            return {}
        return {
            "texts_per_s": round(self.items / self.seconds, 1),
            "tokens_per_s": round(self.tokens / self.seconds, 1),
            "padding": round(self.padding / max(self.tokens + self.padding, 1), 4),
        }

    def hold(self, values: Iterable[Float32]) -> None:
        """Count ``values`` as those of documents."""
        for value in values:
            self.documents += 1
            self.stored += value.size

    def lose(self, items: Iterable[tuple[int, int]]) -> None:
        """Count the tokens lost of items, by hash, each item once until the tally is taken."""
        for item, lost in items:
            if lost and item not in self.cut:
                self.cut.add(item)
                self.truncated += 1
                self.tokens_lost += lost

    def take(self) -> Tally:
        """What was counted until now; counting begins anew."""
        taken = replace(self)
        vars(self).update(vars(Tally()))
        return taken

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Time spent inside is set-up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.setup += time.perf_counter() - start


@dataclass
class Encoder:
    """Encodes through ``tokenize`` and ``forward`` and remembers values, up to ``remembered`` bytes.

    Both are told the ``way`` in which items are read (a prompt, a role): the same text under two
    ways is two texts. ``forward(items, way)`` gives one float32 array for each tokenized item; a
    batch costs at most ``budget`` tokens, padding included. ``size`` says how long an item is,
    roughly, so that those of one length are tokenized together.
    """

    tokenize: Callable[[list[Any], Any], Tokenized]
    forward: Callable[[list[Any], Any], Iterable[Float32]]
    budget: int
    track: Track
    tally: Tally = field(default_factory=Tally)
    size: Callable[[Any], int] = len
    remembered: int = REMEMBERED
    _memory: dict[tuple[Hashable, Hashable], tuple[Float32, int]] = field(default_factory=dict)
    _held: int = 0

    def __call__(self, items: Sequence[Any], way: Hashable = "", label: str = "encode") -> list[Float32]:
        """One value an item, in the order of ``items``; without ``label`` no progress is shown.

        :raises InvalidScores: when the model gives NaN or infinity for an item.
        """
        place = {item: i for i, item in enumerate(dict.fromkeys(items))}
        distinct = list(place)
        found = [self._memory.get((way, item)) for item in distinct]
        for i, value, lost in self._encode(distinct, [i for i, known in enumerate(found) if known is None], way, label):
            found[i] = (value, lost)
            if self._held + value.nbytes <= self.remembered:
                self._memory[way, distinct[i]] = (value, lost)
                self._held += value.nbytes
        values = [known for known in found if known is not None]
        self.tally.lose((hash((way, item)), lost) for item, (_, lost) in zip(distinct, values, strict=True))
        return [values[place[item]][0] for item in items]

    def _encode(
        self, distinct: list[Any], new: list[int], way: Hashable, label: str
    ) -> Iterator[tuple[int, Float32, int]]:
        """The value and the tokens lost of each new item, by its place in ``distinct``."""
        advance = self.track(label, len(new)) if label and new else lambda done: None
        new = sorted(new, key=lambda i: self.size(distinct[i]), reverse=True)
        for start in range(0, len(new), _AT_ONCE):
            begun = time.perf_counter()
            chunk = new[start : start + _AT_ONCE]
            tokenized = self.tokenize([distinct[i] for i in chunk], way)
            lengths = np.array(tokenized.lengths, np.int64)
            for batch in batches(lengths, self.budget):
                try:
                    values = self.forward([tokenized.items[i] for i in batch], way)
                except IndexError as error:
                    text = _said(distinct[chunk[batch[0]]])
                    raise Unavailable(
                        f"the model cannot read the text {text} ({error}): do tokenizer and weights belong together?"
                    ) from error
                for i, value in zip(batch, values, strict=True):
                    if not np.isfinite(value).all():
                        raise InvalidScores(
                            f"the model gave a non-finite vector for the text {_said(distinct[chunk[i]])}"
                        )
                    yield chunk[i], value, tokenized.lost[i]
                self.tally.padding += int(lengths[batch].max() * len(batch) - lengths[batch].sum())
                advance(len(batch))
            self.tally.items += len(chunk)
            self.tally.tokens += int(lengths.sum())
            self.tally.seconds += time.perf_counter() - begun


def _said(item: Any) -> str:
    return " + ".join(repr(text[:40]) for text in ([item] if isinstance(item, str) else item))


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
