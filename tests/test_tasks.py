"""Every task keeps its contract; the embedded one holds what its card says."""

import collections
import inspect
import json
import re
import sys
from pathlib import Path

import pytest

import jbench
from jbench import QA, STS, Collection, Pairs, Reranking, Retrieval, open_model
from jbench.evaluate import evaluate, evaluate_one
from jbench.models.options import Options
from jbench.registry import PUBLISHED, Board, Column, all_tasks, board_tasks, find_tasks, own_tasks
from jbench.task import load
from jbench.types import Unavailable, UsageError

EMBEDDED = [t for t in own_tasks().values() if t.group == "embedded"]
REAL = [t for t in own_tasks().values() if t.group not in ("embedded", PUBLISHED)]
NUMBERS = [t for t in own_tasks().values() if t.group == PUBLISHED]
ASSETS = Path(jbench.__file__).parent / "assets"


def ids(tasks):
    return [t.id for t in tasks]


def read(name):
    return [json.loads(line) for line in (ASSETS / "mini" / f"{name}.jsonl").read_text("utf-8").splitlines()]


def check(task):
    loaded = load(task)
    data = loaded.data
    assert isinstance(data, Pairs if task.kind == "sts" else Collection)
    assert task.expects.items() <= data.counts.items()
    assert data.counts["empty"] == 0
    assert loaded.sources
    assert task.group == "hub" or all(source.sha256 for source in loaded.sources)
    assert task.license
    if task.cluster:
        assert all(task.cluster(q) for q in data.queries.ids)
    return data


@pytest.mark.parametrize("task", EMBEDDED, ids=ids(EMBEDDED))
def test_an_embedded_task_loads_without_mirror_or_network(task, no_network):
    check(task)


@pytest.mark.parametrize("task", REAL, ids=ids(REAL))
def test_a_real_task_loads_as_it_promises(task, mirror, no_network, monkeypatch):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    try:
        check(task)
    except Unavailable as error:
        if task.group != "hub" or "is not at hand" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("task", REAL, ids=ids(REAL))
def test_a_real_task_without_its_data_says_how_to_get_it(task, monkeypatch, no_network):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    with pytest.raises(Unavailable, match=r"is not at hand .* put it at \$JBENCH_MIRROR/(github|hub)/") as caught:
        load(task)
    assert f"`jbench fetch --task {task.id}`" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", REAL, ids=ids(REAL))
def test_a_task_is_one_short_file(task):
    lines = Path(inspect.getsourcefile(task.load)).read_text("utf-8").split("\n")
    sha256s = [line for line in lines if re.fullmatch(r'\s*"[0-9a-f]{64}",', line)]
    assert len(lines) - len(sha256s) < 80


def test_jsquad_asks_of_the_paragraph_that_its_id_names(mirror):
    task = own_tasks()["jsquad@valid1145"]
    data = task.data()
    assert data.queries.ids[0] == "a10336p0q0"
    assert data.qrels["a10336p0q0"] == {"a10336p0": 1}
    assert dict(zip(data.documents.ids, data.documents.texts, strict=True))["a10336p0"].startswith("梅雨 [SEP] 梅雨（")
    bare = own_tasks()["jsquad@valid1145-nohead"].data()
    assert bare.documents.texts[0].startswith("梅雨（つゆ、ばいう）は")
    assert task.cluster("a10336p0q0") == "a10336p0"


def test_jqara_ranks_a_hundred_candidates_for_each_question(mirror, monkeypatch):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    data = own_tasks()["jqara@test"].data()
    assert {len(docs) for docs in data.candidates.values()} == {100}
    if (mirror / "hub" / "hotchpotch" / "JQaRA").is_dir():
        pytest.skip("the texts are at hand")
    with pytest.raises(Unavailable, match=r"put it at \$JBENCH_MIRROR/hub/.*`jbench fetch --task jqara@test`"):
        own_tasks()["jqara@test"].predict(open_model("ngram"), data)


@pytest.mark.parametrize("task", NUMBERS, ids=ids(NUMBERS))
def test_a_protocol_of_which_only_numbers_exist_says_so(task, tmp_path):
    (failure,) = evaluate(["ngram"], find_tasks([task.id]), tmp_path)
    assert failure.exit == 2
    assert f"{task.id} cannot be run, only published numbers exist: " in failure.error
    assert "\n" not in failure.error
    assert task.sources
    assert task.citation


def test_a_board_may_show_a_protocol_of_which_only_numbers_exist():
    columns = tuple(Column(task=t.id, version=t.version, measure=t.main) for t in (*NUMBERS, EMBEDDED[0]))
    board = Board(name="x", version=1, title="x", status="draft", columns=columns)
    board.check()
    assert board_tasks(board) == [EMBEDDED[0]]
    with pytest.raises(UsageError, match=r"board x\.v1 cannot be run: of each of its tasks only published numbers"):
        board_tasks(board.model_copy(update={"columns": columns[:-1]}))


