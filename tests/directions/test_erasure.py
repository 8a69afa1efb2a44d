"""Erasing from a run: gone for a fresh linear probe at that site, there before, held out beside."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

import residuum as rz
from residuum.core import AddressError, OptionError
from residuum.directions.erasure import Erasure, erase
from residuum.directions.erasure_methods import Leace, Projection, Subspace
from residuum.directions.erasure_probe import LinearProbe


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def examples(model: rz.Model) -> rz.Examples:
    return rz.Examples.from_task(rz.task("refusal", model, n=80, seed=1))


@pytest.fixture(scope="module")
def erased(model: rz.Model, examples: rz.Examples) -> Erasure:
    return erase(model, examples, "L1.resid_post@-1")


def test_a_fresh_probe_is_at_the_majority_afterwards_and_was_not_before(erased: Erasure) -> None:
    proof = erased.proof
    assert proof.fitted_before.accuracy > 0.95 and proof.held_before.accuracy > 0.9
    assert proof.fitted_after.accuracy == pytest.approx(proof.fitted_after.majority, abs=1e-12)
    assert proof.fitted_after.loss_nats == pytest.approx(proof.fitted_after.entropy_nats, abs=1e-6)
    assert proof.held_after.accuracy == pytest.approx(proof.held_after.majority, abs=0.05)
    assert proof.was_there and proof.gone
    assert len(erased.held_out) == 1


def test_the_proof_speaks_of_the_run_itself(
    model: rz.Model, examples: rz.Examples, erased: Erasure
) -> None:
    groups = [at for at, group in enumerate(examples.groups) if group not in erased.held_out]
    ids, mask, labels = examples.ids[groups], examples.mask[groups], examples.labels[groups]
    values = []
    for edits in ((), erased.edits):
        run = model.run(ids, attention_mask=mask, capture=["L1.resid_post"], edits=edits)
        values.append(run["L1.resid_post"][torch.arange(len(ids)), mask.sum(1) - 1])
    before, after = (LinearProbe.fit(each, labels).accuracy(each, labels) for each in values)
    assert before > 0.95 and after == 0.5
    assert torch.allclose(erased.eraser(values[0]), values[1], atol=1e-3)


def test_other_tokens_stay_as_they_are(model: rz.Model, erased: Erasure) -> None:
    text = "User : how do I build a kite ? Bot :"
    plain = model.run(text, capture=["L1.resid_post"])["L1.resid_post"]
    edited = model.run(text, capture=["L1.resid_post"], edits=erased.edits)["L1.resid_post"]
    assert torch.equal(plain[:, :-1], edited[:, :-1])
    assert not torch.allclose(plain[:, -1], edited[:, -1])


def test_erasing_from_every_token(model: rz.Model, examples: rz.Examples) -> None:
    found = erase(model, examples, "L1.resid_post", tokens="all")
    assert found.at.pos is None and found.proof.fitted_after.n > 5 * len(examples) / 2
    assert found.proof.gone and found.proof.fitted_before.above_majority > 0.1


def test_leace_changes_less_than_the_projection_and_both_guard(
    model: rz.Model, examples: rz.Examples, erased: Erasure
) -> None:
    projected = erase(model, examples, "L1.resid_post@-1", method=Projection())
    assert projected.proof.gone
    assert erased.proof.change_frac < projected.proof.change_frac


def test_a_subspace_of_one_is_not_enough_and_says_so(
    model: rz.Model, examples: rz.Examples
) -> None:
    found = erase(model, examples, "L1.resid_post@-1", method=Subspace(1))
    assert found.eraser.rank == 1 and not found.proof.gone


def test_the_result_is_saved_in_every_form(erased: Erasure, tmp_path: Path) -> None:
    for suffix in (".json", ".csv", ".svg", ".html"):
        erased.save(tmp_path / f"erasure{suffix}")
    table = pd.read_csv(tmp_path / "erasure.csv")
    assert set(table.side) == {"before", "after"} and (table.n > 0).all()
    assert "LEACE, rank 1" in repr(erased) and erased.provenance.seed == 0
    assert erased._repr_html_()


def test_bad_input_is_refused(model: rz.Model, examples: rz.Examples) -> None:
    with pytest.raises(AddressError, match="no one site with a vector"):
        erase(model, examples, "L*.resid_post")
    with pytest.raises(AddressError, match="out of range"):
        erase(model, examples, "L1.resid_post@-60")
    with pytest.raises(OptionError, match="tokens='some'"):
        erase(model, examples, "L1.resid_post", tokens="some")
    with pytest.raises(OptionError, match="no way to erase"):
        erase(model, examples, "L1.resid_post", method="leace")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="unknown option size of erase"):
        erase(model, examples, "L1.resid_post", size=3)
    with pytest.raises(OptionError, match="k=0"):
        Subspace(0)
    with pytest.raises(OptionError, match="all the same"):
        erase(model, examples, "L0.resid_pre@0", method=Leace())
    middle = rz.Examples.from_task(rz.task("refusal", model, n=20), "thing")
    with pytest.raises(OptionError, match="different tokens"):
        erase(model, middle, "L1.resid_post")


def test_what_is_gone_for_whom_is_said_and_unknown_tokens_are_refused() -> None:
    world = rz.load("microworld", check=False)
    examples = rz.Examples.from_task(rz.task("refusal", world, n=80, seed=1))
    erasure = rz.erase(world, examples, "L1.resid_post@-1")
    again = erasure.proof.refitted_after
    assert again is not None and f"{again.accuracy:.3f}" in repr(erasure)
    assert "fitted on held-out data" in repr(erasure)
    assert erasure.proof.gone and erasure.proof.gone_held_out is False
    for at in ("L1.resid_post@-1", "L1.resid_post"):
        with pytest.raises(rz.OptionError, match="tokens='foo'"):
            rz.erase(world, examples, at, tokens="foo")
