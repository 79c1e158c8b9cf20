"""What the loaded module says of itself: longest input, pooling, the routes that texts take, the names of tasks.

sentence-transformers reads these from many files, of several ages, and its classes from code. So its own objects are
asked. They are built without the weights of a transformer, which takes a moment where the weights may take minutes;
only where a checkpoint brings code of its own are they really loaded, and each name of a task is tried. The answers
are kept in the cache, by checkpoint and versions of the libraries: later runs import none of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from unittest import mock

from pydantic import BaseModel, ConfigDict

from jbench.cache import recalled
from jbench.models import reading
from jbench.models.checkpoint import Checkpoint
from jbench.models.opened import loading
from jbench.models.own_code import check_class, check_code, own_code
from jbench.types import ROLES, Unavailable, UsageError

LIBRARIES = ("sentence-transformers", "tokenizers", "torch", "transformers")
_FORMAT = 1
"""Rises when the same module would be described otherwise."""

_NO_LIMIT = 1 << 24  # tokens; libraries write large numbers where they know no limit
_UNKNOWN_TASK = "no-such-task"
TASKS: Mapping[str, tuple[str | None, ...]] = {
    "query": ("query", "retrieval.query", "search_query", "retrieval"),
    "document": ("document", "retrieval.passage", "passage", "doc", "search_document", "corpus", "retrieval"),
    "sts": ("text-matching", "sts", "similarity", None),
    "classification": ("classification", None),
    "clustering": ("separation", "clustering", None),
}
"""By role, the names of tasks, the first that a module takes serves; None is no task at all.

``query`` and ``document`` are those of sentence-transformers' ``encode_query`` and ``encode_document``; ``encode``
gives none. ``retrieval.query``, ``retrieval.passage``, ``separation``, ``classification`` and ``text-matching`` are
lora_adaptations in config.json of jinaai/jina-embeddings-v3; ``retrieval`` and ``clustering`` are of
jina-embeddings-v5, ``search_query`` and ``search_document`` of nomic-embed-text; ``doc`` is the name in the example
of Asym in the documentation of sentence-transformers 2.
"""

Make = Callable[[str, str, dict[str, Any]], Any]
"""Folder, device and the arguments that every class of the library takes, to a loaded model."""


class Facts(BaseModel):
    """What a loaded module says.

    ``longest``: by role, how many tokens of a text are read, special ones included; None without a limit.
    ``positions``: the longest input that its tables of positions have rows for (``absolute``), or, where it counts
    distances, that its configuration speaks of; None without either.
    ``pooling``: how tokens become one vector, such as ``mean`` or ``cls+max``; None where no Pooling stands.
    ``vectors``: whether its modules make one vector of a text.
    ``unlimited``: whether every first module reads texts of any length, as tables of words do.
    ``tasks``: by role, the name of the task that is given with a text; None where no module reads one. A role that no
    route serves is not in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest: dict[str, int | None]
    positions: int | None
    absolute: bool
    pooling: str | None
    vectors: bool
    unlimited: bool
    tasks: dict[str, str | None] | None


def facts(checkpoint: Checkpoint, kind: str, make: Make, trusted: bool) -> Facts:
    """What the module says that ``make`` loads of a checkpoint; ``kind`` names what ``make`` makes.

    :raises Unavailable: in one line, where the library cannot build it.
    :raises UsageError: where it becomes another class than the checkpoint names, or for code of its own that nobody
        allowed.
    """
    check_code(checkpoint, trusted)
    versions = [version(name) for name in LIBRARIES]
    known = [str(checkpoint.folder), checkpoint.revision, getattr(checkpoint, "digest", ""), kind, trusted]

    def ask() -> dict[str, Any]:
        return _asked(checkpoint, make, trusted).model_dump()

    return Facts.model_validate(recalled("modules", [_FORMAT, *known, *versions], dict[str, Any], ask))


def parts(module: Any, task: str | None = None) -> list[Any]:
    """The modules that a text passes, in their order, each Router by the way that it takes for ``task``.

    :raises ValueError: when a Router has no way for it.
    """
    from sentence_transformers.base.modules import Router

    passed: list[Any] = []
    for part in module:
        if isinstance(part, Router):
            route = part._resolve_route(task=task, modality="text")
            passed += parts(part.sub_modules[route], task)
        else:
            passed.append(part)
    return passed


