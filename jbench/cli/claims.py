"""``reproduce claims``: the reports' orderings, on small models that are trained here."""

from __future__ import annotations

from pathlib import Path

import typer

from jbench.cli.common import deliver, print_json, roots


def claims(
    results: list[Path] | None,
    work: Path | None,
    only: list[str] | None,
    show: bool,
    output: Path | None,
    check: bool,
    json: bool,
) -> None:
    """`jbench.cli.reproduce.reproduce` for the source ``claims``; the options are described there."""
    from dataclasses import asdict

    from jbench.files import ready
    from jbench.progress import say
    from jbench.train.claims import arms as small
    from jbench.train.claims.commands import RESULTS, plan, run
    from jbench.types import UsageError, unknown

    known = {arm.name: arm for arm in small.ARMS}
    if stray := [name for name in only or () if name not in known]:
        raise unknown("model", stray[0], known)
    if only and not (work or show):
        raise UsageError("--only goes with --work DIR or --print")
    if check and output is None:
        raise UsageError("--check compares the table with --output FILE")
    if show and output:
        raise UsageError("--print shows the commands alone; leave out --output")
    if work and work.exists() and not work.is_dir():
        raise UsageError(f"--work {work} is a file; name a folder")
    if (work or show) and len(results or ()) > 1:
        raise UsageError("what is evaluated goes into one folder: give --results once")
    chosen = [arm for name, arm in known.items() if not only or name in only]
    steps = plan(chosen, str(results[0].absolute()) if results else RESULTS)
    if show and json:
        print_json([asdict(step) for step in steps])
    elif show:
        typer.echo("".join(f"{step.command}\n" for step in steps), nl=False)
    else:
        if output:
            ready(output)
        folders = _folders(results, work and work / RESULTS)
        if work:
            run(steps, work, say)
        _table(folders, output, check, json)


def _folders(results: list[Path] | None, made: Path | None) -> list[Path]:
    """Where results are looked for; the project's own of the small models do not mix with those just ``made``."""
    if made:
        return roots(results or [made], new=True)
    own, *given = roots(results)
    return [own, own.with_name("claims"), *(given if results else ())]


def _table(folders: list[Path], output: Path | None, check: bool, json: bool) -> None:
    import orjson

    from jbench.progress import display
    from jbench.results import data_hashes, read_all
    from jbench.train.claims import arms as small
    from jbench.train.claims.judge import judge
    from jbench.train.claims.report import as_dict, markdown
    from jbench.types import Unavailable

    data = data_hashes(read_all(folders[:1], lambda complaint: None))
    with display() as shown:
        report = judge(small.ARMS, small.CLAIMS, folders, data, shown.say, shown.track)
    if not report.scores:
        raise Unavailable("no results of any model: jbench reproduce claims --work DIR trains and evaluates them")
    text = orjson.dumps(as_dict(report), option=orjson.OPT_INDENT_2).decode() + "\n" if json else markdown(report)
    deliver(text, output, check)
