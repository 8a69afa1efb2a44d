"""What masked runs of some prompts stand on: the clean run, the references, and two known runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from residuum.circuits.engine.attention import Copies
from residuum.circuits.engine.references import References, SenderValues
from residuum.core import Address
from residuum.models import Batch, LayerCall
from residuum.runs import Model, record_calls
from residuum.runs.capture import Capture, Kept
from residuum.runs.sweeping.writing import first_differences


@dataclass
class Known:
    """One circuit's run, kept: what its parts read and what they send.

    Attributes:
        inputs: layer by layer, slot -> projections ``[row pos head d_head]``.
        sent: layer by layer, what each head sends less its reference, ``[head row pos d_model]``.
        rest: layer by layer, what attention adds beside its heads behind a post-norm; else None.
        mlps: layer by layer, what the MLP sends less its reference ``[row pos d_model]``.
        finer: layer by layer, what its finer parts send less their references
            ``[node row pos d_model]``; None without any.
        answers: last stream where the answer is read, ``[row d_model]``.
    """

    inputs: list[dict[str, Tensor]] = field(default_factory=list)
    sent: list[Tensor] = field(default_factory=list)
    rest: list[Tensor | None] = field(default_factory=list)
    mlps: list[Tensor | None] = field(default_factory=list)
    finer: list[Tensor | None] = field(default_factory=list)
    answers: Tensor | None = None


@dataclass
class Ground:
    """Some of a task's prompts, ready for masked runs.

    Attributes:
        rows: the prompts, counted in the whole task.
        calls: each layer's call in the clean run.
        before: each layer's keys and values of the clean run at positions before ``start``.
        reference: reference values from ``start`` on.
        sums: what is in the stream if every sender has its reference value: before each layer's
            attention, before its MLP, and at the end, ``[row pos d_model]``.
        embed: what the embedding sends less its reference, ``[row pos d_model]``.
        start: first position at which anything can differ from the clean run.
        ends: each prompt's last token, counted from ``start``, ``[row]``.
        groups: for each named position its tokens, as numbers in ``[row pos]`` laid flat.
        clean, other: last logits of the clean run, and of the run whose values are the references.
    """

    rows: range
    width: int
    calls: list[LayerCall]
    before: list[tuple[Tensor, Tensor]]
    reference: SenderValues
    sums: dict[tuple[str, int], Tensor]
    embed: Tensor
    start: int
    ends: Tensor
    groups: list[Tensor]
    clean: Tensor
    other: Tensor | None
    whole: Known = field(default_factory=Known)
    empty: Known = field(default_factory=Known)

    @property
    def prompts(self) -> int:
        """Number of prompts."""
        return len(self.rows)

    @property
    def positions(self) -> int:
        """Positions computed of each prompt."""
        return self.width - self.start

    def copies(self, circuits: int) -> Copies:
        """The prompts, once for each of some circuits."""
        return Copies(self.prompts, circuits, self.start, self.width)

    def at_ends(self, value: Tensor, axis: int) -> Tensor:
        """``[... row 1 ...]`` at each prompt's last token, of ``[... row pos ...]``.

        Args:
            axis: of ``row``; ``pos`` is the next.
        """
        moved = value.movedim((axis, axis + 1), (0, 1))
        if moved.shape[0] == 1 and self.prompts > 1:
            moved = moved.expand(self.prompts, *moved.shape[1:])
        at = self.ends.to(value.device)
        picked = moved[torch.arange(self.prompts, device=value.device), at].unsqueeze(1)
        return picked.movedim((0, 1), (axis, axis + 1))


def ground_of(
    model: Model, references: References, rows: range, places: Tensor, *, cut: bool
) -> Ground:
    """The clean run of some prompts, and what goes with it.

    Args:
        places: ``[example pos]``: which named position each token of the task is.
        cut: whether positions before the first difference may be left out.
    """
    task = references.task
    ids = task.clean[rows.start : rows.stop]
    mask = task.attention_mask
    batch = Batch(ids, None if mask is None else mask[rows.start : rows.stop])
    if batch.mask is not None and bool(batch.mask.all()):
        batch = Batch(ids)
    ends = batch.lengths - 1
    start = 0
    if cut and references.prompts is not None:
        other = references.prompts.ids[rows.start : rows.stop]
        start = min(int(first_differences(ids, other).min()), int(ends.min()))
    layers = range(model.n_layers)
    kept = [
        Kept(Capture(at), at) for at in (Address(slot, n) for n in layers for slot in ("k", "v"))
    ]
    with torch.no_grad():
        calls, clean = record_calls(model.adapted, batch, kept if start else [], answers_only=True)
    keys = [each.result() for each in kept] if start else []
    before: list[tuple[Tensor, Tensor]] = []
    for key, value in zip(keys[::2], keys[1::2], strict=True):
        assert isinstance(key, Tensor) and isinstance(value, Tensor)
        before.append((key[:, :start], value[:, :start]))
    values, last = references.values(rows, start)
    own = calls[0].stream[:, start:]
    flat = places[rows.start : rows.stop, start:].flatten()
    return Ground(
        rows=rows,
        width=ids.shape[1],
        calls=[call.call for call in calls],
        before=before,
        reference=values,
        sums=_sums(model, values),
        embed=own - values.embed,
        start=start,
        ends=ends - start,
        groups=[(flat == place).nonzero().flatten() for place in range(int(places.max()) + 1)],
        clean=clean[:, 0],
        other=last,
    )


def _sums(model: Model, values: SenderValues) -> dict[tuple[str, int], Tensor]:
    """The stream of reference values at each place where it is read."""
    stream, found = values.embed, {}
    for layer in model.adapted.parts.layers:
        at = layer.index
        found["attention", at] = stream
        after = stream + values.heads[at].sum(dim=2)
        bias = getattr(layer.o_proj, "bias", None)
        if isinstance(bias, Tensor) and layer.attn_writer is layer.o_proj:
            after = after + bias.detach() * layer.scale
        found["mlp", at] = stream if layer.wiring == "parallel" else after
        mlp, finer = values.mlps[at], values.finer[at]
        stream = after if mlp is None else after + mlp
        stream = stream if finer is None else stream + finer.sum(dim=2)
    found["end", model.n_layers] = stream
    return found
