"""What a checkpoint says of itself: ``training_manifest.json`` and the model card."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jbench import __version__, fingerprint
from jbench.exposure import SEEN
from jbench.files import write
from jbench.manifest import MANIFEST, of_checkpoint
from jbench.models.checkpoint import Checkpoint
from jbench.train.recipes import OURS, ColBERT, Contrastive, Recipe, SimCSE, described, written
from jbench.train.rows import SCORES
from jbench.train.watch import Best

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet

_LIBRARIES = ("accelerate", "datasets", "sentence-transformers", "torch", "transformers")


def describe(
    folder: Path,
    recipe: Recipe,
    base: Checkpoint | None,
    sets: Sequence[TrainingSet],
    steps: int,
    precision: str,
    best: Best,
    command: str,
) -> None:
    """Write both files, and the fingerprint of the training texts, into a checkpoint's folder."""
    texts = fingerprint.of(text for one in sets for text in one.texts())
    before = of_checkpoint(base.folder, lambda message: None) if base else {}
    record = {
        "recipe": recipe.name,
        "command": command,
        "settings": [
            {**row, "value": base.model} if base and row["key"] == "base" else row for row in described(recipe)
        ],
        "steps": steps,
        "seed": recipe.seed,
        "precision": precision,
        **(_base(base, before) if base else {}),
        "teachers": [*teachers_of(recipe, sets), *before.get("teachers", [])],
        "datasets": [*met(recipe, sets), *(_inherited(base, before) if base else ())],
        "selection": _selection(recipe, best),
        "fingerprint": texts.write(folder),
        "versions": {"jbench": __version__, **{name: version(name) for name in _LIBRARIES}},
    }
    write(folder / MANIFEST, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    write(folder / "README.md", _card(record, sets))


def _base(base: Checkpoint, before: Mapping[str, Any]) -> dict[str, Any]:
    """The base as the ledger knows it: by its hub id, else by what it was itself made from."""
    named = [base.hub_id] if base.hub_id else before.get("base_model", [base.model])
    return {
        "base_model": named,
        "base": {"model": base.model, "revision": base.revision, "manifest": base.read(MANIFEST) or None},
    }


def met(recipe: Recipe, sets: Sequence[TrainingSet]) -> Iterator[dict[str, Any]]:
    """The data sets as `jbench.manifest` reads them, with what only this file tells."""
    for one in sets:
        yield {**one.record(), "flag": "train_split_seen"}
    for one in _distilled(recipe, sets):
        for row in _seen(one.teacher.get("training", {})):
            said = f"{row.get('evidence', '')} of the teacher {one.teacher['model']}".strip()
            yield {**row, "flag": "teacher_seen", "evidence": said}
    if isinstance(recipe, SimCSE) and recipe.evaluations:
        from jbench.registry import find_tasks

        for source in find_tasks([recipe.dev])[0].sources:
            name, _, split = source.partition(":")
            yield {"name": name, "split": split, "flag": "dev_used_for_selection"}


def teachers_of(recipe: Recipe, sets: Sequence[TrainingSet]) -> list[str]:
    """Whose scores were learnt: the reranker that a set was mined with and what it was made from, else the recipe's."""
    named = []
    for one in _distilled(recipe, sets):
        taught = one.teacher.get("training", {})
        named.append(one.teacher.get("model", getattr(recipe, "teacher", "")))
        named += [*taught.get("base_model", ()), *taught.get("teachers", ())]
    return list(dict.fromkeys(named))


def _seen(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The data sets of a record that were met; what one says that it has not seen is said of it alone."""
    return [row for row in training.get("datasets", ()) if row.get("flag", "train_split_seen") in SEEN]


def _distilled(recipe: Recipe, sets: Sequence[TrainingSet]) -> list[TrainingSet]:
    if not isinstance(recipe, ColBERT | Contrastive) or not recipe.distil:
        return []
    return [one for one in sets if SCORES in (one.columns or one.held.column_names)]


def _inherited(base: Checkpoint, before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a base that is on no hub was trained on, for nobody could look it up by its name."""
    found = [] if base.hub_id else _seen(before)
    return [{**row, "evidence": f"{row.get('evidence', '')} of the base model {base.model}".strip()} for row in found]


def _selection(recipe: Recipe, best: Best) -> dict[str, Any] | None:
    if not isinstance(recipe, SimCSE) or not best.seen:
        return None
    seen = [{"step": at, "spearman": score if math.isfinite(score) else None} for at, score in best.seen]
    return {"task": recipe.dev, "measure": "spearman", "step": best.step, "evaluations": seen}


def _card(record: dict[str, Any], sets: Sequence[TrainingSet]) -> str:
    bases, names = record.get("base_model"), dict.fromkeys(one.name for one in sets)
    front = ["---", "language: ja", "library_name: sentence-transformers"]
    for key, values in (("base_model", bases), ("datasets", names)):
        front += [f"{key}:", *(f"- {json.dumps(value, ensure_ascii=False)}" for value in values)] if values else []
    start = f"`{record['base']['model']}`" if "base" in record else "random weights"
    changes = [row for row in record["settings"] if row["source"].startswith("--")]
    lines = [
        *front,
        "---",
        "",
        f"# {record['recipe']}",
        "",
        f"Trained by jbench {record['versions']['jbench']} with the recipe `{record['recipe']}` from "
        f"{start}, {record['steps']:,} steps, seed {record['seed']}, {record['precision']}.",
        "",
        "```",
        record["command"],
        "```",
        "",
        "| data set | split | revision | rows |",
        "|---|---|---|---|",
        *(f"| {one.name} | {one.split} | {one.revision} | {one.count:,} |" for one in sets),
        "",
    ]
    if changes:
        lines += ["Other than in the recipe:", ""]
        lines += [f"- {row['key']} {written(row['value'])} ({written(row['others'][0]['value'])})" for row in changes]
        lines += [""]
    if record["selection"]:
        chosen = next(e for e in record["selection"]["evaluations"] if e["step"] == record["selection"]["step"])
        lines += [f"Chosen on `{record['selection']['task']}`: step {chosen['step']:,}, {chosen['spearman']}.", ""]
    own = ", ".join(row["key"] for row in record["settings"] if row["source"] == OURS)
    lines += [f"`{MANIFEST}` has every value with its source; no report says: {own}.", ""]
    return "\n".join(lines)
