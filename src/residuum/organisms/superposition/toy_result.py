"""What a set of toy models became."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import OptionError, Provenance
from residuum.core.paths import file_to_write
from residuum.core.provenance import content_hash
from residuum.organisms.superposition.geometry import (
    feature_dimensionality,
    gaps,
    geometry,
    represented,
)

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines, Table
    from residuum.organisms.superposition.arrows import Arrows


@dataclass(frozen=True, eq=False)
class Superposition:
    """Trained toy models: several instances for each density.

    Shows: the packings that gradient descent reached, how often, and at what loss. Does not show:
    that no better packing exists (take the lowest loss), nor anything about another architecture.

    Attributes:
        weights: ``[density instance dim feature]``.
        bias: ``[density instance feature]``.
        losses: ``[density instance]``, on 20,000 fresh examples, weighed by importance.
        densities: probability that a feature is present, by column of instances.
        importance: ``[feature]``.
        recipe: all that decided the result.
    """

    weights: Tensor
    bias: Tensor
    losses: Tensor
    densities: tuple[float, ...]
    importance: Tensor
    recipe: dict[str, Any]

    @property
    def dimensionality(self) -> Tensor:
        """Each feature's share of a dimension, ``[density instance feature]``, 0 to 1."""
        return feature_dimensionality(self.weights)

    @property
    def provenance(self) -> Provenance:
        """Where the result comes from."""
        return Provenance(
            model_id="toy superposition",
            strategy=f"toy_superposition {content_hash(self.recipe)[:12]}",
            dtype="float32",
            device="cpu",
            seed=self.recipe["seed"],
        )

    def place(self, density: float) -> int:
        """Index of a density.

        Raises:
            OptionError: none of the instances was trained at it.
        """
        if density not in self.densities:
            raise OptionError(
                f"no models at density {density}",
                mend=f"one of: {', '.join(map(str, self.densities))}",
            )
        return self.densities.index(density)

    def geometries(self, density: float) -> tuple[str, ...]:
        """The figure that each instance's represented features make, see :func:`geometry`."""
        if self.weights.shape[2] != 2:
            raise OptionError(
                f"geometries are named in 2 dimensions, not in {self.weights.shape[2]}",
                mend="train with dims=2, or read .dimensionality",
            )
        return tuple(geometry(each) for each in self.weights[self.place(density)])

    def best(self, density: float) -> int:
        """The instance of lowest loss."""
        return int(self.losses[self.place(density)].argmin())

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each instance and feature."""
        import pandas as pd

        shares, kept, norms = (
            self.dimensionality,
            represented(self.weights),
            self.weights.norm(dim=2),
        )
        rows = [
            (density, i, f, self.importance[f].item(), norms[d, i, f].item(),
             self.bias[d, i, f].item(), shares[d, i, f].item(), bool(kept[d, i, f]),
             self.losses[d, i].item())
            for d, density in enumerate(self.densities)
            for i in range(self.weights.shape[1])
            for f in range(self.weights.shape[3])
        ]  # fmt: skip
        columns = ["density", "instance", "feature", "importance", "norm", "bias", "dimensionality"]
        return pd.DataFrame(rows, columns=[*columns, "represented", "loss"])

    def figure(self, title: str = "Dimensionality of features against sparsity") -> Lines:
        """Mean dimensionality of the best instance's features, over 1 / density."""
        from residuum.figures import Guide, Lines, Series

        order = sorted(range(len(self.densities)), key=lambda d: 1 / self.densities[d])
        shares = self.dimensionality
        best = [self._kept(shares, d, self.best(self.densities[d])) for d in order]
        every = [[self._kept(shares, d, i) for i in range(shares.shape[1])] for d in order]
        guides = (Guide(1, "alone"), Guide(0.5, "antipodal pair"), Guide(0.4, "pentagon"))
        return Lines(
            [1 / self.densities[d] for d in order],
            [
                Series("lowest loss", best),
                Series(
                    "all instances",
                    [sum(row) / len(row) for row in every],
                    lo=[min(row) for row in every],
                    hi=[max(row) for row in every],
                ),
            ],
            x="1 / density",
            y="dimensionality of represented features",
            x_scale="log",
            guides=guides,
            title=title,
            caption=f"{self.weights.shape[3]} features in {self.weights.shape[2]} dimensions, "
            f"{shares.shape[1]} instances a density; the band runs from the lowest to the highest.",
            does_not_show="that no better packing exists; gradient descent stops where it stops.",
        )

    def _kept(self, shares: Tensor, d: int, i: int) -> float:
        kept = represented(self.weights[d, i])
        return float(shares[d, i][kept].mean()) if kept.any() else float("nan")

    def geometry_figure(self, title: str = "How five features share a plane") -> Arrows:
        """The columns of W of the instance of lowest loss, drawn for each density."""
        from residuum.organisms.superposition.arrows import Arrows

        names, vectors = [], []
        for d, density in enumerate(self.densities):
            kinds = self.geometries(density)
            best = self.best(density)
            same = sum(kind == kinds[best] for kind in kinds)
            names.append(f"density {density:g}: {kinds[best]}, {same} of {len(kinds)}")
            vectors.append(self.weights[d, best].T.double().numpy())
        return Arrows(
            vectors,
            names,
            title=title,
            caption="Each line is one feature's direction in the hidden plane, in the instance of "
            "lowest loss; below, its figure and how many instances found the same.",
            does_not_show="the bias, which filters the interference.",
        )

    def table(self) -> Table:
        """Geometries, angles and dimensionality by density."""
        from residuum.figures import Column, Table

        rows = []
        for d, density in enumerate(self.densities):
            best = self.best(density)
            counts = Counter(self.geometries(density)).most_common()
            found = ", ".join(f"{name} {count}" for name, count in counts)
            kept = represented(self.weights[d, best])
            angles = " ".join(f"{gap:.0f}" for gap in gaps(self.weights[d, best]))
            norm = float(self.weights[d, best].norm(dim=0)[kept].mean()) if kept.any() else None
            share = self._kept(self.dimensionality, d, best)
            rows.append([density, found, angles, share, norm, float(self.losses[d, best])])
        columns = [
            Column("density", digits=2), "instances by geometry", "gaps of the best, degrees",
            Column("dimensionality", digits=2), Column("norm", digits=2), Column("loss", digits=4),
        ]  # fmt: skip
        return Table(
            columns, rows, title="Toy models of superposition",
            caption="A feature counts from norm 0.5 on. Gaps: angles between neighbouring features "
            "around the plane, in the instance of lowest loss; they sum to 360." + self._dense(),
        )  # fmt: skip

    def _dense(self) -> str:
        """What to think of a row without sparsity and without preference."""
        if 1.0 not in self.densities or self.importance.unique().numel() > 1:
            return ""
        dims = self.weights.shape[2]
        return (
            f" At density 1 with equal importance nothing is packed: each model projects on {dims} "
            "dimensions, any of which serve as well, and gaps mean nothing."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; :meth:`from_json` reads it back."""
        return {
            "recipe": self.recipe,
            "densities": list(self.densities),
            "importance": _rounded(self.importance),
            "weights": _rounded(self.weights),
            "bias": _rounded(self.bias),
            "losses": [[float(f"{each:.6g}") for each in row] for row in self.losses.tolist()],
            "provenance": self.provenance.to_json(),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Superposition:
        """Read what :meth:`to_json` wrote; weights are kept to five decimal places."""
        parts = {
            key: torch.tensor(data[key]) for key in ("weights", "bias", "losses", "importance")
        }
        return Superposition(**parts, densities=tuple(data["densities"]), recipe=data["recipe"])

    def save(self, path: str | Path) -> None:
        """Write the data as JSON, or the figure as HTML, SVG or PNG, by suffix.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        path = file_to_write(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_json()) + "\n", encoding="utf-8")
        else:
            self.figure().save(path)


def _rounded(tensor: Tensor) -> Any:
    return torch.round(tensor.double(), decimals=5).tolist()
