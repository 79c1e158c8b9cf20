"""Which rows make up which step: planned before training, and the same for any number of devices.

The library deals consecutive batches to the devices, each perhaps of another data set. Here a step's whole
batch is drawn from one data set and then cut, so that every device sees the same one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np

from jbench.train.rows import texts_of
from jbench.types import UsageError

_READ = 1000


def plan(counts: Sequence[int], batch: int, steps: int, seed: int) -> list[int]:
    """The data set of each step: those of ``counts`` rows in proportion to their whole batches, shuffled.

    An epoch uses every whole batch of every set once; epochs follow until there are enough steps.
    """
    epoch = np.repeat(np.arange(len(counts)), [count // batch for count in counts])
    rng = np.random.default_rng(seed)
    found: list[int] = []
    while len(found) < steps:
        found += rng.permutation(epoch).tolist()
    return found[:steps]


def distinct(rows: Any, batch: int) -> Iterator[list[int]]:
    """Batches of positions in which no text stands in two rows; a row that shares one waits for a later batch.

    Rows are read in order and, after the last, from the first again, for as long as batches are asked for.

    :raises UsageError: when a batch cannot be filled.
    """
    waiting: deque[tuple[int, set[str]]] = deque()
    source = _texts(rows)
    while True:
        taken: list[int] = []
        met: set[str] = set()
        later: deque[tuple[int, set[str]]] = deque()
        while len(taken) < batch:
            row, texts = waiting.popleft() if waiting else next(source)
            if met.isdisjoint(texts):
                taken.append(row)
                met |= texts
            elif len(later) > 2 * len(rows):
                raise UsageError(
                    f"too many of {len(rows):,} rows share texts to fill batches of {batch:,}: set batch_size"
                )
            else:
                later.append((row, texts))
        waiting = later
        yield taken


def _texts(rows: Any) -> Iterator[tuple[int, set[str]]]:
    names = texts_of(rows)
    while True:
        row = 0
        for some in rows.iter(_READ):
            for texts in zip(*(some[name] for name in names), strict=True):
                yield row, set(texts)
                row += 1


def planned(
    dataset: Any,
    batch_samplers: Sequence[Any],
    generator: Any = None,
    seed: int = 0,
    *,
    steps: Sequence[int],
    batch: int,
    no_duplicates: bool,
) -> Any:
    """The library's ``multi_dataset_batch_sampler``: ``steps`` is a `plan`, ``batch`` that of all devices.

    Rows are read in order, or as `distinct` gives them.
    """
    made = _planned()(dataset, batch_samplers, generator, seed)
    made.steps, made.whole = steps, batch
    made.read = distinct if no_duplicates else _in_order
    return made


def _in_order(rows: Any, batch: int) -> Iterator[list[int]]:
    return (list(range(start, start + batch)) for start in range(0, len(rows), batch))


@cache
def _planned() -> type[Any]:
    from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler

    class Planned(MultiDatasetDefaultBatchSampler):  # type: ignore[misc]
        def __len__(self) -> int:
            return int(len(self.steps) * self.whole // self.batch_size)

        def __iter__(self) -> Iterator[list[int]]:
            sets = self.dataset.datasets
            readers = [self.read(rows, self.whole) for rows in sets]
            starts = [0, *accumulate(map(len, sets))]
            for chosen in self.steps:
                rows = next(readers[chosen])
                for start in range(0, self.whole, self.batch_size):
                    yield [starts[chosen] + row for row in rows[start : start + self.batch_size]]

    return Planned
