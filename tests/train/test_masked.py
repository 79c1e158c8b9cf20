"""A tokenizer and an encoder from nothing, which every other recipe can start from."""

import json

import pytest
import torch
from safetensors import safe_open

from jbench import open_model
from jbench.models.options import Options
from jbench.train import data, loop, masked
from jbench.train.recipes import changed, find_recipe
from jbench.types import UsageError
from tests.tiny import CORPUS

SMALL = {
    **{"vocabulary": "150", "layers": "1", "hidden": "16", "heads": "2", "max_length": "16", "positions": "64"},
    **{"batch_size": "8", "steps": "12", "checkpoints": "3", "warm_up": "2", "precision": "fp32"},
}


@pytest.fixture
def sets(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"{text}{i}"}, ensure_ascii=False) + "\n" for text in CORPUS for i in range(20))
    )
    return [data.open_set(str(path))]


def made(sets, output, **more):
    return masked.train(changed(find_recipe("bert-mini"), {**SMALL, **more}), sets, output)


def test_it_becomes_a_base_that_says_what_it_was_trained_on(sets, tmp_path):
    log = made(sets, tmp_path / "base", steps="60", learning_rate="0.01")
    losses = [row["loss"] for row in log if "loss" in row]
    assert losses[-1] < losses[0] - 0.3
    manifest = json.loads((tmp_path / "base" / "training_manifest.json").read_text("utf-8"))
    assert [row["name"] for row in manifest["datasets"]] == ["texts"]
    assert "base_model" not in manifest
    card = open_model(str(tmp_path / "base"), Options(settings={"pooling": "mean"})).card
    assert card.adapter == "dense"
    assert {row["name"] for row in card.training["datasets"]} == {"texts"}
    assert "from random weights" in (tmp_path / "base" / "README.md").read_text("utf-8")


def test_it_computes_in_bf16_where_that_is_what_it_says(sets, tmp_path, layers_in):
    made(sets, tmp_path / "base", steps="1", warm_up="0", precision="bf16")
    assert layers_in == {torch.bfloat16}
    assert "seed 42, bf16" in (tmp_path / "base" / "README.md").read_text("utf-8")


def test_dropout_while_it_is_trained_is_not_that_of_those_who_build_on_it(sets, tmp_path):
    made(sets, tmp_path / "base", steps="1", warm_up="0", dropout="0.3")
    found = json.loads((tmp_path / "base" / "config.json").read_text("utf-8"))
    assert (found["attention_dropout"], found["embedding_dropout"], found["mlp_dropout"]) == (0.0, 0.1, 0.0)


def test_weights_saved_by_half_are_trained_on_in_full(sets, tmp_path, layers_in):
    made(sets, tmp_path / "base", steps="1", warm_up="0", weights="fp16")
    with safe_open(tmp_path / "base" / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118 # no mapping
    settings = {"steps": "1", "batch_size": "4", "warm_up": "0", "evaluations": "0", "max_length": "16"}
    recipe = changed(find_recipe("simcse-unsup"), {**settings, "precision": "fp32"})
    loop.train(changed(recipe, {"base": str(tmp_path / "base")}, "--base"), sets, tmp_path / "out")
    assert layers_in == {torch.float32}


def test_several_processes_are_refused(sets, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="bert-mini trains on one device: leave out torchrun"):
        made(sets, tmp_path / "base")


def test_every_other_recipe_can_start_from_it(sets, tmp_path):
    made(sets, tmp_path / "base")
    settings = {"steps": "2", "batch_size": "4", "warm_up": "0", "evaluations": "0", "max_length": "16"}
    recipe = changed(changed(find_recipe("simcse-unsup"), settings), {"base": str(tmp_path / "base")}, "--base")
    loop.train(recipe, sets, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "training_manifest.json").read_text("utf-8"))
    assert manifest["base"]["manifest"]["recipe"] == "bert-mini"
    vocabulary = open_model(str(tmp_path / "out")).card
    assert vocabulary.settings["pooling"] == "cls"


def test_stopped_and_resumed_is_as_never_stopped(sets, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    made(sets, tmp_path / "whole")
    recipe = changed(find_recipe("bert-mini"), SMALL)
    real = masked.watch

    def breaking(*arguments):
        callback = real(*arguments)

        def fail(args, state, control, **rest):
            if state.global_step == 7:
                raise RuntimeError("the machine went down")

        callback.on_step_end = fail
        return callback

    monkeypatch.setattr(masked, "watch", breaking)
    with pytest.raises(RuntimeError, match="went down"):
        masked.train(recipe, sets, tmp_path / "parts")
    monkeypatch.undo()
    said = []
    masked.train(recipe, sets, tmp_path / "parts", resume=True, say=said.append)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert {name: (one[name] - other[name]).abs().max().item() for name in one} == dict.fromkeys(one, 0.0)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"heads": "3"}, "hidden=16 cannot be shared out over heads=3"),
        ({"batch_size": "4000"}, "the texts fill [0-9]+ blocks, fewer than a batch of 4000"),
    ],
)
def test_what_does_not_fit_is_one_line(setting, says, sets, tmp_path):
    with pytest.raises(UsageError, match=says):
        made(sets, tmp_path / "base", **setting)
