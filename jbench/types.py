"""The nouns: what a task is made of, what a model gives back, what is recorded.

Nothing here computes a score, reads a file or knows a library beyond numpy.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade; a grade of 1 or more is relevant."""

ROLES = ("query", "document", "sts", "classification", "clustering")
"""What a text can be to a model; prompts are chosen by it."""


class Advance(Protocol):
    """What is told how announced work goes on."""

    def __call__(self, step: int, /, note: str = "") -> None:
        """``step`` more units are done; ``note`` is shown beside them."""


Track = Callable[[str, int], Advance]
"""Announces a named piece of work of so many units; returns what is told of its progress."""


def silent(label: str, total: int) -> Advance:
    """A `Track` that shows nothing."""

    def advance(step: int, /, note: str = "") -> None:
        pass

    return advance


_HALF = re.compile("[\ud800-\udfff]")

EXIT_ORDER = (2, 3, 5, 4, 1)
"""Which exit code wins when a run failed in several ways."""


class JbenchError(Exception):
    """Something a user can mend; shown as one line. ``exit`` is the exit code it asks for."""

    exit = 1


class UsageError(JbenchError):
    """A name, option or definition that jbench does not understand."""

    exit = 2


class NotApplicable(UsageError):
    """A task asks for what the model does not do: no fault of either."""


class InvalidScores(JbenchError):
    """Scores that no ranking can be made of: non-finite, duplicated, degenerate."""

    exit = 3


class Unavailable(JbenchError):
    """Data, a model or the disk is not to be had."""

    exit = 5


def told(error: Exception) -> tuple[str, int, str]:
    """What went wrong in one line, the exit code it asks for, and the trace if it is a bug."""
    said = " ".join(str(error).split())
    if isinstance(error, JbenchError):
        return said, error.exit, ""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch has one of its own
        return f"out of memory: {said}".rstrip(": "), Unavailable.exit, ""
    return f"{type(error).__name__}: {said}", 1, "".join(traceback.format_exception(error))


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not known, with the nearest names that are."""
    names = sorted(known)
    lowered = {n.lower(): n for n in names}
    near = [lowered[n] for n in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.4)]
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
    return UsageError(f"unknown {what} {name!r}; {hint}")


class Absent(Sequence[str]):
    """Texts that are known to exist but are not at hand.

    A run file can be measured without them; reading one raises `Unavailable` with ``reason``.
    ``origin`` says which texts they are, down to a commit, where something else may read them.
    """

    origin = ""

    def __init__(self, count: int, reason: str) -> None:
        self._length, self.reason = count, reason

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        raise Unavailable(self.reason)


@dataclass(frozen=True)
class Texts:
    """``ids`` and ``texts``, aligned, n each; both may live on disk (Arrow columns)."""

    ids: Sequence[str]
    texts: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.texts):
            raise UsageError(f"{len(self.ids)} ids but {len(self.texts)} texts")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs with gold similarity: three sequences of n. Models see only the texts."""

    left: Sequence[str]
    right: Sequence[str]
    gold: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.gold):
            raise UsageError("a task of 0 pairs")
        if not len(self.left) == len(self.right) == len(self.gold):
            raise UsageError(f"pairs differ in length: {len(self.left)}, {len(self.right)}, {len(self.gold)}")
        for name, side in (("left", self.left), ("right", self.right)):
            _only_texts(f"{name} text of pair", range(1, len(side) + 1), side)
        if wrong := [g for g in self.gold if isinstance(g, str | bool) or not hasattr(g, "__float__")]:
            raise UsageError(f"gold {wrong[0]!r} is no number")

    @property
    def counts(self) -> dict[str, int]:
        """How many pairs, and how many of their texts are empty."""
        return {"pairs": len(self.gold), "empty": _empty(self.left) + _empty(self.right)}

    @cached_property
    def sha256(self) -> str:
        """The sha256 (64 hex digits) over texts and gold, in order."""
        return _digest([self.left, self.right, [repr(float(g)) for g in self.gold]])


