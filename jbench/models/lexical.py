"""What BM25 and n-grams share: an index of documents as sparse rows, asked with sparse rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jbench.encode import Tally
from jbench.models.options import Options
from jbench.search import spans, top_k
from jbench.types import Card, Float32, Run, Texts

Matrix = Any
"""A scipy CSR matrix, float32, a row a text."""


@dataclass(frozen=True)
class Lexical:
    """``index(documents)`` gives their matrix, and what makes a matrix of queries over the same columns.

    The dot product of two rows is the score. A document without any column in common with a query
    scores 0 and is not retrieved.
    """

    card: Card
    index: Callable[[Sequence[str]], tuple[Matrix, Callable[[Sequence[str]], Matrix]]]
    options: Options
    tally: Tally = field(default_factory=Tally)

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """Each left text as a query against the distinct right texts as the corpus."""
        left, at_left = _distinct([pair[0] for pair in pairs])
        right, at_right = _distinct([pair[1] for pair in pairs])
        held, ask = self._hold(right)
        products = ask(left)[at_left].multiply(held[at_right])
        return np.asarray(products.sum(axis=1), np.float32).ravel()

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """Documents with a positive score, best first."""
        held, ask = self._hold(list(documents.texts))
        asked = ask(list(queries.texts))
        windows = (
            (asked @ held[span].T).toarray()
            for span in spans(len(queries), len(documents), k, self.options.track, self.options.memory)
        )
        return top_k(queries.ids, documents.ids, windows, k, floor=0.0)

    def report(self) -> dict[str, Any]:
        """Nothing is cut and nothing runs on a device."""
        return {"device": "cpu", "setup": self.tally.take().setup, "cost": {"parameters": 0}}

    def _hold(self, documents: list[str]) -> tuple[Matrix, Callable[[Sequence[str]], Matrix]]:
        with self.tally.preparing():
            return self.index(documents)


def _distinct(texts: list[str]) -> tuple[list[str], list[int]]:
    at = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return list(at), [at[text] for text in texts]
