"""The reports' recipes, value by value, each with the table or file that says it.

Where sources disagree, the first reading is the one in use and the others stand beside it. A recipe is
plain values; `Recipe.said` keeps who says them. ``ours`` marks what no source says and this project chose.

Sources: Japanese SimCSE (arXiv 2310.19349 and its code, hppRC/simple-simcse-ja at 780476b); JaColBERT (arXiv
2312.16144), its model card and the ``artifact.metadata`` of its checkpoints, JaColBERTv2.5 (arXiv 2407.20750),
the code that trained them (stanford-futuredata/ColBERT at 501c29d); Ruri (arXiv 2409.07737).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from math import inf
from typing import Any, TypeVar, get_type_hints

from jbench.types import UsageError, unknown

OURS = "ours"
PRECISIONS = ("bf16", "fp16", "fp32")
_CHOICES = {
    "precision": PRECISIONS,
    "weights": ("fp32", "fp16"),
    "pooling": ("cls", "mean"),
    "optimizer": ("adamw", "schedule-free-adamw"),
}
_POSITIVE = {
    *("batch_size", "learning_rate", "max_length", "query_length", "document_length", "dimension", "temperature"),
    *("distil_temperature", "examples", "epochs", "in_batch", "ways", "hard_negatives"),
    *("vocabulary", "sampled", "layers", "hidden", "heads", "positions", "masked"),
}
_T = TypeVar("_T", bound="Recipe")


@dataclass(frozen=True)
class Said:
    """A value, who says it, and the other readings: each a value and who says that."""

    value: Any
    source: str
    others: tuple[tuple[Any, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every trainer needs to know; `said` has one entry for each value.

    ``batch_size`` counts the rows of one optimizer step over all devices; ``mini_batch`` those that go
    through the model at once (0: all that one loss needs): memory, and of the result only dropout's draws. ``steps`` 0
    means that examples or epochs decide. ``warm_up`` below 1 is a share of the steps, rounded down, else
    a number of them; ``decay_all``: weight decay also on LayerNorm and biases; ``clip`` 0: gradients are
    not clipped; ``checkpoints``: how many resumable ones are written on the way; ``weights``: as what the weights
    are saved, whatever they were trained in.
    """

    name: str
    said: Mapping[str, Said] = field(repr=False, compare=False)
    base: str
    data: tuple[str, ...]
    steps: int
    batch_size: int
    mini_batch: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    decay_all: bool
    clip: float
    precision: str
    seed: int
    checkpoints: int
    weights: str


@dataclass(frozen=True, kw_only=True)
class SimCSE(Recipe):
    """Contrastive learning of sentences, with labels or without.

    ``head``: a linear layer with tanh between pooling and loss, while training only. ``evaluations``
    on ``dev`` choose the checkpoint by Spearman, and one before the first step.
    """

    examples: int
    max_length: int
    pooling: str
    temperature: float
    head: bool
    dev: str
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Contrastive(Recipe):
    """A dense retriever by the improved contrastive loss, and by distillation where data has scores.

    ``distil_temperature`` divides the min-max normalised scores of both teacher and student; ``teacher`` says
    whose scores the data has, where it does not say so itself (mined with a filter, it does).
    """

    epochs: int
    max_length: int
    pooling: str
    temperature: float
    hard_negatives: int
    query_prompt: str
    document_prompt: str
    homogeneous: bool
    no_duplicates: bool
    shuffle_positive: bool
    freeze_positions: bool
    distil: bool
    distil_temperature: float
    teacher: str


@dataclass(frozen=True, kw_only=True)
class ColBERT(Recipe):
    """Late interaction.

    ``in_batch`` counts the queries of one device: the documents of one are negatives of the others, never
    those of another device. ``ways``: documents a query, the positive first. ``decay_steps``: where the
    learning rate would reach zero (0: at the last step). ``teacher`` as in `Contrastive`.
    """

    examples: int
    query_length: int
    document_length: int
    dimension: int
    ways: int
    in_batch: int
    in_batch_negatives: bool
    distil: bool
    min_max: bool
    teacher: str
    optimizer: str
    decay_steps: int


@dataclass(frozen=True, kw_only=True)
class Reranker(Recipe):
    """A cross-encoder with one logit: cross-entropy of the positive above its hard negatives."""

    epochs: int
    max_length: int
    hard_negatives: int
    shuffle_positive: bool