def all_parts(module: Any) -> list[Any]:
    """Every module, those on every way of a Router too, and no Router."""
    from sentence_transformers.base.modules import Router

    inner = [p for part in module for p in (_ways(part) if isinstance(part, Router) else [part])]
    return list({id(part): part for part in inner}.values())


def inside(checkpoint: Checkpoint, module: Any) -> Iterator[tuple[str, Any]]:
    """The modules inside Routers, each with its folder within the checkpoint."""
    from sentence_transformers.base.modules import Router

    def below(path: str, router: Any) -> Iterator[tuple[str, Any]]:
        for way, names in checkpoint.routes(path)["structure"].items():
            for name, part in zip(names, router.sub_modules[way], strict=True):
                home = f"{path}/{name}".strip("/")
                yield from below(home, part) if isinstance(part, Router) else [(home, part)]

    for row, part in zip(checkpoint.modules, module, strict=False):
        if isinstance(part, Router):
            yield from below(row["path"], part)


def positions(transformer: Any) -> int | None:
    """The longest input that a Transformer's tables of absolute positions have rows for; None where it has none.

    RoBERTa and its kin leave out the rows up to the padding's (a padding id of 1 and 514 rows: 512 tokens), BART and
    OPT the first two.
    """
    rows = [table.num_embeddings - _first_row(table) for table in _tables(transformer)]
    return min((n for n in rows if n > 0), default=None)


def counts_padding(transformer: Any) -> bool:
    """Whether a Transformer counts positions from a row's first place, so that padding on the left moves a text."""
    return any(table.padding_idx is None and not hasattr(table, "offset") for table in _tables(transformer))


@contextmanager
def quietly() -> Iterator[None]:
    """Libraries say nothing: what matters is checked and said here."""
    from transformers.utils import logging as library

    library.disable_progress_bar()  # type: ignore[no-untyped-call] # it draws bars off a terminal too
    library.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    yield


def cannot_load(model: str, error: Exception) -> Unavailable:
    """One line for whatever a library says of a checkpoint."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    ask = "; add --trust-remote-code if you trust it" if "trust_remote_code" in str(error) else ""
    return Unavailable(f"{model}: sentence-transformers cannot load it: {reason}{ask}")


def _asked(checkpoint: Checkpoint, make: Make, trusted: bool) -> Facts:
    own = trusted and own_code(checkpoint) is not None
    arguments = {
        "model_kwargs": {"use_safetensors": True},
        "trust_remote_code": trusted,
        "local_files_only": True,
    }
    with quietly():
        try:
            with loading(checkpoint, trusted) as folder:
                if own:
                    module = make(str(folder), "cpu", arguments).eval()
                else:
                    verdicts = reading.judged(checkpoint, trusted)
                    there = replace(checkpoint, folder=folder)
                    with _without_weights(), reading.read_by_files(there, verdicts):
                        module = make(str(folder), "meta", arguments)
        except (Unavailable, UsageError):
            raise
        except Exception as error:  # a checkpoint can be broken in as many ways as it has files
            raise cannot_load(checkpoint.model, error) from error
        for part in all_parts(module):
            if _is_transformer(part):
                check_class(checkpoint.model, part)
                _check_template(checkpoint.model, part)
        return _described(module, own)


@contextmanager
def _without_weights() -> Iterator[None]:
    """Transformers are built from their configuration alone, on torch's meta device."""
    import torch
    from sentence_transformers.base.modules import transformer

    def build(self: Any, path: str, task: str, config: Any, backend: str, adapted: bool, **named: Any) -> Any:
        with torch.device("meta"):
            return transformer.TRANSFORMER_TASK_TO_AUTO_MODEL[task].from_config(config, trust_remote_code=False)

    with mock.patch.object(transformer.Transformer, "_load_model", build):
        yield


def _described(module: Any, own: bool) -> Facts:
    tasks = _tasks(module, own)
    ways = {role: parts(module, tasks.get(role) if tasks else None) for role in tasks or ROLES}
    transformers = [part for part in all_parts(module) if _is_transformer(part)]
    rows = [positions(part) for part in transformers]
    spoken = [_count(getattr(part.config, "max_position_embeddings", None)) for part in transformers]
    poolings = list(dict.fromkeys(_pooling(way) for way in ways.values()))
    return Facts(
        longest={role: _longest(way[0], role) for role, way in ways.items()},
        positions=min((n for n in rows if n), default=None) or min((n for n in spoken if n), default=None),
        absolute=any(rows),
        pooling=poolings[0] if len(poolings) == 1 else " or ".join(str(mode) for mode in poolings),
        vectors=all(any(_makes_vectors(part) for part in way) for way in ways.values()),
        unlimited=not any(hasattr(way[0], "max_seq_length") and not _is_table(way[0]) for way in ways.values()),
        tasks=tasks,
    )


