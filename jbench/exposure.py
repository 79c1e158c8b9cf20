"""What a model has seen of a task's data: the ledger's statements, those of its maker, and where they lead.

A task is in-domain when the model met any of its data sets in any way, out-of-domain when
somebody says of each that it did not, and unknown otherwise: what nobody states is never clean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, Field

from jbench import manifest
from jbench.manifest import Confidence, Flag, Names, Training
from jbench.models.combine import leaves
from jbench.models.load import CHECKPOINTS
from jbench.published import plain
from jbench.task import Task
from jbench.types import JbenchError, UsageError, unknown

Domain = Literal["in-domain", "out-of-domain", "unknown"]

FLAGS: tuple[str, ...] = get_args(Flag)
SEEN = FLAGS[: FLAGS.index("unknown")]
"""The flags that make a task in-domain, gravest first."""

WORDS = {
    "test_seen": "test",
    "dev_used_for_selection": "selection",
    "train_split_seen": "train",
    "source_seen": "source",
    "translated_seen": "translated",
    "teacher_seen": "teacher",
    "unknown": "unknown",
    "unseen": "unseen",
}
"""Each flag in one word."""

_COMBINED = ("rerank-", "rrf-")  # what revisions of combinations begin with; see `jbench.models.combine`
_LONGEST = 1000  # characters of a model's name that are taken for a combination; a stranger's may be made of brackets
_Text = Annotated[str, Field(min_length=1)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSet(_Row):
    """A data set by the name that tasks use in ``sources``, and the hub ids under which cards list it."""

    name: _Text
    hub: Names = ()


class Known(_Row):
    """A model by its hub id; ``also`` are names that published tables and run files give it.

    ``* (sup-simcse *)`` is any published model whose name has such a bracket; its base is what stands
    before it. ``revision`` is what revisions of the model begin with, ``untrained`` says that it has no
    weights that anything could have been learnt into.
    """

    id: _Text
    also: Names = ()
    base: Names = ()
    teachers: Names = ()
    revision: str = ""
    untrained: bool = False
    evidence: str = ""


class Statement(_Row):
    """That ``models`` met ``data`` (a data set, or ``name:split``) as ``flag`` says; where it stands.

    A ``*`` in the name of a model stands for any text.
    """

    models: Annotated[Names, Field(min_length=1)]
    data: Annotated[Names, Field(min_length=1)]
    flag: Flag
    evidence: _Text
    confidence: Confidence
    revision: str = ""

    def names(self, model: str, revision: str) -> bool:
        """Whether it speaks of this model."""
        named = model in self.models or any("*" in one and fnmatchcase(model, one) for one in self.models)
        return named and revision.startswith(self.revision)


class Link(_Row):
    """Who met ``seen`` has met ``to`` as ``flag`` says."""

    seen: _Text
    to: _Text
    flag: Literal["source_seen", "translated_seen"]
    evidence: _Text
    confidence: Confidence


class Ledger(_Row):
    """``published/exposure.toml``."""

    data: tuple[DataSet, ...]
    model: tuple[Known, ...]
    seen: tuple[Statement, ...]
    link: tuple[Link, ...]

    def check(self) -> None:
        """Every model and data set that a row names is listed, none twice.

        :raises UsageError: naming the one that is not.
        """
        sets = [name for row in self.data for name in (row.name, *row.hub)]
        models = [name for row in self.model for name in (row.id, *row.also)]
        for what, names in (("data set", sets), ("model", models)):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise UsageError(f"ledger exposure.toml: {what} {twice!r} stands twice")
        known = {row.name for row in self.data}
        named = [name for row in self.seen for name in row.data] + [n for row in self.link for n in (row.seen, row.to)]
        if stray := next((name for name in named if split(name)[0] not in known), None):
            raise unknown("data set in exposure.toml", split(stray)[0], known)
        ids = {row.id for row in self.model}
        speakers = (model for row in self.seen for model in row.models)
        if stray := next((model for model in speakers if not any(fnmatchcase(model, one) for one in ids)), None):
            raise unknown("model in exposure.toml", stray, ids)

    def find(self, model: str, revision: str) -> Known | None:
        """The row of a model, whose published numbers alone have no revision.

        A folder on somebody's disk is known by a hub id alone, and whatever its name, a checkpoint that
        was measured is no model without weights.
        """
        name = plain(model)
        for row in self.model:
            listed = name == row.id or (name in row.also and not revision.startswith("local-"))
            if listed and (not revision or revision.startswith(row.revision)):
                return row
            if "*" in row.id and not revision and fnmatchcase(name, row.id):
                return row.model_copy(update={"id": name, "base": (name.partition(" (")[0],)})
        return None

    def data_name(self, name: str) -> str:
        """A data set's name in the ledger for a name or hub id; the same where it lists none."""
        return next((row.name for row in self.data if name.lower() in _lowered(row)), name)


