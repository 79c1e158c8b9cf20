"""How a language model is asked whether a document answers a query: by a template that we know, or by its own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import chain
from typing import Any

from pydantic import BaseModel, ConfigDict

from jbench.encode import Tokenized
from jbench.types import Unavailable, UsageError

CHAT, PLAIN = "chat", "none"
"""The setting ``template`` of a pair that the checkpoint's own chat template frames, and of one that stands bare."""

_AT_ONCE = 64  # pairs that the library renders, and pads to the longest, in one call


class Template(BaseModel):
    """A table of ``templates.toml``, whose head says what the fields mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    match: tuple[str, ...]
    source: str
    pair: tuple[str, ...]
    before: str = ""
    after: tuple[str, ...] = ()
    bos: bool = False
    yes: str
    no: str | None = None
    activation: str
    max_length: int
    whole: bool = False
    instruction: str | None = None
    others: dict[str, str] = {}

    def serves(self, name: str) -> bool:
        """Whether this is the template of a hub id, or of a folder that is called as the model is."""
        ids = self.match if "/" in name else [pattern.rsplit("/", 1)[-1] for pattern in self.match]
        return any(re.fullmatch(pattern, name) for pattern in ids)


@cache
def templates() -> dict[str, Template]:
    """The templates of ``templates.toml`` by name."""
    text = (files("jbench.models") / "templates.toml").read_text(encoding="utf-8")
    rows = [Template.model_validate(row) for row in tomllib.loads(text)["template"]]
    return {row.name: row for row in rows}


def template_of(*names: str | None) -> Template | None:
    """The template of the first of these names (a hub id, a folder's name) that has one."""
    return next((row for name in names if name for row in templates().values() if row.serves(name)), None)


@dataclass(frozen=True)
class Asked:
    """Pairs to rows of token ids by a template."""

    model: str
    tokenizer: Any
    template: Template

    def __call__(self, pairs: Sequence[tuple[str, str]], instruction: str, length: int) -> Tokenized:
        """Pairs, the instruction ("" for none) and the longest length in tokens, as the template counts it.

        :raises UsageError: for a length that leaves a pair no room.
        """
        template = self.template
        before, after = self._frame
        room = length - len(before) - len(after) if template.whole else length - template.bos
        if room < 1:
            raise UsageError(f"max_length={length}: the template {template.name} alone fills it")
        parts = [
            self._tokenized([_filled(part, instruction, *pair) for pair in pairs])
            if "{" in part
            else [ids] * len(pairs)
            for part, ids in zip(template.pair, self._tokenized(template.pair), strict=True)
        ]
        document = next(i for i, part in enumerate(template.pair) if "{document}" in part)
        rows, lost = [], []
        for row in zip(*parts, strict=True):
            kept = [list(ids) for ids in row]
            for i, part in enumerate(template.pair):
                if "{query}" in part and i != document:
                    kept[i] = kept[i][: length * 3 // 4]
            rest = sum(len(ids) for i, ids in enumerate(kept) if i != document)
            kept[document] = kept[document][: max(0, room - rest)]
            rows.append([*before, *chain.from_iterable(kept), *after])
            lost.append(sum(map(len, row)) - sum(map(len, kept)))
        return Tokenized([{"input_ids": row} for row in rows], [len(row) for row in rows], lost)

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """The ids that stand in front of every pair and behind it."""
        first = []
        if self.template.bos:
            if self.tokenizer.bos_token_id is None:
                raise Unavailable(f"{self.model}: its tokenizer has no token to begin with, which its template needs")
            first = [self.tokenizer.bos_token_id]
        before, *after = self._tokenized([self.template.before, *self.template.after])
        return [*first, *before], list(chain.from_iterable(after))

    def _tokenized(self, texts: Sequence[str]) -> list[list[int]]:
        distinct = list(dict.fromkeys(texts))
        ids = self.tokenizer(distinct, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        known = dict(zip(distinct, ids, strict=True))
        return [known[text] for text in texts]


def _filled(part: str, instruction: str, query: str, document: str) -> str:
    values = {"instruction": instruction, "query": query, "document": document}
    return re.sub(r"\{(instruction|query|document)\}", lambda found: values[found[1]], part)


def label_id(model: str, tokenizer: Any, label: str) -> int:
    """The one token that says ``label``, such as "yes".

    :raises Unavailable: when the tokenizer makes none or several of it, or does not know it.
    """
    ids = tokenizer(label, add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or (ids[0] == tokenizer.unk_token_id and label != tokenizer.unk_token):
        raise Unavailable(f"{model}: its tokenizer has no token for {label!r}, by which its template scores a pair")
    return int(ids[0])


@dataclass(frozen=True)
class Rendered:
    """Pairs to rows of token ids by the checkpoint's own chat template, as sentence-transformers' `preprocess` does.

    ``transformer`` is the library's first module. A pair becomes two messages, of the roles query and document, and a
    prompt a system message before them; what the template puts behind the document is kept where a pair is cut.
    """

    transformer: Any

    def check(self, model: str) -> None:
        """Refuse a chat template that does not carry a query and a document.

        :raises UsageError: saying how a pair can be put otherwise.
        """
        ours = {"padding", "truncation", "max_length", "return_tensors", "restore_suffix"}
        given = (self.transformer.processing_kwargs or {}).get("chat_template", {})
        failure = self.transformer.input_formatter.pair_roles_failure(
            {key: value for key, value in given.items() if key not in ours}
        )
        if failure:
            reason = failure.splitlines()[0]
            raise UsageError(
                f"{model}: its chat template carries no pair of query and document ({reason}); give --model-set "
                f"template={PLAIN} (one text after the other) or template={'|'.join(templates())}"
            )

    def __call__(self, pairs: Sequence[tuple[str, str]], prompt: str, length: int | None) -> Tokenized:
        """Pairs, the prompt ("" for none) and the longest length in tokens, which the library has been told."""
        rows: list[dict[str, list[int]]] = []
        for start in range(0, len(pairs), _AT_ONCE):
            rows += self._rows(pairs[start : start + _AT_ONCE], prompt)
        lengths, lost = [len(row["input_ids"]) for row in rows], [0] * len(rows)
        for i, n in enumerate(lengths):
            if length is not None and n >= length:
                (whole,) = self._rows(pairs[i : i + 1], prompt, {"text": {"truncation": False}})
                lost[i] = len(whole["input_ids"]) - n
        return Tokenized(rows, lengths, lost)

    def _rows(self, pairs: Sequence[tuple[str, str]], prompt: str, how: Any = None) -> list[dict[str, list[int]]]:
        features = self.transformer.preprocess(
            [list(pair) for pair in pairs], prompt=prompt or None, processing_kwargs=how
        )
        kept = features["attention_mask"].bool()
        keys = [key for key in ("input_ids", "token_type_ids") if key in features]
        return [{key: features[key][i][mask].tolist() for key in keys} for i, mask in enumerate(kept)]
