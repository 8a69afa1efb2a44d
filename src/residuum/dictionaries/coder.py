"""A sparse coder in training: parameters, losses, gradients that touch only active latents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import OptionError, Provenance, ShapeError, StoreError
from residuum.dictionaries.coder_layout import Block, blocks_of
from residuum.dictionaries.dictionary import Dictionary
from residuum.dictionaries.entries import Entries, decode_entries, encode_entries
from residuum.dictionaries.geometric_median import geometric_median
from residuum.dictionaries.losses import Losses
from residuum.dictionaries.penalties import L1
from residuum.dictionaries.plan import CoderPlan
from residuum.dictionaries.top_entries import top_entries
from residuum.dictionaries.training_rules import Active, GatedRule, rule_of

_START_NORM = 0.1
_MEMORY = 0.99


class SparseCoder:
    """The fitter behind :class:`Dictionary`.

    One step is ``losses = coder.losses(inputs, targets)``, ``losses.backward()``, the optimiser's
    step over ``coder.parameters()``, ``coder.after_step()``.

    Args:
        plan: what to train.
        seed: of the random start.
        dtype: of the parameters.
        device: of the parameters.

    Attributes:
        plan: as given.
        scale: what inputs and targets are multiplied by; set by :meth:`initialise`.
        silent: ``[latent]`` inputs in a row, up to now, for which a latent was not active.
        threshold: running mean of the smallest active latent (BatchTopK); None before a step.
    """

    def __init__(
        self,
        plan: CoderPlan,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        assert plan.writes is not None and plan.out_width is not None
        self.plan = plan
        self.seed = seed
        self.scale = 1.0
        self.threshold: float | None = None
        self._rule = rule_of(plan.activation)
        self._blocks = blocks_of(plan)
        self._last: Losses | None = None
        self._least: float | None = None
        self._parameters = self._start(dtype, torch.device(device))
        self.silent = torch.zeros(plan.n_latents, dtype=torch.int64, device=device)

    def _start(self, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        plan = self.plan
        generator = torch.Generator().manual_seed(self.seed)
        read_width = (self._blocks[0].reads.stop - self._blocks[0].reads.start) * plan.width
        values: dict[str, Tensor] = {}
        length = 1.0 if plan.unit_norm else _START_NORM
        for block in self._blocks:
            rows = block.latents.stop - block.latents.start
            wide = (block.writes.stop - block.writes.start) * _some(plan.out_width)
            random = torch.randn(rows, wide, generator=generator, dtype=torch.float64)
            values[block.name] = random / random.norm(dim=1, keepdim=True) * length
        if plan.reads == plan.writes:
            start = values["W_dec"].clone()
        else:
            random = torch.randn(
                plan.n_latents, read_width, generator=generator, dtype=torch.float64
            )
            start = random / random.norm(dim=1, keepdim=True)
        values = {"W_enc": start, **values}
        values["b_dec"] = torch.zeros(
            len(_some(plan.writes)) * _some(plan.out_width), dtype=torch.float64
        )
        if plan.skip:
            values["W_skip"] = torch.zeros(plan.width, _some(plan.out_width), dtype=torch.float64)
        values.update(self._rule.start(torch.zeros(plan.n_latents, dtype=torch.float64)))
        return {name: value.to(device, dtype).requires_grad_() for name, value in values.items()}

    def parameters(self) -> dict[str, Tensor]:
        """What is learnt, by name; the same tensors at every call.

        ``W_enc [latent read·d_in]`` and ``W_dec [latent write·d_out]`` have latents first.
        """
        return dict(self._parameters)

    @property
    def dead(self) -> Tensor:
        """``[latent]``, not active for ``plan.dead_after`` inputs."""
        return self.silent >= self.plan.dead_after

    # -- a step ------------------------------------------------------------------------------

    def initialise(self, inputs: Tensor, targets: Tensor | None = None) -> None:
        """Set scale and decoder bias from a first batch: ``[n read d_in]``, ``[n write d_out]``.

        The bias starts at the geometric median of the targets.

        Raises:
            ShapeError: another shape, or NaN.
        """
        x, t = self._flat(inputs, targets)
        if self.plan.normalise:
            lengths = inputs.to(x.dtype).norm(dim=-1).mean()
            if not float(lengths) > 0:
                raise ShapeError(
                    "the first batch is all zeros", mend="look at where the activations come from"
                )
            factor = math.sqrt(self.plan.width) / float(lengths)
            x, t, self.scale = x / self.scale * factor, t / self.scale * factor, factor
        with torch.no_grad():
            self._parameters["b_dec"].copy_(geometric_median(t))

    def losses(
        self,
        inputs: Float[Tensor, "n read d_in"],
        targets: Float[Tensor, "n write d_out"] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        dead: Tensor | None = None,
    ) -> Losses:
        """All losses of a batch.

        Args:
            inputs: activations read.
            targets: activations to rebuild; None: the inputs.
            weights: coefficients ``penalty`` (1 where not given) and ``auxiliary``
                (``plan.aux_weight``).
            dead: ``[latent]`` bool; None: by the coder's own count.

        Raises:
            ShapeError: another shape, NaN or infinity.
            OptionError: an unknown coefficient.
        """
        coefficients = {"penalty": 1.0, "auxiliary": self.plan.aux_weight}
        unknown = set(weights or {}) - set(coefficients)
        if unknown:
            raise OptionError(
                f"no loss is named {', '.join(sorted(unknown))}", mend="penalty and auxiliary are"
            )
        coefficients.update(weights or {})
        x, t = self._flat(inputs, targets)
        step = _Step(self, x, t, self.dead if dead is None else dead)
        losses = step.losses(coefficients)
        self._last, self._least = losses, step.least
        return losses

    def after_step(self) -> None:
        """After the optimiser: decoder norms, threshold of BatchTopK, count of silent latents."""
        if self._last is None:
            raise OptionError("after_step without losses", mend="call losses(...) first")
        if self.plan.unit_norm:
            for block in self._blocks:
                weight = self._parameters[block.name].detach()
                weight.div_(weight.norm(dim=1, keepdim=True).clamp_min(1e-12))
        if self._least is not None:
            old = self.threshold
            self.threshold = (
                self._least if old is None else _MEMORY * old + (1 - _MEMORY) * self._least
            )
        self.silent += self._last.n
        self.silent[self._last.fired] = 0
        self._last = None

    def _flat(self, inputs: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
        plan, like = self.plan, self._parameters["b_dec"]
        reads, writes = (len(plan.reads), plan.width), (len(_some(plan.writes)), plan.out_width)
        if targets is None:
            targets = inputs
        for name, given, shape in (("inputs", inputs, reads), ("targets", targets, writes)):
            if given.ndim != 3 or tuple(given.shape[1:]) != shape or not len(given):
                raise ShapeError(
                    f"{name} of shape {list(given.shape)}, the plan says [n {shape[0]} {shape[1]}]",
                    mend="give one row for each input, sites in the order of the plan",
                )
        x = inputs.detach().to(like).flatten(1) * self.scale
        same = targets is inputs
        t = x if same else targets.detach().to(like).flatten(1) * self.scale
        for name, each in (("inputs", x), ("targets", t)):
            if not bool(each.sum().isfinite()):
                raise ShapeError(f"{name} hold NaN or infinity", mend="leave such rows out")
        return x, t

    # -- results and state -------------------------------------------------------------------

    def dictionary(
        self,
        *,
        model_name: str = "",
        weight_hash: str | None = None,
        tokenizer_hash: str = "",
        declared: Mapping[str, Any] | None = None,
        provenance: Provenance | None = None,
    ) -> Dictionary:
        """What was learnt so far, as a record (copies)."""
        plan = self.plan
        own = {name: value.detach().clone() for name, value in self._parameters.items()}
        b_dec = own["b_dec"].unflatten(0, (len(_some(plan.writes)), _some(plan.out_width)))
        return Dictionary(
            reads=plan.reads,
            writes=_some(plan.writes),
            W_enc=own["W_enc"].T.contiguous().unflatten(0, (len(plan.reads), plan.width)),
            W_dec=own["W_dec"].unflatten(1, tuple(b_dec.shape)),
            b_dec=b_dec,
            activation=plan.activation,
            b_in=b_dec.clone() if plan.centred else None,
            W_skip=own.get("W_skip"),
            **self._rule.finished(own, self.threshold),  # pyright: ignore[reportArgumentType]
            scale=self.scale,
            models=plan.models,
            model_name=model_name,
            weight_hash=weight_hash,
            tokenizer_hash=tokenizer_hash,
            declared=dict(declared or {}),
            provenance=provenance,
        )

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs, as copies: parameters, scale, counters."""
        own = {name: value.detach().clone() for name, value in self._parameters.items()}
        nan = math.nan if self.threshold is None else self.threshold
        numbers = torch.tensor([self.scale, nan], dtype=torch.float64)
        return {**own, "coder.silent": self.silent.clone(), "coder.numbers": numbers}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set everything to what :meth:`state` gave.

        Raises:
            StoreError: tensors missing, unknown or of another shape.
        """
        own = self.state()
        wrong = sorted(set(own) ^ set(state)) or [
            name for name in own if own[name].shape != state[name].shape
        ]
        if wrong:
            raise StoreError(
                f"not the state of this coder: {', '.join(wrong)}",
                mend="resume with the plan that the training began with",
            )
        with torch.no_grad():
            for name, value in self._parameters.items():
                value.copy_(state[name])
        self.silent.copy_(state["coder.silent"])
        self.scale, threshold = state["coder.numbers"].tolist()
        self.threshold = None if math.isnan(threshold) else threshold
        self._last = None


def _some(value: Any) -> Any:
    return value


@dataclass(eq=False)
class _Step:
    """One forward pass of a coder."""

    coder: SparseCoder
    x: Tensor
    target: Tensor
    dead: Tensor
    least: float | None = None

    def __post_init__(self) -> None:
        self.n = len(self.x)
        self.plan = self.coder.plan
        self.rule = self.coder._rule
        self.own = self.coder._parameters

    def losses(self, weights: Mapping[str, float]) -> Losses:
        shift = self.own["b_dec"] if self.plan.centred else None
        centred = self.x if shift is None else self.x - shift.detach()
        pre = self._pre(centred)
        entries = self.rule.select(pre, _detached(self.own))
        found = self._encoded(pre, centred, shift, entries)
        active = self.rule.active(found, entries.cols, self.own)
        base = self._base()
        out = self._decoded(active.latents, entries)
        error = out + base - self.target
        reconstruction = error.square().sum() / self.n
        zero = reconstruction.detach() * 0
        extra = self._extra(active, entries, base, zero)
        penalty = self._penalty(active, entries, zero)
        auxiliary = self._auxiliary(pre, centred, shift, error.detach(), zero)
        total = reconstruction + extra
        total = total + weights["penalty"] * penalty + weights["auxiliary"] * auxiliary
        return self._result(
            total, reconstruction, penalty, auxiliary, extra, active, entries, error
        )

    def _pre(self, centred: Tensor) -> Tensor:
        weight = self.own["W_enc"].detach()
        bias = None if self.rule.bias is None else self.own[self.rule.bias].detach()
        return torch.nn.functional.linear(centred, weight, bias)

    def _encoded(
        self, pre: Tensor, centred: Tensor, shift: Tensor | None, entries: Entries
    ) -> Tensor:
        values = pre[entries.rows, entries.cols]
        bias = None if self.rule.bias is None else self.own[self.rule.bias]
        return encode_entries(values, centred, self.own["W_enc"], bias, shift, entries)

    def _decoded(self, latents: Tensor, entries: Entries) -> Tensor:
        return decode_entries(latents, self.own["W_dec"], entries)

    def _base(self) -> Tensor:
        base = self.own["b_dec"]
        return base if "W_skip" not in self.own else base + self.x @ self.own["W_skip"]

    def _extra(self, active: Active, entries: Entries, base: Tensor, zero: Tensor) -> Tensor:
        if not isinstance(self.rule, GatedRule):
            return zero
        out = decode_entries(active.sizes, self.own["W_dec"].detach(), entries) + base.detach()
        return (out - self.target).square().sum() / self.n

    def _penalty(self, active: Active, entries: Entries, zero: Tensor) -> Tensor:
        if self.plan.penalty is None:
            return zero
        if not isinstance(self.plan.penalty, L1):
            assert active.counted is not None
            return active.counted.sum() / self.n
        if not self.plan.penalty.by_decoder_norm:
            return active.sizes.sum() / self.n
        rows = self.own["W_dec"].unflatten(1, (-1, _some(self.plan.out_width)))
        lengths = rows.norm(dim=2).sum(1)
        return (active.sizes * lengths[entries.cols]).sum() / self.n

    def _auxiliary(
        self, pre: Tensor, centred: Tensor, shift: Tensor | None, error: Tensor, zero: Tensor
    ) -> Tensor:
        which = self.dead.nonzero()[:, 0]
        if not self.plan.aux_k or not len(which):
            return zero
        chosen = top_entries(pre[:, which], self.plan.aux_k)[1]
        entries = Entries.of_indices(which[chosen], pre.shape[1])
        found = self._encoded(pre, centred, shift, entries)
        return (self._decoded(found, entries) + error).square().sum() / self.n

    def _result(
        self,
        total: Tensor,
        reconstruction: Tensor,
        penalty: Tensor,
        auxiliary: Tensor,
        extra: Tensor,
        active: Active,
        entries: Entries,
        error: Tensor,
    ) -> Losses:
        on = active.latents.detach() > 0
        fired = torch.zeros(self.plan.n_latents, dtype=torch.bool, device=on.device)
        fired[entries.cols[on]] = True
        if self.plan.activation.needs == ("b_enc", "threshold") and bool(on.any()):
            self.least = float(active.latents.detach()[on].min())
        shape = (-1, _some(self.plan.out_width))
        return Losses(
            total=total,
            reconstruction=reconstruction.detach(),
            penalty=penalty.detach(),
            auxiliary=auxiliary.detach(),
            extra=extra.detach(),
            l0=on.sum() / self.n,
            fired=fired,
            n=self.n,
            squared_error=error.detach().square().sum(),
            target_sum=self.target.sum(0).unflatten(0, shape),
            target_squares=self.target.square().sum(),
            on_backward=self._project,
        )

    def _project(self) -> None:
        if not self.plan.unit_norm:
            return
        for block in self.coder._blocks:
            weight = self.own[block.name]
            if weight.grad is not None:
                along = (weight.detach() * weight.grad).sum(1, keepdim=True)
                weight.grad.addcmul_(weight.detach(), along, value=-1)


def _detached(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in own.items()}


__all__ = ["Block", "SparseCoder"]