def _lowered(row: DataSet) -> set[str]:
    return {name.lower() for name in (row.name, *row.hub)}


def read(path: Path) -> Ledger:
    """A ledger, checked.

    :raises UsageError: naming what is wrong, in one line.
    """
    found = manifest.toml(path, Ledger, "ledger")
    found.check()
    return found


@cache
def ledger() -> Ledger:
    """The package's own."""
    return read(Path(str(files("jbench") / "published" / "exposure.toml")))


@dataclass(frozen=True)
class Evidence:
    """One statement about one of a task's sources.

    ``data`` is what the statement names, ``flag`` what it makes of the source, ``way`` how it gets
    there (a base model, a teacher, a data set that shares the source's texts); ``conflicts`` marks
    the statement of those that contradict one another that does not decide.
    """

    source: str
    data: str
    flag: str
    said: str
    confidence: str
    way: str = ""
    conflicts: bool = False


@dataclass(frozen=True)
class Exposure:
    """What a model has seen of a task: the gravest flag, the domain in words, and why."""

    flag: str
    domain: Domain
    evidence: tuple[Evidence, ...] = field(default=())

    @property
    def conflict(self) -> bool:
        """Whether statements contradict one another."""
        return any(one.conflicts for one in self.evidence)

    @property
    def word(self) -> str:
        """For a cell of a table: the flag in one word, with ``!`` where statements contradict one another."""
        return WORDS[self.flag] + ("!" if self.conflict else "")


class Claimant(Protocol):
    """A model that is shown: a `Result`, or anything with as much of it."""

    @property
    def model(self) -> str:
        """Its name."""
        ...

    @property
    def revision(self) -> str:
        """Its revision, empty where nobody knows it."""
        ...

    @property
    def training(self) -> Mapping[str, Any]:
        """The record of what its maker says; see `jbench.manifest`."""
        ...


def exposure(
    model: str,
    revision: str,
    task: Task,
    training: Mapping[str, Any] | None = None,
    book: Ledger | None = None,
) -> Exposure:
    """What ``model`` has seen of ``task``, by the ledger and by its own record of ``training``.

    A combination is what its parts are together: in-domain with one of them, out-of-domain with all.
    """
    return _over([of_source(model, revision, source, training, book) for source in task.sources])


def of_source(
    model: str, revision: str, source: str, training: Mapping[str, Any] | None = None, book: Ledger | None = None
) -> Exposure:
    """The same of one data set and split, such as ``MIRACL-ja:dev``."""
    book = book or ledger()
    parts = _parts(model, revision, _understood(training or {}))
    return _over([_decided(source, _evidence(book, part, source)) for part in parts])


def _over(several: Sequence[Exposure]) -> Exposure:
    """One for several sources, or for several models."""
    if not several:
        return Exposure("unknown", "unknown")
    flags = {one.flag for one in several}
    flag = next(flag for flag in FLAGS if flag in flags)
    return Exposure(flag, _domain(flag), tuple(dict.fromkeys(e for one in several for e in one.evidence)))


def _domain(flag: str) -> Domain:
    return "in-domain" if flag in SEEN else "out-of-domain" if flag == "unseen" else "unknown"


def _understood(record: Mapping[str, Any]) -> Training:
    try:
        return manifest.training_of(record)
    except UsageError:  # a stranger's result; what cannot be read tells nothing
        return Training()


@dataclass(frozen=True)
class _Model:
    name: str
    revision: str
    training: Training


def _parts(model: str, revision: str, training: Training) -> list[_Model]:
    """The models of a combination, each with what was said of it; what is no combination is its own part.

    What was said of the whole was said of each. A checkpoint may be called like a combination; its
    revision is not that of one.
    """
    if training.parts:
        whole = training.model_copy(update={"parts": ()})
        return [
            _Model(part.model, part.revision, _understood(manifest.joined([part.training.record(), whole.record()])))
            for part in training.parts
        ]
    combined = not revision or revision.startswith(_COMBINED)
    try:
        names = list(leaves(model)) if combined and len(model) <= _LONGEST else [model]
    except JbenchError:  # brackets in somebody's name for a model
        names = [model]
    if names == [model]:
        return [_Model(model, revision, training)]
    return [_Model(*_bare(name), training) for name in names]


