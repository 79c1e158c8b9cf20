"""What the loop does beside the library's own steps: keep the best, save it too, stop where it may go on."""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jbench.files import write
from jbench.types import InvalidScores

WHOLE = "whole.json"
"""Written last into a resumable checkpoint: one without it was not finished."""

_BEST = "best.safetensors"


@dataclass
class Best:
    """The best evaluation so far, its weights in memory; the first counts, a later one only if it is better."""

    score: float = -math.inf
    step: int = 0
    weights: dict[str, Any] | None = None
    seen: list[tuple[int, float]] = field(default_factory=list)

    def offer(self, score: float, step: int, model: Any) -> None:
        """Take the model's weights if ``score`` is strictly greater."""
        self.seen.append((step, score))
        if self.weights is None or score > self.score:
            weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
            self.score, self.step, self.weights = score, step, weights

    def save(self, folder: Path, step: int) -> None:
        """Into a resumable checkpoint, which is whole from then on."""
        from safetensors.torch import save

        if self.weights is not None:
            write(folder / _BEST, save(self.weights))
        # JSON has no NaN, which an evaluation of a model that collapsed gives.
        seen = [[at, score if math.isfinite(score) else None] for at, score in self.seen]
        write(folder / WHOLE, json.dumps({"step": step, "best": self.step, "evaluations": seen}))

    @classmethod
    def load(cls, folder: Path) -> Best:
        """As it was saved."""
        from safetensors.torch import load_file

        told = json.loads((folder / WHOLE).read_text("utf-8"))
        seen = [(at, math.nan if score is None else score) for at, score in told["evaluations"]]
        score = next((score for at, score in seen if at == told["best"]), -math.inf)
        weights = load_file(folder / _BEST) if (folder / _BEST).is_file() else None
        return cls(score, told["best"], weights, seen)


class Stop:
    """Whether to stop at the end of this step, and why (a signal's number)."""

    number: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the training after a step; the second time, at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def heard(number: int, frame: Any) -> None:
            self.number = number
            for known, handler in kept.items():
                signal.signal(known, handler)

        try:
            for number in kept:
                signal.signal(number, heard)
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)


def watch(best: Best, metric: str, stop: Stop, say: Callable[[str], None]) -> Any:
    """The callback that does it."""
    return _watch()(best, metric, stop, say)


@cache
def _watch() -> type[Any]:
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def __init__(self, best: Best, metric: str, stop: Stop, say: Callable[[str], None]) -> None:
            self.best, self.metric, self.stop, self.say = best, metric, stop, say

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **rest: Any) -> None:
            score = metrics[self.metric]
            self.best.offer(score, state.global_step, rest["model"])
            self.say(f"step {state.global_step:,}: dev {score:.4f}, best {self.best.score:.4f} at {self.best.step:,}")

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if self.stop.number is not None:
                control.should_save = control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.is_world_process_zero:
                self.best.save(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            if "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise InvalidScores(f"the loss is {loss} at step {state.global_step:,}: lower learning_rate, or clip")
            self.say(f"step {state.global_step:,} of {state.max_steps:,}: loss {loss:.4f}")

    return Watch
