"""From a recipe and data to a checkpoint, by sentence-transformers' trainers; what all families share."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jbench.files import writing_folder
from jbench.memory import keep_memory, out_of_memory
from jbench.models.checkpoint import Checkpoint
from jbench.train import colbert, contrastive, reranker, running, simcse
from jbench.train.base import open_base
from jbench.train.batches import planned
from jbench.train.output import describe
from jbench.train.prepared import Prepared, devices, rank
from jbench.train.recipes import ColBERT, Contrastive, Recipe, Reranker, SimCSE
from jbench.train.watch import Best, Stop, watch
from jbench.types import Unavailable, UsageError

if TYPE_CHECKING:
    from jbench.train.data import TrainingSet


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
    running.check_installed()
    from transformers import set_seed

    first = rank() == 0
    say = say if first else lambda message: None
    work = output.with_name(f"{output.name}.training")
    if first:
        running.check_place(output, work, resume)
    if not sets:
        raise UsageError(f"{recipe.name} needs data; the report's is {', '.join(recipe.data)}")
    running.check_devices()
    keep_memory()
    base = open_base(recipe.base)
    facts = running.facts_of(recipe, sets, base)
    if resume:
        running.check_same(facts, work)
    set_seed(recipe.seed)
    with running.quiet():
        prepared = _prepared(recipe, base, sets)
        if first and not resume:
            running.begin(facts, work)
        last = running.last_whole(work) if resume else None
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
        running.ended(stop, done, len(prepared.plan), say)
        if first:
            _finish(prepared, trainer, best)
            with writing_folder(output) as folder:
                running.to_save(recipe, prepared.finished()).save_pretrained(str(folder), create_model_card=False)
                describe(folder, recipe, base, sets, done, running.precision_of(recipe), best, command)
            shutil.rmtree(work, ignore_errors=True)
            if best.weights is not None:
                own = "" if best.step else ", the base's own: no later evaluation was better"
                say(f"saved: the weights of step {best.step:,} (dev {best.score:.4f}{own})")
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

    steps, precision = len(prepared.plan), running.precision_of(recipe)
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
        optimizers=running.optimizer(recipe, prepared.model, steps),
        callbacks=[watch(best, prepared.metric, stop, say)],
    )
    made.remove_callback(PrinterCallback)
    return made


def _finish(prepared: Prepared, trainer: Any, best: Best) -> None:
    """The weights that are to be saved, in the model."""
    if best.weights is not None:
        prepared.model.load_state_dict(best.weights)
    elif hasattr(trainer.optimizer, "eval"):  # a schedule-free optimizer averages, and trains elsewhere
        trainer.optimizer.eval()


@contextmanager
def _memory(recipe: Recipe, prepared: Prepared) -> Iterator[None]:
    """Too little memory becomes one line that says what to set.

    :raises Unavailable: in its place.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        rows = recipe.mini_batch or prepared.micro
        way = (
            f"--resume --set mini_batch={rows // 2} goes on with half of them"
            if rows > 1
            else "only shorter texts would fit (--set max_length or document_length)"
        )
        raise Unavailable(f"out of memory with {rows:,} rows at once: {way}") from error
