"""Texts that are read when a model asks for one: a run file is measured without them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

from jbench.source import Source, recording
from jbench.types import Absent, UsageError


class Deferred(Absent):
    """Texts that are read from ``file`` when somebody asks for the first, one for each of ``ids``.

    ``used`` says whether anybody asked since it was last set to False, ``sources`` what was opened.
    """

    def __init__(self, ids: Sequence[str], file: Source, read: Callable[[], Mapping[str, str]]) -> None:
        super().__init__(len(ids), "")
        self.origin = file.origin
        self.used = False
        self.sources: list[Source] = []
        self._ids, self._file, self._read = ids, file, read
        self._texts: list[str] | None = None
        self._sha256 = ""

    def __getitem__(self, index: Any) -> Any:
        return self.read()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.read())

    @property
    def sha256(self) -> str:
        """The sha256 of the file: as it was read, else as it is now.

        :raises Unavailable: when it was not read and is nowhere to be had.
        """
        return self._sha256 or self._file.find().sha256

    def read(self) -> list[str]:
        """The texts, read now if nobody has.

        :raises UsageError: when the file lacks one, or has something else in its place.
        """
        self.used = True
        if self._texts is None:
            with recording() as opened, redirect_stdout(sys.stderr):  # stdout is data
                # The file counts, even where what reads it had kept its content.
                sha256 = self._file.find().sha256
                found = self._read()
            self._texts = [self._text(found, name) for name in self._ids]
            self.sources, self._sha256 = opened, sha256
        return self._texts

    def _text(self, found: Mapping[str, str], name: str) -> str:
        if name not in found:
            raise UsageError(f"{self._file.name} has no text of {name!r}")
        if not isinstance(text := found[name], str):
            raise UsageError(f"{self._file.name}: the text of {name!r} is a {type(text).__name__}, not a string")
        return text
