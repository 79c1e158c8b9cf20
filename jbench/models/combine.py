"""``rerank(FIRST, DEPTH, SECOND)`` and ``rrf(A, B, ...)``: models made of models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from jbench import answers
from jbench.models.options import Options
from jbench.types import (
    Card,
    Float32,
    Float64,
    Int64,
    InvalidScores,
    Model,
    Reranker,
    Run,
    Scorer,
    Searcher,
    Spread,
    Texts,
    UsageError,
)

K = 60
"""The constant of reciprocal rank fusion (Cormack et al., SIGIR 2009)."""

REVISION = "1"
"""Rises when the same parts would get other scores; part of the settings, so of the key."""

_PAIRS_AT_ONCE = 1 << 18
_DEEPEST = 20
"""How many combinations may stand inside each other."""
_MARGIN, _MOST_TIED = 16, 1024
"""How much deeper than its depth a reranker looks for documents that tie there, at first and at most."""
_NOISE = 8 * np.finfo(np.float64).eps
"""Sums of the same shares in another order differ by this much of themselves, at most."""


@dataclass(frozen=True)
class Call:
    """``name(parts)`` as typed; a part may be a call itself."""

    name: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, string: str) -> Call | None:
        """Understand a model string; None for one that is no combination.

        :raises UsageError: for a combination that is written wrong, with the way to write it.
        """
        head = re.match(r"\s*(rerank|rrf)\s*\(", string)
        if head is None:
            return None
        call = cls(head[1], tuple(_split(string[head.end() :].rstrip())))
        if wrong := call._wrong():
            raise UsageError(f"{wrong}; expected {call.form}")
        return call

    def _wrong(self) -> str:
        if not self.parts:
            return f"the brackets of {self.name} do not match"
        if not all(self.parts) or (len(self.parts) != 3 if self.name == "rerank" else len(self.parts) < 2):
            return f"{self.name} of {len([part for part in self.parts if part])} parts"
        if self.name == "rerank" and not re.fullmatch(r"[1-9][0-9]{0,8}", self.parts[1]):
            return f"DEPTH must be a whole number of 1 or more, not {self.parts[1]!r}"
        return ""

    @property
    def form(self) -> str:
        """How it is written."""
        return {
            "rerank": "rerank(FIRST, DEPTH, SECOND), such as rerank(bm25:char-bigram, 100, ./reranker)",
            "rrf": "rrf(A, B, ...), such as rrf(bm25:mecab, ./dense)",
        }[self.name]

    @property
    def models(self) -> tuple[str, ...]:
        """The parts that are models."""
        return (self.parts[0], self.parts[2]) if self.name == "rerank" else self.parts


def _split(inside: str) -> list[str]:
    """The parts before the closing bracket, which must come last; none when the brackets do not match."""
    parts, depth = [""], 1
    for i, letter in enumerate(inside, 1):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return [part.strip() for part in parts] if i == len(inside) else []
        if letter == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += letter
    return []


def leaves(string: str, depth: int = 0) -> Iterator[str]:
    """The model strings that are no combination, in order.

    :raises UsageError: as `Call.of` does, and for combinations inside each other more than 20 deep.
    """
    call = Call.of(string)
    if call is None:
        yield string
    elif depth >= _DEEPEST:
        raise UsageError(f"{string[:40]}... has combinations more than {_DEEPEST} deep inside each other")
    else:
        for part in call.models:
            yield from leaves(part, depth + 1)


@dataclass(frozen=True)
class Rerank:
    """``second`` orders the ``depth`` documents that ``first`` puts first.

    A ``depth`` that covers the corpus covers also what ``first`` would not retrieve, so that every
    document is scored, unless ``first`` only knows a list. Ties of ``first`` at the ``depth``-th
    document are decided by document id; those that another order would bring in its place are scored too, so that
    the result's tie interval holds what they would change.
    """

    card: Card
    first: Searcher
    depth: int
    second: Scorer

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """The best k of each query's ``depth`` documents; the others are not retrieved."""
        if self.depth >= len(documents) and _knows_all(self.first):
            query = np.repeat(np.arange(len(queries)), len(documents))
            document = np.tile(np.arange(len(documents)), len(queries))
            scores = _scored(self.second, queries, documents, query, document)
            return Run.ranked(queries.ids, documents.ids, query, document, scores).top(k)
        run = self._candidates(queries, documents)
        scores = _scored(self.second, queries, documents, run.query, run.index)
        spread = run.spread and self._rescored(run.spread, scores, queries, documents)
        return Run.ranked(queries.ids, documents.ids, run.query, run.index, scores, None, spread).top(k)

    def _candidates(self, queries: Texts, documents: Texts) -> Run:
        """The first ``depth`` documents of ``first``; a ``spread`` names those that tie with the last."""
        if isinstance(self.first, Fusion):  # whose order depends on how deep its parts are asked
            return answers.search(self.first, queries, documents, self.depth).top(self.depth)
        run = answers.search(self.first, queries, documents, min(self.depth + _MARGIN, len(documents)))
        tied = int((run.top(self.depth).beyond).max(initial=0))
        if run.spread is None and run.beyond.any() and _MARGIN <= tied <= _MOST_TIED:
            run = answers.search(self.first, queries, documents, min(self.depth + tied, len(documents)))
        return run.opened().top(self.depth) if tied else run.top(self.depth)

    def _rescored(self, spread: Spread, scores: Float32 | Float64, queries: Texts, documents: Texts) -> Spread:
        """The spread of the first stage by the second stage's scores, those of the rows being ``scores``."""
        query = np.repeat(np.arange(len(queries)), np.diff(spread.more_offsets))
        more_high = _scored(self.second, queries, documents, query, spread.more)
        low = np.where(np.isfinite(spread.low), scores, -np.inf).astype(np.float64)
        # What is not known could have any score.
        unknown_high = np.full(len(queries), np.inf)
        return replace(
            spread,
            low=low,
            high=scores.astype(np.float64),
            more_high=more_high.astype(np.float64),
            unknown_high=unknown_high,
        )

    def report(self) -> dict[str, Any]:
        """Both stages together."""
        return _together((self.first, self.second))


