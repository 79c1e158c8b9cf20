"""What a model is made with; a task never sees any of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jbench.search import MEMORY
from jbench.types import Track, UsageError, silent

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Options:
    """``settings`` are ``--model-set``, ``prompts`` ``--prompt``, both as typed.

    ``training`` is what ``--trained-on`` declares (see `jbench.manifest`). ``store``: values are kept on disk, for
    every later run (`jbench.store`). ``memory`` is how many bytes a search may hold at once, beside the texts, the
    queries, what is found, and what is kept of texts (`jbench.store`: up to `REMEMBERED`, or to three times `SHARD`
    while it is written).
    """

    name: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None
    dtype: str | None = None
    trust_remote_code: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    store: bool = False
    memory: int = MEMORY
    say: Callable[[str], None] = lambda message: None
    track: Track = silent

    def only(self, model: str, **kinds: bool) -> None:
        """Refuse what ``model`` has no use for.

        :raises UsageError: naming the option.
        """
        given = {"--prompt": self.prompts, "--model-set": self.settings, "--device": self.device, "--dtype": self.dtype}
        allowed = {"--" + kind.replace("_", "-") for kind, yes in kinds.items() if yes}
        if stray := next((flag for flag, value in given.items() if value and flag not in allowed), None):
            raise UsageError(f"{stray} does not apply to {model}")


def whole_number(key: str, value: str) -> int:
    """A setting's value as a whole number of 1 or more.

    :raises UsageError: for anything else.
    """
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= 1):
        raise UsageError(f"--model-set {key}={value:.40}: expected a whole number of 1 or more, of nine digits at most")
    return int(value)


def key_values(flag: str, items: list[str], example: str) -> dict[str, str]:
    """Options of the form ``KEY=VALUE`` as a dictionary.

    :raises UsageError: for an item without ``=``, with ``example`` as the way to write it, and
        for a key that comes twice.
    """
    pairs = [item.partition("=") for item in items]
    if bad := [key for key, equals, _ in pairs if not equals]:
        raise UsageError(f"{flag} {bad[0]!r}: expected {example}")
    found: dict[str, str] = {}
    for key, _, value in pairs:
        if key in found:
            raise UsageError(f"{flag} gives {key} twice: {found[key]} and {value}")
        found[key] = value
    return found
