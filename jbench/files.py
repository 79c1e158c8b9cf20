"""The one writer: a file appears under its name complete or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO
from urllib.parse import quote

from jbench.types import Unavailable

_NOT_ASKED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM}
"""What file systems answer that cannot fsync a folder (VirtualBox's, older SMB shares, some of FUSE)."""

_RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``; on success fsync it and rename it to ``path``.

    When the block raises, the old file stays as it was and the temporary one is removed. A link
    is followed; a device or pipe is written to as it is.

    :raises Unavailable: when the disk refuses (full, read-only, no permission).
    """
    path = Path(os.path.realpath(path))
    if os.path.isdir(path):
        raise Unavailable(f"cannot write {path}: it is a folder")
    temporary = _beside(path)
    try:
        if path.exists() and not path.is_file():  # a device or a pipe takes bytes, not another name
            with open(path, "wb") as file:
                yield file
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno is None:  # not the disk's: a network error passes through
            raise
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def below(root: Path, folders: int, ending: str, complain: Callable[[str], None]) -> Iterator[Path]:
    """The files of an ending so many ``folders`` below ``root``, in order; none where there is no such folder.

    A folder that cannot be read, and what is no regular file (a pipe would be waited for), is named to ``complain``.
    """

    def refuse(path: Path, why: str | None) -> None:
        complain(" ".join(f"cannot read {path}: {why}".split()))

    try:
        inside = sorted(root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        refuse(root, error.strerror)
        return
    for path in inside:
        if folders:
            yield from below(path, folders - 1, ending, complain)
        elif path.suffix == ending:
            if os.path.exists(path) and not os.path.isfile(path):
                refuse(path, "it is no regular file")
            else:  # what is missing or forbidden its reader names
                yield path


def ready(path: Path) -> None:
    """Refuse a place that could not be written to, before hours of work go into what belongs there.

    :raises Unavailable: when the nearest folder above ``path`` is none, or is read-only.
    """
    above = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise Unavailable(f"cannot write {path}: {above} is {'read-only' if above.is_dir() else 'no folder'}")


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder beside ``path``; on success fsync its files and rename it to ``path``.

    When the block raises, or a folder of that name exists, the temporary one is removed.

    :raises Unavailable: when the disk refuses (full, read-only, no permission).
    """
    path = Path(os.path.realpath(path))
    temporary = _beside(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with open(file, "rb") as held:
                    os.fsync(held.fileno())
        os.rename(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno is None:  # not the disk's
            raise
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from making ``path`` at the same time; what a dead one began is removed.

    :raises Unavailable: when the disk refuses the lock, which lies beside it.
    """
    from filelock import FileLock

    lock = FileLock(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror or error}") from error
    try:
        _sweep(Path(os.path.realpath(path)))
        yield
    finally:
        lock.release()


def write(path: Path, data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) to ``path`` in one step; see `writing`."""
    with writing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def safe_name(name: str) -> str:
    """One path segment for ``name``: injective, never hidden, reserved or above 200 bytes.

    Letters, digits and ``_ - . ~ @ +`` stay; every other byte becomes %XX.
    """
    safe = quote(name, safe="@+", errors="surrogatepass")
    if not safe or safe[0] == "." or safe.split(".")[0].lower() in _RESERVED:
        safe = f"%{name[:1].encode().hex().upper()}{safe[1:]}"
    if len(safe) > 200:
        safe = f"{safe[:135]}%{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return safe


def _beside(path: Path) -> Path:
    return path.with_name(f".{_short(path.name)}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _short(name: str) -> str:
    """The beginning of a name, 80 bytes at most, so that what is put behind it still fits a file system."""
    return os.fsencode(name)[:80].decode(errors="ignore")


def _sweep(path: Path) -> None:
    """Remove what processes that are no more began beside ``path`` (a name's first 80 bytes may be shared)."""
    mark = re.compile(rf"\.{re.escape(_short(path.name))}\.(\d+)\.[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):
        for left in path.parent.iterdir():
            if (found := mark.fullmatch(left.name)) and not _lives(int(found[1])):
                with suppress(OSError):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()


def _lives(process: int) -> bool:
    """Whether another process has this number."""
    if os.name != "posix":  # where signal 0 is not harmless
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _sync_folder(folder: Path) -> None:
    """Ask the disk to keep the folder's names; a file system that cannot be asked is no failed write.

    :raises OSError: when the disk failed.
    """
    if os.name != "posix":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written but not listed
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_ASKED:
            raise
    finally:
        os.close(handle)
