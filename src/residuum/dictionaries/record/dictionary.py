"""A dictionary: a trained sparse coder as a frozen record, on the site that it was trained on.

>>> import torch
>>> from residuum.core import Address
>>> from residuum.dictionaries import TopK
>>> at = (Address("L1.resid_post"),)
>>> eye = torch.eye(3)
>>> plain = Dictionary(at, at, W_enc=eye[None], W_dec=eye[:, None], b_dec=torch.zeros(1, 3),
...                    activation=TopK(1), b_enc=torch.zeros(3))
>>> plain.encode(torch.tensor([1.0, 5.0, 2.0]))
tensor([0., 5., 0.])
>>> plain
Dictionary(sae: 3 latents of L1.resid_post, TopK(k=1))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, Provenance, ResiduumError, ShapeError, StoreError
from residuum.dictionaries.record.activations import (
    Activation,
    TopK,
    activation_json,
    read_activation,
)
from residuum.dictionaries.record.dictionary_checks import check_dictionary, check_labels
from residuum.dictionaries.record.dictionary_file import write_folder
from residuum.dictionaries.record.kinds import Kind, kind_of, read_sites
from residuum.dictionaries.record.record_fields import check_fields
from residuum.dictionaries.record.sparse import Sparse

VECTORS = ("b_enc", "threshold", "b_gate", "b_mag", "r_mag")
_PLAIN = ("scale", "model_name", "weight_hash", "tokenizer_hash")
TENSORS = ("W_enc", "W_dec", "b_dec", "b_in", "W_skip", *VECTORS)


@dataclass(frozen=True, eq=False, repr=False)
class Dictionary:
    """A sparse coder of one or several sites.

    Shows: a way to write activations as few latents, as well as its training got. Does not show:
    that its latents are the model's own units; other seeds find other ones.

    With one site read, inputs are ``[..., d_in]``; with several ``[..., read, d_in]``. The same
    holds of what it writes. ``encode`` computes ``activation((x * scale - b_in) @ W_enc)`` and
    ``decode`` ``(latents @ W_dec + b_dec) / scale``.

    Attributes:
        reads, writes: sites; for an SAE the same one.
        W_enc: ``[read d_in latent]``.
        W_dec: ``[latent write d_out]``.
        b_dec: ``[write d_out]``.
        activation: how pre-activations become latents.
        b_in: ``[read d_in]``, taken from the scaled input; None: nothing is.
        W_skip: ``[d_in d_out]``, ``x @ W_skip`` is added to the reconstruction.
        b_enc, threshold, b_gate, b_mag, r_mag: ``[latent]``, those that the activation needs.
        scale: multiplies inputs before encoding and divides outputs.
        models: names of the models read, where there are two or more (else empty).
        model_name, weight_hash, tokenizer_hash: of the model; empty, None, empty: not known.
        declared: figures given with it by those who trained it, such as ``l0``; plain data.
        labels: latent -> words.
        provenance: of the training; None where it is not known.
    """

    reads: tuple[Address, ...]
    writes: tuple[Address, ...]
    W_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    activation: Activation
    b_in: Tensor | None = None
    W_skip: Tensor | None = None
    b_enc: Tensor | None = None
    threshold: Tensor | None = None
    b_gate: Tensor | None = None
    b_mag: Tensor | None = None
    r_mag: Tensor | None = None
    scale: float = 1.0
    models: tuple[str, ...] = ()
    model_name: str = ""
    weight_hash: str | None = None
    tokenizer_hash: str = ""
    declared: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", read_sites(self.reads, "reads"))
        object.__setattr__(self, "writes", read_sites(self.writes, "writes"))
        for name, value in self.tensors().items():
            object.__setattr__(self, name, value.detach())
        check_dictionary(self)

    # -- what it is --------------------------------------------------------------------------

    @property
    def kind(self) -> Kind:
        """SAE, transcoder, skip transcoder or crosscoder."""
        return kind_of(self.reads, self.writes, self.W_skip is not None)

    @property
    def n_latents(self) -> int:
        """How many latents."""
        return self.W_enc.shape[-1]

    @property
    def width(self) -> int:
        """Length of the vectors that it reads, ``d_in``."""
        return self.W_enc.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.W_enc.dtype

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return self.W_enc.device

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name, those that it has."""
        found = {name: getattr(self, name) for name in TENSORS}
        return {name: value for name, value in found.items() if value is not None}

    def __repr__(self) -> str:
        sites = ", ".join(map(str, self.reads))
        if self.writes != self.reads:
            sites += " -> " + ", ".join(map(str, self.writes))
        return f"Dictionary({self.kind}: {self.n_latents} latents of {sites}, {self.activation})"

    # -- use ---------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Latents ``[..., latent]`` of inputs ``[..., d_in]`` (``[..., read d_in]``).

        Computed in the dictionary's dtype, handed back in the input's. All latents of an input
        with NaN or infinity are NaN.

        Raises:
            ShapeError: another width or number of sites, or another device; no floating tensor.
        """
        given = {name: getattr(self, name) for name in self.activation.needs}
        latents = self.activation.apply(self._raw(x), given).to(x.dtype)
        whole = x.isfinite().flatten(-1 if len(self.reads) == 1 else -2).all(-1)
        return latents if whole.all() else latents.masked_fill(~whole[..., None], torch.nan)

    def decode(self, latents: Tensor) -> Tensor:
        """Outputs ``[..., d_out]`` (several sites: ``[..., write d_out]``) of ``[..., latent]``.

        Raises:
            ShapeError: another number of latents.
        """
        if not latents.ndim or latents.shape[-1] != self.n_latents:
            raise ShapeError(
                f"latents of shape {list(latents.shape)}, the dictionary has {self.n_latents}",
                mend=f"give [..., {self.n_latents}], as encode makes them",
            )
        out = latents.to(self.dtype) @ self.W_dec.flatten(1)
        return self._out(out).to(latents.dtype)

    def encode_sparse(self, x: Tensor) -> Sparse:
        """The active latents of each input: ``values`` and ``indices`` ``[..., k]``.

        ``k`` is the largest number active in one input; shorter rows end in zeros at latent 0.
        """
        if not isinstance(self.activation, TopK):
            return Sparse.from_dense(self.encode(x))
        raw = self._raw(x)
        if not x.isfinite().all():
            return Sparse.from_dense(self.encode(x))
        given = {name: getattr(self, name) for name in self.activation.needs}
        values, indices = self.activation.entries(raw, given)
        return Sparse.of_entries(values.to(x.dtype), indices, self.n_latents)

    def decode_sparse(self, sparse: Sparse) -> Tensor:
        """Outputs of active latents, without a dense row of latents.

        Raises:
            ShapeError: a latent that the dictionary does not have.
        """
        out = sparse.times(self.W_dec.flatten(1))
        return self._out(out).to(sparse.values.dtype)

    def reconstruct(self, x: Tensor) -> Tensor:
        """What it makes of inputs, the skip connection included."""
        return self.rebuilt(x, self.encode(x))

    def rebuilt(self, x: Tensor, latents: Tensor) -> Tensor:
        """The same, from latents of these inputs that are there already."""
        out = self.decode(latents)
        return out if self.W_skip is None else out + (x.to(self.dtype) @ self.W_skip).to(x.dtype)

    def _raw(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(
                f"inputs of {kind}, a dictionary reads activations",
                mend="give a floating tensor [..., d]",
                where=", ".join(map(str, self.reads)),
            )
        shape = tuple(self.W_enc.shape[:2])
        axes = shape[1:] if len(self.reads) == 1 else shape
        if tuple(x.shape[x.ndim - len(axes) :]) != axes or x.ndim < len(axes):
            raise ShapeError(
                f"inputs of shape {list(x.shape)}, the dictionary reads "
                f"[..., {', '.join(map(str, axes))}]",
                mend="give activations of the site that it was trained on",
                where=", ".join(map(str, self.reads)),
            )
        flat = x.to(self.dtype).flatten(-len(axes)) * self.scale
        if self.b_in is not None:
            flat = flat - self.b_in.flatten()
        return flat @ self.W_enc.flatten(0, 1)

    def _out(self, flat: Tensor) -> Tensor:
        out = (flat + self.b_dec.flatten()) / self.scale
        return out if len(self.writes) == 1 else out.unflatten(-1, tuple(self.b_dec.shape))

    # -- copies ------------------------------------------------------------------------------

    def to(self, target: torch.dtype | torch.device | str) -> Dictionary:
        """The same in another dtype or on another device."""
        return self._mapped(lambda value: value.to(target))

    def with_labels(self, labels: Mapping[int, str]) -> Dictionary:
        """The same with labels added; ones that it had for these latents are replaced.

        Raises:
            OptionError: no mapping from its latents to words.
        """
        check_labels(labels, self.n_latents)
        return replace(self, labels={**self.labels, **labels})

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Dictionary:
        new: dict[str, Any] = {name: change(value) for name, value in self.tensors().items()}
        return replace(self, **new)

    def save(self, folder: str | Path) -> None:
        """Write ``dictionary.safetensors`` and ``dictionary.json`` into a folder.

        Raises:
            StoreError: the folder cannot be written to, or holds another result.
        """
        write_folder(folder, self.tensors(), self.record())

    def record(self) -> dict[str, Any]:
        """Everything but the tensors, as plain data."""
        return {
            "kind": self.kind,
            "reads": list(map(str, self.reads)),
            "writes": list(map(str, self.writes)),
            "activation": activation_json(self.activation),
            "models": list(self.models),
            **{name: getattr(self, name) for name in _PLAIN},
            "declared": dict(self.declared),
            "labels": {str(latent): words for latent, words in self.labels.items()},
            "provenance": None if self.provenance is None else self.provenance.to_json(),
        }

    @staticmethod
    def of_record(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Dictionary:
        """A dictionary of its tensors and of what :meth:`record` gave.

        Raises:
            StoreError: entries of the wrong type; tensors that are missing, unknown, or do not fit.
        """
        check_fields(record)
        unknown = set(tensors) - set(TENSORS) | {"W_enc", "W_dec", "b_dec"} - set(tensors)
        given: dict[str, Any] = {name: record[name] for name in (*_PLAIN, "reads", "writes")}
        given.update(tensors)
        provenance = record["provenance"]
        try:
            if unknown:
                raise ValueError(f"tensors missing or unknown: {', '.join(sorted(unknown))}")
            return Dictionary(
                **given,
                activation=read_activation(record["activation"]),
                models=tuple(record["models"]),
                declared=record["declared"],
                labels={int(latent): words for latent, words in record["labels"].items()},
                provenance=None if provenance is None else Provenance.from_json(provenance),
            )
        except (ResiduumError, TypeError, ValueError, AttributeError) as error:
            what = error.what if isinstance(error, ResiduumError) else str(error)
            raise StoreError(
                f"the tensors and the record make no dictionary: {what}",
                mend="copy the folder again from where it came",
            ) from error
