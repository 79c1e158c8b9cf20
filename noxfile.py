"""The one door: ``nox -s lint types tests bench boards``. Each session installs from constraints.txt."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests", "long", "boards"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "virtualenv"
# Inside an environment that has everything, `nox --no-venv` runs the sessions as they are.


def install(session: nox.Session, *extras: str) -> None:
    if session.virtualenv.is_sandboxed:
        # torch first and exactly: a looser request may bring gigabytes of accelerator libraries.
        pin = next(line for line in Path("constraints.txt").read_text().splitlines() if line.startswith("torch=="))
        session.install(pin)
        named = f"[{','.join(extras)}]" if extras else ""
        session.install("-c", "constraints.txt", "-e", f".{named}")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    install(session, "dev")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The default suite; JBENCH_MIRROR names a folder of real data."""
    install(session, "dev")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def long(session: nox.Session) -> None:
    """The tests that take long, most of them on real data."""
    install(session, "dev")
    session.run("pytest", "-n", "2", "-m", "long", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed, as ratios against peers in the same run: one table, and ``bench.json``."""
    install(session, "dev", "bench")
    plain = ("pytest", "tests/benchmarks", "-o", "addopts=", "--timeout=2400", "-q")
    session.run(*plain, "--benchmark-quiet", "--benchmark-json=bench.json", *session.posargs)


@nox.session
def page(session: nox.Session) -> None:
    """The page in a real browser; ``-- --screenshots docs`` draws the pictures anew."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if not (os.environ.get("JBENCH_CHROMIUM") or any(map(shutil.which, names))):
        session.skip("no chromium: set JBENCH_CHROMIUM to one")
    install(session, "dev", "page")
    session.run("pytest", "tests/page", "-o", "addopts=", "--timeout=600", "-s", *session.posargs)


@nox.session
def real(session: nox.Session) -> None:
    """Real checkpoints out of registry packages against mteb, their engine, and published figures (JBENCH_MIRROR)."""
    install(session, "dev")
    session.run("pytest", "tests/real", "-o", "addopts=", "--timeout=3600", "-s", "-ra", *session.posargs)


@nox.session
def recipes(session: nox.Session) -> None:
    """Two ranks against one; a recipe of every family, by commands, from the base that comes with jbench."""
    install(session, "dev", "train")
    plain = ("pytest", "-o", "addopts=", "--timeout=600", "--durations=0", "--durations-min=5")
    session.run(*plain, "tests/train/test_ranks.py", "tests/train/test_families.py", *session.posargs)


@nox.session
def boards(session: nox.Session) -> None:
    """Evaluate the embedded board anew; its result and every generated board must be what is committed."""
    install(session)
    with tempfile.TemporaryDirectory() as folder:
        session.run("jbench", "run", "--results", os.path.join(folder, "new"))
        empty = os.path.join(folder, "empty")
        os.mkdir(empty)
        for path in sorted(Path("leaderboards").glob("*.toml")):
            for form in ("md", "csv"):
                out = str(path.with_suffix(f".{form}"))
                for results in (empty, os.path.join(folder, "new")):
                    session.run(
                        "jbench", "board", path.stem, "--format", form, "--results", results, "--output", out, "--check"
                    )
        session.run("jbench", "reproduce", "claims", "--output", "leaderboards/claims.md", "--check")
