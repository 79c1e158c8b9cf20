"""Small folders of the hub's layout, in the place of the data sets that the tasks read."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jbench.cache import file_sha256
from jbench.registry import own_tasks
from jbench.source import Source


def write(root: Path, source: Source, content: Any) -> Source:
    """``content`` as the file that ``source`` names, in the mirror ``root``: rows, or text as it is.

    A source that was pinned is pinned again, to the bytes that were written.
    """
    path = root / source.kind / source.repo / source.revision / source.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    elif path.suffix == ".lz4":
        path.write_bytes(lz4.frame.compress(lz4.frame.compress(cbor2.dumps(content))))
    elif path.suffix == ".json":
        path.write_text(json.dumps(content), encoding="utf-8")
    else:
        rows = not isinstance(content, str)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content) if rows else content
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return replace(source, sha256=file_sha256(path) if source.sha256 else None)


class Hub:
    """A mirror of one's own for the test; ``put`` fills the sources of a task's file."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.monkeypatch = root, monkeypatch
        root.mkdir(exist_ok=True)
        monkeypatch.setenv("JBENCH_MIRROR", str(root))

    def put(self, task: str, **contents: Any) -> None:
        """Write stand-ins for the sources of ``task``'s file, by their names there; a list gets a list."""
        names = own_tasks()[task].load.__globals__
        for name, content in contents.items():
            held = names[name]
            written: Source | list[Source]
            if isinstance(held, list):
                written = [write(self.root, one, rows) for one, rows in zip(held, content, strict=True)]
            else:
                written = write(self.root, held, content)
            self.monkeypatch.setitem(names, name, written)

    def set(self, task: str, **values: Any) -> None:
        """Set names of ``task``'s file, such as the size of a sample."""
        for name, value in values.items():
            self.monkeypatch.setitem(own_tasks()[task].load.__globals__, name, value)


def trec(qrels: dict[str, dict[str, int]]) -> str:
    """Judgements as TREC writes them."""
    return "".join(f"{q}\tQ0\t{d}\t{grade}\n" for q, judged in qrels.items() for d, grade in judged.items())


def tsv(topics: dict[str, str]) -> str:
    """Topics, a line each."""
    return "".join(f"{q}\t{text}\n" for q, text in topics.items())
