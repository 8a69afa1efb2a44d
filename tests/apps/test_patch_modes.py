"""``residuum patch`` in every mode: what it shows is what the library gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import residuum as rz
from residuum.apps.cli.path_view import knockout_words

Cli = Callable[..., Any]
IOI = ("patch", "microworld", "--task", "ioi", "--n", "8")


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=True)


@pytest.fixture(scope="module")
def task(model: rz.Model) -> rz.Task:
    return rz.task("ioi", model, n=8, seed=0)


def close(told: Any, effects: Any) -> bool:
    found = np.array(told, dtype=float)
    return found.shape == effects.shape and np.allclose(found, effects, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("edit", ["zero", "mean", "resample"])
def test_ablations(cli: Cli, model: rz.Model, task: rz.Task, edit: str) -> None:
    told = cli(*IOI, "--edit", edit, "--json").json
    assert told["kind"] == edit
    assert close(told["effects"], rz.ablate(model, task, how=edit).effects.values)
    shown = cli(*IOI, "--edit", edit)
    assert shown.code == 0 and "what is left of the distance" in " ".join(shown.out.split())


def test_both_directions(cli: Cli, model: rz.Model, task: rz.Task) -> None:
    expected = rz.patch(model, task, direction="noise").effects.values
    for flags in (("--edit", "noise"), ("--direction", "noise"), ("--edit", "noise") * 2):
        told = cli(*IOI, *flags, "--json").json
        assert told["kind"] == "noise" and close(told["effects"], expected)
    assert cli(*IOI, "--json").json["kind"] == "denoise"


def test_only(cli: Cli, model: rz.Model, task: rz.Task) -> None:
    told = cli(*IOI, "--only", "layer=0,2", "--only", "head=1:4", "--json").json
    assert told["coords"] == {"layer": [0, 2], "head": [1, 2, 3]}
    whole = rz.patch(model, task).effects
    assert close(told["effects"], whole.sel(layer=[0, 2], head=[1, 2, 3]).values)


@pytest.mark.parametrize(("method", "engine"), [("attribution", "attribution"), ("ig", "integrat")])
def test_approximations_say_so(cli: Cli, method: str, engine: str) -> None:
    told = cli(*IOI, "--site", "mlp_out", "--method", method, "--json").json
    assert told["engine"].startswith(engine) and told["approximation"]["checked"]
    assert "Not exact: " in cli(*IOI, "--site", "mlp_out", "--method", method).out
    assert cli(*IOI, "--only", "layer=0", "--method", "exact", "--json").json["engine"] == "forked"


def test_control_engine_jobs_memory(cli: Cli) -> None:
    layers = (*IOI, "--site", "mlp_out", "--json")
    plain = cli(*layers).json
    assert plain["control"] is None and plain["engine"] == "forked"
    control = cli(*layers, "--control", "2").json["control"]
    assert len(control) == 4 and all(each > 0 for each in control)
    naive = cli(*layers, "--engine", "naive", "--max-memory", "1 GB").json
    assert naive["engine"] == "naive" and naive["passes"] == 6
    assert close(naive["effects"], np.array(plain["effects"]))
    assert close(cli(*layers, "--jobs", "2").json["effects"], np.array(plain["effects"]))


def test_neurons_and_patterns(cli: Cli) -> None:
    flags = ("--site", "mlp_act", "--by", "layer,neuron", "--only", "layer=3")
    assert np.array(cli(*IOI, *flags, "--json").json["effects"]).shape == (1, 512)
    shown = cli(*IOI, *flags)
    assert shown.code == 0 and "strongest of each row" in " ".join(shown.out.split())


def test_knock_out_chooses_on_one_half(cli: Cli, model: rz.Model, task: rz.Task) -> None:
    told = cli(*IOI, "--edit", "mean", "--knock-out", "3", "--json").json
    first, second = task.subset(range(4)), task.subset(range(4, 8))
    sweep = rz.ablate(model, first)
    expected = rz.knock_out(model, second, sweep, 3)
    assert told["knock_out"]["cells"] == list(expected.cells)
    assert close(told["knock_out"]["joint"], expected.joint)
    assert told["sweep"]["provenance"]["task_hash"] == first.task_hash
    assert told["knock_out"]["provenance"]["task_hash"] == second.task_hash
    shown = cli(*IOI, "--edit", "mean", "--knock-out", "3")
    text = " ".join(shown.out.split())
    assert "Chosen on pairs 1 to 4, taken out of the clean prompts of pairs 5 to 8" in text
    assert f"Together {expected.together:+.2f} logits" in text and "20 random sets of 3" in text
    assert all(cell in shown.out for cell in expected.cells)


def test_paths(cli: Cli, model: rz.Model, task: rz.Task) -> None:
    ends = ("--from", "L0.z[H*]", "--to", "logits", "L3.q_in[H3]+L3.q_in[H7]")
    group = ("L3.q_in[H3]", "L3.q_in[H7]")
    table = rz.path_patch(model, task, "L0.z[H*]", ["logits", group], direction="noise")
    told = cli(*IOI, *ends, "--edit", "noise", "--json").json
    assert told["kind"] == "path_table" and told["direction"] == "noise"
    assert close(told["effects"], table.effects.values)
    through = cli(*IOI, *ends, "--via", "L*.mlp_out", "--json").json
    assert through["via"] and not close(through["effects"], table.effects.values)
    shown = cli(*IOI, *ends)
    assert shown.code == 0 and table.top(1)[0].sender in shown.out


@pytest.mark.parametrize(
    "flags", [("--edit", "zero", "--knock-out", "2"), ("--from", "embed", "--to", "L0.v_in")]
)
@pytest.mark.parametrize("suffix", ["json", "csv", "svg"])
def test_out(cli: Cli, tmp_path: Path, flags: tuple[str, ...], suffix: str) -> None:
    out = tmp_path / f"found.{suffix}"
    assert cli(*IOI, *flags, "--out", str(out)).code == 0
    text = out.read_text()
    assert "L0.v_in[H1]" in text or "L0H1.v" in text or "knock" in text.lower() or "alone" in text


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize(
    "flags",
    [
        ("--edit", "mean", "--knock-out", "4"),
        ("--from", "embed"),
        ("--from", "L0.z", "--to", "L3.q_in[H3]+L3.q_in[H7]", "logits"),
        ("--site", "mlp_out", "--by", "layer", "--control", "1"),
        ("--site", "mlp_act", "--by", "layer,neuron", "--method", "attribution"),
    ],
    ids=" ".join,
)
def test_everything_fits(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int, flags: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = cli(*IOI, *flags)
    assert done.code == 0 and max(map(len, done.out.splitlines())) <= columns


@pytest.mark.parametrize(
    ("flags", "what", "mend"),
    [
        (("--via", "L*.mlp_out"), "--via does nothing without --from or --to", "leave"),
        (("--from", "embed", "--site", "z"), "--site does nothing with --from", "leave"),
        (("--to", "logits", "--jobs", "2", "--keep", "x"), "--jobs, --keep do nothing", "leave"),
        (("--to", "logits", "--knock-out", "2", "--edit", "mean"), "--knock-out does no", "leave"),
        (("--to", "logits", "--edit", "mean"), "--edit mean does not go with --from", "denoise"),
        (("--knock-out", "3"), "--knock-out takes cells out, --edit denoise", "zero, mean or"),
        (("--knock-out", "3", "--edit", "noise"), "--edit noise does not", "--edit zero"),
        (("--knock-out", "3", "--edit", "mean", "--n", "1"), "two pairs at least", "--n"),
        (("--knock-out", "3", "--edit", "mean", "--site", "pattern", "--by", "layer,head,k_pos"),
         "not single places of pattern", "k_pos"),
        (("--knock-out", "0", "--edit", "mean"), "invalid whole number from 1", "--help"),
        (("--edit", "noise", "--direction", "denoise"), "contradict each other", "--edit alone"),
        (("--method", "ig", "--edit", "zero"), "--method ig predicts patches", "denoise or noise"),
        (("--method", "attribution", "--jobs", "2", "--control", "1"),
         "--control, --jobs do nothing with --method attribution", "leave"),
        (("--method", "exakt",), "--method cannot be 'exakt'", "did you mean exact?"),
        (("--edit", "means"), "--edit cannot be 'means'", "did you mean mean?"),
        (("--only", "layer"), "cannot read --only 'layer'", "layer=3,4"),
        (("--only", "layer=a"), "cannot read --only 'layer=a'", "layer=3,4"),
        (("--only", "layer=1", "--only", "layer=2"), "--only names layer twice", "once"),
        (("--only", "layer=9"), "does not fit 4 indices", "0 to 3"),
        (("--only", "pos=1"), "does not go through", "layer, head"),
        (("--max-memory", "much"), "no amount of memory", "2 GB"),
        (("--from", "L9.z"), "layer 9 is out of range", "L0 to L3"),
        (("--from", "L0.resid_post"), "is no sender", "embed"),
        (("--from", "L3.z", "--to", "L0.q_in"), "no sender lies before a receiver", "earlier"),
        (("--site", "pattern", "--by", "layer,head", "--control", "2"), "needs vectors", "control"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_refusals(cli: Cli, flags: tuple[str, ...], what: str, mend: str) -> None:
    done = cli(*IOI, *flags)
    done.refused(what, mend)
    assert not done.out


def test_a_knock_out_says_what_its_backup_means(model: rz.Model, task: rz.Task) -> None:
    out = rz.knock_out(model, task, ["L0.z[H1]", "L0.z[H5]"], controls=3)
    apart = np.abs(out.singles.sum(axis=0)) + 1.0 + np.arange(8)

    def said(joint: np.ndarray, **more: Any) -> str:
        return " ".join(knockout_words(replace(out, joint=joint[None], clusters=(), **more)))

    alone = out.singles.sum(axis=0)
    assert "they stand in for each other" in said(alone - apart)
    assert "they overlap" in said(alone + apart)
    wide = np.where(np.arange(8) % 2, apart, -apart)
    assert "they " not in said(alone + wide - wide.mean())
    assert "no other components" in said(alone, random_sets=(), random_joint=np.empty((0, 8)))


def test_the_distance_is_signed_towards_clean(cli: Cli) -> None:
    done = cli(*IOI, "--metric", "loss_nats", "--site", "mlp_out")
    distance = re.search(r"from corrupt to clean, (-?[\d.]+) nats", " ".join(done.out.split()))
    told = cli(*IOI, "--metric", "loss_nats", "--site", "mlp_out", "--json").json
    assert distance is not None
    assert float(distance[1]) == pytest.approx(
        np.mean(told["corrupt"]) - np.mean(told["clean"]), abs=0.01
    )
    assert float(distance[1]) > 1
