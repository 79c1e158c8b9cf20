"""Cross-encoders through sentence-transformers: a pair of texts is read together and gets one score.

The score comes from a classification head, from a layer over a pooling, or from a language model's logits for "yes" and
"no" after the pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from jbench.encode import Encoder, Reader, Tokenized
from jbench.models import neural, scoring
from jbench.models.checkpoint import Checkpoint
from jbench.models.neural import Weights, one_of
from jbench.models.options import Options, whole_number
from jbench.models.templates import CHAT, PLAIN, Asked, Rendered, Template, template_of, templates
from jbench.models.tokens import Pairs
from jbench.store import Memory
from jbench.types import ROLES, Card, Float32, UsageError

ACTIVATIONS = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.Identity": "identity",
}
ANSWERS = {"relevant": ("irrelevant", "not relevant", "non relevant"), "yes": ("no",), "true": ("false",)}
"""Labels that say that a document is relevant, each with those that say that it is not."""

_FIRST = ("query", "sts")
"""The roles of the first text of a pair."""

SETTINGS = {"max_length": whole_number, "template": one_of(PLAIN, *templates())}
REVISION = "1"
"""Rises when the same checkpoint would get other scores; part of the settings, so of the key."""


@dataclass(frozen=True)
class CrossEncoder:
    """A reranker. It has no ``search``: ``rerank(FIRST, DEPTH, ...)`` lets it meet a whole corpus."""

    card: Card
    weights: Weights

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """The score of each pair, in float32; the prompt of the first role, where there is one, stands before it."""
        prompt = self.card.prompts.get(roles[0], "")
        return np.concatenate(self._encoder(pairs, prompt, "score")) if len(pairs) else np.zeros(0, np.float32)

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

        module, answer = self.weights.module, self.card.settings.get("answer")
        label = None if answer is None else _names(self.weights.checkpoint).index(answer)
        framed, padded = self._framed(module), scoring.padding(module)

        def tokenize(pairs: list[tuple[str, str]], prompt: str) -> Tokenized:
            sides = [self.weights.said(side) for side in zip(*pairs, strict=True)]
            with self.weights.tokenizing:
                rows = framed(list(zip(*sides, strict=True)), prompt, self.card.settings["max_length"])
            return self.weights.within_rows(rows)

        @torch.inference_mode()
        def forward(batch: list[dict[str, list[int]]], prompt: str) -> Float32:
            # The activation sees float32, or close logits of a half-precision model would tie.
            logits = scoring.scores(module, padded(batch))
            if label is not None:
                logits = logits.softmax(dim=1)[:, label : label + 1]
            scores: Float32 = module.activation_fn(logits).cpu().numpy()
            return scores

        return Reader(tokenize, forward, self.weights.budget)

    def _framed(self, module: Any) -> Callable[[Sequence[tuple[str, str]], str, int], Tokenized]:
        """What makes rows of token ids of pairs, a prompt and a length."""
        named = self.card.settings.get("template")
        if named in templates():
            return Asked(self.card.model, module.tokenizer, templates()[named])
        if named == CHAT:
            rendered = Rendered(module[0])
            rendered.check(self.card.model)
            return rendered
        side_by_side = Pairs(module.tokenizer)
        return lambda pairs, prompt, _: side_by_side(
            [(prompt + left, right) for left, right in pairs], module.max_seq_length
        )


def cross_encoder(checkpoint: Checkpoint, options: Options, by_hand: bool = False) -> CrossEncoder:
    """The adapter for a checkpoint; validates settings and resolves the prompt before a pair.

    :raises UsageError: for a setting that is unknown or out of range, a checkpoint without a head or a template that
        scores a pair, labels that do not say which of them is relevance, or an unknown activation.
    """
    config, own = (
        checkpoint.read(f"{checkpoint.home}/config.json"),
        checkpoint.read("config_sentence_transformers.json"),
    )
    asked = neural.asked_of("cross-encoder", options, SETTINGS)
    named = asked.get("template")
    known = template_of(checkpoint.hub_id, checkpoint.model) if named is None else templates().get(named)
    files: dict[str, Any] = {"max_length": checkpoint.max_length, "activation": _activation(checkpoint, config, own)}
    if _is_causal(checkpoint):
        if not checkpoint.modules:
            known = _of_family(checkpoint, known)
            files["activation"] = known.activation
    elif checkpoint.scored_labels is None:
        _check_head(checkpoint, config)
        if checkpoint.labels != 1:
            files |= {"activation": "softmax", "answer": _answer(checkpoint, files["activation"])}
    elif checkpoint.scored_labels != 1:
        raise UsageError(
            f"{checkpoint.model} gives {checkpoint.scored_labels} scores, and nothing says which is relevance"
        )
    if known and (named or not checkpoint.modules):
        files |= {"template": known.name, "max_length": known.max_length}
    elif _is_chat(checkpoint):
        files["template"] = CHAT
    neural.within_positions(checkpoint, files, asked)
    used = {**files, **asked}.get("template")
    template = templates().get(str(used))
    carried = _before_pairs(checkpoint, template, own)
    if stray := [role for role in options.prompts if carried and role in ROLES and role not in _FIRST]:
        raise UsageError(f"--prompt {stray[0]}: one prompt stands before a pair, that of {' or '.join(_FIRST)}")
    card = neural.card(checkpoint, options, "cross-encoder", REVISION, files, asked, carried, by_hand)
    if template and not options.prompts:
        for source, instruction in template.others.items():
            options.say(f"{checkpoint.model}: {source} has another instruction, {instruction!r}; --prompt query=TEXT")
    return CrossEncoder(card, Weights(checkpoint, options, card, partial(_make, checkpoint, card), _shape))


def _is_causal(checkpoint: Checkpoint) -> bool:
    """Whether a language model's logits score a pair: by a LogitScore, or as the only head there is."""
    if checkpoint.modules:
        return checkpoint.module("LogitScore") is not None
    return any(head.endswith("ForCausalLM") for head in checkpoint.heads)


