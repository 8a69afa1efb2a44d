"""What a person arranges stays; on a telephone's width everything can be reached."""

from __future__ import annotations

import re

from page_hands import Hands
from page_server import Visit
from playwright.sync_api import expect

PROMPT = "When Mary and John went to the store , John gave a drink to"


def groups(hands: Hands) -> list[str]:
    """The views in sight, one of each group of tabs."""
    return hands.page.get_by_role("tabpanel").evaluate_all(
        "all => all.map(each => document.getElementById(each.getAttribute('aria-labelledby')))"
        ".filter(each => each).map(each => each.textContent.trim())"
    )


def test_the_layout_is_remembered_and_can_be_reset(visit: Visit) -> None:
    hands = visit()
    page = hands.page
    hands.run(PROMPT)
    assert groups(hands) == ["Attention"]
    hands.view("Lens")
    hands.button("Arrange Lens").click()
    page.get_by_role("menuitem", name="Split to the right").click()
    expect(page.get_by_role("separator", name="Resize the views")).to_be_visible()
    split = groups(hands)
    assert len(split) == 2 and "Lens" in split
    grip = page.get_by_role("separator", name="Resize the inspector")
    before = grip.get_attribute("aria-valuenow")
    grip.press("ArrowLeft")
    width = grip.get_attribute("aria-valuenow")
    assert width != before
    hands.button("Dark theme").click()
    hands.settled()
    page.wait_for_timeout(300)

    page.reload()
    expect(page.get_by_role("tabpanel", name="Lens")).to_be_visible()
    assert groups(hands) == split
    assert grip.get_attribute("aria-valuenow") == width
    expect(hands.button("Light theme")).to_be_visible()

    hands.button("More").click()
    page.get_by_role("menuitem", name="Reset layout").click()
    expect(page.get_by_role("tabpanel", name=re.compile("Lens|Attention"))).to_have_count(1)
    assert grip.get_attribute("aria-valuenow") == before


def test_everything_is_reached_at_390_pixels(visit: Visit) -> None:
    hands = visit(width=390, height=844)
    page = hands.page
    hands.run(PROMPT)
    fits(hands)
    for view in ("Attention", "Lens", "Residual", "Patching"):
        page.get_by_role("tab", name=view, exact=True).click()
        expect(page.get_by_role("tabpanel", name=re.compile(view, re.I))).to_be_visible()
        fits(hands)
    page.get_by_role("tab", name="Attention").click()
    page.mouse.click(*hands.head(1, 5))
    pages = page.get_by_role("navigation", name="Pages")
    hands.button("Inspector", pages).click()
    expect(page.get_by_text("L1.z[H5]", exact=True)).to_be_visible()
    hands.button("Zero the output of head 1.5").click()
    expect(hands.stack.get_by_role("button", name=re.compile(r"Zero L1.z\[H5\]"))).to_be_visible()
    hands.settled()
    fits(hands)
    for name in ("History", "Examples", "Views"):
        hands.button(name, pages).click()
        fits(hands)
    hands.button("Undo").click()
    expect(hands.stack.get_by_role("button", name=re.compile(r"Zero L1"))).to_have_count(0)
    for item in ("Copy link", "Copy as Python", "Help and keys"):
        hands.button("More").click()
        expect(page.get_by_role("menuitem", name=item)).to_be_visible()
        page.keyboard.press("Escape")
    hands.show("A")


def fits(hands: Hands) -> None:
    """Nothing makes the page wider than the window, and no control lies outside it for good."""
    wide = hands.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"the page is {wide} pixels wider than the window"
