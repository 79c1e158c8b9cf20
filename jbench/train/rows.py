"""From training sets to the columns that a loss reads, in the order in which they are read."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jbench.train.data.training_set import readable
from jbench.types import UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet

SCORES = "scores"
_SENTENCE = re.compile(r"(?<=[。！？!?])")


def texts_of(rows: Any) -> list[str]:
    """The columns that hold texts (the library adds one with the data set's name, which is not listed)."""
    return [name for name in rows.column_names if name != SCORES]


def read(sets: Sequence[TrainingSet], count: int, seed: int, batch: int, negatives: int, exact: bool = False) -> Any:
    """``count`` rows of all ``sets`` together, in reading order: query, positive, up to ``negatives`` others.

    Several sets are mixed by their size. Scores are kept where every set has them.

    :raises UsageError: for a set with too few columns or rows, or with an empty text.
    """
    from datasets import concatenate_datasets

    total = sum(one.count for one in sets)
    shares = [one.count * count // total for one in sets]
    shares[0] += count - sum(shares)
    parts = [
        _shaped(one, share, seed, batch if len(sets) == 1 else 1, negatives, exact)
        for one, share in zip(sets, shares, strict=True)
        if share
    ]
    if len(parts) == 1:
        return parts[0]
    shared = [name for name in parts[0].column_names if all(name in part.column_names for part in parts)]
    if len({texts_of(part)[0] for part in parts}) > 1:
        raise UsageError("the training sets call their first column by different names; train on them one by one")
    return concatenate_datasets([part.select_columns(shared) for part in parts]).shuffle(seed=seed)


def _shaped(one: TrainingSet, count: int, seed: int, batch: int, negatives: int, exact: bool) -> Any:
    """The columns that a loss reads: a text and its positive, up to ``negatives`` more, and their scores."""
    rows = one.examples(count, seed, batch)
    texts = texts_of(rows)
    if len(texts) == 1:
        rows = rows.add_column("positive", rows[texts[0]][:])
        texts = [*texts, "positive"]
    wanted = texts[: 2 + negatives]
    if exact and len(wanted) < 2 + negatives:
        has = f"{one.name} has {len(texts) - 2 or 'no'} negative{'s' * (len(texts) != 3)} a row"
        raise UsageError(f"{has}, and the recipe needs {negatives}: jbench mine finds some")
    for column in wanted:
        if next(_empty(rows, column), None) is not None:
            row = next(_empty(one.rows, column))  # as the file has them, not as they are read
            raise UsageError(f"{one.name}: column {column} has no text in row {row}")
    scored = SCORES in rows.column_names
    rows = rows.select_columns([*wanted, SCORES] if scored else wanted)
    if scored and len(wanted) < len(texts):
        rows = rows.map(lambda row: {SCORES: row[SCORES][: len(wanted) - 1]})
    return rows


def without_scores(rows: Any) -> Any:
    """The same for a loss that reads none."""
    return rows.select_columns(texts_of(rows))


def shuffled(rows: Any, seed: int) -> Any:
    """With the sentences of every positive in another order, Ruri's augmentation ("shuffle positive").

    A sentence ends with 。, ！ or ？; the report cuts with konoha. A text's order depends on it and the seed. The
    negatives keep theirs, so that a reranker can learn to tell the order from the other in place of what is asked.
    """

    def mixed(text: str) -> str:
        sentences = [part for part in _SENTENCE.split(text) if part]
        random.Random(f"{seed} {text}").shuffle(sentences)  # noqa: S311
        return "".join(sentences)

    return rows.map(lambda batch: {"positive": [mixed(text) for text in batch["positive"]]}, batched=True)


def _empty(rows: Any, column: str) -> Iterator[int]:
    """The numbers of the rows, from 1, that have no text there."""
    row = 0
    for batch in rows.select_columns([column]).iter(10_000):
        for text in batch[column]:
            row += 1
            if not readable(text):
                yield row
