"""What a model answers is looked at before anything is made of it, whoever wrote the model.

Tasks and combinations ask models through these functions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jbench.types import Float32, Float64, Int64, InvalidScores, Model, Reranker, Run, Scorer, Searcher, Texts


def scores(model: Scorer, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32 | Float64:
    """The model's score of each pair: float32[n] where it gave float32, else float64[n].

    :raises InvalidScores: when it gave anything but one finite number for each pair.
    """
    if not len(pairs):
        return np.zeros(0, np.float32)
    given = model.score(pairs, roles)
    wanted = f"one number for each of the {len(pairs):,} pairs"
    try:
        numbers = np.asarray(given)
    except Exception as error:  # rows of unlike length, a tensor on another device
        raise InvalidScores(f"{_who(model, 'score')} gave {_what(given)}, not {wanted}") from error
    if numbers.shape != (len(pairs),) or numbers.dtype.kind not in "fiu":
        raise InvalidScores(f"{_who(model, 'score')} gave {_what(given)}, not {wanted}")
    if numbers.dtype != np.float32:
        numbers = numbers.astype(np.float64)
    if bad := np.flatnonzero(~np.isfinite(numbers)).tolist():
        left, right = pairs[bad[0]]
        raise InvalidScores(
            f"{_who(model, 'score')} gave {len(bad):,} scores that are not finite, the first for {left[:40]!r} "
            f"and {right[:40]!r}"
        )
    return numbers


def search(model: Searcher, queries: Texts, documents: Texts, k: int) -> Run:
    """The model's best ``k`` documents of each query.

    :raises InvalidScores: when it gave anything but a run over these queries and documents.
    """
    return _run(model, "search", model.search(queries, documents, k), queries, documents)


def rerank(model: Reranker, queries: Texts, documents: Texts, query: Int64, document: Int64) -> Run:
    """The model's order of the candidates: row i pairs query ``query[i]`` with document ``document[i]``.

    :raises InvalidScores: when it gave anything but a run over these queries and documents.
    """
    return _run(model, "rerank", model.rerank(queries, documents, query, document), queries, documents)


def _run(model: Model, verb: str, run: Any, queries: Texts, documents: Texts) -> Run:
    if not isinstance(run, Run):
        raise InvalidScores(f"{_who(model, verb)} gave {_what(run)}, not a jbench.Run")
    if fault := _fault(run):
        raise InvalidScores(f"{_who(model, verb)} gave a run {fault}")
    return _aligned(model, verb, run, queries, documents)


def _fault(run: Run) -> str:
    """What is wrong with a run; nothing where it holds together."""
    sizes = {len(run.index), len(run.scores)}
    whole = len(run.offsets) == len(run.queries) + 1 and len(run.beyond) == len(run.queries)
    if not whole or {int(run.offsets[-1]), *sizes} != {len(run.scores)} or run.offsets[0] != 0:
        return f"whose arrays do not fit: {len(run.offsets)} offsets, {len(run.index)} rows, {len(run.scores)} scores"
    if (np.diff(run.offsets) < 0).any():
        return "whose offsets fall"
    if len(run) and not 0 <= int(run.index.min()) <= int(run.index.max()) < len(run.documents):
        return f"with document {int(run.index.max())} of {len(run.documents)}"
    if not np.isfinite(run.scores).all():
        return "with scores that are not finite"
    query = run.query
    pairs = np.sort(query * len(run.documents) + run.index)
    if (pairs[1:] == pairs[:-1]).any():
        return "that ranks a document twice for one query"
    if ((query[1:] == query[:-1]) & (run.scores[1:] > run.scores[:-1])).any():
        return "that is not in order: Run.ranked puts it in order"
    return ""


def _aligned(model: Model, verb: str, run: Run, queries: Texts, documents: Texts) -> Run:
    """The same run over the queries and documents of the task, in their order.

    :raises InvalidScores: for a query or a document that the task lacks.
    """
    if _same(run.queries, queries, range(len(run.queries))) and _same(run.documents, documents, run.index.tolist()):
        return run
    query_at = {name: i for i, name in enumerate(queries.ids)}
    document_at = {name: i for i, name in enumerate(documents.ids)}
    ranked = [run.documents[i] for i in run.index.tolist()]
    for what, names, known in (("query", run.queries, query_at), ("document", ranked, document_at)):
        if (stray := next((name for name in names if name not in known), None)) is not None:
            raise InvalidScores(f"{_who(model, verb)} gave a run with {what} {stray!r}, which the task lacks")
    query = np.array([query_at[name] for name in run.queries], np.int64)
    document = np.array([document_at[name] for name in ranked], np.int64)
    beyond = np.zeros(len(queries), np.int64)
    beyond[query] = run.beyond
    return Run.ranked(queries.ids, documents.ids, query[run.query], document, run.scores, beyond)


def _same(names: Sequence[str], texts: Texts, used: Sequence[int]) -> bool:
    """Whether the names at the places that are used are those of the texts."""
    return names is texts.ids or (len(names) == len(texts) and all(names[i] == texts.ids[i] for i in used))


def _who(model: Model, verb: str) -> str:
    return f"{model.card.model}: {verb}()"


def _what(value: Any) -> str:
    """What a value is, in a few words: ``a dict``, ``float32 of shape (3, 1)``, ``2 numbers``."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{getattr(value, 'dtype', type(value).__name__)} of shape {tuple(shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value):,}"
    return f"a {type(value).__name__}"
