"""Run files that a source keeps beside its table: whose each is, and where it lies (``runs.toml``)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from jbench.manifest import toml
from jbench.source import Source, github


class RunFile(BaseModel):
    """One of them; ``model`` is that of the table's row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


class RunFiles(BaseModel):
    """Those of one source, all runs of one task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    repo: str
    commit: str
    folder: str
    files: tuple[RunFile, ...]

    def source(self, one: RunFile) -> Source:
        """Where a run file comes from."""
        return github(self.repo, self.commit, f"{self.folder}/{one.file}", one.sha256)


@cache
def run_files() -> RunFiles:
    """The run files behind JQaRA's table."""
    return toml(Path(__file__).parent / "runs.toml", RunFiles, "run files")
