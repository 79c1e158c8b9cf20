"""One published figure, and how it compares with the same figure computed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jbench.published import PublishedCell

MEASURED, DERIVED, NOT_COMPUTABLE = "measured", "derived", "not computable"
"""From runs or models; from figures that were published too; neither, here."""
EQUAL, INSIDE, OUTSIDE = "equal", "inside", "outside"
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
    """A figure computed here, the smallest and largest that it could be, and what it was made from.

    It could be another where documents tie, or where the figures that it was made from are rounded.
    A setting is a text, which could be no other.
    """

    value: float | str
    low: float
    high: float
    made_from: str

    @classmethod
    def about(cls, value: float, slack: float, made_from: str) -> Computed:
        """A value that may be off by ``slack``."""
        return cls(value, value - slack, value + slack, made_from)


@dataclass(frozen=True)
class Cell:
    """A printed figure and one way to compute it; ``computed`` is None where there is none here.

    ``reason`` says why it lies outside, or what it would take to compute it.
    """

    printed: Printed
    kind: str
    verdict: str = ""
    reason: str = ""
    computed: Computed | None = None

    @property
    def unexplained(self) -> bool:
        """Whether it lies outside and nobody wrote why."""
        return self.reason == UNEXPLAINED

    @property
    def shown(self) -> str:
        """The computed figure with two decimals more than the printed one."""
        value = self.computed.value if self.computed else ""
        return value if isinstance(value, str) else f"{value:.{self.printed.decimals + 2}f}"

    def as_dict(self) -> dict[str, Any]:
        """As ``jbench reproduce --json`` prints it."""
        one, found = self.printed, self.computed
        number = found is not None and not isinstance(found.value, str)
        return {
            "source": one.origin,
            "model": one.model,
            "task": one.task,
            "measure": one.measure,
            "published": one.text,
            "computed": found.value if found else None,
            "low": found.low if found and number else None,
            "high": found.high if found and number else None,
            "from": found.made_from if found else "",
            "class": self.kind,
            "verdict": self.verdict,
            "reason": self.reason,
            "where": one.where,
        }


def compared(printed: Printed, kind: str, computed: Computed, excuses: tuple[str, ...] = ()) -> Cell:
    """What was printed against what was computed.

    Equal means: the computed value rounds to what was printed. Inside: a value that it could be does. Of
    what lies outside a note of the source's is the reason: a misprint, or one that begins as ``excuses``.
    """
    if isinstance(computed.value, str):
        verdict = EQUAL if computed.value == printed.text else OUTSIDE
    else:
        value, off = float(printed.text), printed.half + _BINARY
        inside = computed.low - off <= value <= computed.high + off
        verdict = EQUAL if abs(computed.value - value) <= off else INSIDE if inside else OUTSIDE
    reasons = (note for note in printed.notes if note.startswith((_MISPRINT, *excuses)))
    return Cell(printed, kind, verdict, next(reasons, UNEXPLAINED) if verdict == OUTSIDE else "", computed)
