"""Run files as people write them: their numbers are ranked as they are, and nothing in them is lost."""

import gzip
import json
import math

import numpy as np
import pytest

from jbench import Run, open_model
from jbench.exchange.runs import write_run
from jbench.metrics import measure_run
from jbench.models.options import Options
from jbench.registry import find_tasks
from jbench.task import load
from jbench.types import InvalidScores, UsageError

ROWS = "q1 Q0 d1 1 0.9 tag\nq1 Q0 d2 2 0.5 tag\n"
RUN = {"q1": {"d1": 0.9, "d2": 0.5}}


def parquet(path, **columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)


def lz4(path, run):
    import cbor2
    import lz4.frame

    path.write_bytes(lz4.frame.compress(lz4.frame.compress(run if isinstance(run, bytes) else cbor2.dumps(run))))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.trec", "# made by hand\n" + ROWS),
        ("a.run", "#\n\n" + ROWS.replace("tag", "tag with words behind it")),
        ("a.txt", ROWS.replace("\n", "\r\n")),
        ("A.JSON", json.dumps(RUN)),
        ("a.Json", json.dumps(RUN)),
    ],
)
def test_a_run_file_is_read_as_others_read_it(name, text, tmp_path):
    (tmp_path / name).write_text(text, newline="")
    assert open_model(f"run:{tmp_path / name}").run.to_dict() == RUN


@pytest.mark.parametrize(("name", "text"), [("a.trec.gz", ROWS), ("a.gz", ROWS), ("a.json.GZ", json.dumps(RUN))])
def test_text_may_be_gzipped(name, text, tmp_path):
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    model = open_model(f"run:{tmp_path / name}")
    assert (model.card.model, model.run.to_dict()) == ("a", RUN)


def test_a_query_id_that_begins_with_a_number_sign_is_no_comment(tmp_path):
    (tmp_path / "a.trec").write_text("#1 Q0 d1 1 0.9 tag\n")
    assert open_model(f"run:{tmp_path / 'a.trec'}").run.to_dict() == {"#1": {"d1": 0.9}}


def test_integer_ids_are_their_decimal_digits(tmp_path):
    parquet(tmp_path / "a.parquet", q_id=[7, 7], doc_id=[100, 20], score=[0.9, 0.5])
    lz4(tmp_path / "a.lz4", {7: {100: 0.9, 20: 0.5}})
    for name in ("a.parquet", "a.lz4"):
        assert open_model(f"run:{tmp_path / name}").run.to_dict() == {"7": {"100": 0.9, "20": 0.5}}


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([1.0, 2.0], "q_id of row 1 is 1.0, a float: ids are strings, or whole numbers"),
        (["q1", None], "q_id of row 2 is missing"),
        ([b"q1", b"q2"], "q_id of row 1 is b'q1', a bytes"),
        ([True, False], "q_id of row 1 is True, a bool"),
    ],
)
def test_an_id_that_is_none_is_named_with_its_row(ids, says, tmp_path):
    parquet(tmp_path / "a.parquet", q_id=ids, doc_id=["d1", "d2"], score=[0.9, 0.5])
    with pytest.raises(UsageError, match=says):
        open_model(f"run:{tmp_path / 'a.parquet'}")


def test_an_id_of_cbor_that_is_none_is_named(tmp_path):
    lz4(tmp_path / "a.lz4", {None: {"d1": 0.9}})
    with pytest.raises(UsageError, match="a query id is missing"):
        open_model(f"run:{tmp_path / 'a.lz4'}")


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("a.trec", lambda p: p.write_text("# x\n" + ROWS + "q1 Q0 d1 3 0.1 t\n"), "query 'q1', in lines 2 and 4"),
        ("a.json", lambda p: p.write_text('{"q1": {"d1": 1, "d1": 2}}'), "'d1' is given twice in one object"),
        ("a.json", lambda p: p.write_text('{"q1": {"d1": 1}, "q1": {"d2": 2}}'), "'q1' is given twice in one object"),
        ("a.lz4", lambda p: lz4(p, b"\xa1\x62q1\xa2\x61a\xf9\x3c\x00\x61a\xf9\x40\x00"), "an id is given twice"),
        ("a.lz4", lambda p: lz4(p, {7: {"d": 1.0}, "7": {"d": 1.0}}), "'7' is given twice in one object"),
        (
            "a.parquet",
            lambda p: parquet(p, q_id=["q"] * 3, doc_id=["d", "e", "d"], score=[3.0, 2.0, 1.0]),
            "document 'd' is ranked twice for query 'q', in lines 1 and 3",
        ),
    ],
)
def test_what_is_given_twice_is_named(name, write, says, tmp_path):
    write(tmp_path / name)
    with pytest.raises(InvalidScores, match=says):
        open_model(f"run:{tmp_path / name}")


