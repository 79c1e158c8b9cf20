"""Texts, and pairs of them, to rows of token ids, and rows to padded batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from jbench.encode import Tokenized

TEXTS_AT_ONCE = 1 << 16
"""How many texts are known at once: the documents a search encodes before it compares them, the sides of pairs."""

_IDS = "input_ids"


def tokenize(tokenizer: Any, texts: Sequence[Any], length: int | None, special: bool = True) -> Tokenized:
    """Texts, or pairs of them, as rows of token ids, cut to ``length`` tokens, ``special`` ones included."""
    sides = (
        [list(side) for side in zip(*texts, strict=True)] if texts and isinstance(texts[0], tuple) else [list(texts)]
    )
    found = tokenizer(*sides, truncation=length is not None, max_length=length, add_special_tokens=special)
    keys = [key for key in found if key != "attention_mask"]
    rows = [{key: found[key][i] for key in keys} for i in range(len(texts))]
    lengths, lost = [len(ids) for ids in found[_IDS]], [0] * len(texts)
    full = [i for i, n in enumerate(lengths) if length is not None and n >= length]
    if full:
        # Only a text that fills the length can have lost anything.
        cut = ([side[i] for i in full] for side in sides)
        whole = tokenizer(*cut, truncation=False, verbose=False, add_special_tokens=special)[_IDS]
        for i, ids in zip(full, whole, strict=True):
            lost[i] = len(ids) - lengths[i]
    return Tokenized(rows, lengths, lost)


def pad(
    tokenizer: Any,
    rows: Sequence[Mapping[str, list[int]]],
    device: Any,
    side: str | None = None,
    fill: int | None = None,
) -> dict[str, Any]:
    """Rows of token ids as one padded batch on ``device``, with its attention mask.

    ``side`` and ``fill`` are where and with which id it is padded, if not as the tokenizer says.
    """
    import torch

    lengths = np.array([len(row[_IDS]) for row in rows])
    places = np.arange(max(1, lengths.max()))  # no tokens at all would be no batch
    right = (side or tokenizer.padding_side) == "right"
    kept = places < lengths[:, None] if right else places >= lengths.max() - lengths[:, None]
    filler = tokenizer.pad_token_id if fill is None else fill
    fills = {_IDS: filler, "token_type_ids": tokenizer.pad_token_type_id}
    padded = {"attention_mask": kept.astype(np.int64)}
    for key in rows[0]:
        padded[key] = np.full(kept.shape, fills.get(key, 0), np.int64)
        padded[key][kept] = np.fromiter(chain.from_iterable(row[key] for row in rows), np.int64, int(lengths.sum()))
    return {key: torch.from_numpy(value).to(device) for key, value in padded.items()}


@dataclass
class Pairs:
    """Pairs to rows as `tokenize` makes them, but each distinct text is tokenized once, in however many it stands."""

    tokenizer: Any
    known: dict[str, list[int]] = field(default_factory=dict)

    def __call__(self, pairs: Sequence[tuple[str, str]], length: int | None) -> Tokenized:
        """``pairs`` from long to short; ``length`` as in `tokenize`.

        `tokenize` does it where the tokenizer does more than to put two texts side by side, as the first pair and the
        last one show, or cuts in a way that is not `cut`.
        """
        self._learn(pairs)
        sides = [(self.known[one], self.known[other]) for one, other in pairs]
        frame = self._frame(pairs[0], *sides[0])
        if frame is None:
            return tokenize(self.tokenizer, pairs, length)
        whole = [len(one) + len(other) + frame.special for one, other in sides]
        if length is not None and max(whole) > length:
            if not (self.tokenizer.is_fast and self.tokenizer.truncation_side == "right"):
                return tokenize(self.tokenizer, pairs, length)
            room = length - frame.special
            sides = [cut(*side, room) if n > length else side for side, n in zip(sides, whole, strict=True)]
        rows = [frame.around(*side) for side in sides]
        ends = [0, -1]
        if tokenize(self.tokenizer, [pairs[i] for i in ends], length).items != [rows[i] for i in ends]:
            return tokenize(self.tokenizer, pairs, length)
        lengths = [len(row[_IDS]) for row in rows]
        return Tokenized(rows, lengths, [n - kept for n, kept in zip(whole, lengths, strict=True)])

    def _learn(self, pairs: Sequence[tuple[str, str]]) -> None:
        if len(self.known) > TEXTS_AT_ONCE:
            self.known.clear()
        new = [text for text in dict.fromkeys(text for pair in pairs for text in pair) if text not in self.known]
        if new:
            ids = self.tokenizer(new, add_special_tokens=False, truncation=False, verbose=False)[_IDS]
            self.known.update(zip(new, ids, strict=True))

    def _frame(self, pair: tuple[str, str], left: list[int], right: list[int]) -> _Frame | None:
        """How ``pair`` is framed, whose sides have the ids ``left`` and ``right``; None when they are not in it."""
        whole = self.tokenizer(*pair, truncation=False, verbose=False)
        special = len(whole[_IDS]) - len(left) - len(right)
        for first in range(special + 1):
            for middle in range(special + 1 - first):
                end = first + len(left)
                start = end + middle
                last = start + len(right)
                if left and right and whole[_IDS][first:end] == left and whole[_IDS][start:last] == right:
                    keys = {key: row for key, row in whole.items() if key != "attention_mask"}
                    return _Frame(
                        {
                            key: (row[:first], row[first], row[end:start], row[start], row[last:])
                            for key, row in keys.items()
                        }
                    )
        return None


@dataclass(frozen=True)
class _Frame:
    """What stands around the two sides of a pair.

    ``parts`` has for each key of a row what stands first, at each token of one side, in the middle, at each token of
    the other, and last; at the tokens the ids are the sides' own.
    """

    parts: Mapping[str, tuple[list[int], int, list[int], int, list[int]]]

    @property
    def special(self) -> int:
        first, _, middle, _, last = self.parts[_IDS]
        return len(first) + len(middle) + len(last)

    def around(self, left: list[int], right: list[int]) -> dict[str, list[int]]:
        rows = {}
        for key, (first, one, middle, other, last) in self.parts.items():
            sides = (left, right) if key == _IDS else ([one] * len(left), [other] * len(right))
            rows[key] = [*first, *sides[0], *middle, *sides[1], *last]
        return rows


def cut(left: list[int], right: list[int], room: int) -> tuple[list[int], list[int]]:
    """Two sides that are too long, within ``room`` tokens: the longer is cut first, then both to a half.

    As the library tokenizers does it by its strategy longest_first (tokenizers/src/utils/truncation.rs).
    """
    short, long = sorted((len(left), len(right)))
    long = max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    n, m = (long, short) if len(left) > len(right) else (short, long)
    return left[:n], right[:m]
