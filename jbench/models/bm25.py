"""BM25 with a named Japanese tokenizer: k1 0.9, b 0.4 (Anserini's defaults), by bm25s.

idf = ln(1 + (N - df + .5) / (df + .5)). Texts are NFKC-normalised and lower-cased first.
"""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np

from jbench.models import windows
from jbench.models.lexical import Lexical, Matrix
from jbench.models.options import Options
from jbench.types import Card, unknown

K1, B = 0.9, 0.4
REVISION = 1
"""Rises when the same texts would get other scores."""


def bm25(tokenizer: str, options: Options) -> Lexical:
    """``char-bigram`` or ``mecab`` (fugashi with unidic-lite, surface forms).

    :raises UsageError: for another tokenizer, or options that need weights.
    """
    if tokenizer not in TOKENIZERS:
        raise unknown("model", f"bm25:{tokenizer}", [f"bm25:{t}" for t in TOKENIZERS])
    settings = {"k1": K1, "b": B, "tokenizer": tokenizer, "dtype": "float32"}
    if tokenizer == "mecab":
        settings["dictionary"] = f"unidic-lite {version('unidic-lite')}"
    options.only(f"bm25:{tokenizer}")
    card = Card(options.name or f"bm25:{tokenizer}", f"bm25-{tokenizer}-{REVISION}", "bm25", settings=settings)
    return Lexical(card, partial(_index, TOKENIZERS[tokenizer]), options)


def _index(
    tokenize: Callable[[str], list[str]], documents: Sequence[str]
) -> tuple[Matrix, Callable[[Sequence[str]], Matrix]]:
    import bm25s
    from scipy.sparse import csc_matrix, csr_matrix

    tokens = [tokenize(_plain(text)) for text in documents]
    if not any(tokens):

        def nothing(texts: Sequence[str]) -> Matrix:
            return csr_matrix(np.zeros((len(texts), 1), np.float32))

        return nothing(documents), nothing
    index = bm25s.BM25(k1=K1, b=B, method="lucene")
    index.index(tokens, show_progress=False)
    scores = index.scores
    width = len(scores["indptr"]) - 1
    held = csc_matrix((scores["data"], scores["indices"], scores["indptr"]), shape=(len(documents), width)).tocsr()
    # bm25s gives the empty string an id of its own, beyond the last column.
    columns = {token: c for token, c in index.vocab_dict.items() if c < width}

    def ask(queries: Sequence[str]) -> Matrix:
        counts = [Counter(columns[t] for t in tokenize(_plain(text)) if t in columns) for text in queries]
        starts = np.cumsum([0, *map(len, counts)])
        data = np.array([n for row in counts for n in row.values()], np.float32)
        return csr_matrix((data, [c for row in counts for c in row], starts), shape=(len(queries), width))

    return held, ask


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _char_bigrams(text: str) -> list[str]:
    return [text[i : i + 2] for i in range(len(text) - 1)] or [text]


def _mecab(text: str) -> list[str]:
    if len(text) <= windows.WINDOW:
        return [word.surface for word in _tagger()(text)]
    # One string for each distinct word: a long text has millions.
    return [sys.intern(word.surface) for word in windows.words(_tagger(), text)]


@cache
def _tagger() -> Any:
    import fugashi

    return fugashi.Tagger("-Owakati")


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"char-bigram": _char_bigrams, "mecab": _mecab}
