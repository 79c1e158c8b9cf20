"""Every figure equals trec_eval's; every order of ties lies inside the interval."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbench import Run
from jbench.metrics import measure_pairs, measure_run, parse
from jbench.types import InvalidScores, UsageError

RANKED = ["ndcg@3", "ndcg@10", "map@3", "map@10", "mrr@3", "mrr@10", "hit@1", "recall@1", "recall@3", "micro-recall@3"]


def scores(run, qrels, measures):
    return measure_run(Run.from_dict(run), qrels, measures).scores


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ndgc@10", r"unknown measure 'ndgc@10'; did you mean .*ndcg@10"),
        ("ndcg", "needs a cut-off"),
        ("recall@0", "needs a cut-off"),
        ("recall@x", "needs a cut-off"),
        ("recall@01", "needs a cut-off"),
        ("spearman@10", "unknown measure"),
    ],
)
def test_a_bad_measure_is_named_with_what_is_meant(name, says):
    with pytest.raises(UsageError, match=says):
        parse(name)


def test_definitions_have_ids():
    named = {name: parse(name).definition for name in ("spearman", "ndcg@10", "map@10", "recall@5", "micro-recall@30")}
    assert named == {
        "spearman": "spearman/average-ranks",
        "ndcg@10": "ndcg@10/trec-linear",
        "map@10": "map@10/trec-R",
        "recall@5": "recall@5/macro",
        "micro-recall@30": "recall@30/micro",
    }


def test_twelve_relevant_ten_retrieved():
    qrels = {"q": {f"d{i}": 1 for i in range(12)}}
    run = {"q": {f"d{i}": 1.0 - i / 100 for i in range(10)}}
    assert scores(run, qrels, ["ndcg@10", "map@10", "recall@10"]) == pytest.approx(
        {"ndcg@10": 1.0, "map@10": 10 / 12, "recall@10": 10 / 12}
    )


def test_graded_gain_is_linear():
    qrels = {"q": {"a": 3, "b": 2, "c": 1, "d": 0}}
    run = {"q": {"d": 4.0, "c": 3.0, "b": 2.0, "a": 1.0}}
    assert scores(run, qrels, ["ndcg@10", "map@10"]) == pytest.approx(
        {"ndcg@10": 0.613827, "map@10": 0.638889}, abs=1e-6
    )


def test_macro_and_micro_recall_differ():
    qrels = {"q1": {"a": 1}, "q2": {"b": 1, "c": 1, "d": 1}}
    run = {"q1": {"a": 1.0}, "q2": {"b": 1.0}}
    assert scores(run, qrels, ["recall@30", "micro-recall@30"]) == pytest.approx(
        {"recall@30": (1 + 1 / 3) / 2, "micro-recall@30": 0.5}
    )


def test_a_query_without_an_answer_counts_zero_and_is_counted():
    measured = measure_run(Run.from_dict({"q1": {"a": 1.0}}), {"q1": {"a": 1}, "q2": {"b": 1}}, ["recall@1"])
    assert measured.scores == {"recall@1": 0.5}
    assert measured.unanswered == 1
    assert list(measured.values["recall@1"]) == [1.0, 0.0]


def test_a_query_that_is_not_judged_counts_nothing():
    run = {"q1": {"a": 1.0}, "stray": {"a": 1.0}}
    assert scores(run, {"q1": {"a": 1}}, ["recall@1", "mrr@10"]) == {"recall@1": 1.0, "mrr@10": 1.0}


def test_the_order_in_which_documents_arrive_changes_nothing():
    qrels = {"q": {"a": 1}, "p": {"a": 1}}
    one, other = {"a": 0.5, "b": 0.5}, {"b": 0.5, "a": 0.5}
    apart = {"a": 2.0, "b": 1.0}
    assert scores({"q": one, "p": apart}, qrels, RANKED) == scores({"q": other, "p": apart}, qrels, RANKED)


def test_one_score_for_everything_is_no_ranking():
    qrels = {"q": {"d0": 1}}
    with pytest.raises(InvalidScores, match="degenerate"):
        measure_run(Run.from_dict({"q": {f"d{i}": 0.0 for i in range(100)}}), qrels, ["map@10"])


def test_ties_give_an_interval_and_its_absence_none():
    run = {"q": {"a": 1.0, "b": 1.0, "c": 0.5}}
    measured = measure_run(Run.from_dict(run), {"q": {"a": 1}}, ["mrr@10", "recall@3"])
    assert measured.scores == {"mrr@10": 0.5, "recall@3": 1.0}  # "b" comes before "a"
    assert measured.ties == {"mrr@10": (0.5, 1.0)}


def test_documents_tied_beyond_the_end_widen_the_interval():
    run = Run(["q"], ["a", "b"], np.array([0, 2]), np.array([0, 1]), np.float32([2, 1]), np.array([3]))
    measured = measure_run(run, {"q": {"a": 1, "b": 1, "z": 1}}, ["recall@2", "ndcg@2"])
    assert measured.ties["recall@2"] == (1 / 3, 2 / 3)
    measured = measure_run(run, {"q": {"z": 1}}, ["mrr@10"])
    assert measured.ties["mrr@10"] == (0.0, 0.5)


def _runs(max_docs):
    grade = st.integers(0, 2)
    score = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    docs = st.dictionaries(st.sampled_from("abcdef"[:max_docs]), score, min_size=1)
    judged = st.dictionaries(st.sampled_from("abcdefg"), grade, min_size=1).filter(lambda j: any(j.values()))
    return st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), st.tuples(docs, judged), min_size=1)


def _ordered(qid, permutation):
    return {d: float(-i) for i, d in enumerate(permutation)}


@settings(max_examples=60, deadline=None)
@given(_runs(5))
def test_the_interval_is_what_all_orders_of_ties_give(drawn):
    run = {q: docs for q, (docs, _) in drawn.items()}
    qrels = {q: judged for q, (_, judged) in drawn.items()}
    measures = ["ndcg@3", "map@3", "mrr@3", "recall@3", "hit@1"]
    try:
        measured = measure_run(Run.from_dict(run), qrels, measures)
    except InvalidScores:
        return  # degenerate: refused by its own test
    for name in measures:
        low = high = 0.0
        for q, docs in run.items():
            orders = (
                p for p in itertools.permutations(docs) if all(docs[x] >= docs[y] for x, y in itertools.pairwise(p))
            )
            values = [
                measure_run(Run.from_dict({q: _ordered(q, p)}), {q: qrels[q]}, [name]).scores[name] for p in orders
            ]
            low, high = low + min(values) / len(run), high + max(values) / len(run)
        assert measured.ties.get(name, (measured.scores[name],) * 2) == pytest.approx((low, high), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(_runs(6))
def test_every_figure_equals_trec_evals(drawn):
    import pytrec_eval

    run = {q: docs for q, (docs, _) in drawn.items()}
    qrels = {q: judged for q, (_, judged) in drawn.items()}
    try:
        measured = measure_run(Run.from_dict(run), qrels, ["ndcg@3", "map@3", "recall@3", "hit@1", "mrr@6"])
    except InvalidScores:
        return
    trec = {
        "ndcg@3": "ndcg_cut_3",
        "map@3": "map_cut_3",
        "recall@3": "recall_3",
        "hit@1": "success_1",
        "mrr@6": "recip_rank",
    }
    referee = pytrec_eval.RelevanceEvaluator(qrels, set(trec.values())).evaluate(run)
    for name, theirs in trec.items():
        assert list(measured.values[name]) == pytest.approx([referee[q][theirs] for q in qrels], abs=1e-9)


def test_ranx_agrees_where_nothing_ties():
    import ranx

    rng = np.random.default_rng(5)
    qrels = {f"q{i}": {f"d{d}": 1 for d in rng.choice(30, 4, replace=False)} for i in range(20)}
    run = {q: {f"d{d}": float(s) for d, s in enumerate(rng.permutation(30))} for q in qrels}
    names = {
        "ndcg@10": "ndcg@10",
        "map@10": "map@10",
        "mrr@10": "mrr@10",
        "recall@5": "recall@5",
        "hit@3": "hit_rate@3",
    }
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(names.values()))
    assert scores(run, qrels, list(names)) == pytest.approx({mine: theirs[t] for mine, t in names.items()}, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(_runs(6), st.integers(1, 5))
def test_recall_never_falls_as_k_grows_and_stays_a_fraction(drawn, k):
    run = {q: docs for q, (docs, _) in drawn.items()}
    qrels = {q: judged for q, (_, judged) in drawn.items()}
    try:
        found = scores(run, qrels, [f"recall@{k}", f"recall@{k + 1}", "ndcg@10"])
    except InvalidScores:
        return
    assert 0 <= found[f"recall@{k}"] <= found[f"recall@{k + 1}"] <= 1
    assert 0 <= found["ndcg@10"] <= 1 + 1e-12


def test_spearman_gives_ties_their_average_rank():
    measured = measure_pairs([1, 2, 2, 3], np.float32([0.1, 0.2, 0.3, 0.4]), ["spearman", "pearson"])
    assert measured.scores["spearman"] == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert list(measured.values["predicted"]) == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("gold", "predicted", "says"),
    [
        ([1, 2, 3], [0.5, 0.5, 0.5], "3 predicted scores, all the same"),
        ([1, 2, 3], [0.5, math.nan, 0.1], "1 of 3 predicted scores are not finite, first for pair 1"),
        ([1, 2, 3], [0.5, 0.1, math.inf], "first for pair 2"),
        ([1], [0.5], "1 gold scores"),
        ([1, 2], [0.5], "1 predictions for 2 pairs"),
    ],
)
def test_a_correlation_that_means_nothing_is_an_error(gold, predicted, says):
    with pytest.raises(InvalidScores, match=says):
        measure_pairs(gold, np.float32(predicted), ["spearman"])


def test_a_run_of_many_rows_keeps_its_order():
    """Places count within a query: float32 would run out of whole numbers after 2^24 rows."""
    queries, depth = 2000, 9000  # 18 million rows
    run = Run(
        [f"q{i}" for i in range(queries)],
        [f"d{i}" for i in range(depth)],
        np.arange(queries + 1) * depth,
        np.tile(np.arange(depth), queries),
        np.tile(-np.arange(depth, dtype=np.float32), queries),
        np.zeros(queries, np.int64),
    )
    measured = measure_run(run, {q: {"d1": 1} for q in run.queries}, ["mrr@100"])
    assert (measured.scores, measured.ties) == ({"mrr@100": 0.5}, {})
