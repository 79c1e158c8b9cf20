"""From a model string to an adapter: the table of the README, "A first score"."""

from __future__ import annotations

import os
from collections.abc import Callable

from jbench.models.options import Options
from jbench.types import Model, UsageError, unknown

LEXICAL = ("bm25:char-bigram", "bm25:mecab", "ngram")
CHECKPOINTS = ("dense",)
LATER = ("colbert", "cross-encoder", "sparse")


def open_model(string: str, options: Options | None = None) -> Model:
    """The adapter that serves ``string``; weights are not loaded yet.

    :raises UsageError: for a string that means nothing, or options that do not apply.
    :raises Unavailable: when the file or checkpoint is not to be had.
    """
    options = options or Options()
    if string.startswith(("rerank(", "rrf(")):
        raise UsageError(f"{string}: combining models is not in this version")
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
    if colon and scheme not in (*CHECKPOINTS, *LATER):
        raise unknown("model", string, (*LEXICAL, "run:PATH", "dense:CHECKPOINT"))
    if not colon and not string.startswith((".", "/", "~")) and "/" not in string and not os.path.isdir(string):
        raise unknown("model", string, (*LEXICAL, "run:PATH", "org/name", "./folder"))
    return _checkpoint(rest if colon else string, scheme if colon else None, options)


def _checkpoint(where: str, chosen: str | None, options: Options) -> Model:
    from jbench.models.checkpoint import locate
    from jbench.models.dense import dense

    checkpoint = locate(where, options.name)
    if chosen:
        kind, sign = chosen, "as asked"
    else:
        kind, sign = checkpoint.kind
    options.say(f"{checkpoint.model}: {kind} ({sign}), revision {checkpoint.revision}")
    adapters: dict[str, Callable[..., Model]] = {"dense": dense}
    if kind not in adapters:
        raise UsageError(f"{checkpoint.model} is a {kind} checkpoint ({sign}), which this version does not score")
    return adapters[kind](checkpoint, options, by_hand=chosen is not None)
