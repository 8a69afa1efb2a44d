"""dictionary_learning: ``ae.pt`` (a state dict) and ``config.json``.

Its matrices are those of ``nn.Linear``: ``encoder.weight [latent d_in]``, ``decoder.weight
[d_in latent]``; JumpReLU and Matryoshka keep ``W_enc [d_in latent]``, ``W_dec [latent d_in]``.
Which class it is follows from the names of the tensors and the record, and both must agree.
Reading takes tensors only (``weights_only``). Its own loader reads nothing but what ``torch.save``
writes, so writing does that, with a plain record of tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import LoadError
from residuum.dictionaries.formats import fields
from residuum.dictionaries.formats.parts import Parts, Place
from residuum.dictionaries.formats.sites import address_of, layer_of
from residuum.dictionaries.formats.untrusted import damaged, json_record, torch_archive

_WEIGHTS, _CONFIG, _EVALUATION = "ae.pt", "config.json", "eval_results.json"
_LINEAR = ("encoder.weight", "decoder.weight")
_PLAIN = ("W_enc", "W_dec", "b_enc", "b_dec")
_COUNTS = ("k", "threshold")
_TENSORS: dict[str, tuple[str, ...]] = {
    "AutoEncoder": (*_LINEAR, "encoder.bias", "bias"),
    "AutoEncoderNew": (*_LINEAR, "encoder.bias", "decoder.bias"),
    "GatedAutoEncoder": (*_LINEAR, "decoder_bias", "r_mag", "gate_bias", "mag_bias"),
    "AutoEncoderTopK": (*_LINEAR, "encoder.bias", "b_dec", *_COUNTS),
    "BatchTopKSAE": (*_LINEAR, "encoder.bias", "b_dec", *_COUNTS),
    "JumpReluAutoEncoder": (*_PLAIN, "threshold"),
    "MatryoshkaBatchTopKSAE": (*_PLAIN, *_COUNTS, "group_sizes"),
}
_OPTIONAL = ("threshold", "k")
_ALL = tuple({name for names in _TENSORS.values() for name in names})
_SITES = (("resid_pre", "resid_pre"), ("resid", "resid_post"), ("mlp", "mlp_out"),
          ("att", "attn_out"))  # fmt: skip
_NEVER = -1.0
"""What it writes as the threshold of a dictionary that has none yet."""


@dataclass(frozen=True)
class DictionaryLearning:
    """The layout of dictionary_learning."""

    name: str = "dictionary_learning"
    files: tuple[str, ...] = (_WEIGHTS, _CONFIG, _EVALUATION)

    def matches(self, place: Place) -> bool:
        """Whether ``ae.pt`` is there (or the file asked for is a ``.pt``)."""
        return place.has(_WEIGHTS) or (place.file is not None and place.file.suffix == ".pt")

    def read(self, place: Place) -> Parts:
        """The dictionary.

        Raises:
            LoadError, ShapeError: damaged files, code in the pickle, a class that is not known.
        """
        path = place.file if place.file is not None else place.folder / _WEIGHTS
        tensors = torch_archive(path, _ALL)
        config = json_record(place.folder / _CONFIG) if place.has(_CONFIG) else {}
        trainer = fields.inner(config, "trainer") or config
        kind = _class_of(path, tensors, fields.text(trainer, "dict_class"))
        fields.need(tensors, _required(kind), path)
        common: dict[str, Any] = {
            "format": self.name,
            "reads": (site := _site(trainer)),
            "writes": site,
            "model_name": fields.text(trainer, "lm_name"),
            "declared": _declared(place),
            "note": fields.inner(config, fields.NOTE),
        }
        parts = _parts(path, kind, tensors, common).one_dtype()
        fields.agree(
            place.folder / _CONFIG,
            activation_dim=(fields.count(trainer, "activation_dim", path), parts.d_in),
            dict_size=(fields.count(trainer, "dict_size", path), parts.n_latents),
        )
        return parts.check(str(place.folder))

    def refusal(self, parts: Parts) -> str:
        """What dictionary_learning has no class for."""
        if parts.is_transcoder:
            return "dictionary_learning keeps autoencoders only"
        if parts.scale != 1.0:
            return "inputs are scaled, and dictionary_learning keeps no scale"
        free = parts.activation == "jumprelu" or (parts.activation == "relu" and parts.b_in is None)
        if free and parts.b_in is not None:
            return "its JumpReLU class subtracts nothing from the input"
        if not free and not parts.tied:
            return f"its {parts.activation} class subtracts b_dec, and b_in is not b_dec"
        if parts.activation == "batchtopk" and _single(parts.threshold) is None:
            return "its BatchTopK class has one threshold for all latents"
        return ""

    def write(self, parts: Parts, folder: Path) -> None:
        """Two files; ``ae.pt`` holds a record of plain tensors and no object."""
        kind = _kind_to_write(parts)
        tensors = {name: each.contiguous().clone() for name, each in _named(parts, kind).items()}
        torch.save(tensors, folder / _WEIGHTS)
        trainer = {
            "dict_class": kind,
            "trainer_class": None,
            "activation_dim": parts.d_in,
            "dict_size": parts.n_latents,
            "k": parts.k,
            "lm_name": parts.model_name or None,
            "layer": layer_of(parts.reads),
            "submodule_name": parts.reads,
        }
        record = {"trainer": trainer, "buffer": {}, fields.NOTE: dict(parts.note)}
        (folder / _CONFIG).write_text(json.dumps(record, indent=1))


def _required(kind: str) -> tuple[str, ...]:
    must = kind == "JumpReluAutoEncoder"
    return tuple(name for name in _TENSORS[kind] if must or name not in _OPTIONAL)


def _class_of(path: Path, tensors: Mapping[str, Tensor], said: str) -> str:
    """The class whose tensors these are; where two have the same, the one that the record says."""
    has = set(tensors)
    fitting = [k for k, names in _TENSORS.items() if set(_required(k)) <= has <= set(names)]
    if said in fitting:
        return said
    if said and said in _TENSORS:
        raise LoadError(
            f"config.json says {said}, the tensors are of {' or '.join(fitting) or 'no class'}",
            mend="the files are of two dictionaries; fetch them again",
            where=str(path),
        )
    if said:
        raise damaged(
            path, f"the class {said!r:.40} is not known", f"known are: {', '.join(_TENSORS)}"
        )
    if len(fitting) != 1:
        raise damaged(
            path,
            f"its tensors are those of {' or '.join(fitting) or 'no class that is known'}",
            "put its config.json beside it, which says the class",
        )
    return fitting[0]


def _parts(path: Path, kind: str, tensors: Mapping[str, Tensor], common: dict[str, Any]) -> Parts:
    if kind in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        W_enc, W_dec = tensors["W_enc"], tensors["W_dec"]
    else:
        W_enc = tensors["encoder.weight"].T.contiguous()
        W_dec = tensors["decoder.weight"].T.contiguous()
    matrices: dict[str, Any] = {"W_enc": W_enc, "W_dec": W_dec, **common}
    bias = tensors.get("encoder.bias", tensors.get("b_enc"))
    if kind == "AutoEncoderNew":
        return Parts(activation="relu", b_enc=bias, b_dec=tensors["decoder.bias"], **matrices)
    if kind == "JumpReluAutoEncoder":
        return Parts(
            activation="jumprelu",
            b_enc=bias,
            b_dec=tensors["b_dec"],
            threshold=tensors["threshold"],
            **matrices,
        )
    b_dec = next(tensors[name] for name in ("bias", "b_dec", "decoder_bias") if name in tensors)
    matrices |= {"b_dec": b_dec, "b_in": b_dec.clone()}
    if kind == "AutoEncoder":
        return Parts(activation="relu", b_enc=bias, **matrices)
    if kind == "GatedAutoEncoder":
        gates = {"b_gate": "gate_bias", "b_mag": "mag_bias", "r_mag": "r_mag"}
        return Parts(
            activation="gated", **{ours: tensors[name] for ours, name in gates.items()}, **matrices
        )
    k = _k(path, tensors)
    matrices |= {"k": k, "b_enc": bias, "declared": {"l0": float(k), **common["declared"]}}
    if kind == "AutoEncoderTopK":
        return Parts(activation="topk", **matrices)
    return Parts(
        activation="batchtopk",
        threshold=_spread(path, tensors, W_enc),
        prefixes=_prefixes(tensors),
        **matrices,
    )


def _k(path: Path, tensors: Mapping[str, Tensor]) -> int:
    k = tensors.get("k")
    if k is None or k.numel() != 1 or int(k) < 1:
        raise damaged(path, "it lacks k, the number of latents that are kept")
    return int(k)


def _spread(path: Path, tensors: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """The one threshold, for each latent; below 0 (never set) nothing but ReLU is left."""
    single = tensors.get("threshold")
    if single is None or single.numel() != 1:
        raise damaged(path, "it lacks the threshold of a BatchTopK dictionary")
    value = single.reshape(())
    dtype = torch.promote_types(value.dtype, like.dtype)
    return value.to(dtype).expand(like.shape[1]).contiguous()


def _prefixes(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    sizes = tensors.get("group_sizes")
    return () if sizes is None else tuple(sizes.cumsum(0).tolist())


def _site(trainer: Mapping[str, Any]) -> str | None:
    """Its site: ``submodule_name`` in words and ``layer``; without words the block's output."""
    words, layer = fields.text(trainer, "submodule_name"), trainer.get("layer")
    known = address_of(words) if words else None
    if known is not None:
        return known
    if type(layer) is not int or layer < 0:
        return None
    if not words:
        return f"L{layer}.resid_post"
    return next((f"L{layer}.{site}" for mark, site in _SITES if mark in words), None)


