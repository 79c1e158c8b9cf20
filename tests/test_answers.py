"""Whatever a model answers that cannot be is one line, and never a number."""

import numpy as np
import pytest

from jbench import STS, Card, Collection, Pairs, Reranking, Retrieval, Run
from jbench.evaluate import evaluate_one
from jbench.models.combine import Fusion, Rerank
from jbench.models.options import Options
from jbench.task import Loaded
from jbench.types import InvalidScores, UsageError

CARD = Card("theirs", "1", "plug-in", settings={})
COMMON = {"protocol": "v1", "version": 1, "license": "CC0-1.0"}
PAIRS = Pairs(["a", "b", "c"], ["x", "y", "z"], [1.0, 2.0, 3.0])
QUERIES, DOCUMENTS = {"q1": "a", "q2": "b"}, {"d1": "x", "d2": "y", "d3": "z"}
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 1}}
STS_TASK = STS(name="s", load=lambda: PAIRS, **COMMON)
SEARCHED = Collection.of(QUERIES, DOCUMENTS, QRELS)
LISTED = Collection.of(QUERIES, DOCUMENTS, QRELS, {q: list(DOCUMENTS) for q in QUERIES})


class Theirs:
    """A model of somebody else's, which answers what it likes."""

    card = CARD

    def __init__(self, score=None, search=None, rerank=None):
        for name, answer in (("score", score), ("search", search), ("rerank", rerank)):
            if answer is not None:
                setattr(self, name, answer)

    def report(self):
        return {}


def run(scores=(2.0, 1.0, 3.0, 1.0), index=(0, 1, 2, 0), offsets=(0, 2, 4), beyond=(0, 0), queries=("q1", "q2")):
    floats, ints = np.float64(scores), [np.int64(numbers) for numbers in (offsets, index, beyond)]
    return Run(list(queries), list(DOCUMENTS), ints[0], ints[1], floats, ints[2])


def answered(kind, model, tmp_path):
    task, data = {
        "sts": (STS_TASK, PAIRS),
        "search": (Retrieval(name="r", load=lambda: SEARCHED, **COMMON), SEARCHED),
        "rerank": (Reranking(name="k", load=lambda: LISTED, **COMMON), LISTED),
    }[kind]
    return evaluate_one(model, task, Loaded(data), tmp_path, Options())


BAD_SCORES = [
    (lambda n: np.zeros(n - 1), r"gave float64 of shape \(2,\), not one number for each of the 3 pairs"),
    (lambda n: np.zeros((n, 1), np.float32), r"gave float32 of shape \(3, 1\), not one number"),
    (lambda n: [1.0] * (n + 1), "gave a list of 4, not one number"),
    (lambda n: {"scores": [1.0] * n}, "gave a dict, not one number"),
    (lambda n: None, "gave a NoneType, not one number"),
    (lambda n: 0.5, "gave a float, not one number"),
    (lambda n: [[1.0], [2.0, 3.0], [1.0]], "gave a list of 3, not one number"),
    (lambda n: ["high"] * n, "gave a list of 3, not one number"),
    (lambda n: np.array([True, False, True]), r"gave bool of shape \(3,\), not one number"),
    (lambda n: np.zeros(n, complex), r"gave complex128 of shape \(3,\), not one number"),
    (lambda n: [1.0, float("nan"), 2.0], "gave 1 scores that are not finite, the first for 'b' and 'y'"),
    (lambda n: np.float32([1, np.inf, -np.inf]), "gave 2 scores that are not finite, the first for 'b' and 'y'"),
]


@pytest.mark.parametrize(("answer", "says"), BAD_SCORES)
def test_scores_that_cannot_be_are_one_line(answer, says, tmp_path):
    with pytest.raises(InvalidScores, match=rf"^theirs: score\(\) {says}"):
        answered("sts", Theirs(score=lambda pairs, roles: answer(len(pairs))), tmp_path)


@pytest.mark.parametrize("given", [[1, 2, 4], (1.0, 2.0, 4.0), np.float16([1, 2, 4]), np.int64([1, 2, 4])])
def test_numbers_of_any_kind_are_scores(given, tmp_path):
    result = answered("sts", Theirs(score=lambda pairs, roles: given), tmp_path)
    assert result.scores["spearman"] == pytest.approx(1.0)


