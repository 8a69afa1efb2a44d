"""Wrong arguments of sweeps say what is wrong; odd but clear ones are taken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "families"))
from configs import build

import residuum as rz
from residuum.runs.sweeping.grid import make_grid


@cache
def model(name: str = "gpt2") -> rz.Model:
    return rz.load(build(name), check=False)


def task(rows: int = 4, *, repeat: int = 0) -> rz.Task:
    """Pairs that differ at the third token; the first ``repeat`` of them stand twice."""
    clean = torch.randint(4, 100, (rows, 6), generator=torch.Generator().manual_seed(3))
    corrupt = clean.clone()
    corrupt[:, 2] = 4 + (clean[:, 2] + 3) % 96
    answers, wrong = torch.arange(rows) % 3 + 1, torch.arange(rows) % 3 + 2
    each = [torch.cat([ids, ids[:repeat]]) for ids in (clean, corrupt, answers, wrong)]
    return rz.Task.from_pairs(clean=each[0], corrupt=each[1], answers=each[2], wrong=each[3])


@cache
def sweep() -> Any:
    return rz.patch(model(), task())


@cache
def table() -> Any:
    return rz.path_patch(model(), task(), "embed", ["logits"])


def patch(**options: Any) -> rz.Sweep:
    return rz.patch(model(), task(), **options)


def tabled(**options: Any) -> rz.PathTable:
    return rz.path_patch(model(), task(), "embed", ["logits"], **options)


def wrong(value: object) -> Any:
    """A value of a type that is not allowed."""
    return value


class Listener:
    """Hears of progress."""

    def start(self, stage: str, total: int) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def finish(self) -> None: ...


METRICS = "use one of: logit_diff, prob, prob_diff, accuracy, loss_nats"
FOLDER = "give the folder's path, as text or a Path, such as keep='sweeps'"
TOLD = "leave it out, or give an object with start(), advance() and finish()"
ONLY = "give axes with their indices, such as only={'layer': [3, 4]}"
LAYERS = "give different whole numbers from 0 to 2, or from -3 to -1 counted from the end"


@pytest.mark.parametrize(
    ("call", "what", "mend"),
    [
        (lambda: patch(only=[1]), "only=[1] names no axis", ONLY),
        (lambda: patch(only="layer=3"), "only='layer=3' names no axis", ONLY),
        (
            lambda: patch(only={3: [1]}),
            "only names 3, which the sweep does not go through",
            "axes are: layer, head",
        ),
        *[
            (
                lambda given=given: patch(only={"layer": given}),
                f"only={{'layer': {said}}} does not fit 3 indices",
                LAYERS,
            )
            for given, said in [
                (3, "[3]"),
                ([0, -3], "[0, -3]"),
                ([], "[]"),
                ([0.0], "[0.0]"),
                (True, "[True]"),
                (torch.tensor([True]), "[tensor(True)]"),
                ("12", "['1', '2']"),
                (np.array([[1]]), "[array([[1]])]"),
                (np.array([3, 1]), "[3, 1]"),
            ]
        ],
        (lambda: patch(by=3), "cannot sweep by 3", "give names of axes, such as by=(…"),
        (lambda: patch(by={"layer"}), "cannot sweep by {'layer'}", "give names of axes, such as …"),
        *[
            (lambda keep=keep: patch(keep=keep), f"keep={keep!r} names no folder", FOLDER)
            for keep in (3, [], True, "", "a\0b", b"folder")
        ],
        (lambda: tabled(keep=""), "keep='' names no folder", FOLDER),
        (lambda: patch(progress=3), "progress=3 cannot be told of progress", TOLD),
        (lambda: patch(progress=None), "progress=None cannot be told of progress", TOLD),
        (
            lambda: rz.knock_out(model(), task(), ["L0.z[H0]"], progress=wrong(3)),
            "progress=3 cannot be told of progress",
            TOLD,
        ),
        (
            lambda: sweep().statistics(["a"] * 6),
            "unknown cluster ['a', 'a', 'a', 'a', 'a', 'a']",
            "use 'template' or 'example'",
        ),
        (lambda: sweep().statistics(level=[0.9]), "level=[0.9] is no number", "give one number"),
        (lambda: table().statistics(alpha="x"), "alpha='x' is no number", "give one number"),
        (lambda: sweep().figure(title=3), "title=3 is no text", "give a text"),
        (lambda: table().figure(3), "title=3 is no text", "give a text"),
        (lambda: patch(metric="kl_bits"), "kl_bits has no sign towards clean", METRICS),
        (lambda: tabled(metric="kl_bits"), "kl_bits has no sign towards clean", METRICS),
        (
            lambda: tabled(via=[()]),
            "via holds (), and has no groups",
            "give each address by itself",
        ),
        (lambda: patch(metric=["prob"]), "no metric ['prob']", "one of: logit_diff, prob, …"),
        (
            lambda: rz.MeanAblation(by_position=wrong(3)),
            "by_position=3 is no switch",
            "give True or False",
        ),
        (
            lambda: rz.ablate(
                model(), task(), how=rz.DirectionAblation(torch.ones(8, dtype=torch.complex64))
            ),
            "a direction of complex numbers (torch.complex64)",
            "give its real part, or both parts as two rows",
        ),
        (
            lambda: rz.patch(model("mixtral"), task(), "mlp_act", ("layer",)),
            "layer 0 of this model has no mlp_act: a mixture of experts has one for each expert, "
            "which is no site",
            "sweep another site, such as …",
        ),
    ],
)
def test_wrong_arguments_are_refused(call: Callable[[], Any], what: str, mend: str) -> None:
    with pytest.raises(rz.ResiduumError) as caught:
        call()
    assert caught.value.what == what
    found = caught.value.mend or ""
    assert found.startswith(mend[:-1]) if mend.endswith("…") else found == mend


def test_the_unnamed_folder_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rz.OptionError):
        patch(keep="")
    assert not list(tmp_path.iterdir())
    patch(keep=".")
    assert [path.suffix for path in tmp_path.iterdir()] == [".cells"]


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.svg"])
def test_a_place_that_takes_no_file_is_a_store_error(name: str) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc")
    knocked = rz.knock_out(model(), task(), ["L0.z[H0]"], controls=0)
    for result in (sweep(), table(), knocked):
        with pytest.raises(rz.StoreError) as caught:
            result.save(f"/proc/{name}")
        assert caught.value.what.startswith(f"cannot write /proc/{name}: ")
        assert caught.value.mend == "give a folder that can be written to and has room"
    with pytest.raises(rz.StoreError, match="is no path"):
        sweep().save("a\0b.csv")


@pytest.mark.parametrize(
    "given",
    [
        [2, 0],
        (2, 0),
        np.array([2, 0]),
        torch.tensor([2, 0]),
        [np.int64(2), torch.tensor(0)],
        (i for i in (2, 0)),
        [-1, -3],
    ],
)
def test_whole_numbers_of_any_kind_choose_cells(given: Any) -> None:
    only: dict[str, Any] = {"layer": given, "head": np.int32(1)}
    grid = make_grid(model(), task(), "z", ("layer", "head"), only)
    assert grid.coords == ((2, 0), (1,))
    assert all(type(i) is int for axis in grid.coords for i in axis)


@pytest.mark.parametrize(
    "by",
    [["layer", "head"], np.array(["layer", "head"]), (each for each in ("layer", "head"))],
)
def test_axes_come_in_any_order_that_is_one(by: Any) -> None:
    found = patch(by=by)
    assert found.effects.dims == ("layer", "head")
    assert [type(dim) for dim in found.effects.dims] == [str, str]
    assert np.array_equal(found.effects, sweep().effects)


def test_a_listener_of_ones_own_is_heard() -> None:
    assert np.array_equal(patch(progress=Listener()).effects, sweep().effects)


def test_a_sweep_of_another_model_is_not_knocked_out_by() -> None:
    other = rz.load("microworld", check=False)
    foreign = rz.ablate(other, rz.task("ioi", other, n=4))
    with pytest.raises(rz.OptionError) as caught:
        rz.knock_out(model(), task(), foreign)
    assert caught.value.what == (
        f"the sweep was made on other weights ({other.name}) than this model's"
    )
    assert caught.value.mend == "sweep this model, or give addresses"
    again = rz.load("microworld", check=False)
    assert len(rz.knock_out(again, rz.task("ioi", again, n=4), foreign, controls=0).cells) > 0


def test_fewer_helpful_cells_than_asked_for_are_told(tmp_path: Path) -> None:
    helpful = int((sweep().effects.values > 0).sum())
    assert 1 < helpful < sweep().effects.size
    out = rz.knock_out(model(), task(), sweep(), k=sweep().effects.size, controls=0)
    assert len(out.cells) == helpful
    said = f"k={sweep().effects.size} was asked, {helpful} cells help the answer"
    assert out.warnings == (said,)
    assert out.to_json()["warnings"] == [said]
    assert rz.knock_out(model(), task(), sweep(), k=helpful, controls=0).warnings == ()
    assert len(rz.knock_out(model(), task(), sweep(), controls=0).cells) == min(5, helpful)


REPEATED = "they are no independent examples"


@pytest.mark.parametrize(
    ("rows", "repeat", "said"),
    [
        (4, 0, ""),
        (5, 1, f"2 of 6 pairs are the same pair: {REPEATED}"),
        (3, 2, f"4 of 5 pairs stand in the task more than once: {REPEATED}"),
        (1, 0, "one pair is no sample: no effect has an interval, and nothing can be shown"),
    ],
)
def test_pairs_that_are_no_sample_are_told(rows: int, repeat: int, said: str) -> None:
    pairs = task(rows, repeat=repeat)
    results = (
        rz.patch(model(), pairs, by=("layer",)),
        rz.ablate(model(), pairs, by=("layer",)),
        rz.path_patch(model(), pairs, "embed", ["logits"]),
        rz.knock_out(model(), pairs, ["L0.z[H0]"], controls=0),
    )
    for result in results:
        told = [text for text in result.warnings if REPEATED in text or "one pair" in text]
        assert told == [said] * bool(said)
    if rows == 1:
        sure = results[0].statistics()
        assert np.isnan(sure.low).all()
        assert sure.count("shown") == 0


def test_a_mixture_with_dense_layers_says_which() -> None:
    mixed = model("qwen3_moe")
    with pytest.raises(rz.AddressError) as caught:
        rz.patch(mixed, task(), "mlp_act", ("layer",))
    assert caught.value.what.startswith("layer 0 of this model has no mlp_act: a mixture of ")
    assert caught.value.mend == "sweep the layers that have it: only={'layer': [1]}"
    dense = rz.patch(mixed, task(), "mlp_act", ("layer",), only={"layer": [1]})
    assert float(np.abs(dense.effects).max()) > 0


@pytest.mark.parametrize(("rows", "said"), [(1, "1 pair of 6"), (2, "2 pairs of 6")])
def test_one_pair_is_no_pairs(rows: int, said: str) -> None:
    assert f"task: {said} tokens" in task(rows).describe()


def test_prompts_without_tokens_are_called_empty() -> None:
    none = torch.zeros((2, 0), dtype=torch.long)
    with pytest.raises(rz.TaskError) as caught:
        rz.Task.from_pairs(clean=none, corrupt=none, answers=[1, 2])
    assert caught.value.what == "the prompts are empty"
    assert caught.value.mend == "give each prompt at least one token"


@pytest.mark.parametrize(("broken", "said"), [(1, "1 example"), (2, "2 examples")])
def test_what_is_not_finite_is_counted(broken: int, said: str) -> None:
    logits = torch.zeros(4, 101)
    logits[:broken] = float("nan")
    with pytest.raises(rz.TaskError) as caught:
        rz.runs.metrics.METRICS["prob"](logits, task())
    assert caught.value.what == f"prob is NaN or infinite on {said}"
