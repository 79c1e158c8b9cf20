"""How much of a task's texts stand in a training set: as they are, normalised, and by character n-grams.

Both sides are read as streams. Of the task a block at a time is held as hashes (64 bits), and the
training set is read once for each block: memory is bounded whatever their sizes. Of a training set that
only left its fingerprint (see `jbench.fingerprint`) there is what that can tell.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jbench import fingerprint
from jbench.fingerprint import PRIME, UInt64, hashed, mixed, normalised
from jbench.manifest import MANIFEST
from jbench.registry import find_tasks
from jbench.source import Source, github, hub
from jbench.task import Task, load
from jbench.types import Pairs, Unavailable, UsageError, unknown

SIDES = ("queries", "documents", "texts")
"""Of what a text is: a collection has queries and documents, sentence pairs have texts."""

NGRAM = 13
"""Characters of an n-gram, of normalised text."""

BLOCK = 1 << 23
"""Characters of the task that are held at once, at some 80 bytes each with their hashes."""

_BATCH, _CHARACTERS = 4096, 1 << 20


@dataclass(frozen=True)
class Corpus:
    """Texts that can be read again and again; ``name`` is what messages call them."""

    name: str
    read: Callable[[], Iterable[str]]


@dataclass(frozen=True)
class Overlap:
    """What ``a`` holds of the texts of ``b``.

    ``exact`` and ``normalised`` count texts of ``b`` that are texts of ``a``. By n-grams of normalised
    text, ``shared`` counts those of which ``a`` has one, ``contained`` those of which it has all, and
    ``containment`` is the mean share; a text shorter than ``n`` is an n-gram by itself.
    """

    a: str
    b: str
    side: str
    texts: int
    exact: int
    normalised: int
    n: int
    shared: int
    contained: int
    containment: float
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def share(self) -> float:
        """The share of ``b`` that stands in ``a``, normalised."""
        return self.normalised / self.texts if self.texts else 0.0


def overlap(
    a: Corpus, b: Corpus, side: str = "texts", n: int = NGRAM, examples: int = 3, block: int = BLOCK
) -> Overlap:
    """Measure what ``a`` holds of ``b``.

    :raises UsageError: for an ``n`` below 1, or an ``a`` or ``b`` without texts.
    """
    if n < 1:
        raise UsageError(f"n-grams of {n} characters; give 1 or more")
    found = _Found()
    texts = iter(b.read())
    while held := _Block.of(texts, n, block):
        looked = 0
        for batch in _batches(a.read()):
            held.look(batch)
            looked += len(batch)
        if not looked:
            raise UsageError(f"{a.name} has no texts")
        found.add(held, examples)
    if not found.texts:
        raise UsageError(f"{b.name} has no {side}")
    shown = _beside(a, found.shown, n)
    total = found.texts
    return Overlap(
        a.name, b.name, side, total, found.exact, found.normalised, n, found.shared, found.contained,
        round(found.share / total, 6), tuple(shown),
    )  # fmt: skip


@dataclass(frozen=True)
class Met:
    """How many texts of ``b`` the fingerprint of ``a`` finds, as normalised.

    Of texts that were not among those of ``a`` it finds ``false_positive_rate``.
    """

    a: str
    b: str
    side: str
    texts: int
    normalised: int
    false_positive_rate: float

    @property
    def share(self) -> float:
        """The share of ``b`` that is found."""
        return self.normalised / self.texts


def met(a: str, texts: fingerprint.Fingerprint, b: Corpus, side: str = "texts") -> Met:
    """Look for the texts of ``b`` in the fingerprint of ``a``.

    :raises UsageError: for a ``b`` without texts.
    """
    found = [texts.holds(batch) for batch in _batches(b.read())]
    if not found:
        raise UsageError(f"{b.name} has no {side}")
    held = np.concatenate(found)
    return Met(a, b.name, side, len(held), int(held.sum()), float(f"{texts.rate:.3g}"))


@dataclass
class _Block:
    """Texts of ``b`` as hashes, and which of them ``a`` was found to hold."""

    texts: list[str]
    n: int
    exact: _Marks
    plain: _Marks
    grams: _Marks

    @classmethod
    def of(cls, texts: Iterator[str], n: int, most: int) -> _Block | None:
        """As many texts as have ``most`` n-grams, at least one; None when there are no more."""
        held: list[str] = []
        size = 0
        for text in texts:
            held.append(text)
            size += max(1, len(text))
            if size >= most:
                break
        if not held:
            return None
        plain = [normalised(text) for text in held]
        return cls(held, n, _Marks(hashed(held)), _Marks(hashed(plain)), _Marks(*_all_grams(plain, n)))

    def look(self, batch: Sequence[str]) -> None:
        """Mark what stands in a batch of ``a``."""
        plain = [normalised(text) for text in batch]
        self.exact.mark(hashed(batch))
        self.plain.mark(hashed([text for text in plain if text]))
        self.grams.mark(_grams([text for text in plain if text], self.n)[0])


class _Marks:
    """Hashes, each belonging to a text, and which of them were met."""

    def __init__(self, hashes: UInt64, owners: npt.NDArray[np.int64] | None = None) -> None:
        self.owners = np.arange(len(hashes)) if owners is None else owners
        self.distinct, self.places = np.unique(hashes, return_inverse=True)
        self.met = np.zeros(len(self.distinct), bool)

    def mark(self, hashes: UInt64) -> None:
        if len(self.distinct) and len(hashes):
            hashes = np.unique(hashes)
            at = np.minimum(np.searchsorted(self.distinct, hashes), len(self.distinct) - 1)
            self.met[at[self.distinct[at] == hashes]] = True

    def shares(self, count: int) -> npt.NDArray[np.float64]:
        """The share of each text's hashes that were met; 0 where it has none."""
        had = np.bincount(self.owners, minlength=count)
        met = np.bincount(self.owners, weights=self.met[self.places], minlength=count)
        return met / np.maximum(had, 1)


