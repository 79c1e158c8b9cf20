"""A checkpoint on disk: where it is, which revision, what kind, what its own files say.

Only JSON is read here; no weights, no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jbench.files import write
from jbench.source import cache_root, file_sha256, offline
from jbench.types import Unavailable, UsageError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_SKIPPED = ("*.bin", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pt", "*.gguf", "openvino/*", "onnx/*")
_WEIGHTED = ("Transformer", "Dense", "LayerNorm", "StaticEmbedding")
_OFFSET = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "luke", "mluke", "longformer", "mpnet"}
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Checkpoint:
    """``model`` and ``revision`` are its identity; ``folder`` where its files lie.

    ``hub_id`` is set for a checkpoint of the hub, whatever it is called.
    """

    model: str
    revision: str
    folder: Path
    hub_id: str | None = None

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the checkpoint, empty when there is none.

        :raises Unavailable: when it is not JSON.
        """
        path = self.folder / name.lstrip("/")
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Unavailable(f"{self.model}: {name} is not JSON ({error})") from error
        return found if isinstance(found, dict) else {"": found}

    @property
    def modules(self) -> list[dict[str, Any]]:
        """The rows of ``modules.json``: type and path of each module.

        :raises Unavailable: when they are not that.
        """
        rows: list[dict[str, Any]] = self.read("modules.json").get("", [])
        if not all(isinstance(row, dict) and {"type", "path"} <= row.keys() for row in rows):
            raise Unavailable(f"{self.model}: modules.json has a row without type and path")
        return rows

    @property
    def home(self) -> str:
        """The folder of the first module, the transformer, within the checkpoint."""
        return str(self.modules[0]["path"]) if self.modules else ""

    def module(self, kind: str) -> dict[str, Any] | None:
        """The configuration of the module whose type ends in ``kind``."""
        row = next((row for row in self.modules if str(row["type"]).endswith(kind)), None)
        return None if row is None else self.read(f"{row['path']}/config.json")

    @cached_property
    def kind(self) -> tuple[str, str]:
        """Which adapter serves it, and by which sign: ``("dense", "modules.json")``.

        :raises UsageError: when its files do not decide.
        """
        config, own = self.read("config.json"), self.read("config_sentence_transformers.json")
        heads = [str(a) for a in config.get("architectures") or []]
        types = {
            "SentenceTransformer": "dense",
            "SparseEncoder": "sparse",
            "CrossEncoder": "cross-encoder",
            "MultiVectorEncoder": "colbert",
        }
        if (self.folder / "artifact.metadata").is_file() or "HF_ColBERT" in heads:
            return "colbert", "artifact.metadata"
        if (named := own.get("model_type")) in types:
            return types[named], f"model_type {named}"
        last = str(self.modules[-1]["type"]).rsplit(".", 1)[-1] if self.modules else ""
        if last in ("SpladePooling", "SparseAutoEncoder"):
            return "sparse", f"modules.json ends in {last}"
        if any(str(row["type"]).startswith("pylate.") for row in self.modules):
            return "colbert", "modules.json names PyLate"
        if self.modules:
            return "dense", "modules.json"
        if any(head.endswith("ForSequenceClassification") for head in heads):
            return "cross-encoder", f"architecture {heads[0]}"
        if config:
            return "dense", "a bare transformer"
        raise UsageError(f"{self.model}: neither modules.json nor config.json says what this is ({self.folder.name})")

    @property
    def pooling(self) -> str | None:
        """How tokens become one vector, as its files say; None when they do not."""
        config = self.module("Pooling")
        if config is None:
            return None
        named = config.get("pooling_mode") or [m for key, m in _LEGACY_POOLING.items() if config.get(key)] or "mean"
        return named if isinstance(named, str) else "+".join(named)

    @property
    def max_length(self) -> int | None:
        """Tokens read of a text, special ones included, as sentence-transformers would decide."""
        set_length = self.read(f"{self.home}/sentence_bert_config.json").get("max_seq_length")
        if isinstance(set_length, int):
            return set_length
        limits = [self.read(f"{self.home}/tokenizer_config.json").get("model_max_length"), self.positions]
        known = [int(n) for n in limits if isinstance(n, int | float) and 0 < n < 1 << 24]
        return min(known, default=None)

    @property
    def positions(self) -> int | None:
        """The longest input that the model has positions for."""
        config = self.read(f"{self.home}/config.json")
        found = config.get("max_position_embeddings")
        if not isinstance(found, int) or found <= 0:
            return None
        # RoBERTa and its kin count positions from behind the padding's.
        return found - (config.get("pad_token_id") or 0) - 1 if config.get("model_type") in _OFFSET else found

    @property
    def similarity(self) -> str:
        """The similarity the checkpoint names, else cosine."""
        return self.read("config_sentence_transformers.json").get("similarity_fn_name") or "cosine"

    @property
    def own_prompts(self) -> dict[str, str]:
        """The prompts the checkpoint carries, by its own names; under ``default`` the one it names so."""
        config = self.read("config_sentence_transformers.json")
        found = {str(k): str(v or "") for k, v in (config.get("prompts") or {}).items()}
        return {"default": found.get(str(config.get("default_prompt_name")), ""), **found}

    @property
    def base_model(self) -> str | None:
        """``base_model`` of the model card's front matter; the first of several."""
        from huggingface_hub import metadata_load

        try:
            found = (metadata_load(self.folder / "README.md") or {}).get("base_model")
        except Exception:  # no card, or one that nobody can read, names no base
            return None
        first = found[0] if isinstance(found, list) and found else found
        return first if isinstance(first, str) else None

    def check_weights(self) -> None:
        """Refuse a checkpoint with a module whose weights are not safetensors.

        :raises Unavailable: naming the module's folder.
        """
        weighted = [row["path"] for row in self.modules if str(row["type"]).endswith(_WEIGHTED)]
        for path in weighted if self.modules else [""]:
            if not any((self.folder / path).glob("*.safetensors")):
                where = f"{self.model}/{path}".rstrip("/")
                raise Unavailable(f"{where} has no safetensors (pickled weights are not read); save it again with them")


