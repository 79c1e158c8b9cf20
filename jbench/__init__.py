"""jbench scores embedding, retrieval and reranking checkpoints on Japanese tasks.

The public names are loaded on first use, so that ``import jbench`` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "jbench.types": ("Absent", "Card", "Collection", "Pairs", "Qrels", "Result", "Run", "Texts"),
    "jbench.task": ("QA", "STS", "Reranking", "Retrieval", "Task"),
    "jbench.source": ("Source", "github", "hub", "local"),
    "jbench.deferred": ("Deferred",),
    "jbench.arrow": ("Rows", "rows"),
    "jbench.evaluate": ("evaluate",),
    "jbench.models.load": ("open_model",),
    "jbench.registry": ("find_board", "find_tasks"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jbench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
