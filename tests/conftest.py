"""Fixtures: real data where a mirror is at hand, small checkpoints, a home of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny

ROOT = Path(__file__).parent.parent


def find_mirror() -> Path | None:
    """$JBENCH_MIRROR, else a folder shared/mirror beside the checkout."""
    for place in (os.environ.get("JBENCH_MIRROR"), ROOT.parent / "shared" / "mirror"):
        if place and (Path(place) / "github").is_dir():
            return Path(place).resolve()
    return None


MIRROR = find_mirror()


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache, nor the mirror unless it asks."""
    monkeypatch.setenv("JBENCH_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("JBENCH_MIRROR", raising=False)
    monkeypatch.delenv("JBENCH_OFFLINE", raising=False)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Real data; the test is skipped where there is none."""
    if MIRROR is None:
        pytest.skip("real data is not at hand: set JBENCH_MIRROR")
    monkeypatch.setenv("JBENCH_MIRROR", str(MIRROR))
    return MIRROR


@pytest.fixture(scope="session")
def bare_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert_folder(tmp_path_factory.mktemp("checkpoints") / "bare-bert")


@pytest.fixture(scope="session")
def bare_unigram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.unigram_folder(tmp_path_factory.mktemp("checkpoints") / "bare-unigram")


@pytest.fixture(scope="session")
def dense_bert(bare_bert: Path) -> Path:
    return tiny.sentence_transformer(bare_bert.parent / "dense-bert", bare_bert, pooling_mode="mean")


@pytest.fixture(scope="session")
def dense_unigram(bare_unigram: Path) -> Path:
    """Pools without its prompt, as INSTRUCTOR models do."""
    return tiny.sentence_transformer(
        bare_unigram.parent / "dense-unigram", bare_unigram, pooling_mode="cls", include_prompt=False
    )


@pytest.fixture(scope="session")
def colbert_native(bare_bert: Path) -> Path:
    return tiny.colbert(bare_bert.parent / "colbert-native", bare_bert)


@pytest.fixture(scope="session")
def colbert_pylate(colbert_native: Path) -> Path:
    return tiny.pylate(colbert_native.parent / "colbert-pylate", colbert_native)


@pytest.fixture(scope="session")
def colbert_stanford(colbert_native: Path) -> Path:
    return tiny.stanford(colbert_native.parent / "colbert-stanford", colbert_native)


@pytest.fixture(scope="session")
def cross_bert(bare_bert: Path) -> Path:
    return tiny.cross_encoder(bare_bert.parent / "cross-bert", bare_bert)


@pytest.fixture(scope="session")
def sparse_bert(bare_bert: Path) -> Path:
    return tiny.splade(bare_bert.parent / "sparse-bert", tiny.words(bare_bert.parent / "sparse-words"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Opening a socket fails the test."""
    import socket

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return
