"""Real data against what others published or compute: BM25's figures, JQaRA's table, mteb's own evaluation."""

import csv

import numpy as np
import pytest

from jbench import Run, Texts, open_model
from jbench.evaluate import evaluate, evaluate_one
from jbench.metrics import measure_run
from jbench.models.options import Options
from jbench.registry import find_tasks
from jbench.task import load
from tests import tiny
from tests.conftest import ROOT
from tests.mteb_rows import mteb_task, rows_of

RUNS = "github/hotchpotch/JQaRA/e2fa20e42e940473d976407494f9d572bbdbf99a/evaluator/data/eval_results/runs"
PUBLISHED = ROOT / "tests" / "data" / "jqara-readme.csv"


@pytest.mark.parametrize(
    ("model", "expected", "tolerance"),
    [
        ("bm25:char-bigram", {"recall@1": 0.912, "recall@5": 0.965, "recall@10": 0.974}, 0.002),
        ("bm25:mecab", {"recall@1": 0.897, "recall@5": 0.967, "recall@10": 0.977}, 0.01),
    ],
)
def test_bm25_on_jsquad(model, expected, tolerance, mirror, tmp_path):
    (result,) = evaluate([model], find_tasks(["jsquad@valid1145"]), tmp_path)
    assert {name: result.scores[name] for name in expected} == pytest.approx(expected, abs=tolerance)


def within(published, measured, measure):
    low, high = measured.ties.get(measure, (measured.scores[measure],) * 2)
    return low - 0.00005 <= published <= high + 0.00005


def published():
    with open(PUBLISHED, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", published(), ids=lambda row: row["run"])
def test_jqaras_published_table_lies_within_the_ties_of_its_run_files(row, mirror, tmp_path):
    path = mirror / RUNS / f"{row['run']}.lz4"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the mirror")
    (task,) = find_tasks(["jqara@test"])
    result = evaluate_one(open_model(f"run:{path}"), task, load(task), tmp_path, Options())
    assert (result.counts["queries"], result.counts["unanswered"]) == (1667, 0)
    for measure in ("ndcg@10", "mrr@10"):
        assert within(float(row[measure]), result, measure)


def test_a_run_full_of_ties_keeps_every_reading_of_it_within_the_interval():
    import ranx

    lines = [line.split() for line in (ROOT / "tests/data/ties.qrels").read_text().splitlines()]
    qrels = {}
    for query, _, document, grade in lines:
        qrels.setdefault(query, {})[document] = int(grade)
    listed = {}
    for query, _, document, _, score, _ in map(str.split, (ROOT / "tests/data/ties.trec").read_text().splitlines()):
        listed.setdefault(query, {})[document] = float(score)
    documents = Texts([f"d{i:02d}" for i in range(12)], [""] * 12)
    run = open_model(f"run:{ROOT / 'tests/data/ties.trec'}").search(
        Texts(list(qrels), [""] * len(qrels)), documents, 12
    )
    measures = ["ndcg@10", "mrr@10", "map@10", "recall@5"]
    measured = measure_run(run, qrels, measures)
    assert measured.ties["ndcg@10"][1] - measured.ties["ndcg@10"][0] > 0.1
    rng = np.random.default_rng(0)
    for _ in range(20):
        # ranx breaks ties by the order in which documents arrive
        shuffled = {q: dict(rng.permutation(list(docs.items())).tolist()) for q, docs in listed.items()}
        theirs = ranx.evaluate(
            ranx.Qrels(qrels),
            ranx.Run({q: {d: float(s) for d, s in docs.items()} for q, docs in shuffled.items()}),
            measures,
        )
        assert [m for m in measures if not within(theirs[m], measured, m)] == []
    assert measured.scores == measure_run(Run.from_dict(listed), qrels, measures).scores


@pytest.fixture
def random_bert(mirror, tmp_path):
    """A BERT with random weights and a vocabulary of the tasks' own, saved by sentence-transformers."""
    data = [task.data() for task in find_tasks(["jsts@valid1457", "jsick@test4927"])]
    corpus = [text for pairs in data for text in (*pairs.left, *pairs.right)]
    bare = tiny.bert_folder(tmp_path / "bare", corpus=corpus, vocabulary=5000, hidden=64)
    return tiny.sentence_transformer(tmp_path / "random-bert", bare, pooling_mode="mean")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", ["jsts@valid1457", "jsick@test4927", "jsquad@valid1145"])
def test_a_random_bert_scores_as_mteb_says(task, mirror, random_bert, tmp_path):
    import mteb
    from sentence_transformers import SentenceTransformer

    (ours,) = find_tasks([task])
    data = ours.data()
    mine = evaluate_one(open_model(str(random_bert)), ours, load(ours), tmp_path, Options())
    model = SentenceTransformer(str(random_bert), device="cpu")
    theirs = mteb.evaluate(
        model, mteb_task(f"Rows{ours.name}", rows_of(data)), cache=None, encode_kwargs={"batch_size": 64}
    )
    (scores,) = theirs.task_results[0].scores["test"]
    print(task, mine.scores[mine.main], scores["main_score"])
    assert mine.scores[mine.main] == pytest.approx(scores["main_score"], abs=1e-4)


def test_rerank_over_every_paragraph_equals_scoring_every_pair(mirror, bare_unigram, tmp_path):
    folder = tiny.cross_encoder(tmp_path / "ce", bare_unigram)
    data = find_tasks(["jsquad@valid1145"])[0].data()
    queries = Texts(data.queries.ids[:2], data.queries.texts[:2])
    options = Options(settings={"max_length": "32"})
    run = open_model(f"rerank(bm25:char-bigram, 1145, {folder})", options).search(queries, data.documents, 1145)
    pairs = [(query, text) for query in queries.texts for text in data.documents.texts]
    scores = open_model(str(folder), options).score(pairs, ("query", "document")).reshape(2, 1145)
    for i, row in enumerate(scores):
        assert dict(run.rows(i)) == dict(zip(data.documents.ids, row.tolist(), strict=True))
        assert [s for _, s in run.rows(i)] == sorted(row.tolist(), reverse=True)
