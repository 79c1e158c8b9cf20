"""Dense checkpoints through sentence-transformers: one vector a text, float32 scores.

The card is made from the checkpoint's files alone; weights are loaded when first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from jbench.encode import TOKENS_PER_BATCH, Encoder, Tally, Tokenized
from jbench.models.checkpoint import Checkpoint
from jbench.models.options import DTYPES, Options, whole_number
from jbench.models.prompts import namesake, resolve
from jbench.search import spans, top_k
from jbench.types import Card, Float32, Run, Texts, Unavailable, UsageError, unknown

DEVICES = ("cpu", "cuda", "mps", "xpu", "npu", "hpu")
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
REVISION = "1"
"""Rises when the same checkpoint would get other scores; part of the settings, so of the key."""


@dataclass(frozen=True)
class Dense:
    """A bi-encoder."""

    card: Card
    checkpoint: Checkpoint
    options: Options

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """Similarity of each pair's two vectors, in float32."""
        left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if roles[0] == roles[1]:  # one call: texts that stand on both sides are encoded once
            both = self._encode(left + right, roles[0])
            return self._similarity("pairwise")(both[: len(left)], both[len(left) :])
        return self._similarity("pairwise")(self._encode(left, roles[0]), self._encode(right, roles[1]))

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """Exact search over the whole corpus."""
        asked = self._encode(queries.texts, "query")
        held = self._encode(documents.texts, "document")
        compare = self._similarity("matrix")
        windows = (compare(asked, held[span]) for span in spans(len(asked), len(held), self.options.track))
        return top_k(queries.ids, documents.ids, windows, k)

    def report(self) -> dict[str, Any]:
        """Texts cut, rates and the device since the last call; nothing before the weights are loaded."""
        if "_encoder" not in self.__dict__:
            return {}
        tally, self._encoder.tally = self._encoder.tally, Tally()
        counts = {"truncated": tally.truncated, "tokens_lost": tally.tokens_lost}
        return {**counts, "device": str(self._module.device), "rates": tally.rates()}

    def _encode(self, texts: Sequence[str], role: str) -> Float32:
        return self._encoder(list(texts), self.card.prompts.get(role, ""))

    def _similarity(self, shape: str) -> Callable[[Float32, Float32], Float32]:
        import torch
        from sentence_transformers import SimilarityFunction

        name = self.card.settings["similarity"]
        makers = {
            "pairwise": SimilarityFunction.to_similarity_pairwise_fn,
            "matrix": SimilarityFunction.to_similarity_fn,
        }
        function = makers[shape](name)

        def compare(a: Float32, b: Float32) -> Float32:
            scores: Float32 = function(torch.from_numpy(a), torch.from_numpy(b)).numpy()
            return scores

        return compare

    @cached_property
    def _module(self) -> Any:
        """The SentenceTransformer, in evaluation mode."""
        import torch

        self.checkpoint.check_weights()
        settings = self.card.settings
        device = self.options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            module = self._load(device, getattr(torch, settings["dtype"]))
            self._check_complete(module)
        except Unavailable:
            raise
        except Exception as error:  # a checkpoint can be broken in as many ways as it has files
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            ask = "; add --trust-remote-code if you trust it" if "trust_remote_code" in str(error) else ""
            raise Unavailable(f"{self.card.model}: sentence-transformers cannot load it: {reason}{ask}") from error
        if settings["max_length"] is not None:
            module.max_seq_length = settings["max_length"]
        return module.eval()

    def _check_complete(self, module: Any) -> None:
        """Refuse a transformer whose tokenizer is empty, or whose weights the library fills at random.

        :raises Unavailable: naming one weight; the pooler, which no pooling reads, may be missing.
        """
        from safetensors import safe_open
        from sentence_transformers.base.modules import Transformer

        if not isinstance(module[0], Transformer) or self.checkpoint.read("adapter_config.json"):
            return  # an adapter's weights are laid over those of another checkpoint
        model, folder = module[0].model, self.checkpoint.folder / self.checkpoint.home
        if module.tokenizer is not None and len(module.tokenizer) <= len(module.tokenizer.all_special_ids):
            raise Unavailable(f"{self.card.model}: no tokenizer in it; save it beside the weights")
        held = set()
        for path in folder.glob("*.safetensors"):
            with safe_open(path, framework="np") as file:
                held |= {key.removeprefix(f"{model.base_model_prefix}.") for key in file.keys()}  # noqa: SIM118
        needed = (key for key in model.state_dict() if "pooler." not in key)
        if all(key.removeprefix(f"{model.base_model_prefix}.") in held for key in needed):
            return
        # The library renames some keys as it reads them, so that only its own account is final.
        known = {"config": model.config, "dtype": model.dtype, "local_files_only": True, "use_safetensors": True}
        again = type(model).from_pretrained(folder, output_loading_info=True, **known)
        account = again[1] if isinstance(again, tuple) else {"missing_keys": ()}
        if missing := sorted(key for key in account["missing_keys"] if "pooler." not in key):
            what = f"{len(missing)} weights, {missing[0]} among them, are missing"
            raise Unavailable(f"{self.card.model}: {what}: do config.json and the weights belong together?")

    def _load(self, device: str, dtype: Any) -> Any:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call] # it draws bars off a terminal too
        logging.set_verbosity_error()  # type: ignore[no-untyped-call] # what matters is checked and said here
        folder, trust = str(self.checkpoint.folder), self.options.trust_remote_code
        weights = {"dtype": dtype, "use_safetensors": True}
        if self.checkpoint.modules:
            module = SentenceTransformer(
                folder, device=device, model_kwargs=weights, trust_remote_code=trust, local_files_only=True
            )
            for i, part in enumerate(module):
                if isinstance(part, Pooling) and "pooling" in self.card.variant:
                    mode = self.card.settings["pooling"]
                    module[i] = Pooling(part.embedding_dimension, mode, include_prompt=part.include_prompt)
            return module
        files = {"local_files_only": True, "trust_remote_code": trust}
        transformer = Transformer(
            folder, model_kwargs={**weights, **files}, processor_kwargs=dict(files), config_kwargs=dict(files)
        )
        pooling = Pooling(transformer.get_embedding_dimension(), self.card.settings["pooling"])
        return SentenceTransformer(modules=[transformer, pooling], device=device)

    @cached_property
    def _encoder(self) -> Encoder:
        from sentence_transformers.base.modules import Transformer

        module = self._module
        budget = TOKENS_PER_BATCH["cpu" if module.device.type == "cpu" else "cuda"]
        if isinstance(module[0], Transformer):
            return self._transformer_encoder(module, budget)

        # Static embeddings and the like: no attention, so nothing to gain from our own batches.
        def characters(texts: list[str]) -> Tokenized:
            return Tokenized(texts, [len(text) for text in texts], [0] * len(texts))

        def forward(batch: list[str], prompt: str) -> Float32:
            vectors: Float32 = module.encode(batch, prompt="", show_progress_bar=False)
            return vectors.astype("float32")

        return Encoder(characters, forward, budget, self.options.track)

    def _transformer_encoder(self, module: Any, budget: int) -> Encoder:
        import torch

        tokenizer, length = module.tokenizer, self.card.settings["max_length"]

        def tokenize(texts: list[str]) -> Tokenized:
            cut = tokenizer(texts, truncation=length is not None, max_length=length)
            keys = [key for key in cut if key != "attention_mask"]
            tokens = [{key: cut[key][i] for key in keys} for i in range(len(texts))]
            lengths, lost = [len(ids) for ids in cut["input_ids"]], [0] * len(texts)
            full = [i for i, n in enumerate(lengths) if length is not None and n >= length]
            if full:
                # Only a text that fills the length can have lost anything.
                whole = tokenizer([texts[i] for i in full], truncation=False, verbose=False)["input_ids"]
                for i, ids in zip(full, whole, strict=True):
                    lost[i] = len(ids) - lengths[i]
            return Tokenized(tokens, lengths, lost)

        @cache
        def prompt_length(prompt: str) -> dict[str, int]:
            # Only a pooling that leaves the prompt out looks at it.
            return {k: n for k, n in module.preprocess([""], prompt=prompt).items() if k == "prompt_length"}

        @torch.inference_mode()
        def forward(batch: list[dict[str, list[int]]], prompt: str) -> Float32:
            padded = tokenizer.pad({key: [t[key] for t in batch] for key in batch[0]}, return_tensors="pt")
            features = {key: value.to(module.device) for key, value in padded.items()} | prompt_length(prompt)
            vectors: Float32 = module(features)["sentence_embedding"].float().cpu().numpy()
            return vectors[:, : module.truncate_dim]

        return Encoder(tokenize, forward, budget, self.options.track)


