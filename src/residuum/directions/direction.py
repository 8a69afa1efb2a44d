"""A direction: a vector (or a few) at a site, where it comes from, and what it does as an edit.

>>> import residuum as rz
>>> model = rz.load("microworld", check=False)
>>> data = rz.Examples.from_task(rz.task("refusal", model, n=32))
>>> found = rz.direction(model, data, at="L2.resid_post", prove=False)
>>> found.as_edit(2.0).at
Address('L2.resid_post')
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import (
    Add,
    Address,
    Erase,
    LoadError,
    OptionError,
    Patch,
    Provenance,
)
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.direction_coordinates import coordinates, token_coordinates, values_at
from residuum.directions.direction_edits import Unit, added, place_for, swapped
from residuum.directions.direction_figure import entry_bars, token_bars
from residuum.directions.direction_file import parts_of, read, written
from residuum.directions.direction_vectors import (
    checked_vectors,
    cosine_between,
    need_width,
    orthonormal_rows,
)
from residuum.directions.origin import Origin
from residuum.directions.proof import Proof
from residuum.runs import Model, Run, need_model, resolve, shown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars


@dataclass(frozen=True, eq=False, repr=False)
class Direction:
    """A vector at a site; for ``k`` vectors, the subspace they span.

    Shows: a place in a site's space, and what was found there. Does not show: that the model uses
    it; that is what ``proof`` is for.

    Attributes:
        at: address of the site; may hold a part and a position.
        vector: ``[d]`` or ``[k d]``, in the site's own units.
        typical_norm: mean length of the site's activations on the data it was found on; NaN where
            none were seen.
        threshold: along the unit vector: above it is class 1; NaN where there are no classes.
        method: how it was found.
        origin: data, split and seed.
        weight_hash: of the model.
        provenance: of the model and the method.
        proof: what was shown about it; None before that.
        notes: further numbers of the method, by name; plain data.
    """

    at: Address
    vector: Float[Tensor, ...]
    typical_norm: float
    threshold: float
    method: str
    origin: Origin
    weight_hash: str
    provenance: Provenance
    proof: Proof | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", Address.parse(self.at))
        object.__setattr__(self, "vector", checked_vectors(self.vector, str(self.at)))
        if self.typical_norm < 0 or math.isinf(self.typical_norm):
            raise OptionError(
                f"typical_norm={self.typical_norm:g} is no length",
                mend="give the mean norm of the site's activations, or NaN if none were seen",
                where=str(self.at),
            )

    @property
    def k(self) -> int:
        """How many vectors."""
        return 1 if self.vector.ndim == 1 else len(self.vector)

    @property
    def width(self) -> int:
        """Length of a vector, ``d``."""
        return self.vector.shape[-1]

    @property
    def norm(self) -> float:
        """Length of the vector (of the first, where there are several)."""
        return float(self._rows[0].norm())

    @property
    def unit(self) -> Tensor:
        """The vector at length 1; with several, the first."""
        return self._rows[0] / self._rows[0].norm()

    @property
    def basis(self) -> Float[Tensor, "k d"]:
        """Orthonormal rows that span it; for one vector, its unit vector."""
        return orthonormal_rows(self._rows)

    @property
    def _rows(self) -> Tensor:
        return self.vector if self.vector.ndim == 2 else self.vector[None]

    def __getitem__(self, index: int) -> Direction:
        """One of the vectors, as a direction."""
        if type(index) is not int or not -self.k <= index < self.k:
            raise OptionError(f"vector {shown(index)} of {self.k}", mend=f"use 0 to {self.k - 1}")
        one = replace(self, vector=self._rows[index], proof=None, notes={})
        return one if index in (0, -self.k) else replace(one, threshold=math.nan)

    def __repr__(self) -> str:
        several = f"{self.k} vectors" if self.k > 1 else "1 vector"
        verdict = "not proven" if self.proof is None else str(self.proof.verdict)
        return f"Direction({self.at}: {several} × {self.width}, {self.method}; {verdict})"

    # -- as edits ----------------------------------------------------------------------------

    def as_edit(
        self,
        scale: float = 1.0,
        unit: Unit = "typical",
        at: str | Address | None = None,
        model: Model | None = None,
    ) -> Add:
        """Adding the direction, as an edit: plain data, which a model of equal width would take.

        Args:
            scale: how much; in typical activation norms, or in lengths of the vector.
            unit: ``"typical"``: scale 1 adds a vector as long as the site's activations are on
                average; ``"raw"``: scale 1 adds the vector as it was found.
            at: where, if not at its own address: the same site with another position, or another
                layer's site of the same name.
            model: refused where the direction is another model's; None asks nothing, nor does a
                run.

        Raises:
            LoadError: another model's.
            OptionError: several vectors; a unit that is none; no typical norm.
            AddressError: another kind of site.
            EditError: a scale that is not finite.
        """
        if model is not None:
            self.check_fits(model)
        return added(self._rows, place_for(self.at, at), scale, unit, self.typical_norm)

    def erase_edit(self, at: str | Address | None = None, model: Model | None = None) -> Erase:
        """Taking the direction (or subspace) out, ``x - P x``, as an edit; as :meth:`as_edit`."""
        if model is not None:
            self.check_fits(model)
        return Erase(place_for(self.at, at), self._rows.to(torch.float32))

    def swap_edits(self, into: Run | Tensor, source: Run | Tensor) -> tuple[Patch]:
        """Giving one run the other's value along the direction, and leaving it the rest.

        Args:
            into: run (that captured the site) or its values, which the edit is for.
            source: run, or values of the same shape, whose value along the direction is taken.

        Returns:
            ``x + P(x' - x)`` as an edit, of the shape of the site.

        Raises:
            AddressError: a run that did not capture the site.
            ShapeError: runs of different shape.

        Source: Geiger et al. 2023, "Finding Alignments Between Interpretable Causal Variables and
        Distributed Neural Representations", section 3 (interchange in a subspace).
        """
        own, other = (values_at(self.at, self.width, each) for each in (into, source))
        return (swapped(self.basis.to(own.device), self.at, own, other),)

    # -- reading -----------------------------------------------------------------------------

    def project(self, run: Run | Tensor) -> Tensor:
        """Coordinates along the direction, in the site's units.

        Args:
            run: a run of its model that captured its site, or the site's values ``[... d]``.

        Returns:
            ``[batch pos]`` (``[batch]`` where its address has a position); with ``k`` vectors one
            more axis ``[... k]``, along the orthonormal ``basis``.

        Raises:
            LoadError: a run of another model.
            AddressError: the site was not captured.
            ShapeError: values of another width.
        """
        if isinstance(run, Run):
            self.check_run(run)
        return coordinates(self.basis, values_at(self.at, self.width, run))

    def cosine(self, other: Direction | Tensor) -> float:
        """Cosine with another direction; between subspaces, of the smallest principal angle.

        Signed for two single vectors, -1 to 1; else 0 to 1.

        Raises:
            ShapeError: of another width.
        """
        vectors = other if isinstance(other, Tensor) else other.vector
        rows = checked_vectors(vectors, str(self.at))
        return cosine_between(self.basis, orthonormal_rows(rows if rows.ndim == 2 else rows[None]))

    def check_fits(self, model: Model) -> None:
        """Refuse another model, or one without this site.

        Raises:
            OptionError: no model.
            LoadError: another model than it was found on.
            AddressError: the site is not there.
            ShapeError: the site has another width.
        """
        need_model(model, "a direction")
        self._need_same(model.adapted.weight_hash, model.name)
        resolve(model.adapted, self.at)
        need_width(self.width, self.at, model)

    def check_run(self, run: Run) -> None:
        """Refuse a run of another model.

        Raises:
            LoadError: it is one.
        """
        self._need_same(run.provenance.weight_hash, run.provenance.model_id)

    def _need_same(self, weight_hash: str, name: str) -> None:
        if weight_hash != self.weight_hash:
            raise LoadError(
                f"the direction was found on {self.provenance.model_id} "
                f"({self.weight_hash[:8]}), this is {name} ({weight_hash[:8]})",
                mend="find it again on this model: rz.direction(model, ...)",
                where=str(self.at),
            )

    # -- results -----------------------------------------------------------------------------

    def with_proof(self, proof: Proof) -> Direction:
        """The same, with what was shown about it."""
        return replace(self, proof=proof)

    def projections(self, model: Model, prompt: Any) -> pd.DataFrame:
        """Each token of a prompt and its coordinate: columns ``token, position, projection``."""
        import pandas as pd

        words, values = self._tokens(model, prompt)
        return pd.DataFrame({"token": words, "position": range(len(words)), "projection": values})

    def figure(self, model: Model | None = None, prompt: Any = None) -> Bars:
        """Projections of a prompt's tokens; without one, the vector's largest entries."""
        if model is None or prompt is None:
            return entry_bars(str(self.at), self._rows[0].numpy(), self.method)
        words, values = self._tokens(model, prompt)
        above = self.origin.classes[-1] if self.origin.classes else ""
        return token_bars(str(self.at), words, values, self.threshold, above)

    def _tokens(self, model: Model, prompt: Any) -> tuple[list[str], list[float]]:
        self.check_fits(model)
        return token_coordinates(model, prompt, self.at, self.unit[None])

    def to_dataframe(self) -> pd.DataFrame:
        """The vector's entries: columns ``vector, dim, value``."""
        import pandas as pd

        rows = self._rows.numpy()
        k, d = np.indices(rows.shape)
        return pd.DataFrame({"vector": k.ravel(), "dim": d.ravel(), "value": rows.ravel()})

    def to_json(self) -> dict[str, Any]:
        """Plain data, the vector included; NaN as None."""
        return written(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Direction:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown, another format, or a content that was changed.
        """
        return Direction(**parts_of(data, {each.name for each in fields(Direction)}))

    def save(self, path: str | Path) -> None:
        """Write ``.json`` (with hashes of model and content), ``.csv`` or a picture of its entries.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        save_result(self, path, "a direction")

    @staticmethod
    def load(path: str | Path, model: Model | None = None) -> Direction:
        """Read what :meth:`save` wrote as JSON.

        Args:
            path: the file.
            model: refused where the direction is another model's; None puts that off to its use.

        Raises:
            StoreError: no such file, no direction, or one that was changed after it was written.
            LoadError: another model's.
            ShapeError: of another width than its site in the model.
        """
        found = Direction.from_json(read(path))
        if model is not None:
            found.check_fits(model)
        return found

    def _repr_html_(self) -> str | None:
        return html_of(self)
