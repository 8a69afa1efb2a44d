"""Text that would be markup, or that turns the reading direction, stays text."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from page_hands import Hands
from page_server import Served, Visit
from playwright.sync_api import expect

PROMPT = "When Mary and John went to the store , John gave a drink to"
HOSTILE = [
    "<img src=x onerror=window.harmed=1>",
    "<script>window.harmed=1</script><b>Mary</b>",
    "\u202egnisrever\u202c \u2067other\u2069 {{window.harmed=1}} ${window.harmed=1}",
]


def unharmed(hands: Hands) -> None:
    assert hands.page.evaluate("window.harmed") is None
    assert hands.page.locator("main img, header img, dialog img").count() == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_prompt_is_text(visit: Visit, text: str) -> None:
    hands = visit(refused=True)  # microworld has no such words
    prompt = hands.page.get_by_role("textbox", name="Prompt")
    expect(hands.button("Run").first).to_be_enabled()
    prompt.fill(text)
    prompt.press("Enter")
    hands.page.wait_for_timeout(700)  # it is refused, or run: neither may harm
    expect(prompt.or_(hands.answer).first).to_be_visible()
    unharmed(hands)


def test_hostile_strings_of_a_server_are_text(visit: Visit, served: Served) -> None:
    """A tokenizer may hold any string: every string that the API gives is made markup."""
    hands = visit()
    page, markup = hands.page, HOSTILE[0]

    def poison(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        known = answer.json()
        if "tokens" not in known:
            return route.fulfill(response=answer)  # type: ignore[attr-defined]
        known["tokens"] = [f"{markup}\u202e{each}" for each in known["tokens"]]
        for each in known.get("predictions", []):
            each["token"] = f"<i>{each['token']}</i>"
        route.fulfill(response=answer, json=known)  # type: ignore[attr-defined]

    page.route(
        "**/api/runs",
        lambda route: poison(route) if route.request.method == "POST" else route.continue_(),
    )
    hands.run(PROMPT)
    expect(hands.answer.get_by_text("<i>Mary</i>")).to_be_visible()
    tokens = page.get_by_role("listbox", name="Tokens of the prompt")
    expect(tokens.get_by_role("option").nth(2)).to_contain_text("onerror")
    for view in ("Lens", "Residual", "Attention", "Patching"):
        hands.view(view)
        page.wait_for_timeout(200)
        unharmed(hands)
    assert page.locator("main i, header i").count() == 0
    wide = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert wide, "a long token made the page wider than the window"


@pytest.mark.parametrize("fragment", [
    "#run=<img src=x onerror=window.harmed=1>&view=attention&s=%00",
    "#run=0&view=" + quote("../../etc"),
    "#s=eJwDAAAAAAE",
    "#%ff%fe",
])  # fmt: skip
def test_a_broken_link_is_told_in_words(visit: Visit, served: Served, fragment: str) -> None:
    hands = visit(served.link + fragment)
    expect(hands.button("Run").first).to_be_enabled()
    expect(hands.page.get_by_role("heading", name="Worked examples")).to_be_visible()
    unharmed(hands)
