"""Runs, tables and cards go out and read back as they were; others' numbers come in whole or not at all."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import cbor2
import lz4.frame
import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from jbench import Run, results
from jbench.cli import app
from jbench.evaluate import evaluate
from jbench.exchange import frame, kind_of
from jbench.exchange.card import eval_results, hub_id, merge, model_index, write_card
from jbench.exchange.numbers import JMTEB, bring
from jbench.exchange.runs import export_run, write_run
from jbench.exchange.table import write_table
from jbench.models.options import Options
from jbench.models.runfile import runfile
from jbench.published import IMPORTED, cells, imported
from jbench.registry import find_tasks, own_tasks
from jbench.types import InvalidScores, Result, Unavailable, UsageError

TASKS = own_tasks()
ENDINGS = (".trec", ".txt", ".run", ".json", ".lz4", ".parquet")
RUN = Run.from_dict({"q1": {"d1": 0.5, "d2": 0.1, "d3": 0.5}, "q2": {"日本": 1e-9}})


def jbench(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def result(task="jsts@valid1457", **more):
    base = {
        "schema": 1, "task": task, "task_version": 1, "kind": "sts", "model": "org/model", "revision": "abc",
        "adapter": "dense", "main": "spearman", "scores": {"spearman": 0.8125}, "counts": {},
        "definitions": {"spearman": "spearman/average-ranks"}, "data": {"sha256": "ff"}, "prompts": {},
        "settings": {}, "key": "k1", "host": {"versions": {"jbench": "0.1.0"}, "created": "2026-01-02T03:04:05Z"},
    }  # fmt: skip
    return Result(**{**base, **more})


JQARA = result(
    "jqara@test",
    kind="reranking",
    main="ndcg@10",
    scores={"ndcg@10": 0.5, "mrr@10": 0.25},
    definitions={"ndcg@10": "ndcg@10/trec-linear", "mrr@10": "mrr@10/trec"},
    ties={"ndcg@10": (0.25, 0.75)},
    model="cl-nagoya/ruri-small",
)

# Runs


def test_a_trec_run_is_six_fields_a_line_best_first_and_ties_by_falling_id(tmp_path):
    write_run(RUN, tmp_path / "r.trec", "my model")
    assert (tmp_path / "r.trec").read_text("utf-8") == (
        "q1 Q0 d3 1 0.5 my_model\nq1 Q0 d1 2 0.5 my_model\nq1 Q0 d2 3 0.1 my_model\nq2 Q0 日本 1 1e-09 my_model\n"
    )


def test_the_other_formats_are_those_of_ranx(tmp_path):
    plain = {"q1": {"d3": 0.5, "d1": 0.5, "d2": 0.1}, "q2": {"日本": 1e-9}}
    for ending in ENDINGS:
        write_run(RUN, tmp_path / f"r{ending}")
    assert json.loads((tmp_path / "r.json").read_text("utf-8")) == plain
    packed = lz4.frame.decompress(lz4.frame.decompress((tmp_path / "r.lz4").read_bytes()))
    assert cbor2.loads(packed) == plain
    table = pd.read_parquet(tmp_path / "r.parquet")
    assert table.columns.tolist() == ["q_id", "doc_id", "score"]
    assert table.to_numpy().tolist() == [[q, d, s] for q, docs in plain.items() for d, s in docs.items()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # ranx leaves .json open
def test_ranx_reads_what_is_written(tmp_path):
    import ranx

    for ending in (".trec", ".json", ".lz4"):
        write_run(RUN, tmp_path / f"r{ending}")
        theirs = ranx.Run.from_file(str(tmp_path / f"r{ending}")).to_dict()
        assert theirs == {"q1": {"d1": 0.5, "d2": 0.1, "d3": 0.5}, "q2": {"日本": 1e-9}}
    write_run(RUN, tmp_path / "r.parquet")
    table = pd.read_parquet(tmp_path / "r.parquet").astype({"q_id": object, "doc_id": object})
    assert ranx.Run.from_df(table).to_dict() == theirs


@settings(max_examples=60, deadline=None)
@given(
    run=st.dictionaries(
        st.text("abあ-", min_size=1, max_size=3),
        st.dictionaries(
            st.text("xyz京_", min_size=1, max_size=3),
            st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from([0.1, 0.2, -0.0])),
            min_size=1,
            max_size=6,
        ),
        min_size=1,
        max_size=4,
    ),
    ending=st.sampled_from(ENDINGS),
)
def test_a_run_reads_back_to_the_last_bit_so_that_ties_stay_ties(tmp_path_factory, run, ending):
    path = tmp_path_factory.mktemp("run") / f"r{ending}"
    before = Run.from_dict(run)
    write_run(before, path)
    after = runfile(str(path), Options()).run
    assert after.to_dict() == before.to_dict()
    assert [list(docs) for docs in after.to_dict().values()] == [
        list(before.to_dict()[query]) for query in after.to_dict()
    ]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("task", ["mini-rerank", "mini-retrieval"])
def test_an_exported_run_measures_as_its_model(task, ending, tmp_path):
    tasks = find_tasks([task])
    said = []
    export_run("bm25:char-bigram", tasks[0], tmp_path / f"r{ending}", Options(say=said.append))
    model, file = evaluate(["bm25:char-bigram", f"run:{tmp_path / f'r{ending}'}"], tasks, tmp_path / "results")
    assert (file.scores, file.ties) == (model.scores, model.ties)
    assert file.counts["unanswered"] == model.counts["unanswered"]
    assert said == []


@pytest.mark.long
def test_a_real_run_measures_the_same_in_every_format(tmp_path, mirror):
    [file] = mirror.glob("github/hotchpotch/JQaRA/*/evaluator/data/eval_results/runs/ruri-small.lz4")
    tasks = find_tasks(["jqara@test"])
    strings = [f"run:{file}"]
    for ending in (".trec", ".json", ".lz4", ".parquet"):
        export_run(strings[-1], tasks[0] if ending == ".json" else None, tmp_path / f"r{ending}", Options())
        strings.append(f"run:{tmp_path / f'r{ending}'}")
    first, *others = evaluate(strings, tasks, tmp_path / "results")
    assert len(first.ties) == 4
    assert [(one.scores, one.ties) for one in others] == [(first.scores, first.ties)] * 4


def test_importing_a_run_is_running_it(tmp_path):
    write_run(Run.from_dict({"aq01": {"a01": 1.0, "a02": 0.5}}), tmp_path / "r.json")
    done = jbench("import", tmp_path / "r.json", "--task", "mini-qa", "--name", "theirs", "--results", tmp_path / "a")
    assert done.exit_code == 0
    [theirs] = results.read_all([tmp_path / "a"], print)
    [same] = evaluate([f"run:{tmp_path / 'r.json'}"], find_tasks(["mini-qa"]), tmp_path / "b", Options(name="theirs"))
    assert theirs == same
    stray = tmp_path / "stray.trec"
    stray.write_text("aq01 Q0 nowhere 1 1.0 t\n")
    done = jbench("import", stray, "--task", "mini-qa", "--results", tmp_path / "a")
    assert done.exit_code == 3
    assert "ranks document 'nowhere' for query 'aq01', which the task lacks" in done.stderr


def test_a_run_file_is_converted_as_it_stands_or_as_a_task_takes_it(tmp_path):
    (tmp_path / "r.trec").write_text("aq01 Q0 a01 1 0.5 t\nother Q0 b 1 0.25 t\n")
    whole = export_run(f"run:{tmp_path / 'r.trec'}", None, tmp_path / "r.lz4", Options())
    assert whole.to_dict() == runfile(str(tmp_path / "r.lz4"), Options()).run.to_dict()
    assert whole.to_dict() == {"aq01": {"a01": 0.5}, "other": {"b": 0.25}}
    [task] = find_tasks(["mini-qa"])
    taken = export_run(f"run:{tmp_path / 'r.trec'}", task, tmp_path / "r.json", Options())
    assert json.loads((tmp_path / "r.json").read_text()) == taken.to_dict() == {"aq01": {"a01": 0.5}}


def test_ties_that_a_file_cannot_hold_are_said(tmp_path):
    from jbench import Collection, Retrieval

    data = Collection.of({"q1": "米"}, {f"d{i:03}": "米" for i in range(103)}, {"q1": {"d000": 1}})
    task = Retrieval(name="rice", protocol="v1", version=1, load=lambda: data, license="CC0-1.0")
    said = []
    run = export_run("ngram", task, tmp_path / "r.trec", Options(say=said.append))
    assert (len(run), run.beyond.tolist()) == (100, [3])
    assert said[0].startswith("1 of 1 queries have further documents that tie with the last one written")


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        ({"q 1": {"d": 1.0}}, UsageError, "query id 'q 1' is empty or has white space"),
        ({"q": {"": 1.0}}, UsageError, "document id '' is empty or has white space"),
        ({"q": {"d\u3000e": 1.0}}, UsageError, r"document id 'd\\u3000e' is empty or has white space"),
        ({"q": {"d\ud800": 1.0}}, UsageError, "has half a character"),
        ({}, InvalidScores, "there is nothing to write"),
    ],
)
def test_what_a_trec_run_cannot_hold_is_refused_and_no_file_left(run, error, message, tmp_path):
    with pytest.raises(error, match=message):
        write_run(Run.from_dict(run), tmp_path / "r.trec")
    assert list(tmp_path.iterdir()) == []


def test_white_space_in_ids_is_no_matter_elsewhere(tmp_path):
    run = Run.from_dict({"q 1": {"d\n2": 1.0}})
    for ending in (".json", ".lz4", ".parquet"):
        write_run(run, tmp_path / f"r{ending}")
        assert runfile(str(tmp_path / f"r{ending}"), Options()).run.to_dict() == run.to_dict()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ngram", "--task", "mini-sts", "--output", "r.trec"], 2, "mini-sts@v1 has no run"),
        (["ngram", "--task", "jsick@jmteb-v1", "--output", "r.trec"], 2, "jsick@jmteb-v1 has no run"),
        (["ngram", "--task", "esci-ja@jmteb-v1", "--output", "r.trec"], 2, "cannot be run, only published numbers"),
        (["ngram", "--output", "r.trec"], 2, "a run is made for a task: name it with --task ID"),
        (["ngram", "--task", "mini-qa", "--task", "mini-rerank", "--output", "r.lz4"], 2, "give --task once"),
        (["--output", "r.trec"], 2, "r.trec takes a run of one model: name the model"),
        (["ngram", "--output", "r.parquet"], 2, "a run of ngram or a table of its results: say --format run or table"),
        (["ngram", "--output", "r.xlsx"], 2, "unknown ending '.xlsx'; did you mean"),
        (["ngram", "--output", "r.csv", "--format", "run"], 2, "run is written to .trec, .txt, .run"),
        (["ngram", "--output", "r.csv", "--format", "pdf"], 2, "unknown format 'pdf'"),
        (["run:none.trec", "--output", "r.json"], 5, "run file none.trec does not exist"),
        (["nobody", "--output", "r.csv"], 2, "unknown result 'nobody'"),
        (["ngram", "--task", "jqara", "--output", "r.csv"], 2, "there are no results of ngram on jqara@test"),
        (["ngram", "--task", "mini-sts", "--output", "e.yaml"], 2, "no hub id is known for the data of mini-sts@v1"),
        (["--output", "r.csv", "--results", "none"], 5, "results folder none does not exist"),
    ],
)
def test_what_cannot_be_exported_is_one_line(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = jbench("export", *arguments)
    error = done.exception
    assert (error.exit, list(tmp_path.iterdir())) == (code, [])
    assert message in str(error)


def test_what_is_written_follows_from_the_ending():
    kinds = [kind_of(Path(f), None, "m") for f in ("a.run", "a.json", "a.csv", "README.md", ".eval_results/j.yaml")]
    assert kinds == ["run", "run", "table", "model-index", "eval-results"]
    assert kind_of(Path("a.parquet"), None, None) == "table"
    assert kind_of(Path("a.parquet"), "run", "m") == kind_of(Path("a.parquet"), None, "run:a.trec") == "run"


# Tables


def test_a_frame_has_a_row_a_score():
    table = frame([JQARA, result(variant={"max_length": 64})])
    assert table.iloc[0].to_dict() == {
        "model": "cl-nagoya/ruri-small", "revision": "abc", "digest": "", "adapter": "dense", "variant": "",
        "task": "jqara@test", "task_version": 1, "kind": "reranking", "measure": "ndcg@10",
        "definition": "ndcg@10/trec-linear", "value": 0.5, "low": 0.25, "high": 0.75,
        "exposure": "in-domain, train: arXiv 2409.07737, fine-tuning data: JQaRA 13,824, MIRACL 12,800, Mr.TyDi 7,168 "
        "(no split named) (stated)",
        "unprompted": "", "truncated": 0, "data": "ff", "key": "k1", "jbench": "0.1.0",
        "created": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    assert table["measure"].tolist() == ["ndcg@10", "mrr@10", "spearman"]
    assert table["variant"].tolist() == ["", "", '{"max_length":64}']
    assert table["low"].isna().tolist() == [False, True, True]
    assert table["exposure"].tolist()[2] == "unknown: nobody says"
    assert frame([]).columns.tolist() == table.columns.tolist()


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_reads_back(ending, tmp_path):
    table = frame([JQARA, result()])
    write_table(table, tmp_path / f"t{ending}")
    read = pd.read_csv if ending == ".csv" else pd.read_parquet
    back = read(tmp_path / f"t{ending}")
    for column in ("model", "task", "measure", "value", "low", "high", "key", "exposure"):
        pd.testing.assert_series_equal(back[column], table[column], check_dtype=False)


def test_no_cell_of_a_csv_begins_like_a_formula(tmp_path):
    write_table(frame([result(model='=HYPERLINK("x")', revision="@r")]), tmp_path / "t.csv")
    [row] = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    assert (row["model"], row["revision"]) == ('\'=HYPERLINK("x")', "'@r")


def test_the_verb_writes_all_results_or_those_of_one_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert jbench("export", "--output", "all.csv").exit_code == 0
    baselines = {"bm25:char-bigram", "bm25:mecab", "ngram", "dense-mini", "colbert-mini"}
    assert set(pd.read_csv("all.csv")["model"]) == baselines
    done = jbench("export", "ngram", "--task", "mini-sts", "--format", "table", "--output", "one.parquet")
    assert done.stderr == "one.parquet: 1 result\n"
    assert pd.read_parquet("one.parquet")[["model", "measure"]].to_numpy().tolist() == [
        ["ngram", "spearman"],
        ["ngram", "pearson"],
    ]


# Cards

JSTS_ENTRY = """\
  - task:
      type: semantic-similarity
      name: Semantic Similarity
    dataset:
      name: JGLUE/JSTS (jsts@valid1457)
      type: mteb/JSTS
      config: jsts@valid1457.v1
      split: validation
      args:
        jbench: 0.1.0
        key: k1
        model_revision: abc
        data_sha256: ff
        exposure: 'unknown: nobody says'
    metrics:
    - type: spearman
      value: 0.8125
      args:
        definition: spearman/average-ranks
