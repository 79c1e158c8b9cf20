"""The small checkpoints that come with jbench."""

import json

import pytest
from safetensors import safe_open

from jbench import open_model
from jbench.exposure import SEEN
from jbench.models.locate import locate, shipped
from jbench.models.options import Options
from jbench.types import UsageError


def test_they_are_forty_megabytes_at_most_together():
    sizes = [path.stat().st_size for name in shipped() for path in locate(name, None).folder.rglob("*")]
    assert sum(sizes) <= 40_000_000


@pytest.mark.parametrize("name", shipped())
def test_each_is_in_sixteen_bits_and_tells_how_it_was_made(name):
    folder = locate(name, None).folder
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, "np") as file:
            assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118 # no mapping
    manifest = json.loads((folder / "training_manifest.json").read_text("utf-8"))
    assert manifest["command"].startswith(f"jbench train {manifest['recipe']} --output ")
    assert {row.get("flag", "unknown") for row in manifest["datasets"]} <= {*SEEN, "unknown"}
    assert any(row["name"] == "JaQuAD" for row in manifest["datasets"])
    assert (folder / manifest["fingerprint"]["file"]).is_file()


def test_the_base_is_a_model_by_its_name_and_scores():
    model = open_model("bert-mini", Options(settings={"pooling": "mean"}))
    assert model.card.model == "bert-mini"
    near, far = model.score([("犬が走る。", "犬が走っている。"), ("犬が走る。", "株価が下がった。")], ("sts", "sts"))
    assert near > far


def test_a_folder_of_the_same_name_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert-mini").mkdir()
    with pytest.raises(
        UsageError, match=r"bert-mini is a folder here and a model that comes with jbench; write \./bert"
    ):
        open_model("bert-mini")
