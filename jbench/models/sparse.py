"""Sparse checkpoints (SPLADE and its kin) through sentence-transformers: a weight a vocabulary entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from jbench.encode import Encoder, Reader, Tokenized
from jbench.models import neural, tokens
from jbench.models.checkpoint import Checkpoint
from jbench.models.lexical import Matrix
from jbench.models.neural import Weights, one_of
from jbench.models.options import Options, whole_number
from jbench.search import spans, top_k
from jbench.types import Card, Float32, Run, Texts, UsageError

SIMILARITIES = ("dot", "cosine")
HEADS = ("SpladePooling", "SparseAutoEncoder")
_WEIGHTS_AT_ONCE = 1 << 26
SETTINGS = {"max_length": whole_number, "similarity": one_of(*SIMILARITIES)}
REVISION = "1"
"""Rises when the same checkpoint would get other scores; part of the settings, so of the key."""


@dataclass(frozen=True)
class Sparse:
    """A learned sparse model: its vectors are kept and compared as sparse rows."""

    card: Card
    weights: Weights

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

        rows = self._encoder(list(texts), self.card.prompts.get(role, ""), label)
        if held:
            self.weights.tally.hold(rows)
        starts = np.cumsum([0, *map(len, rows)])
        entries = np.concatenate(rows)
        shape = (len(rows), self.weights.sizes["dimension"])
        matrix = csr_matrix((entries[:, 1], entries[:, 0].astype(np.int64), starts), shape=shape)
        return normalize(matrix) if self.card.settings["similarity"] == "cosine" else matrix

    @cached_property
    def _encoder(self) -> Encoder:
        return self.weights.encoder(self._reader)

    def _reader(self) -> Reader:
        import torch
        from sentence_transformers.util import select_max_active_dims

        module = self.weights.module
        prompt_length = cache(self.weights.prompt_length)

        def tokenize(texts: list[str], prompt: str) -> Tokenized:
            return self.weights.tokenized(self.weights.said(texts, prompt), module.max_seq_length)

        @torch.inference_mode()
        def forward(batch: list[dict[str, list[int]]], prompt: str) -> list[Float32]:
            """float32[entries, 2] a text: columns (exact, being below 2^24) and weights."""
            features = tokens.pad(module.tokenizer, batch, module.device) | prompt_length(prompt)
            weights = module(features)["sentence_embedding"].float()
            if module.max_active_dims is not None:
                weights = select_max_active_dims(weights, module.max_active_dims)
            rows = weights.cpu().numpy()
            return [np.stack([own, row[own]], 1).astype(np.float32) for row in rows for own in [np.flatnonzero(row)]]

        # Before pooling every token has a weight for every entry of the vocabulary.
        budget = min(self.weights.budget, max(1, _WEIGHTS_AT_ONCE // module.get_embedding_dimension()))
        return Reader(tokenize, forward, budget)


def sparse(checkpoint: Checkpoint, options: Options, by_hand: bool = False) -> Sparse:
    """The adapter for a checkpoint; validates settings and resolves prompts.

    :raises UsageError: for a setting that is unknown or out of range, a similarity of dense
        vectors, or a checkpoint without a head over the vocabulary.
    """
    if any(str(row["type"]).endswith("Router") for row in checkpoint.modules):
        raise UsageError(f"{checkpoint.model} routes queries and documents apart, which this version does not score")
    types = [str(row["type"]).rsplit(".", 1)[-1] for row in checkpoint.modules]
    heads = [str(head) for head in checkpoint.read("config.json").get("architectures") or []]
    weighed = any(head.endswith("ForMaskedLM") for head in heads) if not types else not set(types).isdisjoint(HEADS)
    if not weighed:
        raise UsageError(f"{checkpoint.model} is no sparse model: it has no head that weighs the vocabulary")
    named = checkpoint.read("config_sentence_transformers.json").get("similarity_fn_name")
    wrong = options.settings.get("similarity", named)
    if wrong in ("euclidean", "manhattan"):
        raise UsageError(f"similarity={wrong} is one of dense vectors; a sparse model has {' or '.join(SIMILARITIES)}")
    asked = neural.asked_of("sparse", options, SETTINGS)
    similarity = named if named in SIMILARITIES else "dot"
    files = {"max_length": checkpoint.max_length, "similarity": similarity}
    neural.within_positions(checkpoint, files, asked)
    card = neural.card(checkpoint, options, "sparse", REVISION, files, asked, checkpoint.own_prompts, by_hand)
    return Sparse(card, Weights(checkpoint, options, card, _make, _shape))


def _shape(module: Any) -> dict[str, int | None]:
    return {"dimension": module.get_embedding_dimension(), "longest_input": module.max_seq_length}


def _make(folder: str, device: str, arguments: dict[str, Any]) -> Any:
    from sentence_transformers import SparseEncoder

    return SparseEncoder(folder, device=device, **arguments)
