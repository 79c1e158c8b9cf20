"""Hard negatives: the right ranks, never a positive, the same file for the same seed."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbench.cache import file_sha256
from jbench.train.data import open_set
from jbench.train.data.files import PROVENANCE
from jbench.train.mining import Plan, Questions, mine, provenance, questions, ranks_of, save
from jbench.types import Card, InvalidScores, Run, Texts, Unavailable, UsageError, silent
from tests.test_cli import jbench, line


class Shared:
    """Searches and scores by how many letters two texts share."""

    card = Card("shared", "1", "test")

    def report(self):
        return {}

    def score(self, pairs, roles):
        return np.array([len(set(one) & set(other)) for one, other in pairs], np.float32)

    def search(self, asked, passages, k):
        query = np.repeat(np.arange(len(asked)), len(passages))
        document = np.tile(np.arange(len(passages)), len(asked))
        scores = self.score([(asked.texts[q], passages.texts[d]) for q, d in zip(query, document, strict=True)], ())
        return Run.ranked(asked.ids, passages.ids, query, document, scores).top(k)


class Blind:
    """Can do nothing."""

    card = Card("blind", "1", "test")


def asked(of, passages):
    """Questions with their positives, and passages whose ids fall, so that ties keep their order."""
    ids = [f"{len(passages) - i:06d}" for i in range(len(passages))]
    return Questions(
        Texts([str(i) for i in range(len(of))], [*of]), [[*p] for p in of.values()], Texts(ids, [*passages])
    )


def mined(found, ranks, sample=None, seed=42, judge=None, below=None):
    return [*mine(found, Shared(), Plan(ranks, sample, seed, below), judge, silent)]


# Shared letters with "abcd": 4, 3, 3, 2, 2, 1, 0.
PASSAGES = ["abcd", "abcx", "bcdx", "abx", "cdx", "ax", "xyz"]
RANKS = [
    ((1, 2), ["abcx", "bcdx"]),
    ((2, 4), ["bcdx", "abx", "cdx"]),
    ((5, 5), ["ax"]),
    ((6, 9), ["xyz"]),
    ((7, 9), []),
]


@pytest.mark.parametrize(("ranks", "found"), RANKS)
def test_ranks_are_counted_without_the_questions_own_passages(ranks, found):
    (row,) = mined(asked({"abcd": ["abcd"]}, PASSAGES), ranks)
    assert sorted(row.negatives) == sorted(found)
    assert sorted(row.ranks) == [*range(ranks[0], ranks[0] + len(found))]
    by_rank = dict(zip(row.ranks, row.negatives, strict=True))
    assert [by_rank[rank] for rank in sorted(by_rank)] == found


def test_copies_of_a_positive_are_no_negatives_and_copies_of_a_negative_come_once():
    (row,) = mined(asked({"abcd": ["abcd"]}, ["abcd", "abcd", "abcx", "abcx", "abx"]), (1, 3))
    assert sorted(zip(row.ranks, row.negatives, strict=True)) == [(1, "abcx"), (3, "abx")]


def test_questions_of_one_text_share_their_positives(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [{"query": "ab", "positive": "abx"}, {"query": "ab", "positive": "aby"}, {"query": "cd", "positive": "cdx"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = questions(open_set(str(path)))
    assert (found.queries.texts, found.positives) == (["ab", "cd"], [["abx", "aby"], ["cdx"]])
    assert found.passages.texts == ["abx", "aby", "cdx"]


def test_a_sample_is_of_the_ranks_and_changes_with_the_seed():
    found = asked({"abcd": ["abcd"]}, PASSAGES)
    samples = {tuple(mined(found, (1, 5), 2, seed)[0].negatives) for seed in range(20)}
    assert all(set(sample) < set(PASSAGES[1:6]) and len(set(sample)) == 2 for sample in samples)
    assert len(samples) > 5


def test_a_filter_drops_what_it_scores_too_high_before_the_sample_is_drawn():
    found = asked({"abcd": ["abcd"]}, PASSAGES)
    (row,) = mined(found, (1, 6), judge=Shared(), below=2.5)
    assert sorted(row.negatives) == ["abx", "ax", "cdx", "xyz"]
    assert row.scores == [4.0, *({"abx": 2.0, "cdx": 2.0, "ax": 1.0, "xyz": 0.0}[text] for text in row.negatives)]


def test_a_filter_that_drops_nothing_scores_only_what_is_drawn():
    class Counting(Shared):
        scored = 0

        def score(self, pairs, roles):
            self.scored += len(pairs)
            return super().score(pairs, roles)

    judge, found = Counting(), asked({"abcd": ["abcd"]}, PASSAGES)
    (row,) = mine(found, Shared(), Plan((1, 6), 3, 42), judge, silent)
    assert (len(row.negatives), len(row.scores), judge.scored) == (3, 4, 4)
    assert row.negatives == mined(found, (1, 6), 3)[0].negatives


texts = st.text("abcdef", min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(texts, st.lists(texts, min_size=1, max_size=3, unique=True), min_size=1, max_size=5),
    st.lists(texts, min_size=1, max_size=20),
    st.integers(1, 4),
    st.integers(0, 6),
    st.integers(0, 3),
)
def test_no_positive_is_ever_a_negative_and_order_changes_nothing(of, passages, first, more, seed):
    passages = [*passages, *(text for positives in of.values() for text in positives)]
    plan = ((first, first + more), 1 + more // 2, seed)
    rows = mined(asked(of, passages), *plan)
    for row in rows:
        assert not set(row.negatives) & set(of[row.query])
        assert len(set(row.negatives)) == len(row.negatives) <= plan[1]
        assert all(first <= rank <= first + more for rank in row.ranks)
    turned = dict(reversed(of.items()))
    assert mined(asked(turned, passages), *plan) == rows[::-1]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_the_same_seed_gives_the_same_file_and_it_reads_back(ending, tmp_path, monkeypatch):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"query": text, "positive": text}) + "\n" for text in PASSAGES[:4]))
    data = open_set(str(path))
    found = questions(data)
    files = []
    for name in ("a", "b"):
        plan = Plan((1, 2), 1, 7)
        out = tmp_path / f"{name}{ending}"
        counts = save(
            out,
            mine(found, Shared(), plan, Shared(), silent),
            provenance(data, None, Shared().card, plan, Shared().card),
        )
        assert counts == {"questions": 4, "negatives": 4, "without": 0}
        files.append(out.read_bytes())
    assert files[0] == files[1]
    again = open_set(str(tmp_path / f"a{ending}"), scores=True)
    assert (again.name, again.count) == ("pairs", 4)
    assert again.sources == ("local:pairs.jsonl", f"local:a{ending}")
    assert again.rows.column_names == ["query", "positive", "negative_1", "scores"]
    assert all(row["negative_1"] != row["positive"] for row in again.rows)
    assert (again.teacher["model"], again.teacher["training"]) == ("shared", {})


@pytest.mark.parametrize(
    "judge",
    ["judge", {"training": {}}, {"model": "judge", "training": ["x"]}, {"model": "m", "training": {"datasets": [{}]}}],
)
def test_provenance_whose_filter_is_no_model_is_refused_when_it_is_opened(judge, tmp_path):
    data = tmp_path / "mined.jsonl"
    data.write_text(json.dumps({"query": "abcd", "positive": "abcd"}) + "\n")
    origin = {"name": "x", "split": "train", "revision": "", "sources": []}
    told = {"data": origin, "sha256": file_sha256(data), "filter": judge}
    (tmp_path / f"mined.jsonl{PROVENANCE}").write_text(json.dumps(told))
    with pytest.raises(Unavailable, match="is no provenance"):
        open_set(str(data))


def test_provenance_of_another_file_is_refused(tmp_path):
    data = tmp_path / "pairs.jsonl"
    data.write_text(json.dumps({"query": "abcd", "positive": "abcd"}) + "\n")
    opened, plan, out = open_set(str(data)), Plan((1, 1), None, 0), tmp_path / "out.jsonl"
    found = replace(questions(opened), passages=Texts(["1", "0"], ["abcd", "abc"]))
    save(out, mine(found, Shared(), plan, None, silent), provenance(opened, None, Shared().card, plan, None))
    told = json.loads((tmp_path / f"out.jsonl{PROVENANCE}").read_text())
    assert told | {"sha256": "", "data": ""} == {
        "data": "",
        "corpus": None,
        "model": {"model": "shared", "revision": "1", "prompts": {}, "settings": {}},
        "ranks": [1, 1],
        "sample": None,
        "seed": 0,
        "filter": None,
        "questions": 1,
        "negatives": 1,
        "without": 0,
        "sha256": "",
    }
    out.write_text(out.read_text() + "\n")
    with pytest.raises(Exception, match=r"tells of another out\.jsonl than the one that lies there; make it again"):
        open_set(str(out))


PLANS = [
    (((0, 3), None, 1), "ranks 0-3: write the first and the last, from 1"),
    (((4, 3), None, 1), "ranks 4-3"),
    (((1, 3), 4, 1), "a sample of 4 of ranks 1-3, which are 3"),
    (((1, 3), 0, 1), "a sample of 0"),
    (((1, 3), 1, -1), "seed -1 is below 0"),
]


@pytest.mark.parametrize(("given", "told"), PLANS)
def test_a_plan_that_means_nothing_is_one_line(given, told):
    with pytest.raises(UsageError, match=told):
        Plan(*given)


@pytest.mark.parametrize("string", ["11", "a-b", "-5", "11-", "1-2-3", "١-٢"])
def test_ranks_are_written_first_and_last(string):
    assert ranks_of("11-20") == (11, 20)
    with pytest.raises(UsageError, match="write the first and the last"):
        ranks_of(string)


def test_a_model_that_cannot_search_or_score_is_named():
    found = asked({"a": ["b"]}, ["b", "c"])
    with pytest.raises(UsageError, match="blind cannot search a corpus, so it cannot mine"):
        next(mine(found, Blind(), Plan((1, 1), None, 0), None, silent))
    with pytest.raises(UsageError, match="blind scores no pairs, so it cannot filter"):
        next(mine(found, Shared(), Plan((1, 1), None, 0), Blind(), silent))


def test_a_filters_score_that_is_no_number_is_an_error():
    class Broken(Shared):
        def score(self, pairs, roles):
            return np.full(len(pairs), np.nan, np.float32)

    with pytest.raises(InvalidScores, match="shared scores 'abcd' with a passage nan"):
        mined(asked({"abcd": ["abcd"]}, PASSAGES), (1, 2), judge=Broken(), below=0.5)


def test_plain_sentences_have_no_questions(tmp_path):
    (tmp_path / "x.txt").write_text("文\n", encoding="utf-8")
    with pytest.raises(UsageError, match="x has no questions: its columns are text"):
        questions(open_set(f"text:{tmp_path / 'x.txt'}"))


@pytest.mark.parametrize("row", [{"query": " ", "positive": ["p"]}, {"query": "q", "positive": [" "]}, {"query": "q"}])
def test_a_row_without_a_text_is_named(row, tmp_path):
    rows = [{"query": "q", "positive": ["p"]}, row]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError, match="x: row 2 has an empty text"):
        questions(open_set(str(tmp_path / "x.jsonl")))


def test_the_verb_mines_by_bm25_among_the_passages_of_a_file(tmp_path):
    pairs, corpus, out = tmp_path / "pairs.jsonl", tmp_path / "corpus.jsonl", tmp_path / "mined.parquet"
    pairs.write_text(json.dumps({"query": "雪は白い", "positive": "雪は白いもの"}) + "\n", encoding="utf-8")
    passages = ["雪は白いもの", "雪は白い雲", "雪は寒い", "海は青い"]
    corpus.write_text("".join(json.dumps({"body": text}) + "\n" for text in passages), encoding="utf-8")
    asked_for = ("mine", pairs, "bm25:char-bigram", "--ranks", "1-2", "--corpus", corpus, "--column", "body")
    done = jbench(*asked_for, "--output", out, cwd=tmp_path)
    assert done.stdout == ""
    assert f"{out}: 2 negatives of 1 questions, 0 of them without any" in done.stderr
    (row,) = pq.read_table(out).to_pylist()
    assert sorted(zip(row["ranks"], row["negatives"], strict=True)) == [(1, "雪は白い雲"), (2, "雪は寒い")]
    refused = jbench(*asked_for, "--below", "0.5", "--output", out, cwd=tmp_path, code=2)
    assert line(refused) == "error: --below is of what --filter scores; name its model"


def test_mined_from_jaquad_a_question_never_meets_its_own_paragraph(mirror, tmp_path):
    from jbench.models.load import open_model

    data = open_set("jaquad")
    whole = questions(data)
    first = replace(
        whole, queries=Texts(whole.queries.ids[:40], whole.queries.texts[:40]), positives=whole.positives[:40]
    )
    rows = [*mine(first, open_model("ngram"), Plan((11, 20), 5, 42), None, silent)]
    assert [len(row.negatives) for row in rows] == [5] * 40
    assert all(set(row.ranks) <= {*range(11, 21)} for row in rows)
    assert not any(set(row.negatives) & set(row.positives) for row in rows)
