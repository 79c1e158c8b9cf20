"""Long texts for programs that cannot take them: MeCab ends the process on some hundred thousand letters.

A text is read in windows that overlap. Where the words of two windows are the same over some length, the one can go on
for the other: the words are those of the whole text, read at once. One kind of text may come out otherwise: a row of
letters of one kind, in no dictionary and longer than the overlap, such as ten thousand half-width kana; how its
beginning is divided depends on where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

WINDOW = 32_768
"""How many characters MeCab is given at once; shorter texts are read as they are."""

OVERLAP = 4_096
"""How many characters of a window the next one reads again."""

_ALIKE = 8
"""How many words in a row must be the same in two windows; what ends a window touches fewer."""

Analyse = Callable[[str], Sequence[Any]]
"""A text to MeCab's nodes, which have ``white_space`` (before the word), ``surface`` and ``feature_raw``."""


class Word(NamedTuple):
    """A word: where it begins and ends in the text (characters), and its features."""

    begin: int
    end: int
    surface: str
    features: str


def words(analyse: Analyse, text: str, window: int = WINDOW, overlap: int = OVERLAP) -> Iterator[Word]:
    """The words of a text of any length, as ``analyse`` would find them in one piece.

    A window begins where a word of the one before begins, at least ``overlap`` characters before that one's end, so
    that repeated letters are divided in step. Where the two agree nowhere, the second is taken from its beginning.
    """
    start = 0
    here = _words(analyse, text[:window], start)
    while start + window < len(text):
        end = start + window
        first, after, joint = len(here), [], None
        for wide in (overlap, 2 * overlap, 4 * overlap):
            # The last word that begins before the overlap.
            place = max((i for i, word in enumerate(here) if word.begin <= end - wide), default=0)
            if not here or here[place].begin <= start:
                break
            first, begin = place, here[place].begin
            after = _words(analyse, text[begin : begin + window], begin)
            if (joint := _joint(here[first:], after)) is not None:
                break
        if first == len(here):  # little but white space: no word reaches from this window into the next
            begin = max(here[-1].end if here else end, end - overlap)
            after = _words(analyse, text[begin : begin + window], begin)
        left, right = joint or (0, 0)
        yield from here[: first + left]
        here, start = after[right:], begin
    yield from here


def _words(analyse: Analyse, text: str, place: int) -> list[Word]:
    """The words of a piece that stands at ``place`` of the text."""
    words = []
    for node in analyse(text):
        begin = place + len(node.white_space)
        place = begin + len(node.surface)
        words.append(Word(begin, place, node.surface, node.feature_raw))
    return words


def _joint(left: Sequence[Word], right: Sequence[Word]) -> tuple[int, int] | None:
    """Where the words ``right`` can go on for ``left``: the middle of the longest row of words that both have."""
    places = {word.begin: i for i, word in enumerate(right)}
    best = row = 0
    joint = None
    for i, word in enumerate(left):
        j = places.get(word.begin)
        row = row + 1 if j is not None and right[j] == word else 0
        if row > best and j is not None:
            best, joint = row, (i - row // 2, j - row // 2)
    return joint if best >= _ALIKE else None


class Bounded:
    """MeCab's tagger in its place in a tokenizer: the same for short texts, in windows for long ones."""

    def __init__(self, analyse: Analyse) -> None:
        self._analyse = analyse

    def __call__(self, text: str) -> Any:
        """The words of a text, each with a ``surface``."""
        return self._analyse(text) if len(text) <= WINDOW else words(self._analyse, text)


def bound(tokenizer: Any) -> None:
    """Let a BertJapaneseTokenizer's MeCab read long texts in windows; any other tokenizer stays as it is."""
    finder: Any = getattr(tokenizer, "word_tokenizer", None)
    if hasattr(finder, "mecab") and not isinstance(finder.mecab, Bounded):
        finder.mecab = Bounded(finder.mecab)
