"""Training data that its makers published: folders of parquet files on the hub, and files in forms of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from jbench.formats import json_lines
from jbench.source import Source, hub, local, offline
from jbench.train.data.files import of_files, on_disk, several
from jbench.train.data.training_set import TrainingSet, made
from jbench.types import Unavailable, UsageError

MMARCO = [
    hub(
        "bclavie/mmarco-japanese-hard-negatives",
        "fd07fb6b0155756fb842b497c17b4ff8cafb11b3",
        f"data/train-{i:05d}-of-00014.parquet",
    )
    for i in range(14)
]
RURI_FT = ("cl-nagoya/ruri-dataset-ft", "38b63afd286e85a6811211bcc9d2bf76ab1cdf1e")
RURI_RERANKER = ("cl-nagoya/ruri-dataset-reranker", "5d58009817898537415d2d641364649db02a82e4")
LEDGER = {
    "auto-wiki-nli": "AutoWikiNLI",
    "auto-wiki-qa-nemotron": "AutoWikiQA",
    "janli": "JaNLI",
    "jaquad": "JaQuAD",
    "jqara": "JQaRA",
    "jsnli": "JSNLI",
    "jsquad": "JGLUE/JSQuAD",
    "miracl": "MIRACL-ja",
    "mkqa": "MKQA",
    "mr-tydi": "Mr.TyDi-ja",
    "nu-mnli": "NU-MNLI",
    "nu-snli": "NU-SNLI",
    "quiz-no-mori": "Quiz No Mori",
    "quiz-works": "Quiz Works",
}
"""What the exposure ledger calls the folders of Ruri's data sets."""
_BATCH = 4096
_SENTENCES = ("auto-wiki-nli", "janli", "jsnli", "nu-mnli", "nu-snli", "snow")


def mmarco(negatives: int | None) -> TrainingSet:
    """JaColBERT's triplets of mMARCO's Japanese part: a query, its positives, mined negatives."""
    return of_files("mMARCO-ja", "train", MMARCO, negatives)


def ruri(kind: tuple[str, str], folder: str, negatives: int | None) -> TrainingSet:
    """A data set of Ruri's fine-tuning or reranker, as its makers published it: ``anc``, ``pos``, ``neg``.

    :raises Unavailable: when it is not at hand and the hub is out of reach, or has no such folder.
    """
    first = "anchor" if folder in _SENTENCES else "query"
    return of_files(LEDGER.get(folder, folder), "train", train_files(*kind, folder), negatives, first=first)


def train_files(repo: str, revision: str, folder: str) -> list[Source]:
    """The train split's parquet files in a folder of a hub data set, as the mirror has them or the hub lists them.

    :raises Unavailable: when there are none, or the hub is out of reach.
    """
    near = Path(os.environ.get("JBENCH_MIRROR") or os.devnull, "hub", repo, revision, folder)
    names = sorted(f"{folder}/{path.name}" for path in near.glob("train-*.parquet")) if near.is_dir() else []
    if not names:
        names = _listed(repo, revision, folder)
    if not names:
        raise Unavailable(f"hub:{repo}@{revision[:7]} has no train-*.parquet in {folder}")
    return [hub(repo, revision, name) for name in names]


def _listed(repo: str, revision: str, folder: str) -> list[str]:
    advice = f"put its parquet files at $JBENCH_MIRROR/hub/{repo}/{revision}/{folder}"
    if offline():
        raise Unavailable(f"hub:{repo}/{folder} is not at hand and the network is off; {advice}")
    from huggingface_hub import HfApi

    try:
        found = HfApi().list_repo_files(repo, repo_type="dataset", revision=revision)
    except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
        raise Unavailable(f"hub:{repo}/{folder} could not be had ({type(error).__name__}); {advice}") from error
    return sorted(name for name in found if name.startswith(f"{folder}/train-") and name.endswith(".parquet"))


def atomic_edits(path: Path) -> TrainingSet:
    """WikiAtomicEdits' ``japanese/insertions.tsv`` or ``deletions.tsv``: a sentence and the same after an edit.

    :raises UsageError: for a file without its columns.
    """
    from datasets import Dataset

    rows = local(path).tsv()
    if not rows or not {"base_sentence", "edited_sentence"} <= rows[0].keys():
        raise UsageError(f"{path.name} has no columns base_sentence and edited_sentence under a head")
    texts = {"anchor": [r["base_sentence"] for r in rows], "positive": [r["edited_sentence"] for r in rows]}
    return made("Wiki Atomic Edits", "train", [local(path)], Dataset.from_dict(texts))


def mqa(path: Path) -> TrainingSet:
    """MQA's Japanese part as its makers pack it, ``data.ja.faq.json.gz`` and ``data.ja.cqa.json.gz``: one, or a folder.

    Title (``name``) and body (``text``) of a question are one text, of which of its answers an example draws one; what
    has no question or no answer is left out. Which of them Ruri's report read, it does not say.

    :raises UsageError: when a folder holds none.
    :raises Unavailable: when a file is not to be had, or is no such file.
    """
    files = several(path, "data.ja.*.json.gz")
    return made("MQA-ja", "train", files, on_disk(files, _questions, "mqa"), ("query", "positive"))


def _questions(path: Path) -> Iterator[Any]:
    """Record batches of questions and their answers, lists of texts both."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    schema = pa.schema({"anchor": texts, "positive": texts})
    pairs = (pair for held in json_lines(path) for pair in _asked(held))
    found = 0
    while batch := list(islice(pairs, _BATCH)):
        found += len(batch)
        asked, answers = zip(*batch, strict=True)
        yield pa.record_batch([[[one] for one in asked], list(answers)], schema=schema)
    if not found:
        raise ValueError("it has no question with an answer")


def _asked(held: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The questions of a domain (its ``pages``), of a page (its ``questions``), or the one that it is."""
    for part in (*(held.get("pages") or ()), *(held.get("questions") or ())):
        yield from _asked(part)
    title_and_body = ((held.get(key) or "").strip() for key in ("name", "text"))
    asked = "\n".join(text for text in title_and_body if text)
    answers = [text for answer in held.get("answers") or () if (text := (answer.get("text") or "").strip())]
    if asked and answers:
        yield asked, list(dict.fromkeys(answers))
