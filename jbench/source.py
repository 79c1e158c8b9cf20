"""Where data comes from: pinned files, looked for offline first, verified by sha256.

``$JBENCH_MIRROR`` is looked in first (``github/OWNER/NAME/COMMIT/PATH`` or
``hub/OWNER/NAME/REVISION/PATH``), then the user's cache, then the network. Every way ends in
the same check. With ``$JBENCH_OFFLINE`` set no socket is opened.

What is not pinned is locked: ``jbench.lock`` in the cache keeps the revision and the sha256 with
which a file was first read to its end, and another file is refused from then on.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from jbench import formats, lock
from jbench.cache import cache_root, known_sha256
from jbench.files import locked, writing
from jbench.types import JbenchError, Unavailable

_RAW = "https://raw.githubusercontent.com/{repo}/{revision}/{path}"
_CHUNK = 1 << 20
_ATTEMPTS = 3
_LOCK = "jbench.lock"
_COMMIT = re.compile("[0-9a-f]{40}")
_Read = TypeVar("_Read")


class Missing(Unavailable):
    """A file that is nowhere to be had; the message says where to put it."""


_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def reason(error: Exception) -> str:
    """Why a hub's client failed: certificates that are not where they should be, else its error's name."""
    for name in _CERTIFICATES:
        if (path := os.environ.get(name)) and not os.path.exists(path):
            return f"{name}={path} does not exist"
    return type(error).__name__


def offline() -> bool:
    """Whether the network is forbidden (``--offline`` sets ``$JBENCH_OFFLINE``)."""
    return os.environ.get("JBENCH_OFFLINE", "") not in ("", "0")


_opened: ContextVar[list[Source] | None] = ContextVar("opened", default=None)


@contextmanager
def recording() -> Iterator[list[Source]]:
    """The sources that are opened inside the block, each once, in order."""
    found: list[Source] = []
    token = _opened.set(found)
    try:
        yield found
    finally:
        _opened.reset(token)


@dataclass(frozen=True)
class Opened:
    """A source's file: where it lies, the revision it was found at, the sha256 of its bytes."""

    path: Path
    revision: str
    sha256: str


