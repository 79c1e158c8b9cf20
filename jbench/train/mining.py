"""Hard negatives: what a searcher ranks high for a question and does not answer it.

The reports': by a dense model the first 110 without the first ten, 25 of them at random, and by BM25 the ten
after the first ten (JaColBERT, arXiv 2312.16144): ranks 11-110 and 11-20. Ranks 30-100 of BM25 and mE5-large
fused (Ruri, arXiv 2409.07737). They are counted after a question's own passages are taken out, as
sentence-transformers does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from jbench.arrow import rows
from jbench.cache import file_sha256
from jbench.files import write, writing
from jbench.fingerprint import UInt64, hashed
from jbench.source import local
from jbench.train.data.files import PROVENANCE
from jbench.train.data.retrieval import answers
from jbench.train.data.training_set import TrainingSet, readable, texts_of
from jbench.types import Card, InvalidScores, Model, Scorer, Searcher, Texts, Track, UsageError

ROLES = ("query", "document")
_BLOCK = 256
_BATCH = 4096


@dataclass(frozen=True)
class Plan:
    """What is taken of a ranking: ``ranks`` (first and last, from 1), ``sample`` of them at random (None: all).

    With a filter, what scores ``below`` or more is dropped (None: nothing is), then the sample is drawn.
    """

    ranks: tuple[int, int]
    sample: int | None
    seed: int
    below: float | None = None

    def __post_init__(self) -> None:
        first, last = self.ranks
        if not 1 <= first <= last:
            raise UsageError(f"ranks {first}-{last}: write the first and the last, from 1, such as 11-20")
        if self.sample is not None and not 1 <= self.sample <= last - first + 1:
            raise UsageError(f"a sample of {self.sample} of ranks {first}-{last}, which are {last - first + 1}")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} is below 0")


@dataclass(frozen=True)
class Mined:
    """A question, the passages that answer it, its hard negatives in the order drawn, and their ranks.

    ``scores`` are the filter's, of the positives and then of the negatives; none without a filter.
    """

    query: str
    positives: list[str]
    negatives: list[str]
    ranks: list[int]
    scores: list[float] | None = None


@dataclass(frozen=True)
class Questions:
    """Distinct questions (``queries``), the passages that answer each, and the passages among which to search."""

    queries: Texts
    positives: list[list[str]]
    passages: Texts


def ranks_of(string: str) -> tuple[int, int]:
    """``11-20`` as its two numbers.

    :raises UsageError: for anything else.
    """
    if not (found := re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", string)):
        raise UsageError(f"--ranks {string!r}: write the first and the last, from 1, such as 11-20")
    return int(found[1]), int(found[2])


def questions(data: TrainingSet, corpus: Path | None = None, column: str = "text") -> Questions:
    """The questions of a training set, and its passages, or those in the ``column`` of the file ``corpus``.

    Questions of one text are one, with the passages that answer any of them.

    :raises UsageError: for a set without questions, or a row without a text.
    """
    found: dict[str, dict[str, None]] = {}
    for text, positives in _asked(data):
        found.setdefault(text, {}).update(dict.fromkeys(positives))
    names = [str(i) for i in range(len(found))]
    if data.collection is not None:  # a run file knows them by these
        first = dict(zip(reversed(data.collection.queries.texts), reversed(data.collection.queries.ids), strict=True))
        names = [first[text] for text in found]
    if corpus is not None:
        texts: Sequence[str] = rows([local(corpus)], column).column(column)
        passages = Texts([str(i) for i in range(len(texts))], texts)
    elif data.collection is not None:
        passages = data.collection.documents
    else:
        texts = list(dict.fromkeys(text for positives in found.values() for text in positives))
        passages = Texts([str(i) for i in range(len(texts))], texts)
    return Questions(Texts(names, list(found)), [list(positives) for positives in found.values()], passages)


def _asked(data: TrainingSet) -> Iterator[tuple[str, list[str]]]:
    if data.collection is not None:
        yield from answers(data.collection)
        return
    held = data.held
    first = next((name for name in ("query", "anchor") if name in held.column_names), None)
    if first is None:
        raise UsageError(f"{data.name} has no questions: its columns are {', '.join(held.column_names)}")
    number = 0
    for batch in held.select_columns([first, "positive"]).iter(_BATCH):
        for asked, positives in zip(map(texts_of, batch[first]), map(texts_of, batch["positive"]), strict=True):
            number += 1
            if not (asked and positives and all(map(readable, (*asked, *positives)))):
                raise UsageError(f"{data.name}: row {number} has an empty text")
            yield from ((text, positives) for text in asked)


def mine(asked: Questions, model: Model, plan: Plan, judge: Model | None, track: Track) -> Iterator[Mined]:
    """The hard negatives of each question, in the order of the questions.

    No passage whose text answers the question is among them, nor one text twice. What is drawn for a question
    depends on its text and the seed alone. The whole ranking is held as numbers; texts a block at a time.

    :raises UsageError: for a model that cannot search, or a ``judge`` (the filter) that scores no pairs.
    :raises InvalidScores: when the filter gives a score that is no number.
    """
    if not isinstance(model, Searcher):
        raise UsageError(
            f"{model.card.model} cannot search a corpus, so it cannot mine; try rerank(bm25:mecab, 100, M)"
        )
    if judge is not None and not isinstance(judge, Scorer):
        raise UsageError(f"{judge.card.model} scores no pairs, so it cannot filter")
    texts = asked.passages.texts
    if not len(texts):
        raise UsageError("there are no passages to mine among")
    marks = np.concatenate([hashed(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)])
    own = [hashed(positives) for positives in asked.positives]
    most = min(len(texts), plan.ranks[1] + _copies(marks, own))
    run = model.search(asked.queries, asked.passages, most)
    advance = track("questions", len(asked.queries))
    for start in range(0, len(asked.queries), _BLOCK):
        block = range(len(asked.queries))[start : start + _BLOCK]
        taken = [_taken(run.index[run.offsets[i] : run.offsets[i + 1]], marks, own[i], plan.ranks) for i in block]
        draws = [np.random.default_rng([plan.seed, int(hashed([asked.queries.texts[i]])[0])]) for i in block]
        if plan.below is None:  # nothing is dropped, so that only what is drawn need be scored
            taken = [_drawn(one, np.arange(len(one[0])), draw, plan) for one, draw in zip(taken, draws, strict=True)]
        scored = _scored(asked, block, [places for places, _ in taken], judge) if judge is not None else None
        for n, i in enumerate(block):
            places, ranks = taken[n]
            scores = None
            if scored is not None:
                of_own, of_found = np.split(scored[n], [len(own[i])])
                if plan.below is not None:
                    keep = np.flatnonzero(of_found < plan.below)
                    places, ranks, of_found = _drawn((places, ranks, of_found), keep, draws[n], plan)
                scores = [*of_own.tolist(), *of_found.tolist()]
            negatives = [texts[int(place)] for place in places]
            yield Mined(asked.queries.texts[i], asked.positives[i], negatives, ranks.tolist(), scores)
        advance(len(block))


def _copies(marks: UInt64, own: Sequence[UInt64]) -> int:
    """The most passages that may answer one question, where texts have copies; never too few."""
    distinct, counts = np.unique(marks, return_counts=True)
    return int(counts[np.isin(distinct, np.concatenate(own))].max(initial=0)) * max(map(len, own))


def _taken(found: Any, marks: UInt64, own: UInt64, ranks: tuple[int, int]) -> tuple[Any, Any]:
    """The passages at ``ranks`` of a ranking without the question's own, the first of each text; and their ranks."""
    others = found[~np.isin(marks[found], own)][ranks[0] - 1 : ranks[1]]
    first = np.sort(np.unique(marks[others], return_index=True)[1])
    return others[first], ranks[0] + first


