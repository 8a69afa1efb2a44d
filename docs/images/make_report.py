"""Make the picture of a report from a finding: ``python docs/images/make_report.py [FOLDER]``.

Needs chromium and playwright (``make setup``). Without a folder that holds a ``finding.json``,
microworld's ioi is investigated at the budget quick.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import residuum as rz
from residuum.findings import Finding

OUT = Path(__file__).resolve().parent
SIZE = {"width": 1280, "height": 1180}


def main() -> None:
    """Write report-light.png and report-dark.png beside this file."""
    found = Finding.load(sys.argv[1]) if len(sys.argv) > 1 else None
    found = found or rz.investigate(rz.load("microworld"), "ioi")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as tools:
        found.save(folder)
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for theme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=theme)  # type: ignore[arg-type]
            page.goto((Path(folder) / "report.html").as_uri())
            page.wait_for_selector("canvas", state="attached")
            target = OUT / f"report-{theme}.png"
            page.screenshot(path=str(target))
            with Image.open(target) as taken:
                taken.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(
                    target, optimize=True
                )
        browser.close()


if __name__ == "__main__":
    main()