def dense(checkpoint: Checkpoint, options: Options, by_hand: bool = False) -> Dense:
    """The adapter for a checkpoint; validates settings and resolves prompts.

    :raises UsageError: for a setting that is unknown or out of range, a bare transformer
        without an explicit ``pooling``, or an unknown role or dtype.
    """
    options.only(checkpoint.model, prompt=True, model_set=True, device=True, dtype=True)
    if checkpoint.modules and str(checkpoint.modules[0]["type"]).endswith(("Router", "Asym")):
        raise UsageError(f"{checkpoint.model} routes queries and documents apart, which this version does not score")
    asked = _settings(checkpoint, options.settings)
    if options.dtype and options.dtype not in DTYPES:
        raise unknown("dtype", options.dtype, DTYPES)
    if options.device and options.device.partition(":")[0] not in DEVICES:
        raise unknown("device", options.device, DEVICES)
    if checkpoint.pooling is None and checkpoint.modules and "pooling" in asked:
        raise UsageError(f"{checkpoint.model} has no pooling module whose pooling could be set")
    if checkpoint.pooling is None and not checkpoint.modules and "pooling" not in asked:
        raise UsageError(
            f"{checkpoint.model} is a bare transformer that does not say how to pool; "
            "add --model-set pooling=mean or pooling=cls"
        )
    known_as = (checkpoint.hub_id, checkpoint.base_model, checkpoint.own_prompts)
    usual, _ = resolve(*known_as, {})
    prompts, unprompted = resolve(*known_as, options.prompts)
    files = {"pooling": checkpoint.pooling, "max_length": checkpoint.max_length, "similarity": checkpoint.similarity}
    dtype = DTYPES[options.dtype or "fp32"]
    settings: dict[str, Any] = {**files, **asked, "dtype": dtype, "adapter_revision": REVISION}
    # Only what differs from the checkpoint's own ways makes a row of its own.
    variant: dict[str, Any] = {key: asked[key] for key in sorted(asked) if asked[key] != files[key]}
    if dtype != "float32":
        variant["dtype"] = dtype
    if options.trust_remote_code:
        settings["trust_remote_code"] = variant["trust_remote_code"] = True
    if changed := {role: text for role, text in prompts.items() if text != usual.get(role, "")}:
        variant["prompts"] = changed
    if by_hand and checkpoint.kind[0] != "dense":
        variant["adapter"] = "dense"
    if not prompts and not options.prompts and (family := namesake(checkpoint.model)):
        unprompted = tuple(sorted(family.given))
    said = ", ".join(f"{role} {prompt!r}" for role, prompt in sorted(prompts.items())) or "none"
    lacks = f" ({', '.join(unprompted)} would have one in its family: give it with --prompt)" if unprompted else ""
    options.say(f"{checkpoint.model}: prompts {said}{lacks}")
    card = Card(checkpoint.model, checkpoint.revision, "dense", prompts, settings, variant, unprompted)
    return Dense(card, checkpoint, options)


def _settings(checkpoint: Checkpoint, given: Mapping[str, str]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for key, value in given.items():
        if key == "pooling":
            asked[key] = _one_of(key, value, POOLINGS)
        elif key == "similarity":
            asked[key] = _one_of(key, value, SIMILARITIES)
        elif key == "max_length":
            asked[key] = whole_number(key, value)
            if checkpoint.modules and not str(checkpoint.modules[0]["type"]).endswith("Transformer"):
                raise UsageError(f"max_length={value}: {checkpoint.model} reads texts of any length")
            if checkpoint.positions and asked[key] > checkpoint.positions:
                raise UsageError(f"max_length={value}: {checkpoint.model} has {checkpoint.positions} positions")
        else:
            raise unknown("setting of a dense model", key, ("pooling", "max_length", "similarity"))
    return asked


def _one_of(key: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise unknown(key, value, known)
    return value
