"""What each part of the stream adds to a difference of logits, prompt by prompt."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from residuum.core import Address
from residuum.lenses.final_norm import FrozenNorm, freeze_norm, logit_factor
from residuum.models import Batch, Layer
from residuum.models.norms import frozen_scale
from residuum.models.projections import linear_weight
from residuum.models.weights import output_heads
from residuum.runs import Model, Run


@dataclass(frozen=True)
class Reading:
    """A direction in the unembedding: mean of the answers' columns minus mean of the wrong ones'.

    Attributes:
        vector: ``[batch d_model]``, the family's logit factor in it, float64.
        bias: ``[batch]``, the same of the unembedding's bias.
    """

    vector: Tensor
    bias: Tensor


@dataclass
class Terms:
    """Contributions of one batch.

    Attributes:
        named: term -> ``[batch]``.
        neurons: layer -> ``[batch d_mlp]``; with the bias behind them they sum to ``mlp_out``.
        neuron_bias: layer -> ``[batch]``, of the MLP's output projection.
        sources: layer -> ``[batch head k_pos]``.
        pre_cap: ``[batch]``, the difference from what the final norm handed on.
        logits: ``[batch]``, the difference of the model's own logits.
        scale: ``[batch]``, the final norm's frozen scale.
        largest: largest logit of any token there, by size.
    """

    named: dict[str, Tensor] = field(default_factory=dict)
    neurons: dict[int, Tensor] = field(default_factory=dict)
    neuron_bias: dict[int, Tensor] = field(default_factory=dict)
    sources: dict[int, Tensor] = field(default_factory=dict)
    pre_cap: Tensor = field(default_factory=lambda: torch.zeros(0))
    logits: Tensor = field(default_factory=lambda: torch.zeros(0))
    scale: Tensor = field(default_factory=lambda: torch.zeros(0))
    largest: float = 0.0


def reading_of(model: Model, answers: Tensor, wrong: Tensor) -> Reading:
    """The direction that reads these tokens, ``[batch n]`` ids padded with -1."""
    parts = model.adapted.parts
    matrix, factor = model.W_U, logit_factor(parts)
    assert isinstance(matrix, Tensor) and parts.unembed is not None
    bias = getattr(parts.unembed, "bias", None)
    vector = torch.zeros(len(answers), matrix.shape[0], dtype=torch.float64)
    offset = torch.zeros(len(answers), dtype=torch.float64)
    for sign, ids in ((1.0, answers.cpu()), (-1.0, wrong.cpu())):
        if not ids.shape[1]:
            continue
        real = (ids >= 0).double()
        share = sign * factor * real / real.sum(-1, keepdim=True).clamp_min(1)
        chosen = ids.clamp_min(0).to(matrix.device)
        columns = matrix[:, chosen].cpu().double()  # [d_model batch n]
        vector += torch.einsum("mbn,bn->bm", columns, share)
        if isinstance(bias, Tensor):
            offset += (bias.detach()[chosen].cpu().double() * share).sum(-1)
    return Reading(vector, offset)


def terms_of(
    model: Model,
    batch: Batch,
    answers: Tensor,
    wrong: Tensor,
    *,
    pos: int = -1,
    neurons: bool = False,
    sources: bool = False,
) -> Terms:
    """Contributions of every part at one position of each prompt."""
    parts = model.adapted.parts
    run = model.run(batch, capture=_wanted(model, pos, neurons, sources))
    reading = reading_of(model, answers, wrong)
    stream = run[f"L{model.n_layers - 1}.resid_post@{pos}"]
    norm = freeze_norm(parts.final_norm, stream)
    back = norm.pull_back(reading.vector)
    found = Terms(scale=norm.scale)
    _front(model, run, pos, back, found)
    for layer in parts.layers:
        _attention(layer, run, pos, back, found, sources)
        if layer.has_mlp:
            _mlp(layer, run, pos, back, found, neurons)
    _back(model, run, pos, norm, reading, found)
    logits = run[f"logits@{pos}"].cpu().double()
    found.logits = _read_off(logits, answers.cpu(), wrong.cpu())
    found.largest = float(logits.abs().nan_to_num(0.0, posinf=0.0).max())
    return found


def _wanted(model: Model, pos: int, neurons: bool, sources: bool) -> list[str]:
    parts = model.adapted.parts
    at = f"@{pos}"
    wanted = ["embed" + at, "logits" + at, f"L{model.n_layers - 1}.resid_post{at}"]
    wanted += ["pos_embed" + at] if Address("pos_embed") in model.adapted.taps else []
    wanted += ["ln_final" + at] if parts.final_norm is not None else []
    for layer in parts.layers:
        names = ["z" + at] + (["attn_out" + at] if layer.attn_writer is not layer.o_proj else [])
        names += ["mlp_out" + at] if layer.has_mlp else []
        names += ["mlp_act" + at] if neurons and has_neurons(layer) else []
        names += ["pattern" + at, "v"] if sources else []
        wanted += [f"L{layer.index}.{name}" for name in names]
    return wanted


def has_neurons(layer: Layer) -> bool:
    """Whether the block's MLP is one row of neurons (not a mixture of experts)."""
    return layer.mlp_out is not None and layer.mlp_kind != "moe"


