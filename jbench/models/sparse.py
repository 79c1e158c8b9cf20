"""Sparse checkpoints (SPLADE and its kin) through sentence-transformers: a weight a vocabulary entry.

Queries and documents may go different ways (a Router): where queries are weighed by a table alone, no model runs for
them ("inference-free").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from jbench.encode import Encoder, Reader, Tokenized
from jbench.models import m3, neural, reading, tokens
from jbench.models.checkpoint import Checkpoint
from jbench.models.lexical import Matrix
from jbench.models.module import inside
from jbench.models.neural import Weights, one_of
from jbench.models.options import Options, whole_number
from jbench.search import spans, top_k
from jbench.types import Card, Float32, Run, Texts, Unavailable, UsageError

SIMILARITIES = ("dot", "cosine")
HEADS = ("SpladePooling", "SparseAutoEncoder", "SparseStaticEmbedding", "IDF")
TABLES = ("sentence_transformers.sparse_encoder.models.IDF",)
"""The class SparseStaticEmbedding under the name that it had before sentence-transformers 5 came out."""

_WEIGHTS_AT_ONCE = 1 << 26
_SPARSE = 0.1
"""Of the vocabulary the share that a text of a SPLADE weighs is far below this: its training asks for a hundredth."""

SETTINGS = {"max_length": whole_number, "similarity": one_of(*SIMILARITIES), "max_active_dims": whole_number}
REVISION = "1"
"""Rises when the same checkpoint would get other scores; part of the settings, so of the key."""


@dataclass(frozen=True)
class Sparse:
    """A learned sparse model: its vectors are kept and compared as sparse rows."""

    card: Card
    weights: Weights
    doubts: set[str] = field(default_factory=set, repr=False)

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """Similarity of each pair's two sparse vectors, in float32."""
        if not len(pairs):
            return np.zeros(0, np.float32)
        asked = self._encode([pair[0] for pair in pairs], roles[0])
        held = self._hold([pair[1] for pair in pairs], roles[1])
        return np.asarray(asked.multiply(held).sum(axis=1), np.float32).ravel()

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """Documents that share an entry with the query, best first."""
        asked = self._encode(queries.texts, "query")
        options = self.weights.options
        windows = (
            (asked @ self._hold(documents.texts[span], "document", "").T).toarray()
            for span in spans(len(queries), len(documents), k, options.track, options.memory, most=tokens.TEXTS_AT_ONCE)
        )
        with self._encoder.gathering():
            return top_k(queries.ids, documents.ids, windows, k, floor=0.0)

    def report(self) -> dict[str, Any]:
        """Texts cut, rates, cost and the device since the last call; nothing before the first."""
        return self.weights.report()

    def _hold(self, texts: Sequence[str], role: str, label: str = "encode") -> Matrix:
        with self.weights.tally.preparing():
            return self._encode(texts, role, label, held=True)

    def _encode(self, texts: Sequence[str], role: str, label: str = "encode", held: bool = False) -> Matrix:
        """A CSR matrix, float32, a row a text."""
        from scipy.sparse import csr_matrix
        from sklearn.preprocessing import normalize

        prompt = self.card.prompts.get(role, "")
        rows = self._encoder(list(texts), (role, prompt) if self._routed else prompt, label)
        if held:
            self.weights.tally.hold(rows)
        starts = np.cumsum([0, *map(len, rows)])
        entries = np.concatenate(rows)
        shape = (len(rows), self._columns)
        self._doubt(starts[-1] / (shape[0] * shape[1]))
        matrix = csr_matrix((entries[:, 1], entries[:, 0].astype(np.int64), starts), shape=shape)
        return normalize(matrix) if self.card.settings["similarity"] == "cosine" else matrix

    @cached_property
    def _encoder(self) -> Encoder:
        return self.weights.encoder(self._reader)

    @property
    def _columns(self) -> int:
        """How many columns every matrix has: the vectors' own, and the vocabulary's where a store told the less."""
        checkpoint = self.weights.checkpoint
        entries = checkpoint.read(f"{checkpoint.home}/config.json").get("vocab_size")
        return max(self.weights.sizes["dimension"], entries if isinstance(entries, int) else 0)

    @property
    def _routed(self) -> bool:
        return any(str(row["type"]).endswith("Router") for row in self.weights.checkpoint.modules)

    def _doubt(self, share: float) -> None:
        """Say it where the vectors are so full that the checkpoint can hardly have been trained for sparse ones."""
        if share > _SPARSE and not self.weights.checkpoint.modules and not self.doubts:
            self.doubts.add("full")
            self.weights.options.say(
                f"{self.card.model}: its vectors weigh {share:.0%} of the vocabulary, those of a SPLADE a hundredth or "
                "so: it may be a language model that was never trained to be one"
            )

    def _reader(self) -> Reader:
        import torch
        from sentence_transformers.util import select_max_active_dims

        module = self.weights.module
        prompt_length = cache(self.weights.prompt_length)
        most = module.max_active_dims
        kept = {} if most is None else {"max_active_dims": most}

        def tokenize(texts: list[str], way: Any) -> Tokenized:
            if not self._routed:
                return self.weights.tokenized(self.weights.said(texts, way), module.max_seq_length)
            entry, length = _entry(module, way[0]), self.card.settings["max_length"]
            special = not _is_table(entry)
            with self.weights.tokenizing:
                said = self.weights.said(texts, way[1])
                return tokens.tokenize(entry.tokenizer, said, length or _limit(entry), special=special)

        @torch.inference_mode()
        def forward(batch: list[dict[str, list[int]]], way: Any) -> list[Float32]:
            """float32[entries, 2] a text: columns (exact, being below 2^24) and weights."""
            if self._routed:
                features = tokens.pad(_entry(module, way[0]).tokenizer, batch, module.device)
                weights = module(features, task=_task(way[0]), **kept)["sentence_embedding"].float()
            else:
                features = tokens.pad(module.tokenizer, batch, module.device) | prompt_length(way)
                weights = module(features, **kept)["sentence_embedding"].float()
            if most is not None:
                weights = select_max_active_dims(weights, most)
            rows = weights.cpu().numpy()
            return [np.stack([own, row[own]], 1).astype(np.float32) for row in rows for own in [np.flatnonzero(row)]]

        # Before pooling every token has a weight for every entry of the vocabulary.
        budget = min(self.weights.budget, max(1, _WEIGHTS_AT_ONCE // self.weights.sizes["dimension"]))
        return Reader(tokenize, forward, budget)


def _task(role: str) -> str | None:
    """What sentence-transformers' `encode_query`, `encode_document` and `encode` tell a Router."""
    return role if role in ("query", "document") else None


def _entry(module: Any, role: str) -> Any:
    """The module that reads the texts of a role.

    :raises UsageError: when no way is for it.
    """
    from sentence_transformers.base.modules import Router

    router = module[0]
    if not isinstance(router, Router):  # queries and documents part later
        return router
    try:
        return router.sub_modules[router._resolve_route(task=_task(role), modality="text")][0]
    except ValueError as error:
        ways = " and ".join(router.sub_modules)
        raise UsageError(f"texts of the role {role} have no way through its Router, which is for {ways}") from error


def _is_table(entry: Any) -> bool:
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    return isinstance(entry, SparseStaticEmbedding)


def _limit(entry: Any) -> int | None:
    length = entry.max_seq_length
    return length if length and length < 1 << 24 else None


def sparse(checkpoint: Checkpoint, options: Options, by_hand: bool = False) -> Sparse:
    """The adapter for a checkpoint; validates settings and resolves prompts.

    :raises UsageError: for a setting that is unknown or out of range, a similarity of dense
        vectors, or a checkpoint without a head over the vocabulary.
    """
    inner = _inner(checkpoint)
    weighed = _weighs(inner) if inner else any(head.endswith("ForMaskedLM") for head in checkpoint.heads)
    if tokens_weigh := not weighed and m3.has_heads(checkpoint):
        m3.check_heads(checkpoint)
    elif not weighed:
        raise UsageError(f"{checkpoint.model} is no sparse model: it has no head that weighs the vocabulary")
    if not checkpoint.modules and (checkpoint.folder / "idf.json").is_file():
        raise UsageError(
            f"{checkpoint.model} weighs queries by idf.json, and nothing says what is done to the weights of its "
            "documents; a revision of it with modules.json says both"
        )
    # A similarity beside further heads is that of the dense vectors.
    own = {} if tokens_weigh else checkpoint.read("config_sentence_transformers.json")
    named = own.get("similarity_fn_name")
    wrong = options.settings.get("similarity", named)
    if wrong in ("euclidean", "manhattan"):
        raise UsageError(f"similarity={wrong} is one of dense vectors; a sparse model has {' or '.join(SIMILARITIES)}")
    asked = neural.asked_of("sparse", options, SETTINGS)
    similarity = named if named in SIMILARITIES else "dot"
    routed = len(inner) > len(checkpoint.modules)  # each way has a length of its own
    files = {"max_length": None if routed else checkpoint.max_length, "similarity": similarity}
    if tokens_weigh:
        files["head"] = m3.SPARSE
    if "max_active_dims" in asked:
        files["max_active_dims"] = checkpoint.read("config_sentence_transformers.json").get("max_active_dims")
    neural.within_positions(checkpoint, files, asked)
    card = neural.card(checkpoint, options, "sparse", REVISION, files, asked, checkpoint.own_prompts, by_hand)
    return Sparse(card, Weights(checkpoint, options, card, partial(_make, checkpoint, card), _shape))


def _inner(checkpoint: Checkpoint) -> list[str]:
    """The types of its modules, those inside a Router too."""
    types = [str(row["type"]) for row in checkpoint.modules]
    for row in checkpoint.modules:
        if str(row["type"]).endswith("Router"):
            types += [str(kind) for kind in checkpoint.routes(row["path"]).get("types", {}).values()]
    return types


def _check_inner(checkpoint: Checkpoint, home: str, part: Any) -> None:
    """Refuse a transformer with weights of chance, or a table whose tokens are not those of its own files.

    :raises Unavailable: saying which.
    """
    from sentence_transformers.base.modules import Transformer

    if isinstance(part, Transformer):
        neural.check_filled(checkpoint, part, home)
    elif _is_table(part) and (other := reading.compare(checkpoint, part.tokenizer, reading.PROBES, home)):
        raise Unavailable(f"{checkpoint.model}/{home}: its tokens are not those that its files say: {other[0]}")


def _shape(module: Any) -> dict[str, int | None]:
    from sentence_transformers.base.modules import Router

    # Ways may differ in what lies behind the tokenizer's last entry, as the rows of a model are rounded up.
    ways = module[0].sub_modules.values() if isinstance(module[0], Router) else [module]
    return {"dimension": max(_width(list(way)) for way in ways), "longest_input": module.max_seq_length}


def _width(way: Sequence[Any]) -> int:
    """How many entries a vector has that these modules make."""
    own = [getattr(part, name, None) for part in reversed(way) for name in ("hidden_dim", "num_dimensions")]
    known = next((width for width in own if width), None)
    return int(known or way[0].model.config.get_text_config().vocab_size)


def _load(checkpoint: Checkpoint, folder: str, device: str, arguments: dict[str, Any]) -> Any:
    from sentence_transformers import SentenceTransformer, SparseEncoder
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    types = _inner(checkpoint)
    if types and not _weighs(types):
        whole = SentenceTransformer(folder, device=device, **arguments)
        return SparseEncoder(modules=m3.sparse_modules(checkpoint, whole[0]), device=device)
    if set(TABLES).isdisjoint(types):
        return SparseEncoder(folder, device=device, **arguments)
    renamed = dict.fromkeys(TABLES, SparseStaticEmbedding)
    return SparseEncoder._load_with_module_classes(folder, renamed, device=device, **arguments)


def _make(checkpoint: Checkpoint, card: Card, folder: str, device: str, arguments: dict[str, Any]) -> Any:
    module = _load(checkpoint, folder, device, arguments)
    for home, part in inside(checkpoint, module):
        _check_inner(checkpoint, home, part)
    if "max_active_dims" in card.settings:
        module.max_active_dims = card.settings["max_active_dims"]
    return module


def _weighs(types: Sequence[str]) -> bool:
    """Whether a module of these types weighs the vocabulary, or entries of its own."""
    return any(name.rsplit(".", 1)[-1] in HEADS for name in types)
