"""What a person does on the workbench's page, by role and accessible name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, expect

HEADS = re.compile(r"^All heads")
LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}


@dataclass
class Watched:
    """What must stay empty while a page is used."""

    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    refused: bool = False
    """Whether the server refuses something here: a browser tells that too."""

    def __call__(self, context: BrowserContext) -> None:
        """Block what leaves this machine and note every error of the context's pages."""
        context.route(lambda url: not _is_here(url), self._block)
        context.on("console", lambda told: self._hear(told.type, told.text))
        context.on("weberror", lambda told: self.errors.append(str(told.error)))

    def _block(self, route: Route, request: Request) -> None:
        self.foreign.append(request.url)
        route.abort()

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error" and not (self.refused and "status of 400" in text):
            self.errors.append(text)

    def check(self) -> None:
        assert self.foreign == [], "the page asked for something off this machine"
        assert self.errors == [], "the page told of errors"


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or parts.hostname in LOOPBACK


@dataclass(frozen=True)
class Hands:
    """A person at one page."""

    page: Page

    # Parts of the page.

    @property
    def heads(self) -> Locator:
        return self.page.get_by_role("application", name=HEADS)

    @property
    def answer(self) -> Locator:
        return self.page.get_by_role("region", name="Most likely next tokens")

    @property
    def inspector(self) -> Locator:
        return self.page.get_by_role("complementary", name="Inspector")

    @property
    def stack(self) -> Locator:
        return self.page.get_by_role("group", name="Stack of edits")

    @property
    def rows(self) -> Locator:
        return self.stack.get_by_role("listitem")

    def button(self, name: str | re.Pattern[str], within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name, exact=True)

    # What it shows.

    def run_id(self) -> str:
        """Id of the run that the inspector tells of."""
        self.settled()
        return self._told("id").inner_text().strip()

    def _told(self, term: str) -> Locator:
        terms = self.inspector.get_by_role("term").filter(has_text=re.compile(f"^{term}$"))
        return terms.locator("xpath=following-sibling::dd[1]").last

    def answers(self) -> list[str]:
        """The likeliest tokens, each with its numbers, as read."""
        self.settled()
        return self.answer.get_by_role("listitem").all_inner_texts()

    def shares(self) -> dict[str, list[float]]:
        """Probabilities of the likeliest tokens in percent: [B], or [A, B]."""
        return {
            text.split()[0]: [float(each) for each in re.findall(r"([\d.]+)\s*%", text)]
            for text in self.answers()
        }

    def edits(self) -> list[tuple[str, bool]]:
        """Address and on or off of every edit, in order."""
        return [
            (row.get_by_role("code").inner_text(), row.get_by_role("checkbox").is_checked())
            for row in self.rows.all()
        ]

    def settled(self) -> None:
        """Wait until nothing runs and no answer is on its way."""
        expect(self.button("Run").first).to_have_attribute("aria-busy", "false")
        expect(self.answer).to_have_attribute("aria-busy", "false")
        expect(self.page.get_by_text("before the last edit")).to_have_count(0)

    # What a person does.

    def run(self, text: str) -> None:
        expect(self.button("Run").first).to_be_enabled()  # the page is ready
        pencil = self.button("Edit the prompt")
        if pencil.count():
            pencil.click()
        prompt = self.page.get_by_role("textbox", name="Prompt")
        prompt.fill(text)
        prompt.press("Enter")
        expect(prompt).to_have_count(0)
        self.settled()

    def view(self, name: str) -> Locator:
        """Show a view by its tab."""
        self.page.get_by_role("tab", name=name, exact=True).click()
        return self.page.get_by_role("tabpanel", name=name, exact=True)

    def show(self, which: str) -> None:
        """Show A, B or B−A."""
        choice = self.page.get_by_role("radio", name=which, exact=True)
        choice.check(force=True)
        expect(choice).to_be_checked()

    def head(self, layer: int, head: int, layers: int = 4, heads: int = 8) -> tuple[float, float]:
        """A point inside a head's picture, where the page says that it is that head."""
        box = self.heads.bounding_box()
        assert box is not None
        guess = (
            box["x"] + 28 + (head + 0.5) * (box["width"] - 32) / heads,
            box["y"] + 20 + (layer + 0.5) * (box["height"] - 24) / layers,
        )
        told = self.page.get_by_text(f"Head {layer}.{head}", exact=True).and_(
            self.page.locator("strong")
        )
        for at in sorted(_points(box), key=lambda at: _far(at, guess)):
            self.page.mouse.move(*at)
            if told.count():
                return at
        raise AssertionError(f"no point of the drawing is head {layer}.{head}")

    def choose_head(self, layer: int, head: int) -> None:
        self.page.mouse.click(*self.head(layer, head))
        expect(self.inspector.get_by_text(f"L{layer}.z[H{head}]", exact=True)).to_be_visible()

    def drag(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Drag from a point to a point as a mouse does."""
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(start[0] + 6, start[1] + 6, steps=3)
        mouse.move(*end, steps=8)
        mouse.up()

    def python(self) -> str:
        """The code of "Copy as Python"."""
        self.button("Copy as Python").first.click()
        return self.code("Copy as Python")

    def code(self, title: str) -> str:
        """The code in the dialog of this title, which is closed again."""
        dialog = self.page.get_by_role("dialog", name=title)
        code = dialog.get_by_label(title, exact=True).locator("visible=true").last.inner_text()
        self.button("Close", dialog).last.click()
        expect(dialog).to_have_count(0)
        return code

    def table(self, panel: Locator) -> list[list[str]]:
        """The numbers of a view as its table tells them: head first, then rows."""
        self.button("As a table", panel).click()
        dialog = self.page.get_by_role("dialog")
        rows: list[list[str]] = dialog.get_by_role("table").evaluate(
            "table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))"
        )
        self.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        return rows

    def saved(self, panel: Locator, kind: str) -> str:
        """A view's file, read."""
        self.button("Save this view", panel).click()
        with self.page.expect_download() as download:
            self.page.get_by_role("menuitem", name=re.compile(f"as {kind}$")).click()
        return download.value.path().read_text(encoding="utf-8")


def _points(box: Any) -> list[tuple[float, float]]:
    across = range(4, int(box["width"]), 8)
    down = range(4, int(box["height"]), 8)
    return [(box["x"] + x, box["y"] + y) for x in across for y in down]


def _far(at: tuple[float, float], guess: tuple[float, float]) -> float:
    return (at[0] - guess[0]) ** 2 + (at[1] - guess[1]) ** 2
