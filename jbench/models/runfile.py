"""``run:PATH``: somebody's ranking, measured without a model.

Reads TREC text (six fields), ``.json`` and ``.lz4`` (ranx), parquet (ranx: q_id, doc_id, score); text may be gzipped.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from jbench.cache import file_sha256
from jbench.formats import Repeated, id_of, ranx_lz4, without_repeats
from jbench.models.options import Options
from jbench.types import Card, Float64, InvalidScores, Run, Texts, Unavailable, UsageError


@dataclass
class Rows:
    """The rows of a run file: the query, the document and the score of each.

    ``place`` is the line or row of the file (from 1) that each comes from and ``rank`` the rank that it gives, where
    the format has them.
    """

    query: list[str] = field(default_factory=list)
    document: list[str] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    rank: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class RunFile:
    """Has no ``score``: it knows ids, not texts."""

    card: Card
    run: Run
    say: Callable[[str], None] = field(repr=False)

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """The file's ranking of ``queries`` over ``documents``, k deep.

        :raises InvalidScores: when it names a document that the collection lacks, or answers
            none of the queries.
        """
        at = {q: i for i, q in enumerate(self.run.queries)}
        known = {d: i for i, d in enumerate(documents.ids)}
        mine = [(i, at[q]) for i, q in enumerate(queries.ids) if q in at]
        missing = [q for q in queries.ids if q not in at]
        if not mine:
            raise InvalidScores(
                f"{self.card.model} answers none of the {len(queries)} queries: a run for another task?"
            )
        self._tell("no ranking, counted as 0", missing, len(queries))
        self._tell("a ranking but no place in the task, left out", list(at.keys() - set(queries.ids)), len(at))
        query: list[int] = []
        document: list[int] = []
        scores: list[float] = []
        for i, j in mine:
            rows = self.run.rows(j)
            if stray := [d for d, _ in rows if d not in known]:
                raise InvalidScores(
                    f"{self.card.model} ranks document {stray[0]!r} for query {queries.ids[i]!r}, which the task lacks"
                )
            query += [i] * len(rows)
            document += [known[d] for d, _ in rows]
            scores += [score for _, score in rows]
        return Run.ranked(queries.ids, documents.ids, np.array(query), np.array(document), scores).top(k)

    def report(self) -> dict[str, Any]:
        """Nothing runs."""
        return {}

    def _tell(self, what: str, queries: list[str], of: int) -> None:
        if queries:
            self.say(f"{self.card.model}: {len(queries)} of {of} queries have {what} (first: {min(queries)})")


def runfile(path: str, options: Options) -> RunFile:
    """Read a run file; its identity is the sha256 of its bytes.

    :raises Unavailable: when there is no such file.
    :raises UsageError: when it is not a run file, or for options that need weights.
    :raises InvalidScores: for an id or a document of a query given twice, or a score that is not finite.
    """
    options.only(f"run:{path}")
    file = Path(path)
    if not file.is_file():
        raise Unavailable(f"run file {path} {'is no file' if file.exists() else 'does not exist'}")
    packed = file.suffix.lower() == ".gz"
    name = Path(file.stem if packed else file.name)
    ending = name.suffix.lower()
    if ending in (".zip", ".bz2", ".xz") or (packed and ending in (".lz4", ".parquet")):
        raise UsageError(f"{path}: {file.suffix} is not read; unpack it first")
    reader = {".json": _json, ".lz4": _lz4, ".parquet": _parquet}.get(ending, _trec)
    try:
        rows = reader(file)
    except Repeated as error:
        raise InvalidScores(f"{path}: {error}") from error
    except Exception as error:  # five formats, each with errors of its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path} is not a run file ({reason})") from error
    if not rows.query:
        raise InvalidScores(f"{path} holds no ranking")
    queries, query = _numbered(rows.query)
    documents, document = _numbered(rows.document)
    _check_repeats(path, rows, query * len(documents) + document)
    scores = np.array(rows.score, np.float64)
    try:
        run = Run.ranked(queries, documents, query, document, scores)
    except InvalidScores as error:
        raise InvalidScores(f"{path}: {error}") from None
    if contradiction := _contradiction(rows, query, scores):
        options.say(f"{path}: {contradiction}")
    settings = {"scores": "float64"} if _needs_doubles(run) else {}
    return RunFile(Card(options.name or name.stem, file_sha256(file), "run", settings=settings), run, options.say)


def _numbered(names: list[str]) -> tuple[list[str], Any]:
    """The distinct names in order, and the place of each name among them, int64[n]."""
    # A table of fixed width would take the longest name's bytes for each row.
    distinct = sorted(set(names))
    at = {name: i for i, name in enumerate(distinct)}
    return distinct, np.fromiter((at[name] for name in names), np.int64, len(names))


def _check_repeats(path: str, rows: Rows, pair: Any) -> None:
    """Refuse a document that a query has twice; ``pair`` is a number for each query and document.

    :raises InvalidScores: naming both places in the file.
    """
    order = np.argsort(pair, kind="stable")
    if again := np.flatnonzero(pair[order][1:] == pair[order][:-1]).tolist():
        first, second = sorted((int(order[again[0]]), int(order[again[0] + 1])))
        where = f", in lines {rows.place[first]} and {rows.place[second]}" if rows.place else ""
        raise InvalidScores(
            f"{path}: document {rows.document[first]!r} is ranked twice for query {rows.query[first]!r}{where}"
        )


def _contradiction(rows: Rows, query: Any, scores: Float64) -> str:
    """What to say of a rank column that puts documents in another order than their scores; else nothing."""
    if not rows.rank:
        return ""
    ranks = np.array(rows.rank, np.int64)
    order = np.lexsort((-scores, ranks, query))
    # By rising rank, no score may rise.
    rises = (query[order][1:] == query[order][:-1]) & (ranks[order][1:] > ranks[order][:-1])
    wrong = np.flatnonzero(rises & (scores[order][1:] > scores[order][:-1]))
    if not len(wrong):
        return ""
    first, second = int(order[wrong[0]]), int(order[wrong[0] + 1])
    count = len(np.unique(query[order][wrong]))
    return (
        f"the rank column contradicts the scores in {count} of {len(np.unique(query))} queries (first: query "
        f"{rows.query[first]!r}, rank {rows.rank[first]} has score {rows.score[first]:g} and rank {rows.rank[second]} "
        f"{rows.score[second]:g}, lines {rows.place[first]} and {rows.place[second]}); the scores decide, higher is "
        "better: negate them if they are distances"
    )


def _needs_doubles(run: Run) -> bool:
    """Whether float32 would make ties of scores that differ, or could not hold them."""
    with np.errstate(over="ignore", under="ignore"):
        narrow = run.scores.astype(np.float32)
    neighbours = run.query[1:] == run.query[:-1]
    merged = neighbours & (narrow[1:] == narrow[:-1]) & (run.scores[1:] != run.scores[:-1])
    return bool(merged.any() or not np.isfinite(narrow).all())


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    # A line ends at a line feed alone.
    how: dict[str, Any] = {"encoding": "utf-8-sig", "newline": "\n"}
    with gzip.open(path, "rt", **how) if path.suffix.lower() == ".gz" else open(path, **how) as file:
        yield file


def _trec(path: Path) -> Rows:
    """Query, a field that nobody reads, document, rank, score, tag; text may follow the tag.

    Empty lines are skipped, and so are comments: lines that begin with ``#`` and are no row.
    """
    rows = Rows()
    with _text(path) as lines:
        for number, line in enumerate(lines, 1):
            fields = line.split()
            fault = _fault(fields)
            if fields and fault and fields[0].startswith("#"):
                continue
            if fault:
                raise ValueError(f"line {number}: {fault}" if len(fields) > 5 else f"line {number} {fault}")
            if fields:
                rows.query.append(fields[0])
                rows.document.append(fields[2])
                rows.score.append(float(fields[4]))
                rows.place.append(number)
                rows.rank.append(int(fields[3]) if _is_whole(fields[3]) else -1)
    if -1 in rows.rank:
        rows.rank.clear()
    return rows


def _fault(fields: list[str]) -> str:
    """Why the fields of a line are no row of a TREC run; nothing where they are, or there are none."""
    if not fields:
        return ""
    if len(fields) < 6:
        return f"has {len(fields)} fields, not the 6 of a TREC run"
    if not _is_number(fields[4]):
        return f"score {fields[4]!r} is not a number"
    if len(fields) > 6 and _is_number(fields[5]):
        # With white space in an id the score would be the next field.
        return f"{len(fields)} fields, of which {fields[4]} and {fields[5]} could be the score: no id may hold a space"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _json(path: Path) -> Rows:
    with _text(path) as file:
        return _flat(json.load(file, object_pairs_hook=without_repeats))


def _lz4(path: Path) -> Rows:
    return _flat(ranx_lz4(path))


def _parquet(path: Path) -> Rows:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["q_id", "doc_id", "score"])
    rows = Rows(score=table["score"].to_pylist(), place=list(range(1, len(table) + 1)))
    for name, ids in (("q_id", rows.query), ("doc_id", rows.document)):
        for number, value in enumerate(table[name].to_pylist(), 1):
            ids.append(id_of(value, f"{name} of row {number}"))
    for number, score in enumerate(rows.score, 1):
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise ValueError(f"score of row {number} is {score!r}, not a number")
    return rows


def _flat(tree: Any) -> Rows:
    if not isinstance(tree, Mapping) or not all(isinstance(docs, Mapping) for docs in tree.values()):
        raise ValueError("expected {query: {document: score}}")
    rows = Rows()
    for query, docs in tree.items():
        for document, score in docs.items():
            if isinstance(score, bool) or not isinstance(score, int | float):
                raise ValueError(f"score {score!r} is not a number")
            rows.query.append(query)
            rows.document.append(document)
            rows.score.append(float(score))
    return rows