def locate(string: str, name: str | None) -> Checkpoint:
    """Find ``./dir``, ``org/name`` or ``org/name@revision``; a hub checkpoint is fetched.

    :raises UsageError: when the string is neither a folder nor a hub id.
    :raises Unavailable: when the checkpoint is not to be had.
    """
    folder = Path(os.path.expanduser(string))
    here = string.startswith((".", "/", "~"))
    if folder.is_dir() and "/" in string and not here:
        raise UsageError(f"{string} is a folder here and could be a hub id; write ./{string} or {string}@main")
    if folder.is_file():
        raise UsageError(f"{string} is a file; a checkpoint is a folder, a run file is run:{string}")
    if folder.is_dir():
        folder = folder.resolve()
        return Checkpoint(name or folder.name, f"local-{_fingerprint(folder)[:12]}", folder)
    if here:
        raise Unavailable(f"checkpoint folder {string} does not exist")
    if not _HUB_ID.fullmatch(string):
        raise UsageError(f"unknown model {string!r}; a checkpoint is org/name or ./folder")
    repo, _, revision = string.partition("@")
    found = _fetch(repo, revision or None)
    return Checkpoint(name or repo, found.name, found, hub_id=repo)


def _fetch(repo: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=offline(), ignore_patterns=_SKIPPED))
    except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
        at = f"{repo}@{revision}" if revision else repo
        command = f"hf download {repo}" + (f" --revision {revision}" if revision else "")
        where = (
            "not in the hub cache and the network is off" if offline() else f"not to be had ({type(error).__name__})"
        )
        raise Unavailable(f"{at} is {where}; on a machine with network, `{command}` fills the cache") from error


def _fingerprint(folder: Path) -> str:
    """Sha256 over relative paths and contents, remembered by path, size, mtime and inode."""
    files = sorted(_files(folder))
    if not files:
        raise Unavailable(f"checkpoint folder {folder} is empty")
    stats = [(p.relative_to(folder).as_posix(), p.stat()) for p in files]
    state = [[name, s.st_size, s.st_mtime_ns, s.st_ino] for name, s in stats]
    memory = cache_root() / "fingerprints" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a memory that is missing or torn is made again
    sha = hashlib.sha256()
    for (name, _), path in zip(stats, files, strict=True):
        sha.update(f"{name}\0{file_sha256(path)}\n".encode("utf-8", "surrogatepass"))
    with suppress(Unavailable):  # a read-only home costs the memory, not the run
        write(memory, json.dumps({"state": state, "sha256": sha.hexdigest()}))
    return sha.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Every file that is not hidden, links followed, jbench's own results left out."""
    seen = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(root))
        folders[:] = [
            name
            for name in folders
            if name[0] != "." and name != "jbench-results" and os.path.realpath(Path(root, name)) not in seen
        ]
        yield from (path for name in names if name[0] != "." and (path := Path(root, name)).is_file())
