"""Whether a model's texts become the same tokens here as where a result was made.

Each result keeps the digest of the ids that a few fixed texts had (``canary`` in ``host``, outside its key), and the
cache keeps those that they have here, by the versions of the libraries that read. No weights are needed, and nothing
is computed to compare the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jbench.cache import keep, recall
from jbench.types import Card, Result

REVISION = "1"
"""Rises with `TEXTS`; digests of another are not compared."""

TEXTS = (
    "朝から強い雨が降っている。図書館で本を三冊借りた。",
    "ｶﾞｷﾞｸﾞ ﾊﾟﾋﾟﾌﾟ か\u3099は\u309a ガギグ ヴァ ーーー",
    "２０２４年12月25日、１，２３４円①㍿ Crème BRÛLÉE ＡＢＣ it's",
    "𠮷野家と髙島屋😀  空白　と\t改行\nの後 ",
)
LIBRARIES = ("sentence-transformers", "sentencepiece", "tokenizers", "transformers", "fugashi")
"""The libraries that read texts for a model."""


@cache
def versions() -> dict[str, str]:
    """The installed versions of `LIBRARIES`."""
    said = {}
    for name in LIBRARIES:
        try:
            said[name] = version(name)
        except PackageNotFoundError:
            said[name] = ""
    return said


def digest(rows: Sequence[Sequence[int]]) -> str:
    """The revision of `TEXTS` and 16 hex digits over the ids that they have, a row a text."""
    told = json.dumps([list(row) for row in rows], separators=(",", ":"))
    return f"{REVISION}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def remember(card: Card) -> None:
    """Keep what the texts are here for a model, which its card says."""
    if recall("canaries", _key(card.model, card.revision), str) != card.canary:
        keep("canaries", _key(card.model, card.revision), card.canary)


def otherwise(result: Result) -> str:
    """One line where a result was made of other tokens than its model reads here; empty where not, or not known."""
    then = str(result.host.get("canary") or "")
    now = recall("canaries", _key(result.model, result.revision), str) if then else None
    if not now or then == now or then.partition("-")[0] != now.partition("-")[0]:
        return ""
    made_by = result.host.get("versions", {}).get("transformers", "?")
    return (
        f"{result.model} ({result.revision}): its texts become other tokens here than where its results were made "
        f"(transformers {versions()['transformers']} here, {made_by} there); --overwrite computes them again"
    )


def warn(results: Iterable[Result], say: Callable[[str], None]) -> None:
    """Say each line of `otherwise` once."""
    for line in dict.fromkeys(line for result in results if (line := otherwise(result))):
        say(line)


def _key(model: str, revision: str) -> list[Any]:
    return [versions(), model, revision]
