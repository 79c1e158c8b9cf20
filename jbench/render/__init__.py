"""A table to text, one file a format."""

from collections.abc import Callable

from jbench.board import Table
from jbench.render import csv, html, json, markdown

FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown.render,
    "csv": csv.render,
    "json": json.render,
    "html": html.render,
}
