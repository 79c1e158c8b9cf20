"""Models over tasks: each pair by itself, so that one failure never costs another its result."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from jbench import __version__, canary, results
from jbench.files import ready, write
from jbench.manifest import joined
from jbench.models.load import open_model
from jbench.models.options import Options
from jbench.task import Loaded, Task, load
from jbench.types import Model, NotApplicable, Result, Unavailable, told

_RECORDED = ("torch", "sentence-transformers", "transformers", "numpy", "scipy", "pytrec_eval-terrier", "bm25s")


@dataclass(frozen=True)
class Failure:
    """A model and task that gave no result.

    ``opened`` is false when the model itself was not to be had, ``applies`` when the task asks for
    what the model does not do; ``trace`` is set for bugs alone.
    """

    task: str
    model: str
    error: str
    exit: int
    opened: bool = True
    trace: str = ""
    applies: bool = True


def evaluate(
    models: Sequence[str],
    tasks: Sequence[Task],
    root: Path,
    options: Options | None = None,
    overwrite: bool = False,
) -> Iterator[Result | Failure]:
    """Score each model on each task, yielding as they finish; results are saved under ``root``.

    A result that exists under the same key is read, not computed again.
    """
    options = options or Options()
    loaded: dict[str, Loaded | Exception] = {}
    for name in models:
        try:
            model = open_model(name, options)
        except Exception as error:
            yield from (_failure(task, name, error, opened=False) for task in tasks)
            continue
        for task in tasks:
            if task.id not in loaded:
                loaded[task.id] = _load(task)
            one = loaded[task.id]
            if isinstance(one, Exception):
                yield _failure(task, model.card.model, one)
                continue
            try:
                yield evaluate_one(model, task, one, root, options, overwrite)
            except Exception as error:
                yield _failure(task, model.card.model, error)


def evaluate_one(
    model: Model, task: Task, loaded: Loaded, root: Path, options: Options, overwrite: bool = False
) -> Result:
    """Predict, measure, save; or read the result that is already there.

    :raises JbenchError: of the kind that says what went wrong.
    """
    path = results.path_of(root, model.card, task)
    if model.card.canary:
        canary.remember(model.card)
    if not overwrite and (known := _known(path, model, task, loaded, options)):
        return known
    ready(path)
    if check := model.card.check:
        check()
    model.report()  # what a failed task left behind is not this one's
    start = time.perf_counter()
    prediction = task.predict(model, loaded.data)
    predicted = time.perf_counter() - start
    report = model.report()
    measured = task.measure(prediction, loaded.data)
    seconds = time.perf_counter() - start
    cost = dict(report.get("cost", {}))
    # A query whose vector was known took no time.
    if (queries := loaded.data.counts.get("queries")) and not report.get("rates", {}).get("reused"):
        cost["ms_per_query"] = round(1000 * max(0.0, predicted - report.get("setup", 0.0)) / queries, 3)
    host = {
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": report.get("device", "none"),
        "versions": {"jbench": __version__, "python": platform.python_version(), **_versions()},
        "rates": report.get("rates", {}),
        "cost": cost,
    }
    if model.card.canary:
        host["canary"] = model.card.canary
    result = results.make(model.card, task, loaded, measured, report, host)
    if said := [record for record in (model.card.training, options.training) if record]:
        result = replace(result, training=joined(said))
    if check:  # the figures are those of the files that the record names
        check()
    results.save(path, result, measured, task.cluster and [task.cluster(item) for item in measured.items])
    return result


def _load(task: Task) -> Loaded | Exception:
    """The task's data, or why there is none: loading is not tried again for the next model."""
    try:
        return load(task)
    except Exception as error:
        return error


def _known(path: Path, model: Model, task: Task, loaded: Loaded, options: Options) -> Result | None:
    if not os.path.isfile(path):  # where path.exists() would raise, of a folder that cannot be read
        return None
    try:
        found = results.read(path)
    except Unavailable as error:
        options.say(f"{error}; computed again")
        return None
    with task.naming():
        texts = results.texts_of(loaded.data) if "texts" in found.data else ""
    if found.key != results.key_of(model.card, task, loaded.data.sha256, texts):
        options.say(f"{found.model} on {found.task}: the stored result has another key; computed again")
        return None
    if not results.is_whole(path, found):
        options.say(f"{found.model} on {found.task}: the per-query values are not the result's own; computed again")
        return None
    if changed := _changed(path, found, task):
        options.say(f"{found.model} on {found.task}: the task has another {changed} now; computed again")
        return None
    canary.warn([found], options.say)
    found = _retold(path, found, model, options)
    return replace(found, host={**found.host, "stored": True})


def _changed(path: Path, found: Result, task: Task) -> str:
    """What the task of today says otherwise than a stored result does, beside its key; empty for nothing."""
    if found.main != task.main:
        return "main measure"
    items, clusters = results.grouping(path)
    today = [task.cluster(item) for item in items] if task.cluster else None
    return "cluster" if clusters != today else ""


def _retold(path: Path, found: Result, model: Model, options: Options) -> Result:
    """A stored result with what is now declared of its model; an earlier declaration outlives runs without one."""
    if not options.training:
        return found
    again = replace(found, training=joined([model.card.training, options.training]))
    if again.training != found.training:
        write(path, results.to_json(again) + b"\n")
    return again


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _RECORDED}


def _failure(task: Task, model: str, error: Exception, opened: bool = True) -> Failure:
    said, code, trace = told(error)
    return Failure(task.id, model, said, code, opened, trace, applies=not isinstance(error, NotApplicable))
