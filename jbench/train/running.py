"""What every training needs around its steps: a place, a record to go on from, an optimizer, an end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jbench.cpu import bf16_units
from jbench.files import ready, write
from jbench.models.checkpoint import Checkpoint
from jbench.train.prepared import devices
from jbench.train.recipes import ColBERT, Recipe, keys, warm_up_of
from jbench.train.watch import WHOLE, Stop
from jbench.types import Unavailable, UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet

_BEGUN = "begun.json"
_SIGTERM = 15


def check_place(output: Path, work: Path, resume: bool) -> None:
    """Refuse an output that is there, and a training that was begun, or was not.

    :raises UsageError: naming it.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there already; give another name")
    if resume and not (work / _BEGUN).is_file():
        raise UsageError(f"nothing was begun at {output}; leave out --resume")
    if not resume and work.exists():
        begun = f"go on with --resume, or delete {work}" if (work / _BEGUN).is_file() else f"delete {work}"
        raise UsageError(f"training to {output} was begun; {begun}, or give another name")
    ready(output)


def check_installed() -> None:
    """Refuse to train without what training needs.

    :raises UsageError: naming the package.
    """
    if missing := [name for name in ("accelerate", "datasets") if find_spec(name) is None]:
        raise UsageError(f"training needs {missing[0]}: pip install 'jbench[train]'")


def check_devices() -> None:
    """Refuse one process on several GPUs, which the library would split the batch over.

    :raises UsageError: saying how to start.
    """
    import torch

    count = torch.cuda.device_count()
    if count > 1 and devices() == 1:
        raise UsageError(
            f"{count} GPUs are visible: start with torchrun --nproc-per-node {count} -m jbench train ..., "
            "or choose one with CUDA_VISIBLE_DEVICES"
        )


def facts_of(recipe: Recipe, sets: Sequence[TrainingSet], base: Checkpoint | None) -> dict[str, Any]:
    """What must be the same when training goes on: all that touches what is learnt."""
    facts = {key: getattr(recipe, key) for key in keys(recipe) if key not in ("mini_batch", "checkpoints", "weights")}
    named: dict[str, Any] = {"devices": devices(), "computed in": precision_of(recipe)}
    if base:
        named["base"] = f"{base.model}@{base.revision}"
    data = [f"{one.name}:{one.split}@{one.revision} ({one.count})" for one in sets]
    found: dict[str, Any] = json.loads(json.dumps({"recipe": recipe.name, **facts, **named, "data": data}))
    return found


def begin(facts: dict[str, Any], work: Path) -> None:
    """Keep what a training is begun with."""
    write(work / _BEGUN, json.dumps(facts, ensure_ascii=False, indent=2))


def check_same(facts: dict[str, Any], work: Path) -> None:
    """Refuse to go on with anything else than what was begun with.

    :raises UsageError: naming what differs.
    :raises Unavailable: when what was kept cannot be read.
    """
    try:
        begun = dict(json.loads((work / _BEGUN).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise Unavailable(f"{work / _BEGUN} is broken; delete {work} and begin anew") from error
    if key := next((key for key in facts if facts[key] != begun.get(key)), None):
        raise UsageError(f"--resume: {key} was {begun.get(key)!r} and is {facts[key]!r}; give what was begun with")


def last_whole(work: Path) -> Path | None:
    """The newest whole checkpoint; what was being written when something stopped is left aside."""
    whole = [path.parent for path in work.glob(f"checkpoint-*/{WHOLE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def ended(stop: Stop, done: int, steps: int, say: Callable[[str], None]) -> None:
    """Leave after a signal, where the last step was not reached.

    :raises KeyboardInterrupt: for SIGINT; SystemExit for SIGTERM.
    """
    if done < steps:
        say(f"stopped after step {done:,} of {steps:,}; go on with --resume")
        raise SystemExit(128 + _SIGTERM) if stop.number == _SIGTERM else KeyboardInterrupt


def optimizer(recipe: Recipe, model: Any, steps: int) -> tuple[Any, Any]:
    """AdamW as the recipe says, and linear warm-up and decay; a schedule-free one has its own warm-up."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    groups, warm_up = _groups(recipe, model), warm_up_of(recipe, steps)
    if isinstance(recipe, ColBERT) and recipe.optimizer == "schedule-free-adamw":
        try:
            schedulefree = import_module("schedulefree")
        except ImportError as error:
            raise UsageError(
                "optimizer=schedule-free-adamw needs the package: pip install schedulefree, or --set optimizer=adamw"
            ) from error
        free = schedulefree.AdamWScheduleFree(groups, lr=recipe.learning_rate, warmup_steps=warm_up)
        return free, torch.optim.lr_scheduler.LambdaLR(free, lambda step: 1.0)
    adamw = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    zero_at = (recipe.decay_steps if isinstance(recipe, ColBERT) else 0) or steps
    schedule = get_linear_schedule_with_warmup(adamw, warm_up, zero_at)  # type: ignore[no-untyped-call]
    return adamw, schedule


def _groups(recipe: Recipe, model: Any) -> list[dict[str, Any]]:
    from torch import nn

    decayed: dict[Any, None] = {}  # each weight once, though two modules may share it
    bare: dict[Any, None] = {}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            spared = not recipe.decay_all and (isinstance(module, nn.LayerNorm) or name == "bias")
            if weight.requires_grad:
                (bare if spared else decayed)[weight] = None
    groups = ((decayed, recipe.weight_decay), (bare, 0.0))
    return [{"params": [*weights], "weight_decay": decay} for weights, decay in groups if weights]


def precision_of(recipe: Recipe) -> str:
    """The recipe's where the device has it, else fp32. A CPU has bf16 where it has units for it."""
    import torch

    if not torch.cuda.is_available():
        return recipe.precision if recipe.precision == "bf16" and bf16_units() else "fp32"
    if recipe.precision == "bf16" and not torch.cuda.is_bf16_supported():
        return "fp32"
    return recipe.precision


def to_save(recipe: Recipe, model: Any) -> Any:
    """The model with its weights as they are saved."""
    return model.half() if recipe.weights == "fp16" else model.float()


def attention_of(recipe: Recipe) -> str | None:
    """How attention is computed: as the library chooses, but written out where a CPU trains in bf16.

    There the fused one's backward is the slower (``tests/benchmarks/test_training.py`` measures by how much).
    """
    import torch

    return "eager" if precision_of(recipe) == "bf16" and not torch.cuda.is_available() else None


@contextmanager
def quiet() -> Iterator[None]:
    """The libraries' bars and remarks, which are no message of ours."""
    from datasets.utils import logging as of_datasets
    from transformers.utils import logging as of_transformers

    of_transformers.disable_progress_bar()  # type: ignore[no-untyped-call]
    of_transformers.set_verbosity_error()  # type: ignore[no-untyped-call]
    of_datasets.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    yield
