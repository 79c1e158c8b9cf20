"""ColBERT checkpoints through sentence-transformers' MultiVectorEncoder: a vector a token, MaxSim.

Three layouts are read: sentence-transformers' own, PyLate's, and Stanford's (``artifact.metadata``).
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from jbench import similarity
from jbench.encode import Encoder, Reader, Tokenized
from jbench.models import m3, neural
from jbench.models.checkpoint import Checkpoint
from jbench.models.module import facts
from jbench.models.neural import Weights, one_of
from jbench.models.options import Options, whole_number
from jbench.residual import SAMPLE, Residual, fit
from jbench.search import spans, top_k
from jbench.types import Card, Float32, Run, Texts, Unavailable, UsageError

EXPANSIONS = ("none", "fixed", "min")
SETTINGS = {
    "query_length": whole_number,
    "document_length": whole_number,
    "query_expansion": one_of(*EXPANSIONS),
    "similarity": one_of(*similarity.LATE),
    "document_bits": one_of("2", "16"),
    "dimension": whole_number,
}
REVISION = "1"
"""Rises when the same checkpoint would get other scores; part of the settings, so of the key."""

_DOCUMENTS_AT_ONCE, _SAMPLED_AT_ONCE = 4096, 256
_LONGEST, _BYTES = 512, 8  # tokens of a document where no limit is known; of one number that is held
_STANFORD_QUERY_LENGTH = 32
_NATIVE = "sentence-transformers"
_PYLATE = (
    *("query_prefix", "document_prefix", "query_length", "document_length", "query_expansion", "do_query_expansion"),
    *("attend_to_expansion_tokens", "attend_to_mask_tokens", "skiplist_words"),
)


@dataclass(frozen=True)
class Layout:
    """How a checkpoint's files say that it reads.

    ``markers`` stand before queries and documents; ``prefixes`` are the parts of them that must be
    tokens of the vocabulary (PyLate and Stanford insert them as such);
    ``expansion`` is ``none``, ``fixed`` (queries are filled to, and cut at, ``query_length``) or
    ``min`` (filled to it, cut at ``query_limit``); ``fill`` the token they are filled with, None for
    the mask; ``attend`` whether the model attends to it.
    """

    name: str
    markers: dict[str, str]
    prefixes: dict[str, str]
    query_length: int | None
    document_length: int | None
    expansion: str
    attend: bool
    skiplist: tuple[str, ...]
    projection: int | None
    similarity: str = "maxsim"
    fill: str | None = None
    query_limit: int | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Layout:
        """Read it.

        :raises UsageError: for a checkpoint without a projection to token vectors.
        :raises Unavailable: for files that hold something else than they should.
        """
        try:
            layout = cls._of_files(checkpoint)
            lengths = (layout.query_length, layout.document_length, layout.query_limit)
            if not all(n is None or (type(n) is int and n > 0) for n in lengths):
                raise ValueError(f"lengths {lengths} are no whole numbers of 1 or more")
            if layout.expansion not in EXPANSIONS or not all(isinstance(word, str) for word in layout.skiplist):
                raise ValueError(f"query expansion {layout.expansion!r}, skip list {layout.skiplist[:3]}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise Unavailable(f"{checkpoint.model}: its files do not say how a ColBERT reads ({reason})") from error
        return layout

    @classmethod
    def _of_files(cls, checkpoint: Checkpoint) -> Layout:
        if m3.has_heads(checkpoint):
            m3.check_heads(checkpoint)
            return cls._of_heads()
        return cls._of_modules(checkpoint) if checkpoint.modules else cls._of_stanford(checkpoint)

    @classmethod
    def _of_heads(cls) -> Layout:
        """Bge-m3: no markers, every token but the first, and the mean over a query's tokens of their best."""
        return cls(
            name="bge-m3",
            markers={"query": "", "document": ""},
            prefixes={"query": "", "document": ""},
            query_length=None,
            document_length=None,
            expansion="none",
            attend=False,
            skiplist=(),
            projection=None,
            similarity="meanmaxsim",
        )

    @classmethod
    def _of_stanford(cls, checkpoint: Checkpoint) -> Layout:
        # Without this name the library would add a projection of random weights.
        if "HF_ColBERT" not in (checkpoint.read("config.json").get("architectures") or []):
            raise UsageError(
                f"{checkpoint.model} is no ColBERT: config.json names no HF_ColBERT, and modules.json no projection"
            )
        metadata = checkpoint.read("artifact.metadata")
        names = (("query", "query_token_id", "[unused0]"), ("document", "doc_token_id", "[unused1]"))
        markers = {role: f"{metadata.get(key) or usual} " for role, key, usual in names}
        return cls(
            name="Stanford",
            markers=markers,
            prefixes=markers,
            query_length=metadata.get("query_maxlen") or _STANFORD_QUERY_LENGTH,
            document_length=metadata.get("doc_maxlen"),
            expansion="fixed",
            attend=bool(metadata.get("attend_to_mask_tokens")),
            skiplist=tuple(string.punctuation) if metadata.get("mask_punctuation", True) else (),
            projection=metadata.get("dim"),
        )

    @classmethod
    def _of_modules(cls, checkpoint: Checkpoint) -> Layout:
        types = [str(row["type"]) for row in checkpoint.modules]
        projections = [row["path"] for row in checkpoint.modules if str(row["type"]).endswith("Dense")]
        if not projections:
            raise UsageError(f"{checkpoint.model} is no ColBERT: its modules.json names no projection (Dense)")
        own, mask = checkpoint.read("config_sentence_transformers.json"), checkpoint.module("MultiVectorMask")
        pylate = any(key in own for key in _PYLATE) or any(name.startswith("pylate.") for name in types)
        backbone = checkpoint.read(f"{checkpoint.home}/sentence_bert_config.json")
        told = {**{key: own[key] for key in _PYLATE if key in own}, **backbone}
        expansion = told.get("query_expansion")
        if pylate and "query_expansion" not in told and told.get("do_query_expansion") is not False:
            attend = told.get("attend_to_expansion_tokens", told.get("attend_to_mask_tokens"))
            length = told.get("query_length") or _STANFORD_QUERY_LENGTH
            expansion = {"strategy": "fixed", "length": length, "attend": attend}
        prompts, compared = checkpoint.own_prompts, own.get("similarity_fn_name")
        prefixes = {role: own.get(f"{role}_prefix") or "" for role in ("query", "document")}
        words = mask.get("skiplist_words") if mask is not None else own.get("skiplist_words", string.punctuation)
        return cls(
            name="PyLate" if pylate else _NATIVE,
            # A prompt may be saved with the prefix before it.
            markers={role: prefix + prompts.get(role, "").removeprefix(prefix) for role, prefix in prefixes.items()},
            prefixes=prefixes,
            query_length=expansion["length"] if expansion else told.get("query_length"),
            document_length=told.get("document_length"),
            expansion=expansion["strategy"] if expansion else "none",
            attend=bool(expansion and expansion.get("attend")),
            skiplist=tuple(words or ()),
            projection=checkpoint.read(f"{projections[-1]}/config.json").get("out_features"),
            similarity=compared if compared in similarity.LATE[:2] else "maxsim",
            fill=expansion.get("token") if expansion else None,
            query_limit=told.get("query_length") if expansion and expansion["strategy"] == "min" else None,
        )