def _bare(string: str) -> tuple[str, str]:
    """The name and revision in a model string: ``dense:org/name@main``."""
    scheme, colon, rest = string.partition(":")
    name, _, revision = (rest if colon and scheme in CHECKPOINTS else string).partition("@")
    return name, revision


def _evidence(book: Ledger, model: _Model, source: str) -> list[Evidence]:
    """All that is said of a model and a source, by itself, its bases and its teachers."""
    found = list(_statements(book, model, set()))
    return [one for said in found if (one := _reached(book, said, source))]


def _statements(book: Ledger, model: _Model, met: set[str]) -> Iterator[Evidence]:
    """What is said of a model and of those that it was made from, not yet of a source."""
    if model.name in met:  # a chain that comes back to itself
        return
    met = {*met, model.name}
    row = book.find(model.name, model.revision)
    if row and row.untrained:
        yield Evidence("", "", "unseen", row.evidence, "stated")
    for said in book.seen:
        if row and said.names(row.id, model.revision):
            yield from (Evidence("", data, said.flag, said.evidence, said.confidence) for data in said.data)
    for seen in model.training.datasets:
        data, at = split(seen.name)
        whole = ":".join(filter(None, (book.data_name(data), seen.split or at)))
        listed = "" if book.data_name(data) == data else f" ({seen.name})"
        yield Evidence("", whole, seen.flag, seen.evidence + listed, seen.confidence)
    for kind, others in (
        ("base model", (*(row.base if row else ()), *model.training.base_model)),
        ("teacher", (*(row.teachers if row else ()), *model.training.teachers)),
    ):
        for other in dict.fromkeys(others):
            for one in _statements(book, _Model(*_bare(other), Training()), met):
                # That a base has not seen something says nothing of what came after it.
                if one.flag in SEEN:
                    taken = "teacher_seen" if kind == "teacher" else one.flag
                    yield replace(one, flag=taken, way="; ".join(filter(None, (f"{kind} {other}", one.way))))


def _reached(book: Ledger, said: Evidence, source: str) -> Evidence | None:
    """A statement as it bears on ``source``; None where it does not."""
    if not said.data:  # of a model that was never trained
        return replace(said, source=source)
    (data, part), (name, own) = split(said.data), split(source)
    if data == name:
        return replace(said, source=source, flag=_within(said.flag, part, own))
    if name.startswith(f"{data}/"):  # it names a collection, not which part of it
        return replace(said, source=source, flag="unseen" if said.flag == "unseen" else "unknown")
    if said.flag not in SEEN:
        return None
    for link in book.link:
        # The task's own split decides: that its training questions were met elsewhere is another matter.
        if _covers(link.seen, data, part) and _covers(link.to, name, own):
            flag: str = "teacher_seen" if said.flag == "teacher_seen" else link.flag
            if split(link.seen)[1] and not part:  # it may have been another split
                flag = "unknown"
            way = "; ".join(filter(None, (said.way, f"{link.seen} to {link.to}: {link.evidence}")))
            least = max(said.confidence, link.confidence, key=get_args(Confidence).index)
            return replace(said, source=source, flag=flag, way=way, confidence=least)
    return None


def _within(flag: str, part: str, own: str) -> str:
    """What a statement about a split makes of a task on another split, or on the same, of one data set."""
    if flag == "unseen":
        return "unknown" if part else "unseen"
    if flag in ("train_split_seen", "test_seen"):
        # To train on the very rows that are scored is to see the test, whatever the split is called.
        if part and part == own:
            return "test_seen"
        return "train_split_seen" if part else flag
    return flag


def _covers(stated: str, data: str, part: str) -> bool:
    name, own = split(stated)
    return name == data and (not own or not part or own == part)


def split(name: str) -> tuple[str, str]:
    """``MIRACL-ja:dev`` as its data set and its split."""
    data, _, part = name.partition(":")
    return data, part


