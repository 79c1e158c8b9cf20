"""What models cost that others measured: parameters and numbers in a vector, by hub id (``models/sizes.csv``)."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jbench.published import plain

_PARTS = ("parameters", "dimension")
_TRAINED_ON = re.compile(r" \((sup-simcse|unsup-simcse|without) [^()]*\)\Z")
"""The brackets of another training of the same architecture: the report's SimCSE grid, Ruri's ablations."""


@cache
def sizes() -> Mapping[str, Mapping[str, float]]:
    """What is known of each model, of `_PARTS`; the file names the source of each row."""
    with (Path(__file__).parent / "models" / "sizes.csv").open(encoding="utf-8", newline="") as file:
        return {row["model"]: {part: float(row[part]) for part in _PARTS if row[part]} for row in csv.DictReader(file)}


def size_of(model: str) -> Mapping[str, float]:
    """What is known of the model that a published row names.

    Of a name with a bracket its parameters alone: ``BAAI/bge-m3 (sparse)`` has no dense vectors.
    """
    if model in sizes():
        return sizes()[model]
    found = sizes().get(_TRAINED_ON.sub("", plain(model)), {})
    return {part: value for part, value in found.items() if part == "parameters"}
