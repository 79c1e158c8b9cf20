"""What BM25 and n-grams share: sparse vectors whose dot product is the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jbench.search import spans, top_k
from jbench.types import Card, Float32, Run, Texts, Track

Matrix = Any
"""A scipy CSR matrix, float32, a row a text."""


@dataclass(frozen=True)
class Lexical:
    """``vectors(queries, documents)`` gives one sparse matrix for each, over the same columns.

    A document without any column in common with a query scores 0 and is not retrieved.
    """

    card: Card
    vectors: Callable[[Sequence[str], Sequence[str]], tuple[Matrix, Matrix]]
    track: Track

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """Each left text as a query against the distinct right texts as the corpus."""
        left, at_left = _distinct([pair[0] for pair in pairs])
        right, at_right = _distinct([pair[1] for pair in pairs])
        queries, documents = self.vectors(left, right)
        products = queries[at_left].multiply(documents[at_right])
        return np.asarray(products.sum(axis=1), np.float32).ravel()

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """Documents with a positive score, best first."""
        asked, held = self.vectors(list(queries.texts), list(documents.texts))
        windows = ((asked @ held[span].T).toarray() for span in spans(len(queries), len(documents), self.track))
        return top_k(queries.ids, documents.ids, windows, k, floor=0.0)

    def report(self) -> dict[str, Any]:
        """Nothing is cut and nothing runs on a device."""
        return {"device": "cpu"}


def _distinct(texts: list[str]) -> tuple[list[str], list[int]]:
    at = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return list(at), [at[text] for text in texts]
