"""What a trainer is given: rows of texts, and what they were read from.

Where a set has several texts to choose from (a premise with its hypotheses, a question with its mined
negatives), an example is drawn anew for every epoch, as a function of seed and epoch alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from jbench.source import Source
from jbench.types import Collection, UsageError

SEED = 42
"""What the SimCSE report samples with wherever it samples (simple-simcse-ja, src/datasets)."""

ROLES = ("anchor", "positive", "negative")
"""The columns of what is drawn from: a text each, or a list of texts."""

_BATCH = 4096
_TRIES = 1000


@dataclass(frozen=True)
class TrainingSet:
    """Examples and where they come from. ``name`` and ``split`` are those of the exposure ledger.

    ``held`` is a `datasets.Dataset`: the examples themselves, or, with ``columns``, what they are drawn from
    (the columns of `ROLES`, lists of texts), and ``columns`` are what those of an example are then called.
    ``sources`` name the files that were read. ``collection`` are the passages of a set of questions and which
    of them answer each: what `jbench mine` searches. ``teacher`` says whose the scores of ``held`` are, where that
    is known: its ``model`` and what is known of its ``training``, a record of `jbench.manifest`.
    """

    name: str
    split: str
    revision: str
    sources: tuple[str, ...]
    held: Any
    columns: tuple[str, ...] = ()
    collection: Collection | None = None
    teacher: Mapping[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many examples an epoch has."""
        return len(self.held)

    @cached_property
    def rows(self) -> Any:
        """The examples, of sets that are drawn those of epoch 0 under `SEED`.

        Columns: ``anchor`` or ``query``, ``positive``, negatives; of plain sentences ``text`` alone. For
        distillation ``scores`` comes last (a list of floats, the positive's first).
        """
        return self.epoch(SEED, 0)

    def epoch(self, seed: int, epoch: int) -> Any:
        """The examples of one epoch (from 0), in the set's own order; always the same where nothing is drawn."""
        return draw(self.held, self.columns, seed, epoch, self.name) if self.columns else self.held

    def examples(self, count: int, seed: int, batch: int = 1) -> Any:
        """``count`` examples, to be read in this order: epochs one after another, each drawn and shuffled anew.

        Of each epoch only whole batches are used, as by a loader that drops the last one.

        :raises UsageError: when the set has fewer examples than a batch.
        """
        from datasets import concatenate_datasets

        whole = self.count // batch * batch
        if not whole:
            raise UsageError(f"{self.name} has {self.count} examples, fewer than a batch of {batch}")
        parts = []
        for epoch, start in enumerate(range(0, count, whole)):
            order = np.random.default_rng((seed, epoch)).permutation(self.count)
            parts.append(self.epoch(seed, epoch).select(order[: min(whole, count - start)]))
        return concatenate_datasets(parts)

    def texts(self) -> Iterator[str]:
        """Every text that an example may hold; one that stands in several rows comes several times."""
        names = [name for name in self.held.column_names if name != "scores"]
        for batch in self.held.select_columns(names).iter(_BATCH):
            for column in batch.values():
                for value in column:
                    yield from texts_of(value)

    def record(self) -> dict[str, Any]:
        """As a checkpoint's training manifest lists it."""
        return {
            "name": self.name,
            "split": self.split,
            "revision": self.revision,
            "count": self.count,
            "sources": list(self.sources),
        }


def texts_of(value: Any) -> list[str]:
    """A text, or a list of texts, as a list; of anything else none."""
    return [value] if isinstance(value, str) else list(value) if isinstance(value, list) else []


def readable(value: Any) -> bool:
    """Whether it is a text with something to read."""
    return isinstance(value, str) and bool(value.strip())


def made(
    name: str,
    split: str,
    files: Sequence[Source],
    held: Any,
    columns: Sequence[str] = (),
    collection: Collection | None = None,
) -> TrainingSet:
    """A training set of what ``files`` held.

    :raises UsageError: when it is empty.
    """
    if not len(held):
        raise UsageError(f"{name} has no examples")
    return TrainingSet(name, split, *_read_from(files), held, tuple(columns), collection)


def _read_from(files: Sequence[Source]) -> tuple[str, tuple[str, ...]]:
    """The revision of what was read (of a file on this machine, its bytes' sha256), and the files' names."""
    revisions = {file.revision or f"sha256:{file.find().sha256}" for file in files}
    return ", ".join(sorted(revisions)), tuple(file.name for file in files)


def draw(lists: Any, columns: Sequence[str], seed: int, epoch: int, name: str) -> Any:
    """One example a row of ``lists``, as ``columns``: one of its anchors, one of its positives, distinct negatives.

    A negative that a row lacks is another row's positive: the report's rule (simple-simcse-ja, src/dataset.py).
    Unlike there it is never one of the row's own texts. Scores (of the positives, then of the negatives) are
    drawn along, and then nothing is taken from elsewhere.

    :raises UsageError: when a row lacks a text that cannot be had.
    """
    import pyarrow as pa
    from datasets import Dataset

    rng = random.Random(f"{seed} {epoch}")  # noqa: S311
    positives = lists.data.column("positive")
    tables = []
    for start in range(0, len(lists), _BATCH):
        batch = lists[start : start + _BATCH]
        size = len(batch["positive"])
        sides = [map(texts_of, batch.get(role, [None] * size)) for role in ROLES]
        scores = batch["scores"] if columns[-1] == "scores" else [None] * size
        examples = []
        for number, (anchors, right, wrong, given) in enumerate(zip(*sides, scores, strict=True), start + 1):
            if not (anchors and right and all(map(readable, (*anchors, *right, *wrong)))):
                raise UsageError(f"{name}: row {number} has an empty text")
            which = rng.randrange(len(right))
            wanted = len(columns) - 2 - (given is not None)
            others = rng.sample(range(len(wrong)), min(len(wrong), wanted))
            example: list[Any] = [rng.choice(anchors), right[which], *(wrong[i] for i in others)]
            if given is not None:
                if len(others) < wanted or len(given) != len(right) + len(wrong):
                    raise UsageError(f"{name}: row {number} has not {wanted} negatives and a score for each text")
                example.append([given[which], *(given[len(right) + i] for i in others)])
            while len(example) < len(columns):
                example.append(_another(positives, {*example, *anchors, *right}, rng, name))
            examples.append(example)
        tables.append(pa.table(list(map(pa.array, zip(*examples, strict=True))), list(columns)))
    return Dataset(pa.concat_tables(tables))


def _another(positives: Any, without: set[str], rng: random.Random, name: str) -> str:
    for _ in range(_TRIES):
        if (text := rng.choice(texts_of(positives[rng.randrange(len(positives))].as_py()))) not in without:
            return text
    raise UsageError(f"{name}: a row lacks a negative, and no other row has a text to take instead")
