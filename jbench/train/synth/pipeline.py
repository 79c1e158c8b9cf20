"""Training data that a language model writes: a prompt for each text, an answer, rules, a judge where asked for.

Each request is named by all that it asks, and its answer lies in a journal under that name. So every step reads
the journal alone, what is there is not asked again, and rows are the same whatever came first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from string import Template
from typing import IO, Any

import orjson

from jbench.cache import file_sha256
from jbench.files import ready, write, writing
from jbench.fingerprint import hashed
from jbench.train.data.files import PROVENANCE
from jbench.train.data.training_set import TrainingSet, texts_of
from jbench.train.synth.endpoint import Endpoint, Journal, Request, ask, journal
from jbench.train.synth.kinds import DROP, RULES, Kind, fault, parsed, score
from jbench.types import Track, Unavailable, UsageError

_SENT = ("model", "messages", "stream", "n")
_BATCH = 4096
_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True)
class Plan:
    """Who writes (``model``), of how many texts (``limit``, None: all), and who judges (None: nobody).

    ``settings`` are fields of every request, such as ``{"temperature": 0.7}``. The share ``drop`` that the judge
    scores lowest makes no rows, rounded down.

    :raises UsageError: for numbers or settings that mean nothing.
    """

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    judge: str | None = None
    drop: float = DROP

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: give 1 or more")
        if not 0 <= self.drop < 1:
            raise UsageError(f"--drop {self.drop:g}: give a share from 0 to below 1, such as {DROP}")
        if sent := [key for key in self.settings if key in _SENT]:
            raise UsageError(f"--set {sent[0]}: that is what jbench itself sends")


def typed(settings: Mapping[str, str]) -> dict[str, Any]:
    """Settings as they are typed: JSON where it is JSON (``0.7``, ``true``), else a string."""

    def value(text: str) -> Any:
        try:
            return orjson.loads(text)
        except ValueError:
            return text

    return {key: value(text) for key, text in settings.items()}


def passages(data: TrainingSet, limit: int | None = None) -> Iterator[str]:
    """The first ``limit`` distinct texts of a set, in its order: sentences, or the passages that answer."""
    seen: set[int] = set()

    def distinct() -> Iterator[str]:
        for text in _passages(data):
            mark = int(hashed([text])[0])
            if text.strip() and mark not in seen:
                seen.add(mark)
                yield text

    return islice(distinct(), limit)


def _passages(data: TrainingSet) -> Iterator[str]:
    if data.collection is not None:
        yield from data.collection.documents.texts
        return
    column = "text" if "text" in data.held.column_names else "positive"
    for batch in data.held.select_columns([column]).iter(_BATCH):
        for value in batch[column]:
            yield from texts_of(value)


def synthesise(
    kind: Kind,
    data: TrainingSet,
    plan: Plan,
    endpoint: Endpoint,
    output: Path,
    say: Callable[[str], None],
    track: Track,
) -> dict[str, int]:
    """Have a row written for each text, and write what is kept to ``output`` (``.jsonl`` or ``.parquet``).

    Answers lie in ``OUTPUT.synth`` beside it, which stays: the same texts may be judged anew, or more of them
    written. The rows stand in the order of the texts. Beside them lies what they come from.

    :returns: how many texts there are, how many make no row by each of `RULES`, how many rows are kept.
    :raises UsageError: for another ending, or when something else was begun there.
    :raises Unavailable: when the endpoint or the disk fails, or no row is left.
    """
    if output.suffix not in (".jsonl", ".parquet"):
        raise UsageError(f"{output.name}: rows are written as .jsonl or .parquet")
    ready(output)
    work = output.with_name(f"{output.name}.synth")
    texts = partial(passages, data, plan.limit)
    with journal(work / "answers.jsonl") as kept:
        _begin(work / "begun.json", kind, data, plan, bool(kept.places))
        answer = partial(_answer, endpoint, kept, say, track)
        candidates = partial(_candidates, kind, plan, texts, kept)
        answer("answers", lambda: (_asked(kind, plan, text) for text in texts()))
        worst = None
        if plan.judge:
            answer("scores", lambda: (question for _, question in candidates(Counter())))
            worst = _worst((question for _, question in candidates(Counter())), kept, plan.drop)
        counts: Counter[str] = Counter()
        with writing(output) as out:
            _write(out, output.suffix, kind, _rows(candidates(counts), kept, worst, counts))
            told = {name: counts[name] for name in ("texts", *RULES, "kept")}
            if not told["kept"]:
                raise Unavailable(f"no row is left: {listed(told)}")
    record = {**_provenance(kind, data, plan, endpoint), **told, "sha256": file_sha256(output)}
    write(output.with_name(output.name + PROVENANCE), orjson.dumps(record, option=_PRETTY))
    return told


def listed(counts: Mapping[str, int]) -> str:
    """Counts in words; a rule by which nothing was dropped is left out."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name not in RULES)


