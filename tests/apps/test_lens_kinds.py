"""``residuum lens --kind``: the tuned lens and direct logit attribution from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import residuum as rz
from residuum.lenses import TunedLens, direct_logit_attribution

Cli = Callable[..., Any]
FRANCE = "The capital of France is"


def test_attribution_of_a_prompt(cli: Cli) -> None:
    asked = ("lens", "microworld", FRANCE, "--kind", "dla", "--answer", "Paris", "--wrong", "Rome")
    done = cli(*asked, "--json")
    model = rz.load("microworld", check=False)
    found = direct_logit_attribution(model, FRANCE, answers="Paris", wrong="Rome")
    assert done.json["terms"] == list(found.terms)
    assert done.json["contributions"] == pytest.approx(found.contributions.values.tolist())
    shown = cli(*asked, "--neurons", "--top", "3")
    assert found.top(1)[0].at in shown.out and "Largest neurons" in shown.out
    assert "Does not show: effects through later parts" in " ".join(shown.out.split())


@pytest.mark.parametrize("picture", ["parts", "bars", "neurons", "sources"])
def test_attribution_of_a_task_is_drawn(cli: Cli, tmp_path: Path, picture: str) -> None:
    out = tmp_path / "dla.html"
    done = cli("lens", "microworld", "--kind", "dla", "--task", "ioi", "--n", "6", "--out",
               str(out), "--picture", picture)  # fmt: skip
    assert done.code == 0 and "Sums by layer" in done.out and "<html" in out.read_text()
    assert max(map(len, done.out.splitlines())) <= 100 + len(str(out))


def test_a_lens_is_trained_kept_and_read(cli: Cli, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("The capital of Spain is Madrid .\n\nMary went to the store .\n")
    folder = str(tmp_path / "lens")
    tuned = ("lens", "microworld", "--kind", "tuned", "--lens", folder)
    made = cli(*tuned, "--train", str(texts), "--steps", "3", "--seed", "4")
    assert made.code == 0 and "4 translators × 128" in made.out
    assert TunedLens.load(folder).provenance.seed == 4
    shown = cli("lens", "microworld", FRANCE, "--kind", "tuned", "--lens", folder)
    assert "translator" in shown.out and "Paris" in shown.out
    data = cli("lens", "microworld", FRANCE, "--kind", "tuned", "--lens", folder, "--json").json
    assert data["lens"] == "tuned"
    record = Path(folder) / "tuned_lens.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"unembedding": "0" * 64}))
    foreign = cli("lens", "microworld", FRANCE, "--kind", "tuned", "--lens", folder)
    foreign.refused("trained on another model", "train one for this model")


def test_a_part_is_read(cli: Cli) -> None:
    done = cli("lens", "microworld", FRANCE, "--site", "L3.head_out[H3]")
    assert done.code == 0 and "L3H3" in done.out and "all that is unembedded" in done.out


@pytest.mark.parametrize(
    ("arguments", "what", "mend"),
    [
        ((), "needs a prompt", "residuum lens MODEL"),
        ((FRANCE, "--answer", "Paris"), "--answer does nothing with --kind logit", "--kind dla"),
        ((FRANCE, "--kind", "dla"), "needs --answer", "--answer WORD"),
        ((FRANCE, "--kind", "dla", "--answer", "Paris", "--task", "ioi"), "either", "one of them"),
        (("--kind", "dla", "--task", "ioi", "--answer", "Paris"), "own answers", "--task alone"),
        ((FRANCE, "--kind", "dla", "--answer", "Paris", "--site", "z"), "--site does nothing", ""),
        ((FRANCE, "--kind", "tuned"), "needs a trained lens", "--train FILE"),
        ((FRANCE, "--kind", "tuned", "--lens", "/nowhere/x"), "no tuned lens", "TunedLens.save"),
        ((FRANCE, "--kind", "tuned", "--lens", "x", "--steps", "3"), "goes with --train", "add"),
        ((FRANCE, "--site", "L0.head_out[H9]"), "H9", ""),
        ((FRANCE, "--site", "pattern"), "does not read 'pattern'", "resid_post"),
    ],
)  # fmt: skip
def test_bad_input(cli: Cli, arguments: tuple[str, ...], what: str, mend: str) -> None:
    cli("lens", "microworld", *arguments).refused(what, mend)


def test_a_corpus_shorter_than_the_context(cli: Cli, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("Mary went to the store .\n")
    done = cli("lens", "microworld", "--kind", "tuned", "--lens", str(tmp_path / "lens"),
               "--train", str(texts), "--context", "32")  # fmt: skip
    done.refused("fewer than the context of 32", "give more text")
