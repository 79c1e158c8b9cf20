"""``train``: a report's recipe, from base model and data to a checkpoint."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from jbench.cli.common import Json, print_json, print_rows, print_said


def train(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="simcse-sup, jacolbert-v2.5, ruri-base ...; without, a list.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The folder of the checkpoint, new.")] = None,
    base: Annotated[str | None, typer.Option(help="Another base model: ./folder or org/name.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Train on this (janli, jsnli:PATH, mined.parquet); several may be given.")
    ] = None,
    set: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="E.g. steps=300.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was begun.")] = False,
    print: Annotated[
        bool, typer.Option("--print", help="Show the recipe with its sources, and train nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a model by a report's recipe; --print shows each value, who says it, and what others say."""
    from jbench.models.options import key_values
    from jbench.train.recipes import RECIPES, changed, described, find_recipe
    from jbench.types import UsageError

    if recipe is None:
        known = map(find_recipe, RECIPES)
        rows = [{"recipe": one.name, "base": one.base, "data": ", ".join(one.data)} for one in known]
        print_rows(rows, json, tuple(rows[0]))
        return
    chosen = changed(find_recipe(recipe), key_values("--set", set or [], "KEY=VALUE, such as steps=300"))
    if base:
        chosen = changed(chosen, {"base": base}, "--base")
    if data:
        chosen = changed(chosen, {"data": tuple(data)}, "--data")
    if print:
        print_said(described(chosen), json)
        return
    if output is None:
        raise UsageError("--output names the folder of the checkpoint (--print shows the recipe)")

    from jbench.progress import display
    from jbench.train import loop, masked
    from jbench.train.needs import opened
    from jbench.train.recipes import Masked

    with display() as screen:
        sets = opened(chosen)
        command = shlex.join(["jbench", *(word for word in sys.argv[1:] if word != "--resume")])
        run = masked.train if isinstance(chosen, Masked) else loop.train
        log = run(chosen, sets, output, resume=resume, command=command, say=screen.say)  # type: ignore[arg-type]
        screen.say(f"{output}: evaluate it with jbench run {output}")
    if json:
        print_json(log)
