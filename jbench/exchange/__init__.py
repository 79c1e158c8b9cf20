"""Runs and results to the files of other tools, and others' numbers from theirs."""

from __future__ import annotations

from pathlib import Path

from jbench.exchange.table import frame
from jbench.types import UsageError, unknown

__all__ = ["frame", "kind_of"]

KINDS = {
    "run": (".trec", ".txt", ".run", ".json", ".lz4", ".parquet"),
    "table": (".csv", ".parquet"),
    "model-index": (".md",),
    "eval-results": (".yaml", ".yml"),
}
"""What can be written, and into which endings."""


def kind_of(path: Path, asked: str | None, name: str | None) -> str:
    """Which of `KINDS` to write to ``path``: what was asked for, else what its ending says.

    :raises UsageError: for what does not go together, and where the ending leaves it open.
    """
    if asked is not None and asked not in KINDS:
        raise unknown("format", asked, KINDS)
    fits = [kind for kind, endings in KINDS.items() if path.suffix in endings]
    if not fits:
        raise unknown("ending", path.suffix, {ending for endings in KINDS.values() for ending in endings})
    if asked is not None and asked not in fits:
        raise UsageError(f"{asked} is written to {', '.join(KINDS[asked])}, not to {path.name}")
    if asked is None and len(fits) > 1 and name is not None and not name.startswith("run:"):
        raise UsageError(f"{path.name} could take a run of {name} or a table of its results: say --format run or table")
    kind = asked or ("table" if name is None and "table" in fits else fits[0])
    if name is None and kind != "table":
        raise UsageError(f"{path.name} takes a {kind} of one model: name the model")
    return kind
