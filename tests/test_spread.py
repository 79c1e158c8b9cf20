"""Ties of one stage that the next stage ranks by: the interval holds what every other order would give."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbench import Run, Texts
from jbench.metrics import measure_run
from jbench.models.combine import Fusion, Rerank
from jbench.types import Card, InvalidScores

MEASURES = ["ndcg@3", "map@3", "mrr@10", "recall@2", "hit@1"]
DOCUMENTS = Texts(list("abcde"), list("abcde"))
QUERIES = Texts(["q"], ["q"])
CARD = Card("stub", "1", "stub")


@dataclass(frozen=True)
class Stub:
    """A model with a score for some of the documents."""

    scores: dict[str, float]
    card: Card = CARD

    def search(self, queries, documents, k):
        at = [documents.ids.index(d) for d in self.scores]
        query = np.zeros(len(at), np.int64)
        return Run.ranked(queries.ids, documents.ids, query, np.array(at), list(self.scores.values())).top(k)

    def score(self, pairs, roles):
        return np.array([self.scores[document] for _, document in pairs])

    def report(self):
        return {}


def orders(scores):
    """The same scores with their ties broken in every way."""
    for names in itertools.permutations(scores):
        if all(scores[x] >= scores[y] for x, y in itertools.pairwise(names)):
            yield {name: float(-place) for place, name in enumerate(names)}


def measured(run, qrels, name):
    """The value and its interval; None for a run that is no ranking, as a fused tie of all documents."""
    try:
        found = measure_run(run, {"q": qrels}, [name])
    except InvalidScores:
        return None
    return found.scores[name], *found.ties.get(name, (found.scores[name],) * 2)


def holds(model, others, qrels, k):
    """Whether the interval of ``model`` holds the values of the ``others``, whose parts have no ties."""
    for name in MEASURES:
        if (of_ties := measured(model.search(QUERIES, DOCUMENTS, k), qrels, name)) is None:
            continue
        for other in others:
            if of_order := measured(other.search(QUERIES, DOCUMENTS, k), qrels, name):
                assert of_ties[1] - 1e-9 <= of_order[0] <= of_ties[2] + 1e-9, (name, of_ties, of_order)


tied = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([1.0, 2.0, 3.0]), min_size=2, max_size=4)
judged = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 3), min_size=1).filter(lambda j: any(j.values()))


@settings(max_examples=40, deadline=None)
@given(tied, tied, judged, st.integers(2, 5))
def test_the_interval_of_a_fusion_holds_every_order_of_its_parts(one, other, qrels, k):
    fused = [Fusion(CARD, (Stub(x), Stub(y))) for x in orders(one) for y in orders(other)]
    holds(Fusion(CARD, (Stub(one), Stub(other))), fused, qrels, k)


@settings(max_examples=40, deadline=None)
@given(tied, judged, st.integers(1, 4), st.permutations(range(5)))
def test_the_interval_of_a_reranking_holds_every_order_of_its_first_stage(first, qrels, depth, second):
    second = Stub(dict(zip("abcde", map(float, second), strict=True)))
    reranked = [Rerank(CARD, Stub(x), depth, second) for x in orders(first)]
    holds(Rerank(CARD, Stub(first), depth, second), reranked, qrels, 5)


@settings(max_examples=25, deadline=None)
@given(tied, tied, judged, st.integers(1, 3), st.permutations(range(5)))
def test_ties_survive_two_stages(one, other, qrels, depth, second):
    second = Stub(dict(zip("abcde", map(float, second), strict=True)))

    def model(x, y):
        return Fusion(CARD, (Rerank(CARD, Fusion(CARD, (Stub(x), Stub(y))), depth, second), Stub(y)))

    holds(model(one, other), [model(x, y) for x in orders(one) for y in orders(other)], qrels, 5)


def test_a_reranking_scores_what_ties_at_its_depth():
    first = Stub({"a": 3.0, "b": 1.0, "c": 1.0, "d": 1.0})  # d comes first of those that tie
    second = Stub({"a": 1.0, "b": 5.0, "c": 0.5, "d": 0.0})
    run = Rerank(CARD, first, 2, second).search(QUERIES, DOCUMENTS, 5)
    assert run.to_dict() == {"q": {"a": 1.0, "d": 0.0}}
    assert measured(run, {"b": 1}, "mrr@10") == (0.0, 0.0, 1.0)
    assert measured(run, {"a": 1}, "mrr@10") == (1.0, 0.5, 1.0)  # behind b, would that come second


def test_a_fusion_without_ties_has_no_interval():
    run = Fusion(CARD, (Stub({"a": 2.0, "b": 1.0}), Stub({"b": 2.0, "c": 1.0}))).search(QUERIES, DOCUMENTS, 5)
    assert run.spread is None
    assert measure_run(run, {"q": {"b": 1}}, ["ndcg@3"]).ties == {}


def test_sums_of_the_same_shares_tie_whatever_their_order():
    ranked = [{"a": 3.0, "b": 2.0, "c": 1.0}, {"b": 3.0, "c": 2.0, "a": 1.0}, {"c": 3.0, "a": 2.0, "b": 1.0}]
    run = Fusion(CARD, tuple(map(Stub, ranked))).search(QUERIES, DOCUMENTS, 5)
    assert [d for d, _ in run.rows(0)] == ["c", "b", "a"]
    assert len(set(run.scores.tolist())) == 1


@pytest.mark.parametrize(
    ("scores", "degenerate"),
    [
        ({"q1": {"a": 1, "b": 1}, "q2": {"a": 1, "b": 1}, "q3": {"a": 2, "b": 1}}, True),  # two of three
        ({"q1": {"a": 1, "b": 1}, "q2": {"a": 2, "b": 1}}, False),  # one of two is not more than half
        ({"q1": {"a": 1, "b": 1}, "q2": {"a": 1}, "q3": {"b": 1}}, True),  # of those with two or more, the one
        ({"q1": {"a": 1}, "q2": {"b": 1}}, False),  # one document each is no tie
        ({"q1": {"a": 1, "b": 1, "c": 0}, "q2": {"a": 1, "b": 1, "c": 0}}, False),  # some order is an order
    ],
)
def test_a_run_is_degenerate_when_most_queries_are(scores, degenerate):
    qrels = {query: {"a": 1} for query in scores}
    if degenerate:
        with pytest.raises(InvalidScores, match=r"all documents have the same score, first in query 'q1'"):
            measure_run(Run.from_dict(scores), qrels, ["mrr@10"])
    else:
        measure_run(Run.from_dict(scores), qrels, ["mrr@10"])
