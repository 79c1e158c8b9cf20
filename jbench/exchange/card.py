"""Results for a model card: ``model-index`` in its front matter, and ``.eval_results/*.yaml`` beside it.

The formats are those of github.com/huggingface/hub-docs: modelcard.md and eval_results.yaml; huggingface_hub
makes the entries, and knows the front matter when it sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jbench.board import labels
from jbench.exchange.table import made, seen
from jbench.exposure import ledger, split
from jbench.files import write
from jbench.task import Task
from jbench.types import Result, UsageError

_KINDS = {
    "sts": ("semantic-similarity", "Semantic Similarity"),
    "retrieval": ("information-retrieval", "Information Retrieval"),
    "qa": ("information-retrieval", "Information Retrieval"),
    "reranking": ("reranking", "Reranking"),
}
"""Type and name of a task as the model cards of sentence-transformers write them."""


def model_index(results: Iterable[Result], tasks: Mapping[str, Task]) -> list[dict[str, Any]]:
    """The ``results`` of a model-index: an entry a task, all its measures, as fractions.

    ``config`` is the task with its protocol and version: readers put entries of one data set, config and
    split together, and two protocols must stay two. ``args`` say where the number comes from and what the
    model has seen; a ``source`` is not given, as it would need an address.
    """
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    entries: list[dict[str, Any]] = []
    for result in results:
        task = tasks.get(result.task)
        source = task.sources[0] if task and task.sources else ""
        data, part = split(source)
        kind, title = _KINDS.get(result.kind, (result.kind, None))
        version, _ = made(result)
        args = {
            "jbench": version,
            "key": result.key,
            "model_revision": result.revision,
            "data_sha256": result.data.get("sha256"),
            "exposure": seen(result, task),
            "settings": result.variant or None,
            "unprompted": result.unprompted or None,
            "truncated": result.counts.get("truncated") or None,
        }
        scores = [
            EvalResult(
                task_type=kind,
                task_name=title,
                dataset_type=hub_id(source) or result.task,
                dataset_name=f"{data} ({result.task})" if data else result.task,
                dataset_config=_config(result),
                dataset_split=part or None,
                dataset_args={key: value for key, value in args.items() if value is not None},
                metric_type=measure,
                metric_value=value,
                metric_args={
                    "definition": result.definitions.get(measure),
                    "ties": list(result.ties.get(measure, ())) or None,
                },
            )
            for measure, value in result.scores.items()
        ]
        # One by one: the library would take the data set's name of the first for all that it puts together.
        entries += eval_results_to_model_index(result.model, scores)[0]["results"]
    return entries


def _config(result: Result) -> str:
    return f"{result.task}.v{result.task_version}"


def hub_id(source: str) -> str:
    """The hub id of a source such as ``JGLUE/JSTS:validation``, by the exposure ledger; empty where it has none.

    A part of a collection that has none of its own goes by the collection's.
    """
    data, _ = split(source)
    ids = {row.name: row.hub[0] for row in ledger().data if row.hub}
    return ids.get(data) or ids.get(data.partition("/")[0], "")


def eval_results(results: Iterable[Result], tasks: Mapping[str, Task]) -> tuple[list[dict[str, Any]], list[str]]:
    """The entries of an ``.eval_results`` file, one a task by its main measure, and the tasks left out.

    An entry needs a data set on the hub; ``task_id`` is the task's id. The notes say what the number is.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries, left = [], []
    for result in results:
        task = tasks.get(result.task)
        if not (found := hub_id(task.sources[0] if task and task.sources else "")):
            left.append(result.task)
            continue
        value, (_, created) = result.scores[result.main], made(result)
        entries.append(
            EvalResultEntry(
                dataset_id=found, task_id=result.task, value=value, date=created or None, notes=_notes(result, task)
            )
        )
    return eval_result_entries_to_yaml(entries), left


def _notes(result: Result, task: Task | None) -> str:
    version, _ = made(result)
    low, high = result.ties.get(result.main, (None, None))
    cut = result.counts.get("truncated", 0)
    parts = [
        f"{result.main} ({result.definitions.get(result.main)}) of {_config(result)} as a fraction",
        f"measured by jbench {version}, result {result.key}",
        f"model {labels([result])[0]} at {result.revision}",
        f"another order of tied documents gives {low} to {high}" if low is not None else "",
        f"without the family's prompt for {', '.join(result.unprompted)}" if result.unprompted else "",
        f"{cut} texts cut to what the model reads" if cut else "",
        f"exposure: {seen(result, task)}",
    ]
    return ". ".join(filter(None, parts))


@dataclass(frozen=True)
class Merged:
    """A card with new entries: how many of jbench's own they replace, how many of others' stay."""

    text: str
    replaced: int
    kept: int


