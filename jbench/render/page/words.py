"""The parts of the page and its words, in English where no script runs; what is not ours becomes text here."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from html import escape
from importlib.resources import files

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def shown(text: str) -> str:
    """``text`` as HTML that shows every character: controls, and those that turn or hide others, by their number."""
    return escape("".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _UNSEEN else c for c in text))


@cache
def part(name: str) -> str:
    """A file beside this one."""
    return (files("jbench.render") / "page" / name).read_text(encoding="utf-8")


@cache
def strings() -> dict[str, dict[str, str]]:
    """The words of the interface by key and language."""
    found: dict[str, dict[str, str]] = json.loads(part("strings.json"))
    return found


def filled(name: str, **values: str) -> str:
    """A part of the page with its English words and then its values, which are HTML and not looked at again."""
    worded = re.sub(r'(data-t="([\w-]+)"[^<>]*>)(?=<)', lambda m: m[1] + words(m[2]), part(name))
    return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], worded)


def words(key: str, **values: object) -> str:
    """The English words of ``key`` as HTML, with values in them."""
    return re.sub(r"\{(\w+)\}", lambda m: shown(str(values[m[1]])), escape(strings()[key]["en"]))


def said(key: str, tag: str = "span", more: str = "", **values: object) -> str:
    """An element of these words; the script finds key and values in it when the language changes."""
    data = "".join(f' data-{name}="{shown(str(value))}"' for name, value in values.items())
    return f'<{tag} data-t="{key}"{data}{more}>{words(key, **values)}</{tag}>'
