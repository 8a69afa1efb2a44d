"""The story of the workbench without a mouse."""

from __future__ import annotations

import re
from dataclasses import dataclass

from page_hands import Hands
from page_server import Served, Visit
from playwright.sync_api import Locator, Route, expect

CLEAN = "When Mary and John went to the store , John gave a drink to"
CORRUPT = "When Mary and John went to the store , Mary gave a drink to"
MOST_TABS = 80


@dataclass(frozen=True)
class Keys:
    """A person with a keyboard only."""

    hands: Hands

    def press(self, *keys: str) -> None:
        for key in keys:
            self.hands.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.hands.page.keyboard.type(text)

    def go(self, to: Locator, key: str = "Tab") -> None:
        """Press a key until this has the focus."""
        for _ in range(MOST_TABS):
            if to.count() == 1 and to.evaluate("each => each === document.activeElement"):
                return
            self.press(key)
        raise AssertionError(f"{MOST_TABS} times {key} do not lead to {to}")

    def panel(self, name: str) -> None:
        """F6 until the focus is in this panel."""
        inside = f"document.activeElement.closest('[data-panel]')?.dataset.panel === {name!r}"
        for _ in range(8):
            self.press("F6")
            if self.hands.page.evaluate(inside):
                return
        raise AssertionError(f"F6 does not lead to {name}")

    def act(self, on: Locator, key: str = "Enter") -> None:
        self.go(on)
        self.press(key)


def test_the_story_by_keyboard_alone(visit: Visit, served: Served) -> None:
    keys = Keys(visit())
    hands, page = keys.hands, keys.hands.page
    expect(page.get_by_role("textbox", name="Prompt")).to_be_focused()
    keys.type(CLEAN)
    keys.press("Enter")
    expect(hands.button("Edit the prompt")).to_be_focused()
    first = hands.run_id()

    keys.panel("Views")
    keys.go(hands.heads)
    keys.press("Home", "ArrowRight", "ArrowRight", "ArrowRight")
    expect(hands.inspector.get_by_text(re.compile(r"^L\d\.z\[H3\]$"))).to_be_visible()
    keys.press("z")
    expect(hands.rows).to_have_count(1)
    zeroed = hands.run_id()
    assert zeroed != first
    keys.press("Control+z")
    expect(hands.rows).to_have_count(0)
    assert hands.run_id() == first
    keys.press("Control+Shift+z")
    expect(hands.rows).to_have_count(1)
    assert hands.run_id() == zeroed
    keys.press("ArrowRight", "z")
    expect(hands.rows).to_have_count(2)
    arrange(keys)
    patch(keys, hands, first)
    link(keys, visit, served)
    sweep(keys)


def arrange(keys: Keys) -> None:
    """Toggle, solo and reorder in the stack."""
    hands = keys.hands
    both = hands.run_id()
    keys.panel("Edits")
    keys.act(hands.stack.get_by_role("checkbox", name="Edit 1 on"), "Space")
    one = hands.run_id()
    keys.press("Space")
    assert hands.run_id() == both != one
    keys.act(hands.button("Solo: only this edit", hands.rows.nth(1)))
    assert hands.run_id() == one
    keys.press("Enter")
    keys.press("Alt+ArrowUp")
    other = hands.run_id()
    keys.press("Alt+ArrowDown")
    assert hands.run_id() == both != other


def patch(keys: Keys, hands: Hands, clean: str) -> None:
    """Another prompt, and a value from the first one's run."""
    page = hands.page
    keys.press("e")
    keys.type(CORRUPT)
    keys.press("Enter")
    expect(page.get_by_role("option", name=re.compile("^Mary id .*position 10"))).to_be_visible()
    before = hands.shares()["John"][-1]
    keys.press("n")
    dialog = page.get_by_role("dialog", name="Add an edit")
    expect(dialog.get_by_label("Where")).to_be_focused()
    keys.press("Control+a")
    keys.type("L2.resid_post")
    keys.go(dialog.get_by_role("radio", name="Zero"), "Shift+Tab")
    keys.press("ArrowDown", "ArrowDown", "ArrowDown")
    expect(dialog.get_by_role("radio", name="Patch")).to_be_checked()
    runs = dialog.get_by_role("combobox", name="From the run")
    keys.go(runs)
    for _ in range(runs.get_by_role("option").count()):
        keys.press("ArrowDown")
    for _ in range(runs.get_by_role("option").count()):
        if runs.input_value() == clean:
            break
        keys.press("ArrowUp")
    keys.act(hands.button("Add edit", dialog))
    expect(hands.rows).to_have_count(3)
    assert hands.shares()["John"][-1] < before / 2