def test_white_space_in_an_id_is_not_taken_for_the_next_field(tmp_path):
    (tmp_path / "a.trec").write_text("q1 Q0 doc 1 1 0.9 tag\n")
    with pytest.raises(UsageError, match=r"line 1: 7 fields, of which 1 and 0\.9 could be the score"):
        open_model(f"run:{tmp_path / 'a.trec'}")


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ((1, 2, 3), 0),
        ((3, 2, 1), 1),
        ((2, 1, 3), 1),
        ((0, 0, 0), 0),  # some write no ranks
        (("-", "-", "-"), 0),
    ],
)
def test_a_rank_column_that_contradicts_the_scores_is_said(ranks, said, tmp_path):
    rows = zip("abc", ranks, (0.9, 0.5, 0.1), strict=True)
    (tmp_path / "a.trec").write_text("".join(f"q1 Q0 {d} {rank} {score} t\n" for d, rank, score in rows))
    messages = []
    open_model(f"run:{tmp_path / 'a.trec'}", Options(say=messages.append))
    assert sum("the rank column contradicts the scores in 1 of 1 queries" in m for m in messages) == said


def test_a_long_id_does_not_cost_its_length_for_each_row(tmp_path):
    import tracemalloc

    rows = [f"q{q} Q0 d{d} {d} {-d} t\n" for q in range(100) for d in range(100)]
    (tmp_path / "a.trec").write_text("".join(rows) + f"q0 Q0 {'u' * 20_000} 101 -101 t\n")
    tracemalloc.start()
    open_model(f"run:{tmp_path / 'a.trec'}")
    assert tracemalloc.get_traced_memory()[1] < 20 << 20  # of a table of fixed width, 800 MB
    tracemalloc.stop()


# One ranking in five writings and four formats.

WRITINGS = {
    "scaled": lambda s: 1000 * s,
    "shifted": lambda s: s + 1e5,
    "sigmoid": lambda s: 1 / (1 + math.exp(-s)),
    "tiny": lambda s: s * 1e-50,
    "huge": lambda s: s * 1e300,
}
FORMATS = ("trec", "json", "lz4", "parquet")


def doubles(data):
    """A seeded ranking of all documents whose scores differ in the ninth decimal, too close for float32."""
    rng = np.random.default_rng(0)
    return {
        query: {d: 5 + 1e-9 * int(place) for d, place in zip(data.documents.ids, rng.permutation(1000), strict=False)}
        for query in data.queries.ids
    }


def ndcg(run, qrels, k=10):
    """nDCG in plain Python, for a run without ties."""
    total = 0.0
    for query, judged in qrels.items():
        best = sorted(run[query], key=run[query].get, reverse=True)[:k]
        gain = sum(judged.get(d, 0) / math.log2(2 + place) for place, d in enumerate(best))
        ideal = sorted((grade for grade in judged.values() if grade > 0), reverse=True)[:k]
        total += gain / sum(grade / math.log2(2 + place) for place, grade in enumerate(ideal))
    return total / len(qrels)


@pytest.fixture(scope="module")
def mini():
    return find_tasks(["mini-retrieval@v1"])[0]


def test_one_ranking_has_one_figure_in_every_writing_and_format(mini, tmp_path):
    from ranx import Qrels, evaluate
    from ranx import Run as RanxRun

    data = load(mini).data
    plain = doubles(data)
    figures, fused = set(), set()
    for writing, change in WRITINGS.items():
        run = {query: {d: change(score) for d, score in docs.items()} for query, docs in plain.items()}
        assert all(len(set(docs.values())) == len(data.documents) for docs in run.values())
        assert all(len(set(map(np.float32, docs.values()))) < 10 for docs in run.values() if writing != "huge")
        for ending in FORMATS:
            path = tmp_path / f"{writing}.{ending}"
            write_run(Run.from_dict(run), path)
            for string, found in ((f"run:{path}", figures), (f"rrf(run:{path}, bm25:mecab)", fused)):
                measured = measure_run(mini.predict(open_model(string), data), data.qrels, mini.measures)
                found.add((measured.scores["ndcg@10"], *measured.ties.get("ndcg@10", ())))
    assert len(figures) == len(fused) == 1
    (figure,), (with_bm25, *_) = figures.pop(), fused.pop()
    qrels = {query: dict(judged) for query, judged in data.qrels.items()}
    assert figure == pytest.approx(ndcg(plain, qrels), abs=1e-12)
    assert figure == pytest.approx(evaluate(Qrels(qrels), RanxRun(plain), "ndcg@10"), abs=1e-9)
    assert (figure, with_bm25) == pytest.approx((0.070408798, 0.229270892), abs=1e-9)
