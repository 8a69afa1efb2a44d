"""What an edge outside the circuit carries: the values of senders in the reference's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from residuum.circuits.engine.finer import Finer
from residuum.circuits.graph.scores import REFERENCES
from residuum.core import Address, OptionError, TaskError
from residuum.models import Batch
from residuum.patching.ablations import ResampleAblation
from residuum.runs import Capture, Model, Run, Task, shown

_AT_ONCE = 64


@dataclass(frozen=True)
class SenderValues:
    """Values of every sender, ``[row pos ...]``; one row where all prompts have the same.

    Attributes:
        embed: ``[row pos d_model]``.
        heads: layer by layer, ``[row pos head d_model]``.
        mlps: layer by layer, ``[row pos d_model]``; None where there is no MLP. Where some of an
            MLP's neurons or latents are nodes of their own, of the rest of it.
        finer: layer by layer, of those nodes, ``[row pos node d_model]``; None without any.
    """

    embed: Tensor
    heads: list[Tensor]
    mlps: list[Tensor | None]
    finer: list[Tensor | None]

    def cut(self, rows: Tensor, start: int) -> SenderValues:
        """Some of the rows, from a position on."""

        def one(value: Tensor) -> Tensor:
            some = value if value.shape[0] == 1 else value[rows.to(value.device)]
            return some[:, start:]

        return SenderValues(
            one(self.embed),
            [one(each) for each in self.heads],
            [None if each is None else one(each) for each in self.mlps],
            [None if each is None else one(each) for each in self.finer],
        )


def check_reference(kind: Any) -> str:
    """The kind, if it is one.

    Raises:
        OptionError: it is none.
    """
    if kind not in REFERENCES:
        raise OptionError(
            f"reference={shown(kind)} is none that an edge outside the circuit can carry",
            mend=f"one of: {', '.join(REFERENCES)}",
        )
    return str(kind)


def reference_prompts(model: Model, task: Task, kind: str, seed: int) -> Batch | None:
    """The prompts whose values are carried, aligned with the clean ones; None for a constant.

    Raises:
        TaskError: a prompt has no other one of its length to be resampled from.
    """
    if kind == "counterfactual":
        return Batch(task.corrupt, task.attention_mask)
    if kind != "resample":
        return None
    try:  # which prompts are drawn does not depend on a grid
        return ResampleAblation(seed=seed).writing(model, task, cast(Any, None)).source
    except TaskError as error:
        raise TaskError(
            error.what, mend="take more pairs, or another reference than 'resample'"
        ) from error


@dataclass
class References:
    """Reference values of one kind, for any of the task's prompts.

    Attributes:
        finer: neurons and latents that are nodes of their own.
        prompts: those whose values are carried; None for a constant.
    """

    model: Model
    task: Task
    kind: str
    seed: int = 0
    finer: Finer = field(default_factory=dict)
    passes: float = 0.0

    def __post_init__(self) -> None:
        self.prompts = reference_prompts(self.model, self.task, self.kind, self.seed)
        self._of_rows = torch.zeros(len(self.task), dtype=torch.long)
        self._constants: SenderValues | None = None

    @property
    def run_like(self) -> bool:
        """Whether they are one run's values, prompt by prompt."""
        return self.prompts is not None

    def values(self, rows: range, start: int) -> tuple[SenderValues, Tensor | None]:
        """For some of the prompts, from a position on; and the last logits, if they are a run's."""
        if self.prompts is not None:
            self.passes += len(rows) / len(self.task)
            batch = self.prompts.rows(rows.start, rows.stop)
            run = self._captured(batch, None)
            values = self._values(run, self._numbers(batch))
            return values.cut(torch.arange(len(rows)), start), run.last
        if self._constants is None:
            self._constants = self._constant()
        return self._constants.cut(self._of_rows[rows.start : rows.stop], start), None

    def _constant(self) -> SenderValues:
        labels = list(self.task.templates) or [""] * len(self.task)
        if self.kind != "template_mean":
            labels = [""] * len(labels)
        names = list(dict.fromkeys(labels))
        self._of_rows = torch.tensor([names.index(label) for label in labels])
        each = [self._of_template([i for i, x in enumerate(labels) if x == n]) for n in names]
        return SenderValues(
            torch.cat([one.embed for one in each]),
            [torch.cat(layer) for layer in zip(*(one.heads for one in each), strict=True)],
            [_joined(layer) for layer in zip(*(one.mlps for one in each), strict=True)],
            [_joined(layer) for layer in zip(*(one.finer for one in each), strict=True)],
        )

    def _of_template(self, rows: Sequence[int]) -> SenderValues:
        """The mean over clean and corrupt prompts of some pairs, or zeros."""
        width = self.task.clean.shape[1]
        if self.kind == "zero":
            values = self._run(Batch(self.task.clean[:1]), None)
            return _each(values, torch.zeros_like)
        some = self.task.subset(rows)
        mask = some.attention_mask
        ids = torch.cat([some.clean, some.corrupt])
        batch = Batch(ids, None if mask is None else torch.cat([mask, mask]))
        self.passes += 2 * len(rows) / len(self.task)
        by_position = bool((some.lengths == some.lengths[0]).all())
        values = self._run(batch, "mean_by_pos" if by_position else "mean")
        return _each(values, lambda mean: _spread(mean, width, by_position))

    def _run(self, batch: Batch, reduce: Any) -> SenderValues:
        numbers = self._numbers(batch)
        if reduce is not None:
            numbers = {at: _reduced(each, batch, reduce) for at, each in numbers.items()}
        return self._values(self._captured(batch, reduce), numbers)

    def _captured(self, batch: Batch, reduce: Any) -> Run:
        asked = [Capture(at, reduce=reduce) for at in self._sites()]
        last = reduce is None
        return self.model.run(batch, capture=asked, logits=last, batch_size=_AT_ONCE)

    def _sites(self) -> list[Address]:
        layers = self.model.adapted.parts.layers
        sites = [Address("resid_pre", 0)]
        sites += [Address("head_out", layer.index) for layer in layers]
        return sites + [Address("mlp_out", layer.index) for layer in layers if layer.has_mlp]

    def _numbers(self, batch: Batch) -> dict[int, Tensor]:
        """Numbers of the finer parts ``[row pos node]``, by layer; takes a pass of its own."""
        if not self.finer:
            return {}
        sites = {layer: Address("mlp_in", layer) for layer in self.finer}
        captured = list(sites.values())
        run = self.model.run(batch, capture=captured, logits=False, batch_size=_AT_ONCE)
        self.passes += len(batch.ids) / len(self.task)
        with torch.no_grad():
            streams = {layer: run[at].to(self.model.dtype) for layer, at in sites.items()}
            return {at: self.finer[at].split(each)[1] for at, each in streams.items()}

    def _values(self, run: Run, numbers: dict[int, Tensor]) -> SenderValues:
        kept = {at: run[at].to(self.model.dtype) for at in self._sites()}
        layers = range(self.model.n_layers)
        for layer, each in numbers.items():
            at = Address("mlp_out", layer)
            kept[at] = self.finer[layer].rest(kept[at], each)
        return SenderValues(
            kept[Address("resid_pre", 0)],
            [kept[Address("head_out", layer)] for layer in layers],
            [kept.get(Address("mlp_out", layer)) for layer in layers],
            [self.finer[at].sent(numbers[at]) if at in numbers else None for at in layers],
        )


def _reduced(numbers: Tensor, batch: Batch, reduce: str) -> Tensor:
    """The mean over prompts ``[pos node]``, or over all real tokens ``[node]``."""
    if reduce == "mean_by_pos":
        return numbers.mean(dim=0)
    return (
        (numbers if batch.mask is None else numbers[batch.mask.to(numbers.device)])
        .flatten(0, -2)
        .mean(dim=0)
    )


def _joined(values: tuple[Tensor | None, ...]) -> Tensor | None:
    present = [each for each in values if each is not None]
    return torch.cat(present) if present else None


def _each(values: SenderValues, change: Any) -> SenderValues:
    return SenderValues(
        change(values.embed),
        [change(each) for each in values.heads],
        [None if each is None else change(each) for each in values.mlps],
        [None if each is None else change(each) for each in values.finer],
    )


def _spread(mean: Tensor, width: int, by_position: bool) -> Tensor:
    """A mean as ``[1 pos ...]``; one that has no positions stands at each of them."""
    if not by_position:
        return mean[None, None].expand(1, width, *mean.shape)
    missing = width - mean.shape[0]
    return torch.nn.functional.pad(mean, [0, 0] * (mean.ndim - 1) + [0, missing])[None]