@dataclass
class _Found:
    texts: int = 0
    exact: int = 0
    normalised: int = 0
    shared: int = 0
    contained: int = 0
    share: float = 0.0
    shown: list[dict[str, Any]] = field(default_factory=list)

    def add(self, held: _Block, examples: int) -> None:
        count = len(held.texts)
        exact = held.exact.shares(count) > 0
        same = exact | (held.plain.shares(count) > 0)
        # A text that is all punctuation has no n-gram, and is held where it is held as it stands.
        shares = np.where(same, 1.0, held.grams.shares(count))
        self.texts += count
        self.exact += int(exact.sum())
        self.normalised += int(same.sum())
        self.shared += int((shares > 0).sum())
        self.contained += int((shares == 1).sum())
        self.share += float(shares.sum())
        kinds = (("exact", exact), ("normalised", same & ~exact), ("n-grams", (shares > 0) & ~same))
        for kind, which in kinds:
            room = examples - sum(row["kind"] == kind for row in self.shown)
            for i in np.flatnonzero(which)[: max(0, room)].tolist():
                self.shown.append({"kind": kind, "text": held.texts[i], "share": round(float(shares[i]), 4)})


def _beside(a: Corpus, shown: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Examples with a text of ``a`` that is the same, or shares an n-gram; read until each has one."""
    lacking = {i: normalised(row["text"]) for i, row in enumerate(shown) if row["kind"] != "exact"}
    for batch in _batches(a.read()) if lacking else ():
        plain = [normalised(text) for text in batch]
        grams, owners = _grams(plain, n)
        for i, text in list(lacking.items()):
            if shown[i]["kind"] == "normalised":
                at = plain.index(text) if text in plain else None
            else:
                hits = owners[np.isin(grams, _grams([text], n)[0])]
                at = int(hits[0]) if len(hits) else None
            if at is not None:
                shown[i]["beside"] = batch[at]
                del lacking[i]
        if not lacking:
            break
    return shown


def _grams(texts: Sequence[str], n: int) -> tuple[UInt64, npt.NDArray[np.int64]]:
    """The hashes of each text's n-grams, and whose they are; a shorter text is one by itself."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    if not len(codes):
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(texts)), lengths)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    left = np.repeat(lengths, lengths) - place
    rolled, ahead = np.zeros(len(codes), np.uint64), mixed(codes.astype(np.uint64) + np.uint64(1))
    for i in range(min(n, int(lengths.max()))):
        # Past the end of a text nothing is added: that is how a shorter text becomes one by itself.
        rolled = np.where(left > i, rolled * PRIME + ahead, rolled)
        ahead = np.roll(ahead, -1)
    starts = (left >= n) | (place == 0)
    return mixed(rolled[starts]), owner[starts]


