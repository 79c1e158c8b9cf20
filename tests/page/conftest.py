"""A real browser: $JBENCH_CHROMIUM, else a chromium on the PATH; the tests are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

HOST = "http://board.test/"


def pytest_addoption(parser):
    parser.addoption("--screenshots", type=Path, help="a folder for screenshots of the real board")


def chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("JBENCH_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser():
    path = chromium()
    if path is None:
        pytest.skip("no chromium: set JBENCH_CHROMIUM to one")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as shown:
        yield shown


@pytest.fixture
def visit(browser):
    """Open a site (file name to text) in a fresh context; whatever is asked for beyond it, or complained of, fails."""
    contexts, faults = [], []

    def open_page(site, at="board.html", **options):
        files = {"board.html": site} if isinstance(site, str) else site
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, "locale": "en-US", **options})
        contexts.append(context)

        def answer(route):
            name = route.request.url.removeprefix(HOST).partition("#")[0]
            if name in files:
                route.fulfill(body=files[name], content_type="text/html; charset=utf-8")
            else:
                faults.append(f"asked for {route.request.url}")
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: faults.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto(HOST + at)
        page.wait_for_function("performance.getEntriesByName('ready').length")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
