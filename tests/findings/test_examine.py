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
