"""Dense checkpoints through sentence-transformers: one vector a text, float32 scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from jbench import quantised, similarity
from jbench.encode import Encoder, Reader
from jbench.models import neural, tokens
from jbench.models.checkpoint import Checkpoint
from jbench.models.module import Facts, facts, inside
from jbench.models.neural import Weights, one_of
from jbench.models.options import Options, whole_number
from jbench.models.own_code import check_code
from jbench.models.side import Side
from jbench.models.templates import templates
from jbench.nearest import nearest
from jbench.quantised import Quantised
from jbench.search import Best, spans
from jbench.types import ROLES, Card, Float32, Int64, Run, Texts, UsageError

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
SETTINGS = {
    "pooling": one_of(*POOLINGS),
    "max_length": whole_number,
    "similarity": one_of(*similarity.DENSE),
    "dimension": whole_number,
    "precision": one_of(*quantised.PRECISIONS),
}
REVISION = "1"
"""Rises when the same checkpoint would get other scores; part of the settings, so of the key."""

_TRUNCATED_REVISION = "2"
"""That of a checkpoint with a ``truncate_dim``: its vectors are kept whole, and cut when they are compared."""

_BYTES = 12
"""Of one number of a document that is compared: as stored, in float32, normalised."""


@dataclass(frozen=True)
class Dense:
    """A bi-encoder."""

    card: Card
    weights: Weights
    told: Facts
    kept: list[float] = field(default_factory=list, repr=False)

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """Similarity of each pair's two vectors, in float32; where a precision is asked for, of what it leaves.

        Of two roles the left is read as a query and stays as it is; of one, both sides are stored.
        """
        left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        name = self.card.settings["similarity"]
        if roles[0] == roles[1]:  # one call: texts that stand on both sides are encoded once
            texts, places = _distinct(left + right)
            both = self._stored_and_read(self._encode(texts, roles[0]))
            return self._compared(name, both, places[: len(left)], both, places[len(left) :])
        texts, left_places = _distinct(left)
        asked = self._encode(texts, roles[0])
        texts, right_places = _distinct(right)
        with self.weights.tally.preparing():
            held = self._encode(texts, roles[1])
        exact = self._compared(name, asked, left_places, held, right_places)
        if self._precision is None:
            self.weights.tally.hold(held)
            return exact
        stored = self._stored_and_read(held)
        scores = self._compared("dot", self._comparable(asked), left_places, stored, right_places)
        self.kept.extend(quantised.kept_of_pairs(left, exact, scores))
        return scores

    def _compared(self, name: str, a: Float32, i: Int64, b: Float32, j: Int64) -> Float32:
        """The similarity of each row ``i`` of ``a`` with its row ``j`` of ``b``, gathered a span at a time."""
        if not len(i):
            return np.zeros(0, np.float32)
        rows = max(1, self.weights.options.memory // (2 * _BYTES * a.shape[1]))
        parts = [slice(start, start + rows) for start in range(0, len(i), rows)]
        return np.concatenate([similarity.pairwise(name, a[i[part]], b[j[part]]) for part in parts])

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """Exact search over the whole corpus, whose vectors are held a window at a time."""
        asked = self._encode(queries.texts, "query")
        if self._precision is not None:
            return self._search_stored(queries, asked, documents, k)
        name, device = self.card.settings["similarity"], self.weights.device
        compare = similarity.matrix(name, asked, device, len(documents))
        near = nearest(name, asked, k, device, len(documents))
        each = _BYTES * asked.shape[1]
        options = self.weights.options
        best = Best(queries.ids, documents.ids, k)
        with self._encoder.gathering():
            for span in spans(len(asked), len(documents), k, options.track, options.memory, each, tokens.TEXTS_AT_ONCE):
                with self.weights.tally.preparing():
                    held = self._encode(documents.texts[span], "document", label="")
                self.weights.tally.hold(held)
                if near:
                    best.add_found(len(held), *near(held, best.last))
                else:
                    best.add(compare(held))
        return best.run()

    def report(self) -> dict[str, Any]:
        """Texts cut, rates, cost and the device since the last call; nothing before the first."""
        report = self.weights.report()
        if report and (dimension := self.card.settings.get("dimension")):
            report["cost"]["dimension"] = dimension
        if self.kept:
            report["cost"][f"recall@{quantised.KEPT}_kept"] = round(sum(self.kept) / len(self.kept), 4)
            self.kept.clear()
        return report

    def _encode(self, texts: Sequence[str], role: str, label: str = "encode") -> Float32:
        self.weights.check_dimension()
        vectors = self._encoder.matrix(texts, self._way(role), label)
        dimension = self.card.settings.get("dimension")
        if dimension is None or not len(vectors):
            return vectors
        return similarity.cut(vectors, dimension, _normalises(self.weights.checkpoint))

    def _way(self, role: str) -> str | tuple[str, str]:
        """What a role's texts are read behind: a prompt, and where any module asks for it the role itself."""
        prompt = self.card.prompts.get(role, "")
        if self.told.tasks is None and self.told.longest == dict.fromkeys(ROLES, self.told.longest.get(role)):
            return prompt
        if self.told.tasks is not None and role not in self.told.tasks:
            takes = ", ".join(self.told.tasks)
            raise UsageError(f"{self.card.model} has no way for the role {role}: its modules read {takes}")
        return role, prompt

    @property
    def _precision(self) -> str | None:
        return self.card.settings.get("precision")

    def _comparable(self, vectors: Float32) -> Float32:
        """Vectors whose dot product is what the model compares by."""
        return similarity.normalised(vectors) if self.card.settings["similarity"] == "cosine" else vectors

    def _hold(self, stored: Quantised, count: int) -> None:
        tally = self.weights.tally
        tally.documents += count
        tally.stored += count * stored.bytes_per_vector / 2
        tally.shared = stored.bytes_shared // 2

    def _stored_and_read(self, vectors: Float32) -> Float32:
        """Vectors as they are after they were stored, in a precision that is learnt from them; else as they are."""
        if self._precision is None or not len(vectors):
            return vectors
        vectors = self._comparable(vectors)
        stored = Quantised.learnt(self._precision, [vectors])
        self._hold(stored, len(vectors))
        read = stored.read_back(stored.encode(vectors))
        # Bits as 1 and -1: with 0 for -1 the pairs of one query would keep their order, but not those of several.
        return 2 * read - 1 if stored.precision == "binary" else read

    def _search_stored(self, queries: Texts, asked: Float32, documents: Texts, k: int) -> Run:
        """Search over documents as they are stored, and beside it by float32, for what of its best is kept."""
        options, asked = self.weights.options, self._comparable(asked)
        each = _BYTES * asked.shape[1]

        def windows() -> Iterator[Float32]:
            most = tokens.TEXTS_AT_ONCE
            for span in spans(len(asked), len(documents), k, options.track, options.memory, each, most):
                with self.weights.tally.preparing():
                    vectors = self._comparable(self._encode(documents.texts[span], "document", label=""))
                yield vectors

        with self._encoder.gathering():
            stored = Quantised.learnt(str(self._precision), windows())
            self._hold(stored, len(documents))
            best = Best(queries.ids, documents.ids, quantised.KEPT)
            for vectors in windows():
                with self.weights.tally.preparing():
                    best.add(asked @ vectors.T)
            run = quantised.search(stored, queries, asked, documents, windows, k)
        self.kept.extend(quantised.kept(best.run(), run))
        return run

    @cached_property
    def _encoder(self) -> Encoder:
        return self.weights.encoder(self._reader)

    def _reader(self) -> Reader:
        @cache
        def side(way: str | tuple[str, str]) -> Side:
            role, prompt = way if isinstance(way, tuple) else ("", way)
            return Side(self.weights, role, (self.told.tasks or {}).get(role), prompt)

        return Reader(
            lambda texts, way: side(way).tokenize(texts),
            lambda batch, way: side(way).forward(batch),
            self.weights.budget,
        )