def link(keys: Keys, visit: Visit, served: Served) -> None:
    """The address reopens the run; the code is in a dialog."""
    hands, page = keys.hands, keys.hands.page
    run, edits = hands.run_id(), hands.edits()
    page.wait_for_timeout(400)  # the address bar is written a moment after
    again = visit(served.linked(page.url))
    expect(again.rows).to_have_count(3)
    assert (again.run_id(), again.edits()) == (run, edits)
    keys.panel("Edits")
    keys.act(hands.button("Copy as Python", hands.stack))
    dialog = page.get_by_role("dialog", name="Copy as Python")
    expect(dialog.get_by_text(f"{run[:16]}")).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    expect(hands.button("Copy as Python", hands.stack)).to_be_focused()


def sweep(keys: Keys) -> None:
    """A sweep that ends, and one that is cancelled."""
    page = keys.hands.page
    keys.press("4")
    form = page.get_by_role("form", name="New sweep")
    expect(form).to_be_visible()
    pairs = form.get_by_role("spinbutton", name="pairs")
    for count, wait in (("2", "Strongest cells"), ("256", "")):
        keys.panel("Views")
        keys.go(pairs)
        keys.press("Control+a")
        keys.type(count)
        keys.press("Tab")
        expect(keys.hands.button("Start", form)).to_be_enabled()  # the pairs are made
        keys.act(keys.hands.button("Start", form))
        if wait:
            expect(page.get_by_role("table", name=wait)).to_be_visible()
            keys.panel("Views")
            keys.act(keys.hands.button("New sweep"))
    expect(keys.hands.button("Cancel")).to_be_focused()  # the button that started it is gone
    keys.press("Enter")
    expect(page.get_by_text(re.compile(r"^Cancelled with \d+ of \d+ cells"))).to_be_visible()


def test_another_view_from_inside_a_drawing(visit: Visit) -> None:
    keys = Keys(visit())
    hands, page = keys.hands, keys.hands.page
    hands.run(CLEAN)
    for number, view in ((1, "Attention"), (2, "Lens"), (3, "Residual"), (1, "Attention")):
        keys.press(str(number))
        panel = page.get_by_role("tabpanel", name=view, exact=True)
        expect(panel.get_by_role("application").first).to_be_visible()
        panel.get_by_role("application").first.focus()
        keys.press("ArrowRight", "ArrowDown")
    keys.press("4")
    expect(page.get_by_role("form", name="New sweep")).to_be_visible()


def test_escape_closes_the_table_and_keeps_the_selection(visit: Visit) -> None:
    keys = Keys(visit())
    hands, page = keys.hands, keys.hands.page
    hands.run(CLEAN)
    hands.choose_head(1, 5)
    hands.button("As a table").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    keys.press("z", "n", "2", "Escape")  # no key acts on the page behind
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(hands.inspector.get_by_text("L1.z[H5]", exact=True)).to_be_visible()
    expect(hands.rows).to_have_count(0)
    expect(page.get_by_role("tab", name="Attention")).to_have_attribute("aria-selected", "true")


def test_what_is_typed_while_the_page_starts_stays(visit: Visit, served: Served) -> None:
    hands = visit("about:blank")
    page = hands.page

    def slow(route: Route) -> None:
        page.wait_for_timeout(600)
        route.continue_()

    page.route("**/api/views", slow)
    page.goto(served.link, wait_until="commit")
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill(CLEAN)
    expect(hands.button("Run").first).to_be_enabled()
    page.wait_for_timeout(300)
    expect(prompt).to_have_value(CLEAN)
    prompt.press("Enter")
    expect(hands.answer.get_by_text("Mary")).to_be_visible()
