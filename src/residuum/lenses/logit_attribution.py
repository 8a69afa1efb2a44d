"""The record of a direct logit attribution: terms by prompt, their intervals, tables, pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.lenses.attribution_figure import draw, example_mean
from residuum.lenses.result_file import plain
from residuum.runs import bootstrap_mean_intervals, shown, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Figure

_HEAD = re.compile(r"L(\d+)\.head_out\[H(\d+)\]")
_LAYER = re.compile(r"L(\d+)\.(b_O|mlp_out)")
SUM_TO = 1e-4
"""Largest gap of an exact sum, relative to the largest logit."""
FIGURES = ("parts", "bars", "neurons", "sources")
_SHOWS_NOT = "effects through later parts: what a head does by being read by others is not in it."


@dataclass(frozen=True)
class Contribution:
    """One term.

    Attributes:
        at: address of the part, or name of the bias.
        logits: mean contribution.
        interval: bootstrap interval of the mean.
    """

    at: str
    logits: float
    interval: tuple[float, float]


@dataclass(frozen=True, repr=False, eq=False)
class LogitAttribution:
    """What every part writes straight into a difference of logits.

    The terms sum to the difference: embeddings, every head, every attention bias, every MLP, the
    bias of the final norm and that of the unembedding.

    Shows: direct effects, at the scale that the final norm had in each run. Does not show: effects
    through later parts (a head that others read from, an MLP that undoes it), what a part would
    change of the norm's scale, or that a part is necessary.

    Attributes:
        per_example: contributions in logits, dims ``(term, example)``.
        logits: the model's own difference, ``[example]``.
        pre_cap: the difference before the family's soft cap: what the terms sum to. Without a cap
            it is ``logits`` up to rounding.
        cap: the soft cap, or None.
        metric: ``"logit_diff"``, or ``"logit"`` of one token (or a mean over several).
        convention: how the final norm was taken.
        gap: largest difference, over prompts, between the sum of terms and the model's own
            ``logits`` (behind a soft cap: ``pre_cap``).
        largest_logit: largest logit of any token there, by size; :attr:`exact` compares with it.
        neurons: ``(layer, neuron, example)`` where asked for; NaN where a block has no neurons.
        neuron_bias: ``(layer, example)``: what the MLPs' output biases add beside the neurons.
        sources: ``(layer, head, k_pos, example)`` where asked for: each head's contribution by the
            position that it was moved from; NaN behind a prompt's end.
        tokens: tokens of the first prompt.
        clusters: template of each example, or none.
        level, resamples, seed: of the intervals.

    >>> import residuum as rz
    >>> from residuum.lenses import direct_logit_attribution
    >>> model = rz.load("microworld", check=False)
    >>> found = direct_logit_attribution(model, rz.task("ioi", model, n=4))
    >>> bool(abs(found.total - found.logits).max() < 1e-4)
    True
    """

    per_example: xr.DataArray
    logits: np.ndarray
    pre_cap: np.ndarray
    cap: float | None
    metric: str
    convention: str
    gap: float
    largest_logit: float
    provenance: Provenance
    neurons: xr.DataArray | None = None
    neuron_bias: xr.DataArray | None = None
    sources: xr.DataArray | None = None
    tokens: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    level: float = 0.95
    resamples: int = 2000
    seed: int = 0
    _ends: tuple[np.ndarray, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", self._intervals(self.per_example.values))

    def _intervals(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        clusters = self.clusters if len(set(self.clusters)) > 1 else None
        return bootstrap_mean_intervals(values, self.level, self.resamples, self.seed, clusters)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms, in forward order."""
        return tuple(map(str, self.per_example.coords["term"].values))

    @property
    def contributions(self) -> xr.DataArray:
        """Mean over examples, dim ``term``."""
        return self.per_example.mean("example")

    @property
    def total(self) -> np.ndarray:
        """Sum of all terms, ``[example]``: equals ``pre_cap``."""
        return self.per_example.sum("term").values

    @property
    def exact(self) -> bool:
        """Whether the sum of terms meets the logits to 1e-4 of the largest one."""
        return self.gap <= SUM_TO * self.largest_logit

    @property
    def heads(self) -> xr.DataArray:
        """Mean contribution of each head, dims ``(layer, head)``."""
        found = {tuple(map(int, m.groups())): i for i, t in enumerate(self.terms)
                 if (m := _HEAD.fullmatch(t))}  # fmt: skip
        layers, heads = (1 + max(each[axis] for each in found) for axis in (0, 1))
        values, means = np.full((layers, heads), np.nan), self.contributions.values
        for place, index in found.items():
            values[place] = means[index]
        return xr.DataArray(values, dims=("layer", "head"), name="logits")

    def term(self, name: str) -> np.ndarray | None:
        """One term's values, ``[example]``; None where the model has no such term."""
        return self.per_example.values[self.terms.index(name)] if name in self.terms else None

    def __getitem__(self, term: str) -> Contribution:
        """One term by its name, such as ``"L2.head_out[H3]"``, ``"L1.mlp_out"`` or ``"b_U"``.

        Raises:
            OptionError: there is no such term.
        """
        if term not in self.terms:
            layers, heads = self.heads.shape
            raise OptionError(
                f"no term {shown(term)}",
                mend=f"terms are embed, pos_embed, L0 to L{layers - 1} with .head_out[H0] to "
                f"[H{heads - 1}], .b_O, .mlp_out, and b_ln_final, b_U, as far as the model has "
                "them: .terms lists them",
            )
        return self._at(self.terms.index(term))

    def _at(self, index: int) -> Contribution:
        low, high = self._ends
        mean = float(self.contributions.values[index])
        return Contribution(self.terms[index], mean, (float(low[index]), float(high[index])))

    def top(self, n: int = 10) -> list[Contribution]:
        """The ``n`` terms of largest absolute mean, largest first."""
        whole_number(n, "n", 1)
        order = np.argsort(-np.abs(self.contributions.values), kind="stable")
        return [self._at(int(index)) for index in order[:n]]

    def top_neurons(self, n: int = 10) -> list[Contribution]:
        """The ``n`` neurons of largest absolute mean.

        Raises:
            OptionError: neurons were not asked for.
        """
        neurons = self.needed("neurons")
        means = np.nan_to_num(neurons.mean("example").values)
        order = np.argsort(-np.abs(means).ravel(), kind="stable")[: whole_number(n, "n", 1)]
        places = [np.unravel_index(int(each), means.shape) for each in order]
        low, high = self._intervals(np.stack([neurons.values[place] for place in places]))
        return [
            Contribution(
                f"L{at}.mlp_act[N{unit}]", float(means[at, unit]), (float(low[i]), float(high[i]))
            )
            for i, (at, unit) in enumerate(places)
        ]

    def by_layer(self) -> pd.DataFrame:
        """Mean contribution of each layer's attention (its bias in it) and MLP, in logits."""
        import pandas as pd

        rows: dict[int, list[float]] = {}
        for term, value in zip(self.terms, self.contributions.values, strict=True):
            head, other = _HEAD.fullmatch(term), _LAYER.fullmatch(term)
            found = head or other
            if found:
                row = rows.setdefault(int(found[1]), [0.0, 0.0])
                row[int(other is not None and other[2] == "mlp_out")] += float(value)
        return pd.DataFrame(
            [(layer, *row) for layer, row in sorted(rows.items())],
            columns=["layer", "attention", "mlp"],
        )

    def needed(self, name: str) -> xr.DataArray:
        """``neurons`` or ``sources``, which must have been asked for.

        Raises:
            OptionError: it was not.
        """
        value = getattr(self, name)
        if value is None:
            raise OptionError(
                f"{name} were not computed",
                mend=f"ask for them: direct_logit_attribution(..., {name}=True)",
            )
        return value

    def figure(self, kind: str = "parts", *, n: int = 20, title: str = "") -> Figure:
        """A picture: ``parts`` (layers × heads, bias, MLP), ``bars``, ``neurons`` or ``sources``.

        Args:
            kind: one of :data:`FIGURES`.
            n: how many bars, neurons or heads.

        Raises:
            OptionError: another kind, or one that was not asked for.
        """
        if kind not in FIGURES:
            raise OptionError(f"no figure {shown(kind)}", mend=f"one of: {', '.join(FIGURES)}")
        return draw(self, kind, n, title)

    def summary(self) -> str:
        """One line: what the terms sum to, and how far that is from the logits."""
        mean = float(self.total.mean())
        name = "logit difference" if self.metric == "logit_diff" else "logit"
        own = float(self.logits.mean())
        text = f"{len(self.terms)} terms sum to a {name} of {mean:.3f} (gap {self.gap:.1e})"
        ends = f"the model's own {name} is {own:.3f}"
        if self.cap is not None:
            text += f" before the soft cap at ±{self.cap:g}"
            ends = f"behind it the model has {own:.3f}"
        if self.exact:
            return f"{text}; {ends}" if self.cap is not None else text
        share = self.gap / self.largest_logit if self.largest_logit else float("inf")
        return (
            f"{text}; not exact: the gap is {share:.1e} of the largest logit, more than "
            f"{SUM_TO:.0e}, in {self.provenance.dtype}; {ends}"
        )

    def __repr__(self) -> str:
        tops = ", ".join(f"{each.at} {each.logits:+.2f}" for each in self.top(3))
        return f"LogitAttribution({self.summary()}; largest {tops})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    @property
    def does_not_show(self) -> str:
        """What the numbers do not say."""
        return _SHOWS_NOT

    def to_dataframe(self) -> pd.DataFrame:
        """One row a term: ``term, layer, head, logits, low, high``."""
        import pandas as pd

        rows = []
        for index, term in enumerate(self.terms):
            head, other = _HEAD.fullmatch(term), _LAYER.fullmatch(term)
            found, each = head or other, self._at(index)
            layer = int(found[1]) if found else None
            rows.append((term, layer, int(head[2]) if head else None, each.logits, *each.interval))
        frame = pd.DataFrame(rows, columns=["term", "layer", "head", "logits", "low", "high"])
        return frame.astype({"layer": "Int64", "head": "Int64"})

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None."""
        low, high = self._ends
        more = {}
        for name in ("neurons", "neuron_bias", "sources"):
            value = getattr(self, name)
            more[name] = None if value is None else plain(example_mean(value))
        return {
            "terms": list(self.terms),
            "contributions": self.contributions.values.tolist(),
            "low": plain(low),
            "high": plain(high),
            "per_example": self.per_example.values.tolist(),
            "logits": self.logits.tolist(),
            "pre_cap": self.pre_cap.tolist(),
            "cap": self.cap,
            "metric": self.metric,
            "unit": "logits",
            "convention": self.convention,
            "gap": self.gap,
            "largest_logit": self.largest_logit,
            "exact": self.exact,
            **more,
            "tokens": list(self.tokens),
            "clusters": list(self.clusters),
            "intervals": {"level": self.level, "resamples": self.resamples, "seed": self.seed},
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, the table as ``.csv``, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        save_result(self, path, "an attribution")
