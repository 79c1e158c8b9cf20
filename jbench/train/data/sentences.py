"""Plain sentences for unsupervised training, split and sampled as the Japanese SimCSE report does.

simple-simcse-ja, src/datasets: common.py, wiki40b.py, wikipedia.py, cc100.py, bccwj.py. Upstream samples
from a list in memory; here a first reading counts the sentences and a second one keeps the same sample.
"""

from __future__ import annotations

import gzip
import lzma
import random
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from jbench.arrow import rows
from jbench.source import Source, hub, local
from jbench.train.data.files import several
from jbench.train.data.training_set import SEED, TrainingSet, made
from jbench.types import Unavailable

SAMPLE = 1_000_000
"""Sentences that the report draws of each corpus (num_train_examples)."""

LEAST = 30
"""Characters of a text that belongs to a pair of neighbours; this project's choice."""

WIKI40B = [
    hub("google/wiki40b", "06bfe584d8193cf58f79c6354ecc2a2b94a7deea", f"ja/train-{i:05d}-of-00016.parquet")
    for i in range(16)
]
_MARKS = {"_START_SECTION_": 2, "_START_PARAGRAPH_": 1}
_TEMPLATES = (r"\[\d+?\]", r"\[要.+?\]", r"\{\{+[^{}]+?\}\}+")
_NOTES = (r" \^ .+", r"\[(要出典|リンク切れ|.+?\?)\]")


def split(text: str) -> list[str]:
    """Sentences in NFKC, without what cannot be printed, of two characters or more.

    A full stop inside brackets or quotation marks ends none (common.py).

    :raises Unavailable: without konoha, which splits them.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    text = "".join(c for c in text if c.isprintable())
    return [s for s in (sentence.strip() for sentence in _splitter().tokenize(text)) if len(s) > 1]


@cache
def _splitter() -> Any:
    try:
        from konoha.sentence_tokenizer import SentenceTokenizer
    except ImportError as error:
        raise Unavailable("sentences are split by konoha: pip install 'jbench[train]'") from error
    return SentenceTokenizer(patterns=[re.compile(p) for p in (r"（.*?）", r"\(.*?\)", "「.*?」", "『.*?』")])


def wiki40b() -> TrainingSet:
    """Wiki-40B, Japanese train split."""
    texts = rows(WIKI40B, "text").column("text")
    return sampled("wiki40b-ja", WIKI40B, lambda: chain.from_iterable(map(article, texts)))


def article(text: str) -> Iterator[str]:
    """The sentences of an article of Wiki-40B: without its title and those of its sections.

    :raises ValueError: when it is none.
    """
    lines = [line for line in text.splitlines() if line]
    if lines[:1] != ["_START_ARTICLE_"]:
        raise ValueError(f"{text[:40]!r} is no article of Wiki-40B")
    at = 2
    while at < len(lines):
        if skip := _MARKS.get(lines[at]):
            at += skip
            continue
        for part in lines[at].split("_NEWLINE_"):
            yield from split(part)
        at += 1


def wikipedia(path: Path) -> TrainingSet:
    """Wikipedia in parquet files with ``title`` and ``text``: a folder of them, or one. The report's is of 2023-01-01.

    :raises UsageError: when there are none.
    """
    files = several(path, "*.parquet")
    held = rows(files, "title", "text")
    pairs = partial(zip, held.column("title"), held.column("text"), strict=True)
    return sampled("Wikipedia-ja", files, lambda: chain.from_iterable(page(title, text) for title, text in pairs()))


def page(title: str, text: str) -> list[str]:
    """The sentences of a page of Wikipedia: without templates, navigation, notes and formulas."""
    for pattern in (*_TEMPLATES, r"^.+? \> " + re.escape(title), *_NOTES):
        text = re.sub(pattern, "", text)
    return [s for s in split(re.sub(r"\s+", " ", text)) if r"\displaystyle" not in s]


def cc100(path: Path) -> TrainingSet:
    """CC100's ``ja.txt.xz`` (data.statmt.org/cc-100), or the same unpacked or as ``.gz``."""
    return sampled("CC100-ja", [local(path)], lambda: chain.from_iterable(map(split, _lines(path))))


def bccwj(path: Path) -> TrainingSet:
    """BCCWJ's C-XML: the folder C-XML/VARIABLE of the licensed disc; its ``.xml`` files in the order of their names.

    :raises UsageError: when there are none.
    """
    files = several(path, "**/*.xml")
    return sampled("BCCWJ", files, lambda: chain.from_iterable(map(_xml, files)))


def sentences(path: Path) -> TrainingSet:
    """A file of texts of one's own (``.txt`` a line each; ``.jsonl``, ``.parquet`` with ``text``), split."""
    return sampled(path.stem, [local(path)], lambda: chain.from_iterable(map(split, _texts(path))))


def plain(path: Path) -> TrainingSet:
    """The same as it stands: a text a row, neither split nor sampled; empty ones are left out."""
    return sampled(path.stem, [local(path)], lambda: (text for text in _texts(path) if text.strip()), None)


def neighbours(path: Path) -> TrainingSet:
    """Each text of a file with the one that follows it: pairs for pre-training.

    They stand in for Ruri's pairs of one page's title, sections and paragraphs, which nobody published. A text of
    fewer than `LEAST` characters (a line of a dialogue, a heading) belongs to no pair.

    :raises UsageError: when there are none.
    :raises Unavailable: when the file cannot be read.
    """
    from datasets import Dataset

    following = pairwise(plain(path).held["text"][:])
    pairs = [(one, other) for one, other in following if min(len(one), len(other)) >= LEAST]
    columns = {"anchor": [one for one, _ in pairs], "positive": [other for _, other in pairs]}
    return made(path.stem, "train", [local(path)], Dataset.from_dict(columns))


def sampled(
    name: str, files: list[Source], read: Callable[[], Iterable[str]], most: int | None = SAMPLE
) -> TrainingSet:
    """``most`` of the sentences that ``read`` gives, in the order of `random.sample` under `SEED`; all, where fewer.

    :raises UsageError: when there are none.
    :raises Unavailable: when a file cannot be read.
    """
    from datasets import Dataset

    try:
        if most is None:
            texts = list(read())
        else:
            count = sum(1 for _ in read())
            # random.sample of the list's places gives what it gives of the list.
            places = random.Random(SEED).sample(range(count), min(most, count))  # noqa: S311
            order = {place: i for i, place in enumerate(places)}
            texts = [""] * len(places)
            for place, text in enumerate(read()):
                if (at := order.get(place)) is not None:
                    texts[at] = text
    except (ValueError, OSError, EOFError, lzma.LZMAError, ET.ParseError) as error:
        raise Unavailable(f"{name} cannot be read ({type(error).__name__}: {error})") from error
    return made(name, "train", files, Dataset.from_dict({"text": texts}))


def _xml(file: Source) -> Iterator[str]:
    text = ET.tostring(ET.parse(file.path()).getroot(), encoding="unicode", method="text")  # noqa: S314
    yield from chain.from_iterable(map(split, text.splitlines()))


def _texts(path: Path) -> Iterable[str]:
    if path.suffix in (".parquet", ".jsonl"):
        return rows([local(path)], "text").column("text")
    return _lines(path)


def _lines(path: Path) -> Iterator[str]:
    openers: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
    with openers.get(path.suffix, open)(path, "rt", encoding="utf-8-sig") as lines:
        for line in lines:
            yield line.rstrip("\r\n")
