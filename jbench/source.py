"""Where data comes from: pinned files, looked for offline first, verified by sha256.

``$JBENCH_MIRROR`` is looked in first (``github/OWNER/NAME/COMMIT/PATH`` or
``hub/OWNER/NAME/REVISION/PATH``), then the user's cache, then the network. Every way ends in
the same check. With ``$JBENCH_OFFLINE`` set no socket is opened.

What is not pinned is locked: ``jbench.lock`` in the cache keeps the revision and the sha256 with
which a file was first opened, and another file is refused from then on.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jbench import lock
from jbench.files import write, writing
from jbench.types import Absent, Unavailable, UsageError

_RAW = "https://raw.githubusercontent.com/{repo}/{revision}/{path}"
_CHUNK = 1 << 20
_ATTEMPTS = 3
_LARGE = 1 << 24
_LOCK = "jbench.lock"
_COMMIT = re.compile("[0-9a-f]{40}")


class Missing(Unavailable):
    """A file that is nowhere to be had; the message says where to put it."""


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
        """How results and messages name it: ``github:OWNER/NAME@COMMIT7/PATH``."""
        if self.kind == "local":
            return f"local:{Path(self.file).name}"
        return f"{self.kind}:{self.repo}@{self.revision[:7]}/{self.file}"

    def path(self) -> Path:
        """The file on disk, verified.

        :raises Unavailable: when it is nowhere to be had, or its sha256 differs.
        """
        return self.open().path

    def open(self) -> Opened:
        """Find the file and verify it against its pin, or against what was locked when it was first opened.

        :raises Unavailable: when it is nowhere to be had, or its sha256 differs.
        """
        asked = replace(self, revision=self.branch or self.revision)
        loose = self.kind != "local" and not (self.sha256 and _COMMIT.fullmatch(asked.revision))
        held = lock.read(cache_root() / _LOCK).get(asked.name, {}) if loose else {}
        path, revision = replace(asked, revision=held.get("revision", asked.revision))._find(asked)
        found = Opened(path, revision, known_sha256(path))
        if self.sha256 and found.sha256 != self.sha256:
            raise Unavailable(
                f"{self.name}: {path} has sha256 {found.sha256[:12]}…, expected {self.sha256[:12]}…; "
                "remove it and run again"
            )
        if loose:
            lock.keep(cache_root() / _LOCK, asked.name, path, {"revision": revision, "sha256": found.sha256})
        opened = _opened.get()
        if opened is not None and (resolved := replace(self, revision=revision, branch=asked.revision)) not in opened:
            opened.append(resolved)
        return found

    def text(self) -> str:
        """The file as UTF-8 text; a ``.gz`` is unpacked."""
        path = self.path()
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")

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

    def parquet(self, *columns: str) -> list[dict[str, Any]]:
        """The rows of a parquet file, of ``columns`` or of all."""
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = pq.read_table(self.path(), columns=list(columns) or None).to_pylist()
        return rows

    def run(self) -> dict[str, dict[str, float]]:
        """A run file in ranx's ``.lz4`` layout."""
        return ranx_lz4(self.path())

    def fields(self, separator: str | None = None) -> Iterator[list[str]]:
        """The fields of each line, between ``separator`` or else white space (TREC files)."""
        return (line.split(separator) for line in self.text().split("\n") if line.strip())

    def qrels(self) -> dict[str, dict[str, int]]:
        """Judgements as TREC writes them: query, an unused field, document, grade."""
        judged: dict[str, dict[str, int]] = {}
        for query, _, document, grade in self.fields():
            judged.setdefault(query, {})[document] = int(grade)
        return judged

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
        except requests.RequestException as error:
            reason = type(error).__name__
            raise Missing(f"{self.name} could not be downloaded ({reason}); {self._advice}") from error
        return ""

    def _hub(self) -> tuple[Path, str]:
        from huggingface_hub import hf_hub_download

        try:
            found = hf_hub_download(
                self.repo, self.file, repo_type="dataset", revision=self.revision, local_files_only=offline()
            )
        except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
            why = f"could not be had ({type(error).__name__})"
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


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """`file_sha256`, remembered for a large file by size, mtime and inode."""
    stat = path.stat()
    if stat.st_size < _LARGE:
        return file_sha256(path)
    return remembered(path, [stat.st_size, stat.st_mtime_ns, stat.st_ino], lambda: file_sha256(path))


def remembered(path: Path, state: list[Any], compute: Callable[[], str]) -> str:
    """What ``compute`` gives for ``path``, kept in the cache for as long as ``state`` (JSON) is the same."""
    memory = cache_root() / "fingerprints" / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a memory that is missing or torn is made again
    found = compute()
    with suppress(Unavailable):  # a read-only home costs the memory, not the run
        write(memory, json.dumps({"state": state, "sha256": found}))
    return found


class Deferred(Absent):
    """Texts that are read from ``file`` when somebody asks for the first, one for each of ``ids``.

    ``used`` says whether anybody asked since it was last set to False, ``sources`` what was opened.
    """

    def __init__(self, ids: Sequence[str], file: Source, read: Callable[[], Mapping[str, str]]) -> None:
        super().__init__(len(ids), "")
        self.origin = f"{file.kind}:{file.repo}@{file.revision}/{file.file}"
        self.used = False
        self.sources: list[Source] = []
        self._ids, self._file, self._read = ids, file, read
        self._texts: list[str] | None = None

    def __getitem__(self, index: Any) -> Any:
        return self.read()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.read())

    def read(self) -> list[str]:
        """The texts, read now if nobody has.

        :raises UsageError: when the file lacks one.
        """
        self.used = True
        if self._texts is None:
            with recording() as opened:
                found = self._read()
            if lacking := [name for name in self._ids if name not in found]:
                raise UsageError(f"{self._file.name} has no text of {lacking[0]!r}")
            self._texts, self.sources = [found[name] for name in self._ids], opened
        return self._texts


def ranx_lz4(path: Path) -> dict[str, dict[str, float]]:
    """A run file as ranx writes it, CBOR inside lz4 inside lz4, as ``{query: {document: score}}``."""
    import cbor2
    import lz4.frame

    run: dict[str, dict[str, float]] = cbor2.loads(lz4.frame.decompress(lz4.frame.decompress(path.read_bytes())))
    return run
