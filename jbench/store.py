"""The embedding store: what a model made of each text, on disk, so that no run encodes a text twice.

One folder below ``embeddings`` in the cache for all that touches a value (weights, settings, library versions; what is
read in another way, as behind another prompt, is another item): ``about.json`` says what, and ``*.safetensors`` hold
the values of some items each, in the dtype that the model computes in. A shard appears complete or not at all; shards
are never changed. Only a folder whose ``about.json`` carries the store's mark is ever removed, and of it only what the
store wrote.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jbench.cache import cache_root
from jbench.files import write, writing
from jbench.types import Float32, Int64, Unavailable, UsageError

REMEMBERED = 2 << 30
"""How many bytes of values are kept in memory where nothing is stored."""

SHARD = 1 << 27
"""Bytes of values after which a shard is written."""

SECONDS, SHARE = 0.25, 0.02
"""After so long, or so large a share of the time since the store was opened, a shard is written: what a kill costs."""

USUAL_GIB = 20.0
ABOUT = "about.json"
MARK = {"store": "jbench embeddings"}
"""What ``about.json`` holds in a folder of the store, beside what is said of the model."""

_ENDING = ".safetensors"
_WRITTEN = re.compile(
    r"\d{19}-[0-9a-f]{8}\.safetensors|\.(about\.json|\d{19}-[0-9a-f]{8}\.safetensors)\.\d+\.[0-9a-f]{8}\.tmp"
)
# Shards, and what a killed process left of one or of about.json.
_BEFORE_MARKS = {"adapter", "versions"}  # what about.json of the store held before it had a mark
_Known = tuple[Float32, int]
Int32 = np.ndarray[Any, np.dtype[np.int32]]
UInt64 = np.ndarray[Any, np.dtype[np.uint64]]


class Kept(Protocol):
    """What is known of items already: float32 values, and how many tokens of an item were cut."""

    def find(self, way: Hashable, items: Sequence[Any]) -> list[_Known | None]:
        """What is known of each item, read in this way."""

    def table(self, way: Hashable, items: Sequence[Any]) -> tuple[Float32, Int32] | None:
        """The values float32[n, d], and the tokens lost, of items of which each is a vector; None where one lacks."""

    def add(self, way: Hashable, item: Any, value: Float32, lost: int) -> None:
        """Know this of an item from now on."""

    def flush(self) -> None:
        """Put what was added where it lasts."""

    def told(self) -> Mapping[str, Any]:
        """What is said of the model whose values these are; nothing where nothing lasts."""


@dataclass
class Memory:
    """Values kept for the life of a process, up to ``room`` bytes."""

    room: int = REMEMBERED
    held: dict[tuple[Hashable, Any], _Known] = field(default_factory=dict)

    def find(self, way: Hashable, items: Sequence[Any]) -> list[_Known | None]:  # noqa: D102
        return [self.held.get((way, item)) for item in items]

    def table(self, way: Hashable, items: Sequence[Any]) -> None:  # noqa: D102
        return None

    def add(self, way: Hashable, item: Any, value: Float32, lost: int) -> None:  # noqa: D102
        if value.nbytes <= self.room:
            self.held[way, item] = (value, lost)
            self.room -= value.nbytes

    def flush(self) -> None:  # noqa: D102
        pass

    def told(self) -> Mapping[str, Any]:  # noqa: D102
        return {}


@dataclass
class Shards:
    """The values of one model, in ``folder``; ``about`` says, once there is one, what they are of.

    ``dtype`` is what the model computes in (float32, bfloat16, float16): a value that this holds exactly is stored
    so, any other as float32. Where the disk refuses, or ``limit`` bytes of the whole store are reached with nothing
    older to remove, the rest is not stored, and ``say`` is told why. ``check`` raises `Unavailable` once the model's
    files are no longer those that it stands for: then nothing more is stored.
    """

    folder: Path
    about: Callable[[], Mapping[str, Any]]
    dtype: str
    limit: int
    say: Callable[[str], None]
    check: Callable[[], None] | None = None
    pending: dict[bytes, _Known] = field(default_factory=dict)
    _bytes: int = 0
    _at: int = 0
    _began: float = field(default_factory=time.monotonic)
    _since: float = field(default_factory=time.monotonic)
    _closed: bool = False

    def find(self, way: Hashable, items: Sequence[Any]) -> list[_Known | None]:
        """What is stored of each item; shards that cannot be read are as if they were not there."""
        found: list[_Known | None] = [None] * len(items)
        asked = _marks(way, items)
        for shard, places, rows in self._places(asked):
            with suppress(OSError):  # another process may have removed it
                for i, known in zip(places.tolist(), shard.values(rows), strict=True):
                    found[i] = known
        if self.pending:
            for i in (i for i, known in enumerate(found) if known is None):
                found[i] = self.pending.get(asked[i].tobytes())
        return found

    def table(self, way: Hashable, items: Sequence[Any]) -> tuple[Float32, Int32] | None:
        """The same as one matrix, which costs nothing a row."""
        parts = list(self._places(_marks(way, items)))
        if (
            not parts
            or sum(len(places) for _, places, _ in parts) < len(items)
            or any(shard.starts is not None for shard, *_ in parts)
        ):
            return None
        try:
            if len(parts) == 1:
                shard, _, rows = parts[0]
                return shard.vectors(rows), shard.lost[rows]
            out = np.empty((len(items), parts[0][0].width), np.float32)
            lost = np.empty(len(items), np.int32)
            for shard, places, rows in parts:
                out[places] = shard.vectors(rows)
                lost[places] = shard.lost[rows]
        except OSError:  # another process may have removed it
            return None
        return out, lost

    def _places(self, asked: UInt64) -> Iterator[tuple[_Shard, Int64, Int64]]:
        """Each shard that has some of the marks: their places among them, and the rows in it."""
        lacking, count, first = np.arange(len(asked)), len(self._shards), self._at
        for at in range(first, first + count):  # what is asked for in the order it was stored in is found at once
            if not len(lacking):
                return
            shard = self._shards[at % count]
            here, rows = shard.places(asked[lacking])
            if len(rows):
                self._at = at % count
                yield shard, lacking[here], rows
                lacking = lacking[~here]

    def add(self, way: Hashable, item: Any, value: Float32, lost: int) -> None:
        """Know this of an item; written when a shard is full, or has waited."""
        if self._closed:
            return
        self.pending[_marks(way, [item]).tobytes()] = (value, lost)
        self._bytes += value.nbytes
        now = time.monotonic()
        if self._bytes >= SHARD or now - self._since >= max(SECONDS, SHARE * (now - self._began)):
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a shard.

        :raises Unavailable: when `check` does; what is pending is dropped.
        """
        self._since = time.monotonic()
        if not self.pending:
            return
        try:
            if self.check:
                self.check()
        except Unavailable:
            self.pending.clear()
            self._closed = True
            raise
        data = _serialized(self.pending, self.dtype)
        self.pending.clear()
        self._bytes = 0
        try:
            self._make_room(len(data))
            if not self.told():  # the mark comes first, so that nothing lies in the store without it
                write(self.folder / ABOUT, json.dumps({**MARK, **self.about()}, ensure_ascii=False, indent=2))
            path = self.folder / f"{time.time_ns():019d}-{secrets.token_hex(4)}{_ENDING}"
            with writing(path) as file:
                file.write(data)
        except Unavailable as error:
            self._closed = True
            self.say(f"embeddings are not stored any more: {error}")
            return
        self._use()
        if shard := _read(path):
            self._shards.append(shard)

    def told(self) -> Mapping[str, Any]:
        """What ``about`` said when the first shard was written; nothing before."""
        return _told(self.folder / ABOUT) or {}

    def _use(self) -> None:
        with suppress(OSError):
            os.utime(self.folder / ABOUT)  # when it was last used

    @cached_property
    def _shards(self) -> list[_Shard]:
        self._use()
        return [shard for path in sorted(self.folder.glob(f"*{_ENDING}")) if (shard := _read(path))]

    def _make_room(self, size: int) -> None:
        """Remove the folders that were used longest ago, until ``size`` more bytes fit.

        :raises Unavailable: when they do not.
        """
        own = _size(self.folder) + size
        if own > self.limit:
            raise Unavailable(f"the store is bounded to {self.limit / 2**30:g} GiB ($JBENCH_STORE_GIB)")
        others = [one for one in stored() if one.folder != self.folder]
        used = own + sum(one.size for one in others)
        for one in reversed(others):
            if used <= self.limit:
                break
            remove(one)
            used -= one.size


