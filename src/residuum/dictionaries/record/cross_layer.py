"""A cross-layer transcoder: each layer's latents write to that layer and all later ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, OptionError, ShapeError, StoreError
from residuum.dictionaries.record.activations import Activation
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.record.dictionary_file import write_folder
from residuum.dictionaries.record.kinds import Kind
from residuum.dictionaries.record.sparse import Sparse


@dataclass(frozen=True, eq=False, repr=False)
class CrossLayerTranscoder:
    """One dictionary for each layer, whose outputs are summed where they write to the same site.

    Inputs are ``[..., read d_in]``, outputs ``[..., write d_out]``; latents are numbered through
    the layers. Shows and does not show: as :class:`Dictionary`.

    Attributes:
        layers: for each site read, in order, a dictionary that reads it and writes its layer's
            site and all later ones.

    Source: Ameisen et al. 2025, "Circuit Tracing", section 2.
    """

    layers: tuple[Dictionary, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise OptionError("no layer", mend="give one dictionary for each site read")
        writes, first = self.layers[0].writes, self.layers[0]
        for index, layer in enumerate(self.layers):
            if len(layer.reads) != 1 or layer.writes != writes[index:] or layer.W_skip is not None:
                raise OptionError(
                    f"dictionary {index} reads {', '.join(map(str, layer.reads))} and writes "
                    f"{', '.join(map(str, layer.writes))}",
                    mend="dictionary i reads site i and writes sites i and later, without skip",
                )
            same = (layer.scale, layer.dtype, layer.width, type(layer.activation))
            if same != (first.scale, first.dtype, first.width, type(first.activation)):
                raise OptionError(
                    f"dictionary {index} has another scale, dtype, width or activation",
                    mend="give dictionaries of one training",
                )
        if len(writes) != len(self.layers):
            raise OptionError(
                f"{len(self.layers)} layers write {len(writes)} sites", mend="give one for each"
            )

    @property
    def kind(self) -> Kind:
        """``"cross_layer_transcoder"``."""
        return "cross_layer_transcoder"

    @property
    def reads(self) -> tuple[Address, ...]:
        """Sites read."""
        return tuple(each.reads[0] for each in self.layers)

    @property
    def writes(self) -> tuple[Address, ...]:
        """Sites written."""
        return self.layers[0].writes

    @property
    def n_latents(self) -> int:
        """Of all layers together."""
        return sum(each.n_latents for each in self.layers)

    @property
    def width(self) -> int:
        """Length of the vectors read."""
        return self.layers[0].width

    @property
    def activation(self) -> Activation:
        """Of each layer by itself."""
        return self.layers[0].activation

    @property
    def weight_hash(self) -> str | None:
        """Of the model; None where it is not known."""
        return self.layers[0].weight_hash

    def tensors(self) -> dict[str, Tensor]:
        """Each layer's tensors, as ``"{layer}.W_enc"``."""
        layers = enumerate(self.layers)
        return {
            f"{i}.{name}": value for i, each in layers for name, value in each.tensors().items()
        }

    def __repr__(self) -> str:
        sites = f"{self.reads[0]} to {self.reads[-1]}"
        return f"CrossLayerTranscoder({self.n_latents} latents of {sites}, {self.activation})"

    def encode(self, x: Tensor) -> Tensor:
        """Latents ``[..., latent]`` of ``[..., read d_in]``.

        Raises:
            ShapeError: another number of sites, or another width.
        """
        if x.ndim < 2 or x.shape[-2] != len(self.layers):
            raise ShapeError(
                f"inputs of shape {list(x.shape)} for {len(self.layers)} sites",
                mend=f"give [..., {len(self.layers)}, {self.width}], sites in the order of reads",
            )
        parts = [each.encode(x[..., i, :]) for i, each in enumerate(self.layers)]
        return torch.cat(parts, -1)

    def decode(self, latents: Tensor) -> Tensor:
        """Outputs ``[..., write d_out]`` of ``[..., latent]``.

        Raises:
            ShapeError: another number of latents.
        """
        if not latents.ndim or latents.shape[-1] != self.n_latents:
            raise ShapeError(
                f"latents of shape {list(latents.shape)}, the dictionary has {self.n_latents}",
                mend=f"give [..., {self.n_latents}], as encode makes them",
            )
        parts = latents.split([each.n_latents for each in self.layers], -1)
        return self._summed(
            [each.decode(own) for each, own in zip(self.layers, parts, strict=True)]
        )

    def encode_sparse(self, x: Tensor) -> Sparse:
        """The active latents of each input; see :meth:`Dictionary.encode_sparse`."""
        return Sparse.from_dense(self.encode(x))

    def decode_sparse(self, sparse: Sparse) -> Tensor:
        """Outputs of active latents."""
        parts, first = [], 0
        for each in self.layers:
            own = (sparse.indices >= first) & (sparse.indices < first + each.n_latents)
            values = sparse.values.where(own, 0)
            indices = (sparse.indices - first).where(own, 0)
            parts.append(each.decode_sparse(Sparse(values, indices, each.n_latents)))
            first += each.n_latents
        return self._summed(parts)

    def reconstruct(self, x: Tensor) -> Tensor:
        """What it makes of inputs: ``[..., write d_out]``."""
        return self.rebuilt(x, self.encode(x))

    def rebuilt(self, x: Tensor, latents: Tensor) -> Tensor:
        """The same, from latents that are there already; it has no skip connection."""
        return self.decode(latents)

    def _summed(self, parts: list[Tensor]) -> Tensor:
        last = len(self.writes) - 1  # the last dictionary writes one site, without an axis for it
        out = parts[0].clone() if last else parts[0].unsqueeze(-2).clone()
        for index, part in enumerate(parts[1:], 1):
            out[..., index:, :] += part if index < last else part.unsqueeze(-2)
        return out

    def to(self, target: torch.dtype | torch.device | str) -> CrossLayerTranscoder:
        """The same in another dtype or on another device."""
        return self._mapped(lambda each: each.to(target))

    def _mapped(self, change: Callable[[Dictionary], Dictionary]) -> CrossLayerTranscoder:
        return replace(self, layers=tuple(map(change, self.layers)))

    def save(self, folder: str | Path) -> None:
        """Write ``dictionary.safetensors`` and ``dictionary.json`` into a folder.

        Raises:
            StoreError: the folder cannot be written to, or holds another result.
        """
        record = {"kind": self.kind, "layers": [each.record() for each in self.layers]}
        write_folder(folder, self.tensors(), record)

    @staticmethod
    def of_record(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> CrossLayerTranscoder:
        """Of what :meth:`save` wrote.

        Raises:
            StoreError: tensors or entries that are missing, unknown, or do not fit.
        """
        layers = record.get("layers")
        if not isinstance(layers, list) or not layers:
            raise StoreError(
                "the record lacks its layers", mend="copy the folder again from where it came"
            )
        own: list[dict[str, Tensor]] = [{} for _ in layers]
        for name, value in tensors.items():
            index, _, rest = name.partition(".")
            if index not in map(str, range(len(layers))):
                raise StoreError(
                    f"the tensor {name} is of no layer",
                    mend="copy the folder again from where it came",
                )
            own[int(index)][rest] = value
        pairs = zip(layers, own, strict=True)
        own_layers = tuple(Dictionary.of_record(*pair) for pair in pairs)
        try:
            return CrossLayerTranscoder(own_layers)
        except OptionError as error:
            raise StoreError(
                f"the layers make no transcoder: {error.what}",
                mend="copy the folder again from where it came",
            ) from error
