"""What can be read: the latents of a dictionary, neurons, residual dimensions, random directions.

Each is a set of units: a vector at a site goes in, one number a unit comes out. They are read in
the same way, so that their figures can be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from residuum.core import Address, LoadError, OptionError, content_hash
from residuum.dictionaries.harvests.site_passes import need_vector, need_vectors
from residuum.runs import Model, resolve
from residuum.runs.arguments import shown, whole_number


@runtime_checkable
class FeatureBasis(Protocol):
    """Units at a site."""

    @property
    def name(self) -> str:
        """In words."""
        ...

    @property
    def reads(self) -> tuple[Address, ...]:
        """The sites, all of one width."""
        ...

    @property
    def n_latents(self) -> int:
        """How many units."""
        ...

    @property
    def labels(self) -> Mapping[int, str]:
        """Unit -> words, where there are some."""
        ...

    @property
    def hash(self) -> str:
        """Of all that decides its numbers."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """``[token latent]`` of vectors ``[token site d]``."""
        ...

    def written(self, model: Model) -> Tensor:
        """``[latent d]``: what one unit of each adds where it writes."""
        ...


@dataclass(frozen=True, eq=False)
class Latents:
    """The latents of a dictionary.

    Attributes:
        dictionary: which.
    """

    dictionary: Any

    @property
    def name(self) -> str:
        """See :class:`FeatureBasis`."""
        sites = ", ".join(map(str, self.dictionary.reads))
        return f"latents of a dictionary at {sites}"

    @property
    def reads(self) -> tuple[Address, ...]:
        """See :class:`FeatureBasis`."""
        return tuple(self.dictionary.reads)

    @property
    def n_latents(self) -> int:
        """See :class:`FeatureBasis`."""
        return self.dictionary.n_latents

    @property
    def labels(self) -> Mapping[int, str]:
        """See :class:`FeatureBasis`."""
        return self.dictionary.labels

    @property
    def hash(self) -> str:
        """See :class:`FeatureBasis`."""
        tensors = {name: each.float().cpu() for name, each in self.dictionary.tensors().items()}
        record = {k: v for k, v in self.dictionary.record().items() if k in _DECIDES}
        return content_hash({"record": record, "tensors": _hash_of(tensors)})

    def encode(self, x: Tensor) -> Tensor:
        """See :class:`FeatureBasis`."""
        inputs = x if len(self.reads) > 1 else x[:, 0]
        return self.dictionary.encode(inputs.to(self.dictionary.device))

    def written(self, model: Model) -> Tensor:
        """See :class:`FeatureBasis`; of several sites written the last."""
        del model
        return self.dictionary.W_dec[:, -1].float().cpu() / self.dictionary.scale


@dataclass(frozen=True, eq=False)
class Neurons:
    """The neurons of a layer, ``Neurons(model, "L1.mlp_act")``, or the dimensions of any site.

    At ``mlp_act`` a neuron writes its row of ``W_out``; at other sites a dimension writes itself.

    Attributes:
        model: it is read from.
        at: the site.

    Raises:
        OptionError: a query for several sites.
    """

    model: Model
    at: Any
    labels: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", _one_site(self.model, self.at))

    @property
    def name(self) -> str:
        """See :class:`FeatureBasis`."""
        noun = "neurons" if self.at.name == "mlp_act" else "dimensions"
        return f"{noun} of {self.at}"

    @property
    def reads(self) -> tuple[Address, ...]:
        """See :class:`FeatureBasis`."""
        return (self.at,)

    @cached_property
    def n_latents(self) -> int:
        """See :class:`FeatureBasis`."""
        return _width(self.model, self.at)

    @property
    def hash(self) -> str:
        """See :class:`FeatureBasis`."""
        return content_hash({"dimensions": str(self.at), "of": self.model.adapted.weight_hash})

    def encode(self, x: Tensor) -> Tensor:
        """See :class:`FeatureBasis`."""
        return x[:, 0]

    def written(self, model: Model) -> Tensor:
        """See :class:`FeatureBasis`."""
        if self.at.name == "mlp_act":
            return model.W_out[self.at.layer].detach().float().cpu()
        return torch.eye(self.n_latents)


@dataclass(frozen=True, eq=False)
class RandomDirections:
    """Directions drawn at random, of length 1: what any basis would show.

    Attributes:
        model: they are read from.
        at: the site.
        n: how many.
        seed: of the draw.

    Raises:
        OptionError: a query for several sites; a number out of range.
    """

    model: Model
    at: Any
    n: int = 256
    seed: int = 0
    labels: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", _one_site(self.model, self.at))
        whole_number(self.n, "n", 1)
        whole_number(self.seed, "seed", 0)

    @property
    def name(self) -> str:
        """See :class:`FeatureBasis`."""
        return f"random directions of {self.at}"

    @property
    def reads(self) -> tuple[Address, ...]:
        """See :class:`FeatureBasis`."""
        return (self.at,)

    @property
    def n_latents(self) -> int:
        """See :class:`FeatureBasis`."""
        return self.n

    @property
    def hash(self) -> str:
        """See :class:`FeatureBasis`."""
        own = {"random": str(self.at), "n": self.n, "seed": self.seed}
        return content_hash({**own, "of": self.model.adapted.weight_hash})

    @cached_property
    def directions(self) -> Tensor:
        """``[latent d]`` float32."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randn(self.n, _width(self.model, self.at), generator=generator)
        return drawn / drawn.norm(dim=-1, keepdim=True)

    def encode(self, x: Tensor) -> Tensor:
        """See :class:`FeatureBasis`."""
        return x[:, 0] @ self.directions.T

    def written(self, model: Model) -> Tensor:
        """See :class:`FeatureBasis`; at ``mlp_act`` through ``W_out``."""
        rows = self.directions
        if self.at.name == "mlp_act":
            return rows @ model.W_out[self.at.layer].detach().float().cpu()
        return rows


