"""Tasks: load, predict, measure. Four kinds; a task is an instance, in one file of its own.

A task never sees batch sizes, prompts or devices: those belong to the model when it is made.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import _lru_cache_wrapper, partial
from typing import Any, ClassVar

import numpy as np

from jbench import answers
from jbench.deferred import Deferred
from jbench.metrics import Measured, measure_pairs, measure_run, parse
from jbench.source import Missing, Source, recording
from jbench.types import (
    Collection,
    Float32,
    Float64,
    InvalidScores,
    Model,
    NotApplicable,
    Pairs,
    Reranker,
    Run,
    Scorer,
    Searcher,
    Unavailable,
    UsageError,
    unknown,
)

COUNTS = ("pairs", "queries", "documents", "relevant", "empty")
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every kind has.

    ``version`` rises when a number would change; ``load`` returns the data; ``sources`` name
    data sets and splits upstream (for exposure); ``expects`` the counts that loading must meet
    (of `COUNTS`); ``cluster`` maps a query id to a group of queries that are not independent
    (for resampling); ``queries`` gives the queries alone, id to text, where their collection is
    too large to load for them.
    """

    name: str
    protocol: str
    version: int
    load: Callable[[], Any]
    license: str
    measures: tuple[str, ...]
    main: str
    group: str = "real"
    citation: str = ""
    sources: tuple[str, ...] = ()
    expects: Mapping[str, int] = field(default_factory=dict)
    cluster: Callable[[str], str] | None = None
    queries: Callable[[], Mapping[str, str]] | None = None

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if not all(_NAME.fullmatch(part) for part in (self.name, self.protocol)):
            raise UsageError(f"task {self.id!r}: name and protocol are letters, digits, '.', '_' and '-'")
        if not isinstance(self.version, int) or self.version < 1:
            raise UsageError(f"{self.id}: version {self.version!r} must be a whole number of 1 or more")
        if stray := [what for what in self.expects if what not in COUNTS]:
            raise unknown(f"count that {self.id} expects", stray[0], COUNTS)
        for name in self.measures:
            if not self.fits(name):
                raise UsageError(f"{self.id}: measure {name!r} does not fit the kind {self.kind}")
        if self.main not in self.measures:
            raise UsageError(f"{self.id}: main measure {self.main!r} is not among {', '.join(self.measures)}")

    @property
    def id(self) -> str:
        """``name@protocol``."""
        return f"{self.name}@{self.protocol}"

    def fits(self, measure: str) -> bool:
        """Whether a known measure is one of this kind's.

        :raises UsageError: for a measure that is not known.
        """
        return parse(measure).ranked != (self.kind == "sts")

    def data(self) -> Any:
        """Load, and check the kind of data and the counts.

        :raises UsageError: when the data is not what the task expects.
        """
        with self.naming():
            data = self.load()
        wanted = Pairs if isinstance(self, STS) else Collection
        if not isinstance(data, wanted):
            raise UsageError(f"{self.id}: load() gave {type(data).__name__}, not {wanted.__name__}")
        counts = data.counts
        for what, count in self.expects.items():
            if counts.get(what) != count:
                raise UsageError(f"{self.id}: expected {count} {what}, loaded {counts.get(what)}")
        return data

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Within it, a file that is not at hand is an error that says how to fetch the task's data."""
        try:
            yield
        except Missing as error:
            raise Unavailable(f"{error}, or run `jbench fetch --task {self.id}` where there is a network") from error

    def predict(self, model: Model, data: Any) -> Any:
        """What the model says: scores of pairs, or a run."""
        raise NotImplementedError

    def measure(self, prediction: Any, data: Any) -> Measured:
        """Measure a prediction; never needs a model."""
        raise NotImplementedError


@dataclass(frozen=True)
class Loaded:
    """What a task loaded, and the files that it opened for it."""

    data: Any
    sources: tuple[Source, ...] = ()


def deferred(data: Any) -> list[Deferred]:
    """The texts of a collection that are read only when a model asks for one."""
    sides = (data.queries.texts, data.documents.texts) if isinstance(data, Collection) else ()
    return [texts for texts in sides if isinstance(texts, Deferred)]


def load(task: Task) -> Loaded:
    """Load a task's data, noting what it reads.

    :raises JbenchError: as `Task.data` does.
    """
    _forget(task.load)
    with recording() as opened, redirect_stdout(sys.stderr):  # stdout is data
        data = task.data()
    return Loaded(data, tuple(opened))


def _forget(load: Callable[[], Any]) -> None:
    """Empty the ``functools`` caches of a task's file: what they keep would hide the files it came from."""
    plain = inspect.unwrap(load.func if isinstance(load, partial) else load)
    home = str(getattr(plain, "__module__", ""))
    for kept in getattr(plain, "__globals__", {}).values():
        if isinstance(kept, _lru_cache_wrapper) and kept.__module__ == home and not home.startswith("jbench."):
            kept.cache_clear()


def fetch(task: Task) -> tuple[Source, ...]:
    """Load a task's data with all its texts, so that it is at hand from now on; the files that were opened.

    :raises JbenchError: as `Task.data` does.
    """
    loaded = load(task)
    with task.naming():
        for texts in deferred(loaded.data):
            texts.read()
    read = [file for texts in deferred(loaded.data) for file in texts.sources]
    return tuple(dict.fromkeys([*loaded.sources, *read]))


