"""``reproduce``: published figures against the same figures computed here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jbench.cli.claims import claims
from jbench.cli.common import RESULTS, Json, ResultDirs, ending, print_json, print_rows, roots, teller

if TYPE_CHECKING:
    from jbench.reproduce.cell import Cell

UNEXPLAINED = 1


def reproduce(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="simcse, jacolbert, jqara ... or claims.")
    ] = None,
    results: ResultDirs = None,
    models: Annotated[
        bool,
        typer.Option(
            "--models", help="Score the published checkpoints too (a hub, time, usually a GPU) into --results."
        ),
    ] = False,
    device: Annotated[str | None, typer.Option(help="For --models: cpu, cuda, cuda:1 ...")] = None,
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="claims: train and evaluate what is missing in this folder (takes hours)."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="claims: with --work or --print, only this small model.")
    ] = None,
    print: Annotated[bool, typer.Option("--print", help="claims: show the commands, and run nothing.")] = False,
    output: Annotated[Path | None, typer.Option(help="claims: write the table here instead of printing.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="claims: exit 1 when --output is not what would be written.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare published figures with the same figures computed here, or those of one source.

    They are measured (from run files and results), derived (from finer figures that were published too), rounded
    (published elsewhere with more decimals), or not computable here. Without --models no socket is opened. Exit 1
    when one lies outside and nobody wrote why; with --models as run does when a model fails.

    SOURCE claims: do the reports' orderings hold on small models that are trained here? Printed are their scores
    over three seeds and for each claim held, reversed or undecided, from the project's results and --results, or
    with --work DIR from what is trained and evaluated there.
    """
    from jbench.evaluate import Failure
    from jbench.models.options import Options
    from jbench.progress import display
    from jbench.reproduce import published, tally
    from jbench.reproduce import reproduce as reproduced
    from jbench.reproduce.cell import OUTSIDE
    from jbench.reproduce.measure import score
    from jbench.results import data_hashes, read_all
    from jbench.types import UsageError

    if source == "claims":
        _refuse({"--models": models, "--device": device}, "published figures, not with claims")
        claims(results, work, only, print, output, check, json)
        return
    asked = {"--work": work, "--only": only, "--print": print, "--output": output, "--check": check}
    _refuse(asked, "jbench reproduce claims")
    wanted = published(source)
    if device and not models:
        raise UsageError("--device goes with --models")
    folders = roots(results, new=models)
    failures: dict[tuple[str, str], str] = {}
    failed: set[int] = set()
    if not models:
        os.environ["JBENCH_OFFLINE"] = "1"
    with display() as shown:
        if models:
            tell = teller(shown.say)
            options = Options(device=device, say=shown.say, track=shown.track)
            for outcome in score(wanted, (results or [RESULTS])[0], options):
                tell(outcome)
                if isinstance(outcome, Failure):
                    failures[outcome.model, outcome.task] = outcome.error
                    failed |= {outcome.exit} if outcome.applies else set()
        data = data_hashes(read_all(folders[:1], lambda complaint: None))
        found = reproduced(wanted, read_all(folders, shown.say), failures, data, shown.say, shown.track)
        open_ = [cell for cell in found if cell.unexplained]
        for cell in open_:
            one = cell.printed
            shown.say(f"outside, no reason known: {one.origin}: {one.model}, {one.task} {one.measure}")
    if json:
        print_json({"counts": tally(found), "cells": [cell.as_dict() for cell in found]})
    else:
        rows = tally(found)
        print_rows(rows, json, tuple(rows[0]))
        listed = {
            "of models that were run here": [cell for cell in found if cell.of_model],
            "outside": [cell for cell in found if cell.verdict == OUTSIDE and not cell.of_model],
        }
        for title, cells in listed.items():
            if cells:
                typer.echo(f"\n{title}")
                print_rows([_row(cell) for cell in cells], json, _COLUMNS)
        if needs := Counter(cell.reason for cell in found if cell.computed is None):
            typer.echo("\nnot computable here: what it would take")
            print_rows([{"cells": n, "needs": reason} for reason, n in needs.most_common()], json, ("cells", "needs"))
    raise ending(failed | ({UNEXPLAINED} if open_ else set()))


_COLUMNS = ("source", "model", "task", "measure", "published", "computed", "distance", "verdict", "reason")


def _row(cell: Cell) -> dict[str, Any]:
    """A cell for people."""
    distance = "" if cell.distance is None else f"{cell.distance:+.2g}"
    return {**cell.as_dict(), "computed": cell.shown, "distance": distance}


def _refuse(asked: Mapping[str, object], what: str) -> None:
    from jbench.types import UsageError

    if stray := [option for option, value in asked.items() if value]:
        raise UsageError(f"{stray[0]} goes with {what}")
