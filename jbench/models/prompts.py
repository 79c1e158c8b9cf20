"""Which prompt each role gets, and which roles went without one that their family has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from jbench.types import ROLES, UsageError, unknown

_OWN_NAMES = {
    "query": ("query", "search_query", "retrieval.query"),
    "document": ("document", "passage", "corpus", "search_document", "retrieval.passage"),
    "sts": ("sts", "STS", "similarity", "text-matching"),
    "classification": ("classification",),
    "clustering": ("clustering",),
}


class Family(BaseModel):
    """Models that share prompts (a table of ``prompts.toml``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    match: tuple[str, ...]
    source: str
    prompts: dict[str, str]
    expects: tuple[str, ...] = ()

    def has(self, model: str) -> bool:
        """Whether the family claims this hub id."""
        return any(re.fullmatch(pattern, model) for pattern in self.match)


@cache
def families() -> tuple[Family, ...]:
    """The families of ``prompts.toml``, in its order."""
    text = (files("jbench.models") / "prompts.toml").read_text(encoding="utf-8")
    return tuple(Family.model_validate(row) for row in tomllib.loads(text)["family"])


def resolve(
    model: str, base: str | None, own: Mapping[str, str], asked: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Prompts by role, and the roles left without one that their family has.

    Each role takes what was asked for, else the checkpoint's own prompt, else that of the hub
    id's family, else that of the family of ``base``, the model card's ``base_model``. A
    checkpoint that carries prompts of its own is not given those of its base.

    :raises UsageError: when ``asked`` names no role.
    """
    if stray := next((role for role in asked if role not in ROLES), None):
        raise unknown("role", stray, ROLES)
    carried = {role: next((own[n] for n in names if own.get(n)), "") for role, names in _OWN_NAMES.items()}
    carried = {role: prompt for role, prompt in carried.items() if prompt}
    family = _family(model) or (_family(base) if base else None)
    inherited = family.prompts if family and (_family(model) or not carried) else {}
    prompts = {**{r: p for r, p in inherited.items() if p}, **carried, **asked}
    wanted = {*family.expects, *(r for r, p in family.prompts.items() if p)} if family else set()
    return prompts, tuple(sorted(role for role in wanted if not prompts.get(role)))


def parse(items: list[str]) -> dict[str, str]:
    r"""``ROLE=TEXT`` options as a dictionary; ``\n`` in the text is a line break.

    :raises UsageError: for an item without ``=``.
    """
    pairs = [item.partition("=") for item in items]
    if bad := next((role for role, equals, _ in pairs if not equals), None):
        raise UsageError(f"--prompt {bad!r}: expected ROLE=TEXT, such as query='query: '")
    return {role: text.replace("\\n", "\n") for role, _, text in pairs}


def _family(model: str) -> Family | None:
    return next((family for family in families() if family.has(model)), None)
