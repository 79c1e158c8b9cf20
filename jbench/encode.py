"""Items to values: each distinct one once, sorted by length, in batches of equal token cost.

An item is a text or, for cross-encoders, a pair of texts; a value is whatever the model makes of
it: a vector, a matrix of token vectors, a score.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from jbench.memory import out_of_memory
from jbench.store import Kept, Memory
from jbench.types import Float32, Int64, InvalidScores, Track, Unavailable, silent

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}

_FIRST, _AT_ONCE = 1024, 8192
"""How many items are tokenized before the model begins, and then ahead of it."""

_LEAST_TOKENS = 0.95
"""Of a batch's places the share that holds tokens, the rest being padding, once the batch is worth a step."""


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
    ``documents`` and ``stored`` count documents held and the 16-bit numbers that they take, ``shared`` those that all
    of them share. ``reused`` counts items
    whose values were known, ``halved`` the batches that did not fit in memory and were cut in two.
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
    stored: float = 0
    shared: int = 0
    reused: int = 0
    halved: int = 0

    def rates(self) -> dict[str, float]:
        """Items and tokens a second, the share of tokens that was padding, items reused, batches halved."""
        counts = {"reused": self.reused, "halved": self.halved}
        found: dict[str, float] = {name: count for name, count in counts.items() if count}
        if not self.items:
            return found
        return found | {
            "texts_per_s": round(self.items / self.seconds, 1),
            "tokens_per_s": round(self.tokens / self.seconds, 1),
            "padding": round(self.padding / max(self.tokens + self.padding, 1), 4),
        }

    def count(self, lengths: Int64, seconds: float) -> None:
        """Add a batch of items of these ``lengths`` in tokens, int64[n]."""
        self.items += len(lengths)
        self.tokens += int(lengths.sum())
        self.padding += int(lengths.max() * len(lengths) - lengths.sum())
        self.seconds += seconds

    def pace(self) -> str:
        """Tokens a second and the share of padding, for a progress bar."""
        rates = self.rates()
        return f"{rates['tokens_per_s']:,.0f} tokens/s, {rates['padding']:.1%} padding"

    def hold(self, values: Iterable[Float32]) -> None:
        """Count ``values`` as those of documents."""
        if isinstance(values, np.ndarray):
            self.documents += len(values)
            self.stored += values.size
            return
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


@dataclass(frozen=True)
class Reader:
    """How new items are read: tokenized, then run through the model, a batch of at most ``budget`` tokens at once.

    Both are told the ``way`` in which items are read (a prompt, a role): the same text under two ways is two texts.
    ``forward(items, way)`` gives one float32 array for each tokenized item. ``tokenize`` runs in a thread of its own,
    beside ``forward``.
    """

    tokenize: Callable[[list[Any], Any], Tokenized]
    forward: Callable[[list[Any], Any], Iterable[Float32]]
    budget: int


