"""Overlap on literal texts, against a plain count of the same, and on the mirror's topics."""

import gzip
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbench import overlap as room
from jbench.overlap import Corpus, corpora, measure, normalised, overlap
from jbench.types import Unavailable, UsageError
from tests.test_cli import jbench, line

TOPICS = "github/castorini/anserini-tools/5b819c1a45c8a0a3ec9426f476694f44a29dfaf3/topics"
TRAINED = [
    "日本で一番高い山は富士山である。",
    "ＡＢＣ の 歌",
    "東京都の人口は約千四百万人であり、日本の都道府県で最も多い。",
    "猫",
]


def corpus(*texts, name="x"):
    return Corpus(name, lambda: texts)


def counts(*texts, n=13, **more):
    one = overlap(corpus(*TRAINED), corpus(*texts), n=n, **more)
    return one.exact, one.normalised, one.shared, one.contained


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("日本で一番高い山は富士山である。", (1, 1, 1, 1)),
        ("日本で一番高い山は、富士山である", (0, 1, 1, 1)),  # but for punctuation
        ("abcの歌！", (0, 1, 1, 1)),  # NFKC, lower case, spaces
        ("東京都の人口は約千四百万人", (0, 0, 1, 1)),  # 13 letters inside one of them
        ("東京都の人口は約千四百万人です", (0, 0, 1, 0)),  # two n-grams of three
        ("東京都の人口は約千五百万人", (0, 0, 0, 0)),
        ("猫", (1, 1, 1, 1)),
        ("犬", (0, 0, 0, 0)),
        ("猫猫", (0, 0, 0, 0)),  # shorter than an n-gram: by itself, not within another
        ("一番高い", (0, 0, 0, 0)),
        ("。", (0, 0, 0, 0)),
        ("", (0, 0, 0, 0)),
    ],
)
def test_literal_texts(text, expected):
    assert counts(text) == expected


def test_counts_are_of_texts_and_containment_is_their_mean():
    one = overlap(corpus(*TRAINED), corpus("猫", "猫", "犬", "東京都の人口は約千四百万人です"))
    assert (one.texts, one.exact, one.share, one.containment) == (4, 2, 0.5, round((1 + 1 + 0 + 2 / 3) / 4, 6))


def test_examples_show_both_sides():
    one = overlap(corpus(*TRAINED), corpus("猫", "abcの歌", "犬", "東京都の人口は約千四百万人です", "猫"), examples=1)
    assert one.examples == (
        {"kind": "exact", "text": "猫", "share": 1.0},
        {"kind": "normalised", "text": "abcの歌", "share": 1.0, "beside": "ＡＢＣ の 歌"},
        {"kind": "n-grams", "text": "東京都の人口は約千四百万人です", "share": 0.6667, "beside": TRAINED[2]},
    )
    assert overlap(corpus(*TRAINED), corpus("猫"), examples=0).examples == ()


def test_punctuation_alone_is_only_like_itself():
    assert overlap(corpus("？"), corpus("！")).normalised == 0
    assert overlap(corpus("？"), corpus("？")).contained == 1


def plainly(a, b, n):
    """The same by sets of strings."""

    def grams(text):
        return {text[i : i + n] for i in range(len(text) - n + 1)} or ({text} if text else set())

    exact, plain = set(a), {normalised(text) for text in a} - {""}
    held = set().union(*(grams(text) for text in plain)) if plain else set()
    rows = []
    for text in b:
        same = text in exact or normalised(text) in plain
        mine = grams(normalised(text))
        rows.append((text in exact, same, same or bool(mine & held), same or bool(mine and mine <= held)))
    return tuple(sum(column) for column in zip(*rows, strict=True))


texts = st.lists(st.text(alphabet="あいう。 Ａa！", max_size=9), min_size=1, max_size=12)


@given(texts, texts, st.integers(1, 6), st.sampled_from([1, 7, 1 << 20]))
@settings(max_examples=150, deadline=None)
def test_it_equals_a_plain_count_whatever_the_block(a, b, n, block):
    one = overlap(corpus(*a), corpus(*b), n=n, block=block)
    assert (one.exact, one.normalised, one.shared, one.contained) == plainly(a, b, n)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=20), st.integers(1, 15))
@settings(max_examples=100, deadline=None)
def test_a_set_overlaps_itself_wholly(held, n):
    one = overlap(corpus(*held), corpus(*held), n=n)
    assert {one.exact, one.normalised, one.shared, one.contained} == {len(held)}
    assert (one.share, one.containment) == (1.0, 1.0)


