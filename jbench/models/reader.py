"""The process that reads pickled weights: as weights alone, without network, in nobody's home.

Torch's reader of weights is the wall. The hooks are a fence behind it, should a file ever climb
over: through Python no program starts, no socket opens, nothing is written; only the safetensors
library writes. Nothing of jbench is imported here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_PROGRAMS = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.")
_NEVER = ("socket.", *_PROGRAMS)
_CHANGES = ("remove", "rename", "rmdir", "mkdir", "link", "symlink", "truncate", "chmod", "chown", "chflags", "utime")
_LATER = ("ctypes.", "os.putenv", "os.unsetenv", "os.kill", *(f"os.{change}" for change in _CHANGES), "os.setxattr")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEW_NETWORK, _NEW_USER, _DIE_WITH_PARENT = 0x40000000, 0x10000000, 1
_REPEATED = 100
"""How many times its own size a file's tensors may take: tied weights repeat, but not without end."""


def reader() -> None:
    """Take the parent's number and pairs of paths as JSON; give the names and bytes of the tensors of each.

    The first hook stands before torch is imported, the second before it reads; no way leads back
    from an audit hook.
    """
    asked = json.load(sys.stdin)
    _leave(asked["parent"])
    sys.addaudithook(_refuse)
    source = ""
    try:
        import safetensors.torch  # noqa: F401  what it loads must be there before the second hook
        import torch  # noqa: F401

        _seal()
        tensors = []
        for source, target in asked["pairs"]:
            tensors.append(_rewrite(source, target))
        answer: dict[str, Any] = {"tensors": tensors}
    except Exception as error:  # a stranger's file can be broken in any way; each is one line
        answer = {"error": f"{Path(source).name}: {_reason(error)}"}
    sys.stdout.write(json.dumps(answer))


def _leave(parent: int) -> None:
    """Out of the network where the kernel lets go of it, and out of the world with the parent."""
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        # Root in a user namespace of its own could no longer read the files of others.
        libc.unshare(_NEW_NETWORK | (_NEW_USER if os.geteuid() else 0))
        libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _refuse(event: str, arguments: Any) -> None:
    if event.startswith(_NEVER):
        _denied(event)


def _refuse_later(event: str, arguments: Any) -> None:
    if (
        event.startswith(_LATER)
        or (event == "import" and arguments[0] == "_posixsubprocess")
        or (event == "open" and not isinstance(arguments[0], int) and (arguments[2] or 0) & _WRITING)
    ):
        _denied(event)


def _denied(*arguments: Any, **named: Any) -> NoReturn:
    raise PermissionError(f"{arguments[0] if arguments else 'it'} while weights are read")


def _seal() -> None:
    """What torch needs to be imported, and weights do not need to be read."""
    for module, name in (("_posixsubprocess", "fork_exec"), ("subprocess", "_fork_exec")):
        if module in sys.modules:  # no event tells of it
            setattr(sys.modules[module], name, _denied)
    sys.addaudithook(_refuse_later)


def _reason(error: Exception) -> str:
    message = " ".join(str(error).split())
    if type(error).__name__ != "UnpicklingError":
        return f"{type(error).__name__}: {message:.200}"
    # torch goes on to tell how the file could be let through.
    if named := re.search(r"GLOBAL (\S+)", message):
        return f"it holds more than weights ({named[1]})"
    told = re.search(r"WeightsUnpickler error: (.+?)(?= Check the documentation|$)", message)
    return f"it holds more than weights, or is damaged ({(told[1] if told else 'UnpicklingError'):.100})"


def _rewrite(source: str, target: str) -> dict[str, int]:
    import torch
    from safetensors.torch import save_file

    held = torch.load(source, map_location="cpu", weights_only=True)
    if not isinstance(held, dict) or not held:
        raise TypeError(f"it holds a {type(held).__name__}, not tensors by name")
    for name, tensor in held.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name!r} is a {type(tensor).__name__}, not a tensor")
    _check_sizes(held, os.path.getsize(source))
    seen: set[int] = set()
    tensors = {}
    for name, tensor in held.items():
        # Tied weights share memory, which safetensors refuses; a copy each loads as well.
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.detach().clone() if storage in seen else tensor.detach()
        tensors[name] = tensors[name].contiguous()
        seen.add(storage)
    save_file(tensors, target, metadata={"format": "pt"})
    return {name: tensor.nbytes for name, tensor in tensors.items()}


def _check_sizes(held: dict[str, Any], size: int) -> None:
    """A few bytes can be read as a tensor of any size, or stand under any number of names."""
    for name, tensor in held.items():
        if tensor.nbytes > (has := tensor.untyped_storage().nbytes()):
            raise ValueError(f"{name!r} has {tensor.nbytes:,} bytes, its file {has:,} for them")
    if (total := sum(tensor.nbytes for tensor in held.values())) > _REPEATED * size:
        raise ValueError(f"its tensors have {total:,} bytes, the file {size:,}")
