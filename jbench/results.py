"""Results on disk: the key, the layout, reading and writing.

``RESULTS/<model>/<revision>/<task>.v<version>[.<variant, 8 hex>].json``, per-query values beside
it as ``.values.parquet``. The JSON is written last: where it stands, the result is whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from jbench.cache import file_sha256
from jbench.files import below, safe_name, write, writing
from jbench.manifest import training_of
from jbench.metrics import Measured, parse
from jbench.task import Loaded, Task, deferred
from jbench.types import Card, Result, Unavailable, UsageError

SCHEMA = 1
_OPTIONAL = ("digest", "ties", "variant", "unprompted", "training")
_DEEPEST = 100  # orjson writes 254 levels; what holds a result takes some


def key_of(card: Card, task: Task, data_sha256: str, texts: str = "") -> str:
    """Sha256 over all that touches a score: results with one key come from the same computation.

    ``texts`` is `texts_of` the data where the model read texts that the data defers.
    """
    identity = {
        "schema": SCHEMA,
        "task": task.id,
        "task_version": task.version,
        "kind": task.kind,
        "definitions": {name: parse(name).definition for name in task.measures},
        "data": data_sha256,
        **({"texts": texts} if texts else {}),
        "model": card.model,
        **({"digest": card.digest} if card.digest else {"revision": card.revision}),
        "adapter": card.adapter,
        "prompts": _prompts(card, task),
        "settings": dict(card.settings),
    }
    return sha256(canonical(identity)).hexdigest()


def texts_of(data: Any) -> str:
    """The sha256 of the file that a collection's deferred texts are in; of several, joined by ``+``.

    :raises Unavailable: when it is not at hand.
    """
    return "+".join(dict.fromkeys(texts.sha256 for texts in deferred(data)))


def make(
    card: Card, task: Task, loaded: Loaded, measured: Measured, report: dict[str, Any], host: dict[str, Any]
) -> Result:
    """The record of one measurement.

    ``data.texts`` is there when texts were read because the model asked for them; see `texts_of`.
    """
    data = loaded.data
    read = [texts for texts in deferred(data) if texts.used]
    texts = texts_of(data) if read else ""
    sources = dict.fromkeys([*loaded.sources, *(source for one in read for source in one.sources)])
    counted = {"pairs": 0, "queries": 0, "documents": 0, "relevant": 0, "truncated": 0, "tokens_lost": 0}
    counts = {**counted, **data.counts, "unanswered": measured.unanswered}
    counts |= {name: report[name] for name in ("truncated", "tokens_lost") if name in report}
    return Result(
        schema=SCHEMA,
        task=task.id,
        task_version=task.version,
        kind=task.kind,
        model=card.model,
        revision=card.revision,
        digest=card.digest,
        adapter=card.adapter,
        main=task.main,
        scores=measured.scores,
        definitions={name: parse(name).definition for name in task.measures},
        ties=measured.ties,
        counts=counts,
        data={
            "sha256": data.sha256,
            **({"texts": texts} if texts else {}),
            "pinned": bool(sources) and all(source.sha256 for source in sources),
            "sources": [source.name for source in sources],
        },
        prompts=_prompts(card, task),
        settings=dict(card.settings),
        variant=dict(card.variant),
        unprompted=[role for role in _roles(card, task) if role in card.unprompted],
        key=key_of(card, task, data.sha256, texts),
        host=host,
    )


def _roles(card: Card, task: Task) -> tuple[str, ...]:
    # Late interaction reads the left of a pair as a query, the right as a document.
    return ("sts",) if task.kind == "sts" and card.adapter != "colbert" else ("query", "document")


def _prompts(card: Card, task: Task) -> dict[str, str]:
    return {role: card.prompts.get(role, "") for role in _roles(card, task)}


def path_of(root: Path, card: Card, task: Task) -> Path:
    """Where the result of ``card`` on ``task`` lies under ``root``."""
    variant = f".{sha256(canonical(dict(card.variant))).hexdigest()[:8]}" if card.variant else ""
    return (
        root / safe_name(card.model) / safe_name(card.revision) / f"{safe_name(task.id)}.v{task.version}{variant}.json"
    )


def save(path: Path, result: Result, measured: Measured, clusters: Iterable[str] | None = None) -> None:
    """Write a result and its per-query values, whose sha256 it keeps in ``host``.

    :raises Unavailable: when the disk refuses; nothing half-written stays.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"item": list(measured.items)}
    if clusters is not None:
        columns["cluster"] = list(clusters)
    values = path.with_suffix(".values.parquet")
    with writing(values) as file:
        pq.write_table(pa.table({**columns, **measured.values}), file)
    sealed = replace(result, host={**result.host, "values": file_sha256(values)})
    write(path, to_json(sealed) + b"\n")


def is_whole(path: Path, result: Result) -> bool:
    """Whether the per-query values beside a result are those that were written with it.

    :raises Unavailable: when they cannot be read.
    """
    values = path.with_suffix(".values.parquet")
    try:
        return values.is_file() and file_sha256(values) == result.host.get("values")
    except OSError as error:
        raise Unavailable(f"cannot read {values}: {error.strerror}") from error


