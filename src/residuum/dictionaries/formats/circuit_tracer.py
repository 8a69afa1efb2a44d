"""circuit-tracer's per-layer transcoders: ``layer_{i}.safetensors`` and one ``config.yaml``.

``W_enc [latent d_in]``, ``W_dec [latent d_out]``, ``W_skip [d_out d_in]``; a threshold makes it
JumpReLU, without one it is ReLU. One folder holds the layers of one model; which one is meant is
said by the file, by ``at=``, or by there being only one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from residuum.core import LoadError
from residuum.dictionaries.formats import fields
from residuum.dictionaries.formats.parts import Parts, Place
from residuum.dictionaries.formats.sites import address_of, hook_of, layer_of
from residuum.dictionaries.formats.untrusted import damaged, safetensors, yaml_record

_CONFIG = "config.yaml"
_NEEDED = ("W_enc", "W_dec", "b_enc", "b_dec")
_THRESHOLD = "activation_function.threshold"
_FILE = re.compile(r"layer_(\d{1,6})\.safetensors")


@dataclass(frozen=True)
class CircuitTracer:
    """The layout of circuit-tracer's transcoder sets."""

    name: str = "circuit_tracer"
    files: tuple[str, ...] = (_CONFIG, "layer_*.safetensors")

    def matches(self, place: Place) -> bool:
        """Whether there are files of single layers."""
        if place.file is not None:
            return _FILE.fullmatch(place.file.name) is not None
        return bool(_layers(place))

    def read(self, place: Place) -> Parts:
        """The transcoder of one layer.

        Raises:
            LoadError, ShapeError: damaged files; several layers, and none chosen.
        """
        layer, path = _chosen(place)
        tensors = safetensors(path, (*_NEEDED, _THRESHOLD, "W_skip"))
        fields.need(tensors, _NEEDED, path)
        config = yaml_record(place.folder / _CONFIG) if place.has(_CONFIG) else {}
        threshold, skip = tensors.get(_THRESHOLD), tensors.get("W_skip")
        if threshold is not None and bool((threshold < 0).any()):
            raise damaged(
                path,
                "a threshold below 0 lets negative latents through, and no activation here does",
                "take one whose thresholds are 0 or above",
            )
        notes = fields.inner(config, fields.NOTE)
        return (
            Parts(
                format=self.name,
                activation="relu" if threshold is None else "jumprelu",
                W_enc=tensors["W_enc"].T.contiguous(),
                W_dec=tensors["W_dec"],
                b_dec=tensors["b_dec"],
                b_enc=tensors["b_enc"],
                W_skip=None if skip is None else skip.T.contiguous(),
                threshold=None if threshold is None else threshold.reshape(-1),
                reads=_site(config, "feature_input_hook", layer),
                writes=_site(config, "feature_output_hook", layer),
                model_name=fields.text(config, "model_name"),
                note=fields.inner(notes, str(layer)),
            )
            .one_dtype()
            .check(str(path))
        )

    def refusal(self, parts: Parts) -> str:
        """What circuit-tracer has no field for."""
        if not parts.is_transcoder:
            return "circuit-tracer keeps transcoders only"
        if parts.activation not in ("relu", "jumprelu", "batchtopk"):
            return f"circuit-tracer keeps ReLU and JumpReLU, not {parts.activation}"
        if parts.scale != 1.0:
            return "inputs are scaled, and circuit-tracer keeps no scale"
        if parts.b_in is not None:
            return "circuit-tracer subtracts nothing from the input"
        return "" if layer_of(parts.reads) is not None else "its site is of no layer"

    def write(self, parts: Parts, folder: Path) -> None:
        """One layer's file; ``config.yaml`` beside it is made, or gets this layer's facts."""
        layer = layer_of(parts.reads)
        tensors = {"W_enc": parts.W_enc.T, **{name: getattr(parts, name) for name in _NEEDED[1:]}}
        if parts.threshold is not None:
            tensors[_THRESHOLD] = parts.threshold
        if parts.W_skip is not None:
            tensors["W_skip"] = parts.W_skip.T
        plain = {name: each.contiguous().clone() for name, each in tensors.items()}
        path = folder / _CONFIG
        before = yaml_record(path) if path.is_file() else {}
        record = {
            "model_kind": "transcoder_set",
            "model_name": parts.model_name,
            "feature_input_hook": _hook(parts.reads),
            "feature_output_hook": _hook(parts.writes),
            "scan": fields.text(before, "scan") or parts.model_name or "residuum",
        }
        _need_same_set(path, before, record)
        notes = {**fields.inner(before, fields.NOTE), str(layer): dict(parts.note)}
        save_file(plain, folder / f"layer_{layer}.safetensors", metadata={"format": "pt"})
        # JSON is YAML, and is read back without surprises
        path.write_text(json.dumps({**record, fields.NOTE: notes}, indent=1))


def _layers(place: Place) -> dict[int, Path]:
    found = {}
    for each in place.folder.iterdir() if place.folder.is_dir() else ():
        match = _FILE.fullmatch(each.name)
        if match and each.is_file():
            found[int(match[1])] = each
    return found


def _chosen(place: Place) -> tuple[int, Path]:
    if place.file is not None:
        match = _FILE.fullmatch(place.file.name)
        assert match is not None  # matches() saw to it
        return int(match[1]), place.file
    layers = _layers(place)
    if place.layer is None and len(layers) == 1:
        return next(iter(layers.items()))
    if place.layer not in layers:
        held = ", ".join(map(str, sorted(layers)[:8])) + (", ..." if len(layers) > 8 else "")
        raise LoadError(
            f"the folder holds the transcoders of {len(layers)} layers ({held})",
            mend='say which: at="L3.mlp_out", or the path of layer_3.safetensors',
            where=str(place.folder),
        )
    return place.layer, layers[place.layer]


def _site(config: dict, name: str, layer: int) -> str | None:
    hook = fields.text(config, name)
    if not hook:
        return None
    return address_of(f"blocks.{layer}.{hook}") or address_of(hook)


def _hook(address: str | None) -> str:
    """The name of the hook within a block."""
    return "" if address is None else hook_of(address).split(".", 2)[-1]


def _need_same_set(path: Path, before: dict, record: dict) -> None:
    differ = [name for name in ("feature_input_hook", "feature_output_hook", "model_name")
              if before and before.get(name) != record[name]]  # fmt: skip
    if differ:
        raise LoadError(
            f"the folder holds transcoders of another set: {', '.join(differ)} differ",
            mend="write to a folder of its own",
            where=str(path),
        )
