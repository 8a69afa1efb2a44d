"""sparsify: ``cfg.json`` and ``sae.safetensors``.

``encoder.weight [latent d_in]``, ``W_dec [latent d_out]``, ``W_skip [d_out d_in]``. An autoencoder
subtracts ``b_dec`` from its input, a transcoder nothing. The folder's name is the module that it
was trained on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from residuum.dictionaries.formats import fields
from residuum.dictionaries.formats.parts import Parts, Place
from residuum.dictionaries.formats.sites import address_of, module_of
from residuum.dictionaries.formats.untrusted import damaged, json_record, safetensors

_CONFIG, _WEIGHTS = "cfg.json", "sae.safetensors"
_NEEDED = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")


@dataclass(frozen=True)
class Sparsify:
    """The layout of sparsify."""

    name: str = "sparsify"
    files: tuple[str, ...] = (_CONFIG, _WEIGHTS)

    def matches(self, place: Place) -> bool:
        """Whether ``sae.safetensors`` is there."""
        return place.has(_WEIGHTS)

    def read(self, place: Place) -> Parts:
        """The dictionary.

        Raises:
            LoadError, ShapeError: damaged files; an activation other than TopK.
        """
        path = place.folder / _CONFIG
        config = json_record(path)
        tensors = safetensors(place.folder / _WEIGHTS, (*_NEEDED, "W_skip"))
        fields.need(tensors, _NEEDED, path.with_name(_WEIGHTS))
        how = fields.word(config, "activation", path, "topk")
        if how != "topk" or fields.switch(config, "signed", path, False):
            raise damaged(path, f"its activation is {how!r:.40}, not TopK", "take a TopK one")
        transcodes = fields.switch(config, "transcode", path, False)
        skip = tensors.get("W_skip")
        if skip is not None and not transcodes:
            raise damaged(path, "an autoencoder with a skip connection", "take a transcoder")
        k = fields.count(config, "k", path)
        if k is None:
            raise damaged(path, "it does not say k")
        reads, writes = _sites(place, transcodes)
        parts = Parts(
            format=self.name,
            activation="topk",
            W_enc=tensors["encoder.weight"].T.contiguous(),
            W_dec=tensors["W_dec"],
            b_dec=tensors["b_dec"],
            b_enc=tensors["encoder.bias"],
            b_in=None if transcodes else tensors["b_dec"].clone(),
            W_skip=None if skip is None else skip.T.contiguous(),
            k=k,
            reads=reads,
            writes=writes,
            model_name=_model_name(place),
            declared={"l0": float(k)},
            note=fields.inner(config, fields.NOTE),
        ).one_dtype()
        fields.agree(path, d_in=(fields.count(config, "d_in", path), parts.d_in))
        return parts.check(str(place.folder))

    def refusal(self, parts: Parts) -> str:
        """What sparsify has no field for."""
        if parts.activation != "topk":
            return f"sparsify keeps TopK only, not {parts.activation}"
        if parts.scale != 1.0:
            return "inputs are scaled, and sparsify keeps no scale"
        if parts.is_transcoder and parts.b_in is not None:
            return "a transcoder of sparsify subtracts nothing from its input"
        if not parts.is_transcoder and not parts.tied:
            return "sparsify subtracts b_dec from the input, and b_in is not b_dec"
        if parts.d_in != parts.d_out:
            return "sparsify writes vectors as wide as it reads"
        return ""

    def write(self, parts: Parts, folder: Path) -> None:
        """Two files. Its own tools read the site from the folder's name, ``layers.5.mlp``."""
        tensors = {
            "encoder.weight": parts.W_enc.T,
            "encoder.bias": parts.b_enc,
            "W_dec": parts.W_dec,
            "b_dec": parts.b_dec,
        }
        if parts.W_skip is not None:
            tensors["W_skip"] = parts.W_skip.T
        plain = {
            name: each.contiguous().clone() for name, each in tensors.items() if each is not None
        }
        save_file(plain, folder / _WEIGHTS, metadata={"format": "pt"})
        (folder / _CONFIG).write_text(json.dumps(_config(parts), indent=1))


def _sites(place: Place, transcodes: bool) -> tuple[str | None, str | None]:
    """From the folder's name; a module that is transcoded is read before it and written after."""
    module = place.folder.name
    site = address_of(module)
    if not transcodes or site is None:
        return site, site
    before = address_of(f"{module}.input")
    return before, site


def _model_name(place: Place) -> str:
    outer = place.folder.parent / "config.json"
    return fields.text(json_record(outer), "model") if outer.is_file() else ""


def _config(parts: Parts) -> dict[str, Any]:
    return {
        "activation": "topk",
        "expansion_factor": max(1, parts.n_latents // parts.d_in),
        "normalize_decoder": True,
        "num_latents": parts.n_latents,
        "k": parts.k,
        "multi_topk": False,
        "skip_connection": parts.W_skip is not None,
        "transcode": parts.is_transcoder,
        "d_in": parts.d_in,
        "hookpoint": None if parts.writes is None else module_of(parts.writes),
        fields.NOTE: dict(parts.note),
    }
