"""Which results are one row, and what the row is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jbench.registry import Board, Column
from jbench.results import canonical
from jbench.task import Task
from jbench.types import Result


def row_of(result: Result) -> bytes:
    """The same bytes for two results of one row: one model of the same files with one set of settings."""
    return canonical([result.model, result.digest or result.revision, result.adapter, result.settings, result.variant])


def labels(ones: Sequence[Result]) -> list[str]:
    """A label for each row, given one result of each: the model, and what it takes to tell it from the others."""
    named = []
    for one in ones:
        namesakes = [other for other in ones if other.model == one.model]
        revision = _told_apart(full_revision(one), {full_revision(other) for other in namesakes})
        twins = [o for o in namesakes if (full_revision(o), o.variant) == (full_revision(one), one.variant)]
        told = {key: _said(one, key) for key in ("adapter", *one.settings) if len({_said(o, key) for o in twins}) > 1}
        older = is_older(one) and any(other.digest for other in namesakes)
        aside = ", ".join(filter(None, ("older revision" if older else "", _variant({**told, **one.variant}))))
        named.append(one.model + revision + (f" ({aside})" if aside else ""))
    return named


def is_older(result: Result) -> bool:
    """Whether a result's revision was taken of all files in a folder, as it was before there were digests."""
    return not result.digest and result.revision.startswith("local-")


def full_revision(result: Result) -> str:
    """The revision with all digits of the digest, where there is one: no two rows of a model share it."""
    if result.digest and result.revision == f"local-{result.digest[:12]}":
        return f"local-{result.digest}"
    return f"{result.revision}-{result.digest}" if result.digest else result.revision


def _told_apart(revision: str, revisions: set[str]) -> str:
    """As much of a revision as tells it from the others, 14 characters or more; nothing where there is no other."""
    if len(revisions) == 1:
        return ""
    lengths = range(14, max(map(len, revisions)) + 1)
    enough = next((n for n in lengths if len({one[:n] for one in revisions}) == len(revisions)), None)
    return f" @ {revision[:enough]}"


def _said(result: Result, key: str) -> str:
    return result.adapter if key == "adapter" else str(result.settings.get(key))


def of_tasks(tasks: Sequence[Task]) -> Board:
    """The board of a run without one: each task by its main measure."""
    columns = tuple(Column(task=task.id, version=task.version, measure=task.main) for task in tasks)
    return Board(name="run", version=1, title="Results", status="draft", columns=columns)


def _variant(variant: Mapping[str, Any]) -> str:
    flat = {k: v for k, v in variant.items() if k != "prompts"}
    flat |= {f"{role} prompt": repr(text) for role, text in variant.get("prompts", {}).items()}
    return ", ".join(f"{key}={value}" for key, value in sorted(flat.items()))