def _all_grams(texts: Sequence[str], n: int) -> tuple[UInt64, npt.NDArray[np.int64]]:
    """The same of many texts, a batch at a time: an n-gram takes far more room while it is made."""
    parts, start = [], 0
    for batch in _batches(texts):
        grams, owners = _grams(batch, n)
        parts.append((grams, owners + start))
        start += len(batch)
    return np.concatenate([grams for grams, _ in parts]), np.concatenate([owners for _, owners in parts])


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if len(batch) == _BATCH or size >= _CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def corpora(string: str, side: str | None, columns: Sequence[str], task_dirs: Sequence[Path]) -> dict[str, Corpus]:
    """The texts that ``string`` names, by side: a file, a source, a manifest or a task.

    :raises UsageError: for a name that means nothing, or a side that it has not.
    :raises Unavailable: when what it names is not to be had.
    """
    if side and side not in SIDES:
        raise unknown("side", side, SIDES)
    path = Path(string)
    if string.startswith(("github:", "hub:")):
        return {"texts": _file(_source(string).path(), string, columns)}
    if path.is_dir():
        path = path / MANIFEST
        if not path.is_file():
            raise UsageError(f"{string} has no {MANIFEST}; name a file of texts")
    if path.name == MANIFEST:
        return {"texts": _of_manifest(path, columns)}
    if path.is_file():
        return {"texts": _file(path, path.name, columns)}
    if _kind(path) or "/" in string:
        raise Unavailable(f"{string} does not exist")
    return _of_task(find_tasks([string], task_dirs)[0], side)


def _source(string: str) -> Source:
    """``github:OWNER/NAME@COMMIT/PATH`` or ``hub:…``."""
    kind, _, rest = string.partition(":")
    repo, at, place = rest.partition("@")
    revision, slash, file = place.partition("/")
    if not (at and slash and file and repo.count("/") == 1):
        raise UsageError(f"{string} is no source; expected {kind}:OWNER/NAME@COMMIT/PATH")
    return github(repo, revision, file) if kind == "github" else hub(repo, revision, file)


def _of_task(task: Task, side: str | None) -> dict[str, Corpus]:
    """A task's texts by side; its queries alone need no corpus where it says how to read them."""
    has = ("texts",) if task.kind == "sts" else ("queries", "documents")
    if side and side not in has:
        raise UsageError(f"{task.id} has no {side}; it has {' and '.join(has)}")
    if side == "queries" and task.queries is not None:
        with task.naming():
            found = task.queries()
        return {"queries": Corpus(task.id, found.values)}
    try:
        data = load(task).data
    except Unavailable as error:
        if task.queries is None:
            raise
        raise Unavailable(f"{error}; --side queries needs no corpus") from error
    if isinstance(data, Pairs):
        return {"texts": Corpus(task.id, lambda: chain(data.left, data.right))}
    texts = {"queries": data.queries.texts, "documents": data.documents.texts}
    return {name: Corpus(task.id, partial(_of_column, task, texts[name])) for name in has if side in (None, name)}


def _of_column(task: Task, texts: Sequence[str]) -> Iterator[str]:
    with task.naming():  # deferred texts are read now
        yield from texts


def _of_manifest(path: Path, columns: Sequence[str]) -> Corpus:
    """The files that a trainer's manifest names beside its data sets (``file``), one after the other."""
    named = _named(path)[0]
    if not named:
        raise Unavailable(f"{path} names no file of its data sets, and no fingerprint; name the files themselves")
    parts = [_file(path.parent / name, Path(name).name, columns) for name in named]
    return Corpus(path.name, lambda: chain.from_iterable(part.read() for part in parts))


