"""Pickled weights to safetensors, for checkpoints that carry nothing else.

`jbench.models.reader` reads them, in a process of its own. What is made lies in the cache, beside
the checkpoint's other files, and is used for as long as it is what was written.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

from jbench.cache import file_sha256
from jbench.files import locked, write, writing_folder
from jbench.models.checkpoint import TOKEN_HEADS, Checkpoint
from jbench.models.hub import PICKLED, SKIPPED, snapshot
from jbench.models.locate import CONVERTER, checkpoint_files, conversion, converted, is_converted
from jbench.models.opened import opened
from jbench.source import offline
from jbench.types import Unavailable

_INDEX, _MADE_INDEX = "pytorch_model.bin.index.json", "model.safetensors.index.json"
_NEEDED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
_READER = "import sys; sys.path[:] = sys.argv[1:]; from jbench.models.reader import reader; reader()"


def convert(original: Checkpoint) -> Checkpoint:
    """The same checkpoint with safetensors, made now unless it was made before.

    :raises Unavailable: when the weights are not there, hold more than weights, make no whole
        checkpoint, or the disk refuses.
    """
    if not (original.pickled() or original.pickled_heads()):
        return original
    target = conversion(original)
    if not is_converted(original):
        if original.hub_id:
            snapshot(original.hub_id, original.revision, only=PICKLED)
        files = {name: made for path in original.pickled() for name, made in _files_of(original, path).items()}
        files |= {name: f"{Path(name).stem}.safetensors" for name in original.pickled_heads()}
        with locked(target):
            if not is_converted(original):
                shutil.rmtree(target, ignore_errors=True)  # damaged, or of another converter
                with writing_folder(target) as folder:
                    _fill(folder, original, files)
                    replace(original, folder=folder).check_weights()
    return converted(original)


def _files_of(original: Checkpoint, path: str) -> dict[str, str]:
    """What is read in the folder of a module, and what is written for it, within the checkpoint."""
    where, shards = Path(path), original.shards(f"{path}/{_INDEX}")
    names = shards or ["pytorch_model.bin"]
    for name in names:
        if Path(name).name != name or not (original.folder / where / name).is_file():
            by = f", which {_INDEX} names," if shards else ""
            off = " and the network is off" if original.hub_id and offline() else ""
            raise Unavailable(f"{f'{original.model}/{path}'.rstrip('/')}: {name}{by} is not there{off}")
    made = {(where / name).as_posix(): (where / _safe(name)).as_posix() for name in names}
    if len(set(made.values())) < len(made):
        raise Unavailable(f"{f'{original.model}/{path}'.rstrip('/')}: of {', '.join(names)}, two would be one file")
    return made


def _safe(name: str) -> str:
    return name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"


def _fill(folder: Path, original: Checkpoint, files: Mapping[str, str]) -> None:
    for made in files.values():
        if not (folder / made).resolve().is_relative_to(folder.resolve()):
            raise Unavailable(f"{original.model}: {made} would be written outside the checkpoint")
    homes = {Path(made).parent for made in files.values()}
    left_out = {(home / index).as_posix() for home in homes for index in (_INDEX, _MADE_INDEX)}
    inside = [path for path in opened(original).values() if path.is_relative_to(original.folder)]  # hidden ones too
    for path in dict.fromkeys([*checkpoint_files(original.folder), *inside]):
        name = path.relative_to(original.folder).as_posix()
        if name not in left_out and not any(fnmatch(name, pattern) for pattern in SKIPPED):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    hashes = {name: file_sha256(original.folder / name) for name in files}
    tensors = _read_apart(original, [(original.folder / name, folder / made) for name, made in files.items()])
    for home in homes:
        mine = {
            Path(made).name: held
            for made, held in zip(files.values(), tensors, strict=True)
            if Path(made).parent == home and Path(made).stem not in TOKEN_HEADS
        }
        if mine and mine.keys() != {"model.safetensors"}:
            write(folder / home / _MADE_INDEX, _index(mine))
    record = {
        "converter": CONVERTER,
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
    """Let the reader turn each first file into the second; the tensors in each, with their bytes."""
    own = str(Path(__file__).parents[2])
    paths = [own, *(path for path in sys.path if os.path.isabs(path) and path not in (own, os.getcwd()))]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-B", "-c", _READER, *paths],
        input=json.dumps({"parent": os.getpid(), "pairs": [[str(path) for path in pair] for pair in pairs]}),
        capture_output=True,
        text=True,
        check=False,
        # Neither tokens nor torch's own switches, nor a home where either could lie.
        env={
            **{key: os.environ[key] for key in _NEEDED if key in os.environ},
            "HOME": os.devnull,
            "CUDA_VISIBLE_DEVICES": "",
        },
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"the process that read it ended with code {done.returncode}"}
    if "error" in answer:
        raise Unavailable(f"{original.model} is not converted: {answer['error']}")
    tensors: list[dict[str, int]] = answer["tensors"]
    return tensors
