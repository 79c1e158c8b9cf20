"""What the verbs share: options, how things are chosen and printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jbench.board import Table
    from jbench.evaluate import Failure
    from jbench.registry import Board
    from jbench.task import Task
    from jbench.types import Result

RESULTS = Path("jbench-results")

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="org/name[@revision], ./folder, bm25:mecab, run:PATH, rerank(FIRST, DEPTH, SECOND), rrf(A, B) ...",
    ),
]
TaskDirs = Annotated[list[Path] | None, typer.Option("--task-dir", help="A folder of task files of your own.")]
ResultDirs = Annotated[list[Path] | None, typer.Option("--results", help="Folders of results.")]
Memory = Annotated[
    int | None,
    typer.Option(metavar="MIB", min=1, help="What a search may hold at once, beside texts and what it finds (512)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.")]


def chosen(
    board: str | None, task: list[str] | None, task_dir: list[Path] | None, usual: str | None = None
) -> tuple[Board | None, list[Task]]:
    """The board that was asked for, or the ``usual`` one without tasks, and the tasks to work on."""
    from jbench.registry import board_tasks, find_board, find_tasks
    from jbench.types import UsageError

    if board and task:
        raise UsageError("give --board or --task, not both")
    named = board or (None if task else usual)
    definition = find_board(named) if named else None
    return definition, board_tasks(definition, task_dir or []) if definition else find_tasks(task or [], task_dir or [])


def room(memory: int | None) -> int:
    """Bytes, of ``--memory``."""
    from jbench.search import MEMORY

    return memory << 20 if memory else MEMORY


def ending(failed: Collection[int]) -> typer.Exit:
    """The end of a verb, with the gravest of the exit codes that failures ask for."""
    from jbench.types import EXIT_ORDER

    return typer.Exit(next((code for code in EXIT_ORDER if code in failed), 0))


def print_outcomes(outcomes: list[Result | Failure]) -> None:
    """Results and failures as one JSON array."""
    from jbench.evaluate import Failure
    from jbench.results import as_dict

    rows = [
        {"task": o.task, "model": o.model, "error": o.error, "exit": o.exit} if isinstance(o, Failure) else as_dict(o)
        for o in outcomes
    ]
    print_json(rows)


def print_json(value: Any) -> None:
    """Indented JSON on stdout; where its encoding lacks a letter, JSON's own escapes."""
    import json

    import orjson

    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(orjson.loads(text), indent=2)
    typer.echo(text)


def drawn(board: Board, folders: list[Path] | None, task_dirs: list[Path] | None = None) -> Table:
    """The table of a board over the project's baselines and the results in ``folders``; says what it lacks."""
    from jbench import canary
    from jbench.board import draw
    from jbench.progress import display, say
    from jbench.published import cells, imported
    from jbench.registry import all_tasks, column_faults
    from jbench.resample import beside
    from jbench.results import data_hashes, located, read_all

    tasks = all_tasks(task_dirs or [])
    for fault in column_faults(board, tasks):
        say(fault)
    own, *others = roots(folders)
    found = located([own, *others], say)
    shown_tasks = {column.task for column in board.columns}
    canary.warn((result for result in found.values() if result.task in shown_tasks), say)
    at = {id(result): path for path, result in found.items()}
    numbers = (*(cells() if board.published else ()), *imported([own, *others], say))
    data = data_hashes(read_all([own], lambda complaint: None))
    with display() as shown:
        table = draw(board, [*found.values()], numbers, tasks, lambda one: beside(at[id(one)], one), data, shown.track)
    for complaint in table.complaints:
        say(complaint)
    return table


def all_results(folders: list[Path] | None) -> list[Result]:
    """The project's baselines, then those of ``folders`` (else of the usual one, if it is there)."""
    from jbench.progress import say
    from jbench.results import read_all

    return read_all(roots(folders), say)


def roots(folders: list[Path] | None, new: bool = False) -> list[Path]:
    """The folders of the project's baselines and of results; the first of these may be ``new``."""
    from jbench.registry import home
    from jbench.types import Unavailable

    if missing := next((folder for folder in (folders or [])[new:] if not folder.is_dir()), None):
        raise Unavailable(f"results folder {missing} does not exist")
    return [home("leaderboards") / "results", *(folders or [RESULTS])]


def print_said(rows: list[dict[str, Any]], json: bool) -> None:
    """Values, who says each, and what others say: `jbench.train.recipes.rows_of` something."""
    from jbench.train.recipes import written

    def others(row: dict[str, Any]) -> str:
        return "; ".join(f"{written(other['value'])} ({other['source']})" for other in row["others"])

    shown = rows if json else [{**row, "value": written(row["value"]), "others": others(row)} for row in rows]
    print_rows(shown, json, ("key", "value", "source", "others"))


def deliver(text: str, output: Path | None, check: bool) -> None:
    """Print a text, or write it to ``output``, or with ``check`` hold that file to it."""
    from jbench.files import write
    from jbench.types import JbenchError

    if output is None:
        typer.echo(text, nl=False)
    elif not check:
        write(output, text)
    elif not output.is_file():
        raise JbenchError(f"{output} does not exist; run again without --check to write it")
    elif output.read_bytes() != text.encode():
        raise JbenchError(f"{output} differs from what the results give; run again without --check to write it")


def teller(say: Callable[[str], None]) -> Callable[[Result | Failure], None]:
    """Says what came of each evaluation, and no line twice: a model that cannot be opened fails on every task."""
    said: set[str] = set()

    def tell(outcome: Result | Failure) -> None:
        if (line := _line(outcome)) not in said:
            say(line)
        said.add(line)

    return tell


def _line(outcome: Result | Failure) -> str:
    from jbench.evaluate import Failure

    if isinstance(outcome, Failure):
        if not outcome.applies:
            return f"not applicable: {outcome.error}"
        on = f" on {outcome.task}" if outcome.opened else ""
        return f"{outcome.trace}error: {outcome.model}{on}: {outcome.error}"
    cut, lost = outcome.counts["truncated"], outcome.counts["tokens_lost"]
    short = f", {cut:,} text{'s' * (cut > 1)} cut, {lost:,} token{'s' * (lost > 1)} lost" if cut else ""
    how = "stored" if outcome.host.get("stored") else f"{outcome.host['seconds']:.1f} s"
    figures = " ".join(f"{name} {value:.4f}" for name, value in outcome.scores.items())
    return f"{outcome.model} on {outcome.task}: {figures} ({how}{short})"


def print_rows(rows: list[dict[str, Any]], json: bool, columns: tuple[str, ...], width: int = 200) -> None:
    """Rows as JSON, or as a table of ``columns`` for people."""
    if json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table as RichTable

    table = RichTable(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i == 0, overflow="fold")  # what one types back is never cut
    for row in rows:
        table.add_row(*(plain(row[column]) for column in columns))
    Console(width=None if sys.stdout.isatty() else width, markup=False, highlight=False).print(table)


def plain(value: Any) -> str:
    """A value as people read it, control characters made visible."""
    from jbench.progress import visible

    if isinstance(value, dict):
        return ", ".join(f"{v!r} for {k}" if isinstance(v, str) else f"{v:,} {k}" for k, v in value.items())
    return visible(str(value))
