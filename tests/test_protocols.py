"""The protocols on data of the hub: fields, joins, pools, order, seeds, on small folders of the hub's layout.

What a protocol's own code does is written out here a second time, the long way, and compared.
"""

import random
from dataclasses import replace

import numpy as np
import pytest

from jbench import Texts, open_model
from jbench import hub as hub_file
from jbench.arrow import Column
from jbench.cache import cache_root, file_sha256
from jbench.deferred import Deferred
from jbench.evaluate import evaluate, evaluate_one
from jbench.metrics import measure_run
from jbench.models.options import Options
from jbench.registry import find_tasks, own_tasks
from jbench.task import fetch, load
from jbench.types import Card, Run, Unavailable, UsageError
from tests.hub import Hub, trec, tsv, write

HUB = [t for t in own_tasks().values() if t.group.startswith("hub")]


def texts(data):
    return dict(zip(data.documents.ids, data.documents.texts, strict=True))


def passages(count, seed):
    """Wikipedia-like rows; about one text in six occurs twice, under another title."""
    rng = random.Random(seed)
    rows = [{"docid": f"{i // 3}#{i % 3}", "title": f"題{i // 3}", "text": f"本文{i}、雨。"} for i in range(count)]
    for row in rng.sample(rows, count // 6):
        row["text"] = rng.choice(rows)["text"]
    return rows


@pytest.fixture
def hub(tmp_path, monkeypatch, no_network):
    return Hub(tmp_path / "mirror", monkeypatch)


@pytest.fixture
def miracl(hub):
    """560 passages in 14 files, three topics; judgements name negatives before positives."""
    rng = random.Random(1)
    corpus = passages(560, 0)
    corpus[5]["title"] = ""
    topics = {"0": "“ダン” の 本文1は どこ", "3": "本文24は誰ですか？", "12": "どこ\u2028題3"}
    ids = [row["docid"] for row in corpus]
    qrels = {q: {d: int(i in (1, 3)) for i, d in enumerate(rng.sample(ids, 8))} for q in topics}
    qrels["3"] = {corpus[5]["docid"]: 1, **qrels["3"]}
    mined = {q: {"docids": rng.sample(ids, 400), "indices": list(range(400))} for q in topics}
    early = next(d for d, grade in qrels["0"].items() if grade)
    mined["0"]["docids"] = [d for d in mined["0"]["docids"] if d != early]
    mined["0"]["docids"].insert(250, early)
    files = [corpus[i * 40 : (i + 1) * 40] for i in range(14)]
    hub.put("miracl-ja@dev-full", TOPICS=tsv(topics), QRELS=trec(qrels), DOCS=files, MINED=mined)
    return corpus, topics, qrels, mined


@pytest.fixture
def mrtydi(hub):
    corpus = passages(300, 3)
    topics = {"4631": "本文3は どこで", "4632": "主演は誰", "4633": "雨。アミノ酸は"}
    qrels = {q: {row["docid"]: 1 for row in random.Random(int(q)).sample(corpus, 2)} for q in topics}
    hub.put("mrtydi-ja@test-full", TOPICS=tsv(topics), QRELS=trec(qrels), DOCS=corpus)
    hub.set("mrtydi-ja@test-full", SAMPLED=50)
    return corpus, topics, qrels


@pytest.fixture
def jacwir(hub):
    pages = [{"doc_id": f"p{i}", "title": f"頁{i}", "description": f"説明{i}"} for i in range(250)]
    rng = random.Random(5)
    asked = [rng.sample([page["doc_id"] for page in pages], 100) for _ in range(3)]
    queries = [{"query": f"問{d[0]}", "positive": d[0], "negatives": d[1:]} for d in asked]
    hub.put("jacwir@eval", QUERIES=queries, PAGES=pages)
    return queries, pages


@pytest.fixture
def jqara(hub):
    """Two questions with five candidates each, one passage shared."""
    qrels = {"QA-2": {"30": 1, "31": 1}, "QA-1": {"7": 1}}
    lists = {
        "QA-1": {"7": 0.1, "8": 0.3, "9": 0.2, "30": 0.5, "11": 0.4},
        "QA-2": dict.fromkeys(["30", "31", "8"], 1.0),
    }
    rows = [
        {"q_id": q, "question": f"問い{q}", "passage_row_id": d, "title": f"題{d}", "text": f"文{d}", "label": 1}
        for q, docs in lists.items()
        for d in docs
    ]
    hub.put("jqara@test", QRELS=trec(qrels), LISTS=lists)
    return hub, qrels, lists, rows


STAND_INS = {"miracl-ja": "miracl", "mrtydi-ja": "mrtydi", "jacwir": "jacwir", "jqara": "jqara"}


@pytest.mark.parametrize("task", HUB, ids=lambda t: t.id)
def test_a_stand_in_is_loaded_but_not_taken_for_the_data(task, request, tmp_path):
    request.getfixturevalue(STAND_INS[task.name])
    data = task.load()
    assert len(data.queries)
    assert task.main in task.measures
    with pytest.raises(UsageError, match=rf"^{task.id}: expected \d+ (queries|documents|relevant), loaded \d+$"):
        load(task)
    (failure,) = evaluate(["ngram"], [task], tmp_path)
    assert (failure.exit, "\n" in failure.error) == (2, False)


def test_miracl_with_the_pool_of_the_jacolbert_report(miracl):
    corpus, topics, qrels, mined = miracl
    text = {row["docid"]: row["text"] for row in corpus}
    contexts, place = [], {}

    def add(passage):
        if passage not in place:
            place[passage] = len(contexts)
            contexts.append(passage)

    related = {}
    for q in topics:
        for grade in (1, 0):
            for d in [d for d, g in qrels[q].items() if g == grade]:
                add(text[d])
        related[q] = {place[text[d]] for d, g in qrels[q].items() if g}
    wanted = {d for found in mined.values() for d in found["docids"][:200]}
    for row in corpus:
        if row["docid"] in wanted:
            add(row["text"])

    data = own_tasks()["miracl-ja@jacolbert156722"].load()
    at = {d: i for i, d in enumerate(data.documents.ids)}
    assert list(data.documents.texts) == contexts
    assert {q: {at[d] for d in docs} for q, docs in data.qrels.items()} == related
    assert dict(zip(data.queries.ids, data.queries.texts, strict=True)) == topics
    assert all(text[d] == passage for d, passage in texts(data).items())
    assert 200 < len(contexts) < len(set(wanted)) + 30


def test_miracl_with_the_pools_of_japaneseembeddingeval(miracl):
    corpus, topics, qrels, mined = miracl
    full = {row["docid"]: row["title"] + " " + row["text"] for row in corpus}
    data = own_tasks()["miracl-ja@jee-pool300"].load()
    for q in topics:
        positive = [d for d, grade in qrels[q].items() if grade]
        expected = positive + [d for d in mined[q]["docids"][:300] if d not in positive]
        assert list(data.candidates[q]) == expected
        assert data.qrels[q] == dict.fromkeys(positive, 1)
    assert len(data.candidates["0"]) < 300 + sum(qrels["0"].values())
    assert texts(data) == {d: full[d] for d in data.documents.ids}


def test_recall_at_30_over_the_pools_counts_hits_over_all_relevant(miracl):
    """As JapaneseEmbeddingEval sums it, on the scores of a stub."""
    (task,) = find_tasks(["miracl-ja@jee-pool300"])
    data = task.load()
    rng = np.random.default_rng(0)
    run = {q: {d: float(rng.random()) for d in docs} for q, docs in data.candidates.items()}
    hits = sum(len(set(sorted(docs, key=docs.get, reverse=True)[:30]) & set(data.qrels[q])) for q, docs in run.items())
    measured = measure_run(Run.from_dict(run), data.qrels, task.measures)
    assert measured.scores[task.main] == pytest.approx(hits / sum(map(len, data.qrels.values())))


def test_miracl_whole_is_joined_as_mteb_joins(miracl):
    corpus, _, qrels, _ = miracl
    data = own_tasks()["miracl-ja@dev-full"].load()
    joined = [f"{r['title']} {r['text']}".strip() if r["title"] else r["text"].strip() for r in corpus]
    assert list(data.documents.ids) == [row["docid"] for row in corpus]
    assert list(data.documents.texts) == joined
    assert joined[5] == corpus[5]["text"]
    assert data.qrels == qrels


def test_mrtydi_draws_the_sample_of_the_jacolbert_report(mrtydi):
    corpus, topics, qrels = mrtydi
    text = {row["docid"]: row["text"] for row in corpus}
    random.seed(42)
    drawn = set(random.sample([row["docid"] for row in corpus], 50))
    positives = [text[d] for q in topics for d in qrels[q]]
    expected = list(dict.fromkeys([*positives, *(row["text"] for row in corpus if row["docid"] in drawn)]))

    data = own_tasks()["mrtydi-ja@rand100k-seed42"].load()
    assert list(data.documents.texts) == expected
    assert {q: {texts(data)[d] for d in docs} for q, docs in data.qrels.items()} == {
        q: {text[d] for d in docs} for q, docs in qrels.items()
    }


def test_mrtydi_whole_is_title_and_text(mrtydi):
    corpus, topics, qrels = mrtydi
    data = own_tasks()["mrtydi-ja@test-full"].load()
    assert texts(data) == {row["docid"]: f"{row['title']} {row['text']}" for row in corpus}
    assert dict(zip(data.queries.ids, data.queries.texts, strict=True)) == topics
    assert data.qrels == qrels


@pytest.mark.parametrize("task", ["miracl-ja@dev-full", "mrtydi-ja@test-full"])
def test_a_whole_corpus_stays_on_disk(task, miracl, mrtydi):
    from datasets.table import MemoryMappedTable

    data = own_tasks()[task].load()
    assert type(data.documents.ids) is type(data.documents.texts) is Column
    names = own_tasks()[task].load.__globals__
    files = names["DOCS"] if isinstance(names["DOCS"], list) else [names["DOCS"]]
    assert isinstance(names["rows"](files, "docid", "title", "text").table, MemoryMappedTable)


def test_jacwir_ranks_one_page_among_a_hundred(jacwir):
    queries, pages = jacwir
    data = own_tasks()["jacwir@eval"].load()
    assert texts(data) == {page["doc_id"]: f"{page['title']} {page['description']}" for page in pages}
    for row in queries:
        name = f"q_id##{row['positive']}"
        assert data.qrels[name] == {row["positive"]: 1}
        assert set(data.candidates[name]) == {row["positive"], *row["negatives"]}
        assert len(data.candidates[name]) == 100
        assert dict(zip(data.queries.ids, data.queries.texts, strict=True))[name] == row["query"]


class Recorder:
    """Keeps the pairs that it was asked to score."""

    card = Card("recorder", "1", "stub")

    def __init__(self):
        self.pairs = []

    def score(self, pairs, roles):
        self.pairs += pairs
        return np.arange(len(pairs), dtype=np.float32)

    def report(self):
        return {}


def test_jqara_reads_question_and_title_with_text(jqara):
    hub, _, lists, rows = jqara
    hub.put("jqara@test", TEXTS=rows)
    task, model = own_tasks()["jqara@test"], Recorder()
    task.predict(model, task.load())
    wanted = {(f"問い{q}", f"題{d} 文{d}") for q, docs in lists.items() for d in docs}
    assert set(model.pairs) == wanted
    assert len(model.pairs) == len(wanted)


def test_a_run_file_is_the_same_whether_or_not_the_texts_are_at_hand(jqara, tmp_path):
    hub, _, lists, rows = jqara
    (tmp_path / "r.trec").write_text(
        "".join(f"{q} Q0 {d} 1 {score} t\n" for q, docs in lists.items() for d, score in docs.items())
    )
    task = replace(own_tasks()["jqara@test"], expects={})
    run = open_model(f"run:{tmp_path / 'r.trec'}")
    without = evaluate_one(run, task, load(task), tmp_path / "a", Options())
    hub.put("jqara@test", TEXTS=rows)
    loaded = load(task)
    read = evaluate_one(Recorder(), task, loaded, tmp_path / "b", Options())
    beside = evaluate_one(run, task, loaded, tmp_path / "b", Options())
    assert without == beside
    assert without.data["pinned"] is True
    assert "texts" not in without.data
    assert not [name for name in without.data["sources"] if name.startswith("hub:")]
    assert read.data["pinned"] is False
    assert read.data["sources"][-1] == "hub:hotchpotch/JQaRA@6172542/data/test-00000-of-00001.parquet"
    assert len(read.data["texts"]) == 64


def test_a_result_says_which_texts_the_model_read_and_is_found_again(jqara, tmp_path):
    hub, _, _, rows = jqara
    hub.put("jqara@test", TEXTS=rows)
    task = replace(own_tasks()["jqara@test"], expects={})
    model = Recorder()
    first = evaluate_one(model, task, load(task), tmp_path, Options())
    again = evaluate_one(model, task, load(task), tmp_path, Options())
    assert again.host["stored"]
    assert len(model.pairs) == 8
    source = own_tasks()["jqara@test"].load.__globals__["TEXTS"]
    changed = write(hub.root, replace(source, revision="f" * 40), [{**row, "text": "別"} for row in rows])
    hub.set("jqara@test", TEXTS=changed)
    other = evaluate_one(model, task, load(task), tmp_path, Options())
    assert other.key != first.key
    assert other.data["texts"] != first.data["texts"]


def test_a_result_is_not_that_of_other_texts(jqara, tmp_path):
    """The same file of the same commit, first broken, then whole: two computations."""
    hub, _, _, rows = jqara
    hub.put("jqara@test", TEXTS=[{**row, "text": "別"} for row in rows])
    task, said, model = replace(own_tasks()["jqara@test"], expects={}), [], Recorder()
    first = evaluate_one(model, task, load(task), tmp_path, Options())
    (cache_root() / "jbench.lock").unlink()
    hub.put("jqara@test", TEXTS=rows)
    other = evaluate_one(model, task, load(task), tmp_path, Options(say=said.append))
    assert said == ["recorder on jqara@test: the stored result has another key; computed again"]
    assert len(model.pairs) == 16
    assert (first.key != other.key, first.data["sha256"] == other.data["sha256"]) == (True, True)
    source = task.load.__globals__["TEXTS"]
    assert other.data["texts"] == file_sha256(source.path())


def test_a_run_file_is_found_again_where_the_texts_are_not_and_a_model_asks_for_them(jqara, tmp_path):
    hub, _, lists, rows = jqara
    (tmp_path / "r.trec").write_text(
        "".join(f"{q} Q0 {d} 1 {s} t\n" for q, docs in lists.items() for d, s in docs.items())
    )
    run, model = open_model(f"run:{tmp_path / 'r.trec'}"), Recorder()
    hub.put("jqara@test", TEXTS=rows)
    task = replace(own_tasks()["jqara@test"], expects={})
    for one in (run, model):
        evaluate_one(one, task, load(task), tmp_path, Options())
    task.load.__globals__["TEXTS"].path().unlink()
    assert evaluate_one(run, task, load(task), tmp_path, Options()).host["stored"]
    with pytest.raises(Unavailable, match="jbench fetch --task jqara@test"):
        evaluate_one(model, task, load(task), tmp_path, Options())


KEEPING = """
import hashlib
from functools import cache
from jbench import Collection, Deferred, Retrieval, Texts, hub, local

LOOSE = hub("org/set", "main", "x.jsonl")
PINNED = local(PIN, hashlib.sha256(b"pin").hexdigest())
IDS = ["a", "b"]

@cache
def table():
    return {r["id"]: r["text"] for r in LOOSE.jsonl()}

def load():
    PINNED.text()
    return Collection.of({"q": "雨"}, table(), {"q": {"a": 1}})

def later():
    PINNED.text()
    return Collection(Texts(["q"], ["雨"]), Texts(IDS, Deferred(IDS, LOOSE, read)), {"q": {"a": 1}})

def read():
    print("NOISE")
    return table()

TASKS = [Retrieval(name=name, protocol="x", version=1, load=load, license="CC0-1.0", measures=("ndcg@10",))
         for name, load in (("one", load), ("two", load), ("three", later), ("four", later))]
"""


def test_what_a_task_file_keeps_between_its_tasks_hides_no_source(hub, tmp_path, capsys):
    write(hub.root, hub_file("org/set", "main", "x.jsonl"), [{"id": "a", "text": "雨"}, {"id": "b", "text": "傘"}])
    (tmp_path / "pin").write_text("pin")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "x.py").write_text(KEEPING.replace("local(PIN", f"local({str(tmp_path / 'pin')!r}"))
    tasks = find_tasks([f"{name}@x" for name in ("one", "two", "three", "four")], [tmp_path / "tasks"])
    for result in evaluate(["bm25:char-bigram"], tasks, tmp_path / "results"):
        assert (result.data["pinned"], result.data["sources"]) == (False, ["local:pin", "hub:org/set@main/x.jsonl"])
    captured = capsys.readouterr()
    assert (captured.out, "NOISE" in captured.err) == ("", True)


