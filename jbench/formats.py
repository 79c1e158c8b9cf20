"""What files look like inside: each function reads one that it is given, and raises what it likes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_POINTER = b"version https://git-lfs"


class Repeated(ValueError):
    """Something that may be there once is given twice."""


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


def json_text(path: Path) -> Any:
    """What a JSON file holds; a ``.gz`` is unpacked.

    :raises Repeated: when an object has a key twice.
    """
    return json.loads(text(path), object_pairs_hook=without_repeats)


def topics(path: Path) -> dict[str, str]:
    """Queries as Anserini's tools write them: id, a tab, text.

    :raises Repeated: when an id is given twice, naming both lines.
    """
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, (query, said) in _fields(path, 2, "\t"):
        _once(lines, query, number, f"query {query!r}")
        found[query] = said
    return found


def qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements as TREC writes them: query, an unused field, document, grade.

    :raises Repeated: when a document is judged twice for one query, naming both lines.
    """
    judged: dict[str, dict[str, int]] = {}
    lines: dict[tuple[str, str], int] = {}
    for number, (query, _, document, grade) in _fields(path, 4):
        _once(lines, (query, document), number, f"document {document!r} for query {query!r}")
        judged.setdefault(query, {})[document] = int(grade)
    return judged


def ranx_lz4(path: Path) -> dict[str, dict[str, float]]:
    """A run file as ranx writes it, CBOR inside lz4 inside lz4, as ``{query: {document: score}}``.

    :raises Repeated: when an id is given twice.
    :raises ValueError: when it holds something else.
    """
    import cbor2
    import lz4.frame

    packed = lz4.frame.decompress(lz4.frame.decompress(path.read_bytes()))
    try:
        run = cbor2.loads(packed, allow_duplicate_keys=False)
    except cbor2.CBORDecodeError as error:
        if "duplicate" in str(error).lower():
            raise Repeated(f"an id is given twice ({error})") from error
        raise
    if not isinstance(run, dict) or not all(isinstance(docs, dict) for docs in run.values()):
        raise ValueError("expected {query: {document: score}}")
    return without_repeats(
        (
            id_of(query, "a query id"),
            without_repeats((id_of(document, "a document id"), score) for document, score in docs.items()),
        )
        for query, docs in run.items()
    )


def _named(values: Mapping[Any, Any], what: str) -> Iterator[tuple[str, Any]]:
    """The same pairs with ids as text, each once."""
    yield from without_repeats((id_of(key, what), value) for key, value in values.items()).items()


def id_of(value: Any, what: str) -> str:
    """An id as text: a string as it is, a whole number by its decimal digits.

    :raises ValueError: for anything else, such as a missing value or a number with a point.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        raise ValueError(f"{what} is missing")
    raise ValueError(f"{what} is {value!r:.40}, a {type(value).__name__}: ids are strings, or whole numbers (integers)")


def without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dictionary.

    :raises Repeated: when a key is given twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Repeated(f"{key!r} is given twice in one object")
        found[key] = value
    return found


def what_is_wrong(path: Path, error: Exception) -> str:
    """Why a file could not be read, in a few words."""
    with suppress(OSError), open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            return "it is a Git LFS pointer, not the file itself"
    said = " ".join(str(error).split())[:200]
    return said if type(error) in (ValueError, Repeated) else f"{type(error).__name__}: {said}"


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


def _once(lines: dict[_Key, int], key: _Key, number: int, what: str) -> None:
    """Note that line ``number`` gives ``key``.

    :raises Repeated: when an earlier line did.
    """
    if (first := lines.setdefault(key, number)) != number:
        raise Repeated(f"{what} is given twice, in lines {first} and {number}")


def _fields(path: Path, count: int, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """The number of each line that is not empty, and its fields, between ``separator`` or else white space."""
    for number, line in enumerate(text(path).split("\n"), 1):
        fields = line.split(separator)
        if line.strip() and len(fields) != count:
            raise ValueError(f"line {number} has {len(fields)} fields, not {count}")
        if line.strip():
            yield number, fields
