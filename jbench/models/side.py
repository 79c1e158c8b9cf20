"""How a dense model reads the texts of one role: by which module, behind which prompt, as which task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jbench.encode import Tokenized
from jbench.models.module import parts
from jbench.models.neural import Weights
from jbench.types import Float32, Unavailable

Rows = list[dict[str, list[int]]]


@dataclass(frozen=True)
class Side:
    """Texts of ``role``; ``task`` is given to the modules where they ask for one, ``prompt`` stands before each text.

    Where the first module is a Transformer that reads a text as transformers tokenizes it, batches are ours. A chat
    template, settings of the processor and modules of another kind are the library's to apply.
    """

    weights: Weights
    role: str
    task: str | None
    prompt: str

    def tokenize(self, texts: list[str]) -> Tokenized:
        """Rows of token ids; the texts themselves for a module that counts no tokens."""
        if self._plain:
            said = self.weights.said(texts, self.prompt)
            return self.weights.tokenized(said, self._length, self._entry.tokenizer)
        said = self.weights.said(texts)
        return self._by_library(said) if self._rows else Tokenized(said, [len(t) for t in said], [0] * len(said))

    def forward(self, batch: Sequence[Any]) -> Float32:
        """float32[n, d]: a vector for each item of `tokenize`.

        :raises Unavailable: where no module makes one vector of a text.
        """
        import torch

        module = self.weights.module
        if not self._rows:
            # Static embeddings and the like: no attention, so nothing to gain from our own batches.
            told = {} if self.task is None else {"task": self.task}
            vectors: Float32 = module.encode(list(batch), prompt=self.prompt, show_progress_bar=False, **told)
            return vectors.astype("float32")
        with torch.inference_mode():
            features = self.weights.padded(batch, self._entry) | self._more
            out = module(features, task=self.task)
        if "sentence_embedding" not in out:
            raise Unavailable(f"{self.weights.card.model}: no pooling makes one vector of a text")
        made: Float32 = out["sentence_embedding"].float().cpu().numpy()
        return made

    @cached_property
    def _entry(self) -> Any:
        return parts(self.weights.module, self.task)[0]

    @cached_property
    def _rows(self) -> bool:
        """Whether the first module reads rows of token ids that can be batched here."""
        from sentence_transformers.base.modules import Transformer

        entry = self._entry
        if not isinstance(entry, Transformer) or entry.tokenizer is None:
            return False
        names = ("preprocess", "tokenize")
        return all(getattr(type(entry), name, None) is getattr(Transformer, name, None) for name in names)

    @cached_property
    def _plain(self) -> bool:
        return self._rows and "message" not in self._entry.modality_config and not any(self._settings.values())

    @property
    def _settings(self) -> dict[str, Any]:
        found: dict[str, Any] = self._entry.processing_kwargs
        return found

    @property
    def _length(self) -> int | None:
        settings = self.weights.card.settings
        length: int | None = settings.get(f"{self.role}_length", settings["max_length"])
        return length

    @cached_property
    def _more(self) -> dict[str, Any]:
        """What the modules look at beside the tokens."""
        if self._plain:
            return {"modality": "text"} | self.weights.prompt_length(self.prompt, self.task)
        features = self._features([""])
        return {key: features[key] for key in ("modality", "prompt_length", "task") if key in features}

    def _by_library(self, texts: list[str]) -> Tokenized:
        """Rows as the library makes them of a chat template, or by settings of the processor."""
        if not texts:
            return Tokenized([], [], [])
        rows = self._unpadded(self._features(texts))
        lengths, lost = [len(row["input_ids"]) for row in rows], [0] * len(rows)
        limit = self._length
        full = [i for i, n in enumerate(lengths) if limit is not None and n >= limit]
        if full:
            whole = self._features([texts[i] for i in full], truncation=False)
            for i, row in zip(full, self._unpadded(whole), strict=True):
                lost[i] = len(row["input_ids"]) - lengths[i]
        return Tokenized(rows, lengths, lost)

    def _features(self, texts: list[str], truncation: bool = True) -> dict[str, Any]:
        told = {} if self.task is None else {"task": self.task}
        length = self._length if truncation else None
        cut: dict[str, Any] = {"max_length": length, **({} if truncation else {"truncation": False})}
        with self.weights.tokenizing:
            features: dict[str, Any] = self._entry.preprocess(
                texts, prompt=self.prompt or None, processing_kwargs={"text": cut}, **told
            )
        return features

    @staticmethod
    def _unpadded(features: dict[str, Any]) -> Rows:
        keys = [key for key in ("input_ids", "token_type_ids") if key in features]
        masks = features["attention_mask"].bool()
        return [{key: features[key][i][mask].tolist() for key in keys} for i, mask in enumerate(masks)]