def _declared(place: Place) -> dict[str, float]:
    found = json_record(place.folder / _EVALUATION) if place.has(_EVALUATION) else {}
    named = {"l0": "l0", "explained_variance": "frac_variance_explained"}
    values = {ours: fields.number(found, theirs) for ours, theirs in named.items()}
    return {name: value for name, value in values.items() if value is not None}


def _single(threshold: Tensor | None) -> Tensor | None:
    same = threshold is not None and bool((threshold == threshold[0]).all())
    return threshold[0] if same and threshold is not None else None


def _kind_to_write(parts: Parts) -> str:
    if parts.activation == "relu":
        return "AutoEncoder" if parts.b_in is not None else "AutoEncoderNew"
    if parts.activation == "batchtopk" and parts.prefixes:
        return "MatryoshkaBatchTopKSAE"
    return {
        "topk": "AutoEncoderTopK",
        "batchtopk": "BatchTopKSAE",
        "jumprelu": "JumpReluAutoEncoder",
        "gated": "GatedAutoEncoder",
    }[parts.activation]


def _named(parts: Parts, kind: str) -> dict[str, Tensor]:
    """The tensors under its names, in its order of axes."""
    own = dict(parts.tensors())
    if kind in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        found = {name: own[name] for name in _PLAIN}
    else:
        found = {"encoder.weight": own["W_enc"].T, "decoder.weight": own["W_dec"].T}
        names = {"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias",
                 "GatedAutoEncoder": "decoder_bias"}  # fmt: skip
        found[names.get(kind, "b_dec")] = own["b_dec"]
        if "b_enc" in own:
            found["encoder.bias"] = own["b_enc"]
    if kind == "GatedAutoEncoder":
        found |= {"gate_bias": own["b_gate"], "mag_bias": own["b_mag"], "r_mag": own["r_mag"]}
    if kind == "JumpReluAutoEncoder":
        found["threshold"] = own["threshold"]
    if parts.k is not None:
        single = _single(parts.threshold)
        found["k"] = torch.tensor(parts.k, dtype=torch.int)
        found["threshold"] = torch.tensor(_NEVER) if single is None else single
    if kind == "MatryoshkaBatchTopKSAE":
        ends = torch.tensor([0, *parts.prefixes])
        found["group_sizes"] = ends.diff()
    return found
