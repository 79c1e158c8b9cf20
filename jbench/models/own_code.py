"""Code of a checkpoint's own: where its files name a class that no installed library has.

A class that is named is the one that the weights were made for. Where the library takes another without a word (a
decoder's causal class for one that attends both ways, say), no number is worth anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jbench.models.checkpoint import Checkpoint
from jbench.types import UsageError

LIBRARIES = ("sentence_transformers.", "pylate.")
_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
_OTHER_FRAMEWORKS = ("TF", "Flax")
_RENAMED = {"HF_ColBERT", "T5WithLMHeadModel"}
"""Architectures that transformers has under another name, or that the ColBERT adapter reads itself."""


def own_code(checkpoint: Checkpoint) -> str | None:
    """The checkpoint's own code that its files name, such as ``modeling_x.Encoder (config.json)``; None for none."""
    return next(_named(checkpoint), None)


def check_code(checkpoint: Checkpoint, trusted: bool) -> None:
    """Refuse code of the checkpoint's own unless it is ``trusted``.

    :raises UsageError: naming the class and the file that asks for it.
    """
    code = None if trusted else own_code(checkpoint)
    if code:
        raise UsageError(f"{checkpoint.model} runs code of its own, {code}; add --trust-remote-code if you trust it")


def check_class(model: str, transformer: Any) -> None:
    """Refuse a Transformer (sentence-transformers' module) that became another class than its files name.

    :raises UsageError: naming the classes.
    """
    import transformers
    from sentence_transformers.base.modules.transformer import TRANSFORMER_TASK_TO_AUTO_MODEL

    config, used = transformer.config, type(transformer.model)
    loader = TRANSFORMER_TASK_TO_AUTO_MODEL.get(transformer.transformer_task)
    auto_map = getattr(config, "auto_map", None) or {}
    own = sorted(key for key in auto_map if str(key).startswith("AutoModel"))
    if own and used.__module__.startswith("transformers.models."):
        raise UsageError(
            f"{model}: config.json names code of its own for {', '.join(own)} but none for "
            f"{getattr(loader, '__name__', 'this use')}, which is needed here: what class the weights are for is unsaid"
        )
    if own or not used.__module__.startswith("transformers."):
        return
    named = [str(name) for name in config.architectures or []]
    known = [n for n in named if n in _RENAMED or n.startswith(_OTHER_FRAMEWORKS) or hasattr(transformers, n)]
    if named and not known:
        raise UsageError(
            f"{model}: config.json names the architecture {named[0]}, which transformers {transformers.__version__} "
            f"does not have; it would be read as {used.__name__}"
        )


def _named(checkpoint: Checkpoint) -> Iterator[str]:
    for file, _, kind in checkpoint.parts():
        if not kind.startswith(LIBRARIES):
            yield f"{kind} ({file})"
    folders = dict.fromkeys([checkpoint.home, *(path for _, path, _ in checkpoint.parts())])
    for folder in folders:
        for name in _CONFIGS:
            if code := _first_class(checkpoint.read(f"{folder}/{name}").get("auto_map")):
                yield f"{code} ({name})"


def _first_class(named: Any) -> str:
    """The class that an ``auto_map`` names first, a model's before its configuration's."""
    if isinstance(named, dict):
        named = [named[key] for key in sorted(named, key="AutoConfig".__eq__)]
    if isinstance(named, list):
        return next((code for code in map(_first_class, named) if code), "")
    return str(named or "")
