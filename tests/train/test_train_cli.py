"""``jbench train`` as it is typed."""

import json

import pytest
from typer.testing import CliRunner

from jbench.cli import app
from jbench.train.needs import opened
from jbench.train.recipes import RECIPES, changed, find_recipe
from jbench.types import UsageError

ROWS = [
    {"query": f"問い{i}", "positive": f"答え{i}", "negatives": [f"違う{i}", f"別の{i}"], "scores": [9.0, 1.0, -1.0]}
    for i in range(8)
]


def jbench(*arguments):
    return CliRunner().invoke(app, ["train", *arguments])


@pytest.fixture
def mined(tmp_path):
    path = tmp_path / "mined.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")
    return path


def test_without_a_recipe_all_are_listed():
    found = json.loads(jbench("--json").stdout)
    assert [row["recipe"] for row in found] == list(RECIPES)
    assert found[1] == {"recipe": "simcse-sup", "base": "cl-tohoku/bert-base-japanese-v3", "data": "JSNLI"}


def test_print_shows_each_value_with_its_source_and_what_others_say():
    lines = jbench("jacolbert", "--print").stdout.splitlines()
    row = next(line for line in lines if line.startswith("query_length"))
    assert row.split("  ")[0] == "query_length"
    assert "32" in row
    assert "artifact.metadata: query_maxlen" in row
    assert "64 (JaColBERT report)" in row


def test_print_as_json_has_what_was_changed_by_whom():
    found = json.loads(jbench("simcse-sup", "--print", "--json", "--set", "steps=9", "--data", "janli").stdout)
    rows = {row["key"]: row for row in found}
    assert (rows["steps"]["value"], rows["steps"]["source"]) == (9, "--set")
    assert (rows["data"]["value"], rows["data"]["source"]) == (["janli"], "--data")
    assert rows["data"]["others"] == [{"value": ["JSNLI"], "source": "simple-simcse-ja train.sh"}]


def test_what_is_trained_is_evaluated_and_its_results_tell_what_it_was_trained_on(mined, bare_bert, tmp_path):
    settings = ("steps=2", "batch_size=4", "warm_up=0", "evaluations=0", "max_length=16")
    chosen = [word for each in settings for word in ("--set", each)]
    out = tmp_path / "out"
    done = jbench("simcse-sup", "--output", str(out), "--base", str(bare_bert), "--data", str(mined), *chosen, "--json")
    assert [row["step"] for row in json.loads(done.stdout) if "loss" in row] == [1, 2]
    evaluated = CliRunner().invoke(
        app, ["run", str(out), "--task", "mini-sts@v1", "--json", "--results", str(tmp_path / "results")]
    )
    result = json.loads(evaluated.stdout)[0]
    assert (result["model"], result["adapter"]) == ("out", "dense")
    assert {"name": "mined", "evidence": "training_manifest.json", "confidence": "read"} in result["training"][
        "datasets"
    ]
    assert result["training"]["base_model"] == ["bare-bert"]


def test_without_a_place_for_the_checkpoint_nothing_is_trained():
    assert "--output names the folder" in str(jbench("simcse-sup").exception)


@pytest.mark.parametrize(
    ("name", "settings", "columns"),
    [
        ("simcse-sup", {}, ["query", "positive", "negative_1"]),
        ("ruri-base", {"hard_negatives": "2"}, ["query", "positive", "negative_1", "negative_2", "scores"]),
        ("ruri-pt-base", {}, ["query", "positive", "negative_1"]),
        ("jacolbert-v2.5", {"ways": "3"}, ["query", "positive", "negative_1", "negative_2", "scores"]),
        ("ruri-reranker-stage2-base", {"hard_negatives": "2"}, ["query", "positive", "negative_1", "negative_2"]),
    ],
)
def test_a_recipe_reads_as_many_negatives_as_it_needs_and_scores_where_it_distils(name, settings, columns, mined):
    recipe = changed(find_recipe(name), {**settings, "data": (str(mined),)})
    assert opened(recipe)[0].rows.column_names == columns


def test_rows_without_scores_are_no_data_for_a_distilled_colbert(tmp_path, mined):
    bare = tmp_path / "bare.jsonl"
    bare.write_text(mined.read_text("utf-8").replace("scores", "ignored"), "utf-8")
    with pytest.raises(UsageError, match="has no scores"):
        opened(changed(find_recipe("jacolbert-v2.5"), {"ways": "3", "data": (str(bare),)}))
