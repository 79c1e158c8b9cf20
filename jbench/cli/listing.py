"""``tasks`` and ``models``: what there is, and what each model has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jbench.cli.common import Json, ResultDirs, TaskDirs, all_results, print_rows


def tasks(task_dir: TaskDirs = None, json: Json = False) -> None:
    """List the tasks."""
    from jbench.registry import all_tasks

    rows = [
        {
            "task": t.id,
            "version": t.version,
            "kind": t.kind,
            "main": t.main,
            "measures": list(t.measures),
            "counts": dict(t.expects),
            "license": t.license,
            "data": t.group,
        }
        for t in all_tasks(task_dir or []).values()
    ]
    print_rows(rows, json, ("task", "kind", "main", "counts", "license", "data"))


def models(
    results: ResultDirs = None,
    json: Json = False,
    exposure: Annotated[bool, typer.Option("--exposure", help="What each model has seen of the tasks' data.")] = False,
    task_dir: TaskDirs = None,
) -> None:
    """List what can be evaluated by name, the families whose prompts are known, and what was measured."""
    if exposure:
        _print_exposure(results, task_dir or [], json)
        return
    from jbench.models.load import LEXICAL
    from jbench.models.prompts import families

    rows: list[dict[str, Any]] = [{"model": m, "what": "built in, no weights", "prompts": {}} for m in LEXICAL]
    rows += [
        {"model": pattern, "what": f"family {family.name}", "prompts": family.prompts}
        for family in families()
        for pattern in family.match
    ]
    measured = {result.model: f"measured, {result.adapter}" for result in all_results(results)}
    rows += [{"model": m, "what": what, "prompts": {}} for m, what in measured.items() if m not in LEXICAL]
    print_rows(rows, json, ("model", "what", "prompts"))


def _print_exposure(results: list[Path] | None, task_dirs: list[Path], json: bool) -> None:
    from jbench.exposure import LEGEND, as_dict, columns, conflicts, matrix
    from jbench.registry import all_tasks

    rows = matrix(all_results(results), all_tasks(task_dirs).values())
    if json:
        print_rows([as_dict(row) for row in rows], json, ())
        return
    rows = [row for row in rows if row.known]
    heads = {source: source.removeprefix("JGLUE/").replace(":", "\n") for source in columns(rows)}
    shown = [{"model": row.name, **{head: row.sources[source].word for source, head in heads.items()}} for row in rows]
    print_rows(shown, json, ("model", *heads.values()), width=60 + 13 * len(heads))
    typer.echo("\n".join(["", LEGEND, *conflicts(rows)]))
