"""The page of a reading in a real browser, opened as a file: numbers, hostile text, keyboard."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from made_reading import made_reading
from page_server import CHROMIUM, FLAGS
from playwright.sync_api import Browser, Page, expect, sync_playwright

from residuum.core import OptionError, StoreError
from residuum.dictionaries.reading import FeatureReading, Sizes

REQUIRED = os.environ.get("RESIDUUM_REQUIRE_BROWSER", "") not in ("", "0")
HOSTILE = [
    "</script><script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", " cat", " dog",
    "\n", "\u202eabc", '"', "=1+1", "", " naïve", "&lt;", "\u2028", "\ud7ff", "\x00",
]  # fmt: skip
LABELS = {2: "<b>bold</b> label", 4: "=HYPERLINK(1)", 7: "animals"}
Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def reading() -> FeatureReading:
    return made_reading(70, HOSTILE, labels=LABELS, share=0.15)


@pytest.fixture(scope="module")
def path(reading: FeatureReading, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading.page(tmp_path_factory.mktemp("page") / "features.html", title="Of <i>cats</i>")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None and not REQUIRED:
        pytest.skip("needs chromium; apt-get install chromium")
    with sync_playwright() as tools:
        made = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Open a file; afterwards nothing may have gone wrong, and nothing have been asked for."""
    wrong: list[str] = []
    contexts = []

    def visit(path: Path, anchor: str = "", width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: wrong.append(asked.url) if _outside(asked.url) else None)
        page.goto(path.as_uri() + anchor)
        expect(page.locator(".rf[data-ready]")).to_be_visible()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


def _outside(url: str) -> bool:
    return not url.startswith(("file:", "blob:", "data:"))


def options(page: Page) -> list[int]:
    return page.locator(".rf-item").evaluate_all("all => all.map(one => Number(one.id.slice(4)))")


def test_hostile_tokens_stay_text(path: Path, opened: Opened) -> None:
    page = opened(path, "#2")
    expect(page.get_by_role("heading", level=1)).to_have_text("Of <i>cats</i>")
    expect(page.get_by_role("heading", level=2)).to_contain_text("<b>bold</b> label")
    for latent in range(12):
        page.evaluate(f"location.hash = '#{latent}'")
        expect(page.get_by_role("heading", level=2)).to_contain_text(f"Latent {latent}")
    assert page.evaluate("window.hit") is None
    assert page.locator("#rf-detail :is(script, img, b, i)").count() == 0
    assert (
        page.locator(".rf-tok", has_text="</script>").count()
        or page.locator("code", has_text="</script>").count()
    )
    text = path.read_text()
    assert "onerror" not in text and text.count("</script>") == text.count("<script")


def test_controls_in_labels_are_spelled_out_and_turn_nothing(
    tmp_path: Path, opened: Opened
) -> None:
    labels = {
        0: "a\u202eb\x00c\u2067d\u061ce\x85f",
        1: "\u05e9\u05dc\u05d5\u05dd 12",
        2: "x\ufeff\u2029y",
    }
    reading = made_reading(6, HOSTILE, labels=labels, share=0.9)
    page = opened(reading.page(tmp_path / "labels.html"), "#0")
    heading = page.get_by_role("heading", level=2)
    safe = r"a\u202eb\u0000c\u2067d\u061ce\u0085f"
    expect(heading).to_have_text(f"Latent 0 {safe}")
    expect(page.locator("#rf-o0 bdi")).to_have_text(safe)
    expect(page.locator("#rf-o2 bdi")).to_have_text(r"x\ufeff\u2029y")
    shown = page.locator("#rf-detail").inner_text() + page.locator("#rf-list").inner_text()
    assert not set(shown) & set("\x00\u202e\u2067\u061c\x85\ufeff\u2029\u2028")
    assert all(
        page.locator("#rf-detail [data-token]").evaluate_all(
            "all => all.map(one => !/[\\u0000\\u202e\\u2028]/.test(one.dataset.token))"
        )
    )
    box = page.locator("#rf-o1 b").bounding_box()
    text = page.locator("#rf-o1 bdi").bounding_box()
    assert box and text and box["x"] < text["x"]  # the number stays in front
    with page.expect_download() as download:
        page.get_by_role("button", name="All as JSON").click()
    data = json.loads(Path(download.value.path()).read_text())
    assert [each["label"] for each in data["latents"]][:3] == [labels[i] for i in range(3)]


