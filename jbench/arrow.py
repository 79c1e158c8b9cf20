"""Rows on disk: many files as one memory-mapped Arrow table, so that seven million passages fit.

JSON Lines are read line by line, not by the JSON reader of ``datasets``: that one guesses types,
and a title such as "2020-01-01" comes back as "2020-01-01 00:00:00".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jbench import formats
from jbench.cache import cache_root, known_sha256
from jbench.files import locked, write, writing
from jbench.source import Source
from jbench.types import Int64, Texts, Unavailable, UsageError

FORMAT = 1
"""Rises when the same files would give another table."""

_BATCH = 4096


class Column(Sequence[str]):
    """Strings of a table on disk: one column, or several joined; all rows, or those in ``rows``.

    Nothing is held: an index reads one row, a slice its rows, iteration a batch at a time.
    """

    def __init__(
        self, columns: Sequence[Any], join: Callable[[Iterable[str]], str] = " ".join, rows: Int64 | None = None
    ) -> None:
        self.columns, self.join, self.rows = columns, join, rows
        self._chunks = [column.chunks for column in columns]
        self._ends = np.cumsum([len(chunk) for chunk in self._chunks[0]]).tolist()

    def __len__(self) -> int:
        return len(self.columns[0]) if self.rows is None else len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self._at(range(len(self))[index])
        wanted = range(len(self))[index]
        if self.rows is not None or wanted.step != 1:
            return [self._at(i) for i in wanted]
        parts = [column.slice(wanted.start, len(wanted)).to_pylist() for column in self.columns]
        return parts[0] if len(parts) == 1 else [self.join(texts) for texts in zip(*parts, strict=True)]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BATCH):
            yield from self[start : start + _BATCH]

    def select(self, rows: Iterable[int]) -> Column:
        """The same of some rows, in their order."""
        chosen = np.fromiter(rows, np.int64)
        return Column(self.columns, self.join, chosen if self.rows is None else self.rows[chosen])

    def _at(self, i: int) -> str:
        row = i if self.rows is None else int(self.rows[i])
        chunk = bisect_right(self._ends, row)
        place = row - (self._ends[chunk - 1] if chunk else 0)
        parts = [chunks[chunk][place].as_py() for chunks in self._chunks]
        return parts[0] if len(parts) == 1 else self.join(parts)


@dataclass(frozen=True)
class Rows:
    """A memory-mapped table of strings; ``name`` is what messages call it."""

    name: str
    table: Any

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, *names: str, join: Callable[[Iterable[str]], str] = " ".join) -> Column:
        """One column, or several ``join``ed (by a space)."""
        return Column([self.table.column(name) for name in names], join)

    def find(self, column: str, wanted: Iterable[str]) -> dict[str, int]:
        """The row of each wanted value, the first where there are several, in the order of ``wanted``.

        :raises Unavailable: when a value has no row.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        names = list(dict.fromkeys(wanted))
        which = pc.index_in(self.table.column(column), value_set=pa.array(names, pa.string()))
        which = pc.fill_null(which, -1).to_numpy()
        rows = np.flatnonzero(which >= 0)
        first = np.full(len(names), -1, np.int64)
        first[which[rows][::-1]] = rows[::-1]
        if lacking := np.flatnonzero(first < 0).tolist():
            raise Unavailable(f"{self.name} has no row whose {column} is {names[lacking[0]]!r}")
        return dict(zip(names, first.tolist(), strict=True))

    def distinct(self, ids: str, text: str, rows: Iterable[int]) -> tuple[Texts, dict[str, str]]:
        """The documents of ``rows``, the first of each distinct text; and the kept id for every id."""
        names, texts = self.column(ids), self.column(text)
        first: dict[str, str] = {}
        kept: dict[str, str] = {}
        chosen: dict[str, int] = {}
        for row in rows:
            name = names[row]
            kept[name] = first.setdefault(texts[row], name)
            chosen.setdefault(kept[name], row)
        return Texts(list(chosen), texts.select(chosen.values())), kept


def rows(files: Sequence[Source], *columns: str) -> Rows:
    """String columns of JSON Lines (also ``.gz``) or parquet files, one after the other, on disk.

    A null is an empty text, a whole number its digits. The table is made once, under the cache, and
    made again when it is no longer what was written.

    :raises UsageError: without a file, without a column, for a column named twice.
    :raises Unavailable: when a file is not to be had, or is not what its ending says.
    """
    from datasets import Dataset

    if not files or not columns or len(set(columns)) < len(columns):
        raise UsageError(f"rows of {len(files)} files, columns {columns}: give one or more of each, none twice")
    opened = [file.find() for file in files]
    key = sha256("\n".join([str(FORMAT), *columns, "", *(found.sha256 for found in opened)]).encode()).hexdigest()
    target = cache_root() / "arrow" / f"{key[:32]}.arrow"
    if not _is_whole(target):
        with locked(target):
            if not _is_whole(target):
                _write(target, files, columns)
    for file, found in zip(files, opened, strict=True):
        file.keep(found)
    try:
        return Rows(files[0].name, Dataset.from_file(str(target)).data)
    except (ValueError, OSError) as error:
        raise Unavailable(f"{target} is not whole; remove it and run again") from error


def _is_whole(target: Path) -> bool:
    """Whether a table is as it was written: beside it lies its sha256."""
    try:
        return target.with_suffix(".sha256").read_text(encoding="utf-8") == known_sha256(target)
    except (OSError, ValueError):
        return False


def _write(target: Path, files: Iterable[Source], columns: Sequence[str]) -> None:
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in columns])
    with writing(target) as out, pa.ipc.new_stream(out, schema) as sink:
        for file in files:
            for batch in _batches(file, columns):
                sink.write_batch(pa.RecordBatch.from_arrays(batch, schema=schema))
    write(target.with_suffix(".sha256"), known_sha256(target))


def _batches(file: Source, columns: Sequence[str]) -> Iterator[list[Any]]:
    # A generator, so that what the disk refuses while a batch is written is not the file's fault.
    with file.reading(f"rows of {', '.join(columns)}") as found:
        read = _parquet if found.path.suffix == ".parquet" else _json_lines
        yield from read(found.path, columns)


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for name in columns:
            _check_type(name, file.schema_arrow.field(name).type)
        for batch in file.iter_batches(_BATCH, columns=list(columns)):
            yield [pc.fill_null(pc.cast(batch.column(name), pa.string()), "") for name in columns]


def _check_type(name: str, kind: Any) -> None:
    from pyarrow import types

    plain = kind.value_type if types.is_dictionary(kind) else kind
    # As in JSON Lines: digits have one way to be written, a float and a truth value several.
    fits = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_null)
    if not any(fit(plain) for fit in fits):
        raise TypeError(f"column {name!r} is of {kind}, not of strings")


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    import pyarrow as pa

    parsed = formats.json_lines(path)
    while batch := list(islice(parsed, _BATCH)):
        yield [pa.array([_text(row, name) for row in batch], pa.string()) for name in columns]


def _text(row: Any, name: str) -> str:
    try:
        value = row[name]
    except KeyError:
        raise ValueError(f"a row has no {name}, but {', '.join(row)}") from None
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return "" if value is None else str(value)
    raise TypeError(f"{str(value)[:40]!r} is a {type(value).__name__}, not a string")
