"""What is shown: cells in rows in a table, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jbench.exposure import Exposure, Mean
from jbench.published import IMPORTED
from jbench.registry import Board
from jbench.task import Task


@dataclass(frozen=True)
class Cell:
    """A score as a fraction, and the smallest and largest that another order of ties could give.

    A published one has a ``source``, as many ``decimals`` as were printed, and perhaps ``notes``.
    ``apart`` says why it is kept out of means and ranks (empty: it is not), ``exposure`` what the model
    has seen of the task (None: nobody knows what the task's data is). With per-query values come the
    95 % ``interval``, the best and worst of the ``ranks`` that tests leave open, and for a ranked measure
    a ``histogram`` of the values: 20 counts of equal steps from 0 to 1.
    """

    value: float
    ties: tuple[float, float] | None = None
    decimals: int | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    apart: str = ""
    exposure: Exposure | None = None
    interval: tuple[float, float] | None = None
    ranks: tuple[int, int] | None = None
    histogram: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Row:
    """One model at one revision with one set of settings; ``cells`` follow the board's columns.

    ``truncated`` counts the texts of its columns that were longer than the model reads. A row is
    measured throughout, or published throughout: then ``published`` says by whom. ``means`` are those of
    the averaged columns that are in-domain, out-of-domain and unknown to the model; no row is ranked by
    them. ``cost`` has what is known of `COSTS`.
    """

    label: str
    model: str
    revision: str
    adapter: str
    variant: Mapping[str, Any]
    unprompted: tuple[str, ...]
    truncated: int
    cells: tuple[Cell | None, ...]
    average: float | None
    published: str = ""
    means: Mapping[str, Mean] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def whose(self) -> str:
        """Whose figures these are, in words."""
        if self.published == IMPORTED:
            return f"{IMPORTED}, not measured here"
        return f"published: {self.published}" if self.published else "measured here"


COSTS = {
    "parameters": "parameters",
    "dimension": "numbers in a vector",
    "bytes_per_document": "bytes per document, its vectors as 16-bit numbers",
    "ms_per_query": "milliseconds per query, on the machine that measured it",
}
"""What a model costs, by the names of ``host.cost``, in words."""


@dataclass(frozen=True)
class Table:
    """What is rendered: rows best first, complete ones before the others.

    ``tasks`` (by id) are those of its columns that are known, ``unseen`` the columns (by id) that no row's
    model has seen, as far as is stated; ``method`` says how intervals and ranks came about, ``complaints``
    what was kept out and why.
    """

    board: Board
    rows: tuple[Row, ...]
    tasks: Mapping[str, Task] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    method: str = ""
    complaints: tuple[str, ...] = ()

    @property
    def mixed(self) -> bool:
        """Whether some rows were not measured here, or may not have been: then each says whose it is."""
        return bool(self.board.published) or any(row.published for row in self.rows)