@dataclass(frozen=True)
class ColBERT:
    """A late-interaction model. Of a pair the left is read as a query, the right as a document."""

    card: Card
    weights: Weights

    def score(self, pairs: Sequence[tuple[str, str]], roles: tuple[str, str]) -> Float32:
        """MaxSim of each pair, in float32; documents are held a window at a time.

        :raises UsageError: where documents are to be compared as stored in 2 bits, which is learnt from a corpus.
        """
        if self._bits == "2":
            raise UsageError(
                "document_bits=2 says how a corpus is stored that is searched; leave it out to score pairs"
            )
        left = list(dict.fromkeys(pair[0] for pair in pairs))
        right = sorted(dict.fromkeys(pair[1] for pair in pairs), key=len, reverse=True)
        at_left, at_right = ({text: i for i, text in enumerate(side)} for side in (left, right))
        query, document = (
            np.array([at[pair[side]] for pair in pairs], np.int64) for side, at in ((0, at_left), (1, at_right))
        )
        asked = self._encode(left, "query", "encode")
        scores = np.zeros(len(pairs), np.float32)
        with self._encoder.gathering():
            for span in self._spans(1, len(right), 1):
                held = self._hold(right[span])
                mine = np.flatnonzero((document >= span.start) & (document < span.stop))
                wanted = [asked[q] for q in query[mine].tolist()]
                against = [held[d - span.start] for d in document[mine].tolist()]
                scores[mine] = similarity.late_pairwise(self._compared, wanted, against, self.weights.device)
        return scores

    def search(self, queries: Texts, documents: Texts, k: int) -> Run:
        """Exact MaxSim over the whole corpus, whose vectors are held a window at a time."""
        asked = self._encode(queries.texts, "query", "encode")
        compare = similarity.late_matrix(self._compared, asked, self.weights.device)
        stored = self._stored(documents.texts)

        def windows() -> Iterator[Float32]:
            for span in self._spans(len(asked), len(documents), k):
                yield compare(self._hold(documents.texts[span], stored))

        with self._encoder.gathering():
            return top_k(queries.ids, documents.ids, windows(), k)

    def report(self) -> dict[str, Any]:
        """Texts cut, rates, cost and the device since the last call; nothing before the first."""
        report = self.weights.report()
        if report and (dimension := self.card.settings.get("dimension")):
            report["cost"]["dimension"] = dimension
        return report

    @property
    def _compared(self) -> str:
        return str(self.card.settings["similarity"])

    @property
    def _bits(self) -> str | None:
        return self.card.settings.get("document_bits")

    def _spans(self, queries: int, documents: int, k: int) -> Iterator[slice]:
        options, sizes = self.weights.options, self.weights.sizes
        longest = self.card.settings["document_length"] or sizes.get("longest_input") or _LONGEST
        each = _BYTES * longest * sizes.get("dimension", 1)
        return spans(queries, documents, k, options.track, options.memory, each, _DOCUMENTS_AT_ONCE)

    def _hold(self, texts: Sequence[str], stored: Residual | None = None) -> list[Float32]:
        """Documents as they are compared: as computed, or as they are after they were stored in fewer bits."""
        tally = self.weights.tally
        with tally.preparing():
            held = self._encode(texts, "document", "")
            if stored is None:
                tally.hold(held)
                return [value.astype(np.float16).astype(np.float32) for value in held] if self._bits == "16" else held
            tally.documents += len(held)
            tally.stored += sum(map(len, held)) * stored.bytes_per_vector / 2
            return stored.read_back(held)

    def _stored(self, texts: Sequence[str]) -> Residual | None:
        """How documents are stored in 2 bits, learnt from some of them; None where they are not."""
        if self._bits != "2" or not len(texts):
            return None
        with self.weights.tally.preparing():
            order = np.random.default_rng(0).permutation(len(texts))
            sample: list[Float32] = []
            for start in range(0, len(order), _SAMPLED_AT_ONCE):
                chosen = order[start : start + _SAMPLED_AT_ONCE].tolist()
                sample += self._encode([texts[i] for i in chosen], "document", "")
                if (count := sum(map(len, sample))) >= SAMPLE:
                    break
            found = fit(np.concatenate(sample)[:SAMPLE], count * len(texts) // len(sample))
        self.weights.tally.shared = found.centroids.size
        return found

    def _encode(self, texts: Sequence[str], role: str, label: str) -> list[Float32]:
        """One float32[tokens, d] a text."""
        self.weights.check_dimension()
        vectors = self._encoder(list(texts), (role, self.card.prompts.get(role, "")), label)
        dimension = self.card.settings.get("dimension")
        if dimension is None or not vectors:
            return vectors
        unit = self.card.settings["layout"] != _NATIVE or self.weights.checkpoint.module("Normalize") is not None
        return [similarity.cut(value, dimension, unit) for value in vectors]

    @cached_property
    def _encoder(self) -> Encoder:
        return self.weights.encoder(self._reader)

    def _reader(self) -> Reader:
        import torch

        module, settings = self.weights.module, self.card.settings
        longest = {"query": settings["query_length"], "document": settings["document_length"]}

        def tokenize(texts: list[str], way: tuple[str, str]) -> Tokenized:
            role, prompt = way
            said = self.weights.said(texts, prompt)
            if role == "query" and settings["query_expansion"] != "none":
                return self._expanded(module.tokenizer, said)
            return self.weights.tokenized(said, longest[role] or module.max_seq_length)

        @torch.inference_mode()
        def forward(batch: list[Any], way: tuple[str, str]) -> list[Float32]:
            if isinstance(batch[0], str):
                with self.weights.tokenizing:
                    features = module.preprocess(batch, task="query")
                features = {k: v.to(module.device) if hasattr(v, "to") else v for k, v in features.items()}
            else:
                features = self.weights.padded(batch)
            out = module(features, task=way[0])
            vectors, kept = out["token_embeddings"].float().cpu(), out["attention_mask"].bool().cpu()
            return [row[mask].numpy() for row, mask in zip(vectors, kept, strict=True)]

        return Reader(tokenize, forward, self.weights.budget)

    def _expanded(self, tokenizer: Any, texts: list[str]) -> Tokenized:
        """Queries that the library fills with ``[MASK]``: as texts, with the lengths they will have."""
        length, fixed = self.card.settings["query_length"], self.card.settings["query_expansion"] == "fixed"
        with self.weights.tokenizing:
            whole = [len(ids) for ids in tokenizer(texts, truncation=False, verbose=False)["input_ids"]]
        longest = length if fixed else self.card.settings["query_limit"] or self.weights.module.max_seq_length
        lost = [max(0, n - longest) for n in whole]
        return Tokenized(texts, [max(min(n, longest), length) for n in whole], lost)


def colbert(checkpoint: Checkpoint, options: Options, by_hand: bool = False) -> ColBERT:
    """The adapter for a checkpoint; reads its layout, validates settings, resolves markers.

    :raises UsageError: for a setting that is unknown or out of range, or a checkpoint without a
        projection to token vectors.
    """
    layout = Layout.of(checkpoint)
    asked = neural.asked_of("colbert", options, SETTINGS)
    # A limit belongs to filling without cutting, and cannot lie below what is filled to.
    length = asked.get("query_length", layout.query_length)
    cut = asked.get("query_expansion", layout.expansion) == "min" and (layout.query_limit or 0) >= (length or 0)
    files = {
        "query_length": layout.query_length,
        "query_limit": layout.query_limit if cut else None,
        "document_length": layout.document_length,
        "query_expansion": layout.expansion,
        "attend_to_expansion": layout.attend,
        "expansion_token": layout.fill,
        "similarity": layout.similarity,
        "skiplist": " ".join(layout.skiplist),
        "projection": layout.projection,
        "layout": layout.name,
    }
    if asked.get("query_expansion", "none") != "none" and not (asked.get("query_length") or layout.query_length):
        raise UsageError(f"query_expansion={asked['query_expansion']}: {checkpoint.model} needs a query_length to fill")
    told = facts(checkpoint, "colbert", partial(_load, checkpoint), options.trust_remote_code)
    neural.within_positions(checkpoint, files, asked, told)
    card = neural.card(checkpoint, options, "colbert", REVISION, files, asked, layout.markers, by_hand)
    return ColBERT(card, Weights(checkpoint, options, card, partial(_make, checkpoint, layout, card), _shape))


def _shape(module: Any) -> dict[str, int | None]:
    longest = module[0].document_length or module.max_seq_length
    return {"dimension": module.get_embedding_dimension(), "longest_input": longest}


def _load(checkpoint: Checkpoint, folder: str, device: str, arguments: dict[str, Any]) -> Any:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

    if not m3.has_heads(checkpoint):
        return MultiVectorEncoder(folder, device=device, **arguments)
    whole = SentenceTransformer(folder, device=device, **arguments)
    return MultiVectorEncoder(modules=m3.colbert_modules(checkpoint, whole[0]), device=device)


def _make(
    checkpoint: Checkpoint, layout: Layout, card: Card, folder: str, device: str, arguments: dict[str, Any]
) -> Any:
    """The MultiVectorEncoder, reading as the card says."""
    module = _load(checkpoint, folder, device, arguments)
    held, backbone = card.settings, module[0]
    if layout.name == "Stanford" and layout.projection not in (None, module.get_embedding_dimension()):
        found = module.get_embedding_dimension()
        raise Unavailable(f"{card.model}: artifact.metadata says dim {layout.projection}, its weights have {found}")
    expansion, length = held["query_expansion"], held["query_length"]
    backbone.query_expansion = None
    backbone.query_length = length if expansion == "none" else held["query_limit"]
    backbone.document_length = held["document_length"]
    if expansion != "none":
        filled = {"attend": held["attend_to_expansion"], "token": held["expansion_token"]}
        backbone.query_expansion = {"strategy": expansion, "length": length, **filled}
    vocabulary = module.tokenizer.get_vocab()
    for role, prefix in layout.prefixes.items():
        used = prefix.strip() and card.prompts.get(role) == layout.markers[role]
        if used and prefix not in vocabulary and prefix.split()[0] not in vocabulary:
            raise Unavailable(
                f"{card.model}: the {role} marker {prefix.strip()!r} is not in its vocabulary; "
                f"name the one that it was trained with: --prompt {role}='[unused0] '"
            )
    return module
