"""JaColBERT: late interaction, v1 from triplets, v2 and v2.5 distilled."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jbench.models.checkpoint import Checkpoint
from jbench.train.base import MARKERS, mark, transformer, within
from jbench.train.losses import colbert_loss
from jbench.train.prepared import Prepared, devices
from jbench.train.recipes import ColBERT, steps_of
from jbench.train.rows import SCORES, read, without_scores
from jbench.train.running import attention_of
from jbench.types import UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet


def prepare(recipe: ColBERT, base: Checkpoint, sets: Sequence[TrainingSet]) -> Prepared:
    """The model, built on a bare encoder or on another ColBERT, the loss and the rows.

    :raises UsageError: for a base without the markers, or settings or data that do not fit.
    """
    from sentence_transformers import (
        MultiVectorEncoder,
        MultiVectorEncoderTrainer,
        MultiVectorEncoderTrainingArguments,
    )

    within(base, query_length=recipe.query_length, document_length=recipe.document_length)
    if recipe.batch_size % (recipe.in_batch * devices()):
        raise UsageError(
            f"batch_size={recipe.batch_size} is no multiple of in_batch={recipe.in_batch} on {devices()} devices"
        )
    steps = steps_of(recipe, sum(one.count for one in sets))
    rows = read(sets, steps * recipe.batch_size, recipe.seed, recipe.batch_size, recipe.ways - 1, exact=True)
    if recipe.distil and SCORES not in rows.column_names:
        names = ", ".join(one.name for one in sets)
        raise UsageError(
            f"{recipe.name} is distilled, and {names} has no scores of a teacher: jbench mine --filter gives them"
        )
    model = MultiVectorEncoder(modules=_modules(recipe, base), prompts=MARKERS)
    settings = {"in_batch_negatives": recipe.in_batch_negatives, "normalise": recipe.min_max}
    return Prepared(
        model=model,
        loss=colbert_loss(model, recipe.mini_batch, **settings),
        rows={"triplets": rows if recipe.distil else without_scores(rows)},
        plan=[0] * steps,
        micro=recipe.in_batch,
        trainer=MultiVectorEncoderTrainer,
        arguments=MultiVectorEncoderTrainingArguments,
        finished=lambda: model,
        prompts={"triplets": {name: MARKERS["document" if i else "query"] for i, name in enumerate(rows.column_names)}},
    )


def _modules(recipe: ColBERT, base: Checkpoint) -> list[Any]:
    import torch
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    expansion = {"strategy": "fixed", "attend": False, "length": recipe.query_length}
    encoder = transformer(base, attention_of(recipe), query_expansion=expansion, document_length=recipe.document_length)
    mark(base, encoder.tokenizer)
    tokens = {"module_input_name": "token_embeddings"}
    size = encoder.get_embedding_dimension()
    made = Dense(size, recipe.dimension, bias=False, activation_function=torch.nn.Identity(), **tokens)
    if (held := _projection(base)) is not None:
        if tuple(held.shape) != (recipe.dimension, size):
            raise UsageError(f"{base.model} projects to {held.shape[0]} dimensions: set dimension={held.shape[0]}")
        made.linear.weight = torch.nn.Parameter(held.float())
    # Stanford's skip list: ASCII punctuation; 。 and 、 are scored.
    mask = MultiVectorMask(skiplist_words=_known(encoder.tokenizer, string.punctuation))
    return [encoder, made, mask, Normalize(**tokens)]


def _known(tokenizer: Any, words: Sequence[str]) -> list[str]:
    known = tokenizer.get_vocab()
    return [word for word in words if word in known]


def _projection(base: Checkpoint) -> Any:
    """The weights of the linear layer (dimension, hidden) of a base that is a ColBERT; None of another."""
    if base.kind[0] != "colbert":
        return None
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense

    whole = MultiVectorEncoder(str(base.folder), device="cpu", local_files_only=True)
    return next(module for module in whole if isinstance(module, Dense)).linear.weight.detach()