def _distinct(texts: Sequence[str]) -> tuple[list[str], Int64]:
    """The distinct texts, in the order in which they come, and the place of each text among them."""
    at = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(at), np.fromiter((at[text] for text in texts), np.int64, len(texts))


def dense(checkpoint: Checkpoint, options: Options, by_hand: bool = False) -> Dense:
    """The adapter for a checkpoint; validates settings and resolves prompts.

    :raises UsageError: for a setting that is unknown or out of range, a bare transformer
        without an explicit ``pooling``, or an unknown role or dtype.
    """
    asked = neural.asked_of("dense", options, SETTINGS)
    if not checkpoint.modules and "pooling" not in asked:
        check_code(checkpoint, options.trust_remote_code)
        raise UsageError(f"{checkpoint.model} is {_how_it_may_be_read(checkpoint)}")
    build = partial(_make, checkpoint, None if checkpoint.modules else asked["pooling"])
    told = facts(checkpoint, "dense", build, options.trust_remote_code)
    if not told.vectors:
        raise UsageError(
            f"{checkpoint.model}: modules.json names no pooling, so no module makes one vector of a text; "
            "name one there, or remove it and give --model-set pooling=mean or pooling=cls"
        )
    if told.pooling is None and "pooling" in asked:
        raise UsageError(f"{checkpoint.model} has no pooling module whose pooling could be set")
    if "max_length" in asked and told.unlimited:
        raise UsageError(f"max_length={asked['max_length']}: {checkpoint.model} reads texts of any length")
    compared = checkpoint.similarity if checkpoint.similarity in similarity.DENSE else "cosine"
    pooling = told.pooling if checkpoint.modules else None
    files = {"pooling": pooling, **_lengths(told, asked), "similarity": compared, **_tasks(told)}
    revision = REVISION
    if truncated := checkpoint.read("config_sentence_transformers.json").get("truncate_dim"):
        files, revision = files | {"dimension": truncated}, _TRUNCATED_REVISION
    if "precision" in asked:
        _check_precision(asked, {**files, **asked}["similarity"])
    neural.within_positions(checkpoint, files, asked, told)
    card = neural.card(checkpoint, options, "dense", revision, files, asked, checkpoint.own_prompts, by_hand)
    mode = card.settings["pooling"] if not checkpoint.modules or "pooling" in card.variant else None
    make = partial(_make, checkpoint, mode)
    return Dense(card, Weights(checkpoint, options, card, make, partial(_shape, card)), told)


