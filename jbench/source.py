"""Where data comes from: pinned files, looked for offline first, verified by sha256.

``$JBENCH_MIRROR`` is looked in first (``github/OWNER/NAME/COMMIT/PATH`` or
``hub/OWNER/NAME/REVISION/PATH``), then the user's cache, then the network. Every way ends in
the same check. With ``$JBENCH_OFFLINE`` set no socket is opened.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jbench.files import writing
from jbench.types import Unavailable

_RAW = "https://raw.githubusercontent.com/{repo}/{revision}/{path}"
_CHUNK = 1 << 20
_ATTEMPTS = 3


def offline() -> bool:
    """Whether the network is forbidden (``--offline`` sets ``$JBENCH_OFFLINE``)."""
    return os.environ.get("JBENCH_OFFLINE", "") not in ("", "0")


def cache_root() -> Path:
    """The folder for downloads and remembered fingerprints (``$JBENCH_HOME`` or the user's cache)."""
    if home := os.environ.get("JBENCH_HOME"):
        return Path(home)
    import platformdirs

    return Path(platformdirs.user_cache_dir("jbench"))


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
class Source:
    """One file at one revision. ``kind`` is ``github``, ``hub`` or ``local``."""

    kind: str
    repo: str
    revision: str
    file: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """How results and messages name it: ``github:OWNER/NAME@COMMIT7/PATH``."""
        if self.kind == "local":
            return f"local:{Path(self.file).name}"
        return f"{self.kind}:{self.repo}@{self.revision[:7]}/{self.file}"

    def path(self) -> Path:
        """The file on disk, verified.

        :raises Unavailable: when it is nowhere to be had, or its sha256 differs.
        """
        opened = _opened.get()
        if opened is not None and self not in opened:
            opened.append(self)
        if self.kind == "local":
            return self._checked(Path(self.file))
        for root in self._roots():
            if (found := root / self._place).is_file():
                return self._checked(found)
        if self.kind == "hub":
            return self._hub()
        if offline():
            raise Unavailable(f"{self.name} is not at hand and the network is off; {self._advice}")
        return self._download()

    def text(self) -> str:
        """The file as UTF-8 text."""
        return self.path().read_text(encoding="utf-8-sig")

    def json(self) -> Any:
        """The file as JSON."""
        return json.loads(self.text())

    def jsonl(self) -> list[dict[str, Any]]:
        """One object a line; empty lines are skipped."""
        return [json.loads(line) for line in self.text().split("\n") if line.strip()]

    def tsv(self) -> list[dict[str, str]]:
        """Tab-separated rows under a header line; quotes are plain characters.

        :raises Unavailable: for a row with more or fewer fields than the header.
        """
        reader = csv.DictReader(io.StringIO(self.text(), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
        rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise Unavailable(
                    f"{self.name}: row {number} has not the {len(reader.fieldnames or ())} fields of its head"
                )
        return rows

    def run(self) -> dict[str, dict[str, float]]:
        """A run file in ranx's ``.lz4`` layout."""
        return ranx_lz4(self.path())

    def fields(self) -> Iterator[list[str]]:
        """The white-space separated fields of each line (TREC files)."""
        return (line.split() for line in self.text().split("\n") if line.strip())

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

    def _checked(self, path: Path) -> Path:
        if not path.is_file():
            raise Unavailable(f"{path} does not exist")
        if self.sha256 and (found := file_sha256(path)) != self.sha256:
            raise Unavailable(
                f"{self.name}: {path} has sha256 {found[:12]}…, expected {self.sha256[:12]}…; remove it and run again"
            )
        return path

    def _download(self) -> Path:
        from filelock import FileLock

        target = cache_root() / "data" / self._place
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot write {target.parent}: {error.strerror}") from error
        # The lock saves a second download; correctness rests on the rename alone.
        with FileLock(f"{target}.lock"):
            for attempt in range(_ATTEMPTS):
                if target.is_file():
                    break
                if reason := self._attempt(target):
                    if attempt == _ATTEMPTS - 1:
                        raise Unavailable(f"{self.name} could not be downloaded ({reason}); {self._advice}")
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
        except requests.RequestException as error:
            reason = type(error).__name__
            raise Unavailable(f"{self.name} could not be downloaded ({reason}); {self._advice}") from error
        return ""

    def _hub(self) -> Path:
        from huggingface_hub import hf_hub_download

        try:
            found = hf_hub_download(
                self.repo, self.file, repo_type="dataset", revision=self.revision, local_files_only=offline()
            )
        except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
            raise Unavailable(f"{self.name} could not be had ({type(error).__name__}); {self._advice}") from error
        return self._checked(Path(found))


def github(repo: str, commit: str, path: str, sha256: str) -> Source:
    """A file of a public repository at a commit (40 hex digits)."""
    return Source("github", repo, commit, path, sha256)


def hub(repo: str, revision: str, path: str, sha256: str | None = None) -> Source:
    """A plain file of a hub data set at a revision; loading scripts are never run."""
    return Source("hub", repo, revision, path, sha256)


def local(path: str | Path, sha256: str | None = None) -> Source:
    """A file on this machine."""
    return Source("local", "", "", str(path), sha256)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ranx_lz4(path: Path) -> dict[str, dict[str, float]]:
    """A run file as ranx writes it, CBOR inside lz4 inside lz4, as ``{query: {document: score}}``."""
    import cbor2
    import lz4.frame

    run: dict[str, dict[str, float]] = cbor2.loads(lz4.frame.decompress(lz4.frame.decompress(path.read_bytes())))
    return run