@dataclass
class Encoder:
    """Items to values; what ``kept`` knows is not encoded again.

    ``reader`` is asked for, and weights are loaded, once something is new. ``size`` says how long an item is,
    roughly, so that those of one length are tokenized together.
    """

    reader: Callable[[], Reader]
    track: Track
    tally: Tally = field(default_factory=Tally)
    kept: Kept = field(default_factory=Memory)
    size: Callable[[Any], int] = len
    _halved: int = 0
    _gathering: bool = False

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Calls inside leave it to the store when to write, as those for windows of documents; then all is written."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self.kept.flush()

    def __call__(self, items: Sequence[Any], way: Hashable = "", label: str = "encode") -> list[Float32]:
        """One value an item, in the order of ``items``; without ``label`` no progress is shown.

        :raises InvalidScores: when the model gives NaN or infinity for an item.
        :raises Unavailable: when one item alone does not fit in memory.
        """
        place = {item: i for i, item in enumerate(dict.fromkeys(items))}
        distinct = list(place)
        found = self.kept.find(way, distinct)
        new = [i for i, known in enumerate(found) if known is None]
        self.tally.reused += len(distinct) - len(new)
        try:
            for i, value, lost in self._encode(distinct, new, way, label):
                found[i] = (value, lost)
                self.kept.add(way, distinct[i], value, lost)
        finally:
            if not self._gathering:
                self.kept.flush()
        values = [known for known in found if known is not None]
        self.tally.lose((hash((way, item)), lost) for item, (_, lost) in zip(distinct, values, strict=True))
        return [values[place[item]][0] for item in items]

    def matrix(self, items: Sequence[Any], way: Hashable = "", label: str = "encode") -> Float32:
        """float32[n, d]: the same of a model whose values are vectors of one dimension; raises as a call does."""
        if len(items) and (table := self.kept.table(way, items)):
            values, lost = table
            self.tally.reused += len(set(items))
            self.tally.lose((hash((way, items[i])), int(lost[i])) for i in np.flatnonzero(lost).tolist())
            return values
        vectors = self(items, way, label)
        return np.stack(vectors) if vectors else np.zeros((0, 1), np.float32)

    def _encode(
        self, distinct: list[Any], new: list[int], way: Hashable, label: str
    ) -> Iterator[tuple[int, Float32, int]]:
        """The value and the tokens lost of each new item, by its place in ``distinct``."""
        if not new:
            return
        reader = self.reader()
        known = f" ({len(distinct) - len(new):,} known)" if len(new) < len(distinct) else ""
        advance = (self.track if label else silent)(label + known, len(new))
        new = sorted(new, key=lambda i: self.size(distinct[i]), reverse=True)
        starts = [0, *range(_FIRST, len(new), _AT_ONCE), len(new)]
        chunks = [new[start:end] for start, end in pairwise(starts)]
        begun = time.perf_counter()
        for chunk, tokenized in _ahead(chunks, lambda chunk: reader.tokenize([distinct[i] for i in chunk], way)):
            lengths = np.array(tokenized.lengths, np.int64)
            for batch in batches(lengths, reader.budget >> self._halved):
                try:
                    values = self._forward(reader, [tokenized.items[i] for i in batch], way)
                except IndexError as error:
                    text = _said(distinct[chunk[batch[0]]])
                    raise Unavailable(
                        f"the model cannot read one of {len(batch):,} texts, of which {text} is the longest ({error}): "
                        "do tokenizer and weights belong together?"
                    ) from error
                for i, value in zip(batch, values, strict=True):
                    if not np.isfinite(value).all():
                        raise InvalidScores(
                            f"the model gave a non-finite vector for the text {_said(distinct[chunk[i]])}"
                        )
                    yield chunk[i], value, tokenized.lost[i]
                now = time.perf_counter()
                self.tally.count(lengths[batch], now - begun)
                begun = now
                advance(len(batch), note=self.tally.pace())

    def _forward(self, reader: Reader, items: list[Any], way: Hashable) -> list[Float32]:
        """The values of a batch; where it does not fit in memory, by halves, and later batches are smaller."""
        values: list[Float32] = []
        size = len(items)
        while len(values) < len(items):
            try:
                values.extend(reader.forward(items[len(values) : len(values) + size], way))
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if size == 1:
                    raise Unavailable(
                        "one text alone needs more memory than there is: --model-set max_length=N cuts it, "
                        "--dtype bf16 halves what it takes"
                    ) from error
                size = (size + 1) // 2
                self._halved += 1
                self.tally.halved += 1
        return values


def _ahead(
    chunks: Sequence[list[int]], work: Callable[[list[int]], Tokenized]
) -> Iterator[tuple[list[int], Tokenized]]:
    """Each chunk with what ``work`` makes of it; while one is used, the next is worked on in a thread."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(work, chunks[0])
        for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
            done = coming.result()
            if following is not None:
                coming = pool.submit(work, following)
            yield chunk, done


def _said(item: Any) -> str:
    return " + ".join(repr(text[:40]) for text in ([item] if isinstance(item, str) else item))


def batches(lengths: Int64, budget: int) -> list[list[int]]:
    """Positions sorted by length, longest first, cut so that rows x longest stays within ``budget``.

    It ends sooner where one more row would make padding more than a twentieth, from an eighth of the budget on, or
    where one more row would be the first to need any, from a half on: without padding attention needs no mask.
    """
    out: list[list[int]] = []
    longest = held = 0
    for i in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[i])
        filled = longest * (len(out[-1]) + 1) if out else 0
        padded = filled > budget // 8 and held + length < _LEAST_TOKENS * filled
        uneven = filled > budget // 2 and length < longest
        if not out or filled > budget or padded or uneven:
            out.append([])
            longest, held = max(length, 1), 0
        out[-1].append(i)
        held += length
    return out