@dataclass(frozen=True, kw_only=True)
class Masked(Recipe):
    """A tokenizer and a ModernBERT from random weights, by masked words; this project's own base for small models.

    ``vocabulary`` pieces are learnt from the first ``sampled`` texts; a block of ``max_length`` pieces is one
    row of a batch, and a share ``masked`` of its pieces is to be guessed. ``dropout`` is that of this training; the
    checkpoint's configuration has .1 for its embeddings, for those who build on it. ``base`` is empty.
    """

    epochs: int
    max_length: int
    vocabulary: int
    sampled: int
    layers: int
    hidden: int
    heads: int
    positions: int
    masked: float
    dropout: float


Rows = dict[str, Said]


def _made(kind: type[_T], name: str, *parts: Rows) -> _T:
    """The recipe of several groups of rows; a later group's row replaces an earlier one's."""
    said = {key: row for part in parts for key, row in part.items()}
    return kind(name=name, said=said, **{key: row.value for key, row in said.items()})


def _all(source: str, **values: Any) -> dict[str, Said]:
    return {key: Said(value, source) for key, value in values.items()}


_OURS = _all(OURS, steps=0, mini_batch=0, checkpoints=10, weights="fp32")

# Japanese SimCSE -----------------------------------------------------------------------------------------

_SIMCSE: Rows = {
    **_OURS,
    **_all("simple-simcse-ja src/models.py", pooling="cls", temperature=0.05, head=True),
    **_all(
        "simple-simcse-ja src/experiment.py: torch.optim.AdamW over all parameters", weight_decay=0.01, decay_all=True
    ),
    **_all("simple-simcse-ja src/experiment.py: no clipping", clip=0.0),
    **_all("simple-simcse-ja src/experiment.py: int(0.1 * steps), linear, to 0", warm_up=0.1),
    **_all("simple-simcse-ja src/experiment.py: 2**20 examples", examples=2**20),
    **_all("simple-simcse-ja src/experiment.py: 2**6 evaluations, the interval (steps - 1) // 64 + 1", evaluations=64),
    **_all("simple-simcse-ja src/sts.py: JSICK (val), the rows whose data is train", dev="jsick@simcse-dev4500"),
    **_all("simple-simcse-ja src/experiment.py: max_seq_len", max_length=64),
    **_all("simple-simcse-ja src/experiment.py: autocast", precision="bf16"),
    "seed": Said(0, OURS, ((None, "simple-simcse-ja src/experiment.py: the reported runs are five unseeded ones"),)),
}
_SIMCSE_SUP = _SIMCSE | {**_all("simple-simcse-ja train.sh", batch_size=512, learning_rate=5e-5, data=("JSNLI",))}
_SIMCSE_UNSUP = _SIMCSE | {**_all("simple-simcse-ja train.sh", batch_size=64, data=("wiki40b-ja",))}


def simcse_sup() -> SimCSE:
    """Supervised, base: cl-nagoya/sup-simcse-ja-base."""
    return _made(
        SimCSE, "simcse-sup", _SIMCSE_SUP, _all("simple-simcse-ja train.sh", base="cl-tohoku/bert-base-japanese-v3")
    )


def simcse_sup_large() -> SimCSE:
    """Supervised, large: cl-nagoya/sup-simcse-ja-large."""
    return _made(
        SimCSE,
        "simcse-sup-large",
        _SIMCSE_SUP,
        _all("simple-simcse-ja train.sh", base="cl-tohoku/bert-large-japanese-v2"),
    )


def simcse_unsup() -> SimCSE:
    """Unsupervised, base: cl-nagoya/unsup-simcse-ja-base."""
    own = _all("simple-simcse-ja train.sh", base="cl-tohoku/bert-base-japanese-v3", learning_rate=5e-5)
    return _made(SimCSE, "simcse-unsup", _SIMCSE_UNSUP, own)


def simcse_unsup_large() -> SimCSE:
    """Unsupervised, large: cl-nagoya/unsup-simcse-ja-large."""
    own = _all("simple-simcse-ja train.sh", base="cl-tohoku/bert-large-japanese-v2", learning_rate=3e-5)
    return _made(SimCSE, "simcse-unsup-large", _SIMCSE_UNSUP, own)


# JaColBERT -----------------------------------------------------------------------------------------------

