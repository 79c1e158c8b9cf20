"""Printed means from their parts, and printed figures from the same figures with more decimals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from jbench.registry import own_tasks
from jbench.reproduce.cell import ROUNDED, Computed, Place, Printed

Figures = Mapping[tuple[str, Place], Printed]
"""What was printed, by origin and place."""

_Part = tuple[str, str]
"""Task and measure."""


@dataclass(frozen=True)
class _Mean:
    """A weighted mean of figures of one origin.

    ``slack`` is how far the parts that were averaged may be from those at hand, where it is not
    half a unit of these' last decimal.
    """

    origin: str
    weights: Mapping[_Part, float]
    made_from: str
    slack: float | None = None

    def computed(self, model: str, figures: Figures) -> Computed | None:
        """The mean for ``model``; None when a part of it was not published."""
        parts = [(figures.get((self.origin, (model, *part))), weight) for part, weight in self.weights.items()]
        found = [(part, weight) for part, weight in parts if part is not None]
        if len(found) < len(parts):
            return None
        total = sum(self.weights.values())
        value = sum(float(part.text) * weight for part, weight in found) / total
        slack = sum(part.half * weight for part, weight in found) / total if self.slack is None else self.slack
        return Computed.about(value, slack, self.made_from)


def of_parts(one: Printed, figures: Figures) -> Computed | None:
    """A figure from finer ones that were published too; None where there are none."""
    if mean := _means().get((one.origin, one.task)):
        return mean.computed(one.model, figures)
    if one.origin == "jacolbert-card" and (fine := figures.get(("jacolbert", one.place))):
        return Computed.about(float(fine.text), fine.half, "the five decimals of the benchmark's README", ROUNDED)
    return None


@cache
def _means() -> dict[tuple[str, str], _Mean]:
    """How each printed mean was made, by origin and task."""
    three = [("jsick@test4927", "spearman"), ("jsts@train12451", "spearman"), ("jsts@valid1457", "spearman")]
    means = {("simcse", "simcse-mean@3"): _Mean("simcse", _equally(three), "the mean of the row's three columns")}
    for name, k, jsquad in (("recall1-3", 3, 1), ("recall5", 5, 5), ("recall10", 10, 10)):
        row = [("jsquad@valid1145", f"recall@{jsquad}")]
        row += [(corpus, f"recall@{k}") for corpus in ("miracl-ja@jacolbert156722", "mrtydi-ja@rand100k-seed42")]
        task, parts = f"jacolbert-mean@{name}", _equally(row)
        # Table 2 averages its own figures of three decimals, up to .0005 from those of five in the README.
        means["jacolbert", task] = _Mean("jacolbert", parts, "the mean of the benchmark's README, to .0005", 0.0005)
        means["jacolbert-card", task] = _Mean("jacolbert-card", parts, "the mean of the row's three columns")
    return means | _of_jmteb()


def _of_jmteb() -> dict[tuple[str, str], _Mean]:
    """JMTEB's means: of a kind of task, of its 16 data sets (micro), of its 6 kinds (macro).

    Micro since sbintuitions/JMTEB's pull request 74; Ruri's report prints micro, its model card macro
    for all models but Ruri.
    """
    kinds: dict[str, list[_Part]] = {}
    for task in own_tasks().values():
        if task.protocol == "jmteb-v1":
            kinds.setdefault(task.kind, []).append((task.id, task.main))
    sets = [part for parts in kinds.values() for part in parts]
    macro = {part: 1 / len(parts) for parts in kinds.values() for part in parts}
    means = {
        ("jmteb-v1", "jmteb-mean@v1"): _Mean("jmteb-v1", _equally(sets), "the mean of its 16 data sets (micro)"),
        ("ruri-card", "jmteb-mean@v1-macro"): _Mean("jmteb-v1", macro, "the mean of JMTEB's 6 kinds of task (macro)"),
    }
    columns: dict[_Part, float] = {}
    for kind, parts in kinds.items():
        if len(parts) == 1:
            columns[parts[0]] = 1
        else:
            task_id = f"jmteb-mean@v1-{kind}"
            columns[task_id, "mean"] = len(parts)
            mean = _Mean("jmteb-v1", _equally(parts), f"the mean of JMTEB's {len(parts)} data sets")
            means["ruri", task_id] = means["ruri-card", task_id] = mean
    means["ruri", "jmteb-mean@v1"] = _Mean("ruri", columns, "the row's six columns by their data sets (micro)")
    return means


def _equally(parts: Iterable[_Part]) -> dict[_Part, float]:
    return dict.fromkeys(parts, 1.0)
