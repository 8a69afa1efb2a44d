"""Active latents as (values, indices), without the zeros between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import ShapeError


@dataclass(frozen=True, eq=False)
class Sparse:
    """The active latents of each input.

    Attributes:
        values: ``[..., k]``; rows with fewer active latents end in zeros.
        indices: ``[..., k]``, which latents (0 where the value is such a zero).
        n_latents: of the dictionary.
    """

    values: Tensor
    indices: Tensor
    n_latents: int

    @staticmethod
    def from_dense(latents: Tensor) -> Sparse:
        """The entries that are not zero of ``[..., latent]``."""
        active = latents != 0
        k = int(active.sum(-1).max()) if latents.numel() else 0
        order = active.to(torch.int8).topk(k, dim=-1, sorted=False).indices
        return Sparse.of_entries(latents.gather(-1, order), order, latents.shape[-1])

    @staticmethod
    def of_entries(values: Tensor, indices: Tensor, n_latents: int) -> Sparse:
        """Entries ``[..., k]`` in any order, zeros among them: largest first, no wider than needed.

        Entries of one size stand in the order of their latents.
        """
        indices, back = indices.sort(dim=-1)
        values = values.gather(-1, back)
        back = values.abs().sort(dim=-1, descending=True, stable=True).indices
        values, indices = values.gather(-1, back), indices.gather(-1, back)
        k = int((values != 0).sum(-1).max()) if values.numel() else 0
        values, indices = values[..., :k], indices[..., :k]
        return Sparse(values, indices.where(values != 0, 0), n_latents)

    def to_dense(self) -> Tensor:
        """``[..., latent]``."""
        shape = (*self.values.shape[:-1], self.n_latents)
        zeros = torch.zeros(shape, dtype=self.values.dtype, device=self.values.device)
        return zeros.scatter_add_(-1, self.indices, self.values)

    def times(self, rows: Tensor) -> Tensor:
        """``[..., d]``: the rows of ``[latent d]`` weighted by the values and summed.

        Raises:
            ShapeError: an index outside, or another number of rows.
        """
        bad = len(rows) != self.n_latents or self.values.shape != self.indices.shape
        inside = self.indices.numel() == 0 or int(self.indices.min()) >= 0
        if bad or not inside or (self.indices.numel() and int(self.indices.max()) >= len(rows)):
            raise ShapeError(
                f"active latents of {self.n_latents} do not fit {len(rows)} latents",
                mend="give what encode_sparse of the same dictionary made",
            )
        lead, k = self.values.shape[:-1], self.values.shape[-1]
        if not self.values.numel():
            return rows.new_zeros(*lead, rows.shape[1])
        out = torch.nn.functional.embedding_bag(
            self.indices.reshape(-1, k),
            rows,
            per_sample_weights=self.values.reshape(-1, k).to(rows.dtype),
            mode="sum",
        )
        return out.reshape(*lead, rows.shape[1])
