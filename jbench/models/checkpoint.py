"""A checkpoint on disk: where it is, which revision, what kind, what its own files say.

Only JSON is read here, no weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jbench.files import safe_name
from jbench.source import cache_root, file_sha256, offline, remembered
from jbench.types import Unavailable, UsageError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
SKIPPED = ("*.bin", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pt", "*.gguf", "openvino/*", "onnx/*")
_PICKLED = tuple(f"{folder}pytorch_model{ending}" for folder in ("", "*/") for ending in (".bin", "-*-of-*.bin"))
_WEIGHTED = (
    *("Transformer", "Dense", "LayerNorm", "StaticEmbedding", "SparseAutoEncoder"),
    *("CNN", "LSTM", "WordEmbeddings", "WeightedLayerPooling"),
)
_TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model", "*.spm", "*.tiktoken", "tekken.json")
_BYTEWISE = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
_KINDS = {
    "SentenceTransformer": "dense",
    "SparseEncoder": "sparse",
    "CrossEncoder": "cross-encoder",
    "MultiVectorEncoder": "colbert",
    "ColBERT": "colbert",
}
_HEADS = {
    "sparse": ("SpladePooling", "SparseAutoEncoder", "SparseStaticEmbedding", "MLMTransformer"),
    "colbert": ("MultiVectorMask",),
    "cross-encoder": ("LogitScore",),
    "dense": ("Pooling", "StaticEmbedding", "WordEmbeddings", "BoW", "CLIPModel"),
}
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

    ``hub_id`` is set for a checkpoint of the hub, whatever it is called; ``given`` is what was
    typed. The folder of a converted checkpoint is the conversion's, its identity the original's.
    """

    model: str
    revision: str
    folder: Path
    hub_id: str | None = None
    given: str = ""

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

        :raises UsageError: when its files do not decide, or speak for two.
        """
        signs = dict(reversed(list(self._signs())))  # the first sign of each kind
        if len(signs) > 1:
            could = " or ".join(f"{kind} ({signs[kind]})" for kind in sorted(signs))
            ways = " or ".join(f"{kind}:{self.given or self.model}" for kind in sorted(signs))
            raise UsageError(f"{self.model} could be {could}: write {ways}")
        if signs:
            return next(iter(signs.items()))
        if self.modules:
            return "dense", "modules.json"
        if self.read("config.json"):
            return "dense", "a bare transformer"
        raise UsageError(f"{self.model}: neither modules.json nor config.json says what this is ({self.folder.name})")

    def _signs(self) -> Iterator[tuple[str, str]]:
        """Each kind that a file speaks for, with that file's word; a bare transformer gives none."""
        own, heads = self.read("config_sentence_transformers.json"), self._heads
        named = own.get("model_type")
        if (self.folder / "artifact.metadata").is_file():
            yield "colbert", "artifact.metadata"
        if "HF_ColBERT" in heads:
            yield "colbert", "architecture HF_ColBERT"
        if named in _KINDS:
            yield _KINDS[named], f"model_type {named}"
        if own.keys() & {"do_query_expansion", "attend_to_expansion_tokens", "skiplist_words"}:
            yield "colbert", "query expansion in config_sentence_transformers.json"
        if sign := self._sign_of_modules(named is None):
            yield sign
        if head := next((head for head in heads if head.endswith("ForSequenceClassification")), None):
            yield "cross-encoder", f"architecture {head}"

    def _sign_of_modules(self, unnamed: bool) -> tuple[str, str] | None:
        types = [str(row["type"]) for row in self.modules]
        classes = [name.rsplit(".", 1)[-1] for name in types]
        if any(name.startswith("pylate.") for name in types):
            return "colbert", "PyLate in modules.json"
        if self.read(f"{self.home}/sentence_bert_config.json").get("transformer_task") == "sequence-classification":
            return "cross-encoder", "transformer_task sequence-classification"
        for kind, heads in _HEADS.items():
            if found := next((name for name in classes if name in heads), None):
                return kind, "modules.json" if kind == "dense" else f"{found} in modules.json"
        # A projection that nothing pools may be a ColBERT's as well as a dense model's.
        return ("dense", "modules.json") if types and unnamed and "Dense" not in classes else None

    @property
    def _heads(self) -> list[str]:
        return [str(name) for name in self.read("config.json").get("architectures") or []]

    @property
    def labels(self) -> int:
        """How many labels a classification head has, as transformers counts them: 2 when nothing says."""
        config = self.read("config.json")
        names = config.get("id2label")
        return len(names) if names is not None else int(config.get("num_labels") or 2)

    def own_code(self) -> str | None:
        """The checkpoint's own code that loading it would run, such as ``modeling_x.Encoder (config.json)``.

        None when the installed libraries have every class that its files name.
        """
        for row in self.modules:
            if not str(row["type"]).startswith(("sentence_transformers.", "pylate.")):
                return f"{row['type']} (modules.json)"
        for name, native in (("config.json", _has_architecture), ("tokenizer_config.json", _has_tokenizer)):
            found = self.read(f"{self.home}/{name}")
            if (code := _first_class(found.get("auto_map"))) and not native(found):
                return f"{code} ({name})"
        return None

    def check_code(self, trusted: bool) -> None:
        """Refuse code of the checkpoint's own unless it is ``trusted``.

        :raises UsageError: naming the class and the file that asks for it.
        """
        code = None if trusted else self.own_code()
        if code:
            raise UsageError(f"{self.model} runs code of its own, {code}; add --trust-remote-code if you trust it")

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
        """Refuse a checkpoint that is not whole, or with a module whose weights are not safetensors.

        :raises Unavailable: naming the file or the module's folder.
        """
        self._check_files()
        for path in self.pickled():
            where = f"{self.model}/{path}".rstrip("/")
            if self.hub_id is None and not any((self.folder / path).glob("pytorch_model*.bin")):
                raise Unavailable(f"{where} has no weights: neither model.safetensors nor pytorch_model.bin is there")
            raise Unavailable(
                f"{where} has no safetensors (pickled weights are not read); "
                f"`jbench fetch --convert {self.given or self.model}` writes them"
            )

    def pickled(self) -> list[str]:
        """The folders of modules whose weights are not safetensors, within the checkpoint."""
        weighted = [str(row["path"]) for row in self.modules if str(row["type"]).endswith(_WEIGHTED)]
        return [
            path for path in (weighted if self.modules else [""]) if not any((self.folder / path).glob("*.safetensors"))
        ]

    def _check_files(self) -> None:
        for row in self.modules:
            # The hub keeps no empty folder, and a Normalize may have nothing to keep.
            if not (self.folder / row["path"]).is_dir() and not str(row["type"]).endswith("Normalize"):
                raise Unavailable(f"{self.model}: modules.json names {row['path']}, which is not there")
        for index in sorted({"", *(str(row["path"]) for row in self.modules)}):
            name = f"{index}/model.safetensors.index.json".lstrip("/")
            named = {str(shard) for shard in (self.read(name).get("weight_map") or {}).values()}
            if missing := sorted(shard for shard in named if not (self.folder / index / shard).is_file()):
                raise Unavailable(f"{self.model}: {name} names {missing[0]}, which is not there")
        first = str(self.modules[0]["type"]) if self.modules else "sentence_transformers.Transformer"
        if first.startswith("sentence_transformers.") and first.endswith(".Transformer"):
            self._check_transformer(self.folder / self.home)

    def _check_transformer(self, folder: Path) -> None:
        where = f"{self.model}/{self.home}".rstrip("/")
        if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise Unavailable(f"{where}: config.json is not there")
        tokenizer = self.read(f"{self.home}/tokenizer_config.json")
        if tokenizer.get("auto_map") or tokenizer.get("tokenizer_class") in _BYTEWISE:
            return
        if not any(found for pattern in _TOKENIZERS for found in folder.glob(pattern)):
            raise Unavailable(
                f"{where}: no tokenizer in it; save it beside the weights "
                "(neither tokenizer.json nor a vocabulary is there)"
            )


