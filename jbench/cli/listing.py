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
    stored: Annotated[
        bool, typer.Option("--stored", help="Whose embeddings are stored, and how large they are.")
    ] = False,
    prune: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Remove its stored embeddings; all: of all.")
    ] = None,
) -> None:
    """List what can be evaluated by name, families whose prompts or templates are known, and what was measured."""
    if stored or prune:
        _print_stored(prune, json)
        return
    if exposure:
        _print_exposure(results, task_dir or [], json)
        return
    from jbench.models.load import BUILT_IN
    from jbench.models.locate import shipped
    from jbench.models.prompts import families
    from jbench.models.templates import templates

    named = {**dict.fromkeys(BUILT_IN, "built in, no weights"), **dict.fromkeys(shipped(), "comes with jbench")}
    rows: list[dict[str, Any]] = [{"model": m, "what": what, "prompts": {}} for m, what in named.items()]
    rows += [
        {"model": pattern, "what": f"family {family.name}", "prompts": family.prompts}
        for family in families()
        for pattern in family.match
    ]
    for row in templates().values():
        told = {"query": row.instruction} if row.instruction else {}
        rows += [{"model": p, "what": f"reranker, template {row.name}", "prompts": told} for p in row.match]
    measured = {result.model: f"measured, {result.adapter}" for result in all_results(results)}
    rows += [{"model": m, "what": what, "prompts": {}} for m, what in measured.items() if m not in named]
    print_rows(rows, json, ("model", "what", "prompts"))


def _print_stored(prune: str | None, json: bool) -> None:
    from datetime import UTC, datetime

    from jbench import store
    from jbench.types import unknown

    held = store.stored()
    if prune:
        gone = [one for one in held if prune in ("all", one.about["model"])]
        if not gone and prune != "all":
            raise unknown("stored model", prune, sorted({str(one.about["model"]) for one in held}))
        for one in gone:
            store.remove(one)
        held = [one for one in held if one not in gone]
    rows: list[dict[str, Any]] = [
        {
            "model": one.about["model"],
            "revision": one.about["revision"],
            "settings": one.about["settings"],
            "mib": round(one.size / 2**20, 1),
            "used": datetime.fromtimestamp(one.used, UTC).strftime("%Y-%m-%d %H:%M"),
        }
        for one in held
    ]
    if json:
        print_rows(rows, json, ())
    else:
        for row in rows:
            row["settings"] = ", ".join(f"{key} {value}" for key, value in row["settings"].items() if value is not None)
        print_rows(rows, json, ("model", "revision", "settings", "mib", "used"))
        total, most = sum(one.size for one in held) / 2**30, store.limit() / 2**30
        typer.echo(f"\n{total:.2f} GiB of at most {most:g} ($JBENCH_STORE_GIB) in {store.root()}")


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
