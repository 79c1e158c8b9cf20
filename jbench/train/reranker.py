"""Ruri's reranker: a cross-encoder that puts the positive above its hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jbench.models.checkpoint import Checkpoint
from jbench.train.base import transformer, within
from jbench.train.losses import POSITIVE, reranker_loss
from jbench.train.prepared import Prepared, on_each
from jbench.train.recipes import Reranker, steps_of
from jbench.train.rows import read, shuffled, texts_of, without_scores
from jbench.train.running import attention_of
from jbench.types import UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet


def prepare(recipe: Reranker, base: Checkpoint, sets: Sequence[TrainingSet]) -> Prepared:
    """The model with one logit, the loss, and lists of documents, the positive first.

    :raises UsageError: for settings or data that do not fit.
    """
    from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments

    within(base, max_length=recipe.max_length)
    copies = 1 + recipe.shuffle_positive
    steps = steps_of(recipe, copies * sum(one.count for one in sets))
    rows = without_scores(read(sets, -(-steps * recipe.batch_size // copies), recipe.seed, 1, recipe.hard_negatives))
    if len(texts_of(rows)) < 3:
        raise UsageError(f"{sets[0].name} has no negatives, and a reranker needs one at least: jbench mine finds some")
    if recipe.shuffle_positive:
        # Table 3 counts twice as many rows as the same sets have in table 4: each stands there a second
        # time with its sentences shuffled.
        from datasets import concatenate_datasets

        rows = concatenate_datasets([rows, shuffled(rows, recipe.seed)]).shuffle(seed=recipe.seed)
    model = CrossEncoder(modules=[_classifier(recipe, base)])
    micro = min(recipe.mini_batch or recipe.batch_size, on_each(recipe.batch_size))
    if on_each(recipe.batch_size) % micro:
        raise UsageError(f"batch_size={recipe.batch_size} is no multiple of mini_batch={micro}; set both")
    return Prepared(
        model=model,
        loss=reranker_loss(model),
        rows={"lists": rows.map(_listed, batched=True, remove_columns=rows.column_names)},
        plan=[0] * steps,
        micro=micro,
        trainer=CrossEncoderTrainer,
        arguments=CrossEncoderTrainingArguments,
        finished=lambda: model,
    )


def _classifier(recipe: Reranker, base: Checkpoint) -> Any:
    made = transformer(
        base, attention_of(recipe), transformer_task="sequence-classification", config_kwargs={"num_labels": 1}
    )
    made.tokenizer.model_max_length = recipe.max_length
    return made


def _listed(batch: dict[str, list[str]]) -> dict[str, list[Any]]:
    query, *documents = batch.values()
    lists = [list(row) for row in zip(*documents, strict=True)]
    return {"query": query, "documents": lists, "labels": [[POSITIVE, *[0.0] * (len(row) - 1)] for row in lists]}
