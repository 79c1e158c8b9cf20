"""Pickled weights to safetensors, for checkpoints that carry nothing else.

The one file that reads pickles, and only as weights: in a process of its own that may open no
socket and start no program. What it makes lies in the cache, beside the checkpoint's other files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jbench.files import write, writing_folder
from jbench.models.checkpoint import SKIPPED, Checkpoint, checkpoint_files, conversion, snapshot
from jbench.source import file_sha256, offline
from jbench.types import Unavailable

_INDEX = "pytorch_model.bin.index.json"
_NEEDED = ("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
_FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system")
_READER = "import sys; sys.path[:] = sys.argv[1:]; from jbench.models.convert import reader; reader()"


def convert(original: Checkpoint) -> Checkpoint:
    """The same checkpoint with safetensors, made now unless it was made before.

    :raises Unavailable: when the weights are not there, hold more than weights, or the disk refuses.
    """
    from filelock import FileLock

    if not original.pickled():
        return original
    if original.hub_id:
        snapshot(original.hub_id, original.revision, pickled=True)
    files = {name: made for path in original.pickled() for name, made in _files_of(original, path).items()}
    target = conversion(original)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not (target / "converted.json").is_file():
                with writing_folder(target) as folder:
                    _fill(folder, original, files)
    except OSError as error:
        raise Unavailable(f"cannot write {target}: {error.strerror}") from error
    return replace(original, folder=target)


def _files_of(original: Checkpoint, path: str) -> dict[str, str]:
    """What is read in the folder of a module, and what is written for it, within the checkpoint."""
    where, shards = Path(path), original.read(f"{path}/{_INDEX}").get("weight_map")
    names = sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else ["pytorch_model.bin"]
    for name in names:
        if Path(name).name != name or not (original.folder / where / name).is_file():
            by = f", which {_INDEX} names," if shards else ""
            off = " and the network is off" if original.hub_id and offline() else ""
            raise Unavailable(f"{f'{original.model}/{path}'.rstrip('/')}: {name}{by} is not there{off}")
    return {(where / name).as_posix(): (where / _safe(name)).as_posix() for name in names}


def _safe(name: str) -> str:
    return name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"


def _fill(folder: Path, original: Checkpoint, files: Mapping[str, str]) -> None:
    for path in checkpoint_files(original.folder):
        name = path.relative_to(original.folder).as_posix()
        if path.name != _INDEX and not any(fnmatch(name, pattern) for pattern in SKIPPED):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    hashes = {name: file_sha256(original.folder / name) for name in files}
    tensors = _read_apart(original, [(original.folder / name, folder / made) for name, made in files.items()])
    for where in {Path(made).parent for made in files.values()}:
        mine = {
            Path(made).name: held
            for made, held in zip(files.values(), tensors, strict=True)
            if Path(made).parent == where
        }
        if mine.keys() != {"model.safetensors"}:
            write(folder / where / "model.safetensors.index.json", _index(mine))
    record = {
        "model": original.hub_id or original.folder.name,
        "revision": original.revision,
        "read": hashes,
        "written": {made: file_sha256(folder / made) for made in files.values()},
        "versions": {name: version(name) for name in ("jbench", "torch", "safetensors")},
    }
    write(folder / "converted.json", json.dumps(record, indent=1))


def _index(shards: Mapping[str, Mapping[str, int]]) -> str:
    size = sum(sum(tensors.values()) for tensors in shards.values())
    weights = {name: shard for shard, tensors in shards.items() for name in tensors}
    return json.dumps({"metadata": {"total_size": size}, "weight_map": weights}, indent=1, sort_keys=True)


def _read_apart(original: Checkpoint, pairs: Iterable[tuple[Path, Path]]) -> list[dict[str, int]]:
    """Let `reader` turn each first file into the second; the tensors in each, with their bytes."""
    own = str(Path(__file__).parents[2])
    paths = [own, *(path for path in sys.path if os.path.isabs(path) and path not in (own, os.getcwd()))]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-c", _READER, *paths],
        input=json.dumps([[str(path) for path in pair] for pair in pairs]),
        capture_output=True,
        text=True,
        check=False,
        # Neither tokens nor torch's own switches.
        env={**{key: os.environ[key] for key in _NEEDED if key in os.environ}, "CUDA_VISIBLE_DEVICES": ""},
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"the process that read it ended with code {done.returncode}"}
    if "error" in answer:
        raise Unavailable(f"{original.model} is not converted: {answer['error']}")
    tensors: list[dict[str, int]] = answer["tensors"]
    return tensors


def reader() -> None:
    """The process that reads: pairs of paths come in as JSON, the names and bytes of the tensors go out.

    The hook stands before torch is imported; no way leads back from an audit hook.
    """
    sys.addaudithook(_refuse)
    source = ""
    try:
        tensors = []
        for source, target in json.load(sys.stdin):
            tensors.append(_rewrite(source, target))
        answer: dict[str, Any] = {"tensors": tensors}
    except Exception as error:  # a stranger's file can be broken in any way; each is one line
        message = " ".join(str(error).split())
        named = re.search(r"GLOBAL (\S+)", message)
        reason = f"it holds more than weights ({named[1]})" if named else f"{type(error).__name__}: {message:.200}"
        answer = {"error": f"{Path(source).name}: {reason}"}
    sys.stdout.write(json.dumps(answer))


def _refuse(event: str, arguments: Any) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} while weights are read")


def _rewrite(source: str, target: str) -> dict[str, int]:
    import torch
    from safetensors.torch import save_file

    held = torch.load(source, map_location="cpu", weights_only=True)
    if not isinstance(held, dict) or not held:
        raise TypeError(f"it holds a {type(held).__name__}, not tensors by name")
    seen: set[int] = set()
    tensors = {}
    for name, tensor in held.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name!r} is a {type(tensor).__name__}, not a tensor")
        # Tied weights share memory, which safetensors refuses; a copy each loads as well.
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.detach().clone() if storage in seen else tensor.detach()
        tensors[name] = tensors[name].contiguous()
        seen.add(storage)
    save_file(tensors, target, metadata={"format": "pt"})
    return {name: tensor.nbytes for name, tensor in tensors.items()}
