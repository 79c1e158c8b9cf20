"""What a model was trained on, as its maker says: a declared file, a model card, a trainer's manifest.

A claim about a model and no part of a score: it is outside a result's key and its equality.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jbench.types import Unavailable, UsageError

Flag = Literal[
    "test_seen",
    "dev_used_for_selection",
    "train_split_seen",
    "source_seen",
    "translated_seen",
    "teacher_seen",
    "unknown",
    "unseen",
]
"""How a model met a data set, gravest first."""

Confidence = Literal["stated", "read", "inferred"]
"""Somebody said so; it was read in a file or in code; it was concluded."""

MANIFEST = "training_manifest.json"
_Model = TypeVar("_Model", bound=BaseModel)


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""One name or a list of them."""


class Seen(BaseModel):
    """One data set, or one split of it, that a model met (or, by its ``flag``, did not)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    split: str = ""
    flag: Flag = "train_split_seen"
    evidence: str = ""
    confidence: Confidence = "stated"


class Training(BaseModel):
    """What was said of one model's training; of a combination's, in ``parts``, one for each of its models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    datasets: tuple[Seen, ...] = ()
    base_model: Names = ()
    teachers: Names = ()
    parts: tuple[Part, ...] = ()

    def record(self) -> dict[str, Any]:
        """As a result keeps it: what was not said is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Part(BaseModel):
    """One model of a combination."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    revision: str
    training: Training = Field(default_factory=Training)


def joined(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several records as one, each thing said once.

    :raises UsageError: for what is no record of training.
    """
    return reduce(_join, map(training_of, records), Training()).record()


def training_of(record: Mapping[str, Any]) -> Training:
    """A record as it is kept in a result.

    :raises UsageError: when it is none.
    """
    return _checked(record, Training, "record of training")


def _join(one: Training, other: Training) -> Training:
    def both(key: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys([*getattr(one, key), *getattr(other, key)]))

    return Training(**{key: both(key) for key in Training.model_fields})


def declared(path: Path) -> dict[str, Any]:
    """The record of a file for ``--trained-on``: TOML, or JSON that may be the list of data sets alone.

    :raises Unavailable: when it is not there.
    :raises UsageError: when it is not that, naming the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path.name} is neither TOML nor JSON (by its ending): {error}") from error
    said = _checked({"datasets": found} if isinstance(found, list) else found, Training, path.name)
    if not said.record():
        raise UsageError(f"{path.name} declares nothing; write [[datasets]] with name and split")
    named = f"declared in {path.name}"
    datasets = tuple(seen.model_copy(update={"evidence": seen.evidence or named}) for seen in said.datasets)
    return said.model_copy(update={"datasets": datasets}).record()


def of_checkpoint(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The record of what a checkpoint's model card and its trainer's manifest tell.

    Either may be missing; one that cannot be read is named to ``say`` and tells nothing.
    """
    records = []
    for read, name in ((_card, "README.md"), (_manifest, MANIFEST)):
        try:
            records.append(training_of(read(folder / name)).record() if (folder / name).is_file() else {})
        except Exception as error:  # a stranger's file can be broken in any way
            say(f"{name} tells nothing of training: {' '.join(str(error).split())[:200]}")
    return joined(records)


def _card(path: Path) -> dict[str, Any]:
    from huggingface_hub import metadata_load

    front = metadata_load(path) or {}
    named = [
        {"name": name, "evidence": "datasets: in the model card", "confidence": "read"}
        for name in _strings(front.get("datasets"))
    ]
    return {"datasets": named, "base_model": _strings(front.get("base_model"))}


def _manifest(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    # A trainer writes more than is asked here.
    rows = [{k: v for k, v in row.items() if k in Seen.model_fields} for row in found.get("datasets", [])]
    said = [{"evidence": MANIFEST, "confidence": "read", **row} for row in rows]
    return {
        "datasets": said,
        "base_model": _strings(found.get("base_model")),
        "teachers": _strings(found.get("teachers")),
    }


def _strings(value: Any) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text]


def toml(path: Path, model: type[_Model], what: str) -> _Model:
    """A TOML file of the package, validated.

    :raises UsageError: naming the place that is wrong, in one line.
    """
    try:
        return _checked(tomllib.loads(path.read_text(encoding="utf-8")), model, f"{what} {path.name}")
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or nested too deep
        raise UsageError(f"{what} {path.name}: {error}") from error


def _checked(value: Any, model: type[_Model], what: str) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{what}: {where}: {first['msg']}") from error
