"""One recipe of each family for some hundred steps from the base that comes with jbench, on real data, by commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jbench.train.data import open_set
from tests.conftest import MIRROR

pytest.importorskip("accelerate")

STEPS = 200
COMMON = {"steps": STEPS, "batch_size": 16, "learning_rate": "1e-3", "checkpoints": 1}
DENSE = {"max_length": 64, "mini_batch": 0, "temperature": 0.05}
RERANKER = {"max_length": 64, "mini_batch": 0, "hard_negatives": 3, "batch_size": 8, "learning_rate": "3e-4"}
COLBERT = {"in_batch": 16, "query_length": 24, "document_length": 64, "dimension": 32, "warm_up": 0.1, "ways": 2}
FEWER = {"ways": 4, "batch_size": 8, "in_batch": 8}
FAMILIES = {
    "bert-mini": (("text:sentences.jsonl",), {"layers": 2, "max_length": 32, "vocabulary": 2000}),
    "simcse-unsup": (("text:sentences.jsonl",), {"evaluations": 2, "temperature": 0.2, "learning_rate": "3e-4"}),
    "simcse-sup": (("janli",), {"evaluations": 2}),
    "ruri-pt-small": (("mined.parquet",), DENSE),
    "jacolbert": (("mined.parquet",), {**COLBERT, "decay_steps": 0}),
    "ruri-reranker-stage1-small": (("mined.parquet",), RERANKER),
    "ruri-reranker-stage2-small": (("mined.parquet",), RERANKER),
    "ruri-small": (("scored.parquet",), {**DENSE, "hard_negatives": 3, "batch_size": 8}),
    "jacolbert-v2": (("scored.parquet",), {**COLBERT, **FEWER}),
    "jacolbert-v2.5": (("scored.parquet",), {**COLBERT, **FEWER}),
}
TASKS = {"dense": "mini-sts@v1", "colbert": "mini-retrieval@v1", "cross-encoder": "mini-rerank@v1"}


def jbench(folder, *words):
    found = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "JBENCH_MIRROR": str(MIRROR)}
    command = [sys.executable, "-m", "jbench", *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=found, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(folder, recipe, output, **more):
    data, own = FAMILIES[recipe]
    settings = {**COMMON, **own, **more}
    words = [word for name in data for word in ("--data", name)]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words += ["--base", "bert-mini"] if recipe != "bert-mini" else []
    return json.loads(jbench(folder, "train", recipe, "--output", output, *words, "--json"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two thousand questions of JaQuAD, with negatives of BM25; three hundred with scores of a reranker."""
    if MIRROR is None:
        pytest.skip("real data is not at hand: set JBENCH_MIRROR")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("JBENCH_MIRROR", str(MIRROR))
    folder = tmp_path_factory.mktemp("families")
    rows = open_set("jaquad").rows.select(range(2000))
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    texts = dict.fromkeys(text for row in open_set("janli").rows for text in (row["anchor"], row["positive"]))
    (folder / "sentences.jsonl").write_text(
        "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    )
    few = (folder / "pairs.jsonl").read_text("utf-8").splitlines(keepends=True)[:300]
    (folder / "few.jsonl").write_text("".join(few), "utf-8")
    mine = ("bm25:char-bigram", "--ranks", "1-3")
    jbench(folder, "mine", "pairs.jsonl", *mine, "--output", "mined.parquet")
    train(folder, "ruri-reranker-stage1-small", "judge", steps=20)
    jbench(folder, "mine", "few.jsonl", *mine, "--filter", "./judge", "--output", "scored.parquet")
    yield folder
    monkeypatch.undo()


@pytest.mark.parametrize("recipe", FAMILIES)
def test_its_loss_falls_and_what_it_gives_is_scored_stands_on_a_board_and_tells_its_training(recipe, place):
    output = f"from-{recipe}"
    log = [row["loss"] for row in train(place, recipe, output) if "loss" in row]
    tenth = len(log) // 10
    assert sum(log[-tenth:]) < sum(log[:tenth])

    asked = ["--model-set", "pooling=mean"] if recipe == "bert-mini" else []
    kind = "colbert" if "colbert" in recipe else "cross-encoder" if "reranker" in recipe else "dense"
    jbench(place, "run", f"./{output}", "--task", TASKS[kind], *asked, "--results", "results")
    assert f"| {output}" in jbench(place, "board", "mini", "--results", "results")

    manifest = json.loads((place / output / "training_manifest.json").read_text("utf-8"))
    assert manifest["recipe"] == recipe
    assert manifest["steps"] == STEPS
    assert manifest["fingerprint"]["texts"] > 300  # questions; and the passages, which they share
    if recipe != "bert-mini":
        assert manifest["base"]["manifest"]["recipe"] == "bert-mini"
    (result,) = [json.loads(path.read_text("utf-8")) for path in (place / "results" / output).rglob("*.json")]
    assert result["training"]["datasets"]
    assert Path(place / output / "README.md").is_file()
