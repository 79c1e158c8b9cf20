"""Files of training data: rows of texts under the names that people give their columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from jbench.cache import cache_root, known_sha256
from jbench.files import locked, write, writing
from jbench.manifest import training_of
from jbench.source import Source, local
from jbench.train.data.training_set import TrainingSet, made
from jbench.types import Unavailable, UsageError

NAMES = {
    "anchor": ("anchor", "query", "question", "anc", "sent0", "premise", "title"),
    "positive": ("positive", "positives", "pos", "sent1", "passage", "maintext"),
    "negative": ("negative", "negatives", "neg", "hard_neg"),
}
"""What each role is called: by jbench, sentence-transformers, JaColBERT's, Ruri's and SimCSE's data, CC News."""

PROVENANCE = ".provenance.json"
"""What lies beside a file that jbench made, under its name and this: what it was made from, with what."""


def examples(path: Path, negatives: int | None = None, scores: bool = False) -> TrainingSet:
    """A file (``.parquet``, ``.jsonl``) of one's own, or of mined negatives, which is its origin with negatives.

    :raises UsageError: for columns that are no training data.
    :raises Unavailable: when it is not to be had.
    """
    found = of_files(path.stem, "", [local(path)], negatives, scores)
    beside = path.with_name(path.name + PROVENANCE)
    if not beside.is_file():
        return found
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
        origin, named = told["data"], told["sha256"]
        name, split, revision = (str(origin[key]) for key in ("name", "split", "revision"))
        sources = (*map(str, origin["sources"]), *found.sources)
        teacher = dict(told.get("filter") or {})
        if teacher:
            training = training_of(teacher.get("training") or {}).record()
            teacher = {"model": str(teacher["model"]), "training": training}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UsageError) as error:
        raise Unavailable(f"{beside} is no provenance ({error!r})") from error
    if local(path).find().sha256 != named:
        raise Unavailable(f"{beside} tells of another {path.name} than the one that lies there; make it again")
    return replace(found, name=name, split=split, revision=revision, sources=sources, teacher=teacher)


def of_files(
    name: str,
    split: str,
    files: Sequence[Source],
    negatives: int | None = None,
    scores: bool = False,
    first: str | None = None,
) -> TrainingSet:
    """Rows of one layout in one or more files: sentences (``text``), pairs, or pairs with negatives.

    ``negatives`` says how many an example has, if any row has as many; else as many as every row has, and at
    least one where there are any. Columns ``negative_1`` and so on stand as they are. ``first`` is what the
    first column is to be called: ``anchor`` or ``query``, else by what it is called there.

    :raises UsageError: for columns that are none of that, or when a row has no texts.
    """
    held = load(files)
    names = {role: next((n for n in among if n in held.column_names), None) for role, among in NAMES.items()}
    if "text" in held.column_names and names["positive"] is None:
        return made(name, split, files, held.select_columns(["text"]))
    if names["anchor"] is None or names["positive"] is None:
        known = ", ".join(f"{role} ({', '.join(among[1:])})" for role, among in NAMES.items())
        raise UsageError(f"{name} has columns {', '.join(held.column_names)}; training data has text, or {known}")
    if scores and "scores" not in held.column_names:
        raise UsageError(f"{name} has no scores; mine with --filter to have a reranker's")
    first = first or ("anchor" if names["anchor"] in ("anchor", "anc", "sent0", "premise") else "query")
    fixed = [n for n in held.column_names if n.startswith("negative_") and n[9:].isdigit()]
    if fixed:
        chosen = [names["anchor"], names["positive"], *fixed, *(["scores"] if scores else [])]
        rows = held.select_columns(chosen).rename_columns({names["anchor"]: first, names["positive"]: "positive"})
        return made(name, split, files, rows)
    roles = {given: role for role, given in names.items() if given}
    lists = held.select_columns([*roles, *(["scores"] if scores else [])]).rename_columns(roles)
    fewest, most = _sizes(lists)
    count = max(fewest, min(most, 1)) if negatives is None else min(most, negatives)
    columns = [first, "positive", *(f"negative_{i}" for i in range(1, count + 1)), *(["scores"] if scores else [])]
    return made(name, split, files, lists, columns)