def _begin(path: Path, kind: Kind, data: TrainingSet, plan: Plan, begun: bool) -> None:
    """Note what is asked of which texts, or, where something was answered, refuse to go on with anything else.

    :raises UsageError: naming what differs.
    """
    facts = {
        "kind": kind.name,
        "data": f"{data.name}:{data.split}@{data.revision}",
        "model": plan.model,
        "settings": dict(plan.settings),
        "prompt": kind.prompt,
    }
    if not (begun and path.exists()):
        write(path, orjson.dumps(facts, option=_PRETTY))
        return
    try:
        was = dict(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise Unavailable(f"{path} cannot be read ({error}); give another --output") from error
    if key := next((key for key in facts if facts[key] != was.get(key)), None):
        before, now = (repr(value)[:200] for value in (was.get(key), facts[key]))
        differs = "the prompt was another" if key == "prompt" else f"{key} was {before} and is {now}"
        raise UsageError(f"{path.parent} was begun otherwise: {differs}; give another --output, or remove it")


def _answer(
    endpoint: Endpoint,
    kept: Journal,
    say: Callable[[str], None],
    track: Track,
    label: str,
    requests: Callable[[], Iterable[Request]],
) -> None:
    """Have those requests answered that are not."""
    there = Counter(request in kept for request in requests())
    if there[False]:
        say(f"{label}: {there[False]:,} to ask for, {there[True]:,} there")
        new = (request for request in requests() if request not in kept)
        if refused := ask(endpoint, new, kept, track(label, there[False])):
            say(f"{label}: {len(refused):,} refused, the last by {refused[-1]}")


def _asked(kind: Kind, plan: Plan, text: str) -> Request:
    return Request(plan.model, Template(kind.prompt).substitute(text=text), plan.settings)


def _candidates(
    kind: Kind, plan: Plan, texts: Callable[[], Iterable[str]], kept: Journal, counts: Counter[str]
) -> Iterator[tuple[dict[str, str], Request]]:
    """The rows that the rules let through, in the order of the texts, each with what a judge is asked of it."""
    seen: set[int] = set()
    for text in texts():
        counts["texts"] += 1
        answer = kept.answer(_asked(kind, plan, text))
        found = None if answer is None else parsed(answer, kind.answer)
        if found is None:
            counts["unanswered" if answer is None else "unreadable"] += 1
            continue
        if broken := fault(text, [found[source] for source in kind.columns.values() if source != "text"], seen):
            counts[broken] += 1
            continue
        found["text"] = text
        question = Request(plan.judge or "", Template(kind.judge).substitute(found), plan.settings)
        yield {column: found[source] for column, source in kind.columns.items()}, question


def _worst(questions: Iterable[Request], kept: Journal, drop: float) -> set[str]:
    """The keys of those that are scored lowest. Of equal ones the key decides, not the place of the text."""
    scored = sorted(
        (given, question.key) for question in questions if (given := score(kept.answer(question) or "")) is not None
    )
    return {key for _, key in scored[: int(len(scored) * drop + 1e-9)]}  # 100 * .29 is 28.999...


def _rows(
    candidates: Iterable[tuple[dict[str, str], Request]], kept: Journal, worst: set[str] | None, counts: Counter[str]
) -> Iterator[dict[str, str]]:
    for row, question in candidates:
        if worst is not None and score(kept.answer(question) or "") is None:
            counts["unscored"] += 1
        elif worst is not None and question.key in worst:
            counts["worst"] += 1
        else:
            counts["kept"] += 1
            yield row


def _write(out: IO[bytes], ending: str, kind: Kind, rows: Iterator[dict[str, str]]) -> None:
    if ending == ".jsonl":
        out.writelines(orjson.dumps(row) + b"\n" for row in rows)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(column, pa.string()) for column in kind.columns])
    with pq.ParquetWriter(out, schema, compression="zstd") as sink:
        while batch := list(islice(rows, _BATCH)):
            sink.write_table(pa.Table.from_pylist(batch, schema))


def _provenance(kind: Kind, data: TrainingSet, plan: Plan, endpoint: Endpoint) -> dict[str, Any]:
    """What a file of rows says of itself."""
    return {
        "data": data.record(),
        "kind": kind.name,
        "endpoint": endpoint.url,
        "model": plan.model,
        "prompt": kind.prompt,
        "settings": dict(plan.settings),
        "limit": plan.limit,
        "judge": None if plan.judge is None else {"model": plan.judge, "prompt": kind.judge, "drop": plan.drop},
    }
