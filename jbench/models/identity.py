"""Which bytes a checkpoint is: the files that loading it opens, as they were hashed, and whether they still are so."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jbench.cache import known_sha256, state_of
from jbench.types import Unavailable

_TICK, _WHOLE_SECONDS = 20_000_000, 2_000_000_000
"""Nanoseconds within which a file system may give two writes one time; the second where it counts whole seconds."""


@dataclass(frozen=True)
class Opened:
    """A file as it was when it was hashed: its sha256, and inode, size, mtime and ctime (`state_of`)."""

    path: Path
    sha256: str
    state: tuple[int, ...]


@dataclass(frozen=True)
class Identity:
    """The files that loading a checkpoint opens, by name, and the sha256 over names and contents (64 hex digits).

    A name is that within the checkpoint; behind ``base/`` it is one of the checkpoint that an adapter is laid over,
    behind ``owner/name--`` one of the repository that code comes from. The empty identity, of a checkpoint that nobody
    looked at, never changes.
    """

    model: str = ""
    files: Mapping[str, Opened] = field(default_factory=dict)
    digest: str = ""

    def check(self) -> None:
        """Refuse to go on once a file is no longer as it was hashed.

        :raises Unavailable: naming the file.
        """
        for name, file in self.files.items():
            if _state(file.path) != file.state:
                raise changed(self.model, name)


def changed(model: str, name: str) -> Unavailable:
    """The error for a file of a checkpoint that is not what it was when the revision was taken."""
    return Unavailable(f"{model}: {name} changed after its revision was taken, so nothing more is kept; run again")


def identify(model: str, files: Mapping[str, Path]) -> Identity:
    """Hash the files of a checkpoint, given by name.

    :raises Unavailable: for one that cannot be read, or that changes meanwhile.
    """
    found = {name: _hashed(model, name, files[name]) for name in sorted(files)}
    return Identity(model, found, digest_of({name: file.sha256 for name, file in found.items()}))


def digest_of(sums: Mapping[str, str]) -> str:
    """The sha256, 64 hex digits, over the names of files and the sha256 of each."""
    sha = hashlib.sha256()
    for name in sorted(sums):
        sha.update(f"{name}\0{sums[name]}\n".encode("utf-8", "surrogatepass"))
    return sha.hexdigest()


def _hashed(model: str, name: str, path: Path) -> Opened:
    try:
        _settle(path)
        before = state_of(path.stat())
        sha256 = known_sha256(path)
    except OSError as error:
        raise Unavailable(f"{model}: cannot read {name}: {error.strerror}") from error
    if _state(path) != before:
        raise changed(model, name)
    return Opened(path, sha256, before)


def _settle(path: Path) -> None:
    """Wait until a write would give the file another time than it has."""
    stat = path.stat()
    coarse = stat.st_ctime_ns % 1_000_000_000 == stat.st_mtime_ns % 1_000_000_000 == 0
    left = stat.st_ctime_ns + (_WHOLE_SECONDS if coarse else _TICK) - time.time_ns()
    if 0 < left <= _WHOLE_SECONDS:  # what lies far ahead comes from another machine's clock
        time.sleep(left / 1e9)


def _state(path: Path) -> tuple[int, ...]:
    try:
        return state_of(path.stat())
    except OSError:  # it is gone
        return ()


_watching: list[list[str]] = []


@contextmanager
def watching() -> Iterator[list[str]]:
    """The paths of all files that Python opens while the block runs; native code (safetensors) is not heard."""
    _listen()
    heard: list[str] = []
    _watching.append(heard)
    try:
        yield heard
    finally:
        _watching.remove(heard)


@cache
def _listen() -> None:
    """Hear of every file that Python opens, from now on: an audit hook stays for the life of the process."""
    sys.addaudithook(_hear)


def _hear(event: str, arguments: Any) -> None:
    if _watching and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        for heard in _watching:
            heard.append(os.fsdecode(arguments[0]))