def test_a_name_stands_for_its_only_protocol_that_can_be_run():
    assert [t.id for t in find_tasks(["jqara", "jacwir", "jaqket@mteb"])] == [
        "jqara@test",
        "jacwir@eval",
        "jaqket@mteb",
    ]
    with pytest.raises(UsageError, match=r"several protocols: jsick@test4927, jsick@simcse-dev4500, jsick@mteb$"):
        find_tasks(["jsick"])
    with pytest.raises(UsageError, match=r"several protocols: jaqket@jmteb-v1, jaqket@mteb$"):
        find_tasks(["jaqket"])


ROW = """
[[tasks]]
id = "x@y"
kind = "sts"
measures = ["spearman"]
sources = ["X:test"]
citation = "a table"
because = "the data is gone"
"""


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROW + "colour = 'red'\n", r"tasks published\.toml: tasks\.0\.colour: Extra inputs"),
        (ROW.replace('"sts"', '"summarization"'), r"published\.toml: tasks\.0\.kind: Input should be 'sts'"),
        (ROW.replace('"sts"', '"clustering"'), "measure 'spearman' does not fit the kind clustering"),
        (ROW.replace("spearman", "v_measure"), "unknown measure 'v_measure'"),
        (ROW.replace("x@y", "x"), r"published\.toml: tasks\.0\.id: String should match"),
        (ROW.replace("because", "why"), r"published\.toml: tasks\.0\."),
        (ROW.replace("spearman", "ndcg@10"), "measure 'ndcg@10' does not fit the kind sts"),
        (ROW + ROW, "task x@y exists already"),
        ("[[tasks", "published.toml: "),
        (b"\xff\xfe", r"tasks published\.toml: 'utf-8' codec can't decode"),
    ],
)
def test_a_slip_among_published_protocols_is_named(rows, says, tmp_path):
    (tmp_path / "published.toml").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    with pytest.raises(UsageError, match=says):
        find_tasks(["x@y"], [tmp_path])
    (tmp_path / "published.toml").write_text(ROW)
    assert find_tasks(["x@y"], [tmp_path])[0].group == PUBLISHED


def collection(qrels):
    return Collection.of(dict.fromkeys(qrels, "問"), {"a": "一", "b": "二"}, qrels)


COMMON = {"name": "x", "protocol": "y", "version": 1, "license": "CC0-1.0"}


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (QA(load=lambda: collection({"q": {"a": 1, "b": 1}}), **COMMON), "'q' has more than one gold passage"),
        (
            Retrieval(load=lambda: collection({"q": {"a": 1}}), expects={"queries": 2}, **COMMON),
            "expected 2 queries, loaded 1",
        ),
        (STS(load=lambda: collection({"q": {"a": 1}}), **COMMON), "gave Collection, not Pairs"),
    ],
)
def test_data_that_is_not_what_was_promised_is_refused(task, says):
    with pytest.raises(UsageError, match=f"x@y: .*{says}"):
        task.data()


def test_a_task_with_an_unknown_measure_cannot_be_made():
    with pytest.raises(UsageError, match="did you mean"):
        STS(load=lambda: None, measures=("spearmn",), main="spearmn", **COMMON)
    with pytest.raises(UsageError, match="main measure 'ndcg@10' is not among"):
        Retrieval(load=lambda: None, measures=("map@10",), **COMMON)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "1"}, "version '1' must be a whole number"),
        ({"protocol": ""}, "name and protocol are letters"),
        ({"name": "a@b"}, "name and protocol are letters"),
        ({"expects": {"querys": 2}}, "unknown count .* 'querys'; did you mean queries"),
    ],
)
def test_a_task_with_a_slip_in_it_cannot_be_made(change, says):
    with pytest.raises(UsageError, match=says):
        QA(load=lambda: None, **{**COMMON, **change})


@pytest.mark.parametrize(
    ("queries", "documents", "qrels", "says"),
    [
        ({1: "a"}, {"d": "x"}, {1: {"d": 1}}, "query id '1' is a int, not a string"),
        ({"q": "a"}, {"d": None}, {"q": {"d": 1}}, "text of document 'd' is a NoneType, not a string"),
        ({"q": "a"}, {"d": "x"}, {"q": {"d": 0.5}}, "query 'q' has grade 0.5; grades are whole numbers"),
        ({"q": "a"}, {"d": "x"}, {"q": {"d": "1"}}, "query 'q' has grade '1'"),
        ({"q": "a"}, {"d": "x"}, {"q": ["d"]}, "judgements of query 'q' must be {document: grade}"),
        (["a"], {"d": "x"}, {"q": {"d": 1}}, "queries must be a dictionary, not list"),
    ],
)
def test_data_of_another_type_is_named(queries, documents, qrels, says):
    with pytest.raises(UsageError, match=says.replace("{", r"\{")):
        Collection.of(queries, documents, qrels)


@pytest.mark.parametrize(
    ("left", "gold", "says"), [([1], [1.0], "left text of pair '1' is a int"), (["a"], ["1"], "gold '1' is no number")]
)
def test_pairs_of_another_type_are_named(left, gold, says):
    with pytest.raises(UsageError, match=says):
        Pairs(left, ["b"], gold)


