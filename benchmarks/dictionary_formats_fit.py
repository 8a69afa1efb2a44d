"""The fit check's errors: right dictionaries refused, wrong ones let through.

Small dictionaries are trained at every place of a model, and each is hung on every place. The
bounds of ``fit/result.py`` were chosen on the sets named ``chosen``; the sets named
``judged`` differ in seed, width, L0 and text (one in the model), and say what the rule does on
dictionaries that had no part in it.

    python benchmarks/dictionary_formats_fit.py train SET... --keep FOLDER
    python benchmarks/dictionary_formats_fit.py judge SET... --keep FOLDER [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import residuum as rz
import residuum.dictionaries as rd
from residuum.core import Address
from residuum.dictionaries.fit import (
    checking as fit_check,
    measure as fit_check_measure,
    text as fit_check_text,
)
from residuum.dictionaries.fit.result import Fit
from residuum.worlds import microworld_text

HERE = Path(__file__).parent
DATA = Path(os.environ.get("RESIDUUM_TEST_DATA") or HERE.parent.parent / "shared" / "data")
PARTS = ("resid_pre", "ln1", "attn_out", "resid_mid", "ln2", "mlp_out", "resid_post")
KINDS = {"topk": rd.TopK, "batchtopk": rd.BatchTopK}


@dataclass(frozen=True)
class Set:
    """Dictionaries of one model, trained alike.

    Attributes:
        model: ``"microworld"``, or a folder of the test data.
        seed, latents, active, steps: of the trainings; batches of 512.
        train_text, check_text: where in the text each begins, or its seed.
    """

    model: str
    seed: int
    latents: int
    active: int
    steps: int
    train_text: int
    check_text: int


SETS = {
    "chosen": Set("microworld", 0, 256, 8, 250, 5, 77),
    "judged": Set("microworld", 1, 384, 12, 250, 6, 78),
    "judged_stories": Set("stories260K", 2, 320, 16, 250, 0, 800),
}


def model_of(given: Set) -> Any:
    """The model, unchecked."""
    name = given.model if given.model == "microworld" else str(DATA / given.model)
    return rz.load(name, check=False)


def texts(given: Set, start: int, n: int) -> list[str]:
    """Texts: of microworld by seed, of TinyStories by place (cut to 900 letters)."""
    if given.model == "microworld":
        return list(islice(microworld_text(start), n))
    whole = json.loads((DATA / "text" / "tinystories_1000.json").read_text())
    return [each[:900] for each in whole[start : start + n]]


def places(model: Any) -> list[Address]:
    """Every place that holds one vector of d_model numbers, by the usual names."""
    layers = range(model.dims.n_layers)
    names = ["embed", *(f"L{layer}.{part}" for layer in layers for part in PARTS), "ln_final"]
    return [Address.parse(each) for each in names]


def train(name: str, keep: Path) -> None:
    """Train a set, and save what is not there yet."""
    given = SETS[name]
    model = model_of(given)
    sites = places(model)
    many = 4000 if given.model == "microworld" else 500
    rows = [model.to_tokens(each)[0].tolist() for each in texts(given, given.train_text, many)]
    held = fit_check_text.held_at(model, rows, sites)
    print(f"{name}: {len(held.rows)} rows at {len(sites)} places", flush=True)
    for at in sites:
        plans = {
            kind: rd.CoderPlan(
                reads=(at,), width=model.dims.d_model, n_latents=given.latents,
                activation=made(given.active),
            )
            for kind, made in KINDS.items()
        }  # fmt: skip
        if all((keep / name / f"{at}-{kind}").exists() for kind in plans):
            continue
        trained = rd.train_dictionaries(
            rd.TensorSource(held.values[at], str(at), seed=given.seed), plans,
            samples=given.steps * 512, batch_size=512, seed=given.seed,
        )  # fmt: skip
        for kind, training in trained.items():
            training.dictionary.save(keep / name / f"{at}-{kind}")
            last = training.curve.last()
            print(at, kind, {n: round(float(last[n]), 3) for n in ("l0", "explained_variance")},
                  flush=True)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One set, kind and text.

    Attributes:
        declared: whether the figures of the training were held against it.
        right, refused: places where it belongs, and how many of them were refused.
        wrong, passed: places where it does not, and how many let it through.
        which: the first ones of both.
    """

    set: str
    kind: str
    text: str
    declared: bool
    right: int
    refused: int
    wrong: int
    passed: int
    n_tokens: int
    which: tuple[str, ...]


