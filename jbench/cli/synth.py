"""``synth``: training data that a language model writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jbench.cli.common import Json, print_json, print_said


def synth(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="autowikiqa or autowikinli.")],
    data: Annotated[
        str | None, typer.Option(help="The texts to write from: text:passages.parquet, jaquad, pairs.jsonl ...")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write: .jsonl or .parquet.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="An OpenAI-compatible one, such as http://127.0.0.1:8000/v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Who writes, as the endpoint calls it.")] = None,
    key_env: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="Which environment variable has the key (OPENAI_API_KEY).")
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A field of every request, such as temperature=0.7.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many texts.")] = None,
    concurrency: Annotated[int, typer.Option(help="Requests at a time.")] = 8,
    retries: Annotated[int, typer.Option(help="How often a failed request is sent again.")] = 6,
    judge: Annotated[str | None, typer.Option(metavar="NAME", help="A model of the endpoint that scores rows.")] = None,
    drop: Annotated[float | None, typer.Option(help="The worst share by --judge (0.2, the report's).")] = None,
    print: Annotated[
        bool, typer.Option("--print", help="Show prompts and rules with who says them, and call nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Have a language model write training data from texts; nothing is called without --endpoint and --model.

    Answers are kept as they come: the same command goes on where it was stopped.
    """
    from jbench.models.options import key_values
    from jbench.train.recipes import rows_of
    from jbench.train.synth.kinds import DROP, find_kind
    from jbench.types import UsageError

    chosen = find_kind(kind)
    if print:
        print_said(rows_of(chosen.said), json)
        return
    if data is None or output is None or endpoint is None or model is None:
        raise UsageError("give --data, --output, --endpoint URL and --model NAME (--print shows what would be asked)")
    if drop is not None and judge is None:
        raise UsageError("--drop is of what --judge scores; name its model")

    from jbench.progress import display
    from jbench.train.data import open_set
    from jbench.train.synth.endpoint import Endpoint, key_of
    from jbench.train.synth.pipeline import Plan, listed, synthesise, typed

    settings = typed(key_values("--set", set or [], "KEY=VALUE, such as temperature=0.7"))
    plan = Plan(model, settings, limit, judge, DROP if drop is None else drop)
    place = Endpoint(endpoint, key_of(key_env), concurrency, retries)
    with display() as shown:
        counts = synthesise(chosen, open_set(data), plan, place, output, shown.say, shown.track)
        shown.say(f"{output}: {listed(counts)}")
    if json:
        print_json(counts)
