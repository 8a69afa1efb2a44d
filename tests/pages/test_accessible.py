"""axe finds nothing serious on any page of the workbench, light and dark, wide and narrow."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from page_hands import Hands
from page_server import Visit
from playwright.sync_api import expect

PROMPT = "When Mary and John went to the store , John gave a drink to"
VIEWS = ("Attention", "Lens", "Residual", "Patching")
# axe leaves this one out by default: who speaks to the page says what stands on the button.
RULES = {"rules": {"label-content-name-mismatch": {"enabled": True}}}


def serious(hands: Hands) -> list[str]:
    """What axe calls serious or critical, twice: what fades while it loads is no violation."""
    if not _found(hands):
        return []
    hands.page.wait_for_timeout(700)
    return _found(hands)


def _found(hands: Hands) -> list[str]:
    found: list[Any] = Axe().run(hands.page, options=RULES).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_serious(visit: Visit, theme: Any, width: int) -> None:
    hands = visit(width=width, color_scheme=theme)
    found: dict[str, list[str]] = {}

    def look(what: str) -> None:
        found[what] = serious(hands)

    expect(hands.page.get_by_role("heading", name="Worked examples")).to_be_visible()
    look("start")
    hands.run(PROMPT)
    add_edit(hands, "L0.z[H3]", look)
    for view in VIEWS:
        hands.view(view)
        expect(hands.page.get_by_role("application").first.or_(sweep_form(hands))).to_be_visible()
        look(view)
    hands.view("Lens")
    hands.button("As a table").click()
    look("table")
    hands.page.keyboard.press("Escape")
    hands.page.keyboard.press("?")
    look("help")
    hands.page.keyboard.press("Escape")
    for page in ("Inspector", "History", "Examples") if width < 720 else ():
        hands.button(page, hands.page.get_by_role("navigation", name="Pages")).click()
        look(page)
    assert {what: each for what, each in found.items() if each} == {}


def sweep_form(hands: Hands) -> Any:
    return hands.page.get_by_role("form", name="New sweep")


def add_edit(hands: Hands, at: str, look: Any) -> None:
    hands.button("Add edit…", hands.stack).click()
    dialog = hands.page.get_by_role("dialog", name="Add an edit")
    look("add an edit")
    dialog.get_by_label("Where").fill(at)
    hands.button("Add edit", dialog).click()
    expect(dialog).to_have_count(0)
    hands.settled()


def test_axe_would_find_something(visit: Visit) -> None:
    hands = visit()
    expect(hands.page.get_by_role("heading", name="Worked examples")).to_be_visible()
    hands.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any(re.match("button-name", each) for each in serious(hands))
