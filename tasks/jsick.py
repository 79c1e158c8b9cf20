"""JSICK: graded relatedness (1-5), the Japanese SICK. `data` names the split in one file.

`simcse-dev4500` is what the Japanese SimCSE report (arXiv 2310.19349) calls "JSICK val": the rows
whose `data` is `train`, used to choose checkpoints and hyper-parameters.
"""

from jbench import STS, Pairs, github

FILE = github(
    "verypluming/JSICK",
    "b3034994192fae2f41b5937bcf69544e4282fc39",
    "jsick/jsick.tsv",
    sha256="5e2ec0dbbb1030eb45bddc817dcda8d53da04ddae817456f89c772905c4f6c8a",
)


def pairs(split: str) -> Pairs:
    rows = [r for r in FILE.tsv() if r["data"] == split]
    return Pairs(
        [r["sentence_A_Ja"] for r in rows],
        [r["sentence_B_Ja"] for r in rows],
        [float(r["relatedness_score_Ja"]) for r in rows],
    )


def task(protocol: str, split: str, count: int) -> STS:
    return STS(
        name="jsick",
        protocol=protocol,
        version=1,
        load=lambda: pairs(split),
        license="CC-BY-SA-4.0",
        citation="Yanaka and Mineshima, JSICK (TACL 2022)",
        sources=(f"JSICK:{split}",),
        expects={"pairs": count},
    )


TASKS = [task("test4927", "test", 4927), task("simcse-dev4500", "train", 4500)]
