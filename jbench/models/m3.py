"""The two further heads of BAAI/bge-m3: a weight a token (``sparse:``) and a vector a token (``colbert:``).

They lie beside the transformer as ``sparse_linear.pt`` and ``colbert_linear.pt``, which `jbench.models.convert` turns
into safetensors. How they are read: FlagEmbedding, ``inference/embedder/encoder_only/m3.py`` and
``finetune/embedder/encoder_only/m3/modeling.py``. Where one file is missing, that library fills both heads at random.
"""

from __future__ import annotations

from typing import Any

from jbench.models.checkpoint import TOKEN_HEADS, Checkpoint
from jbench.types import Unavailable

SPARSE, COLBERT = TOKEN_HEADS


def has_heads(checkpoint: Checkpoint) -> bool:
    """Whether either head is there, read or not."""
    endings = (".safetensors", ".pt")
    return any((checkpoint.folder / f"{head}{ending}").is_file() for head in TOKEN_HEADS for ending in endings)


def check_heads(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that lacks a head, or has one that is pickled.

    :raises Unavailable: naming the file.
    """
    for head in TOKEN_HEADS:
        if (checkpoint.folder / f"{head}.safetensors").is_file():
            continue
        if (checkpoint.folder / f"{head}.pt").is_file():
            raise Unavailable(
                f"{checkpoint.model}/{head}.pt is pickled, and not read so; "
                f"`jbench fetch --convert {checkpoint.given or checkpoint.model}` writes it as safetensors"
            )
        raise Unavailable(
            f"{checkpoint.model} has no {head}.pt: of the two heads beside its transformer one is missing"
        )


def sparse_modules(checkpoint: Checkpoint, transformer: Any) -> list[Any]:
    """The transformer, and what gives an entry the largest weight, above 0, that any of its tokens has in the text.

    Entries of the tokens that begin, end, pad and stand for what is unknown weigh nothing.
    """
    import torch

    tokenizer, width = transformer.tokenizer, transformer.model.config.vocab_size
    special = ("cls_token_id", "eos_token_id", "pad_token_id", "unk_token_id")
    unused = [i for name in special if (i := getattr(tokenizer, name)) is not None]

    class TokenWeights(torch.nn.Module):
        read_from_files, num_dimensions = True, width

        def __init__(self) -> None:
            super().__init__()
            self.linear = _linear(checkpoint, SPARSE, transformer)

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            hidden, ids = features["token_embeddings"], features["input_ids"]
            weights = torch.relu(self.linear(hidden)).squeeze(-1) * features["attention_mask"]
            entries = torch.zeros(len(ids), width, dtype=weights.dtype, device=weights.device)
            entries = entries.scatter_reduce(1, ids, weights, reduce="amax")
            entries[:, unused] = 0
            return features | {"sentence_embedding": entries}

    return [transformer, TokenWeights()]


def colbert_modules(checkpoint: Checkpoint, transformer: Any) -> list[Any]:
    """The transformer, a projection of each token, all tokens but the first, and their length brought to 1."""
    import torch
    from sentence_transformers.base.modules import Normalize

    class Projection(torch.nn.Module):
        read_from_files = True

        def __init__(self) -> None:
            super().__init__()
            self.linear = _linear(checkpoint, COLBERT, transformer)

        def get_embedding_dimension(self) -> int:
            return int(self.linear.out_features)

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            kept = features["attention_mask"].clone()
            kept[:, 0] = 0
            return features | {"token_embeddings": self.linear(features["token_embeddings"]), "attention_mask": kept}

    return [transformer, Projection(), Normalize(module_input_name="token_embeddings")]


def _linear(checkpoint: Checkpoint, head: str, transformer: Any) -> Any:
    """The layer that a head is, in the transformer's dtype.

    :raises Unavailable: when the file holds no layer over the transformer's tokens.
    """
    import torch
    from safetensors.torch import load_file

    held, model = load_file(checkpoint.folder / f"{head}.safetensors"), transformer.model
    weight, bias = held.get("weight"), held.get("bias")
    hidden = model.config.hidden_size
    if (
        weight is None
        or bias is None
        or weight.ndim != 2
        or weight.shape[1] != hidden
        or bias.shape != weight.shape[:1]
    ):
        shapes = {name: tuple(tensor.shape) for name, tensor in held.items()}
        raise Unavailable(f"{checkpoint.model}: {head} holds {shapes}, no layer over tokens of {hidden} numbers")
    layer = torch.nn.Linear(hidden, len(weight)).to(model.dtype)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
