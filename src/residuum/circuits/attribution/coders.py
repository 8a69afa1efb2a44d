"""Transcoders in the MLPs' places: checked, by layer, with what each latent reads and writes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import Address, AddressError, LoadError, OptionError
from residuum.dictionaries import CrossLayerTranscoder, Dictionary, Gated
from residuum.dictionaries.judging.judged_rows import need_judgeable
from residuum.runs import Model, shown

_SAMPLE = 4096
_MEND = 'train one with reads=("L{l}.ln2",), writes=("L{l}.mlp_out",), or take it out'


@dataclass(frozen=True, eq=False)
class Hung:
    """One layer's transcoder.

    Attributes:
        layer: whose MLP it stands for; what its latents read.
        coder: in the working dtype.
        name: in addresses of its latents.
        raw: whether it reads the stream itself, before the MLP's norm.
    """

    layer: int
    coder: Dictionary
    name: str
    raw: bool

    @property
    def written(self) -> tuple[int, ...]:
        """Layers to whose MLP's output it adds."""
        return tuple(_layer(each) for each in self.coder.writes)

    def address(self, latent: int, pos: int) -> Address:
        """Of one latent at one token."""
        at = self.coder.reads[0]
        return Address(at.name, at.layer, part=latent, pos=pos, dictionary=self.name)

    def label(self, latent: int) -> str:
        """In words; empty where it has none."""
        return self.coder.labels.get(latent, "")

    def encoders(self, latents: Tensor) -> Float[Tensor, "target d_model"]:
        """What each latent's pre-activation takes of the site that is read."""
        rows = self.coder.W_enc[0].T[latents] * self.coder.scale
        return rows if self.coder.r_mag is None else rows * self.coder.r_mag[latents].exp()[:, None]

    def decoders(self, latents: Tensor, column: int) -> Float[Tensor, "latent d_model"]:
        """What one unit of each latent adds to the written layer in this column."""
        return self.coder.W_dec[latents, column] / self.coder.scale

    def constant(self, column: int) -> Tensor:
        """What it adds there without any latent."""
        return self.coder.b_dec[column] / self.coder.scale

    def pre(self, x: Tensor) -> Float[Tensor, "... latent"]:
        """Pre-activations: what the activation takes, and hands on where a latent is active."""
        own = self.coder
        read = x * own.scale if own.b_in is None else x * own.scale - own.b_in[0]
        raw = read @ own.W_enc[0]
        if isinstance(own.activation, Gated):
            assert own.r_mag is not None and own.b_mag is not None
            return raw * own.r_mag.exp() + own.b_mag
        assert own.b_enc is not None
        return raw + own.b_enc


@dataclass(frozen=True, eq=False)
class Hangings:
    """Every transcoder that stands in a model.

    Attributes:
        by_layer: layer -> its transcoder.
        kind: of them all.
        fingerprint: of their weights, so that others are noticed.
    """

    by_layer: Mapping[int, Hung]
    kind: str
    fingerprint: str

    def writing_to(self, layer: int) -> list[tuple[Hung, int]]:
        """Who writes to a layer's MLP output, and in which column."""
        pairs = ((each, each.written) for each in self.by_layer.values())
        return [(each, written.index(layer)) for each, written in pairs if layer in written]

    @property
    def sites(self) -> tuple[str, ...]:
        """What each reads and writes, in words."""
        found = []
        for each in self.by_layer.values():
            ends = ", ".join(map(str, each.coder.writes))
            found.append(f"{each.coder.reads[0]} -> {ends} ({each.coder.n_latents} latents)")
        return tuple(found)


def hang(model: Model, transcoders: Any, dtype: torch.dtype) -> Hangings:
    """Read and check transcoders.

    Args:
        model: the model.
        transcoders: layer -> dictionary, or its name on the model; or a cross-layer transcoder.
        dtype: in which latents are computed.

    Raises:
        OptionError: no transcoders, or ones that stand for no MLP of their layer.
        LoadError, AddressError: of another model.
    """
    if isinstance(transcoders, str):
        transcoders = _named(model, transcoders)
    if isinstance(transcoders, CrossLayerTranscoder):
        need_judgeable(model, transcoders)
        given = {_layer(each.reads[0]): each for each in transcoders.layers}
        kind = str(transcoders.kind)
    else:
        given, kind = _by_layer(transcoders), ""
    found = {}
    for layer in sorted(given):
        found[layer] = _hung(model, layer, given[layer], dtype)
    kinds = sorted({each.coder.kind for each in found.values()})
    return Hangings(found, kind or " and ".join(kinds), _fingerprint(found))