_STANFORD: Rows = {
    **_OURS,
    **_all(
        "stanford ColBERT, colbert/training: AdamW over all parameters, torch's weight decay",
        weight_decay=0.01,
        decay_all=True,
    ),
    **_all("stanford ColBERT, colbert/training: clip_grad_norm_", clip=2.0),
    **_all("stanford ColBERT, colbert/training: fp16 AMP", precision="fp16"),
    **_all("stanford ColBERT, colbert/training: one seed for all", seed=12345),
    **_all("JaColBERT artifact.metadata", dimension=128),
    **_all("stanford ColBERT, colbert/training", optimizer="adamw"),
    **_all("JaColBERT report: MMarco's Japanese part", data=("mMARCO-ja",)),
}


def jacolbert() -> ColBERT:
    """JaColBERT (v1): pairwise and in-batch cross-entropy."""
    card = "JaColBERT model card"
    own = {
        "base": Said("cl-tohoku/bert-base-japanese-v3", "JaColBERT report; model card"),
        "examples": Said(
            10_000_000, "JaColBERT report, one pass; model card", ((8_000_000, "JaColBERTv2.5 report, on v1"),)
        ),
        "steps": Said(0, "examples // batch_size, 78,125", ((78_000, "JaColBERT report: about"),)),
        "batch_size": Said(
            128, "JaColBERT report: 16 on each of 8 L4", ((16, "JaColBERT artifact.metadata: bsize, of one device"),)
        ),
        "in_batch": Said(16, "JaColBERT artifact.metadata: bsize; report", (("8, 16 or 32", card),)),
        "learning_rate": Said(
            5e-6, "JaColBERT report; artifact.metadata", (("3e-6 is close, 1e-5 and 2e-5 worse", "JaColBERT report"),)
        ),
        "warm_up": Said(8000.0, "JaColBERT report; artifact.metadata", ((0.1, card),)),
        "decay_steps": Said(500_000, "JaColBERT artifact.metadata: maxsteps", ((0, "JaColBERT report: not said"),)),
        "query_length": Said(32, "JaColBERT artifact.metadata: query_maxlen", ((64, "JaColBERT report"),)),
        "document_length": Said(228, "JaColBERT report; artifact.metadata: doc_maxlen"),
        "ways": Said(2, "JaColBERT report: triplets; artifact.metadata: nway"),
        "in_batch_negatives": Said(
            True, "JaColBERT artifact.metadata: use_ib_negatives; model card", ((None, "JaColBERT report: not said"),)
        ),
        "distil": Said(False, card),
        **_all("not distilled", min_max=False, teacher=""),
    }
    return _made(ColBERT, "jacolbert", _STANFORD, own)


def jacolbert_v2() -> ColBERT:
    """JaColBERTv2: from v1, distilled from ColBERTv2's scores of the English original."""
    own = {
        "base": Said("bclavie/JaColBERT", "JaColBERTv2 model card: initialised from v1"),
        "examples": Said(8_000_000, "JaColBERTv2 model card: 250,000 steps of 32"),
        "steps": Said(0, "examples // batch_size, 250,000"),
        "batch_size": Said(
            32, "JaColBERTv2 model card", ((4, "JaColBERTv2 artifact.metadata: bsize, of one of 8 devices"),)
        ),
        **_all("JaColBERTv2 artifact.metadata", in_batch=4, ways=32, learning_rate=1e-5, warm_up=10_000.0),
        **_all("JaColBERTv2 artifact.metadata", query_length=32, document_length=256, in_batch_negatives=True),
        "distil": Said(True, "JaColBERTv2 model card"),
        "decay_steps": Said(0, "not said: at the last step"),
        "min_max": Said(False, "stanford ColBERT, colbert/training: raw scores"),
        "teacher": Said("colbert-ir/colbertv2.0", "JaColBERTv2 model card"),
    }
    return _made(ColBERT, "jacolbert-v2", _STANFORD, own)


