"""Texts of any length are read by MeCab as if they were read at once."""

import json
import subprocess
import sys

import fugashi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbench import open_model
from jbench.models import windows
from jbench.models.bm25 import TOKENIZERS
from jbench.registry import find_tasks
from jbench.task import load
from tests import tiny
from tests.conftest import ROOT
from tests.long_texts import texts

TAGGER = fugashi.Tagger("-Owakati")
LETTERS = [
    *(
        "味噌は半年ほど寝かせて造る",
        "それは、図書館で借りた本だった。",
        "「何だって？」と男は言った",
        "漢",
        "ア",
        "あー",
        "ｱｲｳ",
    ),
    *(
        "a",
        "internationalisation ",
        "ABC",
        "0",
        "3.14",
        "①",
        "😀",
        "か\u3099",
        " ",
        "\t",
        "\n",
        "\u3000",
        "。",
        "…",
        "々",
    ),
]


def whole(text):
    return [word.surface for word in TAGGER(text)]


def in_windows(text, window, overlap):
    return [word.surface for word in windows.words(TAGGER, text, window, overlap)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(LETTERS), st.integers(1, 25)), min_size=1, max_size=200),
    st.sampled_from([(400, 100), (700, 150), (2000, 500)]),
)
def test_the_words_are_those_of_one_piece(parts, sizes):
    # No row of letters of one kind is longer than the overlap.
    text = "。".join(letters * times for letters, times in parts)[:20_000]
    assert in_windows(text, *sizes) == whole(text)


@pytest.mark.parametrize("letters", ["ｱｲｳ", "a", "漢", "internationalisation", "0", " a"])
def test_twenty_thousand_letters_of_any_kind_are_one_piece(letters):
    text = ("ア" + letters * 20_000)[:20_000]
    assert TOKENIZERS["mecab"](text) == whole(text)


@pytest.mark.parametrize("length", [399, 400, 401, 800, 5_000, 20_000])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_texts_without_separators_are_divided_in_step(kind, length):
    text = texts(length)[kind]
    assert in_windows(text, 400, 100) == whole(text)


def test_the_embedded_documents_one_after_another(monkeypatch):
    data = load(find_tasks(["mini-retrieval@v1"])[0]).data
    text = "".join(data.documents.texts)
    assert len(text) > 5_000
    assert in_windows(text, 400, 100) == whole(text)
    words = TOKENIZERS["mecab"](text)
    monkeypatch.setattr(windows, "WINDOW", 400)
    assert TOKENIZERS["mecab"](text) == words


def test_places_are_those_in_the_text():
    text = "味噌は  半年\nほど寝かせて造る。" * 60
    found = list(windows.words(TAGGER, text, 400, 100))
    assert [text[word.begin : word.end] for word in found] == [word.surface for word in found]


@pytest.mark.parametrize("gap", [" " * 390, " " * 5_000, "\n" * 401, " a" + " " * 900 + "b "])
def test_white_space_of_any_length_ends_no_work(gap):
    text = f"味噌{gap}汁{gap}{gap}を飲む{gap}"
    assert in_windows(text, 400, 100) == whole(text)


def test_a_tokenizer_reads_a_long_text_as_at_once(tmp_path, monkeypatch):
    tokenizer = tiny.words(tmp_path)
    text = "".join(tiny.CORPUS) * 20
    ids = tokenizer(text, verbose=False)["input_ids"]
    windows.bound(tokenizer)
    windows.bound(tokenizer)  # once is enough
    assert not isinstance(tokenizer.word_tokenizer.mecab._analyse, windows.Bounded)
    assert tokenizer(text, verbose=False)["input_ids"] == ids
    monkeypatch.setattr(windows, "WINDOW", 400)
    assert tokenizer(text, verbose=False)["input_ids"] == ids


def test_a_loaded_model_reads_in_windows(tmp_path):
    bare = tiny.transformer(tmp_path / "bare", tiny.words(tmp_path / "tokenizer"), "BertModel")
    model = open_model(str(tiny.sentence_transformer(tmp_path / "dense", bare, pooling_mode="mean")))
    assert isinstance(model.weights.module.tokenizer.word_tokenizer.mecab, windows.Bounded)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["bm25:mecab", "dense"])
def test_three_texts_of_two_million_characters(kind, tmp_path):
    if kind == "dense":
        bare = tiny.transformer(tmp_path / "bare", tiny.words(tmp_path / "tokenizer"), "BertModel")
        kind = str(tiny.sentence_transformer(tmp_path / "dense", bare, pooling_mode="mean"))

    def scored(length):
        command = [sys.executable, "-m", "tests.long_texts", kind, str(length)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        return json.loads(done.stdout)

    short, long = scored(200), scored(2_000_000)
    print(kind, short, long)
    assert "kana" in long["run"]["q1"]
    assert long["peak"] - short["peak"] <= 500  # MiB
    if kind != "bm25:mecab":  # which cuts nothing
        assert (short["truncated"], long["truncated"]) == (0, 3)
        assert long["lost"] > 3_000_000
