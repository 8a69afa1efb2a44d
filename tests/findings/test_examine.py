"""A mechanism that is stated is examined by the same rules as one that was found."""

from __future__ import annotations

from pathlib import Path

import pytest

import residuum as rz
from residuum.core import AddressError, OptionError
from residuum.findings import Finding
from residuum.runs import Model


def test_the_found_heads_examined_give_the_same_numbers(finding: Finding, model: Model) -> None:
    task = rz.Task.from_json(finding.task)
    again = rz.examine(model, task, list(finding.components), stages=())
    assert (again.origin, finding.origin) == ("given", "found")
    assert again.parts == finding.parts and again.status == finding.status
    assert again.mechanism.components == finding.components


def test_heads_that_do_nothing_are_not_supported(
    finding: Finding, model: Model, tmp_path: Path
) -> None:
    quiet = rz.examine(model, rz.Task.from_json(finding.task), ["L0.z[H7]"], stages=())
    assert quiet.status == "not supported" and quiet.components == ("L0.z[H7]",)
    assert "L0.H7" in quiet.claim
    path = quiet.save(tmp_path)
    assert Finding.load(path) == quiet
    assert rz.replay(path, model).agrees


def test_half_of_the_right_heads_are_beaten_by_what_a_search_names(
    finding: Finding, model: Model
) -> None:
    right = finding.components[:2]
    idle = ["L3.z[H0]", "L3.z[H1]"]
    half = rz.examine(model, rz.Task.from_json(finding.task), [*right, *idle], stages=())
    outcomes = {rule.name: rule.outcome for rule in half.rules if rule.decides}
    assert {name for name, outcome in outcomes.items() if outcome != "holds"} == {
        "No better parts of their number",
        "No idle part",
    }
    assert half.status == "undecided" and half.parts is not None and half.parts.rival is not None
    assert half.parts.rival.parts == finding.components
    whole = finding.parts.together.recovered  # type: ignore[union-attr]
    assert half.parts.rival.recovered == whole
    gap = whole.value - half.parts.together.recovered.value
    assert half.parts.rival.more_recovered.value == pytest.approx(gap)
    assert "a search names L0.H1" in half.claim


def test_an_idle_head_beside_the_right_one_is_named(model: Model) -> None:
    """By hand: what the two do together is what the right one does alone."""
    alone, with_idle = (
        rz.examine(model, "refusal", parts, stages=())
        for parts in (["L0.z[H2]"], ["L0.z[H2]", "L3.z[H7]"])
    )
    assert alone.status == "supported" and with_idle.status == "undecided"
    assert "L3.H7 does less than 2 %, alone and beside others" in with_idle.claim
    right, idle = with_idle.parts.named  # type: ignore[union-attr]
    one, both = (each.parts.together for each in (alone, with_idle))  # type: ignore[union-attr]
    for field, share in (("more_recovered", "recovered"), ("more_lost", "swap_drop")):
        gap = getattr(both, share).value - getattr(one, share).value
        assert getattr(idle, field).value == pytest.approx(gap, abs=1e-6)
    by_itself = both.recovered.value - idle.recovered.value
    assert right.more_recovered.value == pytest.approx(by_itself, abs=1e-6)
    assert right.lost.value == pytest.approx(one.swap_drop.value, abs=1e-6)


def test_every_head_at_once_is_counted_not_listed(model: Model) -> None:
    every = [f"L{layer}.z[H{head}]" for layer in range(4) for head in range(8)]
    found = rz.examine(model, "refusal", every, stages=())
    assert found.status == "undecided" and "and 20 more" in found.claim
    assert len(found.claim) < 1200


def test_parts_that_a_search_names_too_have_no_rival(finding: Finding, model: Model) -> None:
    assert finding.parts is not None and finding.parts.rival is None
    more = [*finding.components, "L3.z[H0]"]
    found = rz.examine(model, rz.Task.from_json(finding.task), more, stages=())
    assert found.parts is not None and found.parts.rival is None


@pytest.mark.parametrize(
    ("stated", "error", "what"),
    [
        ([], OptionError, "no part is named"),
        (["L0.z[H1]", "L0.z[H1]"], OptionError, "L0.z[H1] is named twice"),
        (["L0.resid_post"], OptionError, "L0.resid_post is neither a head nor an MLP"),
        (["L0.z[H1]@-1"], OptionError, "neither a head nor an MLP at all positions"),
        (["L9.z[H1]"], AddressError, "L9"),
        (7, OptionError, "7 is no mechanism"),
    ],
)
def test_what_is_no_mechanism_is_refused(
    model: Model, stated: object, error: type[Exception], what: str
) -> None:
    with pytest.raises(error) as caught:
        rz.examine(model, "ioi", stated)
    assert what in str(caught.value) and caught.value.mend  # type: ignore[attr-defined]


def test_no_such_stage(model: Model) -> None:
    with pytest.raises(OptionError, match="no further stage 'magic'"):
        rz.investigate(model, "ioi", stages=("magic",))