def jacolbert_v2_5() -> ColBERT:
    """JaColBERTv2.5's main training, before its post-training and checkpoint averaging."""
    report = "JaColBERTv2.5 report"
    own = {
        "base": Said("cl-tohoku/bert-base-japanese-v3", report),
        "examples": Said(3_200_000, report),
        "steps": Said(0, "examples // batch_size, 50,000"),
        "batch_size": Said(64, "JaColBERTv2.5 report: 16 on each of 4 A100"),
        "document_length": Said(300, report, ((228, "JaColBERTv2.5 report, ablations"),)),
        "query_length": Said(
            32, OURS, (("next multiple of 32, at least 8 [MASK]", "JaColBERTv2.5 report, when searching"),)
        ),
        **_all(report, in_batch=16, ways=32, in_batch_negatives=False, distil=True, min_max=True),
        **_all(report, learning_rate=3e-5, warm_up=0.05, clip=0.0, optimizer="schedule-free-adamw"),
        "decay_steps": Said(0, "JaColBERTv2.5 report: no schedule"),
        "weight_decay": Said(0.01, OURS, ((None, "JaColBERTv2.5 report: not said"),)),
        "decay_all": Said(True, OURS, ((None, "JaColBERTv2.5 report: not said"),)),
        "precision": Said("bf16", OURS, ((None, "JaColBERTv2.5 report: not said"),)),
        "seed": Said(42, OURS, ((None, "JaColBERTv2.5 report: not said"),)),
        "teacher": Said("BAAI/bge-reranker-v2-m3", report),
    }
    return _made(ColBERT, "jacolbert-v2.5", _STANFORD, own)


# Ruri ----------------------------------------------------------------------------------------------------

_DIGEST = "Ruri, a Japanese digest of the report"
_RURI: Rows = {
    **_OURS,
    "steps": Said(0, "one epoch decides"),
    "decay_all": Said(False, OURS, ((None, "Ruri: not said"),)),
    "clip": Said(1.0, OURS, ((None, "Ruri: not said; the library's own"),)),
    "precision": Said("bf16", OURS, ((None, "Ruri: not said"),)),
    "seed": Said(42, OURS, ((None, "Ruri: not said"),)),
}
_RURI_DENSE: Rows = {
    **_RURI,
    **_all("Ruri table 9", pooling="mean"),
    **_all("Ruri model cards", query_prompt="クエリ: ", document_prompt="文章: "),
    **_all(_DIGEST, freeze_positions=True, no_duplicates=True),
    "mini_batch": Said(64, OURS),
}
_RURI_PT: Rows = {
    **_RURI_DENSE,
    **_all(
        "Ruri table 14", warm_up=0.1, epochs=1, weight_decay=0.01, temperature=0.01, batch_size=8192, hard_negatives=1
    ),
    **_all("Ruri table 14", homogeneous=True, shuffle_positive=True, distil=False),
    "distil_temperature": Said(1.0, "not distilled"),
    "teacher": Said("", "not distilled"),
    **_all(
        "Ruri table 1",
        data=(
            *("Wikipedia(1)", "Wikipedia(3)", "Wikipedia(long)", "Wiktionary", "WikiBooks", "MQA-ja", "CC News long"),
            *("CC News short", "AutoWikiQA", "JRC", "Wiki Atomic Edits", "AutoWikiNLI", "JSNLI"),
        ),
    ),
}
_RURI_FT: Rows = {
    **_RURI_DENSE,
    **_all(
        "Ruri table 14", warm_up=0.1, epochs=1, weight_decay=0.01, temperature=0.01, batch_size=512, hard_negatives=15
    ),
    **_all("Ruri table 14", max_length=512, homogeneous=True, shuffle_positive=True, distil=True),
    "distil_temperature": Said(1.0, OURS, ((0.01, "Ruri: whether its temperature also divides these is not said"),)),
    "teacher": Said("cl-nagoya/ruri-reranker-large", "Ruri, supervised fine-tuning"),
    **_all(
        "Ruri table 8",
        data=("Quiz No Mori", "Quiz Works", "JQaRA", "MIRACL-ja", "Mr.TyDi-ja", "NU-SNLI", "NU-MNLI", "JaNLI"),
    ),
}
_RURI_RERANKER: Rows = {**_RURI, "mini_batch": Said(8, OURS)}
_RURI_RERANKER_1: Rows = {
    **_RURI_RERANKER,
    **_all("Ruri table 15", warm_up=0.1, epochs=1, weight_decay=0.01, max_length=256, batch_size=512),
    "hard_negatives": Said(63, "Ruri table 15"),
    "shuffle_positive": Said(
        True, "Ruri table 15", ((False, f"{OURS}: a small reranker learns which passages are shuffled"),)
    ),
    **_all(
        "Ruri table 3",
        data=(
            *("JGLUE/JSQuAD", "AutoWikiQA", "JaQuAD", "Quiz No Mori", "Quiz Works", "JQaRA", "MIRACL-ja"),
            *("Mr.TyDi-ja", "MKQA"),
        ),
    ),
}
_RURI_RERANKER_2: Rows = {
    **_RURI_RERANKER,
    **_all("Ruri table 15", warm_up=0.1, epochs=1, weight_decay=0.01, max_length=512, batch_size=64),
    **_all("Ruri table 15", hard_negatives=63, shuffle_positive=False),
    **_all("Ruri table 4", data=("Quiz No Mori", "Quiz Works", "JQaRA", "MIRACL-ja", "Mr.TyDi-ja")),
}
_SIZES = ("small", "base", "large")
_FIRST_RATE = {"small": 1e-4, "base": 5e-5, "large": 3e-5}
_SECOND_RATE = {"small": 1e-5, "base": 5e-6, "large": 3e-6}
_PT_LENGTH = {"small": 256, "base": 256, "large": 192}
_PT_BASE = {
    "small": "line-corporation/line-distilbert-base-japanese",
    "base": "tohoku-nlp/bert-base-japanese-v3",
    "large": "tohoku-nlp/bert-large-japanese-v2",
}


