"""What every benchmark is measured with: two in turn, as a ratio with its spread; rows of one table."""

import statistics
import subprocess
import sys
import time

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
    """Run the two in turn, ``before`` each of ours, once unmeasured; a row of the ratios ours / theirs."""
    pairs = []
    for _ in range(rounds + 1):
        before()
        pairs.append((seconds(ours), seconds(theirs)))
    pairs = pairs[1:]
    ours_s, theirs_s = (round(statistics.median(times), 3) for times in zip(*pairs, strict=True))
    row(benchmark, [a / b for a, b in pairs], goal, ours_s=ours_s, theirs_s=theirs_s, **more)


def command(*arguments, **environment):
    """A process of its own, waited for."""

    def run():
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **environment)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run
