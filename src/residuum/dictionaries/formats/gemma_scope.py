"""Gemma Scope 1 (``params.npz``) and 2 (``params.safetensors`` and ``config.json``): JumpReLU.

Both keep ``W_enc [d_in latent]`` and ``W_dec [latent d_out]`` (2 in small letters, and a skip
``[d_in d_out]``) and subtract nothing from the input. The first says its site, width and L0 only
in its path: ``gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82``. Its ``mlp`` dictionaries
read the MLP's contribution to the stream, after the post-norm, which is ``mlp_out`` here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from residuum.dictionaries.formats import fields
from residuum.dictionaries.formats.parts import Parts, Place
from residuum.dictionaries.formats.sites import address_of, layer_of
from residuum.dictionaries.formats.untrusted import (
    damaged,
    json_record,
    numpy_archive,
    safetensors,
)

_NPZ, _WEIGHTS, _CONFIG = "params.npz", "params.safetensors", "config.json"
_NEEDED = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
_SMALL = tuple(name.lower() for name in _NEEDED)
_SKIP = "affine_skip_connection"
_LAYER = re.compile(r"layer_(\d{1,6})(?!\d)")
_L0 = re.compile(r"average_l0_(\d{1,6})(?!\d)")
_FAMILY = re.compile(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)")
_SITES = {"res": "resid_post", "mlp": "mlp_out", "att": "z"}
_FLOATS = (torch.float32, torch.float64, torch.float16)


@dataclass(frozen=True)
class GemmaScope1:
    """The layout of the first Gemma Scope."""

    name: str = "gemma_scope"
    files: tuple[str, ...] = (_NPZ, _CONFIG)

    def matches(self, place: Place) -> bool:
        """Whether ``params.npz`` is there."""
        return place.has(_NPZ)

    def read(self, place: Place) -> Parts:
        """The dictionary.

        Raises:
            LoadError, ShapeError: damaged files.
        """
        path = place.folder / _NPZ
        tensors = numpy_archive(path, (*_NEEDED, "scaling_factor"))
        fields.need(tensors, _NEEDED, path)
        extra = tensors.pop("scaling_factor", None)
        if extra is not None and not bool((extra == 1).all()):
            raise damaged(path, "latents are scaled after training", "fold that scale into W_dec")
        config = json_record(place.folder / _CONFIG) if place.has(_CONFIG) else {}
        reads, writes, scale = _path_says(place.hint, tensors)
        l0 = _L0.search(place.hint)
        own: dict[str, Any] = {name: tensors[name] for name in _NEEDED}
        parts = Parts(
            format=self.name,
            activation="jumprelu",
            **own,
            scale=scale,
            reads=reads,
            writes=writes,
            model_name=_path_model(place.hint),
            declared={} if l0 is None else {"l0": float(l0[1])},
            note=fields.inner(config, fields.NOTE),
        )
        return parts.one_dtype().check(str(place.folder))

    def refusal(self, parts: Parts) -> str:
        """What this layout has no field for."""
        if parts.W_skip is not None:
            return "it has no skip connection"
        if parts.W_enc.dtype not in _FLOATS:
            return "NumPy has no bfloat16"
        return _common_refusal(parts)

    def write(self, parts: Parts, folder: Path) -> None:
        """``params.npz``, and a ``config.json`` with what it cannot say."""
        arrays: dict[str, Any] = {name: getattr(parts, name).numpy() for name in _NEEDED}
        np.savez(folder / _NPZ, **arrays)
        (folder / _CONFIG).write_text(json.dumps({fields.NOTE: dict(parts.note)}, indent=1))


@dataclass(frozen=True)
class GemmaScope2:
    """The layout of the second Gemma Scope."""

    name: str = "gemma_scope_2"
    files: tuple[str, ...] = (_WEIGHTS, _CONFIG)

    def matches(self, place: Place) -> bool:
        """Whether ``params.safetensors`` is there."""
        return place.has(_WEIGHTS)

    def read(self, place: Place) -> Parts:
        """The dictionary.

        Raises:
            LoadError, ShapeError: damaged files; a cross-layer transcoder.
        """
        path = place.folder / _WEIGHTS
        tensors = safetensors(path, (*_SMALL, _SKIP))
        if "w_dec" in tensors and tensors["w_dec"].ndim == 3:
            raise damaged(
                path, "it writes at several layers", "cross-layer transcoders are not read yet"
            )
        fields.need(tensors, _SMALL, path)
        config = json_record(place.folder / _CONFIG) if place.has(_CONFIG) else {}
        kind = fields.word(config, "architecture", path.with_name(_CONFIG), "jump_relu")
        if kind != "jump_relu":
            raise damaged(path.with_name(_CONFIG), f"its architecture is {kind!r:.40}")
        own: dict[str, Any] = {
            name: tensors[small] for name, small in zip(_NEEDED, _SMALL, strict=True)
        }
        reads = address_of(fields.text(config, "hf_hook_point_in")) or _folder_site(place.hint)
        writes = address_of(fields.text(config, "hf_hook_point_out")) or _folder_out(place.hint)
        l0 = fields.number(config, "l0")
        return (
            Parts(
                format=self.name,
                activation="jumprelu",
                **own,
                W_skip=tensors.get(_SKIP),
                reads=reads,
                writes=writes or reads,
                model_name=fields.text(config, "model_name"),
                declared={} if l0 is None else {"l0": l0},
                note=fields.inner(config, fields.NOTE),
            )
            .one_dtype()
            .check(str(place.folder))
        )

    def refusal(self, parts: Parts) -> str:
        """What this layout has no field for."""
        return _common_refusal(parts)

    def write(self, parts: Parts, folder: Path) -> None:
        """``params.safetensors`` and ``config.json``."""
        tensors = {name.lower(): getattr(parts, name) for name in _NEEDED}
        if parts.W_skip is not None:
            tensors[_SKIP] = parts.W_skip
        plain = {name: each.contiguous().clone() for name, each in tensors.items()}
        save_file(plain, folder / _WEIGHTS, metadata={"format": "pt"})
        record = {
            "architecture": "jump_relu",
            "model_name": parts.model_name,
            "hf_hook_point_in": _gemma_module(parts.reads),
            "hf_hook_point_out": _gemma_module(parts.writes),
            "width": parts.n_latents,
            "l0": parts.declared.get("l0"),
            "affine_connection": parts.W_skip is not None,
            fields.NOTE: dict(parts.note),
        }
        (folder / _CONFIG).write_text(json.dumps(record, indent=1))


def _common_refusal(parts: Parts) -> str:
    if parts.activation not in ("jumprelu", "batchtopk"):
        return f"Gemma Scope keeps JumpReLU only, not {parts.activation}"
    if parts.scale != 1.0:
        return "inputs are scaled, and Gemma Scope keeps no scale"
    return "" if parts.b_in is None else "Gemma Scope subtracts nothing from the input"


def _path_says(hint: str, tensors: dict[str, Tensor]) -> tuple[str | None, str | None, float]:
    """Sites and scale that a path of the first Gemma Scope means.

    Its dictionaries of the embedding read it before Gemma multiplies it by sqrt(d_model); ``embed``
    here is what is added to the stream, after that.
    """
    family, layer = _FAMILY.search(hint), _LAYER.search(hint)
    if "embedding" in hint:
        return "embed", "embed", float(tensors["W_enc"].shape[0] ** -0.5)
    if family is None or layer is None:
        return None, None, 1.0
    if family[3] == "transcoders":
        return f"L{int(layer[1])}.ln2", f"L{int(layer[1])}.mlp_out", 1.0
    site = f"L{int(layer[1])}.{_SITES[family[3]]}"
    return site, site, 1.0


def _path_model(hint: str) -> str:
    family = _FAMILY.search(hint)
    if family is None:
        return ""
    return f"google/gemma-2-{family[1]}{'-it' if family[2] == 'it' else ''}"


def _folder_site(hint: str) -> str | None:
    layer = _LAYER.search(hint)
    if layer is None:
        return None
    if "transcoder" in hint:
        return f"L{int(layer[1])}.ln2"
    marks = {"resid_post": "resid_post", "attn_out": "z", "mlp_out": "mlp_out"}
    return next((f"L{int(layer[1])}.{site}" for mark, site in marks.items() if mark in hint), None)


def _folder_out(hint: str) -> str | None:
    layer = _LAYER.search(hint)
    return f"L{int(layer[1])}.mlp_out" if layer is not None and "transcoder" in hint else None


def _gemma_module(address: str | None) -> str | None:
    """The module of a Gemma 3 block whose output the site is."""
    layer = layer_of(address)
    if address is None or layer is None:
        return address
    names = {
        "resid_post": "output",
        "ln2": "pre_feedforward_layernorm.output",
        "mlp_out": "post_feedforward_layernorm.output",
        "attn_out": "post_attention_layernorm.output",
        "z": "self_attn.o_proj.input",
    }
    part = names.get(address.split(".", 1)[1])
    return address if part is None else f"model.layers.{layer}.{part}"