def ruri_pt(size: str) -> Contrastive:
    """Ruri's contrastive pre-training; ``size`` is small, base or large."""
    own = _all("Ruri table 14", learning_rate=_FIRST_RATE[size], max_length=_PT_LENGTH[size])
    return _made(Contrastive, f"ruri-pt-{size}", _RURI_PT, own, _all("Ruri table 2", base=_PT_BASE[size]))


def ruri(size: str) -> Contrastive:
    """Ruri's supervised fine-tuning: distilled on questions, contrastive on NLI."""
    own = _all("Ruri table 14", learning_rate=_SECOND_RATE[size]) | _all("Ruri", base=f"cl-nagoya/ruri-pt-{size}")
    return _made(Contrastive, f"ruri-{size}", _RURI_FT, own)


def ruri_reranker_stage1(size: str) -> Reranker:
    """Ruri's reranker, first stage, from the pre-trained encoder."""
    own = _all("Ruri table 15", learning_rate=_FIRST_RATE[size]) | _all(
        "Ruri table 7", base=f"cl-nagoya/ruri-pt-{size}"
    )
    return _made(Reranker, f"ruri-reranker-stage1-{size}", _RURI_RERANKER_1, own)


def ruri_reranker_stage2(size: str) -> Reranker:
    """Ruri's reranker, second stage, from the first."""
    first = _all("Ruri table 6: stage 1, then 2; not published", base=f"ruri-reranker-stage1-{size}")
    own = _all("Ruri table 15", learning_rate=_SECOND_RATE[size]) | first
    return _made(Reranker, f"ruri-reranker-stage2-{size}", _RURI_RERANKER_2, own)


# From nothing --------------------------------------------------------------------------------------------


def bert_mini() -> Masked:
    """A small encoder from nothing, as large as two cores can train."""
    own = _all(
        OURS,
        **{"base": "", "data": ("jaquad",), "epochs": 1, "batch_size": 48, "learning_rate": 1e-3, "warm_up": 0.05},
        **{"weight_decay": 0.01, "decay_all": False, "clip": 1.0, "precision": "bf16", "seed": 42},
        **{"max_length": 128, "vocabulary": 10_000, "sampled": 100_000, "masked": 0.2, "dropout": 0.0},
        **{"layers": 4, "hidden": 256, "heads": 4, "positions": 512},
    )
    return _made(Masked, "bert-mini", _OURS, own)


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "bert-mini": bert_mini,
    "simcse-sup": simcse_sup,
    "simcse-sup-large": simcse_sup_large,
    "simcse-unsup": simcse_unsup,
    "simcse-unsup-large": simcse_unsup_large,
    "jacolbert": jacolbert,
    "jacolbert-v2": jacolbert_v2,
    "jacolbert-v2.5": jacolbert_v2_5,
    **{f"ruri-pt-{size}": partial(ruri_pt, size) for size in _SIZES},
    **{f"ruri-reranker-stage1-{size}": partial(ruri_reranker_stage1, size) for size in _SIZES},
    **{f"ruri-reranker-stage2-{size}": partial(ruri_reranker_stage2, size) for size in _SIZES},
    **{f"ruri-{size}": partial(ruri, size) for size in _SIZES},
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    :raises UsageError: for a name that is not known.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]()