def _by_layer(transcoders: Any) -> dict[int, Any]:
    good = isinstance(transcoders, Mapping) and all(
        type(each) is int and each >= 0 for each in transcoders
    )
    if not good or not transcoders:
        got = "none" if isinstance(transcoders, Mapping) and good else shown(transcoders)
        raise OptionError(
            f"transcoders= names no transcoder of a layer: {got}",
            mend="give {0: dictionary, 1: dictionary, ...}, or a cross-layer transcoder",
        )
    return dict(transcoders)


def _named(model: Model, name: str) -> Any:
    if name not in model.dictionaries:
        there = ", ".join(model.dictionaries) or "none"
        raise OptionError(
            f"the model has no dictionary {shown(name)}; it has: {there}",
            mend="hang it on: model.dictionaries[name] = transcoder, or give the transcoder itself",
        )
    return model.dictionaries[name]


def _hung(model: Model, layer: int, given: Any, dtype: torch.dtype) -> Hung:
    name = given if isinstance(given, str) else "transcoder"
    coder = _named(model, given) if isinstance(given, str) else given
    if not isinstance(coder, Dictionary):
        raise OptionError(
            f"layer {layer} has {shown(coder)}, which is no dictionary",
            mend="give one from rz.load_dictionary(...) or training.dictionary",
        )
    need_judgeable(model, coder)
    _need_causal(coder, layer)
    part = model.adapted.parts.layers[layer]
    raw = _reads_stream(model, coder, layer)
    if not part.has_mlp:
        raise OptionError(f"block {layer} has no MLP", mend="leave its transcoder out")
    if coder.dtype != dtype or coder.device != model.device:
        coder = coder.to(dtype).to(model.device)
    return Hung(layer, coder, name, raw)


def _need_causal(coder: Dictionary, layer: int) -> None:
    ends = [_layer(each) for each in coder.writes]
    why = ""
    if len(coder.reads) != 1:
        why = f"reads {len(coder.reads)} sites at once"
    elif coder.reads == coder.writes:
        why = f"is an {coder.kind} of {coder.reads[0]}, no transcoder"
    elif coder.reads[0].layer != layer:
        why = f"reads {coder.reads[0]}, which is of another layer"
    elif {each.name for each in coder.writes} != {"mlp_out"}:
        why = f"writes {', '.join(map(str, coder.writes))}, not what an MLP adds"
    elif min(ends) < layer or len(set(ends)) < len(ends) or layer not in ends:
        why = f"writes {', '.join(map(str, coder.writes))}"
    if why:
        raise OptionError(
            f"the dictionary for layer {layer} {why}",
            mend=_MEND.format(l=layer),
            where=f"transcoders[{layer}]",
        )


def _reads_stream(model: Model, coder: Dictionary, layer: int) -> bool:
    """Whether it reads the stream, not what the norm makes of it.

    Raises:
        OptionError: it reads what the layer's MLP does not.
    """
    part, at = model.adapted.parts.layers[layer], coder.reads[0]
    parallel = part.wiring == "parallel"
    normed = "ln1" if parallel and part.ln2 is None else "ln2"
    streams = ("mlp_in", "resid_pre" if parallel else "resid_mid")
    if at.name not in (normed, *streams):
        raise OptionError(
            f"the dictionary for layer {layer} reads {at}, which its MLP does not",
            mend=f"take one that reads L{layer}.{normed} or L{layer}.mlp_in",
            where=f"transcoders[{layer}]",
        )
    return at.name in streams


def _layer(at: Address) -> int:
    if not isinstance(at.layer, int):
        raise AddressError(f"{at} is of no layer", mend="transcoders read and write one layer's")
    return at.layer


def _fingerprint(found: Mapping[int, Hung]) -> str:
    """A hash over sites, shapes and a sample of the weights."""
    digest = hashlib.sha256()
    for layer, each in found.items():
        digest.update(f"{layer} {each.coder.reads} {each.coder.writes}".encode())
        for name, value in each.coder.tensors().items():
            flat = value.reshape(-1)
            some = flat[:: max(1, len(flat) // _SAMPLE)].to("cpu", torch.float32)
            digest.update(f"{name} {list(value.shape)}".encode() + some.numpy().tobytes())
    return digest.hexdigest()


def need_same(hangings: Hangings, fingerprint: str) -> None:
    """Refuse other transcoders than a graph was made with.

    Raises:
        LoadError: they are others.
    """
    if hangings.fingerprint != fingerprint:
        raise LoadError(
            "these are other transcoders than those of the graph",
            mend="give those that the graph was made with, or make it again with these",
        )