ROLES = ("query", "document")


def _pairs(queries: Texts, documents: Texts, query: Int64, document: Int64) -> list[tuple[str, str]]:
    # What lives on disk is read once, in its order.
    held = {d: documents.texts[d] for d in np.unique(document).tolist()}
    return [(queries.texts[q], held[d]) for q, d in zip(query.tolist(), document.tolist(), strict=True)]


@dataclass(frozen=True)
class Fusion:
    """Reciprocal rank fusion: the sum of 1 / (60 + rank) over the models that retrieve a document."""

    card: Card
    models: tuple[Searcher, ...]

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """The best k documents, each model asked for its own best k."""
        return _fused(
            [answers.search(model, queries, documents, k).top(k) for model in self.models], queries.ids, documents.ids
        ).top(k)

    def rerank(self, queries: Texts, documents: Texts, query: Int64, document: Int64) -> Run:
        """The fused ranking of given candidates: each model orders them, those that know only a list by it.

        :raises UsageError: for a model that can do neither.
        :raises InvalidScores: for a list with a document that is no candidate.
        """
        runs = [_ranking(model, queries, documents, query, document) for model in self.models]
        return _fused(runs, queries.ids, documents.ids)

    def report(self) -> dict[str, Any]:
        """All models together."""
        return _together(self.models)


def _ranking(model: Model, queries: Texts, documents: Texts, query: Int64, document: Int64) -> Run:
    if isinstance(model, Reranker):
        return answers.rerank(model, queries, documents, query, document)
    if isinstance(model, Scorer):
        scores = _scored(model, queries, documents, query, document)
        return Run.ranked(queries.ids, documents.ids, query, document, scores)
    if isinstance(model, Rerank) or not isinstance(model, Searcher):
        raise UsageError(f"{model.card.model} does not order given candidates; fuse its second stage instead")
    run = answers.search(model, queries, documents, int(np.bincount(query).max()))
    found = np.repeat(np.arange(len(queries)), np.diff(run.offsets)) * len(documents) + run.index
    if stray := np.flatnonzero(~np.isin(found, query * len(documents) + document)).tolist():
        q, d = divmod(int(found[stray[0]]), len(documents))
        where = f"{documents.ids[d]!r} for query {queries.ids[q]!r}"
        raise InvalidScores(f"{model.card.model} ranks {where}, which is not a candidate")
    return run


def _scored(model: Scorer, queries: Texts, documents: Texts, query: Int64, document: Int64) -> Float32 | Float64:
    spans = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, len(query), _PAIRS_AT_ONCE)]
    if len(spans) > 1:
        _check_ranges(model)
    parts = [answers.scores(model, _pairs(queries, documents, query[span], document[span]), ROLES) for span in spans]
    return cast(Float32 | Float64, np.concatenate(parts)) if parts else np.zeros(0, np.float32)


def _check_ranges(model: Model) -> None:
    """Refuse a model that learns from the pairs that it scores, where these come in parts.

    :raises UsageError: saying so.
    """
    if model.card.settings.get("precision") == "int8":
        raise UsageError(
            f"precision=int8: {model.card.model} would learn its ranges from the pairs that it is given, not from the "
            "task's documents; precision=binary learns nothing"
        )