@dataclass(frozen=True)
class Collection:
    """Queries, documents and judgements.

    ``candidates`` maps each query id to the document ids to rank (reranking); without it
    every document is a candidate.

    :raises UsageError: for duplicate ids, judgements or candidates that name nothing, a query
        without a relevant document.
    """

    queries: Texts
    documents: Texts
    qrels: Qrels
    candidates: Mapping[str, Sequence[str]] | None = None

    @classmethod
    def of(
        cls,
        queries: Mapping[str, str],
        documents: Mapping[str, str],
        qrels: Qrels,
        candidates: Mapping[str, Sequence[str]] | None = None,
    ) -> Collection:
        """The same from plain dictionaries of id to text."""
        for what, given in (("queries", queries), ("documents", documents), ("qrels", qrels)):
            if not isinstance(given, Mapping):
                raise UsageError(f"{what} must be a dictionary, not {type(given).__name__}")
        return cls(
            Texts(list(queries), list(queries.values())),
            Texts(list(documents), list(documents.values())),
            qrels,
            candidates,
        )

    def __post_init__(self) -> None:
        if not len(self.queries) or not len(self.documents):
            raise UsageError(f"a collection of {len(self.queries)} queries and {len(self.documents)} documents")
        for what, texts in (("query", self.queries), ("document", self.documents)):
            _only_texts(f"{what} id", texts.ids, texts.ids)
            _only_texts(f"text of {what}", texts.ids, texts.texts)
        _unique("query", self.queries.ids)
        _unique("document", self.documents.ids)
        _check_grades(self.qrels)
        named = {d for docs in (*self.qrels.values(), *(self.candidates or {}).values()) for d in docs}
        stray = named.difference(self.documents.ids)
        known = set(self.queries.ids)
        for query, judged in self.qrels.items():
            if query not in known:
                raise UsageError(f"judgements name query {query!r}, which does not exist")
            if found := [d for d in judged if d in stray]:
                raise UsageError(f"query {query!r} is judged on document {found[0]!r}, which does not exist")
        if missing := [q for q in self.queries.ids if q not in self.qrels]:
            raise UsageError(f"query {missing[0]!r} has no judgement")
        for query in self.queries.ids if self.candidates is not None else ():
            listed = (self.candidates or {}).get(query, ())
            if not listed:
                raise UsageError(f"query {query!r} has no candidates")
            if found := [d for d in listed if d in stray]:
                raise UsageError(f"query {query!r} has candidate {found[0]!r}, which does not exist")
            _unique(f"candidate of query {query}:", listed)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many queries, documents and relevant judgements, and how many texts are empty."""
        return {
            "queries": len(self.queries),
            "documents": len(self.documents),
            "relevant": sum(bool(grade > 0) for judged in self.qrels.values() for grade in judged.values()),
            "empty": _empty(self.queries.texts) + _empty(self.documents.texts),
        }

    @cached_property
    def sha256(self) -> str:
        """The sha256 (64 hex digits) over ids, texts, judgements and candidates, in order.

        Texts that are not at hand count by their ``origin``, so that it never depends on whether
        somebody has read them.
        """
        parts: list[Iterable[str]] = []
        for texts in (self.queries, self.documents):
            parts += [texts.ids, _named(texts.texts.origin) if isinstance(texts.texts, Absent) else texts.texts]
        parts += [[q, *(f"{d}\t{int(g)}" for d, g in sorted(j.items()))] for q, j in sorted(self.qrels.items())]
        parts += [[q, *docs] for q, docs in (self.candidates or {}).items()]
        return _digest(parts)


def _only_texts(what: str, ids: Sequence[Any], values: Sequence[str]) -> None:
    """Refuse what is no string, and half a character, which no tokenizer reads and no file holds.

    :raises UsageError: naming the text by its id.
    """
    # What lives on disk is typed there; reading it all to ask would be slow.
    for name, text in zip(ids, values, strict=True) if isinstance(values, list | tuple) else ():
        if not isinstance(text, str):
            raise UsageError(f"{what} {str(name)[:40]!r} is a {type(text).__name__}, not a string")
        if not text.isascii() and (half := _HALF.search(text)):
            raise UsageError(
                f"{what} {name!r} has half a character ({half[0]!r}, an unpaired surrogate) at place "
                f"{half.start() + 1}: read the file as UTF-8, or drop it by text.encode('utf-8', 'ignore').decode()"
            )


def _check_grades(qrels: Qrels) -> None:
    for query, judged in qrels.items():
        if not isinstance(judged, Mapping):
            raise UsageError(f"judgements of query {query!r} must be {{document: grade}}, not {judged!r:.40}")
        if wrong := [g for g in judged.values() if not isinstance(g, Integral) or isinstance(g, bool)]:
            raise UsageError(f"query {query!r} has grade {wrong[0]!r}; grades are whole numbers")
        if not any(grade > 0 for grade in judged.values()):
            raise UsageError(f"query {query!r} has no relevant document")


def _unique(what: str, ids: Sequence[str]) -> None:
    # Eight bytes an id, so that seven million of them need no set of strings.
    hashes = np.sort(np.fromiter(map(hash, ids), np.int64, len(ids)))
    shared = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    first: dict[str, int] = {}
    for place, name in enumerate(ids if shared else (), 1):
        if hash(name) in shared and first.setdefault(name, place) != place:
            raise UsageError(f"duplicate {what} {name!r}, at places {first[name]} and {place}")


def _empty(texts: Sequence[str]) -> int:
    return 0 if isinstance(texts, Absent) else sum(not text.strip() for text in texts)


def _named(origin: str) -> tuple[str, ...]:
    return (origin,) if origin else ()


def _digest(parts: Iterable[Iterable[str]]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        for text in part:
            raw = text.encode("utf-8", "surrogatepass")
            sha.update(len(raw).to_bytes(8, "little") + raw)
        sha.update(b"\xff" * 8)
    return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class Spread:
    """What other orders of tied documents would make of a run: of its own ties, and of those of earlier stages.

    ``low`` and ``high`` (float64, a number for each row of the run) are the smallest and largest score that a
    document could have; ``low`` is minus infinity where another order would not retrieve it. Documents that the run
    lacks and another order would retrieve stand in ``more`` (positions in the run's documents), those of query i at
    ``more_offsets[i]:more_offsets[i + 1]``, with the largest score each could have in ``more_high`` (float64). Of
    ``unknown[i]`` further ones only their number is known, and the largest score, ``unknown_high[i]`` (float64).
    """

    low: Float64
    high: Float64
    more_offsets: Int64
    more: Int64
    more_high: Float64
    unknown: Int64
    unknown_high: Float64

    @property
    def certain(self) -> bool:
        """Whether no other order would change anything."""
        return bool((self.low == self.high).all() and not len(self.more) and not self.unknown.any())


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks, from 1, that documents of a run could have: ``best`` and ``worst`` of each row, int64.

    ``more`` is the best rank of each document that `Spread` names beside the rows, ``unknown`` (a number a query) that
    of those of which only the number is known.
    """

    best: Int64
    worst: Int64
    more: Int64
    unknown: Int64


@dataclass(frozen=True, eq=False)
class Run:
    """For each query an ordered list of documents and scores, held as arrays.

    Query i owns rows ``offsets[i]:offsets[i + 1]`` of ``index`` (positions in ``documents``) and ``scores``: float32
    where a model computed them, float64 where they were read or summed so. The order is trec_eval's: score
    descending, then document id descending. ``beyond[i]`` counts further documents that tie with the last one of
    query i. ``spread`` is there when the scores come from the order of an earlier stage that had ties; then
    ``beyond`` is 0 throughout.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    offsets: Int64
    index: Int64
    scores: Float32 | Float64
    beyond: Int64
    spread: Spread | None = None

    @classmethod
    def ranked(
        cls,
        queries: Sequence[str],
        documents: Sequence[str],
        query: Int64,
        document: Int64,
        scores: npt.ArrayLike,
        beyond: Int64 | None = None,
        spread: Spread | None = None,
    ) -> Run:
        """Order loose rows (query index, document index, score; n each) into a run.

        ``scores`` of float32 stay so, all others become float64. ``low`` and ``high`` of ``spread`` belong to the
        rows as they are given.

        :raises InvalidScores: for a non-finite score, or one document twice for one query.
        """
        numbers = np.asarray(scores)
        if numbers.dtype != np.float32:
            numbers = numbers.astype(np.float64)
        if bad := np.flatnonzero(~np.isfinite(numbers)).tolist():
            where = f"query {queries[query[bad[0]]]!r}, document {documents[document[bad[0]]]!r}"
            raise InvalidScores(f"{len(bad)} of {len(numbers)} scores are not finite, first for {where}")
        order = _order(query, numbers, lambda tied: _places(documents, document[tied]))
        query, document, numbers = query[order], document[order], numbers[order]
        pairs = np.sort(query * max(len(documents), 1) + document)
        if twice := pairs[:-1][pairs[1:] == pairs[:-1]].tolist():
            q, d = divmod(twice[0], len(documents))
            raise InvalidScores(f"document {documents[d]!r} is ranked twice for query {queries[q]!r}")
        offsets = np.searchsorted(query, np.arange(len(queries) + 1)).astype(np.int64)
        beyond = np.zeros(len(queries), np.int64) if beyond is None else beyond
        if spread is not None:
            spread = replace(spread, low=spread.low[order], high=spread.high[order])
        return cls(queries, documents, offsets, document, numbers, beyond, spread)

    @classmethod
    def from_dict(cls, run: Mapping[str, Mapping[str, float]]) -> Run:
        """From ``{query: {document: score}}``."""
        queries, documents = list(run), list(dict.fromkeys(d for docs in run.values() for d in docs))
        at = {d: i for i, d in enumerate(documents)}
        query = np.repeat(np.arange(len(queries)), [len(run[q]) for q in queries]).astype(np.int64)
        document = np.array([at[d] for docs in run.values() for d in docs], np.int64)
        return cls.ranked(queries, documents, query, document, [s for docs in run.values() for s in docs.values()])

    @property
    def query(self) -> Int64:
        """The position of each row's query."""
        return np.repeat(np.arange(len(self.queries)), np.diff(self.offsets)).astype(np.int64)

    @property
    def tied(self) -> bool:
        """Whether another order of documents would be as right: they tie, here or in an earlier stage."""
        query = self.query
        neighbours = (query[1:] == query[:-1]) & (self.scores[1:] == self.scores[:-1])
        return bool(self.spread is not None or neighbours.any() or self.beyond.any())

    def top(self, k: int) -> Run:
        """The first k documents of each query; those that tie with the k-th are counted in ``beyond``.

        Of a run with a ``spread`` the documents that another order would bring among the first k are named there.
        """
        start = np.repeat(self.offsets[:-1], np.diff(self.offsets))
        place = np.arange(len(self.index)) - start
        kept = place < k
        offsets = np.concatenate([[0], np.cumsum(np.minimum(np.diff(self.offsets), k))]).astype(np.int64)
        if self.spread is not None:
            spread = _top_spread(self, self.spread, kept, k)
            left = None if spread.certain else spread
            return Run(self.queries, self.documents, offsets, self.index[kept], self.scores[kept], self.beyond, left)
        last = np.zeros(len(self.queries), self.scores.dtype)
        query = self.query
        ends = place == k - 1
        last[query[ends]] = self.scores[ends]
        tied = np.bincount(query[~kept & (self.scores == last[query])], minlength=len(self.queries))
        longer = np.diff(self.offsets) > k
        # What ties beyond the whole run's end ties with the k-th only if the end does.
        same = longer & (tied == np.diff(self.offsets) - k)
        beyond = np.where(longer, tied + np.where(same, self.beyond, 0), self.beyond)
        return Run(self.queries, self.documents, offsets, self.index[kept], self.scores[kept], beyond)

    def opened(self) -> Run:
        """The same run with a ``spread``, which says of its own ties what ``beyond`` only counts."""
        if self.spread is not None:
            return self
        # A document that ties with the last one might as well have been left out for one beyond.
        count = np.diff(self.offsets)
        last = np.full(len(self.queries), -np.inf)
        last[count > 0] = self.scores[self.offsets[1:][count > 0] - 1]
        scores, query = self.scores.astype(np.float64), self.query
        low = np.where((self.beyond[query] > 0) & (scores == last[query]), -np.inf, scores)
        none = np.zeros(0, np.int64)
        offsets = np.zeros(len(self.queries) + 1, np.int64)
        spread = Spread(low, scores, offsets, none, none.astype(np.float64), self.beyond, last)
        return replace(self, beyond=np.zeros_like(self.beyond), spread=spread)

    def ranks(self) -> Ranks:
        """The ranks that each document could have, were ties ordered otherwise."""
        run = self.opened()
        spread = run.spread
        assert spread is not None  # noqa: S101
        best, worst = np.empty(len(run), np.int64), np.empty(len(run), np.int64)
        more, unknown = np.empty(len(spread.more), np.int64), np.empty(len(run.queries), np.int64)
        for i in range(len(run.queries)):
            rows = slice(run.offsets[i], run.offsets[i + 1])
            others = slice(spread.more_offsets[i], spread.more_offsets[i + 1])
            rivals = np.sort(np.concatenate([spread.high[rows], spread.more_high[others]]))
            certain = np.sort(spread.low[rows])

            def first(scores: Float64, certain: Float64 = certain) -> Int64:
                # Behind those alone that are better whatever the order.
                return np.asarray(1 + len(certain) - np.searchsorted(certain, scores, "right"))

            best[rows], more[others] = first(spread.high[rows]), first(spread.more_high[others])
            unknown[i] = first(spread.unknown_high[i : i + 1])[0]
            beyond = np.where(spread.unknown_high[i] >= spread.low[rows], spread.unknown[i], 0)
            worst[rows] = len(rivals) - np.searchsorted(rivals, spread.low[rows], "left") + beyond
        return Ranks(best, worst, more, unknown)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """As ``{query: {document: score}}``, best first; queries without documents are left out."""
        return {q: docs for i, q in enumerate(self.queries) if (docs := dict(self.rows(i)))}

    def rows(self, i: int) -> list[tuple[str, float]]:
        """The ranked documents of query i with their scores."""
        span = slice(self.offsets[i], self.offsets[i + 1])
        names = (self.documents[d] for d in self.index[span])
        return list(zip(names, self.scores[span].tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.index)


def _top_spread(run: Run, spread: Spread, kept: npt.NDArray[np.bool_], k: int) -> Spread:
    """The spread of the rows ``kept``, the first ``k`` of each query."""
    ranks = run.ranks()
    # Rows that another order would drop, and dropped ones that it would keep.
    low = np.where(ranks.worst > k, -np.inf, spread.low)[kept]
    enters = ~kept & (ranks.best <= k)
    stays = ranks.more <= k
    more_query = np.repeat(np.arange(len(run.queries)), np.diff(spread.more_offsets))
    query = np.concatenate([run.query[enters], more_query[stays]])
    order = np.argsort(query, kind="stable")
    more = np.concatenate([run.index[enters], spread.more[stays]])[order]
    more_high = np.concatenate([spread.high[enters], spread.more_high[stays]])[order]
    offsets = np.searchsorted(query[order], np.arange(len(run.queries) + 1)).astype(np.int64)
    unknown = np.where(ranks.unknown <= k, spread.unknown, 0)
    return Spread(low, spread.high[kept], offsets, more, more_high, unknown, spread.unknown_high)


def _order(query: Int64, scores: Float32 | Float64, places: Callable[[Int64], Int64]) -> Int64:
    """Rows by rising query, then falling score; of rows that tie, by falling ``places``, asked of these alone."""
    order: Int64 = np.lexsort((-scores, query))
    same = (query[order][1:] == query[order][:-1]) & (scores[order][1:] == scores[order][:-1])
    same = np.concatenate([[False], same, [False]])
    among = np.flatnonzero(same[1:] | same[:-1])
    tied = order[among]
    order[among] = tied[np.lexsort((-places(tied), -scores[tied], query[tied]))]
    return order


def _places(documents: Sequence[str], document: Int64) -> Int64:
    """The place of each row's document id among the ids that occur, ids ascending by code point."""
    used, inverse = np.unique(document, return_inverse=True)
    names = [documents[d] for d in used]
    places = np.empty(len(used), np.int64)
    places[sorted(range(len(used)), key=names.__getitem__)] = np.arange(len(used))
    return places[inverse]


@dataclass(frozen=True)
class Card:
    """Which model this is: all that separates its scores from another's.

    ``variant`` holds what was asked for beyond the checkpoint's own settings (settings,
    prompts, dtype); ``unprompted`` the roles for which the model's family has a prompt that
    was not used. ``digest`` is the sha256 over the files that loading it opens, where there are any. ``given`` is what
    was typed for it and ``training`` what its files say of its training (see `jbench.manifest`), which are no part of
    its identity. ``check``, where there are files, raises `Unavailable` once one is no longer what ``digest`` was taken
    of. ``canary`` is the digest of the ids that fixed texts have by its tokenizer here (see `jbench.canary`).
    """

    model: str
    revision: str
    adapter: str
    prompts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    variant: Mapping[str, Any] = field(default_factory=dict)
    unprompted: tuple[str, ...] = ()
    digest: str = ""
    given: str = field(default="", compare=False)
    training: Mapping[str, Any] = field(default_factory=dict, compare=False)
    canary: str = field(default="", compare=False)
    check: Callable[[], None] | None = field(default=None, compare=False, repr=False)


@runtime_checkable
class Model(Protocol):
    """Anything that can be evaluated. ``card`` says who it is."""

    @property
    def card(self) -> Card:
        """Its identity, known before any weights are loaded."""
        ...

    def report(self) -> dict[str, Any]:
        """What happened since the last call: truncated, tokens_lost, rates, device."""
        ...


@runtime_checkable
class Scorer(Model, Protocol):
    """A model that scores text pairs: STS and reranking."""

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """One float32 score a pair, higher is closer; ``roles`` are those of left and right."""
        ...


@runtime_checkable
class Searcher(Model, Protocol):
    """A model that searches a corpus."""

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """The best k documents of each query, with the count of ties beyond the last."""
        ...


@runtime_checkable
class Reranker(Model, Protocol):
    """A model that orders given candidates as a whole, where a score of each pair by itself has no meaning."""

    def rerank(self, queries: Texts, documents: Texts, query: Int64, document: Int64) -> Run:
        """The candidates ordered: row i pairs query ``query[i]`` with document ``document[i]`` (positions)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Result:
    """One model on one task, everything inside itself (its JSON is the record).

    ``digest`` is that of `Card`, by which rows are told apart; results from before it have none.
    ``host`` is what may differ between two equal results: it is outside equality. So is ``training``,
    what was declared or read of the model's training data: a claim about a model, not about a score.
    """

    schema: int
    task: str
    task_version: int
    kind: str
    model: str
    revision: str
    digest: str = ""
    adapter: str
    main: str
    scores: dict[str, float]
    definitions: dict[str, str]
    ties: dict[str, tuple[float, float]] = field(default_factory=dict)
    counts: dict[str, int]
    data: dict[str, Any]
    prompts: dict[str, str]
    unprompted: list[str] = field(default_factory=list)
    settings: dict[str, Any]
    variant: dict[str, Any] = field(default_factory=dict)
    key: str
    training: dict[str, Any] = field(default_factory=dict, compare=False)
    host: dict[str, Any] = field(default_factory=dict, compare=False)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012
