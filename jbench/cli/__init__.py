"""The verbs. No logic: each reads its options, calls a room, prints what comes back.

Everything heavy is imported inside a verb, so that ``jbench --help`` stays as quick as typer.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Annotated

import typer

from jbench.cli.board import board, compare
from jbench.cli.exchange import export, import_
from jbench.cli.listing import models, tasks
from jbench.cli.mine import mine
from jbench.cli.overlap import overlap
from jbench.cli.reproduce import reproduce
from jbench.cli.run import fetch, run
from jbench.cli.synth import synth
from jbench.cli.train import train

app = typer.Typer(
    help="Score embedding and retrieval checkpoints on Japanese tasks. Data goes to stdout, messages to stderr.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED, TERMINATED = 130, 143


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


for verb in (run, tasks, models, fetch, board, compare, reproduce, overlap, mine, import_, export, train, synth):
    app.command(verb.__name__.rstrip("_"))(verb)  # import is a word of Python's own


def main() -> None:
    """The command ``jbench``: errors of the user's become one line and an exit code."""
    # A console that is not UTF-8 must not end the work: a letter that it lacks is written as its escape.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # As Ctrl-C does, it ends the work where what was begun is cleared away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    try:
        app()
    except SystemExit as stop:
        if stop.code in (INTERRUPTED, TERMINATED):
            print(
                "stopped; what was finished or stored stays, and the same command goes on (train: with --resume)",
                file=sys.stderr,
            )
        raise
    except Exception as error:
        from jbench.progress import visible
        from jbench.types import JbenchError

        if isinstance(error, OSError) and error.errno:
            print(f"error: {error.strerror}: {error.filename or 'standard output'}", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the flush at exit must not fail again
            sys.exit(5)
        if not isinstance(error, JbenchError):
            raise
        print(f"error: {visible(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(error.exit)
