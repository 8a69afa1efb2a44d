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
        "No better parts of their number"
    }
    assert half.status == "undecided" and half.parts is not None and half.parts.rival is not None
    assert half.parts.rival.parts == finding.components
    whole = finding.parts.together.recovered  # type: ignore[union-attr]
    assert half.parts.rival.recovered == whole
    gap = whole.value - half.parts.together.recovered.value
    assert half.parts.rival.more_recovered.value == pytest.approx(gap)
    assert "a search names L0.H1" in half.claim


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
