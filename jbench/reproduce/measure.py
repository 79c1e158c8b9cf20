"""Published figures from run files and from models: what was measured here under the same protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jbench.evaluate import Failure, evaluate
from jbench.metrics import parse
from jbench.models.options import DTYPES, Options
from jbench.models.runfile import runfile
from jbench.published.runs import run_files
from jbench.registry import PUBLISHED, own_tasks
from jbench.reproduce.cell import MEASURED, NEAR_BY, Computed, Printed
from jbench.source import Missing, Source
from jbench.task import Loaded, Task, load
from jbench.types import JbenchError, Result, Track

DIFFERS = (
    "PLAID index",  # compressed: jbench scores every token as it is
    "query padded with [MASK] to a dynamic length",
    "'クエリ: ' and '文書: '",
    "the model card's own mean pooling",
)
"""How notes begin that say of a source's way of running a model that it is not that of jbench."""

_POOLED = {"mean": {"pooling": "mean"}, "CLS": {"pooling": "cls"}, "SentenceTransformer": {}}
_CHECKPOINT = re.compile(rf"([\w.-]+/[\w.-]+)(?: \(({'|'.join(_POOLED)})\))?")
_NO_CHECKPOINT = ("openai/", "mteb/baseline-")
"""What the names of models begin with that look like hub ids: an API's, and baselines of a program's own."""


@dataclass(frozen=True)
class Asked:
    """What a printed figure was scored with.

    A checkpoint of the hub, else ``model`` is what the source calls it; settings beyond the checkpoint's
    own; and the dtype, which is float32 where the source names none.
    """

    model: str
    checkpoint: bool
    settings: tuple[tuple[str, str], ...]
    dtype: str

    @classmethod
    def of(cls, printed: Printed) -> Asked:
        """The model of a figure's row, with what its name and notes say."""
        dtype = "float16" if any(re.search(r"\bfp16\b", note) for note in printed.notes) else "float32"
        found = _CHECKPOINT.fullmatch(printed.model)
        if found is None or printed.model.startswith(_NO_CHECKPOINT):
            return cls(printed.model, False, (), dtype)
        return cls(found[1], True, tuple(_POOLED.get(found[2], {}).items()), dtype)

    def made(self, result: Result) -> bool:
        """Whether a result is of this model, with these settings, this dtype and its family's prompts."""
        variant = {key: value for key, value in result.variant.items() if key != "dtype"}
        return (
            result.model == self.model
            and not result.unprompted
            and variant == dict(self.settings)
            and result.settings.get("dtype", self.dtype) == self.dtype  # a run file has none
        )


@dataclass(frozen=True)
class Scores:
    """What one run or model scored on one task, and what it was made from."""

    scores: Mapping[str, float]
    ties: Mapping[str, tuple[float, float]]
    made_from: str
    near: float = 0.0

    @classmethod
    def of(cls, result: Result) -> Scores:
        """Those of a result."""
        near = 0.0 if result.adapter == "run" else NEAR_BY
        return cls(result.scores, result.ties, f"{result.model} @ {result.revision[:18]} ({result.adapter})", near)

    def computed(self, measure: str) -> Computed | None:
        """One of them, with what ties could make of it."""
        if measure not in self.scores:
            return None
        value = self.scores[measure]
        return Computed(value, *self.ties.get(measure, (value, value)), self.made_from, MEASURED, self.near)


def runnable(printed: Printed) -> Task | None:
    """The task of a figure, if it is one that can be run here."""
    task = own_tasks().get(printed.task)
    return task if task and task.group != PUBLISHED else None


