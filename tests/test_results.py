"""Results of strangers are read with care, and the project's own are what their values give."""

import json
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jbench import resample, results
from jbench.metrics import parse
from jbench.registry import own_tasks
from jbench.types import Card, Unavailable
from tests.conftest import ROOT

OWN = ROOT / "leaderboards" / "results"
COMMITTED = sorted(OWN.glob("*/*/*.json"))


@pytest.fixture
def stored(tmp_path):
    """A result of the project's own, alone in a results folder."""
    (path,) = OWN.glob("ngram/*/mini-sts*.json")
    copy = tmp_path / "r" / path.relative_to(OWN)
    copy.parent.mkdir(parents=True)
    for file in (path, path.with_suffix(".values.parquet")):
        (copy.parent / file.name).write_bytes(file.read_bytes())
    return copy


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"variant": {"prompts": "x"}}, "variant.prompts: must be an object of texts"),
        ({"variant": {"prompts": None}}, "variant.prompts: must be an object of texts"),
        ({"variant": {"prompts": {"query": 1}}}, "variant.prompts: must be an object of texts"),
        ({"settings": {"a": nested(99)}}, "it is nested more than 100 deep"),
        ({"host": {"a": nested(300)}}, "it is nested more than 100 deep"),
        ({"main": "a\nb"}, "its scores are not fractions, or lack a b"),
        ({"a\nb": 1}, "a b: Unexpected keyword argument"),
    ],
)
def test_what_no_board_could_show_is_refused_in_one_line(change, says, stored):
    stored.write_text(json.dumps({**json.loads(stored.read_text()), **change}))
    with pytest.raises(Unavailable) as error:
        results.read(stored)
    assert str(error.value) == f"{stored} is not a result: {says}"


def test_prompts_and_settings_that_can_be_shown_are_kept(stored):
    change = {"variant": {"prompts": {"query": "検索: "}}, "settings": {"a": nested(98)}}
    stored.write_text(json.dumps({**json.loads(stored.read_text()), **change}))
    assert results.read(stored).variant == {"prompts": {"query": "検索: "}}


def test_what_cannot_be_read_below_a_results_folder_is_named_and_the_rest_is_found(stored, tmp_path):
    root = tmp_path / "r"
    (root / "shut").symlink_to("shut")
    (root / "m").mkdir()
    (root / "m" / "shut").symlink_to("shut")
    os.mkfifo(stored.parent / "pipe.json")
    (stored.parent / "folder.json").mkdir()
    (stored.parent / "notes.txt").write_text("no result")
    said = []
    assert list(results.located([root, root / "nowhere"], said.append)) == [stored]
    shut = "Too many levels of symbolic links; left out"
    assert sorted(said) == sorted([
        f"cannot read {root}/shut: {shut}",
        f"cannot read {root}/m/shut: {shut}",
        f"cannot read {stored.parent}/pipe.json: it is no regular file; left out",
        f"cannot read {stored.parent}/folder.json: it is no regular file; left out",
    ])  # fmt: skip


def test_values_that_may_not_be_read_are_named(stored, monkeypatch):
    def forbid(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(results, "file_sha256", forbid)
    with pytest.raises(Unavailable, match=r"cannot read .*\.values\.parquet: Permission denied"):
        resample.beside(stored, results.read(stored))


FINE = {"item": ["1", "2", "3"], "gold": [1.0, 2.0, 3.0], "predicted": [0.1, 0.2, 0.3]}


def values_of(stored, columns):
    """The values of a result beside which ``columns`` were written, by its own account."""
    beside = stored.with_suffix(".values.parquet")
    pq.write_table(pa.table(columns), beside)
    result = results.read(stored)
    return resample.read(stored, replace(result, host={"values": results.file_sha256(beside)}))


def test_values_are_numbers_of_items(stored):
    found = values_of(stored, {**FINE, "cluster": ["a", "b", "a"], "extra": [1, 2, 3]})
    assert (found.items, found.units, found.unit.tolist()) == (("1", "2", "3"), 2, [0, 1, 0])
    assert found.columns["extra"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gold": [[1.0], [2.0], [3.0]]}, "cannot be read"),
        ({"gold": [[1.0, 2.0], [], [3.0]]}, "cannot be read"),
        ({"extra": [{"a": 1}, {"a": 2}, {"a": 3}]}, "cannot be read"),
        ({"extra": pa.array([2**53] * 3, pa.timestamp("ms"))}, "cannot be read"),
        ({"extra": ["a", "b", "c"]}, "cannot be read"),
        ({"item": [["1"], ["2"], ["3"]]}, "cannot be read"),
        ({"cluster": [["a"], ["b"], ["a", "b"]]}, "cannot be read"),
        ({"gold": [1.0, 2.0, None]}, "is not a finite number"),
        ({"gold": [1.0, 2.0, np.inf]}, "is not a finite number"),
        ({"gold": [1e308, 2.0, 1e308]}, "is not a finite number of 32 bits"),
    ],
)
def test_values_of_another_form_are_refused(change, says, stored):
    with pytest.raises(Unavailable, match=says):
        values_of(stored, {**FINE, **change})


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_figure_of_a_baseline_follows_from_its_values(path):
    result = results.read(path)
    task = own_tasks()[result.task]
    assert (result.task_version, result.main) == (task.version, task.main)
    assert set(result.scores) == set(task.measures)
    assert result.definitions == {measure: parse(measure).definition for measure in task.measures}
    values = resample.read(path, result)  # whose sha256 the result keeps
    for measure in result.scores:
        resample.score_of(values, measure)  # refuses another score than the values give
        low, high = result.ties.get(measure, (-1, 1))
        assert low <= result.scores[measure] <= high


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_key_and_place_of_a_baseline_are_those_of_what_it_says(path):
    result = results.read(path)
    task = own_tasks()[result.task]
    card = Card(
        result.model, result.revision, result.adapter, prompts=result.prompts, settings=result.settings,
        variant=result.variant,
    )  # fmt: skip
    assert results.key_of(card, task, result.data["sha256"], result.data.get("texts", "")) == result.key
    assert results.path_of(OWN, card, task) == path


def test_a_changed_digit_that_no_board_shows_is_found(stored):
    text = json.loads(stored.read_text())
    (hidden,) = set(text["scores"]) - {text["main"]}
    text["scores"][hidden] += 1e-4
    stored.write_text(json.dumps(text))
    result = results.read(stored)
    with pytest.raises(Unavailable, match=f"the per-query values give {hidden}"):
        resample.score_of(resample.read(stored, result), hidden)
