"""One published figure, and how it compares with the same figure computed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from jbench.published import PublishedCell

MEASURED, DERIVED, ROUNDED, NOT_COMPUTABLE = KINDS = ("measured", "derived", "rounded", "not computable")
"""From runs or models; recomputed from finer figures; the same figure, elsewhere with more decimals; none, here."""
EQUAL, INSIDE, NEAR, OUTSIDE = VERDICTS = ("equal", "inside", "near", "outside")
NEAR_BY = 1e-4
"""How far from what was printed the figure of a model that was run here may lie and still be *near*.

Another batch or another library moved a float32 model's Spearman by 6e-7 to 6e-6 (all-MiniLM-L6-v2 and
multilingual-e5-small against mteb, ``nox -s real``, whose referees are held to the same 1e-4); another pooling moved
it by 3e-3 and more.
"""
UNEXPLAINED = "no reason known"
_MISPRINT = "misprint: "
_BINARY = 1e-9  # what binary fractions add to a difference of decimal ones

Place = tuple[str, str, str]
"""Model, task, measure."""


@dataclass(frozen=True)
class Printed:
    """A figure as its source prints it: ``origin`` is the file of `jbench.published`, ``where`` a stranger's place."""

    origin: str
    model: str
    task: str
    measure: str
    text: str
    where: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, cell: PublishedCell) -> Printed:
        """A cell of `jbench.published`."""
        return cls(cell.origin, cell.model, cell.task, cell.measure, cell.printed, cell.source, cell.notes)

    @property
    def place(self) -> Place:
        """Which figure of its source it is."""
        return self.model, self.task, self.measure

    @property
    def decimals(self) -> int:
        """How many decimals were printed."""
        return len(self.text.partition(".")[2])

    @property
    def half(self) -> float:
        """Half a unit of the last of them."""
        return 0.5 * 10.0**-self.decimals


@dataclass(frozen=True)
class Computed:
    """A figure computed here, the smallest and largest that it could be, what it was made from and how.

    It could be another where documents tie, or where the figures that it was made from are rounded. ``near`` is how far
    beyond it may still be the same model's: `NEAR_BY` of a model that was run here, 0 of all else.
    """

    value: float
    low: float
    high: float
    made_from: str
    kind: str
    near: float = 0.0

    @classmethod
    def about(cls, value: float, slack: float, made_from: str, kind: str = DERIVED) -> Computed:
        """A value that may be off by ``slack``."""
        return cls(value, value - slack, value + slack, made_from, kind)

    def verdict(self, printed: Printed) -> str:
        """`EQUAL` when the value rounds to what was printed, `INSIDE` when one that it could be does.

        `NEAR` when it is that of a model run here and one that it could be is no further away than ``near``.
        """
        value, off = float(printed.text), printed.half + _BINARY
        if abs(self.value - value) <= off:
            return EQUAL
        if self.low - off <= value <= self.high + off:
            return INSIDE
        wide = off + self.near
        return NEAR if self.near and self.low - wide <= value <= self.high + wide else OUTSIDE

    def distance(self, printed: Printed) -> float:
        """By how much the value is above what was printed."""
        return self.value - float(printed.text)

    def shown(self, printed: Printed) -> str:
        """The value with two decimals more than the printed one."""
        return f"{self.value:.{printed.decimals + 2}f}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"computed": self.value, "low": self.low, "high": self.high, "from": self.made_from}


@dataclass(frozen=True)
class Setting:
    """A setting found here, a text that could be no other."""

    text: str
    made_from: str
    kind: ClassVar[str] = DERIVED

    def verdict(self, printed: Printed) -> str:
        """`EQUAL` or `OUTSIDE`."""
        return EQUAL if self.text == printed.text else OUTSIDE

    def distance(self, printed: Printed) -> None:
        """A text has none."""

    def shown(self, printed: Printed) -> str:
        """The text."""
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"computed": self.text, "low": None, "high": None, "from": self.made_from}


@dataclass(frozen=True)
class Cell:
    """A printed figure and one way to compute it; ``computed`` is None where there is none here.

    ``reason`` says why it lies outside, or what it would take to compute it.
    """

    printed: Printed
    verdict: str = ""
    reason: str = ""
    computed: Computed | Setting | None = None

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return self.computed.kind if self.computed else NOT_COMPUTABLE

    @property
    def unexplained(self) -> bool:
        """Whether it lies outside and nobody wrote why."""
        return self.reason == UNEXPLAINED

    @property
    def shown(self) -> str:
        """What was computed, for people."""
        return self.computed.shown(self.printed) if self.computed else ""

    @property
    def distance(self) -> float | None:
        """By how much what was computed is above what was printed; None where nothing was, or it is no number."""
        return self.computed.distance(self.printed) if self.computed else None

    @property
    def of_model(self) -> bool:
        """Whether it was computed from a model that was run here."""
        return isinstance(self.computed, Computed) and self.computed.near > 0

    def as_dict(self) -> dict[str, Any]:
        """As ``jbench reproduce --json`` prints it."""
        one = self.printed
        nothing = {"computed": None, "low": None, "high": None, "from": ""}
        return {
            "source": one.origin,
            "model": one.model,
            "task": one.task,
            "measure": one.measure,
            "published": one.text,
            **(self.computed.as_dict() if self.computed else nothing),
            "distance": self.distance,
            "class": self.kind,
            "verdict": self.verdict,
            "reason": self.reason,
            "where": one.where,
        }


def compared(printed: Printed, computed: Computed | Setting, excuses: tuple[str, ...] = ()) -> Cell:
    """What was printed against what was computed.

    Of what lies outside a note of the source's is the reason: a misprint, or one that begins as ``excuses``.
    """
    verdict = computed.verdict(printed)
    reasons = (note for note in printed.notes if note.startswith((_MISPRINT, *excuses)))
    return Cell(printed, verdict, next(reasons, UNEXPLAINED) if verdict == OUTSIDE else "", computed)
