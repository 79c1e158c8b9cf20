"""A checkpoint on disk: what kind it is, how it reads, whether it is whole, by its own files.

Only JSON is read here, no weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path, PurePosixPath
from typing import Any

from jbench.models.identity import Identity
from jbench.models.templates import template_of
from jbench.types import Unavailable, UsageError

_WEIGHTED = (
    *("Transformer", "Dense", "LayerNorm", "StaticEmbedding", "SparseAutoEncoder"),
    *("CNN", "LSTM", "WordEmbeddings", "WeightedLayerPooling"),
)
TOKEN_HEADS = ("sparse_linear", "colbert_linear")
"""What bge-m3 has beside its transformer, each a file ending in ``.pt`` or, converted, ``.safetensors``."""

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
    "sparse": ("SpladePooling", "SparseAutoEncoder", "SparseStaticEmbedding", "IDF", "MLMTransformer"),
    "colbert": ("MultiVectorMask",),
    "cross-encoder": ("LogitScore",),
    "dense": ("Pooling", "StaticEmbedding", "WordEmbeddings", "BoW", "CLIPModel"),
}
ROUTERS = (".Router", ".Asym")
"""How the type of a module ends that sends queries and documents different ways; Asym is its old name."""
_ROUTES = ("router_config.json", "config.json")
_NAMES_OF_OLD = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
"""What sentence-transformers looks for, in its order, as sentence_NAME_config.json; it writes the first."""
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
    typed. The folder of a converted checkpoint is the conversion's, its revision the original's, which lies in
    ``original``. ``identity`` holds the files that loading it opens, as they were when the revision was taken.
    """

    model: str
    revision: str
    folder: Path
    hub_id: str | None = None
    given: str = ""
    original: Path | None = None
    identity: Identity = field(default_factory=Identity, compare=False, repr=False)

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the checkpoint, empty when there is none.

        :raises Unavailable: when it is not JSON, or nobody may read it.
        """
        path = self.folder / name.lstrip("/")
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise Unavailable(f"{self.model}: {name} is not JSON ({error})") from error
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        return found if isinstance(found, dict) else {"": found}

    @property
    def modules(self) -> list[dict[str, Any]]:
        """The rows of ``modules.json``: type and path of each module.

        :raises Unavailable: when they are not that, or lie outside the checkpoint.
        """
        found = self.read("modules.json")
        named = found.get("") if found else []
        if not isinstance(named, list):
            raise Unavailable(f"{self.model}: modules.json is no list of modules")
        rows: list[dict[str, Any]] = named
        if not all(
            isinstance(row, dict) and all(isinstance(row.get(k), str) for k in ("type", "path")) for row in rows
        ):
            raise Unavailable(f"{self.model}: modules.json has a row without type and path")
        for row in rows:
            self._check_inside("modules.json", row["path"])
        return rows

    def parts(self) -> Iterator[tuple[str, str, str]]:
        """Every module, those inside a Router too: the file that names it, its folder in the checkpoint, its type.

        :raises Unavailable: when a Router's file does not say that, or a folder lies outside the checkpoint.
        """
        for row in self.modules:
            yield from self._within("modules.json", row["path"], row["type"])

    def _within(self, file: str, path: str, kind: str, depth: int = 0) -> Iterator[tuple[str, str, str]]:
        yield file, path, kind
        if not kind.endswith(ROUTERS):
            return
        types = self.routes(path).get("types", {})
        name = next((n for n in _ROUTES if self.read(f"{path}/{n}").get("types")), _ROUTES[0])
        if not isinstance(types, dict) or not all(isinstance(inner, str) for inner in types.values()) or depth > 8:
            raise Unavailable(f"{self.model}: {path}/{name} names no type for each of a Router's modules")
        for folder, inner in types.items():
            self._check_inside(name, folder)
            yield from self._within(name, f"{path}/{folder}".lstrip("/"), inner, depth + 1)

    def routes(self, path: str) -> dict[str, Any]:
        """What a Router in the folder ``path`` says of the modules inside it; Asym wrote it into another file."""
        return next((told for name in _ROUTES if (told := self.read(f"{path}/{name}")).get("types")), {})

    @property
    def known_as(self) -> str | None:
        """The hub id by which its family is known: its own, else that of which ``--name`` says that it is a copy."""
        return self.hub_id or (self.model if "/" in self.model else None)

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
        if ranker := next((head for head in self.heads if "Rank" in head), None):
            raise UsageError(f"{self.model} is a {ranker}, which is read by code of its own that this version has not")
        if self.read("config.json"):
            return "dense", "a bare transformer"
        raise UsageError(f"{self.model}: neither modules.json nor config.json says what this is ({self.folder.name})")

    def _signs(self) -> Iterator[tuple[str, str]]:
        """Each kind that a file speaks for, with that file's word; a bare transformer gives none."""
        own, heads = self.read("config_sentence_transformers.json"), self.heads
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
        masked = not self.modules and next((head for head in heads if head.endswith("ForMaskedLM")), None)
        if masked and (self.folder / "idf.json").is_file():
            yield "sparse", f"architecture {masked} and idf.json"
        elif masked and any(word in self.model.lower() for word in ("splade", "sparse-encoding")):
            yield "sparse", f"architecture {masked} and its name"
        causal = not self.modules and any(head.endswith("ForCausalLM") for head in heads)
        if causal and (template := template_of(self.hub_id, self.model)):
            yield "cross-encoder", f"a language model with the template {template.name}"

    def _sign_of_modules(self, unnamed: bool) -> tuple[str, str] | None:
        types = [kind for _, _, kind in self.parts()]
        classes = [name.rsplit(".", 1)[-1] for name in types]
        if any(name.startswith("pylate.") for name in types):
            return "colbert", "PyLate in modules.json"
        if self.read(f"{self.home}/sentence_bert_config.json").get("transformer_task") == "sequence-classification":
            return "cross-encoder", "transformer_task sequence-classification"
        for kind, heads in _HEADS.items():
            if found := next((name for name in classes if name in heads), None):
                if kind == "dense" and self.scored_labels is not None:
                    return "cross-encoder", "a Dense that gives scores in modules.json"
                return kind, "modules.json" if kind == "dense" else f"{found} in modules.json"
        # A projection that nothing pools may be a ColBERT's as well as a dense model's.
        return ("dense", "modules.json") if types and unnamed and "Dense" not in classes else None

    @property
    def heads(self) -> list[str]:
        """The classes that ``config.json`` names."""
        return [str(name) for name in self.read("config.json").get("architectures") or []]

    @property
    def scored_labels(self) -> int | None:
        """How many scores the last module, a Dense over a pooled pair, gives of it; None where there is none such."""
        last = self.modules[-1] if self.modules else {"type": "", "path": ""}
        config = self.read(f"{last['path']}/config.json") if str(last["type"]).endswith(".Dense") else {}
        return _count(config.get("out_features")) if config.get("module_output_name") == "scores" else None

    @property
    def labels(self) -> int:
        """How many labels a classification head has, as transformers counts them: 2 when nothing says.

        :raises Unavailable: when what says it is no table of labels, nor a number.
        """
        config = self.read("config.json")
        names, count = config.get("id2label"), config.get("num_labels") or 2
        if names is not None and not isinstance(names, dict):
            raise Unavailable(f"{self.model}: id2label in config.json is {names!r:.40}, not a table of labels")
        if not isinstance(count, int):
            raise Unavailable(f"{self.model}: num_labels in config.json is {count!r:.40}, not a number")
        return count if names is None else len(names)

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
        told = (self.read(f"{self.home}/sentence_{name}_config.json") for name in _NAMES_OF_OLD)
        set_length = next((config for config in told if config), {}).get("max_seq_length")
        if length := _count(set_length):
            return length
        limits = [_count(self.read(f"{self.home}/tokenizer_config.json").get("model_max_length")), self.positions]
        return min((n for n in limits if n and n < 1 << 24), default=None)

    @property
    def positions(self) -> int | None:
        """The longest input that the model has positions for."""
        config = self.read(f"{self.home}/config.json")
        found = _count(config.get("max_position_embeddings"))
        if found is None or config.get("model_type") not in _OFFSET:
            return found
        # RoBERTa and its kin count positions from behind the padding's.
        return _count(found - (_count(config.get("pad_token_id")) or 0) - 1)

    @property
    def similarity(self) -> str:
        """The similarity the checkpoint names, else cosine."""
        found = self.read("config_sentence_transformers.json").get("similarity_fn_name")
        return found if found and isinstance(found, str) else "cosine"

    @property
    def own_prompts(self) -> dict[str, str]:
        """The prompts the checkpoint carries, by its own names; under ``default`` the one it names so.

        :raises Unavailable: when they are no texts by name.
        """
        config = self.read("config_sentence_transformers.json")
        held = config.get("prompts") or {}
        if not isinstance(held, dict) or not all(isinstance(text, str | None) for text in held.values()):
            raise Unavailable(f"{self.model}: prompts in config_sentence_transformers.json are no texts by name")
        found = {name: text or "" for name, text in held.items()}
        return {"default": found.get(str(config.get("default_prompt_name")), ""), **found}

    @property
    def base_model(self) -> str | None:
        """``base_model`` of the model card's front matter; the first of several."""
        from huggingface_hub import metadata_load

        try:
            found = (metadata_load((self.original or self.folder) / "README.md") or {}).get("base_model")
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
        weighted = [path for _, path, kind in self.parts() if kind.endswith(_WEIGHTED)]
        return [
            path for path in (weighted if self.modules else [""]) if not any((self.folder / path).glob("*.safetensors"))
        ]

    def pickled_heads(self) -> list[str]:
        """Of `TOKEN_HEADS` those that are there as pickles alone, by their files."""
        heads = [head for head in TOKEN_HEADS if not (self.folder / f"{head}.safetensors").is_file()]
        return [f"{head}.pt" for head in heads if (self.folder / f"{head}.pt").is_file()]

    def shards(self, name: str) -> list[str] | None:
        """The files that an index of weights names; None where there is no index.

        :raises Unavailable: when it is none.
        """
        index = self.read(name)
        if not index:
            return None
        named = index.get("weight_map")
        if not isinstance(named, dict) or not named or not all(isinstance(shard, str) for shard in named.values()):
            raise Unavailable(f"{self.model}: {name.lstrip('/')} names no file for each weight")
        return sorted(set(named.values()))

    def _check_inside(self, name: str, path: str) -> None:
        # What lies elsewhere is no part of the revision.
        where = PurePosixPath(path.replace("\\", "/"))
        if where.is_absolute() or ".." in where.parts:
            raise Unavailable(f"{self.model}: {name} names {path}, which lies outside the checkpoint")

    def _check_files(self) -> None:
        for row in self.modules:
            # The hub keeps no empty folder, and a Normalize may have nothing to keep.
            if not (self.folder / row["path"]).is_dir() and not str(row["type"]).endswith("Normalize"):
                raise Unavailable(f"{self.model}: modules.json names {row['path']}, which is not there")
        for index in sorted({"", *(str(row["path"]) for row in self.modules)}):
            name = f"{index}/model.safetensors.index.json".lstrip("/")
            for shard in self.shards(name) or ():
                self._check_inside(name, shard)
                if not (self.folder / index / shard).is_file():
                    raise Unavailable(f"{self.model}: {name} names {shard}, which is not there")
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


def _count(value: Any) -> int | None:
    """A number of 1 or more; None for anything else, which says nothing."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < inf else None
