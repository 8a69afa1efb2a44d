"""The story of the workbench in a real browser, with the numbers of the library alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from page_hands import Hands
from page_server import Served, Visit
from playwright.sync_api import Locator, expect

import residuum as rz

CLEAN = "When Mary and John went to the store , John gave a drink to"
CORRUPT = "When Mary and John went to the store , Mary gave a drink to"


def likeliest(model: rz.Model, text: str, edits: list[rz.core.Edit], token: str) -> float:
    """The library's probability of a token after a text, in percent."""
    run = model.run(text, edits=edits)
    return 100 * float(run.last[0].double().softmax(-1)[model.to_single_token(token)])


def test_first_visit_run_zero_undo_solo_reorder(visit: Visit, model: rz.Model) -> None:
    hands = visit()
    page = hands.page
    expect(page.get_by_role("heading", name="Worked examples")).to_be_visible()
    hands.run(CLEAN)
    first = hands.run_id()
    before = hands.shares()["Mary"]
    assert before == [round(likeliest(model, CLEAN, [], "Mary"), 1)]

    page.mouse.dblclick(*hands.head(0, 3))  # zero a head by mouse
    expect(hands.rows).to_have_count(1)
    zeroed = [rz.Zero("L0.z[H3]")]
    after = hands.shares()["Mary"]
    assert after == [*before, round(likeliest(model, CLEAN, zeroed, "Mary"), 1)]
    assert after[1] < after[0] - 1 and hands.run_id() != first

    hands.heads.focus()  # and another by keyboard
    page.keyboard.press("ArrowDown")
    chosen = hands.inspector.get_by_text(re.compile(r"^L\d\.z\[H\d\]$")).inner_text()
    page.keyboard.press("z")
    expect(hands.rows).to_have_count(2)
    assert hands.edits() == [("L0.z[H3]", True), (chosen, True)]
    both = hands.run_id()

    hands.button("Undo").click()
    expect(hands.rows).to_have_count(1)
    assert hands.shares()["Mary"] == after
    hands.button("Undo").click()
    expect(hands.rows).to_have_count(0)
    assert hands.run_id() == first
    hands.button("Redo").click()
    hands.button("Redo").click()
    expect(hands.rows).to_have_count(2)
    assert hands.run_id() == both

    hands.rows.first.get_by_role("checkbox").uncheck()
    assert hands.edits() == [("L0.z[H3]", False), (chosen, True)]
    only = hands.run_id()
    hands.rows.first.get_by_role("checkbox").check()
    assert hands.run_id() == both
    solo = hands.button("Solo: only this edit", hands.rows.nth(1))
    solo.click()
    assert hands.run_id() == only
    solo.click()
    assert hands.run_id() == both

    hands.button("Move edit 1: Alt with up or down").press("Alt+ArrowDown")
    assert hands.edits() == [(chosen, True), ("L0.z[H3]", True)]
    other = hands.run_id()
    assert other != both, "the order of edits is part of a run"
    hands.drag(middle(hands.button(re.compile("^Move edit 2"))), middle(hands.rows.first))
    expect(hands.rows.first.get_by_role("code")).to_have_text("L0.z[H3]")
    assert hands.run_id() == both


def middle(thing: Locator) -> tuple[float, float]:
    box = thing.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_patch_from_clean_by_dialog_and_by_drag_and_drop(visit: Visit, model: rz.Model) -> None:
    hands = visit()
    page = hands.page
    hands.run(CLEAN)
    clean = hands.run_id()
    hands.run(CORRUPT)

    page.get_by_role("tab", name=re.compile("^History")).click()
    plain = page.get_by_role("listitem").filter(has_text="John gave", has_not=page.locator("code"))
    hands.button("Pin as A", plain).click()
    expect(page.get_by_role("radio", name="B−A")).to_be_enabled()

    hands.button("Add edit…", hands.stack).click()
    dialog = page.get_by_role("dialog", name="Add an edit")
    dialog.get_by_role("radio", name="Patch").check()
    dialog.get_by_label("Where").fill("L2.resid_post")
    dialog.get_by_role("combobox", name="From the run").select_option(clean)
    hands.button("Add edit", dialog).click()
    expect(hands.rows).to_have_count(1)
    source = model.run(CLEAN, capture=["L2.resid_post", "L0.z[H3]"])
    patched = rz.Patch("L2.resid_post", source["L2.resid_post"])
    share = round(likeliest(model, CORRUPT, [patched], "Mary"), 1)
    assert hands.shares()["Mary"][-1] == share > 50

    hands.button("Undo").click()
    expect(hands.rows).to_have_count(0)
    for target in (hands.head(0, 3), middle(hands.stack)):
        hands.drag(hands.head(0, 3), target)
        expect(hands.rows).to_have_count(1)
        assert hands.edits() == [("L0.z[H3]", True)]
        expect(hands.rows.first).to_have_accessible_name(re.compile("Patch"))
        patched = rz.Patch("L0.z[H3]", source["L0.z[H3]"])
        share = round(likeliest(model, CORRUPT, [patched], "John"), 1)
        assert hands.shares()["John"][-1] == share
        hands.button("Undo").click()
        expect(hands.rows).to_have_count(0)