def _work(value: Tensor) -> Tensor:
    return value.detach().cpu().double()


def _front(model: Model, run: Run, pos: int, back: Tensor, found: Terms) -> None:
    for name in ("embed", "pos_embed"):
        if f"{name}@{pos}" in run:
            found.named[name] = (_work(run[f"{name}@{pos}"]) * back).sum(-1)


def _attention(layer: Layer, run: Run, pos: int, back: Tensor, found: Terms, sources: bool) -> None:
    index = layer.index
    z = run[f"L{index}.z@{pos}"]  # [batch head d_head]
    through = back * layer.scale
    if layer.attn_writer is not layer.o_proj:
        with torch.no_grad():
            raw = layer.o_proj(z.flatten(-2)[:, None])
        out = run[f"L{index}.attn_out@{pos}"][:, None] / layer.scale
        through = through * _work(frozen_scale(layer.attn_writer, raw, out))[:, 0]
    read = torch.einsum("hdm,bm->bhd", _work(output_heads(layer)), through)
    for head, value in enumerate((_work(z) * read).sum(-1).unbind(-1)):
        found.named[f"L{index}.head_out[H{head}]"] = value
    bias = getattr(layer.o_proj, "bias", None)
    if isinstance(bias, Tensor):
        found.named[f"L{index}.b_O"] = through @ _work(bias)
    if sources:
        pattern, v = run[f"L{index}.pattern@{pos}"], run[f"L{index}.v"]
        v = v.repeat_interleave(z.shape[1] // v.shape[2], dim=2)
        found.sources[index] = _work(pattern) * torch.einsum("bkhd,bhd->bhk", _work(v), read)


def _mlp(layer: Layer, run: Run, pos: int, back: Tensor, found: Terms, neurons: bool) -> None:
    index = layer.index
    out = run[f"L{index}.mlp_out@{pos}"]
    found.named[f"L{index}.mlp_out"] = (_work(out) * back).sum(-1)
    if not neurons or not has_neurons(layer):
        return
    assert layer.mlp_out is not None
    act, through = run[f"L{index}.mlp_act@{pos}"], back * layer.scale
    writer = layer.mlp_writer
    if writer is not None and writer is not layer.mlp_out:
        with torch.no_grad():
            raw = layer.mlp_out(act[:, None])
        through = through * _work(frozen_scale(writer, raw, out[:, None] / layer.scale))[:, 0]
    bias = getattr(layer.mlp_out, "bias", None)
    has_bias = isinstance(bias, Tensor)
    found.neuron_bias[index] = through @ _work(bias) if has_bias else through.new_zeros(len(act))
    found.neurons[index] = _work(act) * (through @ _work(linear_weight(layer.mlp_out)).T)


def _back(
    model: Model, run: Run, pos: int, norm: FrozenNorm, reading: Reading, found: Terms
) -> None:
    """The biases at the end, and the difference read off what the final norm handed on."""
    parts = model.adapted.parts
    if bool(norm.bias.any()):
        found.named["b_ln_final"] = reading.vector @ norm.bias
    assert parts.unembed is not None
    if isinstance(getattr(parts.unembed, "bias", None), Tensor):
        found.named["b_U"] = reading.bias
    last = "ln_final" if parts.final_norm is not None else f"L{model.n_layers - 1}.resid_post"
    found.pre_cap = (_work(run[f"{last}@{pos}"]) * reading.vector).sum(-1) + reading.bias


def _read_off(logits: Tensor, answers: Tensor, wrong: Tensor) -> Tensor:
    """Mean logit of the answers minus mean of the wrong ones (none counts as zero); ``[batch]``."""
    total = torch.zeros(len(logits), dtype=torch.float64)
    for sign, ids in ((1.0, answers), (-1.0, wrong)):
        if ids.shape[1]:
            real = (ids >= 0).double()
            values = logits.gather(-1, ids.clamp_min(0)) * real
            total += sign * values.sum(-1) / real.sum(-1).clamp_min(1)
    return total