def _decided(source: str, evidence: Sequence[Evidence]) -> Exposure:
    """The gravest statement counts; an inference shows, but never makes a model clean."""
    flags = {one.flag for one in evidence}
    clean = any(one.flag == "unseen" and one.confidence != "inferred" for one in evidence)
    flag = next((flag for flag in SEEN if flag in flags), "unseen" if clean else "unknown")
    # Where nobody says anything of the data set itself, an inference contradicts nobody.
    doubted = flag in SEEN or any(one.flag == "unknown" and not one.way for one in evidence)
    against = {"unseen"} if doubted and flag != "unseen" else set()
    return Exposure(flag, _domain(flag), tuple(replace(one, conflicts=one.flag in against) for one in evidence))


@dataclass(frozen=True)
class Mean:
    """A mean and the number of columns that it covers; never to be ranked by."""

    value: float | None
    columns: int


def means(values: Sequence[float | None], marked: Sequence[Exposure | None]) -> dict[str, Mean]:
    """A row's means over the columns that are in-domain, out-of-domain and unknown to its model."""
    found: dict[str, Mean] = {}
    for domain in get_args(Domain):
        inside = [v for v, one in zip(values, marked, strict=True) if v is not None and one and one.domain == domain]
        found[domain] = Mean(fmean(inside) if inside else None, len(inside))
    return found


def strays(record: Mapping[str, Any], tasks: Iterable[Task]) -> list[str]:
    """The data sets in a record that neither the ledger nor a task names, where that may be a slip."""
    known = {split(source)[0] for task in tasks for source in task.sources} | {row.name for row in ledger().data}
    named = [ledger().data_name(split(seen.name)[0]) for seen in _understood(record).datasets]
    return [str(unknown("data set", name, known)) for name in dict.fromkeys(named) if name not in known]


@dataclass(frozen=True)
class Row:
    """One model of the matrix: its exposure to each source."""

    model: str
    revision: str
    sources: Mapping[str, Exposure]

    @property
    def name(self) -> str:
        """The model, with as much of its revision as tells it from others where that is known."""
        return f"{self.model} @ {self.revision[:18]}" if self.revision else self.model

    @property
    def known(self) -> bool:
        """Whether it is for people: somebody measured the model, or something is known of it."""
        return bool(self.revision) or any(one.flag != "unknown" for one in self.sources.values())


def matrix(shown: Iterable[Claimant], tasks: Iterable[Task]) -> list[Row]:
    """The ledger's models, then others that are ``shown``, against the data sets of ``tasks``."""
    sources = sorted({source for task in tasks for source in task.sources})
    listed: dict[tuple[str, str], Mapping[str, Any]] = {(row.id, ""): {} for row in ledger().model if "*" not in row.id}
    for one in shown:
        row = ledger().find(one.model, one.revision)
        if row is None or one.training or one.revision.startswith("local-"):
            listed.setdefault((one.model, one.revision), one.training)
    return [
        Row(model, revision, {source: of_source(model, revision, source, training) for source in sources})
        for (model, revision), training in listed.items()
    ]


LEGEND = (
    "train: a training split was met; test: the very rows that are scored; selection: models were chosen on it; "
    "source, translated, teacher: met through another data set, a translation, a teacher. "
    "unknown: nobody says; it is not unseen. !: statements contradict one another, as below."
)


def columns(rows: Sequence[Row]) -> list[str]:
    """The sources of which something is known of a model that was trained."""
    trained = [row for row in rows if not (known := ledger().find(row.model, row.revision)) or not known.untrained]
    return [
        source
        for source in (rows[0].sources if rows else ())
        if any(row.sources[source].flag != "unknown" for row in trained)
    ]


def conflicts(rows: Iterable[Row]) -> list[str]:
    """A line for each statement that contradicts what is shown."""
    return [line for row in rows for one in row.sources.values() for line in contradictions(row.name, one)]


def contradictions(model: str, one: Exposure) -> list[str]:
    """A line for each statement that contradicts what is shown of ``model``."""
    return [
        f"! {model}, {against.source}: {one.flag} is shown; {against.flag} by {against.said}"
        for against in one.evidence
        if against.conflicts
    ]


def as_dict(row: Row) -> dict[str, Any]:
    """A row for JSON: each source's flag, domain and evidence."""
    found = {
        source: {
            "flag": one.flag,
            "domain": one.domain,
            "conflict": one.conflict,
            "evidence": [asdict(said) for said in one.evidence],
        }
        for source, one in row.sources.items()
    }
    return {"model": row.model, "revision": row.revision, "exposure": found}