def _drawn(columns: tuple[Any, ...], keep: Any, draw: np.random.Generator, plan: Plan) -> tuple[Any, ...]:
    """Of each column what stands at the places ``keep``, in random order, as much as the plan takes."""
    chosen = draw.permutation(keep)[: plan.sample]
    return tuple(column[chosen] for column in columns)


def _scored(asked: Questions, block: range, places: Sequence[Any], judge: Scorer) -> list[Any]:
    """For each question of a block the scores of its positives, then of its candidates."""
    pairs = []
    for i, found in zip(block, places, strict=True):
        texts = [*asked.positives[i], *(asked.passages.texts[int(place)] for place in found)]
        pairs += [(asked.queries.texts[i], text) for text in texts]
    sizes = [len(asked.positives[i]) + len(found) for i, found in zip(block, places, strict=True)]
    scores = judge.score(pairs, ROLES)
    if bad := np.flatnonzero(~np.isfinite(scores)).tolist():
        raise InvalidScores(f"{judge.card.model} scores {pairs[bad[0]][0]!r:.60} with a passage {scores[bad[0]]}")
    return np.split(scores, np.cumsum(sizes)[:-1])


def save(path: Path, mined: Iterator[Mined], told: dict[str, Any]) -> dict[str, int]:
    """Write what was mined as it comes (``.parquet`` or ``.jsonl``), and beside it what it came from.

    ``told`` is `provenance`; the counts that come back are written there too, with the file's sha256.

    :raises UsageError: for another ending.
    """
    writers = {".parquet": _parquet, ".jsonl": _json_lines}
    if path.suffix not in writers:
        raise UsageError(f"{path.name}: mined negatives are written as .parquet or .jsonl")
    counts = {"questions": 0, "negatives": 0, "without": 0}
    with writing(path) as out:
        writers[path.suffix](out, _counted(mined, counts), told["filter"] is not None)
    record = {**told, **counts, "sha256": file_sha256(path)}
    beside = path.with_name(path.name + PROVENANCE)
    write(beside, orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return counts


def provenance(data: TrainingSet, corpus: Path | None, model: Card, plan: Plan, judge: Card | None) -> dict[str, Any]:
    """What a file of mined negatives says of itself."""
    return {
        "data": data.record(),
        "corpus": None if corpus is None else {"file": corpus.name, "sha256": local(corpus).find().sha256},
        "model": _who(model),
        "ranks": list(plan.ranks),
        "sample": plan.sample,
        "seed": plan.seed,
        "filter": None if judge is None else {**_who(judge), "below": plan.below, "training": dict(judge.training)},
    }


def _who(card: Card) -> dict[str, Any]:
    return {
        "model": card.model,
        "revision": card.revision,
        "prompts": dict(card.prompts),
        "settings": dict(card.settings),
    }


def _counted(mined: Iterator[Mined], counts: dict[str, int]) -> Iterator[dict[str, Any]]:
    for row in mined:
        counts["questions"] += 1
        counts["negatives"] += len(row.negatives)
        counts["without"] += not row.negatives
        yield {name: value for name, value in vars(row).items() if value is not None}


def _json_lines(out: IO[bytes], rows: Iterator[dict[str, Any]], scored: bool) -> None:
    for row in rows:
        out.write(orjson.dumps(row) + b"\n")


def _parquet(out: IO[bytes], rows: Iterator[dict[str, Any]], scored: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.list_(pa.string())
    columns = {"query": pa.string(), "positives": texts, "negatives": texts, "ranks": pa.list_(pa.int64())}
    schema = pa.schema([*columns.items(), *([("scores", pa.list_(pa.float64()))] if scored else [])])
    with pq.ParquetWriter(out, schema, compression="zstd") as sink:
        while batch := list(islice(rows, _BATCH)):
            sink.write_table(pa.Table.from_pylist(batch, schema))
