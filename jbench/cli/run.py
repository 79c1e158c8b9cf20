"""``run`` and ``fetch``: models over tasks, and what they need brought here first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jbench.cli.common import (
    RESULTS,
    Json,
    Memory,
    Models,
    TaskDirs,
    chosen,
    drawn,
    ending,
    print_outcomes,
    print_rows,
    room,
    teller,
)

if TYPE_CHECKING:
    from jbench.evaluate import Failure
    from jbench.registry import Board
    from jbench.types import Result


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
    memory: Memory = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Keep no embeddings on disk, and use none.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Open no socket.")] = False,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run code in a checkpoint.")] = False,
    trained_on: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the model was trained on (TOML or JSON), for its exposure."),
    ] = None,
) -> None:
    """Evaluate models; without arguments, the embedded board mini with its own models."""
    from jbench.memory import keep_memory
    from jbench.models.options import Options, key_values
    from jbench.progress import display
    from jbench.types import UsageError

    if offline:
        # The hub's client reads its switch once, at import.
        os.environ.update(JBENCH_OFFLINE="1", HF_HUB_OFFLINE="1")
    definition, tasks = chosen(board, task, task_dir, usual="mini")
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

    keep_memory()
    from jbench.board import draw, of_tasks
    from jbench.evaluate import Failure, evaluate
    from jbench.render import markdown

    outcomes: list[Result | Failure] = []
    with display() as shown:
        tell = teller(shown.say)
        options = Options(
            name=name,
            prompts={role: text.replace("\\n", "\n") for role, text in prompts.items()},
            settings=asked,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            training=training,
            store=not no_store,
            memory=room(memory),
            say=shown.say,
            track=shown.track,
        )
        for outcome in evaluate(names, tasks, results, options, overwrite):
            tell(outcome)
            outcomes.append(outcome)
    done = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    if json:
        print_outcomes(outcomes)
    elif done and definition:
        _print_board(definition, results, task_dir, all(outcome.host.get("stored") for outcome in done))
    elif done:
        typer.echo(markdown.render(draw(of_tasks(tasks), done)), nl=False)
    # On a board, a task that is not for this model is no failure, unless nothing else was left.
    tried = any(not isinstance(o, Failure) or o.applies for o in outcomes)
    counted = [o for o in outcomes if isinstance(o, Failure) and (o.applies or not (definition and tried))]
    failed = {outcome.exit for outcome in counted}
    raise ending(failed)


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

    definition, tasks = chosen(board, task, task_dir)
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
        print_rows(rows, json, ("what", "source", "files", "size", "state"))
    raise ending(failed)


def _print_board(board: Board, results: Path, task_dirs: list[Path] | None, stored: bool) -> None:
    """The board with the project's baselines and all results at hand; also written beside them.

    Where every result was ``stored`` the folder may be one that can only be read: then that is said.
    """
    from jbench.files import write
    from jbench.progress import say
    from jbench.render import markdown
    from jbench.types import Unavailable

    text = markdown.render(drawn(board, [results], task_dirs))
    path = results / f"{board.id}.md"
    try:
        write(path, text)
    except Unavailable as error:
        if not stored:
            raise
        written = f"{error}; the board is printed alone"
    else:
        written = f"written to {path}"
    typer.echo(text, nl=False)
    say(written)


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