def _named(path: Path) -> tuple[list[str], Any]:
    """The files that a manifest names of its data sets, and what it says of its fingerprint."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [row["file"] for row in found["datasets"] if "file" in row], found.get("fingerprint")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unavailable(f"{path} is no manifest with datasets ({error!r})") from error


def _left(string: str) -> fingerprint.Fingerprint | None:
    """The fingerprint of a checkpoint (or a manifest) that names no files of its training texts."""
    path = Path(string) / MANIFEST if Path(string).is_dir() else Path(string)
    if path.name != MANIFEST or not path.is_file():
        return None
    files, entry = _named(path)
    return None if files or entry is None else fingerprint.read(path.parent, entry)


def _file(path: Path, name: str, columns: Sequence[str]) -> Corpus:
    kind = _kind(path)
    if kind is None:
        raise UsageError(f"{name}: texts are read from {', '.join(_READERS)} (one object a line), also .gz")
    reader = _READERS[kind]

    def read() -> Iterator[str]:
        try:
            yield from reader(path, columns)
        except (UsageError, MemoryError):
            raise
        except Exception as error:  # a stranger's file can be broken in any way; each is one line
            raise Unavailable(f"{name} cannot be read as {kind} ({type(error).__name__}: {error})") from error

    return Corpus(name, read)


def _kind(path: Path) -> str | None:
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return ending if ending in _READERS else None


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as lines:
        for i, line in enumerate(lines):
            kept = line.removeprefix(b"\xef\xbb\xbf") if i == 0 else line
            if kept.strip():
                yield kept.rstrip(b"\r\n")


def _tabbed(path: Path, columns: Sequence[str]) -> Iterator[str]:
    """Of each line what follows its last tab (as topics are written), or columns by number or by a head's names."""
    lines = (line.decode("utf-8").split("\t") for line in _lines(path))
    if not columns:
        yield from (fields[-1] for fields in lines)
        return
    if all(name.isascii() and name.isdigit() and int(name) for name in columns):
        wanted = [int(name) - 1 for name in columns]
    else:
        head = next(lines, [])
        wanted = [_among(name, head) for name in columns]
    for number, fields in enumerate(lines, 1):
        if len(fields) <= max(wanted):
            raise ValueError(f"row {number} has {len(fields)} fields")
        yield from (fields[i] for i in wanted)


def _among(name: str, known: Sequence[str]) -> int:
    if name not in known:
        raise unknown("column", name, known)
    return list(known).index(name)


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[str]:
    import orjson

    for line in _lines(path):
        row = orjson.loads(line)
        for name in columns or _textual([key for key, value in row.items() if isinstance(value, str)]):
            if name not in row:
                raise unknown("column", name, row)
            yield str(row[name] or "")


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        fields = {column.name: column.type for column in file.schema_arrow}
        strings = [name for name, kind in fields.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
        for name in columns:
            _among(name, list(fields))
        wanted = list(columns) or _textual(strings)
        for batch in file.iter_batches(_BATCH, columns=wanted):
            for name in wanted:
                yield from (str(text or "") for text in batch.column(name).to_pylist())


def _textual(names: Sequence[str]) -> list[str]:
    """Which column holds the texts when nobody says."""
    if "text" in names or len(names) == 1:
        return ["text" if "text" in names else names[0]]
    raise UsageError(f"which column has the texts? give --column, of {', '.join(names) or 'none that are strings'}")


_READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[str]]] = {
    ".txt": _tabbed,
    ".tsv": _tabbed,
    ".jsonl": _json_lines,
    ".json": _json_lines,
    ".parquet": _parquet,
}


def measure(
    a: str, b: str, side: str | None, columns: Sequence[str], n: int, examples: int, task_dirs: Sequence[Path]
) -> list[Overlap] | list[Met]:
    """What ``a`` holds of each side of the task (or file) ``b``.

    :raises UsageError: as `corpora` and `overlap` do.
    :raises Unavailable: as `corpora` and `jbench.fingerprint.read` do.
    """
    left = _left(a)
    looked = corpora(b, side, columns if _kind(Path(b)) else (), task_dirs)
    if left is not None:
        return [met(a, left, texts, name) for name, texts in looked.items()]
    # Of a task the same side; of anything else all that it has.
    given = list(corpora(a, side, columns, task_dirs).values())
    whole = Corpus(given[0].name, lambda: chain.from_iterable(part.read() for part in given))
    return [overlap(whole, texts, name, n, examples) for name, texts in looked.items()]


def as_dict(found: Overlap | Met) -> dict[str, Any]:
    """For JSON, with the share of texts that ``a`` holds."""
    return {**asdict(found), "share": found.share}
