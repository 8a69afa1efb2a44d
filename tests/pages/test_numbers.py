"""What a view's table says is what the library computes, for run B and for the difference B−A."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import numpy as np
import pytest
from page_hands import Hands
from page_server import Visit
from playwright.sync_api import Locator, expect

import residuum as rz

PROMPT = "When Mary and John went to the store , John gave a drink to"
EDIT = "L0.z[H3]"
SITES = ["pattern", "resid_pre", "resid_mid", "resid_post"]
SHOWN = ("B", "B−A")


@pytest.fixture(scope="module")
def runs(model: rz.Model) -> tuple[rz.Run, rz.Run]:
    """B with its edit, and A without."""
    edited = model.run(PROMPT, edits=[rz.Zero(EDIT)], capture=SITES)
    return edited, model.run(PROMPT, capture=SITES)


@pytest.fixture
def hands(visit: Visit) -> Iterator[Hands]:
    """A page with the prompt run and one head zeroed."""
    hands = visit()
    hands.run(PROMPT)
    hands.page.mouse.dblclick(*hands.head(0, 3))
    expect(hands.rows).to_have_count(1)
    yield hands


def numbers(table: list[list[str]]) -> np.ndarray:
    return np.array([[read(cell) for cell in row[1:]] for row in table[1:]])


def read(cell: str) -> float:
    """A number as the page writes it."""
    plain = cell.replace("−", "-").strip()
    return float(plain) if re.match(r"-?[\d.]", plain) else float("nan")


def same(table: list[list[str]], expected: np.ndarray, atol: float = 2e-5) -> None:
    found = numbers(table)
    assert found.shape == expected.shape, table[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("shown", SHOWN)
def test_attention_of_one_head(hands: Hands, runs: tuple[rz.Run, rz.Run], shown: str) -> None:
    hands.choose_head(1, 5)
    hands.show(shown)
    hands.heads.focus()
    hands.page.keyboard.press("ArrowRight")
    hands.page.keyboard.press("ArrowLeft")
    hands.page.keyboard.press("Enter")  # the head in full has the focus: its table is shown
    expect(hands.page.get_by_role("heading", name="Head 1.5", exact=True)).to_be_visible()
    panel = hands.page.get_by_role("tabpanel", name="Attention")
    b, a = (run["pattern", 1][0, 5].numpy() for run in runs)
    expected = b if shown == "B" else b - a
    expected = np.where(np.tril(np.ones_like(b)), expected, np.nan)  # no key after the query
    settled(hands, panel, expected, atol=1e-3)  # halves on their way to the page
    saved = list(csv.reader(io.StringIO(hands.saved(panel, "CSV"))))
    same(saved, expected, atol=1e-3)


@pytest.mark.parametrize("shown", SHOWN)
def test_lens(hands: Hands, model: rz.Model, runs: tuple[rz.Run, rz.Run], shown: str) -> None:
    panel = hands.view("Lens")
    hands.show(shown)
    expect(panel.get_by_role("application", name=re.compile("^Lens"))).to_be_visible()
    b, a = runs
    answers = (b if shown == "B" else a).logits[0].argmax(-1)  # type: ignore[index]
    at = range(len(answers))
    shares = [
        np.stack([lens(model, run, row)[at, answers] for row in range(model.n_layers + 1)])
        for run in runs
    ]
    expected = shares[0] if shown == "B" else shares[0] - shares[1]
    settled(hands, panel, expected)


def lens(model: rz.Model, run: rz.Run, row: int) -> np.ndarray:
    """Probabilities [pos d_vocab] that the stream would give after a number of layers."""
    stream = run["resid_pre", 0] if row == 0 else run["resid_post", row - 1]
    body = model.hf.transformer
    return model.hf.lm_head(body.ln_f(stream))[0].softmax(-1).detach().numpy()


def settled(hands: Hands, panel: Locator, expected: np.ndarray, atol: float = 2e-5) -> None:
    """The table tells these numbers when nothing loads any more."""
    table: list[list[str]] = []
    for _ in range(8):
        expect(panel.locator("[aria-busy=true]")).to_have_count(0)
        table = hands.table(panel)
        found = numbers(table)
        near = found.shape == expected.shape
        if near and np.allclose(found, expected, rtol=1e-4, atol=atol, equal_nan=True):
            break
        hands.page.wait_for_timeout(400)
    same(table, expected, atol)


@pytest.mark.parametrize("shown", ("A", *SHOWN))
def test_residual(hands: Hands, model: rz.Model, runs: tuple[rz.Run, rz.Run], shown: str) -> None:
    panel = hands.view("Residual")
    hands.show(shown)
    expect(panel.get_by_role("application").first).to_be_visible()
    if shown == "A":
        expected = added(model)
        return settled(hands, panel, expected, atol=1e-4)
    panel.get_by_role("combobox", name="What of the stream").focus()  # now its table is shown
    lengths = [
        np.stack([each.norm(dim=-1)[0].numpy() for each in streams(run, model.n_layers)])
        for run in runs
    ]
    expected = lengths[0] if shown == "B" else lengths[0] - lengths[1]
    settled(hands, panel, expected, atol=1e-4)


def added(model: rz.Model) -> np.ndarray:
    """[layer head+2]: what heads, MLP and bias add to the logit of the answer, by the library."""
    split = rz.direct_logit_attribution(model, PROMPT, answers=model.to_single_token("Mary"))
    terms = split.contributions.to_series()
    parts = [*(f"head_out[H{head}]" for head in range(model.n_heads)), "mlp_out", "b_O"]
    return np.array([[terms[f"L{layer}.{part}"] for part in parts] for layer in range(4)])


def streams(run: rz.Run, layers: int) -> list:
    """The stream after each part, in the order of the pass."""
    each = [[run["resid_mid", layer], run["resid_post", layer]] for layer in range(layers)]
    return [run["resid_pre", 0], *(one for pair in each for one in pair)]


def test_where_a_and_b_differ(hands: Hands, model: rz.Model, runs: tuple[rz.Run, rz.Run]) -> None:
    panel = hands.view("Patching")
    hands.show("B−A")
    panel.get_by_role("combobox", name="Sweep").select_option("Where A and B differ")
    expect(panel.get_by_role("application")).to_be_visible()
    after = [
        [run["resid_pre", 0], *(run["resid_post", layer] for layer in range(model.n_layers))]
        for run in runs
    ]
    expected = np.stack([(b - a)[0].norm(dim=-1).numpy() for b, a in zip(*after, strict=True)])
    settled(hands, panel, expected)