def test_a_measure_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="measure 'ndcg@10' does not fit the kind sts"):
        STS(load=lambda: None, measures=("ndcg@10",), main="ndcg@10", **COMMON)
    with pytest.raises(UsageError, match="measure 'spearman' does not fit the kind qa"):
        QA(load=lambda: None, measures=("spearman",), main="spearman", **COMMON)


def test_reranking_without_candidates_is_refused():
    task = Reranking(load=lambda: collection({"q": {"a": 1}}), **COMMON)
    with pytest.raises(UsageError, match="no candidates"):
        task.predict(open_model("ngram"), task.data())


def test_a_model_without_the_verb_does_not_apply(tmp_path):
    (tmp_path / "r.trec").write_text("q Q0 a 1 1.0 t\n")
    task = STS(load=lambda: Pairs(["a"], ["b"], [1]), **COMMON)
    with pytest.raises(UsageError, match=r"scores no sentence pairs, so x@y does not apply"):
        task.predict(open_model(f"run:{tmp_path / 'r.trec'}"), task.data())


def test_mini_pairs_cover_the_whole_scale():
    gold = [row["gold"] for row in read("sts")]
    assert len(gold) >= 150
    assert min(collections.Counter(min(int(g), 4) for g in gold).values()) >= 20
    assert (min(gold), max(gold)) == (0, 5)


def test_mini_passages_and_questions_are_of_the_promised_size():
    assert len(read("passages")) == 200
    assert all(80 <= len(row["text"]) <= 300 for row in read("passages"))
    assert len(read("questions")) >= 80
    assert len(read("needs")) == 80
    data = own_tasks()["mini-rerank@v1"].data()
    assert len(data.queries) == 60
    assert {len(docs) for docs in data.candidates.values()} == {15}


def test_mini_texts_follow_no_template():
    texts = [
        row["text"]
        for name in ("passages", "questions", "needs", "rerank-texts", "rerank-queries")
        for row in read(name)
    ]
    texts += [row[side] for row in read("sts") for side in ("left", "right")]
    assert len(set(texts)) == len(texts)
    seen = collections.Counter(g for t in texts for g in {t[i : i + 15] for i in range(len(t) - 14)})
    assert max(seen.values()) <= 5


def test_two_readers_of_mini_agree_as_its_card_says():
    from scipy.stats import spearmanr

    readings = {row["id"]: (row["first"], row["second"]) for row in read("readings")}
    grades = [readings[row["id"]] for row in read("sts")]
    assert [sum(pair) / 2 for pair in grades] == [row["gold"] for row in read("sts")]
    assert spearmanr(*zip(*grades, strict=True)).statistic == pytest.approx(0.979, abs=0.0005)
    assert max(abs(first - second) for first, second in grades) < 1.5
    asked = [*read("questions"), *read("needs")]
    assert (len(asked), sum(readings[row["id"]][0] == readings[row["id"]][1] for row in asked)) == (192, 190)
    ranked = read("rerank-queries")
    assert (len(ranked), sum(readings[row["id"]][0] == readings[row["id"]][1] for row in ranked)) == (60, 60)
    held = {row["id"]: sorted(row.get("relevant") or [row["passage"]]) for row in [*asked, *ranked]}
    assert all(held[name] == readings[name][1] for name in held)


@pytest.mark.parametrize("model", ["bm25:char-bigram", "bm25:mecab"])
@pytest.mark.parametrize("task", [t for t in EMBEDDED if t.kind != "sts"], ids=lambda t: t.id)
def test_mini_leaves_bm25_room_on_both_sides(model, task, tmp_path):
    result = evaluate_one(open_model(model), task, load(task), tmp_path, Options())
    assert 0.4 <= result.scores[result.main] <= 0.9


HELPED = """
from _common import NAME
from jbench import STS, Pairs
TASKS = [STS(name=NAME, protocol="v1", version=1, load=lambda: Pairs(["a"], ["b"], [1.0]), license="CC0-1.0")]
"""


def test_a_file_that_begins_with_an_underscore_is_a_helper_of_its_folder(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "_common.py").write_text(f"NAME = {name!r}")
        (tmp_path / name / "mine.py").write_text(HELPED)
    found = all_tasks([tmp_path / "one", tmp_path / "two"])
    assert {"one@v1", "two@v1"} <= set(found)
    assert "_common" not in sys.modules
    assert str(tmp_path / "one") not in sys.path


def test_a_helper_without_the_underscore_is_told_of_it(tmp_path):
    (tmp_path / "common.py").write_text("NAME = 1")
    with pytest.raises(UsageError, match=r"has no list TASKS of jbench tasks \(a helper's name begins with _\)"):
        all_tasks([tmp_path])


def test_the_rows_of_jmteb_are_the_end_of_a_shuffle_of_all_of_jsick(mirror):
    (task,) = find_tasks(["jsick@mteb"])
    rows = list(zip(task.data().left, task.data().right, task.data().gold, strict=True))
    assert rows[0] == ("その人はヌードルを煮ている", "ある人がヌードルを煮ている", 5.0)
    assert rows[-1] == ("豆腐が女性に薄切りにされていない", "女の子がバターを二つに切っている", 2.0)
    assert task.sources == ("JSICK:test", "JSICK:train", "JSICK:trial")
