""" "Copy as Python": a script that makes the numbers on screen again with the library alone.

The script is made of literals only: names, ids and numbers go in through ``repr``, and text of the
prompt through ``ascii``, so that no token can become code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from residuum.core import EDITS, TensorRef

_STORED = '''
store = rz.TensorStore({path!r})


def stored(hash, shape, dtype):
    """A tensor that an edit refers to."""
    return store.attach(TensorRef(hash, shape, dtype))

'''
_TOP = 10
_WIDTH = 12
_ENDING = """
logits = run.last[0]
probs = logits.double().softmax(-1)
for index in probs.topk({top}).indices.tolist():
    print(f"{{float(probs[index]):.6f}}  {{model.to_str_tokens([index])[0]!r}}")
"""


@dataclass(frozen=True)
class Script:
    """What a script reproduces.

    Attributes:
        run: record of the run.
        minus: record of the run to subtract from it.
        needs: capture queries.
        lines: the view's own lines; empty shows the next tokens alone.
        store: folder of the tensors.
        options: how the model was loaded: ``dtype`` and ``device`` where they were chosen.
    """

    run: Mapping[str, Any]
    minus: Mapping[str, Any] | None
    needs: Sequence[str]
    lines: str
    store: Path
    options: Mapping[str, str]

    def text(self) -> str:
        """The script."""
        records = [self.run] if self.minus is None else [self.run, self.minus]
        tensors = any(_refers(edit) for record in records for edit in record["edits"])
        parts = ["import torch\n\nimport residuum as rz\n"]
        if tensors:
            parts[0] += "from residuum.core import TensorRef\n"
        parts.append(self._opening())
        if tensors:
            parts.append(_STORED.format(path=str(self.store)))
        parts.append(_run_lines("run", self.run, self.needs))
        if self.minus is not None:
            parts.append(_run_lines("minus", self.minus, self.needs))
        if self.lines:
            parts.append(f"\n{self.lines.strip()}\n")
        parts.append(_ENDING.format(top=_TOP))
        return "".join(parts)

    def _opening(self) -> str:
        dtype = self.options.get("dtype")
        more = f", dtype=torch.{dtype}" if dtype else ""
        lines = f"\nmodel = rz.load({self.run['model']!r}{more})\n"
        device = self.options.get("device")
        return lines + (f"model.hf.to({device!r})\n" if device else "")


def _run_lines(name: str, record: Mapping[str, Any], needs: Sequence[str]) -> str:
    capture = _several([repr(each) for each in needs], 4)
    edits = _several([edit_code(each) for each in record["edits"]], 1)
    return (
        f"\n# {' '.join(record['tokens'])!a}\n"
        f"{name}_ids = torch.tensor([{_several(list(map(str, record['ids'])), _WIDTH)}])\n"
        f"{name}_edits = {edits}\n"
        f"{name} = model.run({name}_ids, edits={name}_edits, capture={capture})\n"
        f"assert {name}.hash == {record['hash']!r}  # the model, prompt and edits on the page\n"
    )


def _several(items: list[str], a_line: int) -> str:
    """A list, broken into lines where it is long."""
    if len(items) <= a_line:
        return f"[{', '.join(items)}]"
    rows = [", ".join(items[i : i + a_line]) for i in range(0, len(items), a_line)]
    inner = "".join(f"    {row},\n" for row in rows)
    return f"[\n{inner}]"


def edit_code(row: Mapping[str, Any]) -> str:
    """An edit as Python.

    >>> edit_code({"kind": "scale", "at": "L1.mlp_out", "factor": 0.5})
    "rz.Scale('L1.mlp_out', factor=0.5)"
    """
    cls = EDITS[row["kind"]]
    given = [repr(row["at"])]
    for name, option in list(signature(cls).parameters.items())[1:]:
        value = row.get(name)
        if value is None or (option.default is not Parameter.empty and value == option.default):
            continue
        given.append(f"{name}={_value(value)}")
    return f"rz.{cls.__name__}({', '.join(given)})"


def _value(value: Any) -> str:
    if not isinstance(value, dict):
        return repr(value)
    ref = TensorRef.from_json(value)
    return f"stored({ref.hash!r}, {ref.shape!r}, {ref.dtype!r})"


def _refers(row: Mapping[str, Any]) -> bool:
    return any(isinstance(value, dict) for value in row.values())
