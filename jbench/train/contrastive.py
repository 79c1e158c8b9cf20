"""Ruri: contrastive pre-training, and fine-tuning with distillation; one data set a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jbench.models.checkpoint import Checkpoint
from jbench.train.base import freeze_positions, transformer, within
from jbench.train.batches import plan
from jbench.train.losses import contrastive_loss, dense_distillation
from jbench.train.prepared import Prepared, devices, on_each
from jbench.train.recipes import Contrastive, steps_of
from jbench.train.rows import SCORES, read, shuffled, texts_of, without_scores
from jbench.train.running import attention_of
from jbench.types import UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet


def prepare(recipe: Contrastive, base: Checkpoint, sets: Sequence[TrainingSet]) -> Prepared:
    """The model, a loss for each data set, and the data set of each step.

    Rows with scores are distilled where the recipe does; others are contrasted.

    :raises UsageError: for settings or data that do not fit.
    """
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.modules import Pooling

    within(base, max_length=recipe.max_length)
    batch = recipe.batch_size
    groups = [[one] for one in sets] if recipe.homogeneous else [list(sets)]
    counts = [sum(one.count for one in group) for group in groups]
    if small := next((g[0].name for g, count in zip(groups, counts, strict=True) if count < batch), None):
        raise UsageError(f"{small} has {min(counts):,} rows, less than one batch of {batch:,}: set batch_size")
    steps = steps_of(recipe, sum(count // batch * batch for count in counts))
    chosen = plan(counts, batch, steps, recipe.seed)
    if unmet := [group[0].name for number, group in enumerate(groups) if number not in chosen]:
        raise UsageError(
            f"{steps:,} steps leave none for {unmet[0]}, as each has one data set: more steps, or less data"
        )
    encoder = transformer(base, attention_of(recipe), max_seq_length=recipe.max_length)
    prompts = {"query": recipe.query_prompt, "document": recipe.document_prompt}
    pooling = Pooling(encoder.get_embedding_dimension(), recipe.pooling)
    model = SentenceTransformer(modules=[encoder, pooling], prompts=prompts)
    if recipe.freeze_positions:
        freeze_positions(model)
    rows, loss = {}, {}
    for number, group in enumerate(groups):
        name = f"{number} {' '.join(one.name for one in group)}"
        # A batch without duplicates is chosen from more rows than it has.
        count = min(
            (chosen.count(number) + recipe.no_duplicates) * batch,
            max(chosen.count(number), counts[number] // batch) * batch,
        )
        found = read(group, count, recipe.seed, batch, recipe.hard_negatives)
        distil = recipe.distil and SCORES in found.column_names
        found = found if distil else without_scores(found)
        rows[name] = shuffled(found, recipe.seed) if recipe.shuffle_positive else found
        loss[name] = (
            dense_distillation(model, recipe.mini_batch or batch, recipe.distil_temperature)
            if distil
            else contrastive_loss(model, recipe.temperature, recipe.mini_batch, gather=devices() > 1)
        )
    return Prepared(
        model=model,
        loss=loss,
        rows=rows,
        plan=chosen,
        micro=on_each(batch),
        trainer=SentenceTransformerTrainer,
        arguments=SentenceTransformerTrainingArguments,
        finished=lambda: model,
        no_duplicates=recipe.no_duplicates,
        prompts={
            name: {column: prompts["query" if column == "query" else "document"] for column in texts_of(found)}
            for name, found in rows.items()
        },
    )
