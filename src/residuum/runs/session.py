"""One forward pass with edits and capture: the only place that puts hooks on a model.

Hooks are registered on exactly the modules that the asked-for sites name, and removed when the
session ends, however it ends. Where nothing is asked the model runs untouched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from residuum.core import Address
from residuum.models import Adapted, DoorPoint, Flow, Tap, open_door
from residuum.runs.apply import Planned
from residuum.runs.capture import Kept
from residuum.runs.places import Columns, View

Key = tuple[int, str]


class Enough(Exception):
    """Everything that was asked for is known; the rest of the pass is skipped."""


@dataclass
class Live:
    """A captured tensor still in the autograd graph, and the shape its gradient is shown in."""

    tensor: Tensor
    shape: torch.Size


@dataclass
class Session:
    """State of one forward call.

    Attributes:
        adapted: the model.
        edits: edits by whole site, in the order of the stack.
        kept: captures by whole site.
        columns: where each prompt's tokens stand.
        real: ``[batch pos]`` true at real tokens; None when all are.
        first_row: index of the first prompt in the whole run.
        grad: keep captured tensors in the graph.
        busy: while a site is read or written, when modules called again must not be seen.
        stop_early: leave once everything captured and edited has been met.
    """

    adapted: Adapted
    edits: dict[Address, list[Planned]]
    kept: dict[Address, list[Kept]]
    columns: Columns
    flow: Flow
    real: Tensor | None = None
    first_row: int = 0
    grad: bool = False
    stop_early: bool = False
    live: dict[Address, Live] = field(default_factory=dict)
    _pending: set[Address] = field(default_factory=set)
    busy: bool = False
    _door: dict[Key, Tap] = field(default_factory=dict)

    def __post_init__(self) -> None:
        active = self._active()
        self._pending = {tap.address for tap in active}
        for tap in active:
            if isinstance(tap.point, DoorPoint):
                self._door[tap.point.layer, tap.point.slot] = tap

    def _active(self) -> list[Tap]:
        wanted = self.edits.keys() | self.kept.keys()
        return [tap for address, tap in self.adapted.taps.items() if address in wanted]

    # -- the attention door ------------------------------------------------------------------

    def wants(self, layer: int) -> bool:
        """Whether a slot of this layer's door was asked for."""
        return any(key[0] == layer for key in self._door)

    def explicit(self, layer: int) -> bool:
        """Whether attention of this layer must be written out."""
        return (layer, "scores") in self._door or (layer, "pattern") in self._door

    def visit(self, layer: int, slot: str, value: Tensor) -> Tensor:
        """Edit and capture at one slot of the door."""
        tap = self._door.get((layer, slot))
        return value if tap is None or self.busy else self._pass_through(tap, value)

    # -- hooks -------------------------------------------------------------------------------

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put the hooks on, and take them off whatever happens."""
        points: dict[tuple[int, str], list[Callable[[Any], Any]]] = defaultdict(list)
        modules: dict[int, nn.Module] = {}

        def at(module: nn.Module, side: str, step: Callable[[Any], Any]) -> None:
            modules[id(module)] = module
            points[id(module), side].append(step)

        for tap in self._active():
            if not isinstance(tap.point, DoorPoint):
                at(tap.point.module, tap.point.side, self._step(tap))
            if tap.seen_at is not None and tap.address in self.kept:
                point, read = tap.seen_at
                at(point.module, point.side, self._seen_step(tap, read))
        for layer, name in {(t.address.layer, n) for t in self._active() for n in t.needs}:
            assert isinstance(layer, int)
            module, side = self._memo_point(layer, name)
            at(module, side, self._memo_step(layer, name))
        if self.grad:
            at(self.adapted.parts.embed, "out", _into_graph)
        with ExitStack() as stack:
            for (ident, side), steps in points.items():
                handle = _register(modules[ident], side, steps, self)
                stack.callback(handle.remove)
            if self._door:
                stack.enter_context(open_door(self.adapted.parts, self))
            yield

    def _memo_point(self, layer: int, name: str) -> tuple[nn.Module, str]:
        part = self.adapted.parts.layers[layer]
        if name == "stream":
            return part.block, "in"
        if name == "experts":
            assert part.experts is not None
            return part.experts, "all_in"
        return part.o_proj, ("in" if name == "z" else "out")

    def _memo_step(self, layer: int, name: str) -> Callable[[Any], Any]:
        def step(native: Any) -> Any:
            value = native
            if name != "experts":
                value = native[0] if isinstance(native, tuple) else native
                if value.ndim == 2:
                    value = value.unflatten(0, (self.flow.batch, self.flow.pos))
            self.flow.memo[layer, name] = value
            return native

        return step

    def _step(self, tap: Tap) -> Callable[[Any], Any]:
        def step(native: Any) -> Any:
            return self._pass_through(tap, native)

        return step

    def _seen_step(self, tap: Tap, read: Callable[[Any, Flow], Tensor]) -> Callable[[Any], Any]:
        def step(native: Any) -> Any:
            value = read(native, self.flow)
            tensor = native[0] if isinstance(native, tuple) else native
            if self.grad:
                self.live[tap.address] = Live(tensor, value.shape)
            self._keep(tap.address, value)
            self._finish(tap.address)
            return native

        return step

    # -- what happens at a point -------------------------------------------------------------

    def _pass_through(self, tap: Tap, native: Any) -> Any:
        self.busy = True
        try:
            value = tap.read(native, self.flow)
            edited = value
            for planned in self.edits.get(tap.address, ()):
                edited = planned.apply(edited, View(planned.address, self.columns))
            changed = edited is not value
            here = tap.address in self.kept and tap.seen_at is None
            if here and self.grad and not tap.needs:
                edited, changed = self._own_node(tap, edited), True
            if here:
                self._keep(tap.address, edited)
            if changed:
                native = tap.write(native, edited, self.flow)
            if here and self.grad and tap.needs:
                native = self._zero_added(tap, native, edited)
        finally:
            self.busy = False
        if tap.seen_at is None or tap.address not in self.kept:
            self._finish(tap.address)
        return native

    def _own_node(self, tap: Tap, value: Tensor) -> Tensor:
        """Make the site's tensor a node of its own, from which the rest of the pass is computed.

        The module's own tensor will not do: others may read it too, as the stream around an MLP
        does what the MLP reads, and the gradient would be that of both.
        """
        own = value.view_as(value) if value.requires_grad else value.detach().clone()
        self.live[tap.address] = Live(own.requires_grad_(), own.shape)
        return own.clone() if own.is_leaf else own  # Falcon adds into it, which leaves refuse

    def _zero_added(self, tap: Tap, native: Tensor, value: Tensor) -> Tensor:
        """What flows on, plus a zero whose gradient is that of a site made beside the model's path.

        Such a site (a head's own input, a head's output) is not on the way from what comes before
        to what comes after; the model's own tensor stays there, so that sites before it get the
        gradient of the model and not that of the model and of the site.
        """
        leaf = value.detach().clone().requires_grad_()
        memo = {key: _detached(each) for key, each in self.flow.memo.items()}
        through = tap.write(native.detach(), leaf, replace(self.flow, memo=memo))
        self.live[tap.address] = Live(leaf, leaf.shape)
        return native + (through - through.detach())

    def _keep(self, address: Address, value: Tensor) -> None:
        if address.name in ("k", "v"):
            value = value[:, -self.flow.pos :]  # while generating, the cache's are before them
        for kept in self.kept[address]:
            kept.take(value, self.columns, self.real, self.first_row)

    def _finish(self, address: Address) -> None:
        self._pending.discard(address)
        if self.stop_early and not self._pending:
            raise Enough


def _detached(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_detached(each) for each in value)
    return value.detach() if isinstance(value, Tensor) else value


def _into_graph(native: Any) -> Any:
    tensor = native[0] if isinstance(native, tuple) else native
    if tensor.requires_grad:
        return native
    return tensor.detach().requires_grad_()


def _register(
    module: nn.Module, side: str, steps: list[Callable[[Any], Any]], session: Session
) -> Any:
    """One hook that takes a module's input or output through the steps."""

    def through(old: Any) -> Any:
        new = old
        if not session.busy:
            for step in steps:
                new = step(new)
        return new

    if side == "out":
        return module.register_forward_hook(lambda _m, _a, out: _if_new(through(out), out))
    if side == "all_in":

        def gather(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            through((*args, *kwargs.values()))

        return module.register_forward_pre_hook(gather, with_kwargs=True)

    def before(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        old = args[0] if args else kwargs["hidden_states"]
        new = through(old)
        if new is old:
            return None
        return ((new, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": new})

    return module.register_forward_pre_hook(before, with_kwargs=True)


def _if_new(new: Any, old: Any) -> Any:
    """None where nothing changed, so that the module's own output goes on."""
    return None if new is old else new
