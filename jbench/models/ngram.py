"""Hashed character n-grams: cosine of counts, no weights, no training. The floor of every board."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from jbench.models.lexical import Lexical, Matrix
from jbench.models.options import Options
from jbench.types import Card

LONGEST, COLUMNS = 3, 1 << 18
REVISION = 1
"""Rises when the same texts would get other scores."""


def ngram(options: Options) -> Lexical:
    """Character 1- to 3-grams of the NFKC-normalised, lower-cased text in 2^18 columns.

    :raises UsageError: for options that need weights.
    """
    options.only("ngram")
    settings = {"characters": f"1-{LONGEST}", "columns": COLUMNS, "similarity": "cosine", "dtype": "float32"}
    card = Card(options.name or "ngram", f"ngram-{REVISION}", "ngram", settings=settings)
    return Lexical(card, _index, options)


def _index(documents: Sequence[str]) -> tuple[Matrix, Callable[[Sequence[str]], Matrix]]:
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(
        analyzer="char", ngram_range=(1, LONGEST), n_features=COLUMNS, norm="l2", alternate_sign=False, dtype=np.float32
    )

    def ask(texts: Sequence[str]) -> Matrix:
        return hashed.transform([unicodedata.normalize("NFKC", text) for text in texts])

    return ask(documents), ask
