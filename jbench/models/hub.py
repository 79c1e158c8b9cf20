"""Checkpoints of the hub: brought here, or found in the client's cache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jbench.models.checkpoint import TOKEN_HEADS
from jbench.source import offline, reason
from jbench.types import Unavailable

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
SKIPPED = ("*.bin", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pt", "*.gguf", "openvino/*", "onnx/*")
"""Files that no adapter reads."""
PICKLED = (
    *(f"{folder}pytorch_model{ending}" for folder in ("", "*/") for ending in (".bin", "-*-of-*.bin")),
    *(f"{head}.pt" for head in TOKEN_HEADS),
)
CODE = ("*.py",)


def snapshot(repo: str, revision: str | None, only: tuple[str, ...] = ()) -> Path:
    """The folder of a hub checkpoint, fetched unless it is at hand; of ``only`` these files, where they are named.

    :raises Unavailable: when it is not to be had.
    """
    from huggingface_hub import snapshot_download

    chosen: dict[str, Any] = {"allow_patterns": list(only)} if only else {"ignore_patterns": list(SKIPPED)}
    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=offline(), **chosen))
    except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
        at = f"{repo}@{revision}" if revision else repo
        where = "not in the hub cache and the network is off" if offline() else f"not to be had ({reason(error)})"
        raise Unavailable(f"{at} is {where}; on a machine with network, `jbench fetch {at}` fills the cache") from error
