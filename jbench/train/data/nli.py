"""Sentence pairs of natural language inference, grouped by premise as the Japanese SimCSE report does.

simple-simcse-ja, src/datasets/nli.py. A group is the premises that are one without spaces and ``。、``; its
positives are what they entail, its negatives what contradicts them. Groups without a positive are left out.
Groups and texts stand in the order of the file: upstream's order of texts is that of a Python set, which
changes from process to process (PYTHONHASHSEED), and its order of groups is shuffled from there.
"""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path

from jbench import formats
from jbench.source import Source, github, local
from jbench.train.data.training_set import ROLES, TrainingSet, made

JANLI = github(
    "verypluming/JaNLI",
    "2bbb63622570f7b20abc118146141b501efe5183",
    "janli.tsv",
    sha256="19e324626dd2229c372cce6c84de0658b290eae5bfa28f9476d4066705151a4f",
)
JNLI = github(
    "yahoojapan/JGLUE",
    "6f071c09316baae89c3d083a90985b4b1cb9968c",
    "datasets/jnli-v1.3/train-v1.3.json",
)

TRAIN = "train_w_filtering.tsv"


def preprocess(text: str) -> str:
    """Without spaces, in NFKC."""
    return unicodedata.normalize("NFKC", text.replace(" ", "").strip())


def normalize(text: str) -> str:
    """What premises of one group share: also without ``。`` and ``、``."""
    return preprocess(text).replace("。", "").replace("、", "")


def janli() -> TrainingSet:
    """JaNLI's train split; of its two labels ``non-entailment`` is the negative."""
    rows = (
        (r["sentence_A_Ja"], r["sentence_B_Ja"], r["entailment_label_Ja"]) for r in JANLI.tsv() if r["split"] == "train"
    )
    return grouped("JaNLI", JANLI, rows, "non-entailment")


def jnli() -> TrainingSet:
    """JNLI's train split, of JGLUE. The report made it (of v1.1) and left it out of its grid."""
    rows = ((r["sentence1"], r["sentence2"], r["label"]) for r in JNLI.jsonl())
    return grouped("JGLUE/JNLI", JNLI, rows)


def jsnli(path: Path) -> TrainingSet:
    """JSNLI's filtered train split: `TRAIN`, or the ``jsnli_1.1.zip`` that holds it.

    From nlp.ist.i.kyoto-u.ac.jp, nl-resource/JSNLI. Columns: label, premise, hypothesis; no head.
    """
    file = local(path)
    rows = file.read("JSNLI (label, premise, hypothesis, between tabs)", _tabbed)
    return grouped("JSNLI", file, [(premise, hypothesis, label) for label, premise, hypothesis in rows])


def grouped(
    name: str, file: Source, rows: Iterable[tuple[str, str, str]], negative: str = "contradiction"
) -> TrainingSet:
    """Groups of (premise, hypothesis, label) ``rows``; ``negative`` is the label of hard negatives."""
    from datasets import Dataset

    groups: dict[str, tuple[dict[str, None], dict[str, None], dict[str, None]]] = {}
    for premise, hypothesis, label in rows:
        premises, positives, negatives = groups.setdefault(normalize(premise), ({}, {}, {}))
        premises[preprocess(premise)] = None
        if label in ("entailment", negative):
            (positives if label == "entailment" else negatives)[preprocess(hypothesis)] = None
    kept = [[list(texts) for texts in group] for group in groups.values() if group[1]]
    columns = dict(zip(ROLES, zip(*kept, strict=True), strict=True)) if kept else {}
    return made(name, "train", [file], Dataset.from_dict(columns), ROLES)


def _tabbed(path: Path) -> list[list[str]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as held:
            names = [name for name in held.namelist() if name.rsplit("/", 1)[-1] == TRAIN]
            if not names:
                raise ValueError(f"it holds no {TRAIN}")
            text = held.read(names[0]).decode("utf-8-sig")
    else:
        text = formats.text(path)
    rows = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]
    if wrong := next((number for number, row in enumerate(rows, 1) if len(row) != 3), 0):
        raise ValueError(f"line {wrong} has {len(rows[wrong - 1])} fields, not 3")
    return rows