def _fused(runs: Sequence[Run], queries: Sequence[str], documents: Sequence[str]) -> Run:
    """The documents of ``runs`` by the sum of their shares; a ``spread`` says what other orders of ties would give."""
    rows = [run.query * len(documents) + run.index for run in runs]
    places = [np.arange(len(run)) - run.offsets[run.query] for run in runs]
    names, place = np.unique(np.concatenate(rows), return_inverse=True)
    shares = np.concatenate([_share(1 + ranks) for ranks in places])
    query, document = np.divmod(names, len(documents))
    sums = np.asarray(np.bincount(place, weights=shares, minlength=len(names)), np.float64)
    scores = _settled(query, sums)
    spread = _fused_spread(runs, len(documents), names, scores) if any(run.tied for run in runs) else None
    return Run.ranked(queries, documents, query, document, scores, None, spread)


def _share(rank: Int64) -> Float64:
    return np.asarray(1 / (K + rank))


def _settled(query: Int64, scores: Float64) -> Float64:
    """Scores that differ by the order of their sums alone, made the same: they are ties."""
    order = np.lexsort((scores, query))
    ordered, of = scores[order], query[order]
    apart = (of[1:] != of[:-1]) | (ordered[1:] - ordered[:-1] > _NOISE * ordered[1:])
    first = np.flatnonzero(np.concatenate([[True], apart]))[: len(ordered)]
    settled = np.empty_like(scores)
    settled[order] = np.repeat(ordered[first], np.diff(np.append(first, len(ordered))))
    return settled


