"""Where a checkpoint lies: a folder, the hub's cache, or what was converted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jbench.cache import cache_root, known_sha256
from jbench.files import safe_name
from jbench.models.checkpoint import Checkpoint
from jbench.models.hub import HUB_ID, snapshot
from jbench.models.identity import digest_of, identify
from jbench.models.opened import opened
from jbench.types import Unavailable, UsageError

_SHIPPED = Path(__file__).parent.parent / "assets" / "models"
CONVERTER = 2
"""Rises when the same weights would give another conversion."""


def shipped() -> tuple[str, ...]:
    """The names of the small checkpoints that come with jbench."""
    return tuple(sorted(path.parent.name for path in _SHIPPED.glob("*/config.json")))


def locate(string: str, name: str | None, trusted: bool = False) -> Checkpoint:
    """Find ``./dir``, ``org/name``, ``org/name@revision`` or one of `shipped`; a hub checkpoint is fetched.

    ``trusted``: code of its own is to be run, so that it is part of what the checkpoint is.

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
        if not any(checkpoint_files(folder)):
            raise Unavailable(f"checkpoint folder {folder} is empty")
        return _identified(Checkpoint(name or folder.name, "", folder, given=string), trusted)
    if here:
        raise Unavailable(f"checkpoint folder {string} does not exist")
    if not HUB_ID.fullmatch(string):
        raise UsageError(f"unknown model {string!r}; a checkpoint is org/name or ./folder")
    repo, _, revision = string.partition("@")
    found = snapshot(repo, revision or None)
    return _identified(Checkpoint(name or repo, found.name, found, hub_id=repo, given=string), trusted)


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
        # What was copied must still be what it was copied from.
        files |= {made / name: file.sha256 for name, file in original.identity.files.items() if (made / name).is_file()}
        return record["converter"] == CONVERTER and all(known_sha256(file) == sha for file, sha in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def converted(original: Checkpoint, trusted: bool = False) -> Checkpoint:
    """The conversion of a checkpoint, where it has pickled weights and was converted; else the checkpoint itself."""
    if not (original.pickled() or original.pickled_heads()) or not is_converted(original):
        return original
    made = replace(original, folder=conversion(original), original=original.folder)
    # Which weights these are the original's say, as they were read.
    read = json.loads((made.folder / "converted.json").read_text(encoding="utf-8"))["read"]
    digest = digest_of({name: file.sha256 for name, file in original.identity.files.items()} | read)
    return replace(made, identity=replace(identify(made.model, opened(made, trusted)), digest=digest))


def _identified(checkpoint: Checkpoint, trusted: bool) -> Checkpoint:
    """The same with its identity; a folder of one's own gets its revision from it."""
    identity = identify(checkpoint.model, opened(checkpoint, trusted))
    revision = checkpoint.revision or f"local-{identity.digest[:12]}"
    return converted(replace(checkpoint, revision=revision, identity=identity), trusted)


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
