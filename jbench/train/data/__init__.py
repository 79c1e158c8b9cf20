"""Training data by name: what the reports used, and files of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jbench.progress import say
from jbench.train.data import files, nli, published, retrieval, sentences
from jbench.train.data.training_set import TrainingSet
from jbench.types import Unavailable, UsageError, unknown

__all__ = ["TrainingSet", "named", "open_set"]

_RURI_FT = ("auto-wiki-nli", "jqara", "mkqa", "nu-mnli", "nu-snli", "quiz-no-mori", "quiz-works")

BY_NAME: dict[str, Callable[[int | None], TrainingSet]] = {
    "janli": lambda negatives: nli.janli(),
    "jnli": lambda negatives: nli.jnli(),
    "jaquad": lambda negatives: retrieval.jaquad(),
    "jsquad": lambda negatives: retrieval.jsquad(),
    "miracl": lambda negatives: retrieval.miracl(),
    "mrtydi": lambda negatives: retrieval.mrtydi(),
    "wiki40b": lambda negatives: sentences.wiki40b(),
    "mmarco": published.mmarco,
    **{
        name: lambda negatives, name=name: published.ruri(published.RURI_FT, name, negatives)  # type: ignore[misc]
        for name in _RURI_FT
    },
    "autowikinli": lambda negatives: published.ruri(published.RURI_FT, "auto-wiki-nli", negatives),
    "autowikiqa": lambda negatives: published.ruri(published.RURI_FT, "auto-wiki-qa-nemotron", negatives),
}
"""What is read from where its makers put it. Ruri's own data sets are those of its fine-tuning."""

BY_PATH: dict[str, Callable[[Path], TrainingSet]] = {
    "jsnli": nli.jsnli,
    "wikipedia": sentences.wikipedia,
    "cc100": sentences.cc100,
    "bccwj": sentences.bccwj,
    "text": sentences.plain,
    "sentences": sentences.sentences,
    "neighbours": sentences.neighbours,
    "mqa": published.mqa,
    "wiki-atomic-edits": published.atomic_edits,
}
"""What is read from a place of the user's, as ``name:PATH``."""

NOT_SERVED = {
    "cc-news-long": "the report names no release; give its rows (title, maintext) as a file",
    "cc-news-short": "the report names no release; give its rows (title, maintext) as a file",
    "jrc": "no public release is known; give its rows (query, positive) as a file",
    "wikipedia(1)": "made of Wikipedia's sections; give the rows (title, positive) as a file",
    "wikipedia(3)": "made of Wikipedia's sections; give the rows (title, positive) as a file",
    "wikipedia(long)": "made of Wikipedia's sections; give the rows (title, positive) as a file",
    "wiktionary": "made of Wiktionary's sections; give the rows (title, positive) as a file",
    "wikibooks": "made of WikiBooks' sections; give the rows (title, positive) as a file",
}
"""Data sets of the reports that nothing here can fetch, and what may stand in for them."""

STANDS_IN = dict.fromkeys(
    ("nu-snli", "nu-mnli"), "the SimCSE report's groups are not public; the triplets of Ruri's fine-tuning stand in"
)
"""Data sets that can be had in another form only."""


def open_set(string: str, negatives: int | None = None, scores: bool = False) -> TrainingSet:
    """The training data that ``string`` names: ``janli``, ``jsnli:PATH``, ``mined.parquet``, ``ruri-ft:jqara``.

    The exposure ledger's names do too (``JaNLI``, ``Quiz No Mori``). ``negatives`` says how many an example
    has, where its rows have more; ``scores`` asks for the column that a reranker's scores stand in.

    :raises UsageError: for a name that means nothing, with the nearest.
    :raises Unavailable: when what it names is not to be had.
    """
    path = Path(string)
    if path.suffix in (".parquet", ".jsonl") and ":" not in string.split("/", 1)[0]:
        return files.examples(path, negatives, scores)
    if scores:
        raise UsageError(f"{string} has no scores; give a file that was mined with --filter")
    kind, colon, rest = string.partition(":")
    name = named(kind)
    if colon and not rest:
        raise UsageError(f"{string!r} names no path; write {kind}:PATH")
    if name in ("ruri-ft", "ruri-reranker"):
        return published.ruri(published.RURI_FT if name == "ruri-ft" else published.RURI_RERANKER, rest, negatives)
    if name in BY_PATH:
        if not rest:
            raise UsageError(f"{kind} is read from a place of yours: write {name}:PATH")
        return BY_PATH[name](Path(rest))
    if name in STANDS_IN:
        say(f"{kind}: {STANDS_IN[name]}")
    if name in BY_NAME and not colon:
        return BY_NAME[name](negatives)
    if name in NOT_SERVED:
        raise Unavailable(f"{kind} cannot be fetched: {NOT_SERVED[name]}")
    known = (*BY_NAME, *(f"{n}:PATH" for n in BY_PATH), "ruri-ft:NAME", "ruri-reranker:NAME", "FILE.parquet")
    raise unknown("training data", string, known)


def named(name: str) -> str:
    """A data set's name as it is typed here: ``Quiz No Mori`` is ``quiz-no-mori``, ``MIRACL-ja`` ``miracl``."""
    lowered = name.strip().lower().removeprefix("jglue/").removesuffix("-ja")
    return lowered.replace(" ", "-").replace(".", "")