def _tasks(module: Any, own: bool) -> dict[str, str | None] | None:
    """By role, the name of the task that is given; None where nothing reads one."""
    if not _reads_task(module):
        return None

    def takes(task: str | None) -> bool:
        try:
            parts(module, task)
            if own:
                module.encode(["。"], prompt="", task=task, show_progress_bar=False)
        except Exception:  # code of the checkpoint's own refuses a name in its own way
            return False
        return True

    # What takes any name has none of its own beside those of sentence-transformers.
    lenient = takes(_UNKNOWN_TASK)
    found: dict[str, str | None] = {}
    for role, names in TASKS.items():
        offered = [name for name in names if name in ("query", "document", None)] if lenient else names
        for name in offered:
            if takes(name):
                found[role] = name
                break
    return found


def _check_template(model: str, transformer: Any) -> None:
    """Refuse a Transformer that reads texts through a chat template which is not there."""
    held = (
        getattr(transformer.processor, "chat_template", None),
        getattr(transformer.tokenizer, "chat_template", None),
    )
    if "message" in transformer.modality_config and not any(held):
        raise Unavailable(f"{model} reads texts through a chat template, and there is none in it")


def _reads_task(module: Any) -> bool:
    """Whether any module is told the task: a Router, or one that asks for it by name."""
    from sentence_transformers.base.modules import Router

    if any(isinstance(part, Router) for part in module):
        return True
    if any("task" in names for names in (module.module_kwargs or {}).values()):
        return True
    return any(
        "task" in getattr(part, "forward_kwargs", ())
        or (_is_transformer(part) and "message" in part.modality_config and part._chat_template_declares_task())
        for part in module
    )


def _longest(entry: Any, role: str) -> int | None:
    limits = [_count(getattr(entry, "max_seq_length", None))]
    if _is_transformer(entry):
        own = _count({"query": entry.query_length, "document": entry.document_length}.get(role))
        asked = _count((entry.processing_kwargs.get("text") or {}).get("max_length"))
        limits = [asked or (own if own and entry.query_expansion is None else limits[0]), positions(entry)]
    elif _is_table(entry):
        return None
    return min((n for n in limits if n), default=None)


def _pooling(way: list[Any]) -> str | None:
    """How the last Pooling on a way makes one vector; None where there is none."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    modes = [part.pooling_mode for part in way if isinstance(part, Pooling)]
    if not modes:
        return None
    return modes[-1] if isinstance(modes[-1], str) else "+".join(modes[-1])


def _makes_vectors(part: Any) -> bool:
    from sentence_transformers.sentence_transformer import modules as library

    if _is_transformer(part):
        return bool(part.module_output_name == "sentence_embedding")
    kinds = (library.Pooling, library.StaticEmbedding, library.BoW)
    return isinstance(part, kinds) or not type(part).__module__.startswith("sentence_transformers.")


def _is_transformer(part: Any) -> bool:
    from sentence_transformers.base.modules import Transformer

    return isinstance(part, Transformer)


def _is_table(part: Any) -> bool:
    """Whether a module looks up a vector for each word, of however many."""
    return type(part).__module__.startswith("sentence_transformers.") and not _is_transformer(part)


def _ways(router: Any) -> list[Any]:
    return [part for way in router.sub_modules.values() for part in all_parts(way)]


def _tables(transformer: Any) -> list[Any]:
    """The tables of absolute positions: one vector a place, looked up by its number."""
    import torch

    return [
        table
        for name, table in transformer.model.named_modules()
        if isinstance(table, torch.nn.Embedding)
        and any(sign in name.rsplit(".", 1)[-1] for sign in ("pos", "wpe"))
        and "rel" not in name.rsplit(".", 1)[-1]
    ]


def _first_row(table: Any) -> int:
    offset = getattr(table, "offset", None)
    if isinstance(offset, int):
        return offset
    return 0 if table.padding_idx is None else int(table.padding_idx) + 1


def _count(value: Any) -> int | None:
    """A number of tokens; None for what is no limit."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 1 <= value < _NO_LIMIT else None
