"""Where else a dictionary could hang: the other places that a fit check compares with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from residuum.core import Address, LoadError
from residuum.models import Dims
from residuum.runs import Model, resolve

BEFORE = "before its post-norm"


@dataclass(frozen=True)
class BeforeNorm:
    """What an MLP or attention hands to the norm that stands between it and the stream.

    It is no site (the stream never holds it), but other tools' hooks on the module see it, so a
    dictionary may have been trained on it: for Gemma 2 and OLMo 2, ``model.layers.4.mlp``.

    Attributes:
        at: what the norm makes of it, which is what is added to the stream.
    """

    at: Address

    @property
    def name(self) -> str:
        """Its name, apart from the layer."""
        return f"{self.at.name} {BEFORE}"

    @property
    def layer(self) -> Any:
        """Its layer."""
        return self.at.layer

    def __str__(self) -> str:
        return f"{self.at} {BEFORE}"


Spot = Address | BeforeNorm
Pair = tuple[tuple[Spot, ...], tuple[Spot, ...]]
"""What is read and what is written."""
MOST = 48
"""Places compared with, at most; nearer layers come first."""


def norm_after(model: Model, at: Address) -> nn.Module | None:
    """The norm between a module and the stream; None where what it makes is added as it is."""
    if at.name not in ("mlp_out", "attn_out") or not isinstance(at.layer, int):
        return None
    part = model.adapted.parts.layers[at.layer]
    if part.opaque or part.wiring == "post_norm_encoder":
        return None
    return part.post_mlp_norm if at.name == "mlp_out" else part.post_attn_norm


def width_at(dims: Dims, at: Address) -> int | None:
    """Length of the one vector a token that a site holds, heads joined; None where it holds none.

    Widths of MLPs and of expert layers are not asked for: no published dictionary reads them.
    """
    if at.site.dims == ("batch", "pos", "d_model"):
        return dims.d_model
    if at.name in ("z", "q"):
        return dims.n_heads * dims.d_head
    return None


def need_sites(model: Model, dictionary: Any) -> None:
    """Refuse sites that the model lacks, or that hold vectors of another width.

    Raises:
        AddressError, SiteRefused: it lacks one.
        LoadError: another width.
    """
    W_dec = getattr(dictionary, "W_dec", None)
    written = dictionary.width if W_dec is None else W_dec.shape[-1]
    ends = {"reads": dictionary.width, "writes": written}
    for what, wanted in ends.items():
        for at in getattr(dictionary, what):
            resolve(model.adapted, at)
            width = width_at(model.dims, at)
            if width is not None and width != wanted:
                raise LoadError(
                    f"the dictionary {what} vectors of {wanted} numbers, {at} of {model.name} "
                    f"holds {width}",
                    mend="take the model that it was trained on, or another site: at=...",
                    where=str(at),
                )


def rivals_of(model: Model, dictionary: Any) -> list[Pair]:
    """Places with the same widths: other layers of the same sites, other sites of near layers, and
    what stands before a post-norm.

    For a transcoder both ends move together, and each end alone. Dictionaries of several sites have
    no rivals.
    """
    if len(dictionary.reads) != 1 or len(dictionary.writes) != 1:
        return []
    read, write = dictionary.reads[0], dictionary.writes[0]
    like_read = _like(model, read)
    if read == write:
        pairs = [((at,), (at,)) for at in like_read]
    else:
        together = [
            (_moved(read, at.layer), _moved(write, at.layer))
            for at in like_read
            if isinstance(at, Address) and at.name == read.name
        ]
        has = set(model.sites)
        pairs = [((a,), (b,)) for a, b in together if a in has and b in has]
        pairs += [((at,), (write,)) for at in like_read]
        pairs += [((read,), (at,)) for at in _like(model, write)]
    own = ((read,), (write,))
    unique = [each for each in dict.fromkeys(pairs) if each != own]
    return sorted(unique, key=lambda each: _far(each, own))[:MOST]


def _like(model: Model, at: Address) -> list[Spot]:
    width = width_at(model.dims, at)
    like = [each for each in model.sites if width and width_at(model.dims, each) == width]
    return [*like, *(BeforeNorm(each) for each in like if norm_after(model, each) is not None)]


def _moved(at: Address, layer: Any) -> Address:
    return Address(at.name, layer)


def _far(pair: Pair, own: Pair) -> tuple[int, int]:
    """Layers between two places, and whether they are of other names."""
    ends = list(zip((*pair[0], *pair[1]), (*own[0], *own[1]), strict=True))
    apart = max(abs(_layer(a) - _layer(b)) for a, b in ends)
    return apart, sum(a.name != b.name for a, b in ends)


def _layer(at: Spot) -> int:
    return at.layer if isinstance(at.layer, int) else 0


def places(pairs: Sequence[Pair]) -> list[Spot]:
    """Every place in some pairs, once."""
    return list(dict.fromkeys(at for pair in pairs for end in pair for at in end))
