"""``board`` and ``compare``: results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jbench.cli.common import (
    RESULTS,
    Json,
    ResultDirs,
    TaskDirs,
    chosen,
    deliver,
    drawn,
    ending,
    print_json,
    print_rows,
    roots,
    teller,
)

REGRESSION = 4


def board(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="mini, core.v1, or a .toml file; without it, boards are listed."),
    ] = None,
    results: ResultDirs = None,
    format: Annotated[
        str | None, typer.Option(help="md (default), html, csv or json; else by --output's ending.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write here instead of printing; html without NAME: a folder for all boards.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when --output is not what would be written.")] = False,
    cost: Annotated[bool, typer.Option("--cost", help="Add what models cost: parameters, dimension, time ...")] = False,
    task_dir: TaskDirs = None,
) -> None:
    """Draw a board from the project's own baselines and your results."""
    from jbench.registry import find_board
    from jbench.render import FORMATS
    from jbench.types import UsageError, unknown

    asked = format or (output.suffix[1:] if output else "")
    format = asked or "md"
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if check and (output is None or name is None):
        raise UsageError("--check compares the board NAME with --output FILE")
    if name is None:
        _all_boards(asked, output, results, task_dir, cost)
        return
    definition = find_board(name)
    text = FORMATS[format](
        drawn(definition.model_copy(update={"cost": True}) if cost else definition, results, task_dir)
    )
    deliver(text, output, check)


def _all_boards(
    format: str, output: Path | None, results: list[Path] | None, task_dir: list[Path] | None, cost: bool
) -> None:
    """The boards as a list, or as pages (which always show costs) with their index in the folder ``output``."""
    from jbench.files import write
    from jbench.progress import say
    from jbench.registry import own_boards
    from jbench.render.html import site
    from jbench.types import UsageError

    boards, pages = own_boards(), "all of them together are pages: --format html --output FOLDER"
    if output is None:
        given = {"--results": results, "--task-dir": task_dir, "--cost": cost}
        given[f"--format {format}"] = format not in ("", "json")
        if stray := [option for option, value in given.items() if value]:
            raise UsageError(f"{stray[0]} goes with a board NAME; {pages}")
        rows = [{"board": b.id, "status": b.status, "columns": len(b.columns), "title": b.title} for b in boards]
        print_rows(rows, format == "json", ("board", "status", "columns", "title"))
        return
    if format != "html":
        raise UsageError(f"name a board; {pages}")
    if output.is_file():
        raise UsageError(f"--output {output} is a file; all boards together need a folder")
    for file, text in site([drawn(board, results, task_dir) for board in boards]).items():
        write(output / file, text)
        say(f"written to {output / file}")


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The baseline: a row of results by its label, or a model.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The candidate, likewise.")],
    board: Annotated[str | None, typer.Option(help="Compare on this board's columns.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Compare on this task; may be given several times.")] = None,
    task_dir: TaskDirs = None,
    results: Annotated[
        list[Path] | None, typer.Option("--results", help="Folders of results; what is evaluated goes into the first.")
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Exit 4 when B's figure in any row is below A's by more than X (a fraction: 0.001 is 0.1 points) and "
            "Holm p is below .05; exit 5 when a row cannot be tested.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    resamples: Annotated[int, typer.Option(help="How many, 99 or more.")] = 9_999,
    json: Json = False,
) -> None:
    """Compare two models value by value: difference, 95 % interval, p; by default on all tasks that both have.

    The rows are the main measures of the tasks, or the columns of --board.
    """
    from jbench.compare import compare as compared
    from jbench.models.options import Options
    from jbench.progress import display, visible
    from jbench.types import Unavailable, UsageError

    if fail_below is not None and not 0 <= fail_below < 1:
        raise UsageError(f"--fail-below {fail_below}: expected a fraction, such as 0.001")
    definition, tasks = chosen(board, task, task_dir)
    if task_dir and not tasks:
        raise UsageError("--task-dir adds tasks; name those to compare on with --task")
    with display() as shown:
        report = compared(
            (a, b),
            roots(results, new=True),
            (results or [RESULTS])[0],
            tasks,
            definition,
            Options(say=shown.say, track=shown.track),
            resamples,
            seed,
            teller(shown.say),
        )
        for line in report.missing:
            shown.say(f"not compared: {line}")
        failed = {o.exit for o in report.failures if o.applies or not (definition and report.comparisons)}
        try:
            for worse in report.regressions(fail_below) if fail_below is not None else ():
                shown.say(f"regression: {worse.task} {worse.measure}: {100 * worse.difference:+.2f}")
                failed.add(REGRESSION)
        except Unavailable as error:
            shown.say(f"error: {error}")
            failed.add(error.exit)
    if json:
        print_json(report.as_dict())
    elif rows := report.rows():
        print_rows(rows, json, tuple(rows[0]))
        typer.echo(visible(report.method()))
    raise ending(failed)
