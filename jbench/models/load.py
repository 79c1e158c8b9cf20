"""From a model string to an adapter: the table of the README, "A first score"."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from jbench.models.combine import Call, combine, leaves
from jbench.models.options import Options
from jbench.types import Model, UsageError, unknown

LEXICAL = ("bm25:char-bigram", "bm25:mecab", "ngram")
CHECKPOINTS = ("dense", "colbert", "cross-encoder", "sparse")
_FORMS = ("run:PATH", "org/name", "./folder", "rerank(FIRST, DEPTH, SECOND)", "rrf(A, B)")


def open_model(string: str, options: Options | None = None) -> Model:
    """The adapter that serves ``string``; weights are not loaded yet.

    :raises UsageError: for a string that means nothing, or options that do not apply.
    :raises Unavailable: when the file or checkpoint is not to be had.
    """
    options = options or Options()
    call = Call.of(string)
    if call is None:
        return _open(string, options)
    taken = _shared_out(string, options)
    return _combined(call, options, taken)


def _combined(call: Call, options: Options, taken: dict[str, Options]) -> Model:
    def open_part(part: str, given: Options) -> Model:
        inner = Call.of(part)
        return _combined(inner, given, taken) if inner else _open(part, taken[part])

    return combine(call, options, open_part)


def _shared_out(string: str, options: Options) -> dict[str, Options]:
    """Which part of a combination gets which option: devices every checkpoint, the others the only one that can.

    :raises UsageError: for an option that no part, or more than one, could be meant by.
    """
    parts = list(dict.fromkeys(leaves(string)))
    bare = replace(options, name=None, prompts={}, settings={}, device=None, dtype=None)
    if not (options.prompts or options.settings or options.device or options.dtype):
        return dict.fromkeys(parts, bare)
    kinds = {part: _kind(part) for part in parts}
    taken = {part: replace(bare, device=options.device, dtype=options.dtype) if kinds[part] else bare for part in parts}
    if not any(kinds.values()):
        options.only(string)
    for flag, field, fits in (
        ("--prompt", "prompts", [part for part, kind in kinds.items() if kind not in (None, "cross-encoder")]),
        ("--model-set", "settings", [part for part, kind in kinds.items() if kind]),
    ):
        given = getattr(options, field)
        if given and len(fits) != 1:
            raise UsageError(f"{flag} could be meant for {' or '.join(fits) or 'none'} of {string}")
        if given:
            taken[fits[0]] = replace(taken[fits[0]], **{field: given})
    return taken


def _kind(string: str) -> str | None:
    """Which adapter serves a checkpoint; None for what has no weights."""
    from jbench.models.checkpoint import locate

    scheme, colon, rest = string.partition(":")
    if string == "ngram" or (colon and scheme in ("bm25", "run")):
        return None
    return scheme if colon and scheme in CHECKPOINTS else locate(rest if colon else string, None).kind[0]


def _open(string: str, options: Options) -> Model:
    scheme, colon, rest = string.partition(":")
    if string == "ngram":
        from jbench.models.ngram import ngram

        return ngram(options)
    if colon and scheme == "bm25":
        from jbench.models.bm25 import bm25

        return bm25(rest, options)
    if colon and scheme == "run":
        from jbench.models.runfile import runfile

        return runfile(rest, options)
    if colon and scheme not in CHECKPOINTS:
        raise unknown("model", string, (*LEXICAL, *_FORMS, *(f"{kind}:CHECKPOINT" for kind in CHECKPOINTS)))
    if not colon and not string.startswith((".", "/", "~")) and "/" not in string and not os.path.isdir(string):
        raise unknown("model", string, (*LEXICAL, *_FORMS))
    return _checkpoint(rest if colon else string, scheme if colon else None, options)


def _checkpoint(where: str, chosen: str | None, options: Options) -> Model:
    from jbench.models.checkpoint import locate
    from jbench.models.colbert import colbert
    from jbench.models.cross_encoder import cross_encoder
    from jbench.models.dense import dense
    from jbench.models.sparse import sparse

    checkpoint = locate(where, options.name)
    if chosen:
        kind, sign = chosen, "as asked"
    else:
        kind, sign = checkpoint.kind
    options.say(f"{checkpoint.model}: {kind} ({sign}), revision {checkpoint.revision}")
    adapters: dict[str, Callable[..., Model]] = {
        "dense": dense,
        "colbert": colbert,
        "cross-encoder": cross_encoder,
        "sparse": sparse,
    }
    return adapters[kind](checkpoint, options, by_hand=chosen is not None)
