"""JSICK: graded relatedness (1-5), the Japanese SICK. `data` names the split in one file.

`simcse-dev4500` is what the Japanese SimCSE report (arXiv 2310.19349) calls "JSICK val": the rows
whose `data` is `train`, used to choose checkpoints and hyper-parameters.

`mteb` has the rows of JMTEB's own test split, which mteb took over: the last 1,986 of the whole file after Python's
shuffle by seed 42. 984 of them are rows of `test`, 907 of `train`, 95 of `trial`.
"""

import random
from collections.abc import Callable
from typing import Any

from jbench import STS, Pairs, github

FILE = github(
    "verypluming/JSICK",
    "b3034994192fae2f41b5937bcf69544e4282fc39",
    "jsick/jsick.tsv",
    sha256="5e2ec0dbbb1030eb45bddc817dcda8d53da04ddae817456f89c772905c4f6c8a",
)


def of_split(split: str) -> Pairs:
    return pairs([row for row in FILE.tsv() if row["data"] == split])


def of_jmteb() -> Pairs:
    rows = FILE.tsv()
    random.Random(42).shuffle(rows)  # noqa: S311
    return pairs(rows[-1986:])


def pairs(rows: list[dict[str, str]]) -> Pairs:
    return Pairs(
        [r["sentence_A_Ja"] for r in rows],
        [r["sentence_B_Ja"] for r in rows],
        [float(r["relatedness_score_Ja"]) for r in rows],
    )


def task(protocol: str, load: Callable[[], Pairs], splits: tuple[str, ...], count: int, **more: Any) -> STS:
    return STS(
        name="jsick",
        protocol=protocol,
        version=1,
        load=load,
        license="CC-BY-SA-4.0",
        sources=tuple(f"JSICK:{split}" for split in splits),
        expects={"pairs": count},
        **{"citation": "Yanaka and Mineshima, JSICK (TACL 2022)", **more},
    )


TASKS = [
    task("test4927", lambda: of_split("test"), ("test",), 4927),
    task("simcse-dev4500", lambda: of_split("train"), ("train",), 4500),
    task(
        "mteb",
        of_jmteb,
        ("test", "train", "trial"),
        1986,
        measures=("spearman",),
        citation="mteb 2.20, JSICK: mteb/JSICK@729cfe4a",
    ),
]