@dataclass(frozen=True)
class Stored:
    """A folder of the store: what it holds the values of, its bytes, and when it was last used (seconds, epoch).

    ``about`` has ``model``, ``revision`` and ``settings``.
    """

    folder: Path
    about: Mapping[str, Any]
    size: int
    used: float


def opened(
    facts: Mapping[str, Any],
    about: Callable[[], Mapping[str, Any]],
    dtype: str,
    say: Callable[[str], None],
    check: Callable[[], None] | None = None,
) -> Shards:
    """What is stored under ``facts``: all that touches a value, as JSON. ``about`` is kept beside it, for people.

    :raises UsageError: when the bound of the store is no number.
    """
    name = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    return Shards(root() / name, about, dtype, limit(), say, check)


def root() -> Path:
    """Where the store lies."""
    return cache_root() / "embeddings"


def limit() -> int:
    """How many bytes the store may take: ``$JBENCH_STORE_GIB``, else 20 GiB.

    :raises UsageError: when that is no number.
    """
    text = os.environ.get("JBENCH_STORE_GIB", "")
    try:
        found = float(text) if text else USUAL_GIB
    except ValueError:
        found = -1.0
    if not 0 <= found < 2**20:
        raise UsageError(f"JBENCH_STORE_GIB={text}: write a number of GiB, such as {USUAL_GIB:g}")
    return int(found * 2**30)


