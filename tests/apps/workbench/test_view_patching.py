"""The patching view shows where two runs differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from view_looks import PROMPT, assert_equal, copied, looked, microworld, some_ids, tiny

from residuum.apps.workbench.views import all_views
from residuum.core import OptionError

OTHER = "When Mary and John went to the store , Mary gave a drink to"
GRIDS = (["layer", "pos"], ["layer", "head"], ["layer", "head", "pos"])


def test_differences_are_lengths_of_the_streams_difference() -> None:
    found, look, _ = looked("patching", microworld(), PROMPT, less=OTHER)
    assert look.minus is not None
    shown = found.arrays["difference"]
    assert found.meta.rows == ["embed", "L0", "L1", "L2", "L3"]
    assert found.meta.first == 10 and found.meta.differ == [10]
    assert (shown[:, :10] == 0).all() and (shown[1:, 10:] > 0).all()
    for layer in range(4):
        between = look.run["resid_post", layer] - look.minus["resid_post", layer]
        assert np.allclose(shown[1 + layer], between[0].norm(dim=-1).numpy(), rtol=1e-6)


def test_heads_differ_by_what_they_gathered() -> None:
    found, look, _ = looked("patching", microworld(), PROMPT, less=OTHER, by=["layer", "head"])
    assert look.minus is not None
    between = (look.run["z", 2] - look.minus["z", 2])[0]
    expected = between.square().sum((0, 2)).sqrt().numpy()
    assert np.allclose(found.arrays["difference"][2], expected, rtol=1e-5)


@pytest.mark.parametrize("by", GRIDS)
def test_python_makes_the_same_array(by: list[str]) -> None:
    found, look, asked = looked("patching", microworld(), PROMPT, less=OTHER, by=by)
    assert_equal(found, copied("patching", look, asked))
    ids, other = some_ids(seed=1), some_ids(seed=2)
    found, look, asked = looked("patching", tiny("gpt_neox"), ids, less=other, by=by)
    assert_equal(found, copied("patching", look, asked))


def test_one_run_alone_is_refused() -> None:
    with pytest.raises(OptionError, match="compares two runs"):
        looked("patching", microworld(), PROMPT)
    view: Any = all_views()["patching"]
    with pytest.raises(OptionError, match="compares two runs"):
        view.python(view.Params(), False)


def test_prompts_of_two_lengths_are_refused() -> None:
    with pytest.raises(OptionError, match="a prompt of 15 tokens less one of 7"):
        looked("patching", microworld(), PROMPT, less="Mary went to the store .")


def test_another_grid_is_refused() -> None:
    with pytest.raises(OptionError, match="cannot compare by"):
        looked("patching", microworld(), PROMPT, less=OTHER, by=["pos", "head"])
