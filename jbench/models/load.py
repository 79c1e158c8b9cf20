"""From a model string to an adapter: the table of the README, "A first score"."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jbench.models.combine import Call, combine, leaves
from jbench.models.options import Options
from jbench.types import Model, UsageError, unknown

BUILT_IN = ("bm25:char-bigram", "bm25:mecab", "ngram", "random")
CHECKPOINTS = ("dense", "colbert", "cross-encoder", "sparse")
_SCHEMED = re.compile(r"(?![./~])([^:]*):(.*)", re.DOTALL)
"""What stands before the first colon, and behind it; a path, which may hold one, has nothing before it."""
_FORMS = ("run:PATH", "org/name", "./folder", "rerank(FIRST, DEPTH, SECOND)", "rrf(A, B)")


def open_model(string: str, options: Options | None = None) -> Model:
    """The adapter that serves ``string``; weights are not loaded yet.

    :raises UsageError: for a string that means nothing, or options that do not apply.
    :raises Unavailable: when the file or checkpoint is not to be had.
    """
    options = options or Options()
    return open_together([string], options)[0] if Call.of(string) else _open(string, options)


def open_together(strings: Sequence[str], options: Options) -> list[Model]:
    """Several models, of which each takes of the options what it has; raises as `open_model`.

    :raises UsageError: for an option that none of them has.
    """
    taken = _shared_out(strings, options)
    opened: dict[str, Model] = {}

    def open_part(part: str, given: Options) -> Model:
        call = Call.of(part)
        if part not in opened:  # one that stands in two places is loaded once
            opened[part] = combine(call, given, open_part) if call else _open(part, taken[part])
        return opened[part]

    return [open_part(string, options) for string in strings]


def _shared_out(strings: Sequence[str], options: Options) -> dict[str, Options]:
    """What each part of the models is made with: of the options, every one that it has.

    :raises UsageError: for an option that no part has.
    """
    string, parts = ", ".join(strings), list(dict.fromkeys(leaf for one in strings for leaf in leaves(one)))
    bare = replace(options, name=None, prompts={}, settings={}, device=None, dtype=None)
    if not (options.prompts or options.settings or options.device or options.dtype):
        return dict.fromkeys(parts, bare)
    kinds = {part: _kind(part) for part in parts}
    if not any(kinds.values()):
        options.only(string)
    if options.prompts and not set(kinds.values()) - {None, "cross-encoder"}:
        raise UsageError(f"--prompt: no part of {string} takes one")
    if lacking := [key for key in options.settings if not any(key in _settings(kind) for kind in kinds.values())]:
        raise UsageError(f"--model-set {lacking[0]}: no part of {string} has this setting")

    def taken(kind: str) -> Options:
        prompts = {} if kind == "cross-encoder" else options.prompts
        settings = {key: value for key, value in options.settings.items() if key in _settings(kind)}
        return replace(bare, device=options.device, dtype=options.dtype, prompts=prompts, settings=settings)

    return {part: taken(kind) if kind else bare for part, kind in kinds.items()}


def _kind(string: str) -> str | None:
    """Which adapter serves a checkpoint; None for what has no weights."""
    from jbench.models.locate import locate

    scheme, rest = match.groups() if (match := _SCHEMED.fullmatch(string)) else (None, string)
    if string in BUILT_IN or scheme in ("bm25", "run"):
        return None
    return scheme if scheme in CHECKPOINTS else locate(rest, None).kind[0]


def _open(string: str, options: Options) -> Model:
    scheme, rest = match.groups() if (match := _SCHEMED.fullmatch(string)) else (None, string)
    if string == "ngram":
        from jbench.models.ngram import ngram

        return ngram(options)
    if string == "random":
        from jbench.models.chance import chance

        return chance(options)
    if scheme == "bm25":
        from jbench.models.bm25 import bm25

        return bm25(rest, options)
    if scheme == "run":
        from jbench.models.runfile import runfile

        return runfile(rest, options)
    if scheme is not None and scheme not in CHECKPOINTS:
        raise unknown("model", string, (*BUILT_IN, *_FORMS, *(f"{kind}:CHECKPOINT" for kind in CHECKPOINTS)))
    if scheme is None and not string.startswith((".", "/", "~")) and "/" not in string and not os.path.isdir(string):
        from jbench.models.locate import shipped

        if string not in (known := shipped()):
            raise unknown("model", string, (*BUILT_IN, *known, *_FORMS))
    return _checkpoint(rest, scheme, options)


def _checkpoint(where: str, chosen: str | None, options: Options) -> Model:
    from jbench.models.locate import locate

    checkpoint = locate(where, options.name, options.trust_remote_code)
    if chosen:
        kind, sign = chosen, "as asked"
    else:
        kind, sign = checkpoint.kind
    options.say(f"{checkpoint.model}: {kind} ({sign}), revision {checkpoint.revision}")
    checkpoint.check_weights()
    adapter, _ = _adapters()[kind]
    return adapter(checkpoint, options, by_hand=chosen is not None)


def _settings(kind: str | None) -> Collection[str]:
    return [*_adapters()[kind][1], "segmenter"] if kind else []


def _adapters() -> dict[str, tuple[Callable[..., Model], Mapping[str, Any]]]:
    """By kind, what makes the model and which settings it has."""
    from jbench.models import colbert, cross_encoder, dense, sparse

    return {
        "dense": (dense.dense, dense.SETTINGS),
        "colbert": (colbert.colbert, colbert.SETTINGS),
        "cross-encoder": (cross_encoder.cross_encoder, cross_encoder.SETTINGS),
        "sparse": (sparse.sparse, sparse.SETTINGS),
    }
