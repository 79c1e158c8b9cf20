"""Prepares a machine that will have no network: the files of tasks, the checkpoints of models."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jbench.models.checkpoint import Checkpoint
from jbench.models.combine import leaves
from jbench.models.convert import convert
from jbench.models.hub import CODE, snapshot
from jbench.models.load import BUILT_IN, CHECKPOINTS
from jbench.models.locate import checkpoint_files, locate
from jbench.models.opened import base_of, elsewhere
from jbench.models.own_code import own_code
from jbench.source import Source
from jbench.task import Task
from jbench.task import fetch as fetch_task
from jbench.types import JbenchError, told, unknown

_TICK = 50_000_000
"""Nanoseconds by which a file's clock may lag behind the process's."""


@dataclass(frozen=True)
class Fetched:
    """What is at hand now. ``state`` is ``fetched``, ``at hand``, ``converted`` or ``needs nothing``."""

    what: str
    source: str
    files: int
    bytes: int
    state: str

    @property
    def size(self) -> str:
        """The bytes for people, in powers of 1,000."""
        number, units = float(self.bytes), iter(("B", "kB", "MB", "GB", "TB"))
        unit = next(units)
        while number >= 999.5 and unit != "TB":
            number, unit = number / 1000, next(units)
        return f"{number:.{0 if unit == 'B' or number >= 99.95 else 1}f} {unit}"


@dataclass(frozen=True)
class Failure:
    """What was not to be had; ``trace`` is set for bugs alone."""

    what: str
    error: str
    exit: int
    trace: str = ""


def fetch(
    tasks: Iterable[Task],
    models: Sequence[str],
    conversion: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Iterator[Fetched | Failure]:
    """Fetch each task's files and each model's checkpoints, yielding what came, or why it did not.

    With ``conversion`` a checkpoint that carries pickled weights alone is given safetensors.
    """
    start = time.time_ns() - _TICK
    for task in tasks:
        yield from _tried(task.id, partial(_task, task, start), say)
    parts: dict[str, None] = {}
    for model in models:
        try:
            parts.update(dict.fromkeys(leaves(model)))
        except JbenchError as error:
            yield Failure(model, *told(error))
    for part in parts:
        yield from _tried(part, partial(_model, part, conversion, start), say)


def _tried(what: str, work: Callable[[], list[Fetched]], say: Callable[[str], None]) -> Iterator[Fetched | Failure]:
    say(f"fetching {what}")
    try:
        yield from work()
    except Exception as error:  # one failure never costs another what it needs
        yield Failure(what, *told(error))


def _task(task: Task, start: int) -> list[Fetched]:
    groups: dict[str, list[Source]] = {}
    for source in fetch_task(task):
        groups.setdefault(source.name.removesuffix(f"/{source.file}"), []).append(source)
    found = [_row(task.id, name, [source.path() for source in group], start) for name, group in groups.items()]
    return found or [Fetched(task.id, "comes with its task file", 0, 0, "needs nothing")]


def _model(string: str, converting: bool, start: int) -> list[Fetched]:
    scheme, colon, rest = string.partition(":")
    if string in BUILT_IN:
        return [Fetched(string, "built in", 0, 0, "needs nothing")]
    if colon and scheme == "run":
        return [Fetched(string, "a file of yours", 0, 0, "needs nothing")]
    if colon and scheme not in CHECKPOINTS:
        raise unknown("model", string, (*BUILT_IN, "run:PATH", *(f"{kind}:CHECKPOINT" for kind in CHECKPOINTS)))
    found = locate(rest if colon else string, None)
    checkpoint = convert(found) if converting else found
    checkpoint.check_weights()
    where = f"hub:{checkpoint.hub_id}" if checkpoint.hub_id else f"local:{checkpoint.model}"
    row = _row(string, f"{where}@{checkpoint.revision}", list(checkpoint_files(checkpoint.folder)), start)
    beside = _beside(checkpoint, string, start)
    if row.state == "fetched" and checkpoint.folder != found.folder:
        return [replace(row, state="converted"), *beside]
    return [row if checkpoint.hub_id else replace(row, state="at hand"), *beside]


def _beside(checkpoint: Checkpoint, string: str, start: int) -> list[Fetched]:
    """What a checkpoint needs that lies elsewhere: what an adapter is laid over, and code that it would run."""
    rows = []
    if base := base_of(checkpoint):
        named = str(checkpoint.read(f"{checkpoint.home}/adapter_config.json")["base_model_name_or_path"])
        whence = f"local:{base.name}" if os.path.isdir(named) else f"hub:{named}@{base.name}"
        row = _row(string, whence, list(checkpoint_files(base)), start)
        rows.append(replace(row, state="at hand") if os.path.isdir(named) else row)
    for repo in elsewhere(checkpoint) if own_code(checkpoint) else ():
        folder = snapshot(repo, None, only=CODE)
        files = [path for path in checkpoint_files(folder) if path.suffix == ".py"]
        rows.append(_row(string, f"hub:{repo}@{folder.name}", files, start))
    return rows


def _row(what: str, source: str, files: Sequence[Path], start: int) -> Fetched:
    stats = [path.stat() for path in files]
    # What lay there before has not changed since.
    state = "fetched" if any(stat.st_ctime_ns >= start for stat in stats) else "at hand"
    return Fetched(what, source, len(files), sum(stat.st_size for stat in stats), state)
