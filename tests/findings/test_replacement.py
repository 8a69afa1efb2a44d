"""Random sets of other parts: as many as are possible, none twice, none with a named part."""

from __future__ import annotations

import pytest

from residuum.findings.chain.replacement import random_parts
from residuum.runs import Model


@pytest.mark.parametrize(
    ("parts", "possible"),
    [
        (["L0.z[H1]", "L0.z[H5]"], 20),
        (["L0.mlp_out"], 3),
        (["L0.z[H0]", "L0.mlp_out"], 20),
        (["L0.mlp_out", "L1.mlp_out", "L2.mlp_out"], 0),
    ],
)
def test_kinds_are_drawn_together(model: Model, parts: list[str], possible: int) -> None:
    """A head beside an MLP leaves 21 and more sets, though there are three other MLPs only."""
    drawn = random_parts(model, parts, 20, seed=0)
    assert len(drawn) == possible == len({frozenset(each) for each in drawn})
    for each in drawn:
        assert not set(each) & set(parts)
        assert sum(".z[" in at for at in each) == sum(".z[" in at for at in parts)
