"""The data that a recipe asks for, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jbench.train.recipes import ColBERT, Contrastive, Recipe, SimCSE
from jbench.train.rows import SCORES

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet


def opened(recipe: Recipe) -> list[TrainingSet]:
    """The training sets that the recipe names, with as many negatives as it reads.

    :raises UsageError: for a name that means nothing.
    :raises Unavailable: when one is not to be had.
    """
    from jbench.train.data import open_set

    return [open_set(name, negatives_of(recipe), _scored(recipe, name)) for name in recipe.data]


def _scored(recipe: Recipe, name: str) -> bool:
    """Whether to read a teacher's scores: always for a distilled ColBERT, for Ruri of the files that have them."""
    if not isinstance(recipe, ColBERT | Contrastive) or not recipe.distil:
        return False
    return isinstance(recipe, ColBERT) or SCORES in _columns(Path(name))


def _columns(path: Path) -> list[str]:
    """A file's columns; none of what is no file, or holds something else, which reading it will say."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_schema(path).names)
        with path.open(encoding="utf-8") as lines:
            return list(json.loads(next(lines)))
    except (OSError, ValueError, TypeError, StopIteration):
        return []


def negatives_of(recipe: Recipe) -> int:
    """How many negatives a row has at most."""
    if isinstance(recipe, SimCSE):
        return 1
    return recipe.ways - 1 if isinstance(recipe, ColBERT) else int(getattr(recipe, "hard_negatives", 0))
