"""The SimCSE report's tables from its grid, as its repository makes them (src/summarize_results.py).

Of a base model and data set the row counts that is best on JSICK val. Ranks are ordinal, 1 is the highest
average, and a mean rank is taken of models over data sets and of data sets over models (both among those
rows), and of batch sizes over models and data sets, a learning rate at a time (among all rows).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from jbench.published import grid
from jbench.reproduce.cell import DERIVED, ROUNDED, Computed, Place, Printed, Setting

RANKING, SETTING = "ranking of ", "best setting"
"""Tables that hold no scores, in the place of a task."""

_Row = Mapping[str, str]
_WAYS = {"sup": "supervised", "unsup": "unsupervised"}
_COLUMNS = {
    "jsick-val": "jsick@simcse-dev4500",
    "jsick-test": "jsick@test4927",
    "jsts-train": "jsts@train12451",
    "jsts-val": "jsts@valid1457",
}


def tables() -> list[Printed]:
    """The tables that hold no scores: mean ranks; best settings, as learning rate and batch size."""
    ranks = [
        Printed("simcse", row["of"], RANKING + row["ranking"], _column(row), row["rank"], grid.README)
        for row in grid.rows("rankings")
    ]
    settings = [
        Printed("simcse", row["model"], SETTING, f"{said}, {row['data']}", _setting(row), grid.BEST.format(way))
        for way, said in _WAYS.items()
        for row in grid.rows(f"{way}-best")
    ]
    return ranks + settings


def of_grid() -> dict[Place, Computed | Setting]:
    """What the grid gives for the report's tables; find a figure by `placed`.

    Of the unsupervised runs only the best are at hand, so that their scores are the report's own with more decimals.
    """
    every = grid.rows("sup-all")
    best = _best(every)
    found = _scores("sup", best, "the best of sup-all.csv", DERIVED)
    found |= _scores("unsup", grid.rows("unsup-best"), "unsup-best.csv", ROUNDED)
    for row in best:
        place = _place(row["model"], SETTING, f"supervised, {row['data']}")
        found[place] = Setting(_setting(row), "sup-all.csv: the best on JSICK val")
    rates: dict[str, list[_Row]] = defaultdict(list)
    for row in every:
        rates[row["lr"]].append(row)
    ranks = {rate: _mean_ranks(rows, "batch", ("model", "data")) for rate, rows in rates.items()}
    ranks["mean"] = {batch: fmean(of[batch] for of in ranks.values()) for batch in next(iter(ranks.values()))}
    for rate, of in ranks.items():
        found |= _ranked("batch sizes", f"supervised, {rate}", of, "sup-all.csv")
    return found


def placed(one: Printed) -> Place:
    """Where `of_grid` has a figure: the report writes JSNLI, its grid jsnli."""
    return _place(*one.place)


def _place(model: str, task: str, measure: str) -> Place:
    return model.lower(), task, measure


def _scores(way: str, best: Sequence[_Row], source: str, kind: str) -> dict[Place, Computed | Setting]:
    found: dict[Place, Computed | Setting] = {}
    for row in best:
        name = f"{row['model']} ({way}-simcse {row['data']})"
        for column, task in _COLUMNS.items():
            found[_place(name, task, "spearman")] = _score(float(row[column]), source, kind)
        found[_place(name, "simcse-mean@3", "mean")] = _score(_average(row), source, DERIVED)
    found |= _ranked("models", _WAYS[way], _mean_ranks(best, "model", ("data",)), source)
    return found | _ranked("data sets", _WAYS[way], _mean_ranks(best, "data", ("model",)), source)


def _score(points: float, source: str, kind: str) -> Computed:
    return Computed.about(points / 100, 0.5e-8, source, kind)


def _ranked(what: str, column: str, ranks: Mapping[str, float], source: str) -> dict[Place, Computed | Setting]:
    return {
        _place(name, RANKING + what, column): Computed.about(rank, 0, f"ranks in {source}")
        for name, rank in ranks.items()
    }


def _best(rows: Sequence[_Row]) -> list[_Row]:
    found: dict[tuple[str, str], _Row] = {}
    for row in rows:
        pair = row["model"], row["data"]
        found[pair] = max(found.get(pair, row), row, key=lambda one: float(one["jsick-val"]))
    return list(found.values())


def _mean_ranks(rows: Sequence[_Row], of: str, within: Sequence[str]) -> dict[str, float]:
    """The mean rank of each value of column ``of`` in the groups of rows that are alike in ``within``."""
    groups: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[column] for column in within)].append(row)
    ranks: dict[str, list[int]] = defaultdict(list)
    for group in groups.values():
        for rank, row in enumerate(sorted(group, key=_average, reverse=True), 1):
            ranks[row[of]].append(rank)
    return {name: fmean(found) for name, found in ranks.items()}


def _average(row: _Row) -> float:
    """The report's Avg.: not of JSICK val, which chose the setting."""
    return fmean(float(row[column]) for column in ("jsick-test", "jsts-train", "jsts-val"))


def _column(row: _Row) -> str:
    return _WAYS[row["supervision"]] + (f", {row['lr']}" if row["lr"] else "")


def _setting(row: _Row) -> str:
    return f"{row['lr']}, {row['batch']}"