def judge(
    name: str, keep: Path, parts: list[str], n_rows: int, on: list[str], kinds: list[str]
) -> Iterator[Row]:
    """The rule over every dictionary and place of a set, on two texts."""
    given = SETS[name]
    model = model_of(given)
    sites = [at for at in places(model) if at.name in parts]
    check = [each[:300] for each in texts(given, given.check_text, 128)]
    for label in on:
        own = label == "own"
        every = fit_check_text.own_text(model) if own else fit_check_text.text_of(model, check)
        rows = every[:n_rows]
        for kind in kinds:
            dictionaries = {
                at: rd.read_dictionary(keep / name / f"{at}-{kind}") for at in sites
            }  # fmt: skip
            yield from _rows(name, kind, label, model, rows, dictionaries)


def _rows(name: str, kind: str, label: str, model: Any, rows: Any, trained: Any) -> Iterator[Row]:
    sites = list(trained)
    held = fit_check_text.held_at(model, rows, sites)
    draws = fit_check_measure.drawings(held.n_rows, 0)
    aside = {at: fit_check_measure.turned(held.values[at], 0) for at in sites}
    twins = {at: {b for b in sites if torch.equal(held.values[at], held.values[b])} for at in sites}
    counts = {declared: Counter() for declared in (False, True)}
    which: dict[bool, list[str]] = {False: [], True: []}
    for home, dictionary in trained.items():
        fits = _fits(model, dictionary, held, draws, aside, twins, label == "own")
        for at, fit in fits.items():
            for declared in (False, True):
                one = fit if declared else replace(fit, declared={})
                right = at in twins[home]
                counts[declared]["right" if right else "wrong"] += 1
                if right and not one.fits:
                    counts[declared]["refused"] += 1
                    which[declared].insert(0, f"{home} refused: {one.reasons}")
                elif not right and one.fits:
                    counts[declared]["passed"] += 1
                    left = 1 - one.here.explained[0]
                    which[declared].append(f"{home} on {at}: unexplained {left:.2f}")
    for declared, count in counts.items():
        yield Row(
            name, kind, label, declared, count["right"], count["refused"], count["wrong"],
            count["passed"], len(held.rows), tuple(which[declared][:40]),
        )  # fmt: skip


def _fits(
    model: Any, dictionary: Any, held: Any, draws: Tensor, aside: Any, twins: Any, own: bool
) -> dict[Address, Fit]:
    """What ``fit_dictionary`` finds at each place, each measurement taken once."""

    def sums(x: Tensor) -> Any:
        return fit_check_measure.measured(dictionary, x, x, held.rows, held.n_rows)

    here = {at: sums(held.values[at]) for at in twins}
    figures = {at: fit_check._measured(each, draws) for at, each in here.items()}
    return {
        at: Fit(
            (at,), (at,), figures[at], fit_check._measured(sums(aside[at]), draws),
            {
                str(b): (figures[b], fit_check._ratio(here[at], here[b], draws))
                for b in twins if b not in twins[at]
            },
            fit_check._figures(dictionary.declared), dictionary.n_latents, len(held.rows),
            held.left_out, own, model.provenance(),
        )
        for at in twins
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("task", choices=("train", "judge"))
    options.add_argument("sets", nargs="+", choices=tuple(SETS))
    options.add_argument("--keep", type=Path, required=True)
    options.add_argument("--parts", nargs="+", default=["embed", *PARTS, "ln_final"])
    options.add_argument("--on", nargs="+", default=["given", "own"])
    options.add_argument("--kinds", nargs="+", default=list(KINDS))
    options.add_argument("--rows", type=int, default=128, help="rows of text judged on")
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in given.sets:
        if given.task == "train":
            train(name, given.keep)
            continue
        for row in judge(name, given.keep, given.parts, given.rows, given.on, given.kinds):
            rows.append(asdict(row))
            print(
                f"{row.set:15} {row.kind:10} {row.text:6} declared {row.declared!s:5} right "
                f"refused {row.refused} of {row.right}, wrong passed {row.passed} of {row.wrong}",
                flush=True,
            )
    if given.out is not None:
        given.out.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
