"""SimCSE: sentences near their paraphrases, or near themselves under another dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from jbench.metrics import measure_pairs
from jbench.models.checkpoint import Checkpoint
from jbench.train.base import transformer, within
from jbench.train.losses import simcse_loss, train_head, without_head
from jbench.train.prepared import Prepared, devices, on_each
from jbench.train.recipes import SimCSE, steps_of
from jbench.train.rows import read, without_scores
from jbench.train.running import attention_of
from jbench.types import InvalidScores, Pairs, UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet


def prepare(recipe: SimCSE, base: Checkpoint, sets: Sequence[TrainingSet]) -> Prepared:
    """The model (with its head), the loss, the rows and the dev set.

    :raises UsageError: for settings or data that do not fit.
    """
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.modules import Pooling

    within(base, max_length=recipe.max_length)
    _check_rows(recipe, sets)
    steps = steps_of(recipe, sum(one.count for one in sets))
    encoder = transformer(base, attention_of(recipe), max_seq_length=recipe.max_length)
    size = encoder.get_embedding_dimension()
    modules = [encoder, Pooling(size, recipe.pooling), *([train_head(size)] if recipe.head else [])]
    model = SentenceTransformer(modules=modules)
    return Prepared(
        model=model,
        loss=simcse_loss(model, recipe.temperature, recipe.mini_batch, gather=devices() > 1),
        rows={"sentences": without_scores(read(sets, steps * recipe.batch_size, recipe.seed, recipe.batch_size, 1))},
        plan=[0] * steps,
        micro=on_each(recipe.batch_size),
        trainer=SentenceTransformerTrainer,
        arguments=SentenceTransformerTrainingArguments,
        finished=lambda: SentenceTransformer(modules=without_head(model)),
        **_development(recipe),
    )


def _check_rows(recipe: SimCSE, sets: Sequence[TrainingSet]) -> None:
    """Sentences alone make an unsupervised SimCSE and pairs a supervised one, whatever it is then called."""
    alone = recipe.name.startswith("simcse-unsup")
    for one in sets:
        if alone != ("text" in one.held.column_names):
            found, wanted = ("pairs", "sentences alone") if alone else ("sentences alone", "pairs")
            other = recipe.name.replace("unsup", "sup") if alone else recipe.name.replace("sup", "unsup")
            raise UsageError(f"{one.name} has {found}, and {recipe.name} learns from {wanted}: {other} is for these")


def _development(recipe: SimCSE) -> dict[str, Any]:
    if not recipe.evaluations:
        return {}
    from jbench.registry import find_tasks
    from jbench.task import load

    pairs = load(find_tasks([recipe.dev])[0]).data
    if not isinstance(pairs, Pairs):
        raise UsageError(f"dev={recipe.dev}: checkpoints are chosen on sentence pairs (or set evaluations=0)")
    return {"evaluator": _evaluator()(pairs), "metric": "eval_spearman", "evaluations": recipe.evaluations}


@cache
def _evaluator() -> type[Any]:
    from sentence_transformers.base.evaluation import BaseEvaluator

    class Spearman(BaseEvaluator):  # type: ignore[misc] # untyped
        """Spearman of the cosine with the gold score; unlike the library's, each text is encoded once."""

        def __init__(self, pairs: Pairs) -> None:
            super().__init__()
            self.pairs = pairs
            self.place = {text: i for i, text in enumerate(dict.fromkeys([*pairs.left, *pairs.right]))}

        def __call__(self, model: Any, output_path: Any = None, epoch: Any = -1, steps: int = -1) -> dict[str, float]:
            vectors = model.encode(list(self.place), batch_size=128, normalize_embeddings=True, show_progress_bar=False)
            left, right = (vectors[[self.place[text] for text in side]] for side in (self.pairs.left, self.pairs.right))
            try:
                return measure_pairs(self.pairs.gold, (left * right).sum(1), ["spearman"]).scores
            except InvalidScores:  # a model that collapsed is never the best
                return {"spearman": math.nan}

    return Spearman