@pytest.mark.parametrize(
    ("found", "says"),
    [({"a": None, "b": "二"}, "the text of 'a' is a NoneType, not a string"), ({"a": "一"}, "has no text of 'b'")],
)
def test_deferred_texts_that_are_none_are_named(found, says, hub):
    file = hub_file("org/set", "main", "x.jsonl")
    write(hub.root, file, [])
    with pytest.raises(UsageError, match=rf"hub:org/set@main/x\.jsonl.*{says}"):
        Deferred(["a", "b"], file, lambda: found).read()


@pytest.mark.parametrize(
    "mined",
    ["<html>", [], {"error": "not found"}, {"0": {"docids": []}, "3": {"docids": []}}, {"0": [], "3": [], "12": []}],
)
@pytest.mark.parametrize("task", ["miracl-ja@jacolbert156722", "miracl-ja@jee-pool300"])
def test_hard_negatives_of_another_shape_are_one_line(task, mined, miracl, hub):
    hub.put(task, MINED=mined)
    with pytest.raises(Unavailable, match=r"miracl_hard_negs_1000\.json cannot be read as each query's hard negatives"):
        own_tasks()[task].load()


@pytest.mark.parametrize("source", ["TOPICS", "QRELS"])
def test_topics_that_are_a_page_are_one_line(source, mrtydi, hub):
    hub.put("mrtydi-ja@test-full", **{source: "<!doctype html>\n<p>Not found\n"})
    with pytest.raises(Unavailable, match=r"mrtydi.* cannot be read as (topics|judgements) \(line "):
        own_tasks()["mrtydi-ja@test-full"].load()


