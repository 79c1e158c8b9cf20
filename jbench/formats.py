"""What files look like inside: each function reads one that it is given, and raises what it likes."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_POINTER = b"version https://git-lfs"


def text(path: Path) -> str:
    """UTF-8 text; a ``.gz`` is unpacked."""
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")


def jsonl(path: Path) -> list[dict[str, Any]]:
    """One JSON object a line; empty lines are skipped."""
    rows = []
    for number, row in _numbered(path):
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: {row!r:.40} is no object")
        rows.append(row)
    return rows


def json_lines(path: Path) -> Iterator[Any]:
    """What each line holds, one at a time; a ``.gz`` is unpacked, empty lines are skipped."""
    yield from (held for _, held in _numbered(path))


def tsv(path: Path) -> list[dict[str, str]]:
    """Tab-separated rows under a header line, as many fields in each; quotes are plain characters."""
    reader = csv.DictReader(io.StringIO(text(path), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    rows = list(reader)
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"row {number} has not the {len(reader.fieldnames or ())} fields of its head")
    return rows


def parquet(path: Path, columns: list[str] | None) -> list[dict[str, Any]]:
    """The rows of a parquet file, of ``columns`` or of all."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path, columns=columns).to_pylist()
    return rows


def topics(path: Path) -> dict[str, str]:
    """Queries as Anserini's tools write them: id, a tab, text."""
    return dict(_fields(path, 2, "\t"))


def qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements as TREC writes them: query, an unused field, document, grade."""
    judged: dict[str, dict[str, int]] = {}
    for query, _, document, grade in _fields(path, 4):
        judged.setdefault(query, {})[document] = int(grade)
    return judged


def ranx_lz4(path: Path) -> dict[str, dict[str, float]]:
    """A run file as ranx writes it, CBOR inside lz4 inside lz4, as ``{query: {document: score}}``."""
    import cbor2
    import lz4.frame

    run: dict[str, dict[str, float]] = cbor2.loads(lz4.frame.decompress(lz4.frame.decompress(path.read_bytes())))
    return run


def what_is_wrong(path: Path, error: Exception) -> str:
    """Why a file could not be read, in a few words."""
    with suppress(OSError), open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            return "it is a Git LFS pointer, not the file itself"
    said = " ".join(str(error).split())[:200]
    return said if type(error) is ValueError else f"{type(error).__name__}: {said}"


def _numbered(path: Path) -> Iterator[tuple[int, Any]]:
    """The JSON of each line that has some, and the line's number."""
    import orjson

    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield number, orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
                except orjson.JSONDecodeError as error:
                    raise ValueError(f"line {number}, character {error.colno}: {error.msg}") from error


def _fields(path: Path, count: int, separator: str | None = None) -> Iterator[list[str]]:
    """The fields of each line, between ``separator`` or else white space."""
    for number, line in enumerate(text(path).split("\n"), 1):
        fields = line.split(separator)
        if line.strip() and len(fields) != count:
            raise ValueError(f"line {number} has {len(fields)} fields, not {count}")
        if line.strip():
            yield fields