def test_a_tensor_is_scores(tmp_path):
    import torch

    result = answered("sts", Theirs(score=lambda pairs, roles: torch.tensor([1.0, 2.0, 4.0])), tmp_path)
    assert result.scores["spearman"] == pytest.approx(1.0)


BAD_RUNS = [
    ({"q1": {"d1": 1.0}}, "gave a dict, not a jbench.Run"),
    (None, "gave a NoneType, not a jbench.Run"),
    (run(scores=(2.0, 1.0, 3.0)), "gave a run whose arrays do not fit: 3 offsets, 4 rows, 3 scores"),
    (run(offsets=(0, 4)), "gave a run whose arrays do not fit: 2 offsets"),
    (run(beyond=(0,)), "gave a run whose arrays do not fit"),
    (run(offsets=(0, 5, 4)), "gave a run whose offsets fall"),
    (run(index=(0, 1, 3, 0)), "gave a run with document 3 of 3"),
    (run(scores=(2.0, float("nan"), 3.0, 1.0)), "gave a run with scores that are not finite"),
    (run(index=(0, 0, 1, 2)), "gave a run that ranks a document twice for one query"),
    (run(scores=(1.0, 2.0, 3.0, 1.0)), "gave a run that is not in order: Run.ranked puts it in order"),
    (run(queries=("q1", "q9")), "gave a run with query 'q9', which the task lacks"),
    (Run.from_dict({"q1": {"d9": 1.0, "d1": 2.0}}), "gave a run with document 'd9', which the task lacks"),
]


@pytest.mark.parametrize(("answer", "says"), BAD_RUNS)
def test_a_run_that_cannot_be_is_one_line(answer, says, tmp_path):
    with pytest.raises(InvalidScores, match=rf"^theirs: search\(\) {says}"):
        answered("search", Theirs(search=lambda queries, documents, k: answer), tmp_path)
    with pytest.raises(InvalidScores, match=rf"^theirs: rerank\(\) {says}"):
        answered("rerank", Theirs(rerank=lambda queries, documents, query, document: answer), tmp_path)


def test_a_run_of_some_queries_in_an_order_of_its_own_is_an_answer(tmp_path):
    partial = Run.from_dict({"q2": {"d2": 2.0, "d1": 1.0}})
    result = answered("search", Theirs(search=lambda queries, documents, k: partial), tmp_path)
    assert (result.scores["ndcg@10"], result.counts["unanswered"]) == (0.5, 1)


def test_a_combination_looks_at_what_its_parts_answer(tmp_path):
    first = Theirs(search=lambda queries, documents, k: run())
    short = Theirs(score=lambda pairs, roles: np.zeros(1))
    with pytest.raises(InvalidScores, match=r"^theirs: score\(\) gave float64 of shape \(1,\)"):
        answered("search", Rerank(CARD, first, 2, short), tmp_path)
    broken = Theirs(search=lambda queries, documents, k: {})
    with pytest.raises(InvalidScores, match=r"^theirs: search\(\) gave a dict"):
        answered("search", Fusion(CARD, (first, broken)), tmp_path)
    with pytest.raises(InvalidScores, match=r"^theirs: search\(\) gave a dict"):
        answered("search", Rerank(CARD, broken, 2, short), tmp_path)


def test_a_fusion_reads_a_run_in_an_order_of_its_own(tmp_path):
    own = Run.from_dict({"q2": {"d3": 2.0, "d1": 1.0}, "q1": {"d2": 2.0}})
    theirs = Theirs(search=lambda queries, documents, k: own)
    fused = Fusion(CARD, (theirs, theirs)).search(SEARCHED.queries, SEARCHED.documents, 3)
    assert [list(docs) for docs in fused.to_dict().values()] == [["d2"], ["d3", "d1"]]


def test_no_pairs_are_no_task():
    with pytest.raises(UsageError, match="a task of 0 pairs"):
        Pairs([], [], [])