def comparable(
    wanted: Iterable[Printed],
    results: Iterable[Result],
    data: Mapping[tuple[str, int], str],
    say: Callable[[str], None],
) -> list[Result]:
    """The results of the models and tasks of ``wanted`` that figures may be compared with.

    They are on the task's data: its sha256 is that in ``data``, by task and version, or else of the data as it
    is at hand. They keep the scores that are by jbench's own definitions. What is left out, and a task whose data
    is not at hand, so that nothing was left out, is named to ``say``.
    """
    tasks = {(task.id, task.version): task for one in wanted if (task := runnable(one))}
    models = {Asked.of(one).model for one in wanted}
    runs = {file.sha256 for file in run_files().files}
    known, kept = dict(data), []
    for result in results:
        place = result.task, result.task_version
        if place not in tasks or (result.model not in models and result.revision not in runs):
            continue
        task, who = tasks[place], f"{Scores.of(result).made_from} on {result.task}"
        if place not in known:
            known[place] = _sha256_of(task, say)
        mine, theirs = str(result.data.get("sha256", "")), known[place]
        if theirs and mine != theirs:
            say(f"{who} is left out: measured on other data (sha256 {mine[:12] or 'missing'}, not {theirs[:12]})")
            continue
        scores = {}
        for measure in filter(result.scores.__contains__, task.measures):
            by, ours = result.definitions.get(measure), parse(measure).definition
            if by == ours:
                scores[measure] = result.scores[measure]
            else:
                say(f"{who}: {measure} is left out: by another definition ({by!r:.80}, not {ours})")
        kept.append(replace(result, scores=scores))
    return kept


def _sha256_of(task: Task, say: Callable[[str], None]) -> str:
    """The sha256 of a task's data; empty where it is not at hand."""
    try:
        return str(load(task).data.sha256)
    except JbenchError as error:
        say(f"{task.id}: on which data results were measured is not checked: {error}")
        return ""


def of_runs(wanted: Sequence[Printed], results: Sequence[Result], track: Track) -> dict[Printed, Scores | str]:
    """What the run files behind figures score, or why one is not at hand; figures without a run file are left out.

    A file is read once, and not at all where ``results`` has it, known by its sha256.
    """
    listed = run_files()
    of_task = [one for one in wanted if one.task == listed.task]
    files = [file for file in listed.files if file.model in {one.model for one in of_task}]
    task = own_tasks()[listed.task]
    if of_task:
        measures = tuple(dict.fromkeys(one.measure for one in of_task))
        task = replace(task, measures=measures, main=measures[0])
    known = {
        result.revision: Scores.of(result)
        for result in results
        if _is_on(result, task) and result.scores.keys() >= set(task.measures)
    }
    loaded: list[Loaded] = []
    found: dict[str, Scores | str] = {}
    advance = track("run files", len(files))
    for file in files:
        found[file.model] = known.get(file.sha256 or "") or _measured(listed.source(file), task, loaded)
        advance(1)
    return {one: found[one.model] for one in of_task if one.model in found}


def _measured(source: Source, task: Task, loaded: list[Loaded]) -> Scores | str:
    """What a run file scores; the task's data is loaded once, into ``loaded``."""
    try:
        path = source.path()
        if not loaded:
            loaded.append(load(task))
        prediction = task.predict(runfile(str(path), Options()), loaded[0].data)
        measured = task.measure(prediction, loaded[0].data)
    except Missing:
        return f"{source.name}: with a network, --models brings it; or put it into $JBENCH_MIRROR"
    except JbenchError as error:
        return str(error)
    return Scores(measured.scores, measured.ties, f"run file {source.name}")


def of_results(printed: Printed, results: Iterable[Result]) -> list[Scores]:
    """What results of the same model on the same task scored; run files that `of_runs` knows are left to it."""
    task, asked = runnable(printed), Asked.of(printed)
    if task is None:
        return []
    hashes = {file.sha256 for file in run_files().files}
    mine = [result for result in results if _is_on(result, task) and asked.made(result)]
    return [Scores.of(result) for result in mine if result.revision not in hashes]


def _is_on(result: Result, task: Task) -> bool:
    return (result.task, result.task_version) == (task.id, task.version)


def score(wanted: Iterable[Printed], root: Path, options: Options) -> Iterator[Result | Failure]:
    """Score the checkpoints of figures on their tasks, as their sources did; results go under ``root``."""
    tasks: dict[Asked, dict[str, Task]] = {}
    for one in wanted:
        if (task := runnable(one)) and (asked := Asked.of(one)).checkpoint:
            tasks.setdefault(asked, {})[task.id] = task
    short = {name: dtype for dtype, name in DTYPES.items()}
    for asked, found in tasks.items():
        made = replace(options, settings=dict(asked.settings), dtype=short[asked.dtype])
        yield from evaluate([asked.model], list(found.values()), root, made)