def _of_family(checkpoint: Checkpoint, known: Template | None) -> Template:
    if known is None:
        raise UsageError(
            f"{checkpoint.model} is a causal language model, and nothing says how it is asked about a pair; if it is "
            f"a reranker, name its template: --model-set template={'|'.join(templates())}"
        )
    return known


def _check_head(checkpoint: Checkpoint, config: dict[str, Any]) -> None:
    if stray := [str(row["type"]) for row in checkpoint.modules if not str(row["type"]).endswith("Transformer")]:
        name = stray[0].rsplit(".", 1)[-1]
        raise UsageError(f"{checkpoint.model} has a {name}, so it is no cross-encoder that this version scores")
    if not any(str(head).endswith("ForSequenceClassification") for head in config.get("architectures") or []):
        raise UsageError(f"{checkpoint.model} is no cross-encoder: it has no head that scores a pair")


def _names(checkpoint: Checkpoint) -> list[str]:
    """The names of a head's labels in their order, in small letters and without marks between words."""
    named = checkpoint.read(f"{checkpoint.home}/config.json").get("id2label") or {}
    names = [str(named.get(str(i), "")) for i in range(checkpoint.labels)]
    return [name.lower().replace("_", " ").replace("-", " ").strip() for name in names]


def _answer(checkpoint: Checkpoint, activation: str) -> str:
    """Which of two labels is relevance, by its name."""
    names = _names(checkpoint)
    answers = [yes for yes in names if len(names) == 2 and any(no in ANSWERS.get(yes, ()) for no in names)]
    if not answers:
        raise UsageError(
            f"{checkpoint.model} has {checkpoint.labels} labels, and nothing says which of them is relevance; "
            "one that ranks has a single one (num_labels=1), or two that id2label calls relevant and irrelevant"
        )
    if activation != "identity":
        raise UsageError(f"{checkpoint.model} has two labels and asks for the {activation} of each; softmax is known")
    return answers[0]


def _is_chat(checkpoint: Checkpoint) -> bool:
    """Whether pairs are read through the checkpoint's own chat template, as sentence-transformers 6 decides it."""
    home = checkpoint.home
    if checkpoint.modules:
        ways = checkpoint.read(f"{home}/sentence_bert_config.json").get("modality_config")
        return isinstance(ways, dict) and "message" in ways
    folder = checkpoint.folder / home
    told = checkpoint.read(f"{home}/tokenizer_config.json").get("chat_template")
    return bool(told) or any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json"))


def _before_pairs(checkpoint: Checkpoint, template: Template | None, own: dict[str, Any]) -> dict[str, str] | None:
    """The prompt that stands before a pair unless another is asked for; None for a model that takes none."""
    if template and not any("{instruction}" in part for part in template.pair):
        return None
    if own.get("default_prompt_name"):
        text = checkpoint.own_prompts["default"]
    elif template:
        text = template.instruction or ""
    else:
        return None
    return dict.fromkeys(_FIRST, text)


def _shape(module: Any) -> dict[str, int | None]:
    return {"longest_input": module.max_seq_length}


def _make(checkpoint: Checkpoint, card: Card, folder: str, device: str, arguments: dict[str, Any]) -> Any:
    import torch
    from sentence_transformers import CrossEncoder as Library

    named = card.settings["activation"]
    activation = torch.nn.Sigmoid() if named == "sigmoid" else torch.nn.Identity()  # softmax is taken over both labels
    if _is_causal(checkpoint) and not checkpoint.modules:
        template = templates()[card.settings["template"]]
        parts = scoring.language_model(card.model, template, folder, arguments)
        module = Library(modules=parts, device=device, activation_fn=activation)
    else:
        module = Library(folder, device=device, activation_fn=activation, **arguments)
        if _is_causal(checkpoint):
            scoring.check_answers(card.model, module)
    return module


def _activation(checkpoint: Checkpoint, config: dict[str, Any], own: dict[str, Any]) -> str:
    """What is done to the logit, where sentence-transformers 6, 4 and 3 wrote it; else sigmoid for one label."""
    older = config.get("sentence_transformers") or {}
    named = own.get("activation_fn")
    if named is None:
        named = (
            older["activation_fn"] if "activation_fn" in older else config.get("sbert_ce_default_activation_function")
        )
    if named is not None and named not in ACTIVATIONS:
        raise UsageError(f"{checkpoint.model} asks for the activation {named}; sigmoid and identity are known")
    if named:
        return ACTIVATIONS[named]
    one = _is_causal(checkpoint) or (checkpoint.scored_labels or checkpoint.labels) == 1
    return "sigmoid" if one else "identity"