_DECIDES = ("kind", "reads", "writes", "activation", "scale")


def basis_of(given: Any, model: Model) -> FeatureBasis:
    """A dictionary's latents, or the basis that was given.

    Raises:
        OptionError: neither; a dictionary of several models.
        LoadError: of another model's weights.
        AddressError: a dictionary of all heads joined.
    """
    if not hasattr(given, "W_enc") and isinstance(given, FeatureBasis):
        own = getattr(given, "model", model)
        if own.adapted.weight_hash != model.adapted.weight_hash:
            raise LoadError(
                f"the units are those of {own.name}, the text is run on {model.name}",
                mend="give the same model to both",
            )
        return given
    if not hasattr(given, "W_enc") or not hasattr(given, "encode"):
        raise OptionError(
            f"read_features cannot read {shown(given)}",
            mend="give a dictionary, Neurons(model, site), or RandomDirections(model, site)",
        )
    return _latents(given, model)


def _latents(given: Any, model: Model) -> Latents:
    known = given.weight_hash
    if known and known != model.adapted.weight_hash:
        raise LoadError(
            f"the dictionary was trained on {given.model_name or 'a model'} ({known[:8]}), this "
            f"is {model.name} ({model.adapted.weight_hash[:8]})",
            mend="take that model, in the dtype that it was trained in; or train one for this",
        )
    if len(getattr(given, "models", ())) > 1:
        raise OptionError(
            f"the dictionary reads {len(given.models)} models, this runs the text on one",
            mend="read a dictionary of one model",
        )
    need_vectors(given.reads)
    return Latents(given)


def _one_site(model: Model, given: Any) -> Address:
    found = resolve(model.adapted, given)
    if len(found) != 1:
        raise OptionError(
            f"{given} means {len(found)} sites", mend='name one, such as "L1.mlp_act"'
        )
    need_vector(found[0])
    return found[0]


def _width(model: Model, at: Address) -> int:
    run = model.run(torch.tensor([[0, 0]]), capture=[at], logits=False)
    return run[at].shape[-1]


def _hash_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: hashlib.sha256(each.contiguous().numpy().tobytes()).hexdigest()
        for name, each in tensors.items()
    }
