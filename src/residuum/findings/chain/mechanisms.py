"""What a caller states as the mechanism, checked against the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from residuum.circuits import Circuit
from residuum.circuits.graph.fitting import graph_on
from residuum.core import Address, OptionError
from residuum.directions import Direction
from residuum.findings.record.mechanism import Mechanism, is_head, is_mlp
from residuum.runs import Model, resolve, shown

_MEND = (
    'give heads and MLPs, such as ["L2.z[H3]", "L3.mlp_out"], a Circuit, a Direction, or another '
    "finding"
)


def mechanism_of(model: Model, stated: Any) -> Mechanism:
    """The mechanism that was stated.

    Args:
        model: the model that it is said to be in.
        stated: addresses of heads and MLPs, a circuit, a direction, or what has a ``mechanism``,
            such as a finding.

    Raises:
        OptionError: nothing, the same part twice, a circuit without edges or of a model of another
            shape, or no mechanism at all.
        AddressError: a part that the model does not have.
        LoadError: a direction of another model.
    """
    stated = getattr(stated, "mechanism", stated)
    if isinstance(stated, Mechanism):
        stated = _read(stated)
    if isinstance(stated, Circuit):
        return _circuit(model, stated)
    if isinstance(stated, Direction):
        stated.check_fits(model)
        data = replace(stated, proof=None).to_json()
        return Mechanism("direction", "given", (str(stated.at),), data)
    if isinstance(stated, (str, Address)):
        stated = [stated]
    if not isinstance(stated, Iterable):
        raise OptionError(f"{shown(stated)} is no mechanism", mend=_MEND)
    return Mechanism("components", "given", _components(model, list(stated)))


def _read(stated: Mechanism) -> Any:
    """What a recorded mechanism was."""
    if stated.kind == "components":
        return stated.components
    kind = Circuit if stated.kind == "circuit" else Direction
    return kind.from_json(stated.data or {})


def _circuit(model: Model, stated: Circuit) -> Mechanism:
    stated.need_edges()
    graph_on(stated.graph, model)
    nodes = [str(at).replace(".head_out[", ".z[") for at in stated.nodes]
    parts = tuple(at for at in nodes if is_head(at) or is_mlp(at))
    return Mechanism("circuit", "given", parts, replace(stated, scores=None).to_json())


def _components(model: Model, stated: list[Any]) -> tuple[str, ...]:
    found = [str(at) for each in stated for at in resolve(model.adapted, Address.parse(each))]
    if not found:
        raise OptionError("no part is named, so there is nothing to examine", mend=_MEND)
    twice = next((at for i, at in enumerate(found) if at in found[:i]), None)
    if twice is not None:
        raise OptionError(f"{twice} is named twice", mend="name each part once")
    for at in found:
        if "@" in at or not (is_head(at) or is_mlp(at)):
            raise OptionError(f"{at} is neither a head nor an MLP at all positions", mend=_MEND)
    return tuple(found)