def test_a_link_reopens_the_state_and_python_gives_its_numbers(
    visit: Visit, served: Served, tmp_path: Path
) -> None:
    hands = visit()
    hands.run(CLEAN)
    hands.page.mouse.dblclick(*hands.head(0, 3))
    expect(hands.rows).to_have_count(1)
    hands.settled()
    hands.page.mouse.dblclick(*hands.head(1, 5))
    expect(hands.rows).to_have_count(2)
    hands.rows.first.get_by_role("checkbox").uncheck()
    hands.show("B−A")
    run, edits = hands.run_id(), hands.edits()
    place = hands.inspector.get_by_text("L1.z[H5]", exact=True)
    expect(place).to_be_visible()
    expect(hands.page).to_have_url(re.compile(f"run={run}&view=attention"))
    hands.page.wait_for_timeout(400)  # the address bar is written a moment after

    again = visit(served.linked(hands.page.url))
    expect(again.rows).to_have_count(2)
    expect(again.inspector.get_by_text("L1.z[H5]", exact=True)).to_be_visible()
    assert (again.run_id(), again.edits()) == (run, edits)
    expect(again.page.get_by_role("radio", name="B−A")).to_be_checked()
    expect(again.page.get_by_role("tab", name="Attention")).to_have_attribute(
        "aria-selected", "true"
    )
    assert again.answers() == hands.answers()
    a = plain_run(served, run)
    made = executed(again.python(), ["pattern", "value_norm"], tmp_path)
    _, shown = served.look("attention", run=run, minus=a, layer=1, head=5)
    for name, array in made.items():
        np.testing.assert_allclose(array, shown[name].astype(float), atol=1e-3, err_msg=name)


def plain_run(served: Served, run: str) -> str:
    """Id of the run of the same prompt without edits."""
    ids, runs = served.record(run)["ids"], served.api.get("/api/runs").json()["runs"]
    return next(each["id"] for each in runs if not each["edits"] and each["ids"] == ids)


def executed(code: str, names: list[str], folder: Path) -> dict[str, np.ndarray]:
    """The arrays that copied code leaves, run by a Python of its own."""
    script, kept = folder / "script.py", folder / "arrays.npz"
    saving = f"\nimport numpy\nnumpy.savez({str(kept)!r}, **{{n: globals()[n] for n in {names!r}}})"
    script.write_text(code + saving, encoding="utf-8")
    command, env = [sys.executable, str(script)], {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    with np.load(kept) as arrays:
        return dict(arrays)


def started(hands: Hands, what: str, pairs: int) -> Locator:
    panel = hands.view("Patching")
    form = panel.get_by_role("form", name="New sweep")
    another = hands.button("New sweep", panel)
    expect(form.or_(another).first).to_be_visible()
    if another.count():
        another.click()
    form.get_by_role("spinbutton", name="pairs").fill(str(pairs))
    form.get_by_role("combobox", name="patch").select_option(label=what)
    hands.button("Start", form).click()
    sweep = panel.get_by_role("region", name="Sweep", exact=True)
    expect(sweep).to_be_visible()
    return sweep


def test_a_sweep_fills_in_and_another_is_cancelled(visit: Visit, tmp_path: Path) -> None:
    hands = visit()
    hands.run(CLEAN)
    hands.page.evaluate("""() => {
      window.seen = new Set();
      const note = () => {
        for (const each of document.querySelectorAll('[role=status]')) {
          const found = /^\\s*(\\d+) of (\\d+) cells/.exec(each.textContent);
          if (found) window.seen.add(Number(found[1]));
        }
      };
      new MutationObserver(note).observe(document.body,
        {subtree: true, childList: true, characterData: true});
    }""")
    sweep = started(hands, "heads by position", 16)
    strongest = sweep.get_by_role("table", name="Strongest cells")
    expect(strongest).to_be_visible(timeout=60_000)
    seen = hands.page.evaluate("[...window.seen]")
    assert [count for count in seen if 0 < count < 480], f"cells came all at once: {seen}"
    table = hands.table(hands.page.get_by_role("tabpanel", name="Patching"))
    hands.button("Copy as Python", sweep).click()
    code = hands.code("This sweep in Python") + "\neffects = sweep.effects.values"
    expected = executed(code, ["effects"], tmp_path)["effects"]
    numbers = np.array([[read(cell) for cell in row[1:]] for row in table[1:]])
    assert numbers.size == expected.size == 480
    np.testing.assert_allclose(numbers, expected.reshape(numbers.shape), rtol=1e-4, atol=1e-5)

    sweep = started(hands, "heads by position", 128)
    expect(sweep.get_by_text(re.compile(r"[1-9]\d* of \d+ cells"))).to_be_visible()
    hands.button("Cancel", sweep).click()
    expect(sweep.get_by_text(re.compile(r"^Cancelled with \d+ of \d+ cells"))).to_be_visible()
    expect(sweep.get_by_role("progressbar")).to_have_count(0)
    hands.run(CORRUPT)  # the model is free again


def read(cell: str) -> float:
    """A number as the page writes it."""
    return float(cell.replace("−", "-")) if cell not in ("", "–") else float("nan")