def test_memory_is_bounded_by_the_block(monkeypatch):
    # Texts are made as they are read, so that what is measured is what is held.
    def many(letter):
        return Corpus(letter, lambda: (f"{letter}{i:040d}" for i in range(4_000)))

    tracemalloc.start()
    monkeypatch.setattr(room, "_CHARACTERS", 1 << 12)
    one = overlap(many("a"), many("b"), block=1 << 14, examples=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (one.texts, one.exact) == (4_000, 0)
    assert peak < 3 << 20  # all of them at once would take 4,000 x 29 x 40 bytes


def held(string, columns=(), side=None):
    return {name: list(part.read()) for name, part in corpora(str(string), side, columns, []).items()}


def test_files_of_each_kind(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeff一\r\n\n二\n".encode())
    (tmp_path / "a.tsv").write_text("id\ttext\n1\t一\n2\t二\n")
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress("7\t一\n8\t二".encode()))
    (tmp_path / "a.jsonl").write_text('{"q": "一", "text": "x"}\n{"q": "二", "text": null}\n')
    pq.write_table(pa.table({"q": ["一", "二"], "n": [1, 2]}), tmp_path / "a.parquet")
    assert held(tmp_path / "a.txt") == {"texts": ["一", "二"]}
    assert held(tmp_path / "t.txt.gz") == {"texts": ["一", "二"]}  # topics: what follows the last tab
    assert held(tmp_path / "a.tsv", ["text"]) == {"texts": ["一", "二"]}
    assert held(tmp_path / "t.txt.gz", ["1"]) == {"texts": ["7", "8"]}
    assert held(tmp_path / "a.jsonl", ["q"]) == {"texts": ["一", "二"]}
    assert held(tmp_path / "a.jsonl", ["q", "text"]) == {"texts": ["一", "x", "二", ""]}
    assert held(tmp_path / "a.parquet") == {"texts": ["一", "二"]}
    (tmp_path / "training_manifest.json").write_text(
        json.dumps({"datasets": [{"name": "x", "file": "a.txt"}, {"name": "y", "file": "a.parquet"}, {"name": "z"}]})
    )
    assert held(tmp_path) == {"texts": ["一", "二", "一", "二"]}


def test_tasks_have_sides():
    assert {side: len(found) for side, found in held("mini-qa@v1").items()} == {"queries": 112, "documents": 200}
    assert {side: len(found) for side, found in held("mini-qa", side="queries").items()} == {"queries": 112}
    assert {side: len(found) for side, found in held("mini-sts").items()} == {"texts": 540}
    found = {one.side: (one.texts, one.exact) for one in measure("mini-qa", "mini-retrieval", None, [], 13, 0, [])}
    assert found == {"queries": (80, 0), "documents": (200, 200)}  # one collection of passages


@pytest.mark.parametrize(
    ("string", "columns", "side", "error", "says"),
    [
        ("nothing.txt", [], None, Unavailable, "nothing.txt does not exist"),
        ("no/thing", [], None, Unavailable, "no/thing does not exist"),
        ("nothing", [], None, UsageError, "unknown task 'nothing'"),
        ("a.csv", [], None, UsageError, r"a.csv: texts are read from .txt, .tsv, .jsonl"),
        ("a.jsonl", ["w"], None, UsageError, "unknown column 'w'"),
        ("a.jsonl", [], None, UsageError, "which column has the texts. give --column, of a, b"),
        ("a.tsv", ["2"], None, Unavailable, r"a.tsv cannot be read as .tsv \(ValueError: row 2 has 1 fields\)"),
        ("torn.jsonl", [], None, Unavailable, "torn.jsonl cannot be read as .jsonl"),
        ("torn.parquet", [], None, Unavailable, "torn.parquet cannot be read as .parquet"),
        ("torn.txt.gz", [], None, Unavailable, "torn.txt.gz cannot be read as .txt"),
        ("mini-sts", [], "queries", UsageError, "mini-sts@v1 has no queries; it has texts"),
        ("mini-qa", [], "texts", UsageError, "mini-qa@v1 has no texts; it has queries and documents"),
        ("mini-qa", [], "both", UsageError, "unknown side 'both'"),
        ("jsick@jmteb-v1", [], None, UsageError, "only published numbers exist"),
        (".", [], None, UsageError, "has no training_manifest.json"),
        ("github:a/b@main", [], None, UsageError, "expected github:OWNER/NAME@COMMIT/PATH"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, monkeypatch, string, columns, side, error, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": "y"}\n')
    (tmp_path / "a.tsv").write_text("1\t2\n1\n")
    for name in ("torn.jsonl", "torn.parquet", "torn.txt.gz"):
        (tmp_path / name).write_text("{")
    with pytest.raises(error, match=says) as caught:
        held(string, columns, side)
    assert "\n" not in str(caught.value)


def test_a_file_without_texts_is_no_file_without_overlap(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"empty\.jsonl has no texts"):
        measure(str(tmp_path / "empty.jsonl"), "mini-sts", None, [], 13, 0, [])


def test_a_manifest_without_files_says_what_to_do(tmp_path):
    for text in ("{", "[]", '{"datasets": []}', '{"datasets": [{"name": "x"}]}'):
        (tmp_path / "training_manifest.json").write_text(text)
        with pytest.raises(Unavailable, match=r"no manifest with datasets|names no file of its data sets"):
            held(tmp_path)


def test_n_grams_have_a_character_and_a_task_has_texts():
    with pytest.raises(UsageError, match="n-grams of 0 characters"):
        counts("x", n=0)
    with pytest.raises(UsageError, match="x has no texts"):
        counts()


# (training side, task side, exact, normalised, of)
FIGURES = [
    ("topics.mrtydi-v1.1-ja.dev.txt.gz", "miracl-ja@dev-full", 860, 860, 860),
    ("topics.mrtydi-v1.1-ja.test.txt.gz", "miracl-ja@dev-full", 0, 0, 860),
    ("topics.mrtydi-v1.1-ja.train.txt.gz", "miracl-ja@dev-full", 0, 9, 860),
    ("topics.miracl-v1.0-ja-train.tsv", "mrtydi-ja@test-full", 0, 0, 720),
    ("topics.miracl-v1.0-ja-dev.tsv", "mrtydi-ja@test-full", 0, 0, 720),
]


@pytest.mark.parametrize(("a", "b", "exact", "same", "texts"), FIGURES)
def test_queries_of_the_mirror_without_their_corpora(mirror, monkeypatch, a, b, exact, same, texts):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    (one,) = measure(f"{mirror}/{TOPICS}/{a}", b, "queries", [], 13, 0, [])
    assert (one.side, one.exact, one.normalised, one.texts) == ("queries", exact, same, texts)


def test_training_questions_of_miracl_are_mr_tydi_s(mirror):
    source = f"github:castorini/anserini-tools@{TOPICS.split('/')[3]}/topics/topics"
    one, other = f"{source}.miracl-v1.0-ja-train.tsv", f"{source}.mrtydi-v1.1-ja.train.txt.gz"
    (there,), (back,) = measure(one, other, None, [], 13, 0, []), measure(other, one, None, [], 13, 0, [])
    assert (there.exact, there.texts, back.exact, back.texts) == (3477, 3697, 3477, 3477)
    dev = f"{source}.mrtydi-v1.1-ja.dev.txt.gz"
    assert [(o.exact, o.texts) for o in measure("miracl-ja@dev-full", dev, "queries", [], 13, 0, [])] == [(860, 928)]


def test_jnli_shares_sentences_with_jsts(mirror):
    place = "github/yahoojapan/JGLUE/6f071c09316baae89c3d083a90985b4b1cb9968c/datasets/jnli-v1.3/valid-v1.3.json"
    jnli = set(held(mirror / place, ["sentence1", "sentence2"])["texts"])
    found = {task: set(held(task)["texts"]) for task in ("jsts@valid1457", "jsts@train12451")}
    assert [(len(texts & jnli), len(texts)) for texts in found.values()] == [(267, 2808), (1672, 21927)]


def test_a_task_whose_corpus_is_not_at_hand_says_how_to_do_without(mirror, monkeypatch):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    with pytest.raises(Unavailable, match=r"jbench fetch --task miracl-ja@dev-full.*--side queries needs no corpus"):
        held("miracl-ja@dev-full")


def test_the_verb_shows_it_to_people_and_as_json(tmp_path):
    (tmp_path / "a.txt").write_text("渡し船\n")
    text = jbench("overlap", "mini-qa", "mini-retrieval", "--examples", "1", cwd=tmp_path).stdout
    assert [row.split()[:3] for row in text.splitlines()[1:3]] == [["queries", "80", "0"], ["documents", "200", "200"]]
    found = json.loads(jbench("overlap", "a.txt", "mini-sts", "--json", "--ngram", "2", cwd=tmp_path).stdout)
    assert found[0].keys() >= {"a", "b", "side", "texts", "exact", "normalised", "share", "examples", "n"}
    assert "does not exist" in line(jbench("overlap", "b.txt", "mini-sts", cwd=tmp_path, code=5))
