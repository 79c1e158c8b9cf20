"""What a language model is asked to write from a text, and what of its answers is kept.

Ruri's AutoWikiQA and AutoWikiNLI (arXiv 2409.07737): the report's table 1 says what the rows are made of; a digest
of its text, by which models, in which order, and how many are dropped. Its prompts and settings are in no source at
hand. ``ours`` marks what this project chose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from jbench.fingerprint import hashed, normalised
from jbench.train.recipes import OURS, Said
from jbench.types import unknown

DROP = 0.2
"""The worst share of AutoWikiNLI by a reward model (Ruri, a Japanese digest of the report)."""

SHORTEST, LONGEST = 5, 200
"""Characters of a text that is kept: ours."""

SCORES = range(1, 11)
"""What a judge may give: ours."""

RULES = {
    "unanswered": "the endpoint refused the request; the next time it is sent again",
    "unreadable": "the answer is no JSON object of exactly these texts in this order",
    "length": f"a text that was written has fewer than {SHORTEST} or more than {LONGEST} characters",
    "no kana": "a text that was written has no kana, so that it is hardly Japanese",
    "copied": "a text that was written stands in the text that it was written from",
    "duplicate": "a text that was written stands in an earlier row, or twice in this one",
    "unscored": "the judge gave no score",
    "worst": "the judge scored it among the worst; of equal scores, a hash decides",
}
"""Why a text makes no row, in the order of asking; texts that differ in case, width, spaces or punctuation are one."""

_DIGEST = "Ruri, a Japanese digest of the report"
_NOT_SAID = ((None, "Ruri: in no source at hand"),)
_KANA = re.compile("[ぁ-ゖァ-ヺｦ-ﾟ]")
_FENCED = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """What is made of a text. ``said`` has who says each thing.

    ``answer`` are the keys of the model's JSON, in the order in which it writes them; ``columns`` what a row's
    columns hold: one of these, or the ``text``. ``prompt`` and ``judge`` are templates of these names.
    """

    name: str
    answer: tuple[str, ...]
    columns: Mapping[str, str]
    prompt: str
    judge: str
    said: Mapping[str, Said] = field(repr=False)


_QA_PROMPT = """\
次の文章だけを根拠に答えられる質問を一つと、その答えを、日本語で書いてください。
- 質問は、文章を見ていない人が検索に使っても意味が通じるものにし、「この文章」「上記」のような言葉を使わないでください。
- 文章の一節をそのまま質問にしないでください。
- 出力は次の形と順のJSONだけにしてください: {"question": "質問", "answer": "答え"}

文章:
$text"""

_QA_JUDGE = """\
次の文章から作られた質問と答えの質を、1から10までの整数で採点してください。
- 10: 文章から答えが一つに決まり、答えが正しく、質問はそれだけで意味の通じる自然な日本語である。
- 1: 文章からは答えられない、答えが誤っている、または質問の意味が通じない。
- 出力は次の形のJSONだけにしてください: {"score": 整数}

文章:
$text

質問:
$question

答え:
$answer"""

_NLI_PROMPT = """\
次の前提から、日本語の文を二つ書いてください。
- 一つ目は、前提が正しければ必ず誤りになる文(矛盾)です。
- 二つ目は、前提が正しければ必ず正しい文(含意)です。
- どちらも、前提を見ていない人にも意味が通じる一つの文にし、前提の一節をそのまま写さないでください。
- 出力は次の形と順のJSONだけにしてください: {"contradiction": "矛盾する文", "entailment": "含意される文"}

前提:
$text"""

_NLI_JUDGE = """\
次の前提から作られた二つの文の質を、1から10までの整数で採点してください。
- 10: 「矛盾」は前提と確かに矛盾し、「含意」は前提から必ず言え、どちらも自然な日本語である。
- 1: どちらかが前提と中立である、二つが逆である、または意味が通じない。
- 出力は次の形のJSONだけにしてください: {"score": 整数}

前提:
$text

矛盾:
$contradiction

