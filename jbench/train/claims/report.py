"""What became of the claims as Markdown and as JSON: the models, the verdicts, the commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jbench.render.markdown import escape, grid
from jbench.statistics import PLURAL, RESAMPLES, SEED
from jbench.train.claims.arms import Arm
from jbench.train.claims.commands import commands
from jbench.train.claims.judge import HELD, REVERSED, UNDECIDED, Interval, Report, Score, Verdict


def markdown(report: Report) -> str:
    """Figures are percentages with two decimals, as on a board."""
    parts = ["# The reports' claims, on small models", *_models(report), *_claims(report), *_commands(report.arms)]
    return "\n\n".join(parts) + "\n"


def as_dict(report: Report) -> dict[str, Any]:
    """What ``jbench reproduce claims --json`` prints; figures are fractions."""
    return {
        "models": [
            {
                "model": arm.name,
                "what": arm.what,
                "seeds": arm.seeds,
                "tasks": _figures(report, arm),
                "lacking": [{"seeds": seeds, "tasks": tasks} for seeds, tasks in report.lacking(arm).items()],
                "commands": commands(arm),
            }
            for arm in report.arms
        ],
        "claims": [
            {
                **{name: getattr(one.claim, name) for name in ("says", "source", "better", "worse")},
                "task": one.task,
                "measure": report.measures.get(one.task),
                "difference": one.difference,
                "interval": one.interval,
                "verdict": one.verdict,
            }
            for one in report.verdicts
        ],
        "method": method(report),
    }


def method(report: Report) -> str:
    """How the intervals came about, in a sentence."""
    units = " and ".join(PLURAL[unit] for unit in dict.fromkeys(score.unit for score in report.scores.values()))
    return (
        f"95 % percentile bootstrap over seeds, then over {units}, the same draw of these for all models; "
        f"{RESAMPLES:,} resamples, seed {SEED}"
    )


def _figures(report: Report, arm: Arm) -> dict[str, Any]:
    found = {}
    for task in arm.tasks:
        if score := report.scores.get((arm.name, task)):
            seeds = {"scores": [{"seed": seed, "score": value} for seed, value in score.by_seed.items()]}
            spread = {"interval": score.interval, "deviation": score.deviation}
            found[task] = {"measure": report.measures[task], "mean": score.mean, **spread, **seeds}
    return found


def _models(report: Report) -> list[str]:
    means = {task: [s.mean for (_, on), s in report.scores.items() if on == task] for task in report.measures}
    heads = ["model", "what it is", "seeds", *(escape(f"{task} {main}") for task, main in report.measures.items())]
    lines = []
    for arm in report.arms:
        scores = {task: report.scores.get((arm.name, task)) for task in report.measures}
        counts = dict.fromkeys(str(_count(scores[task])) for task in arm.tasks) if arm.seeds else {}
        figures = [_figure(score, means[task]) for task, score in scores.items()]
        lines.append([escape(arm.name), escape(arm.what), ", ".join(counts), *figures])
    notes = [
        "- Figures are percentages: the mean over the seeds of the last training, in brackets its 95 % interval, and "
        "the standard deviation over seeds (n - 1); the best mean of a column bold; an empty cell was not measured.",
        f"- Intervals: {method(report)}.",
        *(f"- {escape(line)}" for arm in report.arms for line in _lacks(report, arm)),
    ]
    return [grid(heads, lines, 2), "\n".join(notes)]


def _lacks(report: Report, arm: Arm) -> Iterable[str]:
    for seeds, tasks in report.lacking(arm).items():
        which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" if arm.seeds else "its result"
        yield f"{arm.name} lacks {which} on {', '.join(tasks)}."


def _figure(score: Score | None, means: Sequence[float]) -> str:
    if score is None:
        return ""
    best = len(means) > 1 and score.mean == max(means)
    figure = f"{'**' * best}{_percent(score.mean)}{'**' * best} ({_between(score.interval)})"
    return figure if score.deviation is None else f"{figure}, sd {_percent(score.deviation)}"


def _claims(report: Report) -> list[str]:
    heads = ["no.", "claim", "above", "below", "task"]
    heads += ["mean above", "mean below", "seeds", "difference", "95 % interval", "verdict"]
    numbers = {claim: i for i, claim in enumerate(dict.fromkeys(one.claim for one in report.verdicts), 1)}
    lines = [[str(numbers[one.claim]), *_line(report, one)] for one in report.verdicts]
    notes = [
        f"- {HELD}: the interval of the difference, above less below, lies above 0; {REVERSED}: below 0; "
        f"{UNDECIDED}: 0 is in it.",
        "- Three seeds are few, and an interval from them is too short; what a base or a mined file that all seeds "
        "share adds of its own is not in it.",
        *(f"- {number}: {escape(claim.source)}" for claim, number in numbers.items()),
    ]
    return ["## Claims", grid(heads, lines, 5), "\n".join(notes)]


def _line(report: Report, one: Verdict) -> list[str]:
    scores = [report.scores.get((arm, one.task)) for arm in (one.claim.better, one.claim.worse)]
    means = ["" if score is None else _percent(score.mean) for score in scores]
    seeds = " and ".join(str(_count(score)) for score in scores)
    difference = "" if one.difference is None else _percent(one.difference, "+")
    interval = "" if one.interval is None else _between(one.interval, "+")
    words = [escape(text) for text in (one.claim.says, one.claim.better, one.claim.worse, one.task)]
    return [*words, *means, seeds, difference, interval, f"**{one.verdict}**"]


def _commands(arms: Sequence[Arm]) -> list[str]:
    """Every command once, those of an arm below its name and its seeds."""
    lines: dict[str, None] = {}
    for arm in arms:
        seeds = f": seeds {', '.join(map(str, arm.seeds))}" if arm.seeds else ""
        lines.update(dict.fromkeys([f"# {arm.name}{seeds}", *commands(arm)]))
    told = (
        "`jbench reproduce claims --work DIR` runs them all, seed by seed, in a folder that holds the files they name; "
        "`{seed}` is each of a model's seeds."
    )
    return ["## Commands", told, "\n".join(["```bash", *lines, "```"])]


def _count(score: Score | None) -> int:
    return len(score.by_seed) if score else 0


def _between(interval: Interval, sign: str = "") -> str:
    low, high = interval
    return f"{_percent(low, sign)} to {_percent(high, sign)}"


def _percent(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f}"
