"""SAELens (6 and later): ``cfg.json`` and ``sae_weights.safetensors``.

``W_enc [d_in latent]``, ``W_dec [latent d_out]``; ``W_skip`` is stored ``[d_out d_in]``. Its
training checkpoints (``batchtopk``, ``matryoshka_batchtopk``) are read as what they are at
inference; a file ``activation_scaler.json`` beside them is the scale of their inputs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from residuum.core import LoadError
from residuum.dictionaries.formats import fields
from residuum.dictionaries.formats.parts import ActivationName, Parts, Place
from residuum.dictionaries.formats.sites import address_of, hook_of
from residuum.dictionaries.formats.untrusted import damaged, json_record, safetensors

_CONFIG, _WEIGHTS, _SCALER = "cfg.json", "sae_weights.safetensors", "activation_scaler.json"
_GATED = ("b_gate", "b_mag", "r_mag")
_TENSORS = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold", "topk_threshold", "W_skip", *_GATED)
_ACTIVATION: dict[str, ActivationName] = {
    "standard": "relu",
    "topk": "topk",
    "batchtopk": "batchtopk",
    "matryoshka_batchtopk": "batchtopk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
_PER_VECTOR = {"layer_norm", "constant_norm_rescale", "covariance_whitening"}


@dataclass(frozen=True)
class SAELens:
    """The layout of SAELens."""

    name: str = "saelens"
    files: tuple[str, ...] = (_CONFIG, _WEIGHTS, _SCALER)

    def matches(self, place: Place) -> bool:
        """Whether ``sae_weights.safetensors`` is there."""
        return place.has(_WEIGHTS)

    def read(self, place: Place) -> Parts:
        """The dictionary.

        Raises:
            LoadError, ShapeError: damaged files, unknown kinds, inputs normalised one by one.
        """
        path = place.folder / _CONFIG
        config = json_record(path)
        tensors = safetensors(place.folder / _WEIGHTS, _TENSORS)
        kind = fields.word(config, "architecture", path, "standard")
        if fields.text(config, "activation_fn", "activation_fn_str") == "topk":
            kind = "topk"
        if kind not in _ACTIVATION:
            raise damaged(path, f"its architecture {kind!r:.40} is not known here", _known())
        bias = _GATED if kind == "gated" else ("b_enc",)
        fields.need(tensors, ("W_enc", "W_dec", "b_dec", *bias), path.with_name(_WEIGHTS))
        parts = _parts(place, config, kind, tensors)
        fields.agree(
            path,
            d_in=(fields.count(config, "d_in", path), parts.d_in),
            d_sae=(fields.count(config, "d_sae", path), parts.n_latents),
            d_out=(fields.count(config, "d_out", path), parts.d_out),
        )
        return parts.check(str(place.folder))

    def refusal(self, parts: Parts) -> str:
        """What SAELens has no architecture or field for."""
        if parts.scale != 1.0:
            return "inputs are scaled, and SAELens keeps no scale"
        if parts.is_transcoder and parts.activation not in ("relu", "jumprelu", "batchtopk"):
            return f"SAELens has no {parts.activation} transcoder"
        if parts.is_transcoder and parts.b_in is not None:
            return "a transcoder of SAELens subtracts nothing from its input"
        if parts.b_in is not None and not parts.tied:
            return "SAELens subtracts b_dec from the input or nothing, and b_in is neither"
        return ""

    def write(self, parts: Parts, folder: Path) -> None:
        """Two files; a BatchTopK dictionary becomes JumpReLU, as SAELens does it itself."""
        skip = {} if parts.W_skip is None else {"W_skip": parts.W_skip.T}
        names = {name: each for name, each in parts.tensors() if name not in ("b_in", "W_skip")}
        tensors = {name: each.contiguous().clone() for name, each in (names | skip).items()}
        save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
        (folder / _CONFIG).write_text(json.dumps(_config(parts), indent=1))


def _parts(place: Place, config: dict[str, Any], kind: str, tensors: dict[str, Tensor]) -> Parts:
    path = place.folder / _CONFIG
    metadata = fields.inner(config, "metadata")
    transcoder = "transcoder" in kind
    centred = fields.switch(config, "apply_b_dec_to_input", path, not transcoder)
    if fields.switch(config, "finetuning_scaling_factor", path, False):
        raise damaged(path, "latents are scaled after training", "fold that scale into W_dec first")
    hook, out = (_hook(config, metadata, each) for each in ("", "_out"))
    k = fields.count(config, "k", path)
    k = k or fields.count(fields.inner(config, "activation_fn_kwargs"), "k", path)
    skip = tensors.get("W_skip")
    parts = Parts(
        format="saelens",
        activation=_ACTIVATION[kind],
        W_enc=tensors["W_enc"],
        W_dec=tensors["W_dec"],
        b_dec=tensors["b_dec"],
        b_enc=tensors.get("b_enc"),
        b_in=tensors["b_dec"].clone() if centred and not transcoder else None,
        W_skip=None if skip is None else skip.T.contiguous(),
        threshold=_threshold(tensors, kind, path),
        **{name: tensors[name] for name in _GATED if kind == "gated"},
        k=k if kind in ("topk", "batchtopk", "matryoshka_batchtopk") else None,
        scale=_scale(place, config),
        reads=hook,
        writes=out if transcoder else hook,
        model_name=fields.text(metadata, "model_name") or fields.text(config, "model_name"),
        declared={} if k is None else {"l0": float(k)},
        prefixes=_prefixes(config),
        note=fields.inner(metadata, fields.NOTE),
    ).one_dtype()
    return _folded_norms(parts) if config.get("rescale_acts_by_decoder_norm") is True else parts


def _hook(config: dict[str, Any], metadata: dict[str, Any], end: str) -> str | None:
    for record in (metadata, config):
        for name in (f"hf_hook_name{end}", f"hook_name{end}", f"hook_point{end}"):
            found = fields.text(record, name)
            if found:
                return address_of(found)
    return None


def _threshold(tensors: dict[str, Tensor], kind: str, path: Path) -> Tensor | None:
    """Of JumpReLU; where SAELens keeps one number for all latents, that number for each."""
    if _ACTIVATION[kind] not in ("jumprelu", "batchtopk"):
        return None
    name = "threshold" if _ACTIVATION[kind] == "jumprelu" else "topk_threshold"
    fields.need(tensors, (name,), path.with_name(_WEIGHTS))
    single = tensors[name].to(tensors["W_enc"].dtype)
    return single.expand(len(tensors["b_enc"])).contiguous()


def _folded_norms(parts: Parts) -> Parts:
    """Latents in units of their decoder vectors: norms go from the decoder to the encoder."""
    norms = parts.W_dec.norm(dim=1)
    assert parts.b_enc is not None
    return replace(
        parts,
        W_enc=parts.W_enc * norms,
        b_enc=parts.b_enc * norms,
        W_dec=parts.W_dec / norms[:, None],
    )


def _scale(place: Place, config: dict[str, Any]) -> float:
    """What inputs are multiplied by."""
    path = place.folder / _CONFIG
    how = config.get("normalize_activations")
    if not isinstance(how, str | bool | None):
        raise damaged(path, f"normalize_activations is {how!r:.40}")
    if how in _PER_VECTOR:
        raise LoadError(
            f"inputs are normalised by {how}, vector by vector: no constant can stand for that",
            mend="train or fetch one without it, or one whose scale is folded into the weights",
            where=str(path),
        )
    scaler = json_record(place.folder / _SCALER) if place.has(_SCALER) else {}
    factor = fields.number(scaler, "scaling_factor")
    if factor is not None and factor > 0:
        return factor
    if scaler.get("scaling_factor") is not None:
        raise damaged(place.folder / _SCALER, f"scaling_factor is {scaler['scaling_factor']!r:.40}")
    if how in ("expected_average_only_in", True):
        raise LoadError(
            "its inputs were scaled in training, and the factor is not in the files",
            mend=f"save the inference model in SAELens, or add {_SCALER} of the same checkpoint",
            where=str(path),
        )
    if how not in (None, False, "none"):
        raise damaged(path, f"normalize_activations is {how!r:.40}")
    return 1.0


def _prefixes(config: dict[str, Any]) -> tuple[int, ...]:
    widths = config.get("matryoshka_widths")
    plain = isinstance(widths, list) and all(type(each) is int and each > 0 for each in widths)
    return tuple(widths) if plain and widths is not None else ()


def _architecture(parts: Parts) -> str:
    single = {"relu": "standard", "batchtopk": "jumprelu"}.get(parts.activation, parts.activation)
    if not parts.is_transcoder:
        return single
    jump = "" if single == "standard" else "jumprelu_"
    return f"{jump}{'' if parts.W_skip is None else 'skip_'}transcoder"


def _config(parts: Parts) -> dict[str, Any]:
    hooks = {"hook_name": hook_of(parts.reads)} if parts.reads else {}
    if parts.is_transcoder and parts.writes:
        hooks["hook_name_out"] = hook_of(parts.writes)
    return {
        "architecture": _architecture(parts),
        "d_in": parts.d_in,
        "d_sae": parts.n_latents,
        "dtype": str(parts.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": parts.b_in is not None,
        "normalize_activations": "none",
        "reshape_activations": "none",
        **({"d_out": parts.d_out} if parts.is_transcoder else {}),
        **({"k": parts.k} if parts.activation == "topk" else {}),
        **({"rescale_acts_by_decoder_norm": False} if parts.activation == "topk" else {}),
        "metadata": {
            "sae_lens_version": "6.0.0",
            "sae_lens_training_version": None,
            "model_name": parts.model_name or None,
            **hooks,
            fields.NOTE: dict(parts.note),
        },
    }


def _known() -> str:
    return f"known are: {', '.join(_ACTIVATION)}"
