"""Make the workbench's screenshots from a real server: ``python docs/images/make_workbench.py``.

Needs chromium and playwright (``make setup``). Each picture is of the embedded model, at the width
and in the theme that its name says.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

OUT = Path(__file__).resolve().parent / "workbench"
PROMPT = "When Mary and John went to the store , John gave a drink to"
HEIGHTS = {1440: 900, 1024: 768, 390: 844}


def main() -> None:
    """Write docs/images/workbench/*.png."""
    OUT.mkdir(exist_ok=True)
    expect.set_options(timeout=60_000)  # the model loads, other work may share the cores
    with served() as link, sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for theme in ("light", "dark"):
            for width in HEIGHTS:
                page = opened(browser, link, width, theme)
                take(page, f"start-{width}-{theme}")
                story(page, width, theme)
                page.context.close()
        browser.close()


def story(page: Page, width: int, theme: str) -> None:
    """The prompt run, one head zeroed, then view by view."""
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill(PROMPT)
    prompt.press("Enter")
    heads = page.get_by_role("application", name=re.compile("^All heads"))
    expect(heads).to_be_visible()
    zero(page, "L0.z[H3]")
    heads.focus()
    for _ in range(4):  # the first press enters the picture at head 0.0
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("application", name="Attention of one head")).to_be_attached()
    page.get_by_role("tab", name="Attention").focus()
    take(page, f"attention-{width}-{theme}")
    page.get_by_role("radio", name="B−A", exact=True).check(force=True)
    for view in ("Lens", "Residual"):
        page.get_by_role("tab", name=view, exact=True).click()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        take(page, f"{view.lower()}-{width}-{theme}")
    page.get_by_role("tab", name="Patching").click()
    form = page.get_by_role("form", name="New sweep")
    expect(form.get_by_role("button", name="Start")).to_be_enabled()
    form.get_by_role("button", name="Start").click()
    expect(page.get_by_role("table", name="Strongest cells")).to_be_attached(timeout=120_000)
    page.get_by_role("table", name="Strongest cells").get_by_role("button").first.click()
    page.get_by_role("tab", name="Patching").focus()
    take(page, f"patching-{width}-{theme}")


def zero(page: Page, address: str) -> None:
    """Add the edit by its dialog."""
    page.get_by_role("button", name="Add edit…").click()
    dialog = page.get_by_role("dialog", name="Add an edit")
    dialog.get_by_label("Where").fill(address)
    dialog.get_by_role("button", name="Add edit").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("region", name="Most likely next tokens")).to_contain_text("B")


def take(page: Page, name: str) -> None:
    """One picture, when what is drawn stands still."""
    page.wait_for_timeout(500)
    shot = Image.open(BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    shot.quantize(256, dither=Image.Dither.NONE).save(OUT / f"{name}.png", optimize=True)


def opened(browser: Browser, link: str, width: int, theme: Any) -> Page:
    """The start page at this width."""
    size: Any = {"width": width, "height": HEIGHTS[width]}
    page = browser.new_context(
        viewport=size, color_scheme=theme, reduced_motion="reduce"
    ).new_page()
    page.goto(link)
    expect(page.get_by_role("heading", name="Worked examples")).to_be_visible()
    expect(page.get_by_role("button", name="Run").first).to_be_enabled()
    return page


@contextmanager
def served() -> Iterator[str]:
    """The link of a server with an empty history."""
    with tempfile.TemporaryDirectory(prefix="workbench-pictures-") as store:
        command = [sys.executable, "-m", "residuum", "serve", "microworld", "--no-browser"]
        more = ["--port", "0", "--store", store]
        process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
