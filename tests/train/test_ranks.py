"""Two processes (gloo) train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

from safetensors.numpy import load_file

from jbench.manifest import MANIFEST
from tests import tiny
from tests.train.test_trainers import FAMILIES, TEXTS, small

ROOT = Path(__file__).parent.parent.parent
NAMES = ("simcse-sup", "ruri-pt-base", "ruri-base", "jacolbert", "ruri-reranker-stage2-base")


def main(base, output):
    """What each process runs: a few steps of every family."""
    import torch

    from jbench.train.loop import train

    torch.set_num_threads(1)
    still = {"steps": "6", "learning_rate": "1e-4", "clip": "0"}
    for name in NAMES:
        # The [CLS] of random weights is nearly the same for all texts, so that its gradients are rounding.
        settings = {"pooling": "mean"} if name.startswith("simcse") else {}
        train(small(name, base, **still, **settings), FAMILIES[name], Path(output) / name)
    evaluated = small("simcse-sup", base, **still, evaluations="2", dev="mini-sts@v1")
    train(evaluated, FAMILIES["simcse-sup"], Path(output) / "evaluated")


def start(base, output, *launcher):
    quiet = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, *launcher, str(Path(__file__)), str(base), str(output)]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **quiet, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )


def test_two_processes_give_the_weights_of_one_with_the_whole_batch(tmp_path):
    """Gathered losses see the whole batch; a late-interaction model's are the mean over the devices' groups."""
    sizes = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    base = tiny.transformer(tmp_path / "bert", tiny.words(tmp_path / "bert", corpus=TEXTS), "BertModel", **sizes)
    one = start(base, tmp_path / "one")
    two = start(base, tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    for process in (one, two):
        said = process.communicate(timeout=200)[1].decode()
        assert process.returncode == 0, said
    selections = [json.loads((tmp_path / f / "evaluated" / MANIFEST).read_text())["selection"] for f in ("one", "two")]
    assert [[each["step"] for each in one["evaluations"]] for one in selections] == [[0, 3, 6]] * 2
    for name in NAMES:
        weights = [load_file(tmp_path / folder / name / "model.safetensors") for folder in ("one", "two")]
        assert max(abs(weights[0][key] - weights[1][key]).max() for key in weights[0]) < 1e-5, name
        before = load_file(base / "model.safetensors")["encoder.layer.0.output.dense.weight"]
        after = next(v for k, v in weights[0].items() if k.endswith("encoder.layer.0.output.dense.weight"))
        assert abs(before - after).max() > 5e-5, name


if __name__ == "__main__":
    main(*sys.argv[1:])
