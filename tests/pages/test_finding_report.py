"""The report of a finding in a browser: wide, narrow, dark, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

import residuum as rz


@pytest.fixture(scope="module")
def report(model: rz.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finding")
    rz.investigate(model, "refusal", stages=()).save(folder)
    return folder / "report.html"


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def page(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    opened, wrong = context.new_page(), []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("requestfailed", lambda asked: wrong.append(asked.url))
    opened.goto(report.as_uri())
    yield opened
    context.close()
    assert wrong == []


def test_nothing_is_wider_than_the_screen_folds_open_or_shut(page: Page) -> None:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    page.wait_for_function("document.querySelectorAll('.rz-fold canvas').length > 0")
    assert page.evaluate(wide) == 0


def test_the_claim_is_on_the_first_screen_and_the_contents_lead_to_every_section(
    page: Page,
) -> None:
    badge = page.locator(".rz-badge").first.bounding_box()
    assert badge is not None and badge["y"] < 250
    links = page.locator(".rz-contents a")
    assert links.count() >= 8
    for i in range(links.count()):
        target = page.locator(links.nth(i).get_attribute("href") or "")
        assert target.inner_text() == links.nth(i).inner_text()


def test_on_paper(page: Page) -> None:
    """A4, folds that are evidence open, the rest a line each, figures as lines, no table cut."""
    opened = page.locator(".rz-unprinted").first
    opened.locator("summary").click()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open], .rz-unprinted)").count() == 0
    assert opened.get_attribute("open") is not None
    shut = page.locator(".rz-unprinted:not([open])")
    assert shut.count() > 3
    for i in range(shut.count()):
        box = shut.nth(i).bounding_box()
        assert box is not None and box["height"] < 80
    said = "getComputedStyle(document.querySelector('%s summary'), '::before').content"
    assert "In the HTML file" in page.evaluate(said % ".rz-unprinted:not([open])")
    assert page.locator("svg.rz-print").count() > 4
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins, at 96 dpi
    over = page.evaluate(
        "[...document.querySelectorAll('.rz-fig')].filter((fig) => "
        "fig.scrollWidth > fig.clientWidth + 1).map((fig) => fig.getAttribute('aria-label'))"
    )
    assert over == []
    blown_up = page.evaluate(
        "[...document.querySelectorAll('svg.rz-print')].filter((svg) => "
        "!svg.closest('.rz-compact') && "
        "svg.getBoundingClientRect().width > Number(svg.getAttribute('width')) + 1).length"
    )
    assert blown_up == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
