"""Which files the libraries open of a checkpoint, known before anything is loaded.

The names are those of sentence-transformers 6 and transformers 5 (``from_pretrained`` of models, tokenizers and
processors, ``load`` of modules); tests hold them against what is opened while every kind of checkpoint loads.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import Any

from jbench.cache import cache_root
from jbench.files import write
from jbench.models.checkpoint import TOKEN_HEADS, Checkpoint
from jbench.models.hub import CODE, HUB_ID, SKIPPED, snapshot
from jbench.models.identity import changed, watching
from jbench.types import Unavailable

_ROOT = ("modules.json", "config_sentence_transformers.json", "config.json", "artifact.metadata")
_CONFIGS = (
    *("config.json", "generation_config.json", "adapter_config.json", "router_config.json"),
    *("cnn_config.json", "lstm_config.json", "wordembedding_config.json", "whitespacetokenizer_config.json"),
    *("phrasetokenizer_config.json", "idf.json"),
    *(
        f"sentence_{kind}_config.json"
        for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
)
_TOKENIZERS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tekken.json"),
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
    *("audio_tokenizer_config.json", "chat_template.jinja", "chat_template.json", "tokenizer.*.json"),
    *("vocab.txt", "vocab.json", "vocab-*.json", "*_vocab.json", "merges.txt", "bpe.codes", "dict.txt", "*.model"),
    *("*.spm", "*.tiktoken", "word_shape.json", "word_pronunciation.json", "emoji.json", "normalizer.json"),
    *("byte_maps.json", "prophetnet.tokenizer", "additional_chat_templates/*.jinja"),
)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_AUTO = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
_LONGEST_NAME = 100
_CARD = "README.md"  # the library keeps its text, and reads nothing out of it


def opened(checkpoint: Checkpoint, trusted: bool = False) -> dict[str, Path]:
    """The files that loading a checkpoint opens, by name (see `jbench.models.identity.Identity`).

    ``trusted``: its own code is run, and so is part of it, as is what that code names. What an adapter is laid over,
    and code that lies in another repository, is fetched unless it is at hand.

    :raises Unavailable: when it is not to be had, or a file that names others cannot be read.
    """
    folders = [folder for _, folder, _ in checkpoint.parts()] or [""]
    names = [*_existing(checkpoint.folder, _ROOT)]
    for head in TOKEN_HEADS:
        names += [*_existing(checkpoint.folder, (f"{head}.safetensors", f"{head}.pt"))][:1]
    for folder in dict.fromkeys(folders):
        names += _of_folder(checkpoint, folder, (*_CONFIGS, *_TOKENIZERS))
    found = {name: checkpoint.folder / name for name in names}
    home = checkpoint.home
    if base := base_of(checkpoint):
        under = _based(checkpoint, base)
        found |= {
            f"base/{name}": base / name for name in _of_folder(under, "", ("config.json", "generation_config.json"))
        }
        if trusted:
            found |= {f"base/{name}": path for name, path in _code(under, "").items()}
    if trusted:
        found |= _code(checkpoint, home)
    return found | {name: path for name in _learnt(checkpoint) if (path := checkpoint.folder / name).is_file()}


def base_of(checkpoint: Checkpoint) -> Path | None:
    """The folder of the checkpoint that an adapter is laid over; None for what is no adapter.

    :raises Unavailable: when it is not to be had.
    """
    config = checkpoint.read(f"{checkpoint.home}/adapter_config.json")
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not config:
        return None
    if not base or not isinstance(base, str):
        raise Unavailable(f"{checkpoint.model}: adapter_config.json does not say which checkpoint it is laid over")
    if os.path.isdir(base):
        return Path(base).resolve()
    if not HUB_ID.fullmatch(base):
        raise Unavailable(f"{checkpoint.model} is laid over {base}, which is not there")
    return snapshot(base, str(revision) if revision else None)


def elsewhere(checkpoint: Checkpoint) -> list[str]:
    """The repositories that hold code which an ``auto_map`` of the checkpoint names."""
    return list(dict.fromkeys(repo for repo, _ in _references(checkpoint, checkpoint.home) if repo))


def _based(checkpoint: Checkpoint, base: Path) -> Checkpoint:
    return Checkpoint(f"{checkpoint.model}, its base", "", base)


def _existing(folder: Path, patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        if "*" in pattern:
            yield from (path.relative_to(folder).as_posix() for path in sorted(folder.glob(pattern)) if path.is_file())
        elif (folder / pattern).is_file():
            yield pattern


def _of_folder(checkpoint: Checkpoint, path: str, patterns: Iterable[str]) -> list[str]:
    """The files that a module whose folder this is opens: its configuration, its tokenizer's, its weights."""
    folder, before = checkpoint.folder / path, f"{path.strip('/')}/".lstrip("/")
    names = [*_existing(folder, patterns)]
    if named := checkpoint.read(f"{path}/config.json").get("transformers_weights"):
        weights = str(named)
    else:
        weights = next(_existing(folder, _WEIGHTS), "")
    if weights.endswith(".index.json"):
        names += [name for name in checkpoint.shards(f"{path}/{weights}") or () if (folder / name).is_file()]
    if weights and (folder / weights).is_file():
        names.append(weights)
    if "adapter_config.json" in names:
        names += [*_existing(folder, _ADAPTERS)][:1]
    return [before + name for name in names]


