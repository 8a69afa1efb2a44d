"""Path expansion: the logits of an attention-only model as a sum over paths through its heads."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import torch
from torch import Tensor

from residuum.core import AddressError, CheckFailed, OptionError, ShapeError
from residuum.heads.path_record import LogitPath, PathExpansion
from residuum.heads.reading import (
    NormMap,
    embedding,
    head_of,
    norm_map,
    output_of,
    projection,
    unembedding,
)
from residuum.models import Layer
from residuum.runs import Capture, Model, Run, need_model, refuse_unknown, shown, whole_number

_MOST_PATHS = 20_000
_AGREE = 1e-4


def path_expansion(
    model: Model, prompt: Any, *, order: int | None = None, **unknown: Any
) -> PathExpansion:
    """Write the logits of one prompt as a sum over paths through heads.

    Attention patterns and norm scales are frozen at their values in this run; what is left is
    linear, so every product of heads is a path: direct (embedding to unembedding), through one
    head, through two (a virtual head), and so on. Biases are sources of their own, by name.

    Args:
        model: an attention-only model.
        prompt: one text or row of ids.
        order: heads on the longest path that is told apart; all paths by default. What goes through
            more heads is computed too, one sum for each source.

    Returns:
        The expansion, in float64. Its sum is checked against the model's logits: in a float64 model
        it differs by less than 1e-10, in float32 by less than 1e-5 of the largest logit, which is
        the model's own rounding.

    Raises:
        OptionError: no model, an unknown option, several prompts, too many paths, an order above
            the number of layers.
        AddressError: a model with MLPs, post-norms, parallel blocks or unknown blocks.
        CheckFailed: an adapter or a hook on the weights that are read; a sum that differs from the
            logits by more than 1e-4 of their size.
        ShapeError: NaN or infinity in these weights.

    Shows: an exact decomposition of one prompt's logits. Does not show: what moves the patterns, or
    what a removal would do.

    Source: Elhage et al. (2021), "Path Expansion of Logits"; the frozen norm and the treatment of
    biases are added here.

    >>> import torch
    >>> import residuum as rz
    >>> from residuum import heads
    >>> from residuum.models.native import NativeConfig, NativeForCausalLM
    >>> model = rz.load(NativeForCausalLM(NativeConfig(n_heads=2, d_vocab=9, d_model=8)))
    >>> expansion = heads.path_expansion(model, torch.tensor([[1, 2, 3]]))
    >>> expansion.names[0], expansion.error < 1e-5
    ('embed → logits', True)
    """
    refuse_unknown(unknown, "path_expansion", "order")
    need_model(model, "path_expansion")
    parts = [_attention_only(model, layer) for layer in range(model.n_layers)]
    order = _order(order, len(parts))
    run = _one_prompt(model, prompt)
    assert run.logits is not None
    if not bool(torch.isfinite(run.logits).all()):
        raise ShapeError(
            "the logits of this prompt hold NaN or infinity",
            mend="look at the weights: training, conversion or loading made them so",
        )
    layers = [_Layer.of(model, part, run) for part in parts]
    _few_enough(layers, order, len(run.ids[0]) * model.dims.d_model)
    found: dict[LogitPath, Tensor] = {
        LogitPath("embed"): embedding(model, run.ids[0]).double().cpu()
    }
    if model.adapted.parts.pos_embed is not None:
        found[LogitPath("pos_embed")] = run["pos_embed"][0].double().cpu()
    for layer in layers:
        found = layer.expand(found, order)
    last = norm_map(model.adapted.parts.final_norm, model.dims.d_model)
    stream = run["resid_post", model.n_layers - 1][0].double().cpu()
    size = 1.0 if last is None else last.size(stream)
    unembed, constants = unembedding(model, fold=True)
    paths = sorted(found, key=lambda path: (path.rest, path.order))
    result = PathExpansion(
        tokens=tuple(model.to_str_tokens(run.ids[0])),
        paths=tuple(paths),
        streams=torch.stack([found[path] / size for path in paths]),
        unembed=unembed.double().cpu(),
        constants={name: value.double().cpu() for name, value in constants.items()},
        logits=run.logits[0].double().cpu(),
        error=0.0,
        order=order,
        provenance=model.provenance(strategy=f"path_expansion(order={order})"),
        words=model.to_str_tokens,
    )
    error = float((result.total() - result.logits).abs().max())
    if not error <= _AGREE * max(1.0, float(result.logits.abs().max())):  # NaN is no agreement
        raise CheckFailed(
            f"the paths sum to logits that are off by {error:.2e}",
            mend="report the model's family: its attention does more than patterns times values",
        )
    object.__setattr__(result, "error", error)
    return result


def _order(order: Any, n_layers: int) -> int:
    """Heads on the longest path that is told apart."""
    if order is None:
        return n_layers
    if whole_number(order, "order", 0) > n_layers:
        raise OptionError(
            f"order={order}: no path goes through more than {n_layers} heads, one in each layer",
            mend=f"use 0 to {n_layers}, or leave order out for all paths",
        )
    return order


def _attention_only(model: Model, layer: int) -> Layer:
    """The block, if the stream leaves it as stream plus heads and biases.

    Raises:
        AddressError: it does not.
    """
    part = head_of(model, layer, 0, "path_expansion", "vo")[0]
    writer = part.wiring == "sequential" and part.attn_writer is part.o_proj
    if part.has_mlp or not writer or model.adapted.family.logit_softcap:
        what = "an MLP" if part.has_mlp else "norms after attention, or a soft cap on its logits"
        raise AddressError(
            f"path expansion needs an attention-only model; block {layer} has {what}",
            mend="use direct logit attribution and path patching for this model",
        )
    return part


def _one_prompt(model: Model, prompt: Any) -> Run:
    sites = [Capture("L*.pattern"), Capture("L*.resid_pre"), Capture("L*.resid_post")]
    if model.adapted.parts.pos_embed is not None:
        sites.append(Capture("pos_embed"))
    run = model.run(prompt, capture=sites)
    if run.ids.shape[0] != 1:
        raise OptionError(
            f"path expansion takes one prompt at a time, got {shown(run.ids.shape[0])}",
            mend="give a single text or row of ids",
        )
    return run


def _few_enough(layers: list[_Layer], order: int, numbers: int) -> None:
    """Refuse expansions that would hold too many paths."""
    heads, count = len(layers[0].values), 0
    for start in range(len(layers) + 1):  # sources appear at every layer
        left = len(layers) - start
        sources = 2 if start == 0 else 3
        count += sources * sum(comb(left, k) * heads**k for k in range(min(order, left) + 1))
    if count > _MOST_PATHS or count * numbers > 2**28:
        raise OptionError(
            f"up to {count} paths of {order} heads are too many",
            mend=f"tell fewer heads apart: order={max(0, order - 1)}, or give a shorter prompt",
        )


@dataclass(frozen=True)
class _Layer:
    """One block as linear maps at one run's patterns and norm scale, float64."""

    index: int
    norm: NormMap | None
    size: Tensor | float
    pattern: Tensor
    values: list[Tensor]
    outs: list[Tensor]
    biases: dict[str, Tensor]

    @staticmethod
    def of(model: Model, part: Layer, run: Run) -> _Layer:
        norm = norm_map(part.ln1, model.dims.d_model)
        pattern = run["pattern", part.index][0].double().cpu()
        stream = run["resid_pre", part.index][0].double().cpu()
        values, outs = [], []
        for head in range(part.projections.n_heads):
            kv_head = head_of(model, part.index, head, "path_expansion")[2]
            values.append(projection(part, "v", kv_head).double().cpu())
            outs.append(output_of(part, head).double().cpu())
        return _Layer(
            index=part.index,
            norm=norm,
            size=1.0 if norm is None else norm.size(stream),
            pattern=pattern,
            values=values,
            outs=outs,
            biases=_biases(part, norm, pattern, values, outs),
        )

    def expand(self, paths: dict[LogitPath, Tensor], order: int) -> dict[LogitPath, Tensor]:
        """Every path as it is, and once more through each head."""
        found = dict(paths)
        for path, stream in paths.items():
            for head in range(len(self.values)):
                through = self._through(head, stream)
                if path.rest or path.order >= order:
                    longer = LogitPath(path.source, rest=True)
                else:
                    longer = LogitPath(path.source, (*path.heads, f"L{self.index}H{head}"))
                found[longer] = found[longer] + through if longer in found else through
        for name, stream in self.biases.items():
            found[LogitPath(f"L{self.index}.{name}")] = stream
        return found

    def _through(self, head: int, stream: Tensor) -> Tensor:
        normed = stream if self.norm is None else self.norm.apply(stream) / self.size
        return self.pattern[head] @ (normed @ self.values[head]) @ self.outs[head]


def _biases(
    part: Layer, norm: NormMap | None, pattern: Tensor, values: list[Tensor], outs: list[Tensor]
) -> dict[str, Tensor]:
    """What the block's constants add to the stream, ``[pos d_model]`` each, zeros left out."""
    length = pattern.shape[-2]
    out = getattr(part.o_proj, "bias", None)
    found: dict[str, Tensor] = {}
    if isinstance(out, Tensor):
        found["b_O"] = (out.detach().double().cpu() * part.scale).expand(length, -1)
    stored = part.projections.bias("v")
    group = part.projections.n_heads // part.projections.n_kv_heads
    weight = pattern.sum(-1)[..., None]
    if stored is not None:
        constants = [stored[head // group].detach().double().cpu() for head in range(len(values))]
        found["b_V"] = sum(w * (c @ o) for w, c, o in zip(weight, constants, outs, strict=True))  # type: ignore[assignment]
    if norm is not None:
        constants = [norm.bias @ value for value in values]
        found["b_ln1"] = sum(w * (c @ o) for w, c, o in zip(weight, constants, outs, strict=True))  # type: ignore[assignment]
    return {name: stream for name, stream in found.items() if bool(stream.any())}