def test_texts_that_the_file_lacks_are_named(jqara):
    hub, _, _, rows = jqara
    hub.put("jqara@test", TEXTS=[row for row in rows if row["passage_row_id"] != "31"])
    task = own_tasks()["jqara@test"]
    with pytest.raises(UsageError, match=r"test-00000-of-00001\.parquet has no text of '31'"):
        task.predict(open_model("ngram"), task.load())


def test_texts_are_read_once_and_only_when_asked_for(jqara):
    hub, _, _, rows = jqara
    task = own_tasks()["jqara@test"]
    data = task.load()
    with pytest.raises(Unavailable, match="jbench fetch --task jqara@test"):
        task.predict(Recorder(), data)
    hub.put("jqara@test", TEXTS=rows)
    assert isinstance(data.documents.texts, Deferred)
    assert data.counts == {"queries": 2, "documents": 6, "relevant": 3, "empty": 0}
    reads = []
    source = task.load.__globals__["TEXTS"]
    deferred = Deferred(["a", "b"], source, lambda: reads.append(1) or {"a": "一", "b": "二"})
    assert (len(deferred), reads) == (2, [])
    assert (list(deferred), deferred[1], deferred[:1], len(reads)) == (["一", "二"], "二", ["一"], 1)
    assert source.revision in deferred.origin


