"""Training data that its makers published on the hub, as folders of parquet files."""

from __future__ import annotations

import os
from pathlib import Path

from jbench.source import Source, hub, local, offline
from jbench.train.data.files import of_files
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
