"""``run:PATH``: somebody's ranking, measured without a model.

Reads TREC text (six fields), ``.json`` and ``.lz4`` (ranx), parquet (ranx: q_id, doc_id, score).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jbench.cache import file_sha256
from jbench.formats import ranx_lz4
from jbench.models.options import Options
from jbench.types import Card, InvalidScores, Run, Texts, Unavailable, UsageError

Rows = list[tuple[str, str, float]]


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
    :raises InvalidScores: for a document twice in one query, or a score that is not finite.
    """
    options.only(f"run:{path}")
    file = Path(path)
    if not file.is_file():
        raise Unavailable(f"run file {path} {'is no file' if file.exists() else 'does not exist'}")
    if file.suffix in (".gz", ".zip", ".bz2", ".xz"):
        raise UsageError(f"{path}: {file.suffix} is not read; unpack it first")
    reader = {".json": _json, ".lz4": _lz4, ".parquet": _parquet}.get(file.suffix, _trec)
    try:
        rows = reader(file)
    except Exception as error:  # five formats, each with errors of its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path} is not a run file ({reason})") from error
    if not rows:
        raise InvalidScores(f"{path} holds no ranking")
    queries, query = np.unique([q for q, _, _ in rows], return_inverse=True)
    documents, document = np.unique([d for _, d, _ in rows], return_inverse=True)
    try:
        run = Run.ranked(queries.tolist(), documents.tolist(), query, document, [s for _, _, s in rows])
    except InvalidScores as error:
        raise InvalidScores(f"{path}: {error}") from None
    return RunFile(Card(options.name or file.stem, file_sha256(file), "run"), run, options.say)


def _trec(path: Path) -> Rows:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != 6:
            raise ValueError(f"line {number} has {len(fields)} fields, not the 6 of a TREC run")
        try:
            rows.append((fields[0], fields[2], float(fields[4])))
        except ValueError:
            raise ValueError(f"line {number}: score {fields[4]!r} is not a number") from None
    return rows


def _json(path: Path) -> Rows:
    # Lists of pairs rather than dictionaries: a repeated key would be lost silently.
    tree = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_Object)
    return _flat(tree)


def _lz4(path: Path) -> Rows:
    return [(q, d, float(s)) for q, docs in ranx_lz4(path).items() for d, s in docs.items()]


def _parquet(path: Path) -> Rows:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["q_id", "doc_id", "score"])
    return list(zip(*(table[name].to_pylist() for name in ("q_id", "doc_id", "score")), strict=True))


class _Object(list[tuple[str, Any]]):
    """A JSON object as its pairs, repeated keys kept."""


def _flat(tree: Any) -> Rows:
    if not isinstance(tree, _Object) or not all(isinstance(docs, _Object) for _, docs in tree):
        raise ValueError("expected {query: {document: score}}")
    rows = [(q, d, s) for q, docs in tree for d, s in docs]
    if stray := [s for _, _, s in rows if isinstance(s, bool) or not isinstance(s, int | float)]:
        raise ValueError(f"score {stray[0]!r} is not a number")
    return [(q, d, float(s)) for q, d, s in rows]
