"""``rerank(FIRST, DEPTH, SECOND)`` and ``rrf(A, B, ...)``: models made of models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jbench.models.options import Options
from jbench.types import Card, Float32, Int64, Model, Run, Scorer, Searcher, Texts, UsageError

K = 60
"""The constant of reciprocal rank fusion (Cormack et al., SIGIR 2009)."""

REVISION = "1"
"""Rises when the same parts would get other scores; part of the settings, so of the key."""

_PAIRS_AT_ONCE = 1 << 18


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
        numbered = call.name == "rrf" or (len(call.parts) == 3 and re.fullmatch(r"[1-9][0-9]*", call.parts[1]))
        if len(call.parts) < 2 or not all(call.parts) or not numbered:
            raise UsageError(f"{string}: expected {call.form}")
        return call

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


def leaves(string: str) -> Iterator[str]:
    """The model strings that are no combination, in order.

    :raises UsageError: as `Call.of` does.
    """
    call = Call.of(string)
    if call is None:
        yield string
    else:
        for part in call.models:
            yield from leaves(part)


@dataclass(frozen=True)
class Rerank:
    """``second`` orders the ``depth`` documents that ``first`` puts first.

    A ``depth`` that covers the corpus covers also what ``first`` would not retrieve, so that every
    document is scored, unless ``first`` only knows a list.
    """

    card: Card
    first: Searcher
    depth: int
    second: Scorer

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """The best k of each query's ``depth`` documents; the others are not retrieved."""
        if self.depth >= len(documents) and isinstance(self.first, Scorer):
            query = np.repeat(np.arange(len(queries)), len(documents))
            document = np.tile(np.arange(len(documents)), len(queries))
        else:
            run = self.first.search(queries, documents, self.depth).top(self.depth)
            query = np.repeat(np.arange(len(queries)), np.diff(run.offsets))
            document = run.index
        scores = np.zeros(len(query), np.float32)
        for start in range(0, len(query), _PAIRS_AT_ONCE):
            span = slice(start, start + _PAIRS_AT_ONCE)
            scores[span] = self.second.score(_pairs(queries, documents, query[span], document[span]), ROLES)
        return Run.ranked(queries.ids, documents.ids, query, document, scores).top(k)

    def report(self) -> dict[str, Any]:
        """Both stages together."""
        return _together([self.first.report(), self.second.report()])


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
            [model.search(queries, documents, k).top(k) for model in self.models], queries.ids, documents.ids
        ).top(k)

    def report(self) -> dict[str, Any]:
        """All models together."""
        return _together([model.report() for model in self.models])


@dataclass(frozen=True)
class PairFusion:
    """A fusion whose models all score pairs, so that it can rank given candidates too."""

    card: Card
    fusion: Fusion
    models: tuple[Scorer, ...]

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """Each left text is a query over the right texts it stands with.

        :raises UsageError: for pairs that are no queries and documents, which have no ranks to fuse.
        """
        if roles != ROLES:
            raise UsageError(f"{self.card.model} fuses rankings; sentence pairs have none")
        left, right = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
        at_left, at_right = ({text: i for i, text in enumerate(side)} for side in (left, right))
        distinct = list(dict.fromkeys(pairs))
        query = np.array([at_left[a] for a, _ in distinct], np.int64)
        document = np.array([at_right[b] for _, b in distinct], np.int64)
        queries, documents = ([str(i) for i in range(len(side))] for side in (left, right))
        runs = [Run.ranked(queries, documents, query, document, model.score(distinct, roles)) for model in self.models]
        fused = _fused(runs, queries, documents)
        rows = zip(np.repeat(np.arange(len(left)), np.diff(fused.offsets)).tolist(), fused.index.tolist(), strict=True)
        found = dict(zip(rows, fused.scores.tolist(), strict=True))
        return np.array([found[at_left[a], at_right[b]] for a, b in pairs], np.float32)

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """As `Fusion.search`."""
        return self.fusion.search(queries, documents, k)

    def report(self) -> dict[str, Any]:
        """All models together."""
        return self.fusion.report()


def _fused(runs: Sequence[Run], queries: Sequence[str], documents: Sequence[str]) -> Run:
    rows, shares = [], []
    for run in runs:
        query = np.repeat(np.arange(len(queries)), np.diff(run.offsets))
        rows.append(query * len(documents) + run.index)
        shares.append(1 / (K + 1 + np.arange(len(run.index)) - run.offsets[query]))
    found, place = np.unique(np.concatenate(rows), return_inverse=True)
    scores = np.bincount(place, weights=np.concatenate(shares), minlength=len(found))
    return Run.ranked(queries, documents, *np.divmod(found, len(documents)), scores)


def _together(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    devices = [report["device"] for report in reports if "device" in report]
    costs = [report.get("cost", {}) for report in reports]
    cost = {key: sum(part.get(key, 0) for part in costs) for key in ("parameters", "bytes_per_document")}
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
        depth = int(call.parts[1])
        shown = f"rerank({first.card.model}, {depth}, {second.card.model})"
        return Rerank(
            _card(call.name, shown, options, {"first": first, "second": second}, {"depth": depth}), first, depth, second
        )
    searchers = tuple(part for part in parts if isinstance(part, Searcher))
    if len(searchers) < len(parts):
        lacking = next(part for part in parts if not isinstance(part, Searcher))
        raise UsageError(f"{lacking.card.model} cannot search a corpus, so it has no ranking to fuse")
    shown = f"rrf({', '.join(part.card.model for part in parts)})"
    fusion = Fusion(_card(call.name, shown, options, {str(i): p for i, p in enumerate(parts, 1)}, {"k": K}), searchers)
    scorers = tuple(part for part in parts if isinstance(part, Scorer))
    return PairFusion(fusion.card, fusion, scorers) if len(scorers) == len(parts) else fusion


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
            "adapter": card.adapter,
            "prompts": dict(card.prompts),
            "settings": dict(card.settings),
        }
        for name, card in cards.items()
    }
    who = json.dumps([[card.model, card.revision, card.adapter] for card in cards.values()] + [numbers], sort_keys=True)
    variant = {f"{card.model} {key}": value for card in cards.values() for key, value in _flat(card.variant).items()}
    if options.name:  # a name of one's own must not hide what comes first
        variant["is"] = shown
    return Card(
        options.name or shown,
        f"{adapter}-{hashlib.sha256(who.encode()).hexdigest()[:12]}",
        adapter,
        settings={**held, **numbers, "dtype": "float32", "adapter_revision": REVISION},
        variant=variant,
        unprompted=tuple(sorted({role for card in cards.values() for role in card.unprompted})),
    )
