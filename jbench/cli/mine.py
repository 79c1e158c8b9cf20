"""``mine``: hard negatives for a training set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jbench.cli.common import Memory, room


def mine(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Training data: jaquad, miracl, pairs.jsonl ...")],
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="What searches: bm25:mecab, ./checkpoint, rrf(A, B) ...")
    ],
    output: Annotated[Path, typer.Option(help="The file to write, or to write anew: .parquet or .jsonl.")],
    ranks: Annotated[
        str, typer.Option(metavar="FIRST-LAST", help="Which ranks, the question's own passages left out.")
    ],
    sample: Annotated[int | None, typer.Option(help="How many of them, at random (else all).")] = None,
    seed: Annotated[int, typer.Option(help="For the sample.")] = 42,
    filter: Annotated[str | None, typer.Option(metavar="MODEL", help="What scores them, such as ./reranker.")] = None,
    below: Annotated[float | None, typer.Option(help="Keep those that --filter scores below this.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="Search the passages of this .parquet or .jsonl instead.")] = None,
    column: Annotated[str, typer.Option(help="Which column of --corpus has the passages.")] = "text",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32 (default), bf16 or fp16 weights, of the filter too.")] = None,
    memory: Memory = None,
) -> None:
    """Mine hard negatives: what a searcher ranks high for a question and does not answer it.

    The reports: --ranks 11-110 --sample 25 of a dense model, --ranks 11-20 of BM25, --ranks 30-100 of rrf(A, B).
    """
    from jbench.files import ready
    from jbench.memory import keep_memory
    from jbench.models.load import open_together
    from jbench.models.options import Options
    from jbench.progress import display
    from jbench.train.data import open_set
    from jbench.train.mining import Plan, provenance, questions, ranks_of, save
    from jbench.train.mining import mine as mined
    from jbench.types import UsageError

    keep_memory()
    if below is not None and filter is None:
        raise UsageError("--below is of what --filter scores; name its model")
    plan = Plan(ranks_of(ranks), sample, seed, below)
    ready(output)
    with display() as shown:
        options = Options(device=device, dtype=dtype, store=True, memory=room(memory), say=shown.say, track=shown.track)
        searcher, *filters = open_together([model, *([filter] if filter else [])], options)
        judge = filters[0] if filters else None
        opened = open_set(data)
        told = provenance(opened, corpus, searcher.card, plan, judge.card if judge else None)
        counts = save(output, mined(questions(opened, corpus, column), searcher, plan, judge, shown.track), told)
        shown.say(
            f"{output}: {counts['negatives']:,} negatives of {counts['questions']:,} questions, "
            f"{counts['without']:,} of them without any"
        )
