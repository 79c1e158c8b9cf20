"""``overlap``: a training set against a task."""

from __future__ import annotations

from typing import Annotated

import typer

from jbench.cli.common import Json, TaskDirs, plain, print_rows


def overlap(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A .txt, .tsv, .jsonl, .parquet, github:OWNER/NAME@COMMIT/PATH, a task, or a checkpoint trained here.",
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The task whose texts are looked for in A.")],
    side: Annotated[str | None, typer.Option(help="Only the queries, documents or (of sentence pairs) texts.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Which column of A has texts, by name or number.")] = None,
    ngram: Annotated[int, typer.Option(help="Characters of an n-gram.")] = 13,
    examples: Annotated[int, typer.Option(help="How many to show of each kind.")] = 3,
    task_dir: TaskDirs = None,
    json: Json = False,
) -> None:
    """Measure how much of a task's texts stand in a training set: exactly, normalised, by n-grams."""
    from jbench.overlap import as_dict, measure

    rows = [as_dict(found) for found in measure(a, b, side, column or [], ngram, max(0, examples), task_dir or [])]
    shown = ("side", "texts", "exact", "normalised", "shared", "contained", "containment", "false_positive_rate")
    print_rows(rows, json, tuple(column for column in shown if column in rows[0]))
    for row in (
        [] if json else [{"side": found["side"], **text} for found in rows for text in found.get("examples", ())]
    ):
        typer.echo("  ".join(plain(value) for value in row.values()))
