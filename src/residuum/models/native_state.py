"""Native models from and to state dicts under TransformerLens's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from residuum.core import LoadError
from residuum.models.native_config import NativeConfig
from residuum.models.native_model import NativeForCausalLM

_BUFFER = re.compile(r"^blocks\.\d+\.attn\.(mask|IGNORE)$")
_LAYER = re.compile(r"^blocks\.(\d+)\.")
_WHERE = "TransformerLens state dict"


@dataclass(frozen=True)
class _Entry:
    """One tensor: its name there and here, and the way its axes are stored."""

    theirs: str
    ours: str
    kind: str  # "plain", "transposed", "heads_in", "heads_out", "head_bias"


def native_from_transformer_lens(
    state_dict: Mapping[str, Tensor],
    n_ctx: int | None = None,
    act: str | None = None,
    normalization: str | None = "infer",
    layer_norm_eps: float = 1e-5,
    attn_scale: float | None = None,
) -> NativeForCausalLM:
    """Build a native model from tensors under TransformerLens's names, inferring its parts.

    Args:
        state_dict: ``embed.W_E`` [d_vocab, d_model], ``blocks.i.attn.W_Q``
            [head, d_model, d_head] and so on; attention masks are skipped.
        n_ctx: context length; needed only where there is no ``pos_embed.W_pos`` to read it from.
        act: activation of the MLP; a state dict does not say it, so it is required with an MLP.
        normalization: ``"infer"`` finds a LayerNorm by its weights. A LayerNorm *folded* into the
            weights around it leaves none: say ``"layernorm"`` to have one of weight 1, bias 0.
        layer_norm_eps, attn_scale: further numbers that a state dict does not hold.

    Returns:
        The model, in evaluation mode, in the dtype of the state dict.

    Raises:
        LoadError: tensors missing, unknown, or of shapes that contradict each other; what must
            be said and is not.
    """
    state = {name: t for name, t in state_dict.items() if not _BUFFER.match(name)}
    config = _infer(state, n_ctx, act, normalization, layer_norm_eps, attn_scale)
    entries = _entries(config)
    if normalization == "layernorm" and "ln_final.w" not in state:
        for name in (e.theirs for e in entries if re.search(r"ln(1|2|_final)\.[wb]$", e.theirs)):
            make = torch.ones if name.endswith("w") else torch.zeros
            state[name] = make(config.d_model, dtype=state["embed.W_E"].dtype)
    _check_names(state, {entry.theirs for entry in entries})
    model = NativeForCausalLM(config)
    torch.nn.Module.to(model, state["embed.W_E"].dtype)
    ours = {entry.ours: _to_ours(state[entry.theirs], entry, config) for entry in entries}
    _check_shapes(ours, entries, model.state_dict())
    model.load_state_dict(ours)
    return model.eval()


def native_to_transformer_lens(model: NativeForCausalLM) -> dict[str, Tensor]:
    """Copy a native model's weights out under TransformerLens's names and axis order."""
    ours = model.state_dict()
    return {
        entry.theirs: _to_theirs(ours[entry.ours], entry, model.config).clone(
            memory_format=torch.contiguous_format
        )
        for entry in _entries(model.config)
    }


def load_native_folder(path: str | Path, **options: Any) -> NativeForCausalLM:
    """Load a folder that holds only ``model.safetensors`` under TransformerLens's names.

    Args:
        path: the folder.
        options: as for :func:`native_from_transformer_lens`.

    Raises:
        LoadError: no such file, a damaged one, or as :func:`native_from_transformer_lens`.
    """
    file = Path(path) / "model.safetensors"
    if not file.is_file():
        raise LoadError(
            "the folder has no model.safetensors",
            mend="give the folder that holds it; other formats are not read",
            where=str(path),
        )
    try:
        state = load_file(file)
    except (SafetensorError, OSError) as error:
        raise LoadError(
            f"model.safetensors cannot be read: {error}",
            mend="copy the file again; it is damaged or no safetensors file",
            where=str(file),
        ) from error
    return native_from_transformer_lens(state, **options)


def _infer(
    state: Mapping[str, Tensor],
    n_ctx: int | None,
    act: str | None,
    normalization: str | None,
    eps: float,
    attn_scale: float | None,
) -> NativeConfig:
    """Read the configuration off the names and shapes."""
    needed = {"embed.W_E", "unembed.W_U", "blocks.0.attn.W_Q"}
    if needed - state.keys():
        _refuse("missing", needed - state.keys())
    w_q = state["blocks.0.attn.W_Q"]
    if w_q.ndim != 3:
        _refuse_shape("blocks.0.attn.W_Q", w_q, "[head, d_model, d_head]")
    d_mlp = state["blocks.0.mlp.W_in"].shape[1] if "blocks.0.mlp.W_in" in state else None
    if d_mlp is not None and act is None:
        raise LoadError(
            "the state dict has an MLP and does not say its activation",
            mend='give act="relu", "gelu" (exact), "gelu_new" (tanh) or "silu"',
            where=_WHERE,
        )
    if normalization == "infer":
        normalization = "layernorm" if any("ln" in name for name in state) else None
    return NativeConfig(
        n_layers=1 + max(int(m.group(1)) for m in map(_LAYER.match, state) if m),
        d_model=state["embed.W_E"].shape[1],
        n_heads=w_q.shape[0],
        d_head=w_q.shape[2],
        d_mlp=d_mlp,
        act=act or "relu",
        normalization=normalization,
        positions="learned" if "pos_embed.W_pos" in state else None,
        attn_bias=any(".attn.b_" in name for name in state),
        mlp_bias=any(".mlp.b_" in name for name in state),
        unembed_bias="unembed.b_U" in state,
        d_vocab=state["embed.W_E"].shape[0],
        d_vocab_out=state["unembed.W_U"].shape[1],
        n_ctx=_context(state, n_ctx),
        layer_norm_eps=eps,
        attn_scale=attn_scale,
    )


def _context(state: Mapping[str, Tensor], n_ctx: int | None) -> int:
    positions = state.get("pos_embed.W_pos")
    length = n_ctx if positions is None else positions.shape[0]
    if length is None:
        raise LoadError(
            "without pos_embed.W_pos the context length is unknown",
            mend="give n_ctx=",
            where=_WHERE,
        )
    if n_ctx not in (None, length):
        raise LoadError(
            f"n_ctx={n_ctx} contradicts pos_embed.W_pos with {length} positions",
            mend="leave n_ctx out",
            where=_WHERE,
        )
    return length


def _entries(config: NativeConfig) -> list[_Entry]:
    """Every tensor that a model of this configuration has."""
    rows = [_Entry("embed.W_E", "model.embed.weight", "plain")]
    if config.positions is not None:
        rows.append(_Entry("pos_embed.W_pos", "model.pos_embed.weight", "plain"))
    for layer in range(config.n_layers):
        rows += _block_entries(config, f"blocks.{layer}.")
    if config.normalization is not None:
        rows += _norm_entries("ln_final.", "model.ln_final.")
    rows.append(_Entry("unembed.W_U", "lm_head.weight", "transposed"))
    if config.unembed_bias:
        rows.append(_Entry("unembed.b_U", "lm_head.bias", "plain"))
    return rows


def _block_entries(config: NativeConfig, block: str) -> list[_Entry]:
    ours = f"model.{block}"
    rows = []
    for letter in "QKVO":
        kind = "heads_out" if letter == "O" else "heads_in"
        proj = f"{ours}attn.{letter.lower()}_proj."
        rows.append(_Entry(f"{block}attn.W_{letter}", f"{proj}weight", kind))
        if config.attn_bias:
            kind = "plain" if letter == "O" else "head_bias"
            rows.append(_Entry(f"{block}attn.b_{letter}", f"{proj}bias", kind))
    names = ["ln1"]
    if config.d_mlp is not None:
        names.append("ln2")
        for side in ("in", "out"):
            fc = f"{ours}mlp.fc_{side}."
            rows.append(_Entry(f"{block}mlp.W_{side}", f"{fc}weight", "transposed"))
            if config.mlp_bias:
                rows.append(_Entry(f"{block}mlp.b_{side}", f"{fc}bias", "plain"))
    if config.normalization is not None:
        for name in names:
            rows += _norm_entries(f"{block}{name}.", f"{ours}{name}.")
    return rows


def _norm_entries(theirs: str, ours: str) -> list[_Entry]:
    return [_Entry(f"{theirs}w", f"{ours}weight", "plain"),
            _Entry(f"{theirs}b", f"{ours}bias", "plain")]  # fmt: skip


def _to_ours(tensor: Tensor, entry: _Entry, config: NativeConfig) -> Tensor:
    if entry.kind.startswith("heads") and tensor.ndim != 3:
        _refuse_shape(entry.theirs, tensor, "three axes, head first")
    if entry.kind == "heads_in":
        return tensor.transpose(1, 2).reshape(-1, config.d_model)
    if entry.kind == "heads_out":
        return tensor.reshape(-1, config.d_model).T
    if entry.kind == "transposed":
        return tensor.T
    return tensor.reshape(-1) if entry.kind == "head_bias" else tensor


def _to_theirs(tensor: Tensor, entry: _Entry, config: NativeConfig) -> Tensor:
    n_heads = config.n_heads
    if entry.kind == "heads_in":
        return tensor.reshape(n_heads, -1, config.d_model).transpose(1, 2)
    if entry.kind == "heads_out":
        return tensor.T.reshape(n_heads, -1, config.d_model)
    if entry.kind == "transposed":
        return tensor.T
    return tensor.reshape(n_heads, -1) if entry.kind == "head_bias" else tensor


def _check_names(state: Mapping[str, Tensor], expected: set[str]) -> None:
    if expected - state.keys():
        _refuse("missing", expected - state.keys())
    if state.keys() - expected:
        _refuse("unknown", state.keys() - expected)


def _check_shapes(
    ours: Mapping[str, Tensor], entries: list[_Entry], expected: Mapping[str, Tensor]
) -> None:
    for entry in entries:
        got, want = ours[entry.ours], expected[entry.ours]
        if got.shape != want.shape:
            _refuse_shape(entry.theirs, got, f"{list(want.shape)} (as {entry.ours})")


def _refuse(problem: str, names: set[str]) -> None:
    listed = ", ".join(sorted(names)[:12]) + (" …" if len(names) > 12 else "")
    mends = {
        "missing": "save the whole state dict; all layers must have the same parts",
        "unknown": "native models have plain heads, ungated MLPs, LayerNorm or none, learned "
        "positions or none; load other kinds from their own transformers folder",
    }
    raise LoadError(f"{problem} tensors: {listed}", mend=mends[problem], where=_WHERE)


def _refuse_shape(name: str, tensor: Tensor, want: str) -> None:
    raise LoadError(
        f"{name} has shape {list(tensor.shape)}, expected {want}",
        mend="save it under TransformerLens's names in TransformerLens's axis order",
        where=_WHERE,
    )