def _lengths(told: Facts, asked: Mapping[str, Any]) -> dict[str, int | None]:
    """The longest input of a text that has no side, and of a query and a document where theirs are other ones."""
    usual = told.longest.get("sts", max(told.longest.values(), key=lambda n: n or 0))
    own = {role: told.longest.get(role) for role in ("query", "document")}
    most = asked.get("max_length")
    other = {
        f"{role}_length": n for role, n in own.items() if n is not None and n != usual and (most is None or n < most)
    }
    return {"max_length": usual, **other}


def _tasks(told: Facts) -> dict[str, str]:
    """What the modules are told of a text, where they ask: a name by role."""
    named = {role: task for role, task in (told.tasks or {}).items() if task is not None}
    return {"tasks": ", ".join(f"{role}: {task}" for role, task in named.items())} if told.tasks is not None else {}


def _check_precision(asked: dict[str, Any], compared: str) -> None:
    """Refuse a precision with a distance; bits without a sign are the same bits."""
    if compared not in ("cosine", "dot"):
        raise UsageError(f"precision={asked['precision']} is for cosine and dot, not for similarity={compared}")
    asked["precision"] = asked["precision"].removeprefix("u")


def _normalises(checkpoint: Checkpoint) -> bool:
    """Whether its last module brings vectors to length 1."""
    return bool(checkpoint.modules) and str(checkpoint.modules[-1]["type"]).endswith("Normalize")


def _how_it_may_be_read(checkpoint: Checkpoint) -> str:
    """Of a bare transformer, whose files do not say what it is for, each reading and how it is chosen."""
    where, head = checkpoint.given or checkpoint.model, next(iter(checkpoint.heads), "")
    if head.endswith("ForMaskedLM"):
        return (
            f"a bare {head}, which may be a SPLADE, whose head weighs the vocabulary, or an encoder: write "
            f"sparse:{where}, or add --model-set pooling=mean or pooling=cls"
        )
    if head.endswith("ForCausalLM"):
        names = "|".join(templates())
        return (
            f"a bare {head}, which may be a reranker or an encoder: write cross-encoder:{where} and --model-set "
            f"template={names}, or add --model-set pooling=lasttoken or pooling=mean"
        )
    return "a bare transformer that does not say how to pool; add --model-set pooling=mean or pooling=cls"


def _shape(card: Card, module: Any) -> dict[str, int | None]:
    return {"dimension": module.get_embedding_dimension(), "longest_input": card.settings["max_length"]}


def _make(checkpoint: Checkpoint, mode: str | None, folder: str, device: str, arguments: dict[str, Any]) -> Any:
    """The SentenceTransformer; ``mode`` is a pooling to put in the place of each of its own."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    def pooled(part: Any) -> Any:
        if isinstance(part, Router):
            for way in part.sub_modules.values():
                for i, inner in enumerate(way):
                    way[i] = pooled(inner)
        if isinstance(part, Pooling):
            return Pooling(part.embedding_dimension, mode, include_prompt=part.include_prompt)
        return part

    if checkpoint.modules:
        module = SentenceTransformer(folder, device=device, **arguments)
        for home, part in inside(checkpoint, module):
            if isinstance(part, Transformer) and part.model.device.type != "meta":
                neural.check_filled(checkpoint, part, home)
        module.truncate_dim = None  # cut when vectors are compared
        if mode is not None:
            for i, part in enumerate(module):
                module[i] = pooled(part)
        return module
    files = {key: arguments[key] for key in ("local_files_only", "trust_remote_code")}
    weights = {**arguments["model_kwargs"], **files}
    transformer = Transformer(folder, model_kwargs=weights, processor_kwargs=dict(files), config_kwargs=dict(files))
    return SentenceTransformer(
        modules=[transformer, Pooling(transformer.get_embedding_dimension(), mode)], device=device
    )
