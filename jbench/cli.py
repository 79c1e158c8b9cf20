"""The verbs. No logic: each reads its options, calls a room, prints what comes back.

Everything heavy is imported inside a verb, so that ``jbench --help`` stays as quick as typer.
"""

from __future__ import annotations

import os
import signal
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

app = typer.Typer(
    help="Score embedding and retrieval checkpoints on Japanese tasks. Data goes to stdout, messages to stderr.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RESULTS = Path("jbench-results")
INTERRUPTED, TERMINATED = 130, 143
REGRESSION = 4

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="org/name[@revision], ./folder, bm25:mecab, run:PATH, rerank(FIRST, DEPTH, SECOND), rrf(A, B) ...",
    ),
]
TaskDirs = Annotated[list[Path] | None, typer.Option("--task-dir", help="A folder of task files of your own.")]
ResultDirs = Annotated[list[Path] | None, typer.Option("--results", help="Folders of results.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.")]


def _show_version(asked: bool) -> None:
    if asked:
        from jbench import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    pass


@app.command()
def run(
    models: Models = None,
    board: Annotated[str | None, typer.Option(help="Evaluate this board's tasks (without --task: mini).")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Evaluate this task; may be given several times.")] = None,
    task_dir: TaskDirs = None,
    results: Annotated[Path, typer.Option(help="Where results are kept.")] = RESULTS,
    json: Json = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Compute again what is there already.")] = False,
    name: Annotated[str | None, typer.Option(help="What to call the model (one model only).")] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=TEXT", help="E.g. query='query: '; \\n is a line break.")
    ] = None,
    model_set: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="E.g. pooling=mean.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32 (default), bf16 or fp16 weights; scores stay fp32.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Open no socket.")] = False,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run code in a checkpoint.")] = False,
    trained_on: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the model was trained on (TOML or JSON), for its exposure."),
    ] = None,
) -> None:
    """Evaluate models; without arguments, the embedded board mini with its own models."""
    from jbench.models.options import Options, key_values
    from jbench.progress import display
    from jbench.types import UsageError

    if offline:
        # The hub's client reads its switch once, at import.
        os.environ.update(JBENCH_OFFLINE="1", HF_HUB_OFFLINE="1")
    definition, tasks = _chosen(board, task, task_dir, usual="mini")
    if task_dir and not task and not board:
        raise UsageError("--task-dir adds tasks; name those to evaluate with --task")
    names = models or list(definition.models if definition else ())
    if not names:
        raise UsageError("name a model, such as bm25:char-bigram or ./checkpoint")
    if name == "":
        raise UsageError("--name is empty")
    if (name or trained_on) and len(names) > 1:
        raise UsageError(f"{'--name' if name else '--trained-on'} goes with one model")
    prompts = key_values("--prompt", prompt or [], "ROLE=TEXT, such as query='query: '")
    asked = key_values("--model-set", model_set or [], "KEY=VALUE, such as pooling=mean")
    training = _declared(trained_on, task_dir or []) if trained_on else {}

    from jbench.board import draw, of_tasks
    from jbench.evaluate import Failure, evaluate
    from jbench.render import markdown

    outcomes: list[Result | Failure] = []
    with display() as shown:
        tell = _teller(shown.say)
        options = Options(
            name=name,
            prompts={role: text.replace("\\n", "\n") for role, text in prompts.items()},
            settings=asked,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            training=training,
            say=shown.say,
            track=shown.track,
        )
        for outcome in evaluate(names, tasks, results, options, overwrite):
            tell(outcome)
            outcomes.append(outcome)
    done = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    if json:
        _print_json(outcomes)
    elif done and definition:
        _print_board(definition, results)
    elif done:
        typer.echo(markdown.render(draw(of_tasks(tasks), done)), nl=False)
    # On a board, a task that is not for this model is no failure, unless nothing else was left.
    counted = [o for o in outcomes if isinstance(o, Failure) and (o.applies or not (definition and done))]
    failed = {outcome.exit for outcome in counted}
    raise _exit(failed)


@app.command()
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
    _print_rows(rows, json, ("task", "kind", "main", "counts", "license", "data"))