def test_fetching_a_task_reads_its_texts_too(jqara):
    hub, _, _, rows = jqara
    task = replace(own_tasks()["jqara@test"], expects={})
    with pytest.raises(Unavailable, match="jbench fetch"):
        fetch(task)
    hub.put("jqara@test", TEXTS=rows)
    assert [source.file.rsplit("/", 1)[-1] for source in fetch(task)] == [
        "qrels.trec",
        "random.lz4",
        "test-00000-of-00001.parquet",
    ]


@pytest.mark.parametrize(
    ("task", "pinned"),
    [
        ("miracl-ja@jacolbert156722", False),
        ("miracl-ja@jee-pool300", False),
        ("miracl-ja@dev-full", True),
        ("mrtydi-ja@rand100k-seed42", False),
        ("mrtydi-ja@test-full", False),
        ("jacwir@eval", False),
    ],
)
def test_a_model_runs_on_a_protocol_from_end_to_end(task, pinned, miracl, mrtydi, jacwir, tmp_path):
    task = replace(own_tasks()[task], expects={})
    (result,) = evaluate(["bm25:char-bigram"], [task], tmp_path)
    assert result.data["pinned"] is pinned
    assert result.scores.keys() == set(task.measures)
    (again,) = evaluate(["bm25:char-bigram"], [task], tmp_path)
    assert again.host["stored"]
    assert again == result


