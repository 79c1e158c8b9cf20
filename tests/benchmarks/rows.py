"""What every benchmark is measured with: two in turn, as a ratio with its spread; rows of one table."""

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROUNDS = 7
ROWS = []
"""Of each row its name, figure, least, most and number of rounds, the goal and what else was measured."""


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def row(benchmark, figures, goal="", **more):
    """Record and show the median of ``figures``; ``more`` is kept beside it."""
    figures = sorted(figures)
    found = {
        "row": benchmark.name.removeprefix("test_").replace("_", " "),
        "median": statistics.median(figures),
        "least": figures[0],
        "most": figures[-1],
        "rounds": len(figures),
        "goal": goal,
        **more,
    }
    ROWS.append(found)
    print(f"\n{found}", flush=True)  # with -s: what was measured stays, also where a later row is stopped
    benchmark.extra_info.update(found, figures=figures)
    benchmark.pedantic(lambda: None, rounds=1)


def ratio(benchmark, ours, theirs, rounds=ROUNDS, goal="", before=lambda: None, **more):
    """Run the two in turn, ``before`` each of ours; a row of the ratios ours / theirs of their time.

    A round before the others is not timed: what each takes of memory is looked at there.
    """
    before()
    peaks = {"ours_mb": peak_mb(ours), "theirs_mb": peak_mb(theirs)}
    pairs = []
    for _ in range(rounds):
        before()
        pairs.append((seconds(ours), seconds(theirs)))
    ours_s, theirs_s = (round(statistics.median(times), 3) for times in zip(*pairs, strict=True))
    row(benchmark, [a / b for a, b in pairs], goal, ours_s=ours_s, theirs_s=theirs_s, **peaks, **more)


def peak_mb(work):
    """The most memory that a command held, or the most anonymous memory that this process held more than before."""
    if isinstance(work, Command):
        return round(work.peak_mb())
    before, most, done = held_mb("RssAnon"), [0.0], threading.Event()

    def watch():
        while not done.wait(0.01):
            most[0] = max(most[0], held_mb("RssAnon"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return round(max(0.0, most[0] - before))


def device():
    """Where jbench goes by itself, so that a peer goes there too."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def held_mb(key, process="self"):
    """What Linux says of a process's memory under ``key``; 0 where it says nothing."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(f"{key}:")), 0.0)


class Command:
    """A process of its own, waited for."""

    def __init__(self, *arguments, **environment):
        self.words, self.environment = [sys.executable, *arguments], environment

    def __call__(self):
        done = subprocess.run(self.words, capture_output=True, text=True, check=False, **self.environment)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def peak_mb(self):
        most = 0.0
        child = subprocess.Popen(self.words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.environment)
        while child.poll() is None:
            most = max(most, held_mb("VmHWM", child.pid))
            time.sleep(0.01)
        assert child.returncode == 0
        return most
