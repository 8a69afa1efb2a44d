"""What a real browser shows. Skipped where Debian's chromium is not installed."""

import json
import os
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pytest

from residuum.figures import Bars, Fold, HeatMap, Lines, Panel, Series, Table, page
from residuum.figures.palette import CATEGORIES

CHROMIUM = shutil.which("chromium")
REQUIRED = os.environ.get("RESIDUUM_REQUIRE_BROWSER", "") not in ("", "0")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="needs chromium; apt-get install chromium"
)

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=4000", "--window-size=1000,1400",
]  # fmt: skip

HARNESS = """<script>
const found = {errors: []};
addEventListener("error", (event) => found.errors.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => found.errors.push(event.violatedDirective));
const key = (stage, name) =>
  stage.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
const tipText = () => document.querySelector(".rz-tip").innerText.trim().split("\\n");
addEventListener("load", () => setTimeout(async () => {
  try { await probe(); } catch (error) { found.errors.push(String(error.stack)); }
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
}, 200));
async function probe() { %s }
</script>"""


def observe(html, script, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(html.replace("</body>", HARNESS % script + "</body>"), encoding="utf-8")
    match = None
    for attempt in range(3):  # on a busy machine the browser may end before the page has spoken
        profile = f"--user-data-dir={tmp_path / f'profile{attempt}'}"
        command = [str(CHROMIUM), *FLAGS, profile, "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
        if match:
            break
    assert match, done.stdout[-500:] + done.stderr[-500:]
    found = json.loads(unescape(match[1]))
    assert found["errors"] == []
    return found


def test_keyboard_reads_every_value(tmp_path):
    values = np.array([[0.5, np.nan, -2.25], [1.0, 1e-7, 123456.0]])
    figure = HeatMap(
        values, ["L0", "L1"], ["<b>", " cat", "c"], x="token", y="layer", unit="logits"
    )
    script = """
      const stage = document.querySelector(".rz-stage");
      found.tips = [];
      for (const name of ["Right", "Right", "Right", "Down", "Left"]) {
        key(stage, "Arrow" + name);
        found.tips.push(tipText());
      }
      for (const name of ["Home"]) {
        key(stage, name);
        found.tips.push(tipText());
      }
      found.live = document.querySelector(".rz-live").textContent;
      key(stage, "Escape");
      found.hidden = document.querySelector(".rz-tip").hidden;"""
    found = observe(page("p", [figure]), script, tmp_path)
    heads = [tip[0] for tip in found["tips"]]
    assert heads == [
        "0.5 logits", "no value possible here", "−2.25 logits", "123460 logits", "1e−7 logits",
        "1 logits",
    ]  # fmt: skip
    assert found["tips"][0][1:] == ["layer: L0", "token: <b>"]
    assert found["live"] == "1 logits, layer: L1, token: <b>"
    assert found["hidden"] is True


def test_pixels_follow_the_theme_and_exports_hold_the_values(tmp_path):
    script = """
      const canvas = document.querySelector(".rz-stage canvas");
      const pen = canvas.getContext("2d");
      const middle = () => [...pen.getImageData(canvas.width / 3, 30, 1, 1).data];
      document.documentElement.dataset.theme = "light";
      document.querySelector(".rz-theme").click();
      found.dark = middle();
      document.querySelector(".rz-theme").click();
      found.light = middle();
      HTMLCanvasElement.prototype.toBlob = function (done) {  // at once: time is virtual here
        const bytes = Uint8Array.from(atob(this.toDataURL().split(",")[1]), (c) => c.charCodeAt(0));
        done(new Blob([bytes], {type: "image/png"}));
      };
      HTMLAnchorElement.prototype.click = () => {};  // a download can keep the browser from closing
      const saved = [];
      const original = URL.createObjectURL;
      URL.createObjectURL = (blob) => { saved.push(blob); return original.call(URL, blob); };
      for (const button of document.querySelectorAll(".rz-tools button")) button.click();
      found.saved = {};
      for (const blob of saved) found.saved[blob.type] = await blob.text();"""
    figure = HeatMap([[2.0, 2.0], [2.0, 2.0]], col_labels=["a,b", 'q"'], limits=(-2, 2), title="T")
    found = observe(page("p", [figure]), script, tmp_path)
    assert found["light"][:3] == [0x0A, 0x37, 0x6B]
    assert found["dark"][:3] == [0xB5, 0xDE, 0xFF]
    lines = found["saved"]["text/csv"].split("\r\n")
    assert lines[:2] == ['row \\ column,"a,b","q"""', "0,2,2"]
    assert found["saved"]["image/svg+xml"].count("#0a376b") >= 4
    assert found["saved"]["image/png"]


def test_thumbnails_open_tables_sort_and_series_hide(tmp_path):
    parts = [
        Panel([HeatMap(np.eye(3), title=f"H{i}") for i in range(2)]),
        Table(["name", "n"], [["a", 2], ["b", 10], ["c", 1]]),
        Fold("more", [Lines([0, 1], [Series("one", [1, 2]), Series("two", [2, 3])])]),
    ]
    script = """
      document.querySelectorAll(".rz-compact")[1].dispatchEvent(
        new KeyboardEvent("keydown", {key: "Enter"}));
      const dialog = document.querySelector("dialog");
      found.opened = dialog.open && dialog.querySelector(".rz-title").textContent;
      key(dialog.querySelector(".rz-stage"), "ArrowRight");
      found.inside = dialog.querySelector(".rz-tip").innerText.split("\\n")[0];
      dialog.close();
      document.querySelectorAll(".rz-sort")[1].click();
      const rows = [...document.querySelectorAll("tbody tr")];
      found.order = rows.map((row) => row.cells[0].textContent);
      document.querySelector("details").open = true;
      await new Promise((done) => setTimeout(done, 200));
      document.querySelector(".rz-key").click();
      key(document.querySelector(".rz-lines .rz-stage"), "End");
      found.tip = tipText();"""
    found = observe(page("p", parts), script, tmp_path)
    assert found["opened"] == "H1"
    assert found["inside"] == "1"
    assert found["order"] == ["b", "a", "c"]
    assert found["tip"] == ["x: 1", "two: 3"]


SHEET = """
      const parts = {};  // what is saved, caught before it becomes a blob: reading one takes time
      window.Blob = function (texts, { type }) { parts[type] = texts.join(""); };
      URL.createObjectURL = () => "#";
      for (const button of document.querySelectorAll(".rz-tools button")) {
        if (button.textContent !== "PNG") button.click();
      }
      const sheet = new DOMParser().parseFromString(parts["image/svg+xml"], "image/svg+xml");
      document.body.append(document.importNode(sheet.documentElement, true));
      const drawn = document.body.lastElementChild, edge = drawn.getBoundingClientRect();
      const texts = [...drawn.querySelectorAll("text")];"""


def test_names_are_read_and_the_key_lists_them(tmp_path):
    figure = HeatMap(
        [[0, 1], [1, 2]], ["L1", "L0"], ["H0", "H1"], x="head", y="layer", title="T",
        scale="categorical", categories=("none", "induction", "sink", "absent"),
        unsure=[[False, True], [False, False]], unsure_name="not confirmed",
        cell_text=[["", "ind?"], ["ind", "sink"]],
    )  # fmt: skip
    script = (
        """
      const stage = document.querySelector(".rz-stage");
      found.tips = [];
      for (const name of ["Right", "Right", "Down"]) {
        key(stage, "Arrow" + name);
        found.tips.push(tipText());
      }"""
        + SHEET
        + """
      found.texts = texts.map((text) => text.textContent);
      found.csv = parts["text/csv"];
      found.fills = [...drawn.querySelectorAll("rect")].map((rect) => rect.getAttribute("fill"));
      found.hatch = drawn.querySelectorAll("polyline").length;"""
    )
    found = observe(page("p", [figure]), script, tmp_path)
    assert [tip[0] for tip in found["tips"]] == ["none", "induction (not confirmed)", "sink"]
    assert found["csv"].split("\r\n")[1:3] == ["L1,none,induction?", "L0,induction,sink"]
    key = [text for text in found["texts"] if text in ("none", "induction", "absent")]
    assert key == ["none", "induction"] and "not confirmed" in found["texts"]
    for name in (1, 2):
        assert CATEGORIES["light"][name] in found["fills"]
    assert found["hatch"] > 4 + 3  # lines of the hatched cell, beside the frames of the key


@pytest.mark.parametrize("count", [5, 40])
def test_the_ends_of_an_axis_are_not_cut(count, tmp_path):
    """Five labels stand level, forty are turned and thinned out; first and last are there."""
    labels = [f"after checkpoint {i}" for i in range(count)]
    figure = Lines(range(count), [Series("s", range(count))], x_labels=labels)
    measured = """
      found.out = texts.map((text) => text.getBoundingClientRect())
        .filter((box) => box.right > edge.right + 0.5 || box.left < edge.left - 0.5).length;
      found.texts = texts.map((text) => text.textContent);"""
    found = observe(page("p", [figure]), SHEET + measured, tmp_path)
    assert found["out"] == 0, found["texts"]
    assert found["texts"][-1].startswith(labels[-1][:9])
    shown = [text for text in found["texts"] if text.startswith("after")]
    assert 4 < len(shown) <= count and shown[0] == labels[0][: len(shown[0]) - 1] + shown[0][-1]


def test_cells_have_the_colours_that_python_gives_them(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 5)) ** 3
    values[2, 3] = np.nan
    figures = [
        HeatMap(values), HeatMap(values, limits=(-1, 4)), HeatMap(values, scale="sequential"),
        HeatMap(np.arange(6).reshape(2, 3), scale="categorical", categories=list("abcdef"),
                unsure=np.eye(2, 3) > 0),
    ]  # fmt: skip
    script = """
      const read = () => [...document.querySelectorAll(".rz-stage")].map((stage, k) => {
        const canvas = stage.querySelector("canvas"), seen = new Set();
        const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        for (let i = 0; i < bytes.length; i += 4) seen.add(bytes.slice(i, i + 4).join());
        return [...seen];
      });
      document.documentElement.dataset.theme = "light";
      await new Promise((done) => setTimeout(done, 50));
      found.light = read();
      document.querySelector(".rz-theme").click();
      found.dark = read();"""
    found = observe(page("p", figures), script, tmp_path)
    for theme in ("light", "dark"):
        for figure, seen in zip(figures, found[theme], strict=True):
            drawn = np.array([[int(part) for part in text.split(",")] for text in seen])
            drawn = drawn[drawn[:, 3] == 255, :3]
            for colour in figure.colours(theme).reshape(-1, 3).astype(int):
                assert np.abs(drawn - colour).max(1).min() <= 1, (theme, colour)


def test_every_figure_has_its_values_as_a_table(tmp_path):
    figures = [
        HeatMap([[0.5, np.nan]], col_labels=["<b>", "x"]),
        Bars(["a", "b"], [2.0, -1.0], order="given"),
        Lines([0, 1], [Series("one", [1, 2])]),
    ]
    script = """
      const buttons = [...document.querySelectorAll("button[aria-expanded]")];
      buttons.forEach((button) => button.click());
      const cells = (row) => [...row.cells].map((cell) => cell.textContent);
      found.tables = [...document.querySelectorAll(".rz-numbers table")].map(
        (table) => [...table.rows].map(cells));
      buttons[0].click();
      found.left = document.querySelectorAll(".rz-numbers").length;
      found.state = buttons.map((button) => button.getAttribute("aria-expanded"));"""
    found = observe(page("p", figures), script, tmp_path)
    assert found["tables"] == [
        [["row \\ column", "<b>", "x"], ["0", "0.5", "–"]],
        [["name", "value"], ["a", "2"], ["b", "−1"]],
        [["x", "one"], ["0", "1"], ["1", "2"]],
    ]
    assert (found["left"], found["state"]) == (2, ["false", "true", "true"])


def test_on_paper_folds_are_open_and_figures_are_lines(tmp_path):
    parts = [
        Fold("shut", [Lines([0, 1], [Series("one", [1, 2])])]),
        Fold("open", ["text"], opened=True),
    ]
    script = """
      const state = () => [...document.querySelectorAll("details")].map((fold) => fold.open);
      found.before = state();
      dispatchEvent(new Event("beforeprint"));
      found.paper = [state(), document.querySelectorAll("svg.rz-print").length];
      dispatchEvent(new Event("afterprint"));
      found.after = [state(), document.querySelectorAll("svg.rz-print").length];"""
    found = observe(page("p", parts), script, tmp_path)
    assert found["before"] == [False, True]
    assert found["paper"] == [[True, True], 1]
    assert found["after"] == [[False, True], 0]