@dataclass(frozen=True, kw_only=True)
class STS(Task):
    """Sentence pairs with gold similarity."""

    measures: tuple[str, ...] = ("spearman", "pearson")
    main: str = "spearman"

    kind: ClassVar[str] = "sts"

    def predict(self, model: Model, data: Pairs) -> Float32 | Float64:
        """A number for each pair, float32[n] or float64[n]; higher is closer."""
        if not isinstance(model, Scorer):
            raise NotApplicable(f"{model.card.model} scores no sentence pairs, so {self.id} does not apply to it")
        return answers.scores(model, list(zip(data.left, data.right, strict=True)), ("sts", "sts"))

    def measure(self, prediction: Float32 | Float64, data: Pairs) -> Measured:
        """Correlation with gold."""
        return measure_pairs(data.gold, prediction, self.measures)


@dataclass(frozen=True, kw_only=True)
class Ranked(Task):
    """What retrieval and reranking share: a run is measured against judgements."""

    measures: tuple[str, ...] = ("ndcg@10", "map@10", "mrr@10", "recall@10", "recall@100")
    main: str = "ndcg@10"

    def predict(self, model: Model, data: Collection) -> Run:
        """A ranking of documents for each query; `Deferred` texts say afterwards whether it took them."""
        for texts in deferred(data):
            texts.used = False
        with self.naming():
            return self.rank(model, data)

    def rank(self, model: Model, data: Collection) -> Run:
        """What `predict` gives; each kind has its own."""
        raise NotImplementedError

    def measure(self, prediction: Run, data: Collection) -> Measured:
        """Measure the run over every judged query."""
        return measure_run(prediction, data.qrels, self.measures)


@dataclass(frozen=True, kw_only=True)
class Retrieval(Ranked):
    """Search of a whole corpus."""

    kind: ClassVar[str] = "retrieval"

    def rank(self, model: Model, data: Collection) -> Run:
        """The best documents of each query, 100 deep or as deep as the measures look."""
        if not isinstance(model, Searcher):
            raise NotApplicable(
                f"{model.card.model} cannot search a whole corpus, which {self.id} asks for; "
                f"write 'rerank(bm25:char-bigram, 100, {model.card.given or model.card.model})'"
            )
        return answers.search(model, data.queries, data.documents, max(100, *(parse(m).k for m in self.measures)))


@dataclass(frozen=True, kw_only=True)
class Reranking(Ranked):
    """Ranking of each query's candidates."""

    measures: tuple[str, ...] = ("ndcg@10", "map@10", "mrr@10")

    kind: ClassVar[str] = "reranking"

    def rank(self, model: Model, data: Collection) -> Run:
        """Every candidate scored; a run file, which has only its order, is checked instead."""
        if data.candidates is None:
            raise UsageError(f"{self.id}: load() gave no candidates to rerank")
        lists = [data.candidates[q] for q in data.queries.ids]
        if not isinstance(model, Scorer | Reranker):
            return self._listed(model, data, max(map(len, lists)))
        at = {d: i for i, d in enumerate(data.documents.ids)}
        query = np.repeat(np.arange(len(lists)), [len(docs) for docs in lists]).astype(np.int64)
        document = np.array([at[d] for docs in lists for d in docs], np.int64)
        if isinstance(model, Reranker):
            return answers.rerank(model, data.queries, data.documents, query, document)
        pairs = [
            (data.queries.texts[q], data.documents.texts[d])
            for q, d in zip(query.tolist(), document.tolist(), strict=True)
        ]
        scores = answers.scores(model, pairs, ("query", "document"))
        return Run.ranked(data.queries.ids, data.documents.ids, query, document, scores)

    def _listed(self, model: Model, data: Collection, depth: int) -> Run:
        if not isinstance(model, Searcher):
            raise NotApplicable(f"{model.card.model} ranks nothing, so {self.id} does not apply to it")
        if model.card.adapter == "rerank":
            second = model.card.settings["second"]["model"]
            raise NotApplicable(f"{self.id} gives the candidates; of {model.card.model}, score {second} alone")
        run = answers.search(model, data.queries, data.documents, depth)
        for i, query in enumerate(data.queries.ids):
            listed = set((data.candidates or {})[query])
            if stray := [d for d, _ in run.rows(i) if d not in listed]:
                where = f"{stray[0]!r} for query {query!r}"
                raise InvalidScores(f"{model.card.model} ranks {where}, which is not a candidate")
        return run


@dataclass(frozen=True, kw_only=True)
class QA(Retrieval):
    """Retrieval where each question has exactly one gold passage."""

    measures: tuple[str, ...] = ("recall@1", "recall@5", "recall@10", "mrr@10")
    main: str = "recall@1"

    kind: ClassVar[str] = "qa"

    def data(self) -> Collection:
        """As for every task; each question must have one gold passage."""
        data: Collection = super().data()
        if several := [q for q, judged in data.qrels.items() if sum(g > 0 for g in judged.values()) != 1]:
            raise UsageError(f"{self.id}: question {several[0]!r} has more than one gold passage")
        return data


KINDS: Mapping[str, type[Task]] = {kind.kind: kind for kind in (STS, Retrieval, Reranking, QA)}