含意:
$entailment"""


def _kind(name: str, columns: dict[str, str], prompt: str, judge: str, **said: Said) -> Kind:
    rules = {f"dropped as {rule}": Said(why, OURS) for rule, why in RULES.items()}
    rows = {
        "model": said["model"],
        "texts": said["texts"],
        "answer": said["answer"],
        "row": said["row"],
        "prompt": Said(prompt, OURS, _NOT_SAID),
        "settings": Said("the endpoint's own", OURS, _NOT_SAID),
        **rules,
        "drop": said["drop"],
        "judge": Said(judge, OURS, (("a reward model, of AutoWikiNLI", _DIGEST),)),
    }
    return Kind(name, said["answer"].value, columns, prompt, judge, rows)


AUTOWIKIQA = _kind(
    "autowikiqa",
    {"query": "question", "positive": "text"},
    _QA_PROMPT,
    _QA_JUDGE,
    model=Said(None, "--model", (("Swallow-MX and Nemotron-4 340B", _DIGEST),)),
    texts=Said(None, "--data", (("paragraphs of Wikipedia", _DIGEST),)),
    answer=Said(("question", "answer"), f"{_DIGEST}; in one answer: {OURS}"),
    row=Said("question and passage", "Ruri table 1", (("a passage mined by BM25 as negative", "Ruri table 1"),)),
    drop=Said(DROP, OURS, ((None, f"{_DIGEST}: of AutoWikiNLI alone"),)),
)
AUTOWIKINLI = _kind(
    "autowikinli",
    {"anchor": "text", "positive": "entailment", "negative": "contradiction"},
    _NLI_PROMPT,
    _NLI_JUDGE,
    model=Said(None, "--model", (("Nemotron-4 340B", _DIGEST),)),
    texts=Said(None, "--data", (("of Wikipedia", _DIGEST),)),
    answer=Said(("contradiction", "entailment"), f"{_DIGEST}: the contradiction first; in one answer: {OURS}"),
    row=Said("premise, entailment and contradiction", f"Ruri table 1; the text itself as premise: {OURS}"),
    drop=Said(DROP, _DIGEST),
)
KINDS = {kind.name: kind for kind in (AUTOWIKIQA, AUTOWIKINLI)}


def find_kind(name: str) -> Kind:
    """The kind of that name.

    :raises UsageError: for a name that is not known.
    """
    if name not in KINDS:
        raise unknown("kind of data", name, KINDS)
    return KINDS[name]


def parsed(answer: str, keys: tuple[str, ...]) -> dict[str, str] | None:
    """The texts of an answer: a JSON object, bare or as one block of code, of these keys in this order alone.

    None where it is anything else, or where a text is empty.
    """
    found = _json(answer)
    if not isinstance(found, dict) or tuple(found) != keys:
        return None
    texts = {key: value.strip() for key, value in found.items() if isinstance(value, str) and value.strip()}
    return texts if len(texts) == len(keys) else None


def score(answer: str) -> int | None:
    """What a judge gave: one of `SCORES`, None where the answer is anything else than ``{"score": 7}``."""
    found = _json(answer)
    given = found["score"] if isinstance(found, dict) and tuple(found) == ("score",) else None
    return given if type(given) is int and given in SCORES else None


def _json(answer: str) -> Any:
    bare = answer.strip()
    fenced = _FENCED.fullmatch(bare)
    try:
        return orjson.loads(fenced[1] if fenced else bare)
    except ValueError:
        return None


def fault(text: str, made: list[str], seen: set[int]) -> str:
    """Which of `RULES` breaks what was ``made`` of a text; empty if none, and then it is ``seen`` from now on."""
    if not all(SHORTEST <= len(one) <= LONGEST for one in made):
        return "length"
    if not all(map(_KANA.search, made)):
        return "no kana"
    plain, source = [normalised(one) for one in made], normalised(text)
    if any(one in source for one in plain):
        return "copied"
    marks = set(hashed(plain).tolist())
    if len(marks) < len(made) or marks & seen:
        return "duplicate"
    seen |= marks
    return ""