@app.command()
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
    measured = {result.model: f"measured, {result.adapter}" for result in _all_results(results)}
    rows += [{"model": m, "what": what, "prompts": {}} for m, what in measured.items() if m not in LEXICAL]
    _print_rows(rows, json, ("model", "what", "prompts"))


@app.command()
def fetch(
    models: Models = None,
    board: Annotated[str | None, typer.Option(help="This board's tasks; without MODEL, its models too.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="This task's files; may be given several times.")] = None,
    task_dir: TaskDirs = None,
    convert: Annotated[bool, typer.Option("--convert", help="Make safetensors of pytorch_model.bin.")] = False,
    json: Json = False,
) -> None:
    """Bring the files of tasks and models here, for a machine that will have no network."""
    from dataclasses import asdict

    from jbench.fetch import Failure
    from jbench.fetch import fetch as fetched
    from jbench.progress import display
    from jbench.types import UsageError

    definition, tasks = _chosen(board, task, task_dir)
    names = models or list(definition.models if definition else ())
    if not tasks and not names:
        raise UsageError("name what to fetch: --task ID, --board NAME, or a model such as org/name")
    outcomes = []
    with display() as shown:
        for outcome in fetched(tasks, names, convert, shown.say):
            if isinstance(outcome, Failure):
                shown.say(f"{outcome.trace}error: {outcome.what}: {outcome.error}")
            outcomes.append(outcome)
    failed = {outcome.exit for outcome in outcomes if isinstance(outcome, Failure)}
    if json:
        rows = [{key: value for key, value in asdict(outcome).items() if key != "trace"} for outcome in outcomes]
    else:
        rows = [{**asdict(o), "size": o.size} for o in outcomes if not isinstance(o, Failure)]
    if rows or json:
        _print_rows(rows, json, ("what", "source", "files", "size", "state"))
    raise _exit(failed)


@app.command()
def board(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mini, core.v1, or the path of a .toml file.")],
    results: ResultDirs = None,
    format: Annotated[str | None, typer.Option(help="md (default), csv or json; else by --output's ending.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write here instead of printing.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when --output is not what would be written.")] = False,
) -> None:
    """Draw a board from the project's own baselines and your results."""
    from jbench.files import write
    from jbench.registry import find_board
    from jbench.render import FORMATS
    from jbench.types import JbenchError, UsageError, unknown

    format = format or (output.suffix[1:] if output else "") or "md"
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if check and output is None:
        raise UsageError("--check compares with --output FILE")
    text = FORMATS[format](_drawn(find_board(name), results))
    if output is None:
        typer.echo(text, nl=False)
    elif not check:
        write(output, text)
    elif not output.is_file() or output.read_text(encoding="utf-8") != text:
        raise JbenchError(f"{output} differs from what the results give; run again without --check to write it")


@app.command()
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
    definition, tasks = _chosen(board, task, task_dir)
    if task_dir and not tasks:
        raise UsageError("--task-dir adds tasks; name those to compare on with --task")
    with display() as shown:
        report = compared(
            (a, b),
            _roots(results, new=True),
            (results or [RESULTS])[0],
            tasks,
            definition,
            Options(say=shown.say, track=shown.track),
            resamples,
            seed,
            _teller(shown.say),
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
        _echo_json(report.as_dict())
    elif rows := report.rows():
        _print_rows(rows, json, tuple(rows[0]))
        typer.echo(visible(report.method()))
    raise _exit(failed)


@app.command()
def overlap(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="A .txt, .tsv, .jsonl, .parquet, github:OWNER/NAME@COMMIT/PATH, or a task."),
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
    _print_rows(rows, json, ("side", "texts", "exact", "normalised", "shared", "contained", "containment"))
    for row in [] if json else [{"side": found["side"], **shown} for found in rows for shown in found["examples"]]:
        typer.echo("  ".join(_plain(value) for value in row.values()))


def _chosen(
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


def _exit(failed: Collection[int]) -> typer.Exit:
    """The end of a verb, with the gravest of the exit codes that failures ask for."""
    from jbench.types import EXIT_ORDER

    return typer.Exit(next((code for code in EXIT_ORDER if code in failed), 0))


def _print_json(outcomes: list[Result | Failure]) -> None:
    from jbench.evaluate import Failure
    from jbench.results import as_dict

    rows = [
        {"task": o.task, "model": o.model, "error": o.error, "exit": o.exit} if isinstance(o, Failure) else as_dict(o)
        for o in outcomes
    ]
    _echo_json(rows)


def _echo_json(value: Any) -> None:
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _print_board(board: Board, results: Path) -> None:
    """The board with the project's baselines and all results at hand; also written beside them."""
    from jbench.files import write
    from jbench.progress import say
    from jbench.render import markdown

    text = markdown.render(_drawn(board, [results]))
    path = results / f"{board.id}.md"
    write(path, text)
    typer.echo(text, nl=False)
    say(f"written to {path}")


def _drawn(board: Board, folders: list[Path] | None) -> Table:
    from jbench.board import draw
    from jbench.published import cells

    return draw(board, _all_results(folders), cells() if board.published else ())


def _all_results(folders: list[Path] | None) -> list[Result]:
    """The project's baselines, then those of ``folders`` (else of the usual one, if it is there)."""
    from jbench.progress import say
    from jbench.results import read_all

    return read_all(_roots(folders), say)


def _roots(folders: list[Path] | None, new: bool = False) -> list[Path]:
    """The folders of the project's baselines and of results; the first of these may be ``new``."""
    from jbench.registry import home
    from jbench.types import Unavailable

    if missing := next((folder for folder in (folders or [])[new:] if not folder.is_dir()), None):
        raise Unavailable(f"results folder {missing} does not exist")
    return [home("leaderboards") / "results", *(folders or [RESULTS])]


def _teller(say: Callable[[str], None]) -> Callable[[Result | Failure], None]:
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


def _declared(path: Path, task_dirs: list[Path]) -> dict[str, Any]:
    """What ``--trained-on`` declares; data sets that nobody knows are named, as they may be slips."""
    from jbench.exposure import strays
    from jbench.manifest import declared
    from jbench.progress import say
    from jbench.registry import all_tasks

    training = declared(path)
    for stray in strays(training, all_tasks(task_dirs).values()):
        say(f"{path.name}: {stray}")
    return training


def _print_exposure(results: list[Path] | None, task_dirs: list[Path], json: bool) -> None:
    from jbench.exposure import LEGEND, as_dict, columns, conflicts, matrix
    from jbench.registry import all_tasks

    rows = matrix(_all_results(results), all_tasks(task_dirs).values())
    if json:
        _print_rows([as_dict(row) for row in rows], json, ())
        return
    rows = [row for row in rows if row.known]
    heads = {source: source.removeprefix("JGLUE/").replace(":", "\n") for source in columns(rows)}
    shown = [{"model": row.name, **{head: row.sources[source].word for source, head in heads.items()}} for row in rows]
    _print_rows(shown, json, ("model", *heads.values()), width=60 + 13 * len(heads))
    typer.echo("\n".join(["", LEGEND, *conflicts(rows)]))


def _print_rows(rows: list[dict[str, Any]], json: bool, columns: tuple[str, ...], width: int = 200) -> None:
    if json:
        _echo_json(rows)
        return
    from rich.console import Console
    from rich.table import Table as RichTable

    table = RichTable(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i == 0, overflow="fold")  # what one types back is never cut
    for row in rows:
        table.add_row(*(_plain(row[column]) for column in columns))
    Console(width=None if sys.stdout.isatty() else width, markup=False, highlight=False).print(table)


def _plain(value: Any) -> str:
    from jbench.progress import visible

    if isinstance(value, dict):
        return ", ".join(f"{v!r} for {k}" if isinstance(v, str) else f"{v:,} {k}" for k, v in value.items())
    return visible(str(value))


def main() -> None:
    """The command ``jbench``: errors of the user's become one line and an exit code."""
    # As Ctrl-C does, it ends the work where what was begun is cleared away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    try:
        app()
    except SystemExit as stop:
        if stop.code in (INTERRUPTED, TERMINATED):
            print("stopped; what was finished is saved, and the same command goes on from there", file=sys.stderr)
        raise
    except Exception as error:
        from jbench.types import JbenchError

        if isinstance(error, OSError) and error.errno:
            print(f"error: {error.strerror}: {error.filename or 'standard output'}", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the flush at exit must not fail again
            sys.exit(5)
        if not isinstance(error, JbenchError):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit)