def _first_class(named: Any) -> str:
    """The class that an ``auto_map`` names first, a model's before its configuration's."""
    if isinstance(named, dict):
        named = [named[key] for key in sorted(named, key="AutoConfig".__eq__)]
    if isinstance(named, list):
        return next((code for code in map(_first_class, named) if code), "")
    return str(named or "")


def _has_architecture(config: dict[str, Any]) -> bool:
    from transformers import CONFIG_MAPPING

    return config.get("model_type") in CONFIG_MAPPING


def _has_tokenizer(config: dict[str, Any]) -> bool:
    import transformers

    return hasattr(transformers, str(config.get("tokenizer_class")))


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
        return _converted(Checkpoint(name or folder.name, f"local-{_fingerprint(folder)[:12]}", folder, given=string))
    if here:
        raise Unavailable(f"checkpoint folder {string} does not exist")
    if not _HUB_ID.fullmatch(string):
        raise UsageError(f"unknown model {string!r}; a checkpoint is org/name or ./folder")
    repo, _, revision = string.partition("@")
    found = snapshot(repo, revision or None)
    return _converted(Checkpoint(name or repo, found.name, found, hub_id=repo, given=string))


def conversion(original: Checkpoint) -> Path:
    """Where `jbench.models.convert` puts what it makes of a checkpoint."""
    name = original.hub_id or original.folder.name
    return cache_root() / "converted" / safe_name(name) / safe_name(original.revision)


def _converted(original: Checkpoint) -> Checkpoint:
    folder = conversion(original)
    # Only a folder that was written to its end has this file.
    use = (folder / "converted.json").is_file() and original.pickled()
    return replace(original, folder=folder) if use else original


def snapshot(repo: str, revision: str | None, pickled: bool = False) -> Path:
    """The folder of a hub checkpoint, fetched unless it is at hand; ``pickled`` fetches those weights alone.

    :raises Unavailable: when it is not to be had.
    """
    from huggingface_hub import snapshot_download

    chosen: dict[str, Any] = {"allow_patterns": _PICKLED} if pickled else {"ignore_patterns": SKIPPED}
    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=offline(), **chosen))
    except Exception as error:  # the hub's client raises many kinds; each means "not to be had"
        at = f"{repo}@{revision}" if revision else repo
        where = (
            "not in the hub cache and the network is off" if offline() else f"not to be had ({type(error).__name__})"
        )
        raise Unavailable(f"{at} is {where}; on a machine with network, `jbench fetch {at}` fills the cache") from error


def _fingerprint(folder: Path) -> str:
    """Sha256 over relative paths and contents, remembered by path, size, mtime and inode."""
    files = sorted(checkpoint_files(folder))
    if not files:
        raise Unavailable(f"checkpoint folder {folder} is empty")
    stats = [(p.relative_to(folder).as_posix(), p.stat()) for p in files]
    state = [[name, s.st_size, s.st_mtime_ns, s.st_ino] for name, s in stats]

    def compute() -> str:
        sha = hashlib.sha256()
        for (name, _), path in zip(stats, files, strict=True):
            sha.update(f"{name}\0{file_sha256(path)}\n".encode("utf-8", "surrogatepass"))
        return sha.hexdigest()

    return remembered(folder, state, compute)


def checkpoint_files(folder: Path) -> Iterator[Path]:
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
