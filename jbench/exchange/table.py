"""Results as one long table, and what every exported result says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from jbench.compare import named
from jbench.exposure import WORDS, exposure
from jbench.files import writing
from jbench.registry import own_tasks
from jbench.render.figures import shielded
from jbench.results import located
from jbench.task import Task
from jbench.types import Result, UsageError, unknown

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("model", "revision", "digest", "adapter", "variant", "task", "task_version", "kind", "measure", "definition"),
    *("value", "low", "high", "exposure", "unprompted", "truncated", "data", "key", "jbench", "created"),
)


def results_of(
    name: str | None, tasks: Sequence[Task], roots: Sequence[Path], say: Callable[[str], None]
) -> list[Result]:
    """The results under ``roots`` of the model that is called so (see `jbench.compare.named`), or of all.

    Of ``tasks`` alone, where some are given.

    :raises UsageError: when there are none.
    """
    found = located(roots, say)
    if name is not None:
        row = named(name, found)
        if not row:
            raise unknown("result", name, {one.model for one in found.values()})
        found = dict(row.values())
    wanted = {(task.id, task.version) for task in tasks}
    kept = [one for one in found.values() if not tasks or (one.task, one.task_version) in wanted]
    if not kept:
        told = ", ".join(task.id for task in tasks) or "any task"
        raise UsageError(f"there are no results of {name or 'any model'} on {told}")
    return kept


def frame(results: Iterable[Result], tasks: Mapping[str, Task] | None = None) -> DataFrame:
    """One row a score, as a pandas DataFrame.

    ``value`` is a fraction, ``low`` and ``high`` the smallest and largest that another order of ties
    could give (empty where it gives none), ``variant`` JSON, ``digest`` the sha256 over the checkpoint's files (empty
    where it has none), ``data`` that of the data, ``key`` that of the computation, ``exposure`` what `seen` says.
    ``tasks`` (by id; the package's own unless given) tell where a task's data comes from.
    """
    import pandas as pd

    known = own_tasks() if tasks is None else tasks
    rows = [row for result in results for row in _rows(result, known.get(result.task))]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(result: Result, task: Task | None) -> list[tuple[Any, ...]]:
    variant = orjson.dumps(result.variant, option=orjson.OPT_SORT_KEYS).decode() if result.variant else ""
    who = (
        result.model,
        result.revision,
        result.digest,
        result.adapter,
        variant,
        result.task,
        result.task_version,
        result.kind,
    )
    low_high = {measure: result.ties.get(measure, (None, None)) for measure in result.scores}
    cut = result.counts.get("truncated", 0)
    whence = (seen(result, task), " ".join(result.unprompted), cut, str(result.data.get("sha256", "")), result.key)
    return [
        (*who, measure, result.definitions.get(measure, ""), value, *low_high[measure], *whence, *made(result))
        for measure, value in result.scores.items()
    ]


def write_table(table: DataFrame, path: Path) -> None:
    """Write a table as ``.csv`` or ``.parquet``, by the ending of ``path``.

    In CSV, text that a spreadsheet would run as a formula begins with ``'``, as on boards.

    :raises UsageError: for another ending.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise unknown("ending of a table", path.suffix, (".csv", ".parquet"))
    with writing(path) as file:
        if path.suffix == ".parquet":
            table.to_parquet(file, index=False)
        else:
            safe = table.map(lambda value: shielded(value) if isinstance(value, str) else value)
            safe.to_csv(file, index=False, lineterminator="\n")


def seen(result: Result, task: Task | None) -> str:
    """What the model has seen of the task's data, in words: domain, how, and who says so."""
    if task is None or not task.sources:
        return "unknown: nobody names the task's sources"
    found = exposure(result.model, result.revision, task, result.training)
    if found.flag == "unknown":
        return "unknown: nobody says"
    said = dict.fromkeys(
        f"{'; '.join(filter(None, (one.way, one.said)))} ({one.confidence})"
        for one in found.evidence
        if one.flag == found.flag
    )
    doubt = "; other statements contradict this" if found.conflict else ""
    return f"{found.domain}, {WORDS[found.flag]}: {'; '.join(said)}{doubt}"


def made(result: Result) -> tuple[str, str]:
    """The version of jbench that measured it, and when; empty where the record does not say."""
    versions = result.host.get("versions")
    version = versions.get("jbench", "") if isinstance(versions, dict) else ""
    return str(version), str(result.host.get("created", ""))