@dataclass(frozen=True)
class Source:
    """One file at one revision. ``kind`` is ``github``, ``hub`` or ``local``.

    ``branch`` is what was asked for, in a source whose ``revision`` is the commit that it was found at.
    """

    kind: str
    repo: str
    revision: str
    file: str
    sha256: str | None = None
    branch: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """How results and messages name it: ``github:OWNER/NAME@COMMIT7/PATH``; a branch stands in full."""
        if self.kind == "local":
            return f"local:{Path(self.file).name}"
        revision = self.revision[:7] if _COMMIT.fullmatch(self.revision) else self.revision
        return f"{self.kind}:{self.repo}@{revision}/{self.file}"

    @property
    def origin(self) -> str:
        """Which file of the world it is; two of them never share one, nor does one have two."""
        if self.kind == "local":
            return self.name
        return f"{self.kind}:{self.repo}@{quote(self.revision, safe='')}/{self.file}"

    def path(self) -> Path:
        """The file on disk, verified.

        :raises Unavailable: when it is nowhere to be had, or its sha256 differs.
        """
        return self.open().path

    def open(self) -> Opened:
        """Find the file, and lock it if nobody pinned it.

        :raises Unavailable: as `find` does.
        """
        found = self.find()
        self.keep(found)
        return found

    def find(self) -> Opened:
        """Find the file and verify it against its pin, or against what was locked when it was first read.

        :raises Unavailable: when it is nowhere to be had, or its sha256 differs.
        """
        asked = self._asked
        held = lock.read(cache_root() / _LOCK).get(asked.origin) if self._loose else None
        path, revision = replace(asked, revision=held["revision"] if held else asked.revision)._find(asked)
        try:
            found = Opened(path, revision, known_sha256(path))
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        if self.sha256 and found.sha256 != self.sha256:
            raise Unavailable(
                f"{self.name}: {path} has sha256 {found.sha256[:12]}…, expected {self.sha256[:12]}…; "
                "remove it and run again"
            )
        if held:
            lock.check(cache_root() / _LOCK, asked.origin, held, path, found.sha256)
        opened = _opened.get()
        if opened is not None and (resolved := replace(self, revision=revision, branch=asked.revision)) not in opened:
            opened.append(resolved)
        return found

    def keep(self, found: Opened) -> None:
        """Hold the file to what was found, from now on, if nobody pinned it.

        :raises Unavailable: when other bytes were kept before, or the disk refuses.
        """
        if self._loose:
            entry = {"revision": found.revision, "sha256": found.sha256}
            lock.keep(cache_root() / _LOCK, self._asked.origin, found.path, entry)

    @contextmanager
    def reading(self, what: str) -> Iterator[Opened]:
        """The file while it is read as ``what``; it is locked when the block has come to its end.

        :raises Unavailable: as `find` does, and when the block fails; a download that fails is removed.
        """
        found = self.find()
        try:
            yield found
        except (JbenchError, MemoryError):
            raise
        except Exception as error:  # a stranger's file can be broken in any way; each is one line
            reason = formats.what_is_wrong(found.path, error)
            raise Unavailable(f"{self.name} cannot be read as {what} ({reason}); {self._left(found)}") from error
        self.keep(found)

    def read(self, what: str, parse: Callable[[Path], _Read]) -> _Read:
        """What ``parse`` makes of the file, read as ``what``; see `reading`."""
        with self.reading(what) as found:
            return parse(found.path)

    def text(self) -> str:
        """The file as UTF-8 text; a ``.gz`` is unpacked."""
        return self.read("UTF-8 text", formats.text)

    def json(self) -> Any:
        """The file as JSON; a key that an object has twice is an error."""
        return self.read("JSON", formats.json_text)

    def jsonl(self) -> list[dict[str, Any]]:
        """One object a line; empty lines are skipped."""
        return self.read("JSON Lines", formats.jsonl)

    def tsv(self) -> list[dict[str, str]]:
        """Tab-separated rows under a header line, as many fields in each; quotes are plain characters."""
        return self.read("tab-separated rows", formats.tsv)

    def parquet(self, *columns: str) -> list[dict[str, Any]]:
        """The rows of a parquet file, of ``columns`` or of all."""
        return self.read("parquet", lambda path: formats.parquet(path, list(columns) or None))

    def run(self) -> dict[str, dict[str, float]]:
        """A run file in ranx's ``.lz4`` layout."""
        return self.read("a run of ranx's", formats.ranx_lz4)

    def topics(self) -> dict[str, str]:
        """Queries as Anserini's tools write them: id, a tab, text."""
        return self.read("topics", formats.topics)

    def qrels(self) -> dict[str, dict[str, int]]:
        """Judgements as TREC writes them: query, an unused field, document, grade."""
        return self.read("judgements", formats.qrels)

    @property
    def _asked(self) -> Source:
        return replace(self, revision=self.branch or self.revision)

    @property
    def _loose(self) -> bool:
        """Whether nobody pinned both its revision and its bytes."""
        return self.kind != "local" and not (self.sha256 and _COMMIT.fullmatch(self._asked.revision))

    def _left(self, found: Opened) -> str:
        """What becomes of a file that cannot be read, in words."""
        if self._loose and found.path.is_relative_to(cache_root() / "data"):
            held = lock.read(cache_root() / _LOCK)
            with suppress(OSError):
                if self._asked.origin not in held:  # nobody has ever read it
                    found.path.unlink()
                    return "the download is removed"
        return f"it lies at {found.path}"

    @property
    def _place(self) -> Path:
        return Path(self.kind, *self.repo.split("/"), self.revision, *self.file.split("/"))

    @property
    def _url(self) -> str:
        return _RAW.format(repo=self.repo, revision=self.revision, path=quote(self.file))

    @property
    def _advice(self) -> str:
        where = f"get {self._url} and put" if self.kind == "github" else "put"
        return f"{where} it at $JBENCH_MIRROR/{self._place.as_posix()}"

    def _roots(self) -> list[Path]:
        mirror = os.environ.get("JBENCH_MIRROR")
        if mirror and not Path(mirror).is_dir():
            raise Unavailable(f"$JBENCH_MIRROR names {mirror}, which is not a folder")
        return [*([Path(mirror)] if mirror else []), cache_root() / "data"]

    def _find(self, asked: Source) -> tuple[Path, str]:
        """Where the file lies, and at which revision; a mirror may also name it as ``asked`` does."""
        if self.kind == "local":
            if not (path := Path(self.file)).is_file():
                raise Unavailable(f"{path} does not exist")
            return path, self.revision
        for root in self._roots():
            for place in dict.fromkeys((self._place, asked._place)):
                if (found := root / place).is_file():
                    return found, self.revision
        if self.kind == "hub":
            return self._hub()
        if offline():
            raise Missing(f"{self.name} is not at hand and the network is off; {self._advice}")
        return self._download(), self.revision

    def _download(self) -> Path:
        target = cache_root() / "data" / self._place
        # The lock saves a second download; correctness rests on the rename alone.
        with locked(target):
            for attempt in range(_ATTEMPTS):
                if target.is_file():
                    break
                if reason := self._attempt(target):
                    if attempt == _ATTEMPTS - 1:
                        raise Missing(f"{self.name} could not be downloaded ({reason}); {self._advice}")
                    time.sleep(2**attempt)
        return target

    def _attempt(self, target: Path) -> str:
        """Download once; the reason when it failed in a way that may pass.

        :raises Unavailable: when it failed for good, or the bytes are not the pinned ones.
        """
        import requests

        sha = hashlib.sha256()
        try:
            with requests.get(self._url, stream=True, timeout=(5, 60)) as answer:
                if answer.status_code in (429, 500, 502, 503, 504):
                    return f"status {answer.status_code}"
                answer.raise_for_status()
                with writing(target) as file:
                    for chunk in answer.iter_content(_CHUNK):
                        sha.update(chunk)
                        file.write(chunk)
                    if self.sha256 and sha.hexdigest() != self.sha256:
                        found = sha.hexdigest()[:12]
                        raise Unavailable(f"{self.name}: the download has sha256 {found}…, not {self.sha256[:12]}…")
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            return type(error).__name__
        except OSError as error:  # requests' own errors, and what it finds wrong with a bundle of certificates
            reason = type(error).__name__ if isinstance(error, requests.RequestException) else str(error)
            raise Missing(f"{self.name} could not be downloaded ({reason}); {self._advice}") from error
        return ""

    def _hub(self) -> tuple[Path, str]:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # how often it tries again is no message of ours
        try:
            found = hf_hub_download(
                self.repo, self.file, repo_type="dataset", revision=self.revision, local_files_only=offline()
            )
        except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
            why = f"could not be had ({reason(error)})"
            why = "is not at hand and the network is off" if offline() else why
            raise Missing(f"{self.name} {why}; {self._advice}") from error
        # The client's cache keeps a file under snapshots/COMMIT, whatever revision was asked for.
        return Path(found), Path(found).parents[self.file.count("/")].name


def github(repo: str, commit: str, path: str, sha256: str | None = None) -> Source:
    """A file of a public repository at a commit (40 hex digits)."""
    return Source("github", repo, commit, path, sha256)


def hub(repo: str, revision: str, path: str, sha256: str | None = None) -> Source:
    """A plain file of a hub data set at a commit or a branch (``main``); loading scripts are never run."""
    return Source("hub", repo, revision, path, sha256)


def local(path: str | Path, sha256: str | None = None) -> Source:
    """A file on this machine."""
    return Source("local", "", "", str(path), sha256)
