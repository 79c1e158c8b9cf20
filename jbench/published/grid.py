"""What the SimCSE report's tables were made of, and those of its tables that hold no scores (``simcse-grid/*.csv``).

- ``sup-all``: 24 base models x 5 data sets x 4 batch sizes x 3 learning rates, ``unsup-best``: 24 base models x 4
  data sets, each with the batch size and learning rate that were best on JSICK val. Spearman correlations x 100,
  means of 5 runs, six decimals of hppRC/simple-simcse-ja@780476b:results/sup-simcse/all.csv and
  results/unsup-simcse/best.csv.
- ``sup-best``: the best settings as results/sup-simcse/best.csv there gives them.
- ``rankings``: mean ranks as the README prints them.

The grid of the unsupervised runs (results/unsup-simcse/all.csv, 1,152 rows) is not among them.
"""

from __future__ import annotations

import csv
from pathlib import Path

FOLDER = Path(__file__).parent / "simcse-grid"
BEST = "hppRC/simple-simcse-ja@780476b:results/{}-simcse/best.csv"
README = "hppRC/simple-simcse-ja@0090d17:README.md"


def rows(table: str) -> list[dict[str, str]]:
    """The rows of ``sup-all``, ``sup-best``, ``unsup-best`` or ``rankings`` by column."""
    with (FOLDER / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
