"""A ranking as a run file: TREC text, ranx's ``.json``, ``.lz4`` and parquet, which `jbench.models.runfile` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from jbench.files import writing
from jbench.models.load import open_model
from jbench.models.options import Options
from jbench.models.runfile import RunFile
from jbench.task import Task, load
from jbench.types import InvalidScores, Model, Run, UsageError, unknown


def export_run(name: str, task: Task | None, path: Path, options: Options) -> Run:
    """Write the ranking of a model string for ``task`` to ``path``; nothing is measured.

    As deep as the task's measures look, at least 100. Without a task, a run file as it stands.

    :raises UsageError: for a task that is not ranked, a model without one, ids that ``path`` cannot hold.
    :raises JbenchError: as `open_model`, `load` and the model do.
    """
    model = open_model(name, options)
    if task is None:
        if not isinstance(model, RunFile):
            raise UsageError("a run is made for a task: name it with --task ID")
        run = model.run
    else:
        run = _predicted(model, task, path, options)
    write_run(run, path, model.card.model)
    return run


def _predicted(model: Model, task: Task, path: Path, options: Options) -> Run:
    if task.kind == "sts":
        raise UsageError(f"{task.id} has no run: its answer is one score a pair, not a ranking")
    data = load(task).data
    _check(path, data.queries.ids, data.documents.ids)  # before hours of encoding
    run: Run = task.predict(model, data)
    if tied := int(np.count_nonzero(run.beyond)):
        options.say(
            f"{tied} of {len(run.queries)} queries have further documents that tie with the last one written; a run "
            "file cannot say so, and tie intervals of measures as deep as that may come out narrower"
        )
    return run


def write_run(run: Run, path: Path, tag: str = "jbench") -> None:
    """Write ``run`` in the format of the ending of ``path`` (of `ENDINGS`); ``tag`` is the last field of a TREC line.

    A score is written as the shortest decimal that reads back as the same number of its precision: ties stay ties.
    A query without documents is not in the file.

    :raises UsageError: for another ending, or ids that the format cannot hold: white space in TREC text.
    :raises InvalidScores: for a run without documents, which no reader takes.
    """
    _check(path, run.queries, run.documents)
    if not len(run):
        raise InvalidScores(f"there is nothing to write to {path}: no query has a document")
    with writing(path) as file:
        _writer(path)(run, file, "_".join(tag.split()) or "jbench")


def _writer(path: Path) -> Callable[[Run, IO[bytes], str], None]:
    if path.suffix.lower() not in ENDINGS:
        raise unknown("ending of a run file", path.suffix, ENDINGS)
    return ENDINGS[path.suffix.lower()]


def _check(path: Path, queries: Iterable[str], documents: Iterable[str]) -> None:
    text = _writer(path) is _trec
    for what, ids in (("query", queries), ("document", documents)):
        for name in ids:
            if text and name.split() != [name]:
                raise UsageError(
                    f"{what} id {name!r} is empty or has white space, which ends a field of a TREC run; write .json"
                )
            if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
                raise UsageError(f"{what} id {name!r} has half a character (a lone surrogate), which no file holds")


def _rows(run: Run) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each query with its documents and the decimals of their scores."""
    decimal = run.scores.dtype.type  # of this type's numbers, str is the shortest decimal
    for i, query in enumerate(run.queries):
        if rows := run.rows(i):
            yield query, [(document, str(decimal(score))) for document, score in rows]


def _trec(run: Run, file: IO[bytes], tag: str) -> None:
    for query, rows in _rows(run):
        lines = (f"{query} Q0 {document} {rank} {score} {tag}\n" for rank, (document, score) in enumerate(rows, 1))
        file.write("".join(lines).encode())


def _as_ranx(run: Run) -> dict[str, dict[str, float]]:
    return {query: {document: float(score) for document, score in rows} for query, rows in _rows(run)}


def _json(run: Run, file: IO[bytes], tag: str) -> None:
    import orjson

    file.write(orjson.dumps(_as_ranx(run), option=orjson.OPT_INDENT_2))


def _lz4(run: Run, file: IO[bytes], tag: str) -> None:
    import cbor2
    import lz4.frame

    file.write(lz4.frame.compress(lz4.frame.compress(cbor2.dumps(_as_ranx(run)), compression_level=16)))


def _parquet(run: Run, file: IO[bytes], tag: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(query, document, float(score)) for query, found in _rows(run) for document, score in found]
    columns = zip(*rows, strict=True)
    pq.write_table(pa.table(dict(zip(("q_id", "doc_id", "score"), map(list, columns), strict=True))), file)


ENDINGS = {".trec": _trec, ".txt": _trec, ".run": _trec, ".json": _json, ".lz4": _lz4, ".parquet": _parquet}
"""What writes which ending."""
