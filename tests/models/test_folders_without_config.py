"""Folders of TransformerLens-named weights: what is asked for is done or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz
from residuum.apps.cli.main import main
from residuum.core import OptionError

IDS = torch.tensor([[3, 7, 1, 12, 20, 5, 9, 7]])


@pytest.mark.parametrize("dtype", ["float64", torch.float64])
def test_the_dtype_asked_for_is_the_models(test_data: Path, dtype: Any) -> None:
    plain = rz.load(test_data / "gbmi_indhead")
    model = rz.load(test_data / "gbmi_indhead", dtype=dtype)
    assert plain.dtype == torch.float32
    assert model.dtype == torch.float64
    assert {each.dtype for each in model.hf.parameters()} == {torch.float64}
    logits, rounded = model.run(IDS).logits, plain.run(IDS).logits
    assert logits is not None and rounded is not None and logits.dtype == torch.float64
    torch.testing.assert_close(logits.float(), rounded, atol=1e-4, rtol=1e-5)


def test_the_weights_keep_their_own_dtype_with_auto(test_data: Path) -> None:
    assert rz.load(test_data / "gbmi_indhead", dtype="auto").dtype == torch.float32


def test_the_command_line_too(test_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(test_data / "gbmi_indhead")
    assert main(["doctor", folder, "--dtype", "float64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "float64"


@pytest.mark.parametrize(
    ("options", "what"),
    [({"revision": "main"}, "not with a folder"), ({"device_map": "auto"}, "no device_map")],
)
def test_what_cannot_be_done_is_refused(
    test_data: Path, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(OptionError, match=what) as refused:
        rz.load(test_data / "gbmi_indhead", **options)
    assert "leave it out" in refused.value.mend
