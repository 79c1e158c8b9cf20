"""A library that reads or computes otherwise fails here; a result that was read otherwise is told apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from jbench import canary, open_model, results
from jbench.cli import app
from jbench.evaluate import evaluate
from jbench.models.locate import shipped
from jbench.registry import own_tasks
from tests import canary as made
from tests.test_layouts import LAYOUTS

KEPT = json.loads(made.FILE.read_text("utf-8"))
HINT = "python -m tests.canary writes the file anew, where this is meant"


def test_every_layout_and_shipped_model_is_kept():
    assert [*shipped(), *map(made.name_of, made.scored(LAYOUTS))] == [*KEPT], HINT


@pytest.mark.parametrize("layout", made.scored(LAYOUTS), ids=made.name_of)
def test_each_layout_reads_and_computes_as_it_did(layout, tmp_path):
    same(made.of_layout(layout, tmp_path / "checkpoint"), KEPT[made.name_of(layout)])


@pytest.mark.parametrize("name", shipped())
def test_each_shipped_model_reads_and_computes_as_it_did(name):
    same(made.of_shipped(name), KEPT[name])


def same(now, then):
    assert now["ids"] == then["ids"], HINT
    assert len(now["values"]) == len(then["values"])
    for row, kept in zip(now["values"], then["values"], strict=True):
        np.testing.assert_allclose(row, kept, atol=1e-4, rtol=0, err_msg=HINT)


def test_the_texts_of_the_canary_are_these():
    told = canary.digest([list(text.encode()) for text in canary.TEXTS])
    assert told == "1-699ecc769bd8994f"  # texts that change want a new REVISION


@pytest.fixture
def scored(tmp_path):
    """One result of a shipped model, in a folder."""
    (result,) = evaluate(["dense-mini"], [own_tasks()["mini-sts@v1"]], tmp_path)
    (path,) = tmp_path.rglob("*.json")
    return path, result


def elsewhere(path):
    """The result as another environment would have made it."""
    result = results.read(path)
    host = {**result.host, "canary": "1-0123456789abcdef", "versions": {"transformers": "5.17.0"}}
    path.write_bytes(results.to_json(replace(result, host=host)))


def test_a_result_keeps_the_digest_of_its_ids_outside_its_key(scored):
    path, result = scored
    model = open_model("dense-mini")
    ids = model.weights.module.tokenizer(list(canary.TEXTS))["input_ids"]
    assert result.host["canary"] == model.card.canary == canary.digest(ids)
    elsewhere(path)
    assert results.read(path).key == result.key


def test_a_combination_keeps_those_of_its_parts(tmp_path):
    (result,) = evaluate(["rerank(bm25:mecab, 5, dense-mini)"], [own_tasks()["mini-qa@v1"]], tmp_path)
    assert result.host["canary"] == open_model("dense-mini").card.canary


@pytest.mark.parametrize(
    "command",
    [
        ["run", "dense-mini", "--task", "mini-sts@v1"],
        ["board", "mini"],
        ["compare", "dense-mini", "ngram", "--task", "mini-sts@v1"],
    ],
    ids=lambda command: command[0],
)
def test_a_result_of_other_tokens_is_said(command, scored, tmp_path):
    path, _ = scored
    list(evaluate(["ngram"], [own_tasks()["mini-sts@v1"]], tmp_path))
    line = "its texts become other tokens here than where its results were made"
    again = [*command, "--results", str(tmp_path)]
    assert line not in CliRunner().invoke(app, again).stderr
    elsewhere(path)
    said = CliRunner().invoke(app, again)
    assert said.exit_code == 0
    assert said.stderr.count(line) == 1
    assert "here, 5.17.0 there); --overwrite computes them again" in " ".join(said.stderr.split())


def test_a_result_without_a_canary_or_of_other_texts_says_nothing(scored):
    _, result = scored
    for host in ({}, {"canary": ""}, {"canary": "0-0123456789abcdef"}):
        assert canary.otherwise(replace(result, host=host)) == ""
    assert canary.otherwise(replace(result, model="never/seen", host={"canary": "1-0123456789abcdef"})) == ""
