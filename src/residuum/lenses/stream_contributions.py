"""How much each head and MLP adds to the stream, by layer: lengths, variance, directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import SILENT, CheckFailed, OptionError, Progress, Provenance
from residuum.core.notebook import html_of
from residuum.core.progress import track
from residuum.core.saving import save_result
from residuum.lenses.broken_numbers import need_finite
from residuum.lenses.final_norm import need_sum
from residuum.lenses.prompts import prompts_of
from residuum.lenses.result_file import plain
from residuum.models import Batch, Layer
from residuum.runs import (
    Model,
    Run,
    Task,
    need_model,
    prove_weights,
    refuse_unknown,
    shown,
    whole_number,
)
from residuum.runs.arguments import need_progress
from residuum.runs.weight_proof import MEND

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap

MEASURES = {
    "share": "part · stream / stream · stream; the parts of a layer sum to 1",
    "size": "‖part‖² / ‖stream‖²; sums to 1 only where parts are orthogonal",
    "variance_share": "covariance with the stream over its variance; sums to 1",
    "variance": "variance of the part over tokens, summed over dimensions",
    "norm": "mean length",
    "cosine": "mean cosine with the stream after the block",
    "cosine_before": "mean cosine with the stream before the block; below 0: it takes away",
}


_FAILS = {torch.float64: 1e-5, torch.float32: 1e-3}
_FAILS_HALF = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class StreamContributions:
    """What each block's parts add to the stream, over all tokens of some prompts.

    The stream after a block is a sum: the stream before it, every head, the attention's output
    bias, the MLP. Parts are not orthogonal, so that squared lengths do not add up; shares (the part
    along the stream) do, and may be negative or above 1 where parts cancel.

    Shows: how large each part is, and whether it points along the stream or against it. Does not
    show: that it matters: what is large may be read by nothing, and a small part may decide.

    Attributes:
        table: one row a layer and part (``before``, ``H0`` …, ``bias``, ``MLP``), columns
            :data:`MEASURES`.
        tokens: how many tokens were measured.
        overlap: ``[layer]`` sum of ``size`` minus 1: 0 where the parts are orthogonal.
    """

    table: pd.DataFrame
    tokens: int
    overlap: tuple[float, ...]
    provenance: Provenance

    def to_dataframe(self) -> pd.DataFrame:
        """A copy of the table."""
        return self.table.copy()

    def figure(self, measure: str = "share", title: str = "") -> HeatMap:
        """Layers by parts, for one measure; the stream before the block is left out.

        Raises:
            OptionError: no such measure.
        """
        from residuum.figures import HeatMap

        if not isinstance(measure, str) or measure not in MEASURES:
            raise OptionError(f"no measure {shown(measure)}", mend=f"one of: {', '.join(MEASURES)}")
        own = self.table[self.table.part != "before"]
        grid = own.pivot(index="layer", columns="part", values=measure)
        grid = grid[list(dict.fromkeys(own.part))].sort_index(ascending=False)
        overlaps = ", ".join(f"L{i} {each:+.2f}" for i, each in enumerate(self.overlap))
        signed = measure in ("share", "variance_share", "cosine", "cosine_before")
        return HeatMap(
            grid.to_numpy(),
            row_labels=[f"L{each}" for each in grid.index],
            col_labels=list(map(str, grid.columns)),
            x="part",
            y="layer",
            unit=measure.replace("_", " "),
            scale="diverging" if signed else "sequential",
            title=title or "What each part adds to the stream",
            caption=f"{MEASURES[measure][0].upper()}{MEASURES[measure][1:]}; {self.tokens} tokens. "
            f"Squared lengths, the stream before included, sum to 1 plus: {overlaps}.",
            does_not_show="that a part matters: what is large may be read by nothing.",
        )

    def __repr__(self) -> str:
        own = self.table[self.table.part != "before"]
        largest = own.loc[own.groupby("layer").share.idxmax()]
        parts = ", ".join(
            f"L{layer} {part} {share:.2f}"
            for layer, part, share in zip(largest.layer, largest.part, largest.share, strict=True)
        )
        return f"StreamContributions({self.tokens} tokens; largest share {parts})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "table": {name: plain(self.table[name]) for name in self.table.columns},
            "measures": dict(MEASURES),
            "tokens": self.tokens,
            "overlap": list(self.overlap),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, the table as ``.csv``, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        save_result(self, path, "contributions")


@dataclass
class _Sums:
    """Sums over tokens for one part: enough for every measure."""

    count: int
    own: Tensor
    stream: Tensor
    numbers: dict[str, float]

    @staticmethod
    def empty(width: int) -> _Sums:
        zero = torch.zeros(width, dtype=torch.float64)
        names = ("cross", "square", "whole", "norm", "cosine", "cosine_before")
        return _Sums(0, zero, zero.clone(), dict.fromkeys(names, 0.0))

    def take(self, part: Tensor, before: Tensor, after: Tensor) -> None:
        """Take in tokens, each ``[token d_model]`` in float64."""
        self.count += len(part)
        self.own = self.own + part.sum(0)
        self.stream = self.stream + after.sum(0)
        found = {
            "cross": (part * after).sum(),
            "square": part.square().sum(),
            "whole": after.square().sum(),
            "norm": part.norm(dim=-1).sum(),
            "cosine": torch.cosine_similarity(part, after, dim=-1).sum(),
            "cosine_before": torch.cosine_similarity(part, before, dim=-1).sum(),
        }
        for name, value in found.items():
            self.numbers[name] += float(value)

    def measures(self) -> dict[str, float]:
        n, of = self.count, self.numbers
        spread = of["whole"] - float(self.stream.square().sum()) / n
        covariance = of["cross"] - float((self.own * self.stream).sum()) / n
        return {
            "share": of["cross"] / of["whole"],
            "size": of["square"] / of["whole"],
            "variance_share": covariance / spread if spread > 0 else float("nan"),
            "variance": (of["square"] - float(self.own.square().sum()) / n) / n,
            "norm": of["norm"] / n,
            "cosine": of["cosine"] / n,
            "cosine_before": of["cosine_before"] / n,
        }


def stream_contributions(
    model: Model,
    prompts: Any,
    *,
    skip: int = 0,
    batch_size: int = 4,
    progress: Progress = SILENT,
    **unknown: Any,
) -> StreamContributions:
    """Measure what every head, bias and MLP adds to the stream, layer by layer.

    Args:
        model: a loaded model whose stream is a sum.
        prompts: texts, ids, or a task (its clean prompts).
        skip: tokens to leave out at each prompt's start; in many models the first token's stream is
            many times longer than the others and decides every mean.
        batch_size: prompts in one pass.
        progress: who is told.

    Returns:
        A table by layer and part; see :class:`StreamContributions`.

    Raises:
        OptionError: no model, an unknown option, or no token left after ``skip``.
        TokenError: no prompts, or ids that cannot be read.
        AddressError: a model whose stream is no sum, or of unknown make.
        CheckFailed: an adapter or a hook on a block: it adds more than its parts.
        ShapeError: NaN or infinity in the model; the message names where they begin.

    Shows: sizes and directions. Does not show: that a part matters.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> found = stream_contributions(model, "Mary went to the store .")
    >>> bool((abs(found.table.groupby("layer").share.sum() - 1) < 1e-5).all())
    True
    """
    import pandas as pd

    refuse_unknown(unknown, "stream_contributions", "skip, batch_size, progress")
    need_model(model, "stream_contributions")
    need_sum(model.adapted.parts, "measuring what parts add")
    whole_number(skip, "skip", 0)
    whole_number(batch_size, "batch_size", 1)
    need_progress(progress)
    prove_weights(model, model.adapted.parts.layers, "o")
    batch = _batch(model, prompts)
    if int(batch.lengths.max()) <= skip:
        raise OptionError(f"skip={skip} leaves no token", mend="skip fewer")
    sums: dict[tuple[int, str], _Sums] = {}
    starts = range(0, len(batch.ids), batch_size)
    for start in track(starts, progress, "stream contributions", len(starts)):
        chunk = batch.rows(start, start + batch_size)
        run = model.run(chunk, capture=_sites(model), logits=False)
        real = _real(chunk, skip)
        for layer in model.adapted.parts.layers:
            _take(layer, run, real, sums)
    sizes = [number for each in sums.values() for number in each.numbers.values()]
    need_finite(model, batch, "a part of the stream", (sizes,))
    rows: list[dict[str, Any]] = [
        {"layer": at, "part": part, **each.measures()} for (at, part), each in sums.items()
    ]
    table = pd.DataFrame(rows)
    _check_sum(model, table)
    overlap = [0.0] * model.n_layers
    for row in rows:
        overlap[row["layer"]] += row["size"]
    return StreamContributions(
        table=table,
        tokens=next(iter(sums.values())).count,
        overlap=tuple(each - 1 for each in overlap),
        provenance=model.provenance(strategy=f"stream_contributions(skip={skip})"),
    )


def _check_sum(model: Model, table: pd.DataFrame) -> None:
    off = (table.groupby("layer").share.sum() - 1).abs()
    if float(off.max()) > _FAILS.get(model.dtype, _FAILS_HALF):
        raise CheckFailed(
            f"the parts of L{off.idxmax()} miss its stream by {off.max():.1e} of it: there is a "
            "hook or an adapter on it",
            mend=MEND,
            where=f"L{off.idxmax()}.resid_post",
        )


def _batch(model: Model, prompts: Any) -> Batch:
    if isinstance(prompts, Task):
        prompts.check_fits(model)
        return Batch(prompts.clean, prompts.attention_mask)
    return prompts_of(model, prompts)


def _real(batch: Batch, skip: int) -> Tensor:
    """``[batch pos]`` true at the tokens measured."""
    columns = torch.arange(batch.ids.shape[1])[None] - batch.starts[:, None]
    return (columns >= skip) & (columns < batch.lengths[:, None])


def _sites(model: Model) -> list[str]:
    names = ["resid_pre", "head_out", "attn_out", "resid_post"]
    return [
        f"L{layer.index}.{name}"
        for layer in model.adapted.parts.layers
        for name in (*names, *(["mlp_out"] if layer.has_mlp else []))
    ]


def _take(layer: Layer, run: Run, real: Tensor, sums: dict[tuple[int, str], _Sums]) -> None:
    def at(name: str) -> Tensor:
        value = run[f"L{layer.index}.{name}"]
        return value[real.to(value.device)].cpu().double()

    before, after = at("resid_pre"), at("resid_post")
    for part, value in _parts(layer, at, before):
        key = (layer.index, part)
        sums.setdefault(key, _Sums.empty(after.shape[-1])).take(value, before, after)


def _parts(layer: Layer, at: Any, before: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What sums to the stream after the block."""
    heads, attention = at("head_out"), at("attn_out")
    yield "before", before
    for head in range(heads.shape[1]):
        yield f"H{head}", heads[:, head]
    bias = getattr(layer.o_proj, "bias", None)
    if isinstance(bias, Tensor):
        plain = layer.attn_writer is layer.o_proj
        own = (bias.detach().cpu().double() * layer.scale).expand_as(attention)
        yield "bias", own if plain else attention - heads.sum(1)
    if layer.has_mlp:
        yield "MLP", at("mlp_out")
