"""A sparse coder in training: parameters, losses, gradients that touch only active latents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, OptionError, Provenance, ShapeError, StoreError
from residuum.dictionaries.coding.batch_share import BatchShare, whole_batch
from residuum.dictionaries.coding.coder_layout import blocks_of
from residuum.dictionaries.coding.coder_start import first_values
from residuum.dictionaries.coding.coder_step import CoderStep
from residuum.dictionaries.coding.geometric_median import geometric_median
from residuum.dictionaries.coding.late_mean import LateMean
from residuum.dictionaries.coding.losses import Losses
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.coding.row_norms import make_unit
from residuum.dictionaries.coding.sparse_products import WeightGradient
from residuum.dictionaries.coding.training_rules import rule_of
from residuum.dictionaries.record.cross_layer import CrossLayerTranscoder
from residuum.dictionaries.record.dictionary import Dictionary


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
    """

    def __init__(
        self,
        plan: CoderPlan,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        assert plan.writes is not None and plan.out_width is not None
        self._writes: tuple[Address, ...] = plan.writes
        self._out_width: int = plan.out_width
        self.plan = plan
        self.seed = seed
        self.scale = 1.0
        self._threshold = LateMean()
        self._rule = rule_of(plan.activation)
        self._blocks = blocks_of(plan)
        self._last: Losses | None = None
        self._parameters = {
            name: value.to(device, dtype).requires_grad_()
            for name, value in first_values(plan, seed).items()
        }
        self._gradients = {
            name: WeightGradient(self._parameters[name])
            for name in ("W_enc", *(each.name for each in self._blocks))
        }
        self._room = torch.empty(0)
        self.silent = torch.zeros(plan.n_latents, dtype=torch.int64, device=device)

    def parameters(self) -> dict[str, Tensor]:
        """What is learnt, by name; the same tensors at every call.

        Here both large weights have latents first, and the sites' axis in one with the width:
        ``W_enc [latent read·d_in]``, ``W_dec [latent write·d_out]``. A :class:`Dictionary` has
        ``W_enc [read d_in latent]``, that is turned, and ``W_dec [latent write d_out]``.
        """
        return dict(self._parameters)

    @property
    def threshold(self) -> float | None:
        """Mean of the smallest active latent over the last steps (BatchTopK); None before one."""
        return self._threshold.value

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
        inputs: Tensor,
        targets: Tensor | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        dead: Tensor | None = None,
        share: BatchShare | None = None,
    ) -> Losses:
        """All losses of a batch, or of a share of it.

        Args:
            inputs: activations read, ``[n read d_in]``.
            targets: activations to rebuild, ``[n write d_out]``; None: the inputs.
            weights: coefficients ``penalty`` (1 where not given) and ``auxiliary``
                (``plan.aux_weight``).
            dead: ``[latent]`` bool; None: by the coder's own count.
            share: what these rows are of a batch whose others are elsewhere; None: the whole.

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
        if self._room.shape[0] != len(x):
            self._room = x.new_empty(len(x), self.plan.n_latents)
        own = (self._blocks, self._parameters, self._gradients)
        step = CoderStep(self.plan, *own, x, t, self._room, share or whole_batch(len(x)))
        self._last = step.losses(coefficients, self.dead if dead is None else dead)
        return self._last

    def after_step(self, losses: Losses | None = None) -> None:
        """After the optimiser: decoder norms, threshold of BatchTopK, count of silent latents.

        Args:
            losses: of the whole batch; None: those of the last call of :meth:`losses`.
        """
        last = self._last if losses is None else losses
        if last is None:
            raise OptionError("after_step without losses", mend="call losses(...) first")
        if self.plan.unit_norm:
            for block in self._blocks:
                make_unit(self._parameters[block.name])
        if last.least is not None:
            self._threshold.add(last.least)
        self.silent += last.n
        self.silent[last.fired] = 0
        self._last = None

    def lie_in(self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Have the parameters, and gradients of large weights, where other processes see them.

        Args:
            parameters: all by name; taken as they are.
            gradients: buffers by name; those of other parameters are passed over.
        """
        for name, each in self._parameters.items():
            each.data = parameters[name]
        for name, each in self._gradients.items():
            if name in gradients:
                each.lie_in(gradients[name])

    def _flat(self, inputs: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
        plan, like = self.plan, self._parameters["b_dec"]
        reads, writes = (len(plan.reads), plan.width), (len(self._writes), self._out_width)
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
    ) -> Dictionary | CrossLayerTranscoder:
        """What was learnt so far, as a record (copies)."""
        own = {name: value.detach().clone() for name, value in self._parameters.items()}
        vectors = self._rule.finished(own, self.threshold)
        shared: dict[str, Any] = {
            "activation": self.plan.activation,
            "scale": self.scale,
            "model_name": model_name,
            "weight_hash": weight_hash,
            "tokenizer_hash": tokenizer_hash,
            "declared": dict(declared or {}),
            "provenance": provenance,
        }
        if len(self._blocks) > 1:
            return CrossLayerTranscoder(
                tuple(self._layer(i, own, vectors, shared) for i in range(len(self._blocks)))
            )
        b_dec = own["b_dec"].unflatten(0, (-1, self._out_width))
        return Dictionary(
            reads=self.plan.reads,
            writes=self._writes,
            W_enc=own["W_enc"].T.contiguous().unflatten(0, (-1, self.plan.width)),
            W_dec=own["W_dec"].unflatten(1, (-1, self._out_width)),
            b_dec=b_dec,
            b_in=b_dec.clone() if self.plan.centred else None,
            W_skip=own.get("W_skip"),
            models=self.plan.models,
            **vectors,
            **shared,
        )

    def _layer(
        self, i: int, own: Mapping[str, Tensor], vectors: Mapping[str, Tensor], shared: Any
    ) -> Dictionary:
        block = self._blocks[i]
        latents = slice(block.first, block.last)
        b_dec = torch.zeros_like(own["b_dec"].unflatten(0, (-1, self._out_width)))[block.writes]
        if i == 0:  # the sum of all layers' outputs has the bias once
            b_dec = own["b_dec"].unflatten(0, (-1, self._out_width))
        return Dictionary(
            reads=self.plan.reads[block.reads],
            writes=self._writes[block.writes],
            W_enc=own["W_enc"][latents].T.contiguous()[None],
            W_dec=own[block.name].unflatten(1, (-1, self._out_width)),
            b_dec=b_dec,
            **{name: value[latents].clone() for name, value in vectors.items()},
            **shared,
        )

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs, as copies: parameters, scale, counters."""
        own = {name: value.detach().clone() for name, value in self._parameters.items()}
        nan = math.nan if self.threshold is None else self.threshold
        numbers = torch.tensor([self.scale, nan, self._threshold.count], dtype=torch.float64)
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
        self.scale, threshold, count = state["coder.numbers"].tolist()
        self._threshold.restore(None if math.isnan(threshold) else threshold, int(count))
        self._last = None