def test_moments_are_explained_where_they_stand(path: Path, opened: Opened) -> None:
    page = opened(path, "#7")
    note = page.locator(".rf-facts + .rf-note")
    expect(note).to_contain_text("over all tokens")
    expect(note).to_contain_text("3 for a Gaussian")


def test_the_page_says_what_the_reading_says(
    reading: FeatureReading, path: Path, opened: Opened
) -> None:
    page = opened(path, "#7")
    with page.expect_download() as download:
        page.get_by_role("button", name="All as JSON").click()
    data = json.loads(Path(download.value.path()).read_text())
    assert len(data["latents"]) == reading.n_latents
    for latent, found in enumerate(data["latents"]):
        own = reading[latent]
        assert found["latent"] == latent and found["label"] == own.label
        assert found["density"] == np.float32(own.density)
        assert found["largest"] == own.largest
        assert found["histogram"]["counts"] == own.histogram[0].tolist()
        assert [(each["token"], each["logit"]) for each in found["promotes"]] == [
            (token, float(f"{value:.4g}")) for token, value in own.promoted
        ]
        assert [each["latent"] for each in found["partners"]] == [i for i, *_ in own.partners]
        assert [each["latent"] for each in found["neighbours"]] == [i for i, _ in own.neighbours]
        assert len(found["examples"]) == len(own.examples)
        for shown, example in zip(found["examples"], own.examples, strict=True):
            assert shown["tokens"] == list(example.tokens) and shown["at"] == example.at
            place = (example.document, example.position)
            assert (shown["document"], shown["position"]) == place and min(place) >= 0
            values = [np.nan if v is None else np.float32(v) for v in shown["activations"]]
            assert np.array_equal(values, np.float32(example.activations), equal_nan=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="This one as JSON").click()
    assert json.loads(Path(download.value.path()).read_text()) == data["latents"][7]
    with page.expect_download() as download:
        page.get_by_role("button", name="Table as CSV").click()
    with Path(download.value.path()).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["latent"]) for row in rows] == list(range(reading.n_latents))
    assert rows[4]["label"] == "'=HYPERLINK(1)"  # no formula for a spreadsheet
    assert [float(row["density"]) for row in rows] == np.float32(reading.density).tolist()


def test_search_and_sort(reading: FeatureReading, path: Path, opened: Opened) -> None:
    page = opened(path)
    search, count = page.get_by_role("searchbox"), page.get_by_role("status")
    expect(count).to_have_text("70 latents")
    search.fill("animals")
    expect(count).to_have_text("1 of 70 latents")
    assert options(page) == [7]
    search.fill("#31")
    assert options(page) == [31]
    search.fill("CAT")
    page.get_by_label("Search in").select_option("fires")
    firing = {
        i for i in range(70)
        if any("cat" in each.token for each in reading[i].examples if each.band == "top")
    }  # fmt: skip
    expect(count).to_have_text(f"{len(firing)} of 70 latents")
    assert set(options(page)) <= firing
    search.fill("no such token")
    expect(count).to_have_text("0 of 70 latents")
    search.fill("")
    for name in ("density", "kurtosis", "largest"):
        page.get_by_label("Sort by").select_option(name)
        values = getattr(reading, name)
        first = [float(values[i]) for i in options(page)]
        wanted = np.sort(np.float32(values[~np.isnan(values)]))[::-1]
        page.locator("#rf-list").evaluate("node => { node.scrollTop = 0 }")
        expect(page.locator(".rf-item").first).to_have_attribute("aria-posinset", "1")
        first = np.float32([values[i] for i in options(page)][:5])
        assert first.tolist() == wanted[:5].tolist(), name
        page.get_by_role("button", name="Descending").click()
        page.locator("#rf-list").evaluate("node => { node.scrollTop = 0 }")
        expect(page.locator(".rf-item").first).to_have_attribute("aria-posinset", "1")
        assert np.float32(values[options(page)[0]]) == wanted[-1]
        page.get_by_role("button", name="Descending").click()


