"""The documentation is executed: every Python block runs, every link and command exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import residuum as rz

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SKIP = re.compile(r"<!-- skip: (.+) -->\s*$")
FENCE = re.compile(r"^```(\w*)\s*$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
MOST_SKIPS = 6


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    code: str
    line: int
    skipped: str


def blocks_of(page: Path) -> Iterator[Block]:
    """Every fenced block; ``skipped`` is the reason in the comment right before it."""
    lines = page.read_text(encoding="utf-8").splitlines()
    inside: list[str] | None = None
    language, start, reason = "", 0, ""
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line)
        if inside is None and fence:
            inside, language, start = [], fence[1], number
            before = next((each for each in reversed(lines[: number - 1]) if each.strip()), "")
            skip = SKIP.match(before)
            reason = skip[1] if skip else ""
        elif inside is not None and line.startswith("```"):
            yield Block(language, "\n".join(inside) + "\n", start, reason)
            inside = None
        elif inside is not None:
            inside.append(line)
    assert inside is None, f"{page.name}: the block at line {start} is not closed"


def with_python(page: Path) -> bool:
    return any(block.language == "python" for block in blocks_of(page))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if with_python(p)], ids=name_of)
def test_python_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All blocks of a page run in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__docs__"}
    for block in blocks_of(page):
        if block.language == "python" and not block.skipped:
            source = "\n" * block.line + block.code  # so that tracebacks show the page's lines
            exec(compile(source, str(page), "exec"), space)


def test_few_blocks_are_skipped() -> None:
    skipped = [(name_of(p), b.line) for p in PAGES for b in blocks_of(p) if b.skipped]
    assert len(skipped) <= MOST_SKIPS, skipped


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for groups in LINK.findall(text):
        target = next(filter(None, groups))
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors_of(file), f"{name_of(page)} links to {target}"


def anchors_of(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def command_lines(program: str) -> list[tuple[str, str]]:
    """Page and line of every ``program ...`` in a block of shell."""
    found = []
    for page in PAGES:
        for block in blocks_of(page):
            if block.language in ("sh", "bash", "console") and not block.skipped:
                joined = block.code.replace("\\\n", " ").splitlines()
                lines = [line.strip().removeprefix("$ ") for line in joined]
                found += [(name_of(page), each) for each in lines if each.startswith(f"{program} ")]
    return found


@pytest.mark.parametrize(("page", "line"), command_lines("make"))
def test_make_targets_exist(page: str, line: str) -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    words = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
    assert words and set(words) <= set(targets), f"{page}: {line}"


@pytest.mark.parametrize(("page", "line"), command_lines("residuum"))
def test_commands_parse(page: str, line: str) -> None:
    """The argument parser takes every command line that a page shows."""
    from residuum.apps.cli.main import build_parser

    words = re.split(r"[|>]", line)[0]
    build_parser().parse_args(shlex.split(words, comments=True)[1:])


def test_every_public_name_is_in_the_api_page() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in rz.__all__ if not re.search(rf"`{name}[`(]", text)]
    assert missing == []


def test_the_site_table_is_the_vocabulary() -> None:
    """docs/concepts.md shows every site with its dims, in forward order."""
    from residuum.core import SITES

    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `\[([^\]]+)\]` \|", text, flags=re.MULTILINE)
    assert rows == [(site.name, " ".join(site.dims)) for site in SITES.values()]


def test_the_alias_table_is_complete() -> None:
    """docs/from-transformerlens.md lists every alias with the site that it means."""
    from residuum.core import ALIASES

    text = (ROOT / "docs" / "from-transformerlens.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `(\w+)` \|", text, flags=re.MULTILINE))
    assert rows == ALIASES


def test_the_families_page_has_every_row() -> None:
    """Every row of the code, and every model type."""
    from residuum.models import FAMILIES

    text = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    assert [row.name for row in FAMILIES if f"`{row.name}`" not in text] == []
    types = [kind for row in FAMILIES for kind in row.model_types]
    assert [kind for kind in types if f"`{kind}`" not in text] == []


def test_the_families_table_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "families"))
    monkeypatch.setattr(sys, "argv", ["make_families.py", "--check"])
    import make_families

    assert make_families.main() == 0


@pytest.mark.parametrize("script", ["make_performance.py", "make_transfer.py", "make_audits.py"])
def test_measured_tables_are_those_of_the_results(script: str) -> None:
    made = subprocess.run([sys.executable, str(ROOT / "docs" / script), "--check"], check=False)
    assert made.returncode == 0, f"run python docs/{script}"
