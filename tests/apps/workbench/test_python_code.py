"""The code that is copied gives the numbers that are shown, in a Python of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench_server import PROMPT, Server, opened

import residuum as rz
from residuum.apps.workbench.snippets import edit_code
from residuum.apps.workbench.views import all_views

OTHER = "When Mary and John went to the store , Mary gave a drink to"


def executed(code: str, names: list[str], folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays that the code leaves under these names, and what it printed."""
    script, kept = folder / "script.py", folder / "arrays.npz"
    saving = (
        f"\nimport numpy\nnumpy.savez({str(kept)!r}, **{{n: globals()[n] for n in {names!r}}})\n"
    )
    script.write_text(code + saving, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    with np.load(kept) as arrays:
        return dict(arrays), done.stdout


@pytest.fixture(scope="module")
def pair(server: Server) -> tuple[Any, Any]:
    other = server.run(OTHER)
    value = {"from": "run", "run": other["id"], "at": "L2.z[H3]"}
    patch = server.post("/api/values", **value)["value"]
    edits = [
        {"kind": "patch", "at": "L2.z[H3]", "value": patch},
        {"kind": "scale", "at": "L0.mlp_out", "factor": 0.5},
        {"kind": "add", "at": "L1.resid_post@-1", "value": [0.25] * 128, "scale": 2.0},
    ]
    return server.run(PROMPT, *edits), server.run(PROMPT)


@pytest.mark.parametrize("view", sorted(all_views()))
@pytest.mark.parametrize("difference", [False, True])
def test_views_numbers(
    server: Server, pair: tuple[Any, Any], view: str, difference: bool, tmp_path: Path
) -> None:
    edited, plain = pair
    difference = difference or view == "patching"
    minus = {"minus": plain["id"]} if difference else {}
    a = {"a": plain["id"]} if difference else {}
    meta, shown = server.look(view, run=edited["id"], **minus)
    code = server.post("/api/python", run=edited["id"], view=view, **a)["code"]
    made, printed = executed(code, list(shown), tmp_path)
    assert meta["run"] == edited["id"] and edited["hash"] in code
    for name, array in shown.items():
        assert made[name].shape == array.shape, name
        if array.dtype == np.uint8:
            off = np.abs(made[name].astype(int) - array.astype(int))
            assert off.max() <= 1, name
        else:
            np.testing.assert_allclose(made[name], array, rtol=1e-5, atol=1e-5, err_msg=name)
    assert repr(edited["predictions"][0]["token"]) in printed


def test_a_run_alone(server: Server, pair: tuple[Any, Any], tmp_path: Path) -> None:
    edited, _ = pair
    code = server.post("/api/python", run=edited["id"])["code"]
    made, _ = executed(code, ["logits"], tmp_path)
    told = {each["id"]: each["logit"] for each in edited["predictions"]}
    np.testing.assert_allclose([made["logits"][i] for i in told], list(told.values()), rtol=1e-5)


def test_a_model_opened_in_another_dtype(tmp_path: Path) -> None:
    def half(name: str) -> rz.Model:
        return rz.load(name, dtype="float64")

    server = opened(tmp_path, loader=half, options={"dtype": "float64", "device": "cpu"})
    record = server.run()
    code = server.post("/api/python", run=record["id"])["code"]
    assert "dtype=torch.float64" in code and "model.hf.to('cpu')" in code
    made, _ = executed(code, ["logits"], tmp_path)
    assert made["logits"].dtype == np.float64 and record["dtype"] == "float64"
    first = record["predictions"][0]
    assert made["logits"][first["id"]] == pytest.approx(first["logit"], rel=1e-12)
    server.bench.close()


def test_text_of_the_prompt_never_becomes_code(tmp_path: Path) -> None:
    server = opened(tmp_path)
    loaded: Any = server.bench.desk("microworld").model
    loaded.to_str_tokens = lambda ids, *_: ["\n\r\u2028import os; '''\"\"\" #"] * len(ids)
    record = server.run()
    code = server.post("/api/python", run=record["id"])["code"]
    lines = [line for line in code.splitlines() if "import os" in line]
    assert len(lines) == 1 and lines[0].startswith("# ")
    assert "\u2028" not in code and "\r" not in code
    server.bench.close()


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"kind": "zero", "at": "L1.z"}, "rz.Zero('L1.z')"),
        (
            {"kind": "resample", "at": "L1.z", "seed": 7, "value": None},
            "rz.Resample('L1.z', seed=7)",
        ),
        (
            {"kind": "splice", "at": "L1.z", "dictionary": "a'b", "keep_error": False},
            "rz.Splice('L1.z', dictionary=\"a'b\")",
        ),
        (
            {"kind": "set", "at": "L1.z", "value": {"hash": "ab", "shape": [], "dtype": "float32"}},
            "rz.Set('L1.z', value=stored('ab', (), 'float32'))",
        ),
    ],
)
def test_edits_as_code(row: dict[str, Any], code: str) -> None:
    assert edit_code(row) == code
