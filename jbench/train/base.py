"""Base models as the trainers build on them."""

from __future__ import annotations

from typing import Any

from jbench.models import reading, segment
from jbench.models.checkpoint import Checkpoint
from jbench.models.locate import locate, shipped
from jbench.models.own_code import check_code
from jbench.train.recipes import RECIPES
from jbench.types import UsageError

MARKERS = {"query": "[unused0]", "document": "[unused1]"}
"""What stands before a query and a document of a ColBERT (colbert-ai; JaColBERT's artifact.metadata)."""


def open_base(name: str) -> Checkpoint:
    """The checkpoint that ``name`` (a folder or a hub id) stands for, its weights in safetensors.

    :raises UsageError: for what is no checkpoint, or one that reads words of a segmenter.
    :raises Unavailable: when it is not to be had.
    """
    if name in RECIPES and name not in shipped():
        raise UsageError(
            f"the base model is what {name} gives, which nobody published: train it, and name it by --base"
        )
    checkpoint = locate(name, None)
    check_code(checkpoint, False)
    checkpoint.check_weights()
    wanted = segment.segmenter(checkpoint.hub_id, checkpoint.base_model, None)
    if wanted not in (None, "none"):
        raise UsageError(f"{checkpoint.model} reads words cut by {wanted}, which the trainers do not do")
    return checkpoint


def within(checkpoint: Checkpoint, **lengths: int) -> None:
    """Refuse a length that the base model has no positions for.

    :raises UsageError: naming the setting.
    """
    for key, length in lengths.items():
        if checkpoint.positions and length > checkpoint.positions:
            most = checkpoint.positions
            raise UsageError(f"{key}={length}: {checkpoint.model} has {most} positions; set {key} to {most} at most")


def transformer(checkpoint: Checkpoint, attention: str | None, **settings: Any) -> Any:
    """The encoder of a checkpoint, whatever stands behind it there, as the library's first module.

    ``attention`` is how it is computed (None: as the library chooses); the result is the same but for rounding. Texts
    are read as the checkpoint's own files say.

    :raises UsageError: where the library reads them otherwise and cannot save the files' reading.
    """
    from sentence_transformers.base.modules import Transformer

    verdicts = reading.judged(checkpoint, trusted=False)
    folder = checkpoint.folder / checkpoint.home.lstrip("/")
    misread = any(verdict.difference for verdict in verdicts.values())
    if misread and not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise UsageError(
            f"{checkpoint.model}: transformers reads its sentencepiece model otherwise than sentencepiece does, and "
            "what is trained could not be saved with the right reading; save tokenizer.json beside it"
        )
    loading = {"local_files_only": True}
    with reading.read_by_files(checkpoint, verdicts):
        return Transformer(
            str(folder),
            model_kwargs={**loading, "use_safetensors": True, "attn_implementation": attention, "dtype": "float32"},
            processor_kwargs=dict(loading),
            config_kwargs={**loading, **settings.pop("config_kwargs", {})},
            **settings,
        )


def mark(checkpoint: Checkpoint, tokenizer: Any) -> None:
    """Make the markers tokens that are never cut.

    :raises UsageError: when the vocabulary has not got them: a new one would be of random weights.
    """
    known = tokenizer.get_vocab()
    needed = [*MARKERS.values(), tokenizer.mask_token or "[MASK]"]
    if missing := [token for token in needed if token not in known]:
        raise UsageError(
            f"{checkpoint.model} has no token {missing[0]} in its vocabulary, which a ColBERT needs; "
            "take another base (the Tohoku models have it from v3 on)"
        )
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS.values())})


def freeze_positions(model: Any) -> int:
    """Keep position embeddings as they are; how many numbers that leaves untrained."""
    held = [weight for name, weight in model.named_parameters() if "position_embeddings" in name]
    for weight in held:
        weight.requires_grad_(False)
    return sum(weight.numel() for weight in held)