@pytest.mark.parametrize(
    ("task", "queries", "relevant", "judged"),
    [("miracl-ja@dev-full", 860, 1790, 8354), ("mrtydi-ja@test-full", 720, 923, 923)],
)
def test_topics_and_judgements_are_those_of_the_papers(task, queries, relevant, judged, mirror, no_network):
    names = own_tasks()[task].load.__globals__
    topics, qrels = names["TOPICS"].topics(), names["QRELS"].qrels()
    assert len(topics) == queries
    assert topics.keys() == qrels.keys()
    assert sum(map(len, qrels.values())) == judged
    assert sum(grade for docs in qrels.values() for grade in docs.values()) == relevant
    assert {grade for docs in qrels.values() for grade in docs.values()} <= {0, 1}


def test_real_topics_over_a_stand_in_of_their_corpus(mirror, hub, monkeypatch, tmp_path):
    """Every judged passage has a row: the counts of jee-pool300 are met by the real judgements."""
    (hub.root / "github").mkdir()
    (hub.root / "github" / "castorini").symlink_to(mirror / "github" / "castorini")
    task = own_tasks()["miracl-ja@jee-pool300"]
    qrels = task.load.__globals__["QRELS"].qrels()
    ids = list(dict.fromkeys(d for judged in qrels.values() for d in judged))
    rows = [{"docid": d, "title": "題", "text": f"本文{d}"} for d in ids]
    mined = {q: {"docids": ids[i : i + 301], "indices": []} for i, q in enumerate(qrels)}
    hub.put(task.id, DOCS=[rows[i::14] for i in range(14)], MINED=mined)
    data = load(task).data
    assert data.counts["queries"] == 860
    assert data.counts["relevant"] == 1790
    assert all(set(data.qrels[q]) <= set(docs) for q, docs in data.candidates.items())
    pool = own_tasks()["miracl-ja@jacolbert156722"].load()
    assert set(pool.documents.ids) == set(ids)
    assert isinstance(pool.documents, Texts)
