"""Where a checkpoint lies and which revision it is: a folder, the hub's cache, or what was converted."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jbench.cache import cache_root, file_sha256, known_sha256, remembered
from jbench.files import safe_name
from jbench.models.checkpoint import TOKEN_HEADS, Checkpoint
from jbench.source import offline, reason
from jbench.types import Unavailable, UsageError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_SHIPPED = Path(__file__).parent.parent / "assets" / "models"
CONVERTER = 2
"""Rises when the same weights would give another conversion."""
SKIPPED = ("*.bin", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pt", "*.gguf", "openvino/*", "onnx/*")
_PICKLED = (
    *(f"{folder}pytorch_model{ending}" for folder in ("", "*/") for ending in (".bin", "-*-of-*.bin")),
    *(f"{head}.pt" for head in TOKEN_HEADS),
)


def shipped() -> tuple[str, ...]:
    """The names of the small checkpoints that come with jbench."""
    return tuple(sorted(path.parent.name for path in _SHIPPED.glob("*/config.json")))


def locate(string: str, name: str | None) -> Checkpoint:
    """Find ``./dir``, ``org/name``, ``org/name@revision`` or one of `shipped`; a hub checkpoint is fetched.

    :raises UsageError: when the string is neither a folder nor a hub id.
    :raises Unavailable: when the checkpoint is not to be had.
    """
    if not string.strip():
        raise UsageError("no checkpoint is named; one is org/name or ./folder (. for this one)")
    folder = Path(os.path.expanduser(string))
    here = string.startswith((".", "/", "~"))
    if folder.is_dir() and "/" in string and not here:
        raise UsageError(f"{string} is a folder here and could be a hub id; write ./{string} or {string}@main")
    if folder.is_file():
        raise UsageError(f"{string} is a file; a checkpoint is a folder, a run file is run:{string}")
    if string in shipped():
        if folder.is_dir():
            raise UsageError(
                f"{string} is a folder here and a model that comes with jbench; write ./{string}, or go elsewhere"
            )
        folder = _SHIPPED / string
    if folder.is_dir():
        folder = folder.resolve()
        return _converted(Checkpoint(name or folder.name, f"local-{_fingerprint(folder)[:12]}", folder, given=string))
    if here:
        raise Unavailable(f"checkpoint folder {string} does not exist")
    if not _HUB_ID.fullmatch(string):
        raise UsageError(f"unknown model {string!r}; a checkpoint is org/name or ./folder")
    repo, _, revision = string.partition("@")
    found = snapshot(repo, revision or None)
    return _converted(Checkpoint(name or repo, found.name, found, hub_id=repo, given=string))


def conversion(original: Checkpoint) -> Path:
    """Where `jbench.models.convert` puts what it makes of a checkpoint."""
    name = original.hub_id or original.folder.name
    return cache_root() / "converted" / safe_name(name) / safe_name(original.revision)


def is_converted(original: Checkpoint) -> bool:
    """Whether the conversion is there, as it was written, of what the original still holds."""
    made, kept = conversion(original), original.folder
    try:
        # Only a folder that was written to its end has this file.
        record = json.loads((made / "converted.json").read_text(encoding="utf-8"))
        files = {made / name: sha256 for name, sha256 in record["written"].items()}
        # What was read need not be kept.
        files |= {kept / name: sha256 for name, sha256 in record["read"].items() if (kept / name).is_file()}
        return record["converter"] == CONVERTER and all(known_sha256(file) == sha for file, sha in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _converted(original: Checkpoint) -> Checkpoint:
    use = (original.pickled() or original.pickled_heads()) and is_converted(original)
    return replace(original, folder=conversion(original)) if use else original


def snapshot(repo: str, revision: str | None, pickled: bool = False) -> Path:
    """The folder of a hub checkpoint, fetched unless it is at hand; ``pickled`` fetches those weights alone.

    :raises Unavailable: when it is not to be had.
    """
    from huggingface_hub import snapshot_download

    chosen: dict[str, Any] = {"allow_patterns": _PICKLED} if pickled else {"ignore_patterns": SKIPPED}
    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=offline(), **chosen))
    except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
        at = f"{repo}@{revision}" if revision else repo
        where = "not in the hub cache and the network is off" if offline() else f"not to be had ({reason(error)})"
        raise Unavailable(f"{at} is {where}; on a machine with network, `jbench fetch {at}` fills the cache") from error


def _fingerprint(folder: Path) -> str:
    """Sha256 over relative paths and contents, remembered by path, size, mtime and inode."""
    files = sorted(checkpoint_files(folder))
    if not files:
        raise Unavailable(f"checkpoint folder {folder} is empty")
    stats = [(p.relative_to(folder).as_posix(), p.stat()) for p in files]
    state = [[name, s.st_size, s.st_mtime_ns, s.st_ino] for name, s in stats]

    def compute() -> str:
        sha = hashlib.sha256()
        for (name, _), path in zip(stats, files, strict=True):
            sha.update(f"{name}\0{file_sha256(path)}\n".encode("utf-8", "surrogatepass"))
        return sha.hexdigest()

    return remembered(folder, state, compute)


def checkpoint_files(folder: Path) -> Iterator[Path]:
    """Every file that is not hidden, links followed, jbench's own results left out."""
    seen = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(root))
        folders[:] = [
            name
            for name in folders
            if name[0] != "." and name != "jbench-results" and os.path.realpath(Path(root, name)) not in seen
        ]
        yield from (path for name in names if name[0] != "." and (path := Path(root, name)).is_file())