def _fused_spread(runs: Sequence[Run], width: int, names: Int64, scores: Float64) -> Spread:
    """What other orders of the ties in ``runs`` would make of fused ``scores``.

    ``names`` are query x ``width`` + document of the fused rows, rising. Each run gives a document the shares of its
    worst and best rank there, and nothing where an order would leave it out.
    """
    opened = [run.opened() for run in runs]
    ranks = [run.ranks() for run in opened]
    queries = len(runs[0].queries)
    brought = [_names_beside(run, width) for run in opened]
    more = np.setdiff1d(np.concatenate(brought), names)
    every = np.concatenate([names, more])
    order = np.argsort(every, kind="stable")
    low, high = np.zeros(len(every)), np.zeros(len(every))
    unknown, unknown_high = np.zeros(queries, np.int64), np.zeros(queries)
    for run, rank, beside in zip(opened, ranks, brought, strict=True):
        assert run.spread is not None  # noqa: S101
        here = order[np.searchsorted(every, run.query * width + run.index, sorter=order)]
        low[here] += np.where(np.isfinite(run.spread.low), _share(rank.worst), 0.0)
        also = order[np.searchsorted(every, beside, sorter=order)]
        # A document that this run does not name may be one of those of which only the number is known.
        share = np.where(run.spread.unknown > 0, _share(rank.unknown), 0.0)
        most = share[every // width]
        most[also] = np.maximum(most[also], _share(rank.more))
        most[here] = _share(rank.best)
        high += most
        unknown, unknown_high = unknown + run.spread.unknown, unknown_high + share
    rows = slice(len(names))
    # Where nothing is open, low and high are the score itself, whatever the sums were rounded to.
    open_ = high[rows] - low[rows] > _NOISE * high[rows]
    least = np.where(low[rows] > 0, np.minimum(low[rows] * (1 - _NOISE), scores), -np.inf)
    return Spread(
        np.where(open_, least, scores),
        np.where(open_, np.maximum(high[rows] * (1 + _NOISE), scores), scores),
        np.searchsorted(more, np.arange(queries + 1) * width).astype(np.int64),
        more % width,
        high[len(names) :] * (1 + _NOISE),
        unknown,
        unknown_high * (1 + _NOISE),
    )


def _names_beside(run: Run, width: int) -> Int64:
    """Query x ``width`` + document of the documents that another order of ties would bring into ``run``."""
    assert run.spread is not None  # noqa: S101
    query = np.repeat(np.arange(len(run.queries)), np.diff(run.spread.more_offsets))
    return np.asarray(query * width + run.spread.more)


def _knows_all(model: Model) -> bool:
    return isinstance(model, Scorer) or (isinstance(model, Fusion) and any(map(_knows_all, model.models)))


def _together(models: Sequence[Model]) -> dict[str, Any]:
    # One checkpoint may stand in two places; it is loaded, and reports, once.
    reports = [model.report() for model in {id(model): model for model in models}.values()]
    devices = [report["device"] for report in reports if "device" in report]
    costs = [report.get("cost", {}) for report in reports]
    summed = [key for key in ("parameters", "bytes_per_document") if all(key in part for part in costs)]
    cost = {key: sum(part[key] for part in costs) for key in summed}
    if longest := [part["longest_input"] for part in costs if "longest_input" in part]:
        cost["longest_input"] = min(longest)
    return {
        "truncated": sum(report.get("truncated", 0) for report in reports),
        "tokens_lost": sum(report.get("tokens_lost", 0) for report in reports),
        "device": ", ".join(dict.fromkeys(devices)) or "none",
        "rates": reports[-1].get("rates", {}),
        "setup": sum(report.get("setup", 0.0) for report in reports),
        "cost": cost,
    }


def combine(call: Call, options: Options, open_part: Callable[[str, Options], Model]) -> Model:
    """The model of a combination; ``open_part`` opens each part.

    :raises UsageError: for a part that cannot do what is asked of it.
    """
    parts = [open_part(part, replace(options, name=None)) for part in call.models]
    if call.name == "rerank":
        first, second = parts
        if not isinstance(first, Searcher):
            raise UsageError(
                f"{first.card.model} cannot search a corpus, so it cannot come first; expected {call.form}"
            )
        if not isinstance(second, Scorer):
            raise UsageError(f"{second.card.model} scores no pairs, so it cannot come second; expected {call.form}")
        _check_ranges(second)
        depth = int(call.parts[1])
        shown = f"rerank({', '.join([_names(parts)[0], str(depth), _names(parts)[1]])})"
        return Rerank(
            _card(call.name, shown, options, {"first": first, "second": second}, {"depth": depth}), first, depth, second
        )
    searchers = tuple(part for part in parts if isinstance(part, Searcher))
    if len(searchers) < len(parts):
        lacking = next(part for part in parts if not isinstance(part, Searcher))
        raise UsageError(f"{lacking.card.model} cannot search a corpus, so it has no ranking to fuse")
    shown = f"rrf({', '.join(_names(parts))})"
    return Fusion(_card(call.name, shown, options, {str(i): p for i, p in enumerate(parts, 1)}, {"k": K}), searchers)


def _names(parts: Sequence[Model]) -> list[str]:
    """What the parts are called, with the revision where two go by one name."""
    who = {(part.card.model, part.card.revision) for part in parts}
    names = [model for model, _ in who]
    return [
        part.card.model + (f"@{part.card.revision[:14]}" if names.count(part.card.model) > 1 else "") for part in parts
    ]


def _flat(variant: Mapping[str, Any]) -> dict[str, Any]:
    prompts = {f"{role} prompt": repr(text) for role, text in variant.get("prompts", {}).items()}
    return {key: value for key, value in variant.items() if key != "prompts"} | prompts


def _card(adapter: str, shown: str, options: Options, parts: Mapping[str, Model], numbers: dict[str, Any]) -> Card:
    """All that touches a part's scores is part of the whole's settings, so of its key."""
    cards = {name: part.card for name, part in parts.items()}
    held = {
        name: {
            "model": card.model,
            "revision": card.revision,
            **_digest(card),
            "adapter": card.adapter,
            "prompts": dict(card.prompts),
            "settings": dict(card.settings),
        }
        for name, card in cards.items()
    }
    told = [[card.model, card.revision, card.adapter, *_digest(card).values()] for card in cards.values()]
    who = hashlib.sha256(json.dumps([*told, numbers], sort_keys=True).encode()).hexdigest()

    def check() -> None:
        for card in cards.values():
            if card.check:
                card.check()

    variant = {f"{card.model} {key}": value for card in cards.values() for key, value in _flat(card.variant).items()}
    if options.name:  # a name of one's own must not hide what comes first
        variant["is"] = shown
    return Card(
        options.name or shown,
        f"{adapter}-{who[:12]}",
        adapter,
        settings={**held, **numbers, "dtype": "float32", "adapter_revision": REVISION},
        variant=variant,
        unprompted=tuple(sorted({role for card in cards.values() for role in card.unprompted})),
        digest=who if any(card.digest for card in cards.values()) else "",
        training={"parts": [part for card in cards.values() for part in _trained(card)]},
        canary="+".join(card.canary for card in cards.values() if card.canary),
        check=check,
    )


def _digest(card: Card) -> dict[str, str]:
    return {"digest": card.digest} if card.digest else {}


def _trained(card: Card) -> list[dict[str, Any]]:
    """What is said of the training of a part, or of each of its parts."""
    own: dict[str, Any] = {"model": card.model, "revision": card.revision}
    return card.training.get("parts") or [{**own, "training": dict(card.training)} if card.training else own]
