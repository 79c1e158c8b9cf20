"""Words first: Juman++ segmentation, as the Japanese SimCSE code does it (arXiv 2310.19349).

Full-width characters, at most 4,096 bytes, then surface forms joined by one space.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any

from jbench.types import Unavailable, unknown

MODELS = (
    "ku-nlp/deberta-v2-base-japanese",
    "nlp-waseda/roberta-base-japanese",
    "megagonlabs/roberta-long-japanese",
    "nlp-waseda/roberta-large-japanese",
    "ku-nlp/deberta-v2-large-japanese",
)
"""Those that the SimCSE code gives segmented texts (its JUMANPP_MODELS), no others."""

SEGMENTERS = ("jumanpp", "none")
_MOST_BYTES = 4096
_SECONDS = 60
_ADVICE = (
    "segmenter=jumanpp needs Juman++: install it, or run unsegmented and labelled with --model-set segmenter=none ({})"
)
# The SimCSE code widens with mojimoji, from which jaconv differs in these.
_QUOTES = str.maketrans({'"': "”", "'": "’", "`": "‘", "¥": "￥"})
_LONE_MARKS = str.maketrans({"ﾞ": "゛", "ﾟ": "゜"})


def segmenter(hub_id: str | None, base_model: str | None, asked: str | None) -> str | None:
    """``jumanpp`` or ``none``; None for a model that reads plain texts anyway.

    One of `MODELS`, or a model trained from one, gets ``jumanpp`` unless ``asked`` otherwise.

    :raises UsageError: when ``asked`` names no segmenter.
    """
    if asked is not None and asked not in SEGMENTERS:
        raise unknown("segmenter", asked, SEGMENTERS)
    if hub_id in MODELS or base_model in MODELS:
        return asked or "jumanpp"
    return "jumanpp" if asked == "jumanpp" else None


def jumanpp(texts: Sequence[str]) -> list[str]:
    """Each text as its words, joined by one space.

    :raises Unavailable: when Juman++ or rhoknp is missing, or Juman++ fails on a text.
    """
    analyser = _analyser(_binary())
    return [_words(analyser, text) for text in texts]


def version() -> str:
    """What the installed Juman++ says of itself and its dictionary, on one line.

    :raises Unavailable: when it is missing or does not run.
    """
    return _version(_binary())


def prepared(text: str) -> str:
    """The text as Juman++ is given it: full-width, cut at a character to fit 4,096 bytes."""
    from jaconv import h2z

    wide: str = h2z(text.replace(" ", "　").translate(_QUOTES), ascii=True, digit=True).translate(_LONE_MARKS)
    raw = wide.encode("utf-8", "surrogatepass")
    # The SimCSE code begins its cut one byte below the limit.
    return wide if len(raw) <= _MOST_BYTES else raw[: _MOST_BYTES - 1].decode("utf-8", "ignore")


def _words(analyser: Any, text: str) -> str:
    try:
        sentence = analyser.apply_to_sentence(prepared(text), timeout=_SECONDS)
    except Exception as error:  # its process may die, hang, or write what rhoknp cannot read
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unavailable(f"Juman++ failed on {text[:20]!r}: {reason}") from error
    return " ".join(word.text for word in sentence.morphemes)


def _binary() -> str:
    try:
        import jaconv  # noqa: F401
        import rhoknp  # noqa: F401
    except ImportError as error:
        raise Unavailable(_ADVICE.format(f"no module {error.name}: pip install 'jbench[jumanpp]'")) from error
    found = shutil.which("jumanpp")
    if found is None:
        raise Unavailable(_ADVICE.format("no jumanpp on PATH"))
    return found


@cache
def _analyser(binary: str) -> Any:
    """One process for all texts: starting it reads the dictionary."""
    from rhoknp import Jumanpp

    return Jumanpp(executable=binary)


@cache
def _version(binary: str) -> str:
    command = [binary, "--version"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=_SECONDS)  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Unavailable(_ADVICE.format(f"jumanpp --version: {type(error).__name__}")) from error
    return " ".join(done.stdout.split()).removeprefix("Juman++ Version: ")
