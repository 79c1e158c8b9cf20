"""What each layout and each shipped model makes of fixed texts: token ids, and vectors of weights that a formula gives.

``python -m tests.canary`` writes `FILE` anew; do so when a layout is added, or a reading is meant to change.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jbench import open_model
from jbench.canary import TEXTS
from jbench.models.locate import shipped
from jbench.models.options import Options

FILE = Path(__file__).parent / "data" / "canary.json"
_SHOWN = 12  # numbers of a vector that are kept


def by_formula(folder: Path) -> None:
    """Replace the weights under ``folder`` by sines of their places: no generator of random numbers is in them."""
    from safetensors.numpy import load_file, save_file

    for path in sorted(folder.rglob("*.safetensors")):
        save_file({name: _formula(name, value) for name, value in load_file(path).items()}, path, {"format": "pt"})


def _formula(name: str, value: Any) -> Any:
    if not np.issubdtype(value.dtype, np.floating):
        return value
    waves = np.sin(0.7 * np.arange(value.size, dtype=np.float64) + zlib.crc32(name.encode()) % 997).reshape(value.shape)
    if value.ndim > 1:
        return (waves * 2 / np.sqrt(value.shape[-1])).astype(value.dtype)
    usual = 1 if "norm" in name.lower() and name.endswith("weight") else 0
    return (usual + 0.05 * waves).astype(value.dtype)


def reading(model: Any) -> dict[str, Any]:
    """Ids of `TEXTS` by the model's tokenizer, and the first numbers of what the model makes of them."""
    texts, adapter = list(TEXTS), model.card.adapter
    if adapter == "cross-encoder":
        pairs = list(zip(texts, texts[1:] + texts[:1], strict=True))
        values = [[float(score)] for score in model.score(pairs, ("query", "document"))]
    elif adapter == "colbert":
        values = [rows.reshape(-1)[:_SHOWN].tolist() for rows in model._encode(texts, "document", "")]
    elif adapter == "sparse":
        values = [np.sort(row)[::-1][:_SHOWN].tolist() for row in model._encode(texts, "document").toarray()]
    else:
        values = model._encode(texts, "document")[:, :_SHOWN].tolist()
    rounded = [[round(number, 6) for number in row] for row in values]
    return {"ids": _ids(model.weights.module, texts), "values": rounded}


def _ids(module: Any, texts: list[str]) -> list[list[int]]:
    first = module[0]
    if hasattr(first, "sub_modules"):
        first = first.sub_modules["document"][0]
    tokenizer = first.tokenizer
    if hasattr(tokenizer, "encode_batch"):
        return [row.ids for row in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return [list(row) for row in tokenizer(texts, verbose=False)["input_ids"]]


def of_layout(layout: Any, folder: Path) -> dict[str, Any]:
    """`reading` of a row of tests/test_layouts.py, built in ``folder``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    built = layout.build(folder)
    by_formula(built)
    return reading(open_model(str(built), Options(settings=layout.settings)))


def of_shipped(name: str) -> dict[str, Any]:
    """`reading` of a model that comes with jbench."""
    bare = name == "bert-mini"
    return reading(open_model(name, Options(settings={"pooling": "mean"} if bare else {})))


def name_of(layout: Any) -> str:
    return f"{layout.checkpoint}, {layout.files}"


def scored(layouts: Any) -> list[Any]:
    """The layouts that an adapter serves."""
    return [layout for layout in layouts if not layout.adapter.startswith("none")]


def main() -> None:
    """Write `FILE`."""
    from tests.test_layouts import LAYOUTS

    with tempfile.TemporaryDirectory() as folder:
        rows = {name: of_shipped(name) for name in shipped()}
        for i, layout in enumerate(scored(LAYOUTS)):
            rows[name_of(layout)] = of_layout(layout, Path(folder, str(i), "checkpoint"))
    lines = (f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(row)}" for name, row in rows.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