def grouping(path: Path) -> tuple[list[str], list[str] | None]:
    """The items of the per-query values beside a result, and the cluster of each; None where they have none.

    :raises Unavailable: when they cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = path.with_suffix(".values.parquet")
    try:
        with pq.ParquetFile(values) as file:  # read_table would import pandas
            named = [name for name in ("item", "cluster") if name in file.schema_arrow.names]
            columns = file.read(named).to_pydict()
        return columns["item"], columns.get("cluster")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise Unavailable(f"cannot read {values}: {error}") from error


def to_json(result: Result) -> bytes:
    """The result as indented JSON; of `_OPTIONAL` what is empty is left out."""
    return orjson.dumps(as_dict(result), option=orjson.OPT_INDENT_2)


def as_dict(result: Result) -> dict[str, Any]:
    """The result as it is written."""
    record: dict[str, Any] = orjson.loads(orjson.dumps(result))
    return {k: v for k, v in record.items() if v or k not in _OPTIONAL}


def read(path: Path) -> Result:
    """Read one result.

    :raises Unavailable: when the file is not a result, naming it and the field in one line.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        found = orjson.loads(path.read_bytes())
        if _depth(found) > _DEEPEST:
            raise UsageError(f"it is nested more than {_DEEPEST} deep")
        result = TypeAdapter(Result).validate_python(found)
        _check(result)
        return result
    except OSError as error:
        fault = f"cannot read {path}: {error.strerror}"
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{path} is not a result: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError, UsageError) as error:
        fault = f"{path} is not a result: {error}"
    raise Unavailable(" ".join(fault.split()))  # a path, or a key in the file, may hold line breaks


def _check(result: Result) -> None:
    values = [*result.scores.values(), *(v for pair in result.ties.values() for v in pair)]
    prompts = result.variant.get("prompts", {})
    if result.schema != SCHEMA:
        raise UsageError(f"it has schema {result.schema}; this version reads {SCHEMA}")
    if result.main not in result.scores or not all(math.isfinite(v) and -1 <= v <= 1 for v in values):
        raise UsageError(f"its scores are not fractions, or lack {result.main}")
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise UsageError("variant.prompts: must be an object of texts")
    training_of(result.training)


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inside), default=0)


def _json_files(root: Path, complain: Callable[[str], None]) -> Iterator[Path]:
    """What may be results under ``root``, in order; what cannot be read is named to ``complain``."""
    return below(root, 2, ".json", lambda fault: complain(f"{fault}; left out"))


def read_all(roots: Iterable[Path], complain: Callable[[str], None]) -> list[Result]:
    """Every result under ``roots``, as `located` finds them."""
    return list(located(roots, complain).values())


def located(roots: Iterable[Path], complain: Callable[[str], None]) -> dict[Path, Result]:
    """Every result under ``roots`` by its path; of one that lies under several, the later root's.

    A file there that is not a result is named to ``complain`` and left out.
    """
    found: dict[Path, Result] = {}
    places: dict[Path, Path] = {}
    for root in roots:
        for path in _json_files(root, complain):
            try:
                result = read(path)
            except Unavailable as error:
                complain(f"{error}; left out")
                continue
            earlier = places.get(path.relative_to(root))
            if earlier and same_figures(found[earlier], result):
                del found[earlier]
            places[path.relative_to(root)] = path
            found[path] = result
    return _with_digests(found)


def _with_digests(found: dict[Path, Result]) -> dict[Path, Result]:
    """Results from before digests take that of later ones of the same commit, if these agree: they are one row."""
    digests: dict[tuple[str, str], set[str]] = {}
    for result in found.values():
        if result.digest:
            digests.setdefault((result.model, result.revision), set()).add(result.digest)
    for path, result in found.items():
        known = digests.get((result.model, result.revision), set())
        if not result.digest and len(known) == 1:
            found[path] = replace(result, digest=next(iter(known)))
    return found


def same_figures(one: Result, other: Result) -> bool:
    """Whether two results are the same computation, whose figures agree but for floating point (1e-4)."""
    return (
        (one.key == other.key or _computation(one) == _computation(other))
        and one.scores.keys() == other.scores.keys()
        and all(math.isclose(value, other.scores[name], abs_tol=1e-4) for name, value in one.scores.items())
    )


def _computation(result: Result) -> bytes:
    """What the key is taken of, as far as the record says it: a result from before digests has another key."""
    what = [result.task, result.task_version, result.kind, result.definitions, result.data]
    who = [result.model, result.revision, result.digest, result.adapter, result.prompts, result.settings]
    return canonical([*what, *who])


def data_hashes(found: Iterable[Result]) -> dict[tuple[str, int], str]:
    """The sha256 of the data that results were measured on, by task and version."""
    return {(result.task, result.task_version): str(result.data.get("sha256", "")) for result in found}


def canonical(value: Any) -> bytes:
    """JSON with sorted keys: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
