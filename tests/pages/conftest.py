"""A served workbench and a real browser: Debian's chromium, none is fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from page_hands import Hands, Watched
from page_server import CHROMIUM, FLAGS, Served, Visit, serving
from playwright.sync_api import Browser, expect, sync_playwright

import residuum as rz

REQUIRED = os.environ.get("RESIDUUM_REQUIRE_BROWSER", "") not in ("", "0")
WAIT_MS = 20_000  # other work may share these cores
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of the pages."""
    _need_browser()
    with serving("microworld", tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    _need_browser()
    with sync_playwright() as tools:
        made = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def visit(served: Served, browser: Browser) -> Iterator[Visit]:
    """Open the page in a context of its own; afterwards no page may have told of an error."""
    watched, contexts = Watched(), []

    def opened(
        url: str = "", width: int = 1440, height: int = 900, refused: bool = False, **options: Any
    ) -> Hands:
        watched.refused |= refused
        size: Any = {"width": width, "height": height}
        context = browser.new_context(viewport=size, reduced_motion="reduce", **options)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        watched(context)
        page = context.new_page()
        page.goto(url or served.link)
        return Hands(page)

    yield opened
    for context in contexts:
        context.close()
    watched.check()


@pytest.fixture(scope="session")
def model() -> rz.Model:
    return rz.load("microworld")


def _need_browser() -> None:
    if CHROMIUM is None and not REQUIRED:
        pytest.skip("needs chromium; apt-get install chromium")
    assert CHROMIUM, "RESIDUUM_REQUIRE_BROWSER is set and there is no chromium; apt-get install it"
