"""What models cost that others measured: parameters and numbers in a vector, by hub id (``models/sizes.csv``)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PARTS = ("parameters", "dimension")


@cache
def sizes() -> Mapping[str, Mapping[str, float]]:
    """What is known of each model, of `_PARTS`; the file names the source of each row."""
    with (Path(__file__).parent / "models" / "sizes.csv").open(encoding="utf-8", newline="") as file:
        return {row["model"]: {part: float(row[part]) for part in _PARTS if row[part]} for row in csv.DictReader(file)}
