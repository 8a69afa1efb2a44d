"""Pictures of a direct logit attribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from residuum.figures import Bars, Figure, HeatMap


class Drawn(Protocol):
    """What is drawn: see ``LogitAttribution``."""

    @property
    def terms(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def contributions(self) -> xr.DataArray: ...  # noqa: D102
    @property
    def heads(self) -> xr.DataArray: ...  # noqa: D102
    @property
    def logits(self) -> np.ndarray: ...  # noqa: D102
    @property
    def tokens(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def convention(self) -> str: ...  # noqa: D102
    @property
    def level(self) -> float: ...  # noqa: D102
    @property
    def does_not_show(self) -> str: ...  # noqa: D102
    def summary(self) -> str: ...  # noqa: D102
    def top(self, n: int) -> Sequence[Any]: ...  # noqa: D102
    def top_neurons(self, n: int) -> Sequence[Any]: ...  # noqa: D102
    def needed(self, name: str) -> xr.DataArray: ...  # noqa: D102


def example_mean(values: xr.DataArray) -> np.ndarray:
    """Mean over the examples (last dim) that have a number there; NaN where none has."""
    table = values.values
    count = np.isfinite(table).sum(-1)
    return np.where(count > 0, np.nansum(table, axis=-1) / np.maximum(count, 1), np.nan)


def draw(found: Drawn, kind: str, n: int, title: str) -> Figure:
    """One of the four pictures."""
    if kind == "parts":
        return _parts(found, title)
    if kind == "bars":
        return _bars(found, found.top(n), title or "What writes straight into the logits")
    if kind == "neurons":
        return _bars(found, found.top_neurons(n), title or "Neurons that write into the logits")
    return _sources(found, n, title)


def _caption(found: Drawn) -> str:
    prompts = len(found.logits)
    what = "one prompt" if prompts == 1 else f"mean over {prompts} prompts"
    return f"{found.summary()}; {what}; {found.convention}."


def _parts(found: Drawn, title: str) -> HeatMap:
    from residuum.figures import HeatMap

    heads = found.heads.values
    layers, across = heads.shape
    means = dict(zip(found.terms, found.contributions.values.tolist(), strict=True))
    named = [name for name in ("b_O", "mlp_out") if any(f"L{i}.{name}" in means
             for i in range(layers))]  # fmt: skip
    table = np.full((layers, across + len(named)), np.nan)
    table[:, :across] = heads
    for layer in range(layers):
        for at, name in enumerate(named):
            table[layer, across + at] = means.get(f"L{layer}.{name}", np.nan)
    rest = [f"{t} {v:+.2f}" for t, v in means.items() if not t.startswith("L")]
    return HeatMap(
        table[::-1],
        row_labels=[f"L{layer}" for layer in reversed(range(layers))],
        col_labels=[f"H{h}" for h in range(across)]
        + ["bias" if name == "b_O" else "MLP" for name in named],
        x="part",
        y="layer",
        unit="logits",
        title=title or "What each part writes straight into the logits",
        caption=f"{_caption(found)} Outside the blocks: {', '.join(rest)}.",
        does_not_show=found.does_not_show,
    )


def _bars(found: Drawn, rows: Sequence[Any], title: str) -> Bars:
    from residuum.figures import Bars

    return Bars(
        [each.at for each in rows],
        [each.logits for each in rows],
        lo=[each.interval[0] for each in rows],
        hi=[each.interval[1] for each in rows],
        x="contribution",
        unit="logits",
        order="magnitude",
        title=title,
        caption=f"{_caption(found)} Lines: {100 * found.level:g} % bootstrap intervals.",
        does_not_show=found.does_not_show,
    )


def _sources(found: Drawn, n: int, title: str) -> HeatMap:
    from residuum.figures import HeatMap

    means = example_mean(found.needed("sources"))
    strength = np.abs(found.heads.values)
    order = np.argsort(-strength.ravel(), kind="stable")[: min(n, strength.size)]
    places = [np.unravel_index(int(each), strength.shape) for each in order]
    several = len(found.logits) > 1
    words = [f"{i} {token}" for i, token in enumerate(found.tokens)] or None
    width = means.shape[-1]
    return HeatMap(
        np.stack([means[place] for place in places]),
        row_labels=[f"L{layer}H{head}" for layer, head in places],
        col_labels=words if words and len(words) == width else None,
        x="position it was moved from" + (" (words of the first prompt)" if several else ""),
        y="head",
        unit="logits",
        title=title or "Which positions the heads' contributions came from",
        caption=f"Attention times what the value there writes into the logits. {_caption(found)}",
        does_not_show=found.does_not_show,
    )
