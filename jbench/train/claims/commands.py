"""The commands of the small models: in which order, and run as if they were typed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import FrameType

from jbench.train.claims.arms import Arm
from jbench.types import JbenchError, Unavailable, UsageError

SEED = "{seed}"
RESULTS = "results"
# -P: a file of the working folder never stands in for a library.
_CORPUS = re.compile(r"\b(?:text|neighbours):(\S+)")
_PROGRAM = (sys.executable, "-P", "-m", "jbench")


class Ended(JbenchError):
    """A command that failed; ``exit`` is its exit code, 128 and the signal's number for one that was killed."""

    def __init__(self, command: str, code: int) -> None:
        self.exit = 128 - code if code < 0 else code
        super().__init__(f"exit code {self.exit} of: {command}")


@dataclass(frozen=True)
class Step:
    """A command as it is typed in the working folder, and the model and seed that want it first."""

    model: str
    seed: int | None
    command: str


def names(arm: Arm) -> dict[int | None, str]:
    """What results of an arm are called, by seed; by None where nothing is trained."""
    return {seed: f"{arm.name}-s{seed}" for seed in arm.seeds} or {None: arm.name}


def commands(arm: Arm, results: str = RESULTS) -> list[str]:
    """All commands of an arm, the evaluation into the folder ``results`` last; ``{seed}`` is not filled in."""
    name = f"{arm.name}-s{SEED}" if arm.seeds else arm.name
    words = ["jbench", "run", arm.model, "--name", name]
    words += [word for task in arm.tasks for word in ("--task", task)]
    evaluation = " ".join(map(_quoted, [*words, "--results", results]))
    return [*arm.commands, f"{evaluation} {arm.options}".rstrip()]


def plan(arms: Sequence[Arm], results: str = RESULTS) -> list[Step]:
    """Every command once: the first seed of all arms, then the second, so that an early stop leaves a whole picture."""
    found: dict[str, Step] = {}
    for turn in zip_longest(*(names(arm) for arm in arms), fillvalue=-1):
        for arm, seed in zip(arms, turn, strict=True):
            for template in commands(arm, results) if seed != -1 else ():
                command = template.replace(SEED, str(seed))
                found.setdefault(command, Step(arm.name, seed, command))
    return list(found.values())


def run(steps: Sequence[Step], work: Path, say: Callable[[str], None], program: Sequence[str] = _PROGRAM) -> None:
    """Run the commands in the folder ``work``, each said before; what they print goes to stderr.

    One whose ``--output`` is there is left out; a training that was begun there goes on.

    :raises Ended: when one fails.
    :raises SystemExit: after SIGINT (130) or SIGTERM (143), which the running command was sent too.
    :raises UsageError: when a corpus that they name is not there.
    :raises Unavailable: when others are being run there: a training would be resumed beside itself.
    """
    from filelock import FileLock, Timeout

    work.mkdir(parents=True, exist_ok=True)
    left = [step.command for step in steps if not ((output := _output(step.command, work)) and output.exists())]
    named = {name for command in left for name in _CORPUS.findall(command)}
    if lacking := sorted(name for name in named if not (work / name).is_file()):
        raise UsageError(f"{work} has no {lacking[0]}, which is to be trained on: a parquet file with a column text")
    try:
        with FileLock(work / ".claims.lock", timeout=0):
            for step in steps:
                _run(step, work, say, program)
    except Timeout as error:
        raise Unavailable(f"another process is running these commands in {work}") from error


def _run(step: Step, work: Path, say: Callable[[str], None], program: Sequence[str]) -> None:
    output = _output(step.command, work)
    if output and output.exists():
        return
    words = shlex.split(step.command)
    if output:
        words += ["--resume"] * output.with_name(f"{output.name}.training").exists()
    command = shlex.join(words)
    say(command)
    if code := _child([*program, *words[1:]], work):
        raise Ended(command, code)


def _output(command: str, work: Path) -> Path | None:
    words = shlex.split(command)
    return work / words[words.index("--output") + 1] if "--output" in words else None


def _child(words: Sequence[str], work: Path) -> int:
    """The exit code of a child in a session of its own: a signal reaches it once, from here, and it may end well."""
    child: subprocess.Popen[bytes] | None = None
    heard: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if child:
            child.send_signal(number)

    kept = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        child = subprocess.Popen(  # noqa: S603
            words, cwd=work, env=_environment(), stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
        for number in heard:  # before there was a child
            child.send_signal(number)
        code = child.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    if heard:
        raise SystemExit(128 + heard[-1])
    return code


def _environment() -> dict[str, str]:
    """That of this process; a mirror that is named from here is meant from here."""
    mirror = os.environ.get("JBENCH_MIRROR")
    return {**os.environ, **({"JBENCH_MIRROR": os.path.abspath(mirror)} if mirror else {})}


def _quoted(word: str) -> str:
    """For a shell; a seed that is not filled in wants no quotes."""
    filled = word.replace(SEED, "0")
    return word if shlex.quote(filled) == filled else shlex.quote(word)
