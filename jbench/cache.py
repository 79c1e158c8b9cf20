"""The user's cache: where it lies, and what is remembered there of files that are slow to hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from jbench.files import write
from jbench.types import Unavailable

_LARGE = 1 << 24
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Known:
    state: list[Any]
    sha256: str


def cache_root() -> Path:
    """The folder for downloads, tables, conversions and fingerprints (``$JBENCH_HOME`` or the user's cache)."""
    if home := os.environ.get("JBENCH_HOME"):
        return Path(home)
    import platformdirs

    return Path(platformdirs.user_cache_dir("jbench"))


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """`file_sha256`, remembered for a large file by what `state_of` says of it."""
    stat = path.stat()
    if stat.st_size < _LARGE:
        return file_sha256(path)
    return remembered(path, [*state_of(stat)], lambda: file_sha256(path))


def state_of(stat: os.stat_result) -> tuple[int, int, int, int]:
    """Inode, size, mtime and ctime (ns): other numbers after any write, also where mtime was set back."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def recalled(kind: str, key: list[Any], shape: Any, compute: Callable[[], _T]) -> _T:
    """What ``compute`` gives for ``key`` (JSON, all that it depends on), kept in the cache for good.

    ``shape`` is its type, as pydantic reads it from JSON; a dataclass may be one.
    """
    known: _T | None = recall(kind, key, shape)
    if known is not None:
        return known
    found = compute()
    keep(kind, key, found)
    return found


def recall(kind: str, key: list[Any], shape: Any) -> Any:
    """What is kept for ``key``; None where nothing is."""
    return _held(_memory(kind, key), shape)


def keep(kind: str, key: list[Any], value: Any) -> None:
    """Keep ``value`` in the cache as what `recalled` gives for ``key``."""
    with suppress(Unavailable):  # a read-only home costs the memory, not the run
        write(_memory(kind, key), json.dumps(value, default=asdict))


def _memory(kind: str, key: list[Any]) -> Path:
    return cache_root() / kind / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.json"


def remembered(path: Path, state: list[Any], compute: Callable[[], str]) -> str:
    """What ``compute`` gives for ``path``, kept in the cache for as long as ``state`` (JSON) is the same."""
    memory = cache_root() / "fingerprints" / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"
    known: _Known | None = _held(memory, _Known)
    if known and known.state == state:
        return known.sha256
    found = compute()
    with suppress(Unavailable):
        write(memory, json.dumps({"state": state, "sha256": found}))
    return found


def _held(memory: Path, shape: Any) -> Any:
    """What a memory holds; None where it is missing, torn or of another shape: then it is made again."""
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(shape).validate_json(memory.read_bytes(), strict=True)
    except (OSError, ValueError):
        return None