def stored() -> list[Stored]:
    """All that the store holds, what was used last first; a folder without its mark is another's, and left out."""
    found = []
    for folder in root().glob("*/"):
        about = None if folder.is_symlink() else _told(folder / ABOUT)
        with suppress(OSError):
            if about:
                found.append(Stored(folder, about, _size(folder), (folder / ABOUT).stat().st_mtime))
    return sorted(found, key=lambda one: -one.used)


def _told(path: Path) -> Mapping[str, Any] | None:
    """What an ``about.json`` of the store says; None for any other file."""
    with suppress(OSError, ValueError, RecursionError):
        about = json.loads(path.read_bytes())
        if isinstance(about, dict) and {"model", "revision", "settings"} <= about.keys():
            return about if MARK.items() <= about.items() or about.keys() >= _BEFORE_MARKS else None
    return None


def _size(folder: Path) -> int:
    size = 0
    for path in _files(folder):
        with suppress(OSError):  # another process may have removed it
            size += path.stat().st_size
    return size


def remove(one: Stored) -> None:
    """Remove what is stored in a folder; another process that reads it keeps what it has open.

    What the store did not write stays, and its folder with it.
    """
    for path in _files(one.folder):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        one.folder.rmdir()


def _files(folder: Path) -> list[Path]:
    """What the store wrote in a folder, the mark last."""
    with suppress(OSError):
        written = [path for path in folder.iterdir() if _WRITTEN.fullmatch(path.name)]
        return [*written, folder / ABOUT]
    return []


