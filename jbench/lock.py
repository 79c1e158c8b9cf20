"""The lock: with which revision and checksum a file that nobody pinned was first opened."""

from __future__ import annotations

import json
from pathlib import Path

from jbench.files import write
from jbench.types import Unavailable

Entry = dict[str, str]
"""``revision`` and ``sha256``."""


def read(path: Path) -> dict[str, Entry]:
    """The entries of a lock file, by the names of their sources; none when there is no file.

    :raises Unavailable: when it is not a lock file.
    """
    try:
        held: dict[str, Entry] = json.loads(path.read_text(encoding="utf-8"))
        if all(entry.keys() == {"revision", "sha256"} for entry in held.values()):
            return held
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, AttributeError):
        pass  # the next line says it
    raise Unavailable(f"{path} is not a lock file of jbench's; remove it to lock anew")


def keep(path: Path, name: str, found: Path, entry: Entry) -> None:
    """Keep ``entry`` for the source ``name``, whose bytes lie at ``found``.

    :raises Unavailable: when other bytes were kept before, or the disk refuses.
    """
    from filelock import FileLock

    if read(path).get(name) == entry:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            held = read(path)
            if name in held and (kept := held[name]["sha256"]) != entry["sha256"]:
                raise Unavailable(
                    f"{name}: {found} has sha256 {entry['sha256'][:12]}…, but was {kept[:12]}… when first opened; "
                    f"put that file back, or take its entry out of {path} to go on with this one"
                )
            write(path, json.dumps({**held, name: entry}, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
