"""What a person sees while work goes on: a bar on a terminal, plain lines elsewhere; on stderr."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from jbench.types import Advance, Track

_SECONDS_BETWEEN_LINES = 10.0


class Display(NamedTuple):
    """``say`` prints a message; ``track`` announces work and returns what is told of it."""

    say: Callable[[str], None]
    track: Track


@contextmanager
def display() -> Iterator[Display]:
    """Bars with rate and time left on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield Display(say, _lines)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}{task.fields[note]}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:

        def track(label: str, total: int) -> Advance:
            started, done = time.monotonic(), 0
            bar = bars.add_task(label, total=total, rate="", note="")

            def advance(step: int, /, note: str = "") -> None:
                nonlocal done
                done += step
                rate = f"{done / (time.monotonic() - started):,.0f}/s"
                bars.update(bar, advance=step, rate=rate, note=_after(note))
                bars.update(bar, visible=done < total)

            return advance

        yield Display(lambda message: bars.console.print(visible(message), markup=False, highlight=False), track)


def say(message: str) -> None:
    """Print a message on stderr; control characters, which a name may carry, are left out."""
    print(visible(message), file=sys.stderr, flush=True)


def visible(message: str) -> str:
    """Without control characters, which a name may carry; a line break stays."""
    return "".join(c for c in message if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf"))


def _lines(label: str, total: int) -> Advance:
    started = printed = time.monotonic()
    done = 0

    def advance(step: int, /, note: str = "") -> None:
        nonlocal done, printed
        done += step
        now = time.monotonic()
        if now - printed >= _SECONDS_BETWEEN_LINES:
            printed, rate = now, done / (now - started)
            left = (total - done) / rate
            say(f"{label}: {done:,} of {total:,}, {rate:,.0f}/s{_after(note)}, {left:,.0f} s left")

    return advance


def _after(note: str) -> str:
    return f", {note}" if note else ""