def merge(text: str, name: str, entries: Sequence[Mapping[str, Any]]) -> Merged:
    """A card's text with ``entries`` in its model-index, in the place of those that jbench wrote before.

    All else stays byte for byte: the body, other keys of the front matter and their comments; entries of
    others keep their values. ``name`` is taken for the model where the index names none.

    :raises UsageError: for front matter that is not whole, or that none of this can be done to.
    """
    import yaml
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    found = REGEX_YAML_BLOCK.search(text)
    if not found:
        if text.lstrip().split("\n", 1)[0].strip() == "---":
            raise UsageError("its front matter (---) does not end")
        line_break = "\r\n" if "\r\n" in text else "\n"
        block, _, _ = _spliced("", name, entries, line_break)
        return Merged(f"{mark}---{line_break}{block}{line_break}---{line_break}{text}", 0, 0)
    line_break = "\r\n" if found[1].endswith("\r\n") else "\n"
    try:
        block, replaced, kept = _spliced(found[2], name, entries, line_break)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        said = error if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise UsageError(f"its front matter cannot be added to: {said}") from error
    return Merged(mark + text[: found.start(2)] + block + text[found.end(2) :], replaced, kept)


def _spliced(block: str, name: str, entries: Sequence[Mapping[str, Any]], line_break: str) -> tuple[str, int, int]:
    import yaml
    from huggingface_hub.utils import yaml_dump

    start, end, keys = _place(block)
    index = _index(yaml.safe_load(block), name)
    others = [[one for one in model["results"] if not _ours(one)] for model in index]
    replaced = sum(len(model["results"]) for model in index) - sum(map(len, others))
    whole = [[*others[0], *entries], *others[1:]]
    new = [{**model, "results": results} for model, results in zip(index, whole, strict=True)]
    dumped = yaml_dump({"model-index": new}, sort_keys=False, line_break=line_break).rstrip("\r\n")
    head = block[:start] + (line_break if block and start == len(block) and not block.endswith("\n") else "")
    spliced = head + dumped + block[end:]
    if _place(spliced)[2] != (keys if "model-index" in keys else [*keys, "model-index"]):
        raise ValueError("its keys do not stand by themselves")
    return spliced, replaced, sum(map(len, others))


def _place(block: str) -> tuple[int, int, list[str]]:
    """Where ``model-index`` and its value stand in a YAML block (else its end, twice), and the keys of the block."""
    import yaml

    if any(getattr(event, "value", None) == "<<" for event in yaml.parse(block, yaml.SafeLoader)):
        raise ValueError("it has a merge key, <<")
    node = yaml.compose(block, yaml.SafeLoader)
    if node is None:
        return len(block), len(block), []
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise ValueError("it is no list of keys and values, a line each")
    keys = [key.value for key, _ in node.value]
    if keys.count("model-index") > 1:
        raise ValueError("model-index stands twice")
    if "model-index" not in keys:
        return len(block), len(block), keys
    at = keys.index("model-index")
    starts = [key.start_mark.index for key, _ in node.value] + [len(block)]
    # What follows the value, blank lines and comments, is not its own.
    lines = block[starts[at] : starts[at + 1]].splitlines(keepends=True)
    while not lines[-1].strip() or lines[-1].lstrip().startswith("#"):
        lines.pop()
    return starts[at], starts[at] + len("".join(lines).rstrip("\r\n")), keys


def _index(data: Any, name: str) -> list[dict[str, Any]]:
    index = (data or {}).get("model-index") or [{"name": name, "results": []}]
    whole = isinstance(index, list) and all(isinstance(m, dict) and isinstance(m.get("results"), list) for m in index)
    if not whole:
        raise ValueError("model-index is no list of models with a name and results")
    return index


def _ours(entry: Any) -> bool:
    data = entry.get("dataset") if isinstance(entry, dict) else None
    args = data.get("args") if isinstance(data, dict) else None
    return isinstance(args, dict) and "jbench" in args


def write_card(path: Path, results: Sequence[Result], tasks: Mapping[str, Task]) -> Merged:
    """Put results of one model into the card at ``path``, which is made where there is none.

    :raises UsageError: for a card that cannot be read or merged, naming it.
    """
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        merged = merge(text, results[0].model, model_index(results, tasks))
    except (UsageError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    write(path, merged.text)
    return merged


def write_eval_results(path: Path, results: Sequence[Result], tasks: Mapping[str, Task]) -> list[str]:
    """Write an ``.eval_results`` file; returns the tasks left out, whose data sets have no hub id.

    :raises UsageError: when none is left.
    """
    from huggingface_hub.utils import yaml_dump

    entries, left = eval_results(results, tasks)
    if not entries:
        raise UsageError(f"nothing to write to {path}: no hub id is known for the data of {', '.join(left)}")
    write(path, yaml_dump(entries, sort_keys=False))
    return left