"""


def test_a_new_card_is_front_matter_alone(tmp_path):
    card = write_card(tmp_path / "README.md", [result()], TASKS)
    assert (
        tmp_path / "README.md"
    ).read_text() == f"---\nmodel-index:\n- name: org/model\n  results:\n{JSTS_ENTRY}---\n"
    assert (card.replaced, card.kept) == (0, 0)


def test_the_library_of_the_hub_reads_the_card(tmp_path):
    write_card(tmp_path / "README.md", [result(), JQARA], TASKS)
    data = ModelCard.load(tmp_path / "README.md").data
    assert data.model_name == "org/model"
    one, two, three = data.eval_results
    assert (one.dataset_type, one.dataset_split, one.metric_type, one.metric_value) == (
        *("mteb/JSTS", "validation"),
        *("spearman", 0.8125),
    )
    assert (two.task_type, two.metric_type, two.metric_value) == ("reranking", "ndcg@10", 0.5)
    assert two.metric_args == {"definition": "ndcg@10/trec-linear", "ties": [0.25, 0.75]}
    assert (three.metric_type, three.metric_args) == ("mrr@10", {"definition": "mrr@10/trec"})
    assert two.dataset_args["exposure"].startswith("in-domain, train: ")


def test_two_protocols_stay_two_when_another_tool_saves_the_card(tmp_path):
    both = [result("jsick@test4927"), result("jsick@jmteb-v1", scores={"spearman": 0.75})]
    write_card(tmp_path / "README.md", both, TASKS)
    card = ModelCard.load(tmp_path / "README.md")
    card.save(tmp_path / "README.md")
    found = ModelCard.load(tmp_path / "README.md").data.eval_results
    assert [(one.dataset_name, one.metric_value) for one in found] == [
        ("JSICK (jsick@test4927)", 0.8125),
        ("JSICK (jsick@jmteb-v1)", 0.75),
    ]
    assert write_card(tmp_path / "README.md", both, TASKS).replaced == 2


CARD = """\
---
# who made it
language: no   # stays as it is typed
license: mit
model-index:
- name: Their Name
  results:
  - task: {type: sts, name: STS}
    dataset: {type: d, name: D}
    metrics: [{type: pearson, value: 0.5}]

