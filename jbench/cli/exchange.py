"""``import`` and ``export``: others' runs and numbers in, ours out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jbench.cli.common import RESULTS, ResultDirs, TaskDirs, chosen, ending, roots

if TYPE_CHECKING:
    from jbench.task import Task


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Run files, or files of numbers.")],
    task: Annotated[list[str] | None, typer.Option(help="The files are runs: measure them on this task.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the model (one file only).")] = None,
    results: Annotated[Path, typer.Option(help="Where results are kept.")] = RESULTS,
    task_dir: TaskDirs = None,
) -> None:
    """Take in others' work: run files are measured, with --task; numbers are shown on boards as imported.

    Numbers are a summary.json of JMTEB v1, or a table (.csv, .parquet) of model, task, measure, value.
    """
    from jbench.cli.run import run
    from jbench.exchange.numbers import bring
    from jbench.progress import say
    from jbench.types import JbenchError, UsageError, told

    if name is not None and (len(files) > 1 or not name):
        raise UsageError("--name goes with one file" if name else "--name is empty")
    if task:
        run([f"run:{file}" for file in files], task=task, task_dir=task_dir, results=results, name=name)
        return
    if task_dir:
        raise UsageError("--task-dir adds tasks; name those to measure a run on with --task")
    failed = set()
    for file in files:
        try:
            cells = bring(file, name, results, say)
        except JbenchError as error:
            line, code, _ = told(error)
            say(f"error: {line}")
            failed.add(code)
        else:
            models = len({cell.model for cell in cells})
            say(
                f"{file.name}: {len(cells)} number{'s' * (len(cells) > 1)} of {models} model{'s' * (models > 1)} "
                f"imported into {results}, not measured here"
            )
    raise ending(failed)


def export(
    output: Annotated[Path, typer.Option(help="The file to write; its ending says what.")],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A model; its results, by their label, or its run.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="run, table, model-index or eval-results, where the ending leaves it open.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be given several times.")] = None,
    task_dir: TaskDirs = None,
    results: ResultDirs = None,
) -> None:
    """Write a run (.trec .json .lz4 .parquet), a table of results (.csv .parquet), or metadata of a model card.

    A run is made anew, by the model, for one task; what is written of results was measured before. A card
    (README.md) keeps what it has; .yaml is for the folder .eval_results beside it.
    """
    from jbench.exchange import kind_of

    kind = kind_of(output, format, name)
    _, tasks = chosen(None, task, task_dir)
    if kind == "run":
        _export_run(name or "", tasks, output)
    else:
        _export_results(kind, name, tasks, output, results, task_dir or [])


def _export_run(name: str, tasks: list[Task], output: Path) -> None:
    from jbench.exchange.runs import export_run
    from jbench.files import ready
    from jbench.models.options import Options
    from jbench.progress import display
    from jbench.types import UsageError

    if len(tasks) > 1:
        raise UsageError("a run file is for one task: give --task once")
    ready(output)
    with display() as shown:
        run = export_run(name, tasks[0] if tasks else None, output, Options(say=shown.say, track=shown.track))
        shown.say(f"{output}: {len(run):,} documents of {len(run.queries):,} queries")


def _export_results(
    kind: str, name: str | None, tasks: list[Task], output: Path, folders: list[Path] | None, task_dirs: list[Path]
) -> None:
    from jbench.exchange.card import write_card, write_eval_results
    from jbench.exchange.table import frame, results_of, write_table
    from jbench.progress import say
    from jbench.registry import all_tasks

    known = all_tasks(task_dirs)
    found = results_of(name, tasks, roots(folders), say)
    count = f"{len(found)} result{'s' * (len(found) > 1)}"
    if kind == "table":
        write_table(frame(found, known), output)
        say(f"{output}: {count}")
    elif kind == "model-index":
        card = write_card(output, found, known)
        say(f"{output}: {count} in model-index, {card.replaced} older replaced, {card.kept} of others kept")
    else:
        for left in write_eval_results(output, found, known):
            say(f"{left} is left out: no hub id is known for its data set")
        say(f"{output}: the Hub shows an entry where the data set's own eval.yaml lists its task_id")
