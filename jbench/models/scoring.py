"""How a loaded module gives the score of a pair: how its rows are padded, and where the score is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jbench.models import tokens
from jbench.models.templates import Template, label_id
from jbench.types import Unavailable


def padding(module: Any) -> Callable[[Sequence[dict[str, list[int]]]], dict[str, Any]]:
    """What pads a batch so that the score of a pair is the one that it has alone."""
    transformer, tokenizer = module[0], module.tokenizer
    if transformer.transformer_task == "text-generation":
        return partial(_padded_left, module)
    if not hasattr(transformer.model, "score"):
        return lambda batch: tokens.pad(tokenizer, batch, module.device)
    # A decoder's head is read at the last token that is not config.pad_token_id, so that one fills the places behind a
    # pair. Where config.json names none, a pair alone is read at its last token, and any id serves that ends no pair.
    config = transformer.model.config.get_text_config()
    named = config.pad_token_id

    def pad(batch: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        if named is None:
            ends = {ids[-1] for row in batch if (ids := row["input_ids"])}
            config.pad_token_id = next(i for i in range(len(ends) + 1) if i not in ends)
        return tokens.pad(tokenizer, batch, module.device, side="right", fill=config.pad_token_id)

    return pad


def _padded_left(module: Any, batch: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """Rows that all end in their last token, which is read; a token's place counts from its row's own first."""
    features = tokens.pad(module.tokenizer, batch, module.device, side="left")
    mask = features["attention_mask"]
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    modality = "message" if "message" in module[0].modality_config else "text"
    return features | {"position_ids": places, "modality": modality, "logits_to_keep": 1}


def scores(module: Any, features: dict[str, Any]) -> Any:
    """Scores before the activation, float32[n, labels]; two logits of half precision are subtracted in float32."""
    if module[0].transformer_task == "text-generation":
        features = module[0](features)
        features["causal_logits"] = features["causal_logits"].float()
        features = module[1](features)
    else:
        features = module(features)
    return features["scores"].float()


def check_answers(model: str, module: Any) -> None:
    """Refuse a LogitScore without a language model before it, or over tokens that this has not.

    :raises Unavailable: saying which.
    """
    transformer, score = module[0], module[1]
    if transformer.transformer_task != "text-generation":
        raise Unavailable(f"{model}: its LogitScore reads a language model, and its files load none before it")
    rows = transformer.model.get_input_embeddings().num_embeddings
    for token in (score.true_token_id, score.false_token_id):
        if token is not None and not (type(token) is int and 0 <= token < rows):
            raise Unavailable(f"{model}: its LogitScore names the token {token}, and the model has {rows:,}")


def language_model(model: str, template: Template, folder: str, arguments: dict[str, Any]) -> list[Any]:
    """The modules of a bare language model in ``folder``, whose score ``template`` says.

    :raises Unavailable: where its tokenizer has no token for an answer.
    """
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    files = {key: arguments[key] for key in ("local_files_only", "trust_remote_code")}
    transformer = Transformer(
        folder,
        transformer_task="text-generation",
        model_kwargs={**arguments["model_kwargs"], **files},
        processor_kwargs=dict(files),
        config_kwargs=dict(files),
    )
    labels = [label_id(model, transformer.tokenizer, label) for label in (template.yes, template.no) if label]
    return [transformer, LogitScore(*labels)]