# a comment of the next key
tags: [a,
  b]
widget:
- text: "x"
---

# Title <b>

---
model-index: in the body
"""


def test_a_card_keeps_all_that_is_not_the_index(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(CARD)
    card = write_card(path, [result()], TASKS)
    assert (card.replaced, card.kept) == (0, 1)
    theirs = """\
  - task:
      type: sts
      name: STS
    dataset:
      type: d
      name: D
    metrics:
    - type: pearson
      value: 0.5
"""
    before, _, rest = CARD.partition("- name: Their Name\n")
    after = rest[rest.index("\n# a comment") :]
    wanted = f"{before}- name: Their Name\n  results:\n{theirs}{JSTS_ENTRY}{after}"
    assert path.read_text() == wanted
    assert write_card(path, [result()], TASKS) == replace(card, replaced=1)
    assert path.read_text() == wanted


def test_a_card_without_an_index_gets_one_at_the_end_of_its_front_matter():
    entries = model_index([result()], TASKS)
    index = f"model-index:\n- name: m\n  results:\n{JSTS_ENTRY}"
    assert merge("---\nlicense: mit\n---\nbody", "m", entries).text == f"---\nlicense: mit\n{index}---\nbody"
    assert merge("---\n# nothing\n---\n", "m", entries).text == f"---\n# nothing\n{index}---\n"
    assert merge("# Title\n", "m", entries).text == f"---\n{index}---\n# Title\n"
    assert merge("---\nmodel-index:\n---\n", "m", entries).text == f"---\n{index}---\n"


def test_line_breaks_and_the_byte_order_mark_stay():
    text = merge("\ufeff---\r\nlicense: mit\r\n---\r\nbody\r\n", "m", model_index([result()], TASKS)).text
    assert text.startswith("\ufeff---\r\nlicense: mit\r\nmodel-index:\r\n- name: m\r\n")
    assert text.endswith("average-ranks\r\n---\r\nbody\r\n")
    assert not re.search("[^\r]\n", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\nlicense: mit\n", "its front matter (---) does not end"),
        ("---\n- a\n---\n", "it is no list of keys and values"),
        ("---\n{license: mit}\n---\n", "it is no list of keys and values"),
        ("---\nlicense: [mit\n---\n", "ParserError"),
        ("---\nx: !!python/object/apply:os.system [ls]\n---\n", "ConstructorError"),
        ("---\nx: !mine 1\n---\n", "ConstructorError"),
        ("---\nmodel-index: 3\n---\n", "model-index is no list of models"),
        ("---\nmodel-index:\n- name: x\n---\n", "model-index is no list of models"),
        ("---\nmodel-index: []\nmodel-index: []\n---\n", "model-index stands twice"),
        ("---\na: &a {b: 1}\nc:\n  <<: *a\n---\n", "it has a merge key"),
        ("---\nmodel-index: &x []\ny: *x\n---\n", "ComposerError"),
        ("---\n  license: mit\n  model-index: []\n---\n", "Error"),
        (f"---\nx: {'[' * 1500}{']' * 1500}\n---\n", "RecursionError"),
        ("---\nx: \x00\n---\n", "ReaderError"),
        ("---\nx: 2024-99-99\n---\n", "month must be in 1..12"),
    ],
)
def test_front_matter_that_is_torn_foreign_or_hostile_is_named_and_left(text, message, tmp_path):
    path = tmp_path / "README.md"
    path.write_bytes(text.encode())
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        write_card(path, [result()], TASKS)
    assert str(error.value).startswith(f"{path}: ")
    assert path.read_bytes() == text.encode()


def test_a_card_that_is_no_text_is_named(tmp_path):
    (tmp_path / "README.md").write_bytes(b"---\n\xff\n---\n")
    with pytest.raises(UsageError, match=r"README\.md: 'utf-8' codec"):
        write_card(tmp_path / "README.md", [result()], TASKS)


def test_a_thousandfold_alias_neither_stops_nor_swells_the_card():
    bomb = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
    text = f"---\na0: &a0 [x]\n{bomb}---\n"
    merged = merge(text, "m", model_index([result()], TASKS)).text
    assert len(merged) < len(text) + 1000


HOSTILE = [
    "x\n---\nlicense: stolen\n---\n",
    "!!python/object/apply:os.system [ls]",
    "*alias",
    "'\"}]",
    "<script>alert(1)</script>|[a](javascript:b)",
    "@\t#: - ? %\u2028\x07",
    "on",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_data(name, tmp_path):
    one = result(model=name, revision=name, key=name, variant={"prompts": {"sts": name}})
    write_card(tmp_path / "README.md", [one], TASKS)
    card = ModelCard.load(tmp_path / "README.md")
    assert (card.text, card.data.model_name) == ("", name)
    assert card.data.eval_results[0].dataset_args["key"] == name
    entries, _ = eval_results([one], TASKS)
    assert yaml.safe_load(yaml.safe_dump(entries)) == entries
    assert name in entries[0]["notes"]
    assert frame([one])["model"].tolist() == [name]
    write_run(RUN, tmp_path / "r.trec", name)
    assert {len(line.split()) for line in (tmp_path / "r.trec").read_text("utf-8").split("\n")} == {0, 6}


def test_eval_results_are_an_entry_a_task_by_its_main_measure(tmp_path, monkeypatch):
    entries, left = eval_results([result(unprompted=["sts"], counts={"truncated": 3}), JQARA, result("x@y")], TASKS)
    assert left == ["x@y"]
    assert yaml.safe_dump(entries[:1], sort_keys=False, width=2000) == (
        "- dataset:\n"
        "    id: mteb/JSTS\n"
        "    task_id: jsts@valid1457\n"
        "  value: 0.8125\n"
        "  date: '2026-01-02T03:04:05Z'\n"
        "  notes: 'spearman (spearman/average-ranks) of jsts@valid1457.v1 as a fraction. measured by jbench 0.1.0, "
        "result k1. model org/model at abc. without the family''s prompt for sts. 3 texts cut to what the model reads. "
        "exposure: unknown: nobody says'\n"
    )
    assert [(one.dataset_id, one.value) for one in parse_eval_result_entries(entries)] == [
        ("mteb/JSTS", 0.8125),
        ("hotchpotch/JQaRA", 0.5),
    ]
    assert "another order of tied documents gives 0.25 to 0.75" in entries[1]["notes"]
    assert "exposure: in-domain, train: arXiv 2409.07737" in entries[1]["notes"]


def test_the_verb_writes_cards_of_one_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("---\nlicense: mit\n---\n# A\n")
    done = jbench("export", "ngram", "--output", "README.md")
    assert done.stderr == "README.md: 8 results in model-index, 0 older replaced, 0 of others kept\n"
    assert (
        "1 result in model-index, 8 older replaced"
        in jbench("export", "ngram", "--task", "mini-qa", "--output", "README.md").stderr
    )
    done = jbench("export", "ngram", "--output", ".eval_results/jbench.yaml")
    assert "mini-qa@v1 is left out: no hub id is known for its data set" in done.stderr
    found = yaml.safe_load(Path(".eval_results/jbench.yaml").read_text())
    assert [one["dataset"]["id"] for one in found] == ["hpprc/jsick", "shunk031/JGLUE", "mteb/JSTS", "mteb/JSTS"]


def test_hub_ids_are_those_of_the_exposure_ledger():
    assert hub_id("JGLUE/JSTS:validation") == "mteb/JSTS"
    assert hub_id("JGLUE/JSQuAD:validation") == "shunk031/JGLUE"
    assert hub_id("MIRACL-ja:dev") == "miracl/miracl"
    assert (hub_id("nothing"), hub_id("")) == ("", "")


# Numbers of others

# docs/results/pkshatech/GLuCoSE-base-ja/summary.json of github.com/sbintuitions/JMTEB v1.3.3, in part
SUMMARY = {
    "Classification": {"amazon_counterfactual_classification": {"macro_f1": 0.8243606275521169}},
    "Reranking": {"esci": {"ndcg@10": 0.9190289767663239}},
    "Retrieval": {"jagovfaqs_22k": {"ndcg@10": 0.6387979415478197}},
    "STS": {"jsick": {"spearman": 0.7496711324072552}, "jsts": {"spearman": 0.824592262812859}},
    "Clustering": {"livedoor_news": {"v_measure_score": 0.49890886040948096}},
    "PairClassification": {"paws_x_ja": {"binary_f1": 0.663883089770355}},
}


PAWS = {"PairClassification": {"paws_x_ja": {"binary_f1": 0.5}}}


def brought(text, tmp_path, name="m", file="summary.json"):
    path = tmp_path / file
    path.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
    return bring(path, name, tmp_path / "results", print)


def test_every_data_set_of_jmteb_v1_has_its_task():
    cited = {
        re.search(r"JMTEB v1\.3\.3, (\w+);", task.citation)[1]: task.name
        for task in TASKS.values()
        if task.protocol == "jmteb-v1"
    }
    assert cited == JMTEB
    assert len(JMTEB) == 16


def test_a_summary_of_jmteb_gives_the_numbers_that_were_published_of_it(tmp_path):
    found = brought(SUMMARY, tmp_path, "pkshatech/GLuCoSE-base-ja")
    published = {cell.place: cell.printed for cell in cells() if cell.origin == "jmteb-v1"}
    assert [cell.printed for cell in found] == [published[cell.place] for cell in found]
    assert len(found) == 7


def test_imported_numbers_are_a_file_of_published_cells_that_says_so(tmp_path):
    brought({"STS": {"jsts": {"spearman": 0.8125}}, **PAWS}, tmp_path, 'my "model", <b>')
    [file] = (tmp_path / "results" / IMPORTED).iterdir()
    assert file.name == "my%20%22model%22%2C%20%3Cb%3E.3fd2489f94d9.csv"
    head, row, _ = file.read_text().splitlines()
    assert f"{head}\n{row}\n" == (
        '"model","task","measure","value","decimals","source","note","task_version"\n'
        '"my ""model"", <b>","jsts@jmteb-v1","spearman","0.8125000","7","imported: summary.json, '
        'sha256 3fd2489f94d9","","1"\n'
    )
    cell, _ = imported([tmp_path / "results"], print)
    assert (cell.model, cell.value, cell.family) == ('my "model", <b>', 0.8125, "imported")


@pytest.mark.parametrize("name", [*HOSTILE, "a\rb", "a\r\nb\x00", "\ufeffx", " "])
def test_a_hostile_name_comes_in_as_it_is(name, tmp_path):
    brought({"STS": {"jsts": {"spearman": 0.8125}}, **PAWS}, tmp_path, name)
    assert {cell.model for cell in imported([tmp_path / "results"], print)} == {name}
    [file] = (tmp_path / "results" / IMPORTED).iterdir()
    assert file.parent == tmp_path / "results" / IMPORTED


def test_the_folders_of_jmteb_name_the_model(tmp_path):
    path = tmp_path / "docs" / "results" / "org" / "name" / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(SUMMARY))
    assert {cell.model for cell in bring(path, None, tmp_path, print)} == {"org/name"}
    with pytest.raises(UsageError, match=r"summary\.json: it does not say whose numbers it holds: give --name NAME"):
        brought(SUMMARY, tmp_path, None)


NAN = '{"STS": {"jsts": {"spearman": NaN}}}'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ({"STS": {"jsts": {"spearman": 82.14}}}, UsageError, "STS/jsts/spearman: value 82.14 with 7 decimals is no fr"),
        ({"STS": {"jsts": {"spearman": -1.5}}}, UsageError, "is no fraction between -1 and 1, such as 0.83"),
        ({"STS": {"jsts": {"spearman": True}}}, UsageError, "STS/jsts/spearman: value True is no number"),
        ({"STS": {"jsts": {"spearman": "high"}}}, UsageError, "STS/jsts/spearman: value 'high'"),
        ({"STS": {"jsts": {"spearman": None}}}, UsageError, "STS/jsts/spearman: value None is no number"),
        ({"STS": {"jsts": {"spearman": {"deep": 1}}}}, UsageError, "STS/jsts/spearman: value {'deep': 1} is no number"),
        (
            {"STS": {"jsts": {"pearson": 0.8}}},
            UsageError,
            "STS/jsts: 'pearson' is not its metric in JMTEB v1, spearman",
        ),
        ({"Retrieval": {"jsts": {"spearman": 0.8}}}, UsageError, "Retrieval/jsts: jsts is not of this kind but sts"),
        ({"STS": {"jsts": 0.8}}, UsageError, "STS/jsts is no object: expected"),
        ({"STS": [0.8]}, UsageError, "STS is no object: expected"),
        ([SUMMARY], UsageError, "it is no object: expected"),
        ({}, UsageError, "it holds no number"),
        ({"STS": {}}, UsageError, "it holds no number"),
        ({"q1": {"d1": 0.5}}, UsageError, "own: d1"),
        ({"STS": {**SUMMARY["STS"], "sib200": {"a": 1}}, "X": {"y": {}}}, UsageError, "one's own: sib200, y"),
        ({"STS": {"jsts": {"main_metric": "cosine_spearman", "main_score": 82.1}}}, UsageError, "'main_metric' is not"),
        ('{"STS": {"jsts": {"spearman": 0.5}}, "STS": {}}', UsageError, "key 'STS' stands twice in one object"),
        ('{"STS": {"jsts": {"spearman": 0.5', UsageError, "it is no JSON"),
        ("[" * 100000, UsageError, "it is no JSON"),
        ("\x00", UsageError, "it is no JSON"),
        (NAN, InvalidScores, "STS/jsts/spearman: value nan is not finite"),
        (NAN.replace("NaN", "-1e999"), InvalidScores, "STS/jsts/spearman: value -inf is not finite"),
        (NAN.replace("NaN", "9" * 5000), UsageError, "it is no JSON"),
        (NAN.replace("NaN", "9" * 400), UsageError, "is no number"),
    ],
)
def test_a_summary_with_anything_amiss_is_named_and_nothing_of_it_taken(text, error, message, tmp_path):
    with pytest.raises(error) as raised:
        brought(text, tmp_path)
    assert message in str(raised.value)
    assert str(raised.value).startswith("summary.json: ")
    assert not (tmp_path / "results").exists()


TABLE = "model,task,measure,value\nm,jsts@valid1457,spearman,0.83\nm,jqara@test,ndcg@10,0.5\n"


def test_a_table_comes_in_as_it_was_printed(tmp_path):
    text = (
        "note,model,task,measure,value,decimals,source\n"
        '"a; b",m,jsts@valid1457,spearman,0.830,,my paper\n'
        ",m,jqara@test,ndcg@10,0.5123456789,,\n"
        ",m,jqara@test,mrr@10,1e-05,4,\n"
    )
    found = brought(text, tmp_path, None, "t.csv")
    assert [(cell.measure, cell.printed, cell.notes) for cell in found] == [
        ("spearman", "0.830", ("a", "b")),
        ("ndcg@10", "0.512346", ()),
        ("mrr@10", "0.0000", ()),
    ]
    mark = found[1].source
    assert re.fullmatch(r"imported: t\.csv, sha256 [0-9a-f]{12}", mark)
    assert found[0].source == f"{mark}: my paper"
    assert imported([tmp_path / "results"], print) == found


def test_a_parquet_table_is_the_same(tmp_path):
    pd.DataFrame({"model": ["m"], "task": ["jsts@valid1457"], "measure": ["spearman"], "value": [0.83]}).to_parquet(
        tmp_path / "t.parquet"
    )
    [cell] = bring(tmp_path / "t.parquet", None, tmp_path / "results", print)
    assert (cell.printed, cell.model) == ("0.830000", "m")


def test_a_table_of_ones_own_comes_back_and_columns_that_are_not_read_are_named(tmp_path):
    write_table(frame([JQARA]), tmp_path / "t.csv")
    said = []
    found = bring(tmp_path / "t.csv", None, tmp_path / "results", said.append)
    assert [(cell.measure, cell.value) for cell in found] == [("ndcg@10", 0.5), ("mrr@10", 0.25)]
    assert said[0].startswith("t.csv: not read: column revision, digest, adapter, variant, kind, definition, low, high")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (TABLE.replace("0.83", "83.0"), UsageError, "row 1: value '83.0' with 6 decimals is no fraction"),
        (TABLE.replace("0.5", ""), UsageError, "row 2: value '' with decimals None is no number"),
        (TABLE.replace("0.5", "nan"), InvalidScores, "row 2: value 'nan' is not finite"),
        (TABLE.replace("0.5", "0_1"), UsageError, "row 2: value '0_1' is no number"),
        (TABLE.replace("jqara@test", "jqara@tset"), UsageError, "row 2: unknown task 'jqara@tset'; did you mean"),
        (TABLE.replace("ndcg@10", "ndcg@7"), UsageError, "row 2: unknown measure of jqara@test 'ndcg@7'"),
        (TABLE.replace("\nm,jq", "\n,jq"), UsageError, "row 2: model and source must not be empty"),
        (TABLE.replace("jqara@test,ndcg@10", "jsts@valid1457,spearman"), UsageError, "has spearman of jsts@valid"),
        (TABLE.replace("value", "score"), UsageError, "it has no column value"),
        (TABLE.replace("measure", "model"), UsageError, "column 'model' stands twice"),
        (TABLE.replace(",0.5", ""), UsageError, "row 2 has 3 fields, not 4"),
        (TABLE + '"open', UsageError, "it is no CSV"),
        ("", UsageError, "it has no column model, task, measure, value"),
        ("model,task,measure,value\n", UsageError, "it holds no number"),
        (TABLE.replace("value", "value,task_version").replace("0.83", "0.83,2").replace("0.5", "0.5,1"), UsageError,
         "row 1: a number under version 2 of jsts@valid1457, which is at 1 here"),
    ],
)  # fmt: skip
def test_a_table_with_anything_amiss_is_named_and_nothing_of_it_taken(text, error, message, tmp_path):
    with pytest.raises(error) as raised:
        brought(text, tmp_path, None, "t.csv")
    assert message in str(raised.value)
    assert str(raised.value).startswith("t.csv: ")
    assert not (tmp_path / "results").exists()


def test_torn_parquet_other_endings_and_absent_files_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"^t\.parquet: it is no parquet file"):
        brought("PAR1", tmp_path, None, "t.parquet")
    with pytest.raises(UsageError, match=r"^r\.trec: numbers come as \.json .* a run file needs --task ID"):
        brought("q Q0 d 1 1 t", tmp_path, None, "r.trec")
    with pytest.raises(UsageError, match="--name does not apply: a table names its models"):
        brought(TABLE, tmp_path, "m", "t.csv")
    with pytest.raises(Unavailable, match=r"cannot read .*none\.csv: No such file"):
        bring(tmp_path / "none.csv", None, tmp_path, print)


def test_the_same_file_may_come_twice_but_another_may_not_contradict_it(tmp_path):
    brought(TABLE, tmp_path, None, "t.csv")
    brought(TABLE, tmp_path, None, "t.csv")
    with pytest.raises(UsageError, match=r"new\.csv: spearman of jsts@valid1457 of m was imported before .imported: t"):
        brought(TABLE.replace("0.83", "0.84"), tmp_path, None, "new.csv")
    assert [cell.value for cell in imported([tmp_path / "results"], print)] == [0.83, 0.5]


def risen(name, monkeypatch):
    """The package after a task went to version 2."""
    monkeypatch.setitem(own_tasks(), name, replace(own_tasks()[name], version=2))


def test_a_number_stays_one_of_the_version_it_was_imported_under(tmp_path, monkeypatch):
    brought(TABLE, tmp_path, None, "t.csv")
    brought({"STS": {"jsts": {"spearman": 0.8125}}, **PAWS}, tmp_path)
    risen("jsts@valid1457", monkeypatch)
    risen("jsts@jmteb-v1", monkeypatch)
    old = {cell.task: cell.version for cell in imported([tmp_path / "results"], print)}
    assert old == {"jsts@valid1457": 1, "jqara@test": 1, "jsts@jmteb-v1": 1, "paws-x-ja@jmteb-v1": 1}
    brought(TABLE.replace("0.83", "0.84").replace("jqara@test,ndcg@10", "jacwir@eval,map@10"), tmp_path, None, "n.csv")
    found = {(cell.task, cell.version): cell.value for cell in imported([tmp_path / "results"], pytest.fail)}
    assert (found["jsts@valid1457", 1], found["jsts@valid1457", 2], found["jacwir@eval", 1]) == (0.83, 0.84, 0.5)


def test_what_was_imported_before_versions_were_kept_is_of_version_1(tmp_path, monkeypatch):
    brought(TABLE, tmp_path, None, "t.csv")
    [file] = (tmp_path / "results" / IMPORTED).iterdir()
    file.write_text(file.read_text().replace(',"task_version"', "").replace(',"1"\n', "\n"))
    risen("jsts@valid1457", monkeypatch)
    assert [(cell.value, cell.version) for cell in imported([tmp_path / "results"], pytest.fail)] == [
        (0.83, 1),
        (0.5, 1),
    ]


def test_a_table_under_the_new_version_comes_in_and_one_under_the_old_does_not(tmp_path, monkeypatch):
    risen("jsts@valid1457", monkeypatch)
    table = TABLE.replace("value", "value,task_version").replace("0.5", "0.5,1")
    assert brought(table.replace("0.83", "0.83,2"), tmp_path, None, "t.csv")[0].version == 2
    with pytest.raises(UsageError, match=r"row 1: a number under version 1 of jsts@valid1457, which is at 2 here"):
        brought(table.replace("0.83", "0.83,1"), tmp_path, None, "old.csv")


def test_what_is_no_import_among_the_imports_is_named_and_left_out(tmp_path):
    brought(TABLE, tmp_path, None, "t.csv")
    folder = tmp_path / "results" / IMPORTED
    [good] = folder.iterdir()
    (folder / "a.csv").write_text("foreign\n")
    (folder / "b.csv").write_bytes(b"\xff\x00")
    (folder / "c.csv").mkdir()
    (folder / "z.csv").write_text(good.read_text().replace("jqara@test", "gone@v1"))
    (folder / "zz.csv").write_text(good.read_text())
    said = []
    assert [cell.value for cell in imported([tmp_path / "results"], said.append)] == [0.83, 0.5]
    for line, wanted in zip(
        sorted(said, key=lambda line: re.search(r"(\w+)\.csv", line)[1]),
        ["a.csv, line 1", "b.csv", "c.csv: it is no regular file", "z.csv, line 3: unknown task", "zz.csv", "zz.csv"],
        strict=True,
    ):
        assert wanted in line


def test_the_verb_imports_what_it_can_and_names_the_rest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(TABLE)
    Path("bad.csv").write_text(TABLE.replace("0.83", "inf"))
    done = jbench("import", "bad.csv", "t.csv", "none.csv")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: bad.csv: row 1: value 'inf' is not finite",
        "t.csv: 2 numbers of 1 model imported into jbench-results, not measured here",
        "error: cannot read none.csv: No such file or directory",
    ]
    assert str(jbench("import", "t.csv", "bad.csv", "--name", "x").exception) == "--name goes with one file"
    assert "name those to measure" in str(jbench("import", "t.csv", "--task-dir", ".").exception)


def test_imported_numbers_are_rows_of_their_own_on_any_board_and_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("model,task,measure,value\n<b>m</b>,mini-sts@v1,spearman,0.83\n")
    jbench("import", "t.csv")
    [row] = [line for line in jbench("board", "mini").stdout.splitlines() if "imported, not" in line]
    assert [cell.strip() for cell in row.split("|")[1:4]] == [
        r"\<b\>m\</b\>",
        "imported, not measured here",
        "**83** ?",
    ]
    text = jbench("board", "mini", "--format", "csv").stdout
    [row] = [one for one in csv.DictReader(text.splitlines()) if one["source"].startswith("imported")]
    assert row["mini-sts@v1 spearman source"].startswith("imported: t.csv, sha256 ")
    shown = json.loads(jbench("board", "mini", "--format", "json").stdout)["rows"]
    assert [one["published"] for one in shown if one["model"] == "<b>m</b>"] == ["imported"]
    Path("jbench-results/imported/bad.csv").write_text("foreign\n")
    assert "bad.csv, line 1: the columns must be" in jbench("board", "mini").stderr


@pytest.mark.parametrize("sets", [("jsts",), ("jsick", "jsts"), ("esci", "jsts", "livedoor_news", "jagovfaqs_22k")])
def test_a_summary_that_fits_two_versions_of_jmteb_is_refused(sets, tmp_path):
    part = {kind: {k: v for k, v in data.items() if k in sets} for kind, data in SUMMARY.items()}
    with pytest.raises(UsageError, match=r"are in JMTEB v1 and in v1\.4 alike \(v1 alone has paws_x_ja"):
        brought(part, tmp_path)
