"""The nouns hold only what makes sense."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbench import Absent, Collection, Pairs, Run, Texts
from jbench.types import InvalidScores, Unavailable, UsageError, unknown

QUERIES = {"q1": "味噌の寝かせ方", "q2": "傘の置き忘れ"}
DOCUMENTS = {"d1": "味噌は半年寝かせる。", "d2": "傘は駅で預かる。", "d3": "雨の日の話。"}
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 2, "d3": 0}}


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("jsqad@valid1145", "did you mean jsquad@valid1145, "),
        ("JSTS@valid1457", "did you mean jsts@valid1457"),
        ("xyz", "known: jsquad@valid1145, jsts@valid1457"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(typed, says):
    assert says in str(unknown("task", typed, ["jsts@valid1457", "jsquad@valid1145"]))


def test_a_collection_counts_what_it_holds():
    counts = Collection.of(QUERIES, {**DOCUMENTS, "d4": "　 "}, QRELS).counts
    assert counts == {"queries": 2, "documents": 4, "relevant": 2, "empty": 1}


@pytest.mark.parametrize(
    ("queries", "documents", "qrels", "candidates", "says"),
    [
        ({}, DOCUMENTS, {}, None, "a collection of 0 queries and 3 documents"),
        (QUERIES, DOCUMENTS, {**QRELS, "q3": {"d1": 1}}, None, "judgements name query 'q3'"),
        (QUERIES, DOCUMENTS, {"q1": {"d1": 1}}, None, "query 'q2' has no judgement"),
        (QUERIES, DOCUMENTS, {**QRELS, "q1": {"d1": 0}}, None, "query 'q1' has no relevant document"),
        (QUERIES, DOCUMENTS, {**QRELS, "q1": {"d9": 1}}, None, "judged on document 'd9'"),
        (QUERIES, DOCUMENTS, {**QRELS, "q1": {"d1": 1, "": 1}}, None, "judged on document ''"),
        (QUERIES, DOCUMENTS, QRELS, {"q1": ["d1"]}, "query 'q2' has no candidates"),
        (QUERIES, DOCUMENTS, QRELS, {"q1": ["d1"], "q2": ["d9"]}, "candidate 'd9'"),
        (QUERIES, DOCUMENTS, QRELS, {"q1": ["d1", "d1"], "q2": ["d2"]}, "duplicate candidate of query q1: 'd1'"),
    ],
)
def test_a_collection_refuses_what_does_not_fit(queries, documents, qrels, candidates, says):
    with pytest.raises(UsageError, match=says):
        Collection.of(queries, documents, qrels, candidates)


def test_duplicate_document_ids_are_refused():
    with pytest.raises(UsageError, match="duplicate document 'd1', at places 1 and 2"):
        Collection(Texts(["q1"], ["x"]), Texts(["d1", "d1"], ["a", "b"]), {"q1": {"d1": 1}})


def test_pairs_of_unequal_length_are_refused():
    with pytest.raises(UsageError, match="2, 1, 2"):
        Pairs(["a", "b"], ["c"], [1, 2])


def test_the_sha256_of_data_follows_every_part_of_it():
    shas = {
        Collection.of(QUERIES, DOCUMENTS, QRELS).sha256,
        Collection.of({**QUERIES, "q1": "味噌"}, DOCUMENTS, QRELS).sha256,
        Collection.of(QUERIES, {**DOCUMENTS, "d3": "雪の日の話。"}, QRELS).sha256,
        Collection.of(QUERIES, DOCUMENTS, {**QRELS, "q1": {"d1": 2}}).sha256,
        Collection.of(QUERIES, DOCUMENTS, QRELS, {"q1": ["d1", "d2"], "q2": ["d2"]}).sha256,
        Collection.of(QUERIES, DOCUMENTS, QRELS, {"q1": ["d2", "d1"], "q2": ["d2"]}).sha256,
        Pairs(["a"], ["b"], [1]).sha256,
        Pairs(["ab"], [""], [1]).sha256,
    }
    assert len(shas) == 8


def test_absent_texts_say_why_when_they_are_read():
    texts = Absent(3, "the texts are on the hub")
    assert len(texts) == 3
    with pytest.raises(Unavailable, match="on the hub"):
        list(texts)


def test_a_run_is_ordered_by_score_then_by_document_id_both_falling():
    run = Run.from_dict({"q1": {"d1": 0.5, "d3": 0.5, "d2": 0.9}, "q2": {"d1": 1.0}})
    assert [d for d, _ in run.rows(0)] == ["d2", "d3", "d1"]
    assert list(run.to_dict()["q1"]) == ["d2", "d3", "d1"]


@pytest.mark.parametrize(("dtype", "order"), [(np.float64, ["a", "b"]), (np.float32, ["b", "a"])])
def test_scores_are_ordered_as_the_numbers_that_they_were_given_as(dtype, order):
    scores = np.array([1.0, 1.0 - 1e-9], dtype)
    run = Run.ranked(["q"], ["a", "b"], np.zeros(2, np.int64), np.arange(2), scores)
    assert ([d for d, _ in run.rows(0)], run.scores.dtype) == (order, dtype)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_doubles_of_any_size_keep_their_order(scale):
    run = Run.from_dict({"q": {"a": 3 * scale, "b": 1 * scale, "c": 2 * scale, "d": -1 * scale}})
    assert [d for d, _ in run.rows(0)] == ["a", "c", "b", "d"]


def test_a_run_survives_the_way_to_a_dictionary_and_back():
    run = {"q1": {"d2": 0.5, "d1": 0.25}, "q2": {"d1": 1.0}}
    assert Run.from_dict(run).to_dict() == run


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_named(bad):
    with pytest.raises(InvalidScores, match=r"1 of 2 scores are not finite, first for query 'q', document 'd2'"):
        Run.from_dict({"q": {"d1": 1.0, "d2": bad}})


def test_a_document_ranked_twice_is_named():
    with pytest.raises(InvalidScores, match="document 'd' is ranked twice for query 'q'"):
        Run.ranked(["q"], ["d"], np.array([0, 0]), np.array([0, 0]), [2.0, 1.0])


def test_grades_of_numpy_are_whole_numbers_too():
    plain, numpy = (Collection.of({"q": "問"}, {"d": "答"}, {"q": {"d": g}}) for g in (1, np.int64(1)))
    assert plain.sha256 == numpy.sha256


@given(st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=4), st.integers(1, 10))
def test_the_top_of_a_run_keeps_the_best_and_counts_the_ties_it_drops(scores, k):
    run = Run.from_dict({f"q{i}": {f"d{j}": s for j, s in enumerate(row)} for i, row in enumerate(scores)})
    top = run.top(k)
    for i in range(len(scores)):
        rows = run.rows(i)
        assert top.rows(i) == rows[:k]
        assert top.beyond[i] == sum(score == rows[k - 1][1] for _, score in rows[k:])


@pytest.mark.parametrize(("k", "beyond"), [(1, 4), (2, 3), (3, 2), (4, 2)])
def test_ties_beyond_the_end_of_a_run_count_when_the_cut_ties_with_the_end(k, beyond):
    one = np.zeros(3, np.int64)
    run = Run.ranked(["q"], list("abc"), one, np.arange(3), [1.0, 1.0, 1.0], np.array([2]))
    assert run.top(k).beyond.tolist() == [beyond]
    apart = Run.ranked(["q"], list("abc"), one, np.arange(3), [2.0, 1.0, 1.0], np.array([2]))
    assert apart.top(1).beyond.tolist() == [0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Collection.of(QUERIES, {**DOCUMENTS, "d1": "絵\ud83d"}, QRELS),
            r"text of document 'd1' .* at place 2",
        ),
        (lambda: Collection.of({**QUERIES, "q2": "\udc4d"}, DOCUMENTS, QRELS), r"text of query 'q2' .* at place 1"),
        (
            lambda: Collection.of(QUERIES, {**DOCUMENTS, "d\ud83d": "絵"}, QRELS),
            r"document id 'd\\ud83d' has half a char",
        ),
        (lambda: Pairs(["a", "b"], ["c", "x\udfff"], [1, 2]), r"right text of pair 2 .* at place 2"),
    ],
)
def test_half_a_character_is_named_with_its_text(make, says):
    with pytest.raises(UsageError, match=says):
        make()


def test_a_whole_emoji_is_a_character():
    assert Pairs(["👍"], ["𠮷"], [1]).counts == {"pairs": 1, "empty": 0}
