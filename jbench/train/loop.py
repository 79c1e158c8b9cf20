"""From a recipe and data to a checkpoint, by sentence-transformers' trainers; what all families share."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jbench.files import ready, write, writing_folder
from jbench.models.checkpoint import Checkpoint
from jbench.train import colbert, contrastive, reranker, simcse
from jbench.train.base import open_base
from jbench.train.batches import planned
from jbench.train.output import describe
from jbench.train.prepared import Prepared, devices, rank
from jbench.train.recipes import ColBERT, Contrastive, Recipe, Reranker, SimCSE, keys, warm_up_of
from jbench.train.watch import WHOLE, Best, Stop, watch
from jbench.types import Unavailable, UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet

_BEGUN = "begun.json"
_SIGTERM = 15


def train(
    recipe: Recipe,
    sets: Sequence[TrainingSet],
    output: Path,
    *,
    resume: bool = False,
    command: str = "",
    say: Callable[[str], None] = lambda message: None,
) -> list[dict[str, float]]:
    """Train, and write the checkpoint to ``output``, which appears when it is complete.

    Until then ``output.training`` beside it holds resumable checkpoints. A signal (SIGINT, SIGTERM) ends the
    training after a step, and a checkpoint is written.

    :returns: what was logged: the loss and the learning rate at steps, the dev scores.
    :raises UsageError: for settings, data or a base model that do not fit, or an ``output`` in use.
    :raises Unavailable: when the base model or the disk is not to be had, or memory does not suffice.
    :raises KeyboardInterrupt: after a signal, once a checkpoint is written; SystemExit for SIGTERM.
    """
    _check_installed()
    from transformers import set_seed

    first = rank() == 0
    say = say if first else lambda message: None
    work = output.with_name(f"{output.name}.training")
    if first:
        _check_place(output, work, resume)
    if not sets:
        raise UsageError(f"{recipe.name} needs data; the report's is {', '.join(recipe.data)}")
    _check_devices()
    base = open_base(recipe.base)
    facts = _facts(recipe, sets, base)
    if resume:
        _check_same(facts, work)
    set_seed(recipe.seed)
    with _quiet():
        prepared = _prepared(recipe, base, sets)
        if first and not resume:
            write(work / _BEGUN, json.dumps(facts, ensure_ascii=False, indent=2))
        last = _last(work) if resume else None
        best = Best.load(last) if last else Best()
        stop = Stop()
        trainer = _trainer(recipe, prepared, work, best, stop, resumed=last is not None, say=say)
        say(f"{recipe.name}: {len(prepared.plan):,} steps of {recipe.batch_size:,} rows on {trainer.args.device}")
        if last:
            say(f"going on from {last.name}")
        with stop.listening(), _memory(recipe, prepared):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        history: list[dict[str, float]] = trainer.state.log_history
        done = trainer.state.global_step
        if done < len(prepared.plan):
            say(f"stopped after step {done:,} of {len(prepared.plan):,}; go on with --resume")
            raise SystemExit(128 + _SIGTERM) if stop.number == _SIGTERM else KeyboardInterrupt
        if first:
            _finish(prepared, trainer, best)
            with writing_folder(output) as folder:
                prepared.finished().save_pretrained(str(folder), create_model_card=False)
                describe(folder, recipe, base, sets, done, _precision(recipe), best, command)
            shutil.rmtree(work, ignore_errors=True)
    return history


def _prepared(recipe: Recipe, base: Checkpoint, sets: Sequence[TrainingSet]) -> Prepared:
    match recipe:
        case SimCSE():
            return simcse.prepare(recipe, base, sets)
        case Contrastive():
            return contrastive.prepare(recipe, base, sets)
        case ColBERT():
            return colbert.prepare(recipe, base, sets)
        case Reranker():
            return reranker.prepare(recipe, base, sets)
    raise TypeError(type(recipe).__name__)


def _trainer(
    recipe: Recipe, prepared: Prepared, work: Path, best: Best, stop: Stop, resumed: bool, say: Callable[[str], None]
) -> Any:
    import torch
    from transformers import PrinterCallback

    steps, precision = len(prepared.plan), _precision(recipe)
    evaluated = prepared.evaluator is not None
    arguments = prepared.arguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=prepared.micro,
        gradient_accumulation_steps=recipe.batch_size // (prepared.micro * devices()),
        multi_dataset_batch_sampler=partial(
            planned, steps=prepared.plan, batch=recipe.batch_size, no_duplicates=prepared.no_duplicates
        ),
        # An encoder's pooler is not used. A cross-encoder uses all, and gives what torch cannot look into.
        ddp_find_unused_parameters=not isinstance(recipe, Reranker),
        dataloader_drop_last=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        learning_rate=recipe.learning_rate,
        max_grad_norm=recipe.clip,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        seed=recipe.seed,
        prompts=dict(prepared.prompts) or None,
        eval_strategy="steps" if evaluated else "no",
        eval_steps=(steps - 1) // prepared.evaluations + 1 if evaluated else None,
        eval_on_start=evaluated and not resumed,
        save_strategy="steps" if recipe.checkpoints else "no",
        save_steps=math.ceil(steps / max(recipe.checkpoints, 1)),
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=max(1, steps // 100),
        logging_nan_inf_filter=False,
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )
    # The card is ours; the library's would be filled with rows of the data and embeddings of them.
    kind = type("Trainer", (prepared.trainer,), {"add_model_card_callback": lambda self, defaults: None})
    made = kind(
        model=prepared.model,
        args=arguments,
        train_dataset=dict(prepared.rows),
        loss=prepared.loss,
        evaluator=prepared.evaluator,
        optimizers=_optimizer(recipe, prepared.model, steps),
        callbacks=[watch(best, prepared.metric, stop, say)],
    )
    made.remove_callback(PrinterCallback)
    return made


def _optimizer(recipe: Recipe, model: Any, steps: int) -> tuple[Any, Any]:
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

    decayed: list[Any] = []
    bare: list[Any] = []
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            spared = not recipe.decay_all and (isinstance(module, nn.LayerNorm) or name == "bias")
            if weight.requires_grad:
                (bare if spared else decayed).append(weight)
    groups = ((decayed, recipe.weight_decay), (bare, 0.0))
    return [{"params": weights, "weight_decay": decay} for weights, decay in groups if weights]


def _precision(recipe: Recipe) -> str:
    """The recipe's where the device has it, else fp32."""
    import torch

    if not torch.cuda.is_available() or (recipe.precision == "bf16" and not torch.cuda.is_bf16_supported()):
        return "fp32"
    return recipe.precision