def keys(recipe: Recipe) -> list[str]:
    """What can be set, in the order in which it is shown."""
    return [each.name for each in fields(recipe) if each.name not in ("name", "said")]


def changed(recipe: _T, asked: Mapping[str, str | tuple[str, ...]], by: str = "--set") -> _T:
    """The recipe with other values, as typed or as a tuple of names; what they replace is kept beside them.

    :raises UsageError: for a key that the recipe has not, or a value that it cannot have.
    """
    values = {key: _parsed(recipe, key, text) if isinstance(text, str) else text for key, text in asked.items()}
    said = {
        key: Said(value, by, ((getattr(recipe, key), recipe.said[key].source), *recipe.said[key].others))
        for key, value in values.items()
        if value != getattr(recipe, key)
    }
    news: dict[str, Any] = {"said": {**recipe.said, **said}, **values}
    made = replace(recipe, **news)
    _check(made)
    return made


def _parsed(recipe: Recipe, key: str, text: str) -> Any:
    if key not in keys(recipe):
        raise unknown(f"setting of {recipe.name}", key, keys(recipe))
    kind = get_type_hints(type(recipe))[key]
    if kind is bool:
        if text not in ("true", "false"):
            raise UsageError(f"--set {key}={text}: expected true or false")
        return text == "true"
    if kind is str:
        if key in _CHOICES and text not in _CHOICES[key]:
            raise unknown(key, text, _CHOICES[key])
        return text
    if kind not in (int, float):
        return tuple(text.split(","))
    try:
        value = kind(text)
    except ValueError:
        value = -1
    least = "above 0" if key in _POSITIVE else "of 0 or more"
    if not (0 < value < inf or (value == 0 and key not in _POSITIVE)):
        raise UsageError(f"--set {key}={text}: expected a {'whole ' * (kind is int)}number {least}")
    return value


def _check(recipe: Recipe) -> None:
    if isinstance(recipe, ColBERT) and recipe.batch_size % recipe.in_batch:
        raise UsageError(f"batch_size={recipe.batch_size} is no multiple of in_batch={recipe.in_batch}; set both")
    if isinstance(recipe, ColBERT) and recipe.ways < 2 and (recipe.distil or not recipe.in_batch_negatives):
        raise UsageError(f"ways={recipe.ways}: without negatives of other queries, a query needs one of its own")


def steps_of(recipe: Recipe, rows: int) -> int:
    """How many optimizer steps: ``steps``, else what examples or epochs over ``rows`` give.

    :raises UsageError: when that is none, or when the warm-up would not end before the last.
    """
    if isinstance(recipe, SimCSE | ColBERT):
        derived = recipe.examples // recipe.batch_size
    else:
        derived = rows * getattr(recipe, "epochs", 1) // recipe.batch_size
    steps = recipe.steps or derived
    if not steps:
        raise UsageError(
            f"{rows:,} rows of training data do not fill one batch of {recipe.batch_size:,}: set batch_size"
        )
    if warm_up_of(recipe, steps) >= steps:
        raise UsageError(f"warm_up={recipe.warm_up:g} does not end before the last of {steps:,} steps: set warm_up too")
    return steps


def warm_up_of(recipe: Recipe, steps: int) -> int:
    """How many of the steps the learning rate rises: a share is rounded down."""
    return int(recipe.warm_up * steps) if recipe.warm_up < 1 else int(recipe.warm_up)


def described(recipe: Recipe) -> list[dict[str, Any]]:
    """`rows_of` a recipe, in the order in which it is shown."""
    return rows_of({key: recipe.said[key] for key in keys(recipe)})


def rows_of(things: Mapping[str, Said]) -> list[dict[str, Any]]:
    """One row a value: key, value, source, and the other readings."""
    return [
        {
            "key": key,
            "value": said.value,
            "source": said.source,
            "others": [{"value": value, "source": source} for value, source in said.others],
        }
        for key, said in things.items()
    ]


def written(value: Any) -> str:
    """A value as people read it; a dash for what a source does not say."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