def _references(checkpoint: Checkpoint, home: str) -> Iterator[tuple[str, str]]:
    """The repository (empty: its own) and the module of each class of its own that a checkpoint names."""
    for name in dict.fromkeys(f"{path}/{file}".lstrip("/") for path in (home, "") for file in _AUTO):
        for named in _classes(checkpoint.read(name).get("auto_map")):
            repo, _, reference = named.rpartition("--")
            yield repo, reference.rpartition(".")[0]
    for row in checkpoint.modules:
        if not str(row["type"]).startswith(("sentence_transformers.", "pylate.", "torch.")):
            repo, _, reference = str(row["type"]).rpartition("--")
            yield repo, reference.rpartition(".")[0]


def _classes(named: Any) -> Iterator[str]:
    if isinstance(named, dict):
        named = list(named.values())
    if isinstance(named, list):
        for inside in named:
            yield from _classes(inside)
    elif isinstance(named, str):
        yield named


def _code(checkpoint: Checkpoint, home: str) -> dict[str, Path]:
    """The Python files that the checkpoint's own classes are in, all that these import, and the files they name."""
    found: dict[str, Path] = {}
    for repo, module in _references(checkpoint, home):
        for own in dict.fromkeys((checkpoint.folder / home, checkpoint.folder)) if not repo else ():
            inside = own.relative_to(checkpoint.folder)
            found |= {(inside / name).as_posix(): own / name for name in _imported(own, module)}
        if repo:
            folder = snapshot(repo, None, only=CODE)
            found |= {f"{repo}--{name}": folder / name for name in _imported(folder, module)}
    for path in list(found.values()):
        for text in _texts(path):
            named = checkpoint.folder / text
            if not any(fnmatch(text, pattern) for pattern in (_CARD, *SKIPPED)) and named.is_file():
                found.setdefault(text, named)
    return found


def _imported(folder: Path, module: str) -> list[str]:
    """The file of a module in a folder, and those of the modules beside it that it imports, and so on."""
    names = [f"{module.replace('.', '/')}.py"]
    for name in names:  # which grows
        for node in ast.walk(_parsed(folder / name)):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = Path(name).parents[min(node.level, len(Path(name).parents)) - 1]
                own = above / (node.module or "").replace(".", "/")
                wanted = [own] if node.module else [own / alias.name for alias in node.names]
                names += [file for one in wanted if (file := f"{one.as_posix()}.py") not in names]
    return [name for name in names if (folder / name).is_file()]


def _texts(path: Path) -> Iterator[str]:
    """The texts in a Python file that can be names of files beside it."""
    for node in ast.walk(_parsed(path)):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if 0 < len(text) < _LONGEST_NAME and text.isprintable() and not os.path.isabs(text) and ".." not in text:
            yield text


def _parsed(path: Path) -> ast.AST:
    with suppress(OSError, ValueError, SyntaxError, RecursionError):  # what is wrong in it, loading it says
        return ast.parse(path.read_bytes())
    return ast.Module([], [])


@contextmanager
def loading(checkpoint: Checkpoint, trusted: bool) -> Iterator[Path]:
    """The folder to load a checkpoint from; in the end what was opened must be what its revision was taken of.

    :raises Unavailable: when a file changed meanwhile, or another one was opened.
    """
    try:
        with _laid_over(checkpoint) as folder, watching() as heard:
            yield folder
    finally:  # whatever the library makes of files that change under it
        checkpoint.identity.check()
    known = checkpoint.identity.files
    if known:
        for name in sorted(opened(checkpoint, trusted).keys() ^ known.keys()):
            raise changed(checkpoint.model, name)
        _check_heard(checkpoint, heard)


@contextmanager
def _laid_over(checkpoint: Checkpoint) -> Iterator[Path]:
    """The checkpoint's folder; for an adapter of a hub checkpoint one that names its base's folder.

    The library would take the base at its branch ``main`` whatever revision ``adapter_config.json`` names.
    """
    base = base_of(checkpoint)
    name = f"{checkpoint.home}/adapter_config.json".lstrip("/")
    config = checkpoint.read(name)
    if base is None or os.path.isdir(config["base_model_name_or_path"]):
        yield checkpoint.folder
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made, checkpoint.folder.name)
        shutil.copytree(
            checkpoint.folder, folder, copy_function=lambda file, link: os.symlink(os.path.abspath(file), link)
        )
        (folder / name).unlink()
        (folder / name).write_text(json.dumps({**config, "base_model_name_or_path": str(base)}), encoding="utf-8")
        yield folder


def _check_heard(checkpoint: Checkpoint, heard: Iterable[str]) -> None:
    """Refuse a checkpoint that opened a file which is no part of its revision; from now on it is one.

    :raises Unavailable: naming the file.
    """
    files = checkpoint.identity.files.values()
    known = {os.path.realpath(file.path) for file in files}
    folder = os.path.realpath(checkpoint.folder)
    strays = {
        place.relative_to(folder).as_posix()
        for path in heard
        if (place := Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path))).is_relative_to(folder)
        and place.is_file()
        and os.path.realpath(place) not in known
        and place.name != _CARD
        and "__pycache__" not in place.parts
    }
    if strays:
        with suppress(Unavailable):
            write(_memory(checkpoint), json.dumps(sorted({*_learnt(checkpoint), *strays})))
        raise Unavailable(
            f"{checkpoint.model}: loading it opened {min(strays)}, which is part of its revision from now on; run again"
        )


def _memory(checkpoint: Checkpoint) -> Path:
    return cache_root() / "opened" / f"{sha256(os.fsencode(checkpoint.folder)).hexdigest()[:32]}.json"


def _learnt(checkpoint: Checkpoint) -> list[str]:
    """The names of files that an earlier loading opened unexpectedly."""
    with suppress(OSError, ValueError):
        names = json.loads(_memory(checkpoint).read_bytes())
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return []