def _finish(prepared: Prepared, trainer: Any, best: Best) -> None:
    """The weights that are to be saved, in the model."""
    if best.weights is not None:
        prepared.model.load_state_dict(best.weights)
    elif hasattr(trainer.optimizer, "eval"):  # a schedule-free optimizer averages, and trains elsewhere
        trainer.optimizer.eval()


def _check_place(output: Path, work: Path, resume: bool) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there already; give another name")
    if resume and not (work / _BEGUN).is_file():
        raise UsageError(f"nothing was begun at {output}; leave out --resume")
    if not resume and work.exists():
        raise UsageError(f"training to {output} was begun; go on with --resume, or give another name")
    ready(output)


def _check_installed() -> None:
    if missing := [name for name in ("accelerate", "datasets") if find_spec(name) is None]:
        raise UsageError(f"training needs {missing[0]}: pip install 'jbench[train]'")


def _check_devices() -> None:
    import torch

    count = torch.cuda.device_count()
    if count > 1 and devices() == 1:
        raise UsageError(
            f"{count} GPUs are visible: start with torchrun --nproc-per-node {count} -m jbench train ..., "
            "or choose one with CUDA_VISIBLE_DEVICES"
        )


def _facts(recipe: Recipe, sets: Sequence[TrainingSet], base: Checkpoint) -> dict[str, Any]:
    """What must be the same when training goes on: all that touches the result."""
    facts = {key: getattr(recipe, key) for key in keys(recipe) if key not in ("mini_batch", "checkpoints")}
    named = {"recipe": recipe.name, "base": f"{base.model}@{base.revision}", "devices": devices()}
    data = [f"{one.name}:{one.split}@{one.revision} ({one.count})" for one in sets]
    found: dict[str, Any] = json.loads(json.dumps({**facts, **named, "data": data}))
    return found


def _check_same(facts: dict[str, Any], work: Path) -> None:
    begun = json.loads((work / _BEGUN).read_text("utf-8"))
    if key := next((key for key in facts if facts[key] != begun.get(key)), None):
        raise UsageError(f"--resume: {key} was {begun.get(key)!r} and is {facts[key]!r}; give what was begun with")


def _last(work: Path) -> Path | None:
    """The newest whole checkpoint; what was being written when something stopped is left aside."""
    whole = [path.parent for path in work.glob(f"checkpoint-*/{WHOLE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' bars and remarks, which are no message of ours."""
    from datasets.utils import logging as of_datasets
    from transformers.utils import logging as of_transformers

    of_transformers.disable_progress_bar()  # type: ignore[no-untyped-call]
    of_transformers.set_verbosity_error()  # type: ignore[no-untyped-call]
    of_datasets.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    yield


@contextmanager
def _memory(recipe: Recipe, prepared: Prepared) -> Iterator[None]:
    """Too little memory becomes one line that says what to set.

    :raises Unavailable: in its place.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has an error of its own on a GPU, and none on a CPU.
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        rows = recipe.mini_batch or prepared.micro
        way = (
            f"--resume --set mini_batch={rows // 2} goes on with half of them"
            if rows > 1
            else "only shorter texts would fit (--set max_length or document_length)"
        )
        raise Unavailable(f"out of memory with {rows:,} rows at once: {way}") from error
