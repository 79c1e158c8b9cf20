"""Cross-encoders through sentence-transformers: a pair of texts is read together and gets one score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from jbench.encode import Encoder, Reader, Tokenized
from jbench.models import neural, tokens
from jbench.models.checkpoint import Checkpoint
from jbench.models.neural import Weights
from jbench.models.options import Options, whole_number
from jbench.models.tokens import Pairs
from jbench.store import Memory
from jbench.types import Card, Float32, UsageError

ACTIVATIONS = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.Identity": "identity",
}
SETTINGS = {"max_length": whole_number}
REVISION = "1"
"""Rises when the same checkpoint would get other scores; part of the settings, so of the key."""


@dataclass(frozen=True)
class CrossEncoder:
    """A reranker. It has no ``search``: ``rerank(FIRST, DEPTH, ...)`` lets it meet a whole corpus."""

    card: Card
    weights: Weights

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """The activated logit of each pair, in float32; ``roles`` change nothing."""
        return np.concatenate(self._encoder(pairs, label="score")) if len(pairs) else np.zeros(0, np.float32)

    def report(self) -> dict[str, Any]:
        """Pairs cut, rates, cost and the device since the last call; nothing before the first."""
        return self.weights.report()

    @cached_property
    def _encoder(self) -> Encoder:
        weights = self.weights
        kept = weights.kept if weights.options.store else Memory(0)  # a pair seldom comes twice in one run
        return Encoder(
            self._reader, weights.options.track, weights.tally, kept, lambda pair: len(pair[0]) + len(pair[1])
        )

    def _reader(self) -> Reader:
        import torch

        module = self.weights.module
        side_by_side = Pairs(module.tokenizer)

        def tokenize(pairs: list[tuple[str, str]], way: str) -> Tokenized:
            sides = [self.weights.said(side) for side in zip(*pairs, strict=True)]
            with self.weights.tokenizing:
                return side_by_side(list(zip(*sides, strict=True)), module.max_seq_length)

        @torch.inference_mode()
        def forward(batch: list[dict[str, list[int]]], way: str) -> Float32:
            # The activation sees float32, or close logits of a half-precision model would tie.
            logits = module(tokens.pad(module.tokenizer, batch, module.device))["scores"].float()
            scores: Float32 = module.activation_fn(logits).cpu().numpy()
            return scores

        return Reader(tokenize, forward, self.weights.budget)


def cross_encoder(checkpoint: Checkpoint, options: Options, by_hand: bool = False) -> CrossEncoder:
    """The adapter for a checkpoint; validates settings.

    :raises UsageError: for a setting that is unknown or out of range, a head with more than one
        label or none, or an activation that is neither sigmoid nor identity.
    """
    config, own = checkpoint.read("config.json"), checkpoint.read("config_sentence_transformers.json")
    if stray := [str(row["type"]) for row in checkpoint.modules if not str(row["type"]).endswith("Transformer")]:
        name = stray[0].rsplit(".", 1)[-1]
        raise UsageError(f"{checkpoint.model} has a {name}, so it is no cross-encoder that this version scores")
    if not any(str(head).endswith("ForSequenceClassification") for head in config.get("architectures") or []):
        raise UsageError(f"{checkpoint.model} is no cross-encoder: it has no head that scores a pair")
    if checkpoint.labels != 1:
        raise UsageError(
            f"{checkpoint.model} has {checkpoint.labels} labels, and nothing says which of them is relevance; "
            "one that ranks has a single one (num_labels=1)"
        )
    if own.get("default_prompt_name"):
        raise UsageError(f"{checkpoint.model} puts a prompt before each pair, which this version does not")
    asked = neural.asked_of("cross-encoder", options, SETTINGS)
    files = {"max_length": checkpoint.max_length, "activation": _activation(checkpoint, config, own)}
    neural.within_positions(checkpoint, files, asked)
    card = neural.card(checkpoint, options, "cross-encoder", REVISION, files, asked, None, by_hand)
    return CrossEncoder(card, Weights(checkpoint, options, card, partial(_make, card), _shape))


def _shape(module: Any) -> dict[str, int | None]:
    return {"longest_input": module.max_seq_length}


def _make(card: Card, folder: str, device: str, arguments: dict[str, Any]) -> Any:
    import torch
    from sentence_transformers import CrossEncoder as Library

    activation = {"sigmoid": torch.nn.Sigmoid, "identity": torch.nn.Identity}[card.settings["activation"]]
    return Library(folder, device=device, activation_fn=activation(), **arguments)


def _activation(checkpoint: Checkpoint, config: dict[str, Any], own: dict[str, Any]) -> str:
    """What is done to the logit, where sentence-transformers 6, 4 and 3 wrote it; else sigmoid."""
    older = config.get("sentence_transformers") or {}
    named = own.get("activation_fn")
    if named is None:
        named = (
            older["activation_fn"] if "activation_fn" in older else config.get("sbert_ce_default_activation_function")
        )
    if named is not None and named not in ACTIVATIONS:
        raise UsageError(f"{checkpoint.model} asks for the activation {named}; sigmoid and identity are known")
    return ACTIVATIONS[named] if named else "sigmoid"
