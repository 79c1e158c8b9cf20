"""The losses that sentence-transformers does not have, and its own with the reports' settings.

Torch is imported when one is made, so the classes are made then, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

GTE_DIRECTIONS = ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")
"""The four sums of the improved contrastive loss (GTE, Li et al. 2023), in one softmax."""

POSITIVE = 1e4
"""The label of a reranker's positive, of a negative 0: their softmax is one-hot in float32.

With 1 and 0 it would not be, and the library's ListNet loss would be another.
"""


def pairwise(own: Tensor) -> Tensor:
    """Cross-entropy of a query's first document above its others; ``own`` is (queries, ways)."""
    import torch

    return torch.nn.functional.cross_entropy(own, torch.zeros(len(own), dtype=torch.long, device=own.device))


def in_batch(scores: Tensor, ways: int) -> Tensor:
    """Cross-entropy of a query's positive above every other query's documents, its own negatives left out.

    ``scores`` is (queries, queries * ways), a query's documents side by side, its positive first:
    compute_ib_loss of stanford-futuredata/ColBERT at 501c29d, where it runs within one device.
    """
    import torch

    queries = torch.arange(len(scores), device=scores.device)
    own = torch.arange(scores.shape[1], device=scores.device) // ways == queries[:, None]
    own[queries, queries * ways] = False
    return torch.nn.functional.cross_entropy(scores.masked_fill(own, -torch.inf), queries * ways)


def min_max(scores: Tensor) -> Tensor:
    """Each row moved and stretched to run from 0 to 1; a row of one value becomes zeros."""
    low, high = scores.amin(1, keepdim=True), scores.amax(1, keepdim=True)
    return (scores - low) / (high - low).clamp_min(1e-9)


def distilled(own: Tensor, teacher: Tensor, *, normalise: bool, temperature: float = 1.0) -> Tensor:
    """KL divergence of the student's softmax from the teacher's, the mean over queries; both (queries, ways).

    With ``normalise`` both are min-max normalised within each query first. The temperature divides both
    and nothing is multiplied back.
    """
    import torch

    student, teacher = own.float(), teacher.float()
    if normalise:
        student, teacher = min_max(student), min_max(teacher)
    log = [torch.log_softmax(scores / temperature, dim=1) for scores in (student, teacher)]
    return torch.nn.functional.kl_div(log[0], log[1], reduction="batchmean", log_target=True)


def colbert_objective(scores: Tensor, ways: int, teacher: Tensor | None, *, ib: bool, normalise: bool) -> Tensor:
    """JaColBERT's loss of one device's batch; ``scores`` as `in_batch` takes them.

    Without a ``teacher`` (v1) pairwise cross-entropy, else distillation (v2, v2.5: normalised); with ``ib``
    (v1, v2) the in-batch loss is added.
    """
    own = scores.view(len(scores), -1, ways).diagonal(dim1=0, dim2=1).T
    loss = pairwise(own) if teacher is None else distilled(own, teacher, normalise=normalise)
    return loss + in_batch(scores, ways) if ib else loss