@dataclass(frozen=True)
class _Shard:
    """A shard: marks in rising order of their first half, and in which row the item of each stands.

    ``held`` maps the values, each time anew: what stays mapped keeps a file open, and there may be many shards.
    """

    marks: UInt64
    row: Int64
    lost: Int32
    starts: Int64 | None
    width: int
    held: Callable[[], np.ndarray[Any, Any]]
    bfloat16: bool

    def places(self, asked: UInt64) -> tuple[Any, Int64]:
        """Which of the marks asked for are here, and in which rows."""
        at = np.searchsorted(self.marks[:, 0], asked[:, 0])
        at = np.minimum(at, len(self.marks) - 1)
        here = (self.marks[at] == asked).all(axis=1)
        return here, self.row[at[here]]

    def values(self, rows: Int64) -> list[_Known]:
        """The values of rows, in float32, and the tokens lost."""
        if self.starts is None:
            values = list(self.vectors(rows))
        else:
            held = self.held()
            values = [self._wide(held[self.starts[row] : self.starts[row + 1]]) for row in rows]
        return list(zip(values, self.lost[rows].tolist(), strict=True))

    def vectors(self, rows: Int64) -> Float32:
        """float32[n, d], where each value is a vector."""
        return self._wide(self.held()[rows])

    def _wide(self, values: Any) -> Float32:
        if self.bfloat16:
            widened: Float32 = (np.asarray(values, np.uint32) << 16).view(np.float32)
            return widened
        if values.dtype == np.float16 and "torch" in sys.modules:  # numpy widens one by one
            return np.asarray(sys.modules["torch"].from_numpy(np.require(values, None, "W")).float().numpy())
        return np.array(values, np.float32)


def _marks(way: Hashable, items: Sequence[Any]) -> UInt64:
    """16 bytes, as uint64[n, 2], that stand for each item (a text, or a tuple of them) read in this way."""
    before = repr(way).encode("utf-8", "surrogatepass")
    before = len(before).to_bytes(8, "little") + before
    if len(items) and not isinstance(items[0], str):
        items = ["".join(f"{len(text)} {text}" for text in texts) for texts in items]
    digests = [blake2b(before + text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in items]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def _serialized(pending: Mapping[bytes, _Known], dtype: str) -> bytes:
    from safetensors.numpy import save

    values = [value for value, _ in pending.values()]
    matrices = values[0].ndim == 2
    held, kind = _narrowed(np.concatenate(values) if matrices else np.stack(values), dtype)
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "marks": np.frombuffer(b"".join(pending), np.uint64).reshape(-1, 2),
        "lost": np.array([lost for _, lost in pending.values()], np.int32),
        "values": held,
    }
    if matrices:
        tensors["lengths"] = np.array([len(value) for value in values], np.int32)
    return save(tensors, {"values": kind})


def _narrowed(values: Float32, dtype: str) -> tuple[np.ndarray[Any, Any], str]:
    """The values in ``dtype``, where that holds them exactly, and its name; bfloat16 as the upper half of its bits."""
    if dtype == "bfloat16" and not ((bits := values.view(np.uint32)) & 0xFFFF).any():
        return (bits >> 16).astype(np.uint16), dtype
    if dtype == "float16":
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if (half.astype(np.float32) == values).all():
            return half, dtype
    return values, "float32"


def _read(path: Path) -> _Shard | None:
    """An open shard; None for a file that is none, is not whole, or does not hold together."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > path.stat().st_size:
                return None
            header = json.loads(file.read(size))
        held = {name: _mapped(path, 8 + size, told) for name, told in header.items() if name != "__metadata__"}
        marks, lost = np.array(held["marks"]), np.array(held["lost"])
        values, lengths = held["values"], held.get("lengths")
        starts = None if lengths is None else np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        rows = len(values) if starts is None else len(starts) - 1
        if not rows == len(marks) == len(lost) > 0 or (starts is not None and starts[-1] != len(values)):
            return None
        order = np.argsort(marks[:, 0], kind="stable")
        bfloat16 = header["__metadata__"]["values"] == "bfloat16"
        again = partial(_mapped, path, 8 + size, header["values"])
        return _Shard(marks[order], order, lost, starts, values.shape[-1], again, bfloat16)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _mapped(path: Path, start: int, told: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    kinds = {"F32": np.float32, "F16": np.float16, "U16": np.uint16, "U64": np.uint64, "I32": np.int32}
    first, last = told["data_offsets"]
    shape = tuple(told["shape"])
    if start + last > path.stat().st_size:
        raise ValueError(f"{path} is cut off")
    if first == last:  # nothing can be mapped
        return np.zeros(shape, kinds[told["dtype"]])
    return np.memmap(path, kinds[told["dtype"]], "r", start + first, shape)
