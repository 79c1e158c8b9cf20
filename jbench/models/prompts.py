"""Which prompt each role gets, and which roles went without one that their family has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from jbench.types import ROLES, unknown

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

    @property
    def given(self) -> dict[str, str]:
        """The roles that have a prompt, with it."""
        return {role: prompt for role, prompt in self.prompts.items() if prompt}

    def has(self, model: str) -> bool:
        """Whether the family claims this hub id."""
        return any(re.fullmatch(pattern, model) for pattern in self.match)


@cache
def families() -> tuple[Family, ...]:
    """The families of ``prompts.toml``, in its order."""
    text = (files("jbench.models") / "prompts.toml").read_text(encoding="utf-8")
    return tuple(Family.model_validate(row) for row in tomllib.loads(text)["family"])


def resolve(
    hub_id: str | None, base: str | None, own: Mapping[str, str], asked: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Prompts by role, and the roles left without one that their family has.

    Each role takes what was asked for, else the checkpoint's own prompt (an empty one too) or its default, else
    that of the hub id's family, else that of the family of ``base``, the model card's
    ``base_model``. A checkpoint that carries prompts of its own is not given those of its base.

    :raises UsageError: when ``asked`` names no role.
    """
    if stray := [role for role in asked if role not in ROLES]:
        raise unknown("role", stray[0], ROLES)
    stated = _stated(own)
    mine, bases = _family(hub_id), _family(base)
    family = mine or bases
    inherited = mine.given if mine else bases.given if bases and not stated else {}
    # What is empty is not listed, so that a checkpoint that says so and one that says nothing have one key.
    given = {role: prompt for role, prompt in {**inherited, **stated}.items() if prompt}
    prompts = {**given, **asked}
    wanted = {*family.expects, *family.given} - stated.keys() if family else set()
    return prompts, tuple(sorted(role for role in wanted if not prompts.get(role)))


def _stated(own: Mapping[str, str]) -> dict[str, str]:
    """By role, what a checkpoint says itself, an empty prompt too; its default where a role has no word of its own.

    sentence-transformers writes an empty query and document prompt into every checkpoint that it saves, so that
    empty ones alone say nothing.
    """
    if not any(own.values()):
        return {}
    default = own.get("default", "")
    stated: dict[str, str] = {}
    for role, names in _OWN_NAMES.items():
        texts = [own[name] for name in names if name in own]
        # A placeholder may stand beside the author's own name for the role.
        if texts or default:
            stated[role] = next(filter(None, texts), "") if texts else default
    return stated


def namesake(name: str) -> Family | None:
    """The family that a folder is called after: ``ruri-small`` as ``cl-nagoya/ruri-small``."""
    last = name.rsplit("/", 1)[-1]
    patterns = ((family, pattern.rsplit("/", 1)[-1]) for family in families() for pattern in family.match)
    return next((family for family, pattern in patterns if re.fullmatch(pattern, last)), None)


def _family(model: str | None) -> Family | None:
    return next((family for family in families() if model and family.has(model)), None)
