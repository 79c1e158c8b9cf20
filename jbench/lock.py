"""The lock: with which revision and checksum a file that nobody pinned was first read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jbench.files import locked, write
from jbench.types import Unavailable

Entry = dict[str, str]
"""``revision`` and ``sha256``."""


def read(path: Path) -> dict[str, Entry]:
    """The entries of a lock file, by the origins of their sources; none when there is no file.

    :raises Unavailable: when it is not a lock file.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict) or not all(map(_is_entry, held.values())):
        raise Unavailable(f"{path} is not a lock file of jbench's; remove it to lock anew")
    return held


def _is_entry(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"revision", "sha256"}
        and all(isinstance(part, str) for part in value.values())
    )


def check(path: Path, origin: str, entry: Entry, found: Path, sha256: str) -> None:
    """Refuse bytes at ``found`` that are not those of ``entry``, which the lock file ``path`` keeps for ``origin``.

    :raises Unavailable: naming both, and the way on.
    """
    if (kept := entry["sha256"]) != sha256:
        raise Unavailable(
            f"{origin}: {found} has sha256 {sha256[:12]}…, but was {kept[:12]}… when first read; "
            f"put that file back, or take its entry out of {path} to go on with this one"
        )


def keep(path: Path, origin: str, found: Path, entry: Entry) -> None:
    """Keep ``entry`` for the source ``origin``, whose bytes lie at ``found``.

    :raises Unavailable: when other bytes were kept before, or the disk refuses.
    """
    if read(path).get(origin) == entry:
        return
    with locked(path):
        held = read(path)
        check(path, origin, held.get(origin, entry), found, entry["sha256"])
        write(path, json.dumps({**held, origin: entry}, indent=1, sort_keys=True) + "\n")
