"""What a family of recipes hands to the loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jbench.types import UsageError


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A model, its loss, its rows and their order.

    ``rows`` are the data sets by name; ``plan`` names, by position, the one of each step. ``micro`` is how
    many rows one device takes at a time in one step's sum of losses. ``trainer`` and ``arguments`` are the
    library's classes, ``finished`` gives the model as it is saved. ``metric`` is what ``evaluator`` calls
    the score that chooses the checkpoint.
    """

    model: Any
    loss: Any
    rows: Mapping[str, Any]
    plan: Sequence[int]
    micro: int
    trainer: Any
    arguments: Any
    finished: Callable[[], Any]
    no_duplicates: bool = False
    prompts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    evaluator: Any = None
    metric: str = ""
    evaluations: int = 0


def devices() -> int:
    """How many processes train together, as torchrun and accelerate say."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this one is; the first writes and speaks."""
    return int(os.environ.get("RANK", "0"))


def on_each(batch_size: int) -> int:
    """A batch's rows on each device.

    :raises UsageError: when they cannot be shared out.
    """
    if batch_size % devices():
        raise UsageError(f"batch_size={batch_size} cannot be shared out over {devices()} devices")
    return batch_size // devices()