def load(files: Sequence[Source]) -> Any:
    """The rows of parquet files, mapped from disk, or of JSON Lines, as a `datasets.Dataset`.

    :raises UsageError: for rows that hold different kinds of values under one name.
    """
    if all(Path(file.file).suffix == ".parquet" for file in files):
        return on_disk(files, _parquet, "train")
    import pyarrow as pa
    from datasets import Dataset

    rows = [row for file in files for row in file.jsonl()]
    try:
        return Dataset.from_list(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UsageError(f"{', '.join(file.name for file in files)}: {_mixed(rows) or error}") from error


def _mixed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Where a row first holds another kind of value than those before it."""
    met: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        for name, value in row.items():
            kind = _kind(value)
            if kind and met.setdefault(name, kind) != kind:
                return f"row {number} has {kind} as {name}, and the rows before it {met[name]}"
            if ", " in kind:
                return f"row {number} has {kind} as {name}: all are to be of one kind"
    return ""


def _kind(value: Any) -> str:
    """What a value of JSON is; nothing where it fits any."""
    if isinstance(value, list):
        inside = sorted({_kind(one) for one in value} - {""})
        return f"a list ({', '.join(inside)})" if inside else ""
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", dict: "an object"}
    return names.get(type(value), "")


def on_disk(files: Sequence[Source], read: Callable[[Path], Iterator[Any]], form: str) -> Any:
    """What ``read`` makes of files, Arrow record batches, as a `datasets.Dataset` mapped from disk.

    It is made once, under the cache; ``form`` tells it from what else is made of the same files there.

    :raises Unavailable: when a file is not to be had, or cannot be read so.
    """
    from datasets import Dataset

    opened = [file.find() for file in files]
    key = sha256("\n".join(found.sha256 for found in opened).encode()).hexdigest()
    target, mark = (cache_root() / "arrow" / f"{form}-{key[:32]}{ending}" for ending in (".arrow", ".sha256"))
    with locked(target):
        if not (target.is_file() and mark.is_file() and mark.read_text("utf-8") == known_sha256(target)):
            _map(target, files, read)
            write(mark, known_sha256(target))
    return Dataset.from_file(str(target))


def _map(target: Path, files: Sequence[Source], read: Callable[[Path], Iterator[Any]]) -> None:
    import pyarrow as pa

    schema, sink = None, None
    with writing(target) as out:
        for file in files:
            with file.reading("rows of training data") as found:
                for batch in read(found.path):
                    if sink is None:
                        schema = batch.schema.remove_metadata()
                        sink = pa.ipc.new_stream(out, schema)
                    sink.write_table(pa.Table.from_batches([batch]).cast(schema))
        if sink is not None:
            sink.close()


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as held:
        yield pa.RecordBatch.from_pylist([], schema=held.schema_arrow)  # of no rows the columns are told too
        yield from held.iter_batches(4096)


def several(path: Path, pattern: str) -> list[Source]:
    """A file, or the files of a folder that ``pattern`` finds, in the order of their names.

    :raises UsageError: when there are none.
    :raises Unavailable: when there is no such place.
    """
    if not path.exists():
        raise Unavailable(f"{path} does not exist")
    found = [path] if path.is_file() else sorted(path.glob(pattern))
    if not found:
        raise UsageError(f"{path} holds no {pattern}")
    return [local(file) for file in found]


def _sizes(lists: Any) -> tuple[int, int]:
    """How many negatives every row has, and how many the row with the most."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "negative" not in lists.column_names:
        return 0, 0
    column = lists.data.column("negative")
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return 1, 1
    sizes = pc.min_max(pc.fill_null(pc.list_value_length(column), 0)).as_py()
    return sizes["min"], sizes["max"]