def test_keyboard_alone(reading: FeatureReading, path: Path, opened: Opened) -> None:
    page = opened(path)
    page.get_by_role("searchbox").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(page.get_by_role("listbox")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("heading", level=2)).to_contain_text("Latent 2")
    active = page.get_by_role("listbox").get_attribute("aria-activedescendant")
    assert active == "rf-o2" and page.locator("#rf-o2").get_attribute("aria-selected") == "true"
    page.keyboard.press("End")
    expect(page.get_by_role("heading", level=2)).to_contain_text("Latent 69")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_be_focused()
    example = page.locator(".rf-text").first
    for _ in range(4):  # past the file, the histogram's numbers and the box for values
        page.keyboard.press("Tab")
    expect(example).to_be_focused()
    own = reading[0].examples[0]
    said = page.locator("#rf-say")
    expect(said).to_have_text(
        f"{json.dumps(own.token, ensure_ascii=False)} {_text(own.activation)}"
    )
    page.keyboard.press("ArrowLeft")
    before = own.tokens[own.at - 1]
    expect(said).to_contain_text(json.dumps(before, ensure_ascii=False)[1:-1].strip()[:3])
    name = example.get_attribute("aria-label")
    assert name and _text(own.activation) in name


def _text(value: float) -> str:
    return f"{float(str(np.float32(value))):g}" if value != int(value) else str(int(value))


def test_exact_values_are_in_the_text(reading: FeatureReading, path: Path, opened: Opened) -> None:
    page = opened(path, "#1")
    tokens = page.locator(".rf-tok.at")
    assert tokens.count() == len(reading[1].examples)
    expect(page.locator(".rf-place")).to_have_text(
        [f"text {each.document}, token {each.position}" for each in reading[1].examples]
    )
    own = reading[1].examples[0].activation
    assert np.float32(tokens.first.get_attribute("data-value")) == np.float32(own)
    tokens.first.hover()
    expect(page.locator(".rz-tip")).to_be_visible()
    expect(page.locator(".rz-tip")).to_contain_text(str(tokens.first.get_attribute("data-value")))
    assert page.locator(".rf-tok sub").count() == 0
    page.get_by_label("Values in the text").check()
    assert page.locator(".rf-tok sub").count() >= tokens.count()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(path: Path, opened: Opened, theme: Any, width: int) -> None:
    page = opened(path, "#7", width, color_scheme=theme)
    page.get_by_label("Values in the text").check()
    page.get_by_text("Numbers").click()
    found = [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_signed_units_show_both_signs(tmp_path: Path, opened: Opened) -> None:
    reading = made_reading(5, HOSTILE, share=0.9, signed=True)
    page = opened(reading.page(tmp_path / "signed.html"))
    expect(page.get_by_role("heading", level=2)).to_contain_text("Unit 0")
    expect(page.get_by_text("below zero")).to_be_visible()
    assert page.locator(".rf-tok.neg").count()


@pytest.mark.slow
def test_sixteen_thousand_latents_stay_small_and_quick(tmp_path: Path, opened: Opened) -> None:
    sizes = Sizes(top=6, sample=8, before=12, after=4, company=500)
    words = [f" word{i}" for i in range(400)]
    reading = made_reading(16_384, words, n_rows=120, share=0.01, sizes=sizes)
    path = reading.page(tmp_path / "many.html", most_mb=12)
    assert 4e6 < path.stat().st_size <= 12e6
    page = opened(path, "#16000")
    expect(page.get_by_role("heading", level=2)).to_contain_text("Latent 16000")
    timing = "performance.getEntriesByName('rf-ready')[0].startTime"
    assert page.evaluate(timing) < 5000  # on a machine that others use too
    assert page.locator(".rf-item").count() < 60
    page.get_by_label("Sort by").select_option("largest")
    expect(page.get_by_role("status")).to_have_text("16384 latents")
    assert page.locator(".rf-item").count() < 60


def test_a_page_that_is_too_small_is_refused(reading: FeatureReading, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="70 units take about") as told:
        reading.page(tmp_path / "a.html", most_mb=0.402)
    assert "or read with a shorter window" in str(told.value.mend)
    with pytest.raises(OptionError, match="most_mb='big' is out of range"):
        reading.page(tmp_path / "a.html", most_mb="big")  # pyright: ignore[reportArgumentType]
    with pytest.raises(StoreError, match="there is no folder"):
        reading.page(tmp_path / "none" / "a.html")