@cache
def _classes() -> tuple[type[Any], type[Any], type[Any]]:
    import torch
    from sentence_transformers.base.losses.gradcache import CachedLossMixin
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.multi_vector_encoder.losses import CachedMultiVectorMultipleNegativesRankingLoss
    from sentence_transformers.multi_vector_encoder.scoring import colbert_scores
    from sentence_transformers.util import cat_padded_token_embeddings, stack_padded_token_embeddings

    class TrainHead(Dense):  # type: ignore[misc] # untyped
        """A linear layer with tanh that is there while training and not in evaluation."""

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return super().forward(features) if self.training else features

    class MinMaxKD(CachedLossMixin, torch.nn.Module):  # type: ignore[misc]
        """Distillation of a dense model, cosine; the batch's embeddings are kept, its activations are not."""

        def __init__(self, model: nn.Module, mini_batch_size: int, temperature: float) -> None:
            super().__init__()
            self.model, self.mini_batch_size, self.temperature = model, mini_batch_size, temperature

        def calculate_loss(
            self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
        ) -> Tensor:
            assert labels is not None  # noqa: S101 # rows without scores go to another loss
            query, *documents = (torch.nn.functional.normalize(torch.cat(parts), dim=1) for parts in reps)
            own = torch.stack([(query * document).sum(1) for document in documents], dim=1)
            loss = distilled(own, labels, normalise=True, temperature=self.temperature)
            if with_backward:
                loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach() if with_backward else loss

        def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
            return self.forward_cached(sentence_features, labels)  # type: ignore[no-any-return,operator]

    class LateInteraction(CachedMultiVectorMultipleNegativesRankingLoss):  # type: ignore[misc]
        """`colbert_objective` over MaxSim."""

        def __init__(self, model: nn.Module, mini_batch_size: int, **objective: bool) -> None:
            super().__init__(model, mini_batch_size=mini_batch_size)
            self.objective = objective
            self.teacher: Tensor | None = None

        def calculate_loss(
            self, reps: list[list[Tensor]], masks_chunks: list[list[Tensor]], *, with_backward: bool = False
        ) -> Tensor:
            columns = [cat_padded_token_embeddings(*column) for column in zip(reps, masks_chunks, strict=True)]
            (queries, mask), documents = columns[0], columns[1:]
            stacked, masks = stack_padded_token_embeddings(*zip(*documents, strict=True))
            scores = colbert_scores(queries, stacked, queries_mask=mask, documents_mask=masks)
            loss = colbert_objective(scores, len(documents), self.teacher, **self.objective)
            if with_backward:
                loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach() if with_backward else loss

        def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
            self.teacher = labels
            if self.mini_batch_size:
                return super().forward(sentence_features)  # type: ignore[no-any-return]
            columns = [
                self.model(dict(features), task=features.get("task", "document" if i else "query"))
                for i, features in enumerate(sentence_features)
            ]
            return self.calculate_loss(
                [[column["token_embeddings"]] for column in columns],
                [[column["attention_mask"].bool()] for column in columns],
            )

    return TrainHead, MinMaxKD, LateInteraction


def train_head(dimension: int) -> nn.Module:
    """SimCSE's MLP (mlp_only_train): ``dimension`` to as many, tanh; evaluation and what is saved do without."""
    head: nn.Module = _classes()[0](dimension, dimension)
    return head


def without_head(model: Any) -> list[Any]:
    """A model's modules but for the head that only training knows."""
    return [module for module in model if not isinstance(module, _classes()[0])]


def simcse_loss(model: Any, temperature: float, mini_batch: int, gather: bool) -> Any:
    """SimCSE's: every other row's positive and every row's hard negative is a negative, cosine, one direction."""
    return _ranking(model, temperature, mini_batch, gather)


def contrastive_loss(model: Any, temperature: float, mini_batch: int, gather: bool) -> Any:
    """Ruri's: the four sums of GTE in one softmax."""
    return _ranking(model, temperature, mini_batch, gather, directions=GTE_DIRECTIONS, partition_mode="joint")


def _ranking(model: Any, temperature: float, mini_batch: int, gather: bool, **settings: Any) -> Any:
    from sentence_transformers.sentence_transformer import losses

    # The reciprocal of .05 or .01 is exact only after rounding.
    settings |= {"scale": round(1 / temperature, 9), "gather_across_devices": gather}
    if not mini_batch:
        return losses.MultipleNegativesRankingLoss(model, **settings)
    return losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=mini_batch, **settings)


def dense_distillation(model: Any, mini_batch: int, temperature: float) -> Any:
    """Ruri's: min-max normalised scores of teacher and student (cosine), KL over a query's passages."""
    return _classes()[1](model, mini_batch, temperature)


def colbert_loss(model: Any, mini_batch: int, *, in_batch_negatives: bool, normalise: bool) -> Any:
    """JaColBERT's, v1 without and v2 with a teacher's scores as labels; see `colbert_objective`."""
    return _classes()[2](model, mini_batch, ib=in_batch_negatives, normalise=normalise)


def reranker_loss(model: Any) -> Any:
    """Softmax cross-entropy over a query's documents; the positive's label is `POSITIVE`, a negative's 0."""
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    return ListNetLoss(model, mini_batch_size=-1)
