"""Virtual weights: what one component's output does to a later one's input, through the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.heads.factored import FactoredMatrix
from residuum.heads.reading import (
    NormMap,
    embedding,
    head_of,
    index_of,
    layer_of,
    norm_map,
    output_of,
    projection,
    unembedding,
    wide,
    write_gain,
)
from residuum.models import Layer
from residuum.runs import Model, need_model, refuse_unknown
from residuum.runs.arguments import yes_or_no

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars, HeatMap

WRITERS = "embed, pos_embed, L{i}.z[H{j}], L{i}.head_out[H{j}], L{i}.mlp_act, L{i}.mlp_act[N{j}]"
READERS = "L{i}.q[H{j}], L{i}.k[H{j}], L{i}.v[H{j}], L{i}.mlp_pre, L{i}.mlp_pre[N{j}], logits"
_LARGEST_PICTURE = 4096


@dataclass(frozen=True, eq=False, repr=False)
class VirtualWeights:
    """The linear map from one component's own units to a later one's.

    Shows: how the two would be wired if nothing else were on the stream. Does not show: that the
    writer is active where the reader reads, nor what the layers between add or take away.

    Attributes:
        writer, reader: addresses as asked for.
        matrix: factored, ``[units of the writer, units of the reader]``: tokens, positions,
            ``d_head``, neurons, or ``d_model`` (for ``head_out``: the stream that the head reads).
        norm: Frobenius norm.
        cosine: norm over the product of both sides' norms, 0 to 1; ``1/√d_model`` is what random
            directions give.
        notes: what is not in the matrix.
    """

    writer: str
    reader: str
    matrix: FactoredMatrix
    norm: float
    cosine: float
    folded: bool
    notes: tuple[str, ...]
    provenance: Provenance
    words: Callable[[int], str]

    def __repr__(self) -> str:
        rows, columns = self.matrix.shape
        return (
            f"VirtualWeights({self.writer} → {self.reader}, {rows} × {columns}, norm "
            f"{self.norm:.3g}, cosine {self.cosine:.3g})"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Units of the writer, units of the reader."""
        return self.matrix.shape

    def _repr_html_(self) -> str | None:
        return html_of(self, self.shape[0] * self.shape[1])

    def figure(self) -> HeatMap | Bars:
        """The map as a heat map where it is small, else its largest entries as bars."""
        from residuum.figures import Bars, HeatMap

        title = f"{self.writer} → {self.reader}"
        caption = " ".join(f"{note[0].upper()}{note[1:]}." for note in self.notes)
        words = "That the writer is active where the reader reads."
        if self.shape[0] * self.shape[1] <= _LARGEST_PICTURE:
            values = self.matrix.dense().double().cpu().numpy()
            return HeatMap(values, x=self.reader, y=self.writer, unit="weight", title=title,
                           caption=caption, does_not_show=words)  # fmt: skip
        entries = self._entries(16)
        names = [f"{self._unit(self.writer, r)} → {self._unit(self.reader, c)}"
                 for r, c, _ in entries]  # fmt: skip
        return Bars(names, [value for *_, value in entries],
                    x="weight", order="magnitude", title=title,
                    caption=f"The largest entries of both signs. {caption}".strip(),
                    does_not_show=words)  # fmt: skip

    def _unit(self, side: str, index: int) -> str:
        """A unit of one side in words: a token, a neuron, or a number."""
        if side in ("embed", "logits"):
            return repr(self.words(index))
        if "[N" in side:
            return side
        return f"N{index}" if "mlp" in side else str(index)

    def _entries(self, n: int) -> list[tuple[int, int, float]]:
        both = {e[:2]: e for sign in (True, False) for e in self.matrix.top_entries(n, sign)}
        return sorted(both.values(), key=lambda entry: -abs(entry[2]))[:n]

    def to_dataframe(self) -> pd.DataFrame:
        """The 100 entries of largest absolute value: writer unit, reader unit, weight."""
        import pandas as pd

        return pd.DataFrame(self._entries(100), columns=["writer_unit", "reader_unit", "weight"])

    def to_json(self) -> dict[str, Any]:
        """Plain data: sizes, norm, singular values, largest entries."""
        return {
            "writer": self.writer,
            "reader": self.reader,
            "shape": list(self.shape),
            "norm": self.norm,
            "cosine": self.cosine,
            "folded": self.folded,
            "singular_values": self.matrix.svd()[1].tolist(),
            "top_entries": [list(entry) for entry in self._entries(20)],
            "notes": list(self.notes),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write JSON, the largest entries as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)


def virtual_weights(
    model: Model,
    writer: str | Address,
    reader: str | Address,
    *,
    fold: bool = True,
    **unknown: Any,
) -> VirtualWeights:
    """Virtual weights between any two components that the stream connects.

    Args:
        model: a loaded model.
        writer: ``embed``, ``pos_embed``, ``L0.z[H1]`` (a head's own ``d_head`` units),
            ``L0.head_out[H1]`` (the stream it attends to, through its OV circuit), ``L0.mlp_act``,
            ``L0.mlp_act[N5]``.
        reader: ``L1.q[H0]``, ``L1.k[H0]``, ``L1.v[H0]`` (heads of keys and values in a grouped
            model), ``L1.mlp_pre``, ``L1.mlp_pre[N5]``, ``logits``.
        fold: multiply norms' gains and centring into the reader (and into a post-norm's writer).

    Returns:
        The factored map, written as ``units of the writer @ matrix = units of the reader``, exact
        but for each norm's division and constants.

    Raises:
        OptionError: no model, an unknown option, a component that writes or reads nothing here.
        AddressError: out of range; a writer that the reader does not come after; a mixture of
            experts' neurons; no linear embedding or unembedding.
        CheckFailed: an adapter or a hook on the weights.
        ShapeError: NaN or infinity in the weights.

    Shows: how two components are wired. Does not show: that the wire is used.

    Source: Elhage et al. (2021), "Virtual Weights and the Residual Stream as a Communication
    Channel".

    >>> import residuum as rz
    >>> from residuum import heads
    >>> heads.virtual_weights(rz.load("microworld", check=False), "L0.z[H1]", "L2.k[H3]").shape
    (16, 16)
    """
    refuse_unknown(unknown, "virtual_weights", "fold")
    need_model(model, "virtual_weights")
    yes_or_no(fold, "fold")
    source, target = (_plain(Address.parse(each)) for each in (writer, reader))
    out = _writer(model, source, fold)
    into = _reader(model, target, fold)
    _in_order(model, source, target)
    matrix = out @ into if isinstance(out, FactoredMatrix) else FactoredMatrix(out, into)
    size = out.norm() if isinstance(out, FactoredMatrix) else float(out.double().norm())
    norm, whole = matrix.norm(), size * float(into.double().norm())
    notes = ["each norm's division and all constants are left out"]
    return VirtualWeights(
        writer=str(source),
        reader=str(target),
        matrix=matrix,
        norm=norm,
        cosine=norm / whole if whole > 0 else 0.0,
        folded=fold,
        notes=tuple(notes if fold else ["norms and all constants are left out"]),
        provenance=model.provenance(strategy=f"virtual_weights({source}, {target}, fold={fold})"),
        words=lambda token: model.to_str_tokens(torch.tensor([token]))[0],
    )


def neuron_reader(model: Model, part: Layer, fold: bool) -> Tensor:
    """``W_gate`` of a gated MLP or ``W_in``, ``[d_model d_mlp]``: what ``mlp_pre`` reads.

    Raises:
        AddressError: a block without an MLP of single neurons.
    """
    weight = _neuron_weight(model, part, "W_gate" if "gated" in part.mlp_kind else "W_in")
    shared = part.wiring == "parallel" and part.ln2 is None
    norm = norm_map(part.ln1 if shared else part.ln2, model.dims.d_model) if fold else None
    return weight if norm is None else norm.fold(weight)


def neuron_writer(model: Model, part: Layer, fold: bool) -> Tensor:
    """``W_out`` with the family's factor, ``[d_mlp d_model]``: what each neuron adds.

    Raises:
        AddressError: a block without an MLP of single neurons.
    """
    weight = _neuron_weight(model, part, "W_out") * part.scale
    encoder = part.wiring == "post_norm_encoder"
    after = None if encoder or not fold else norm_map(part.post_mlp_norm, model.dims.d_model)
    return weight if after is None else after.apply(weight)


def _neuron_weight(model: Model, part: Layer, name: str) -> Tensor:
    if not part.has_mlp or part.mlp_kind == "moe":
        what = "a mixture of experts" if part.has_mlp else "no MLP"
        raise AddressError(
            f"block {part.index} has {what}: no neurons of its own",
            mend="choose a block with a dense MLP",
        )
    return wide(getattr(model, name)[part.index])


def _writer(model: Model, at: Address, fold: bool) -> Tensor | FactoredMatrix:
    if at.name == "embed":
        return embedding(model)
    if at.name == "pos_embed":
        table = model.W_pos
        assert isinstance(table, Tensor)
        return wide(table) * model.adapted.parts.embed_scale
    if at.name in ("z", "head_out") and type(at.part) is int:
        part, head, kv_head = head_of(
            model, at.layer, at.part, "virtual_weights", "o" if at.name == "z" else "vo"
        )
        after = write_gain(part, model.dims.d_model) if fold else None
        out = output_of(part, head)
        out = out if after is None else after.apply(out)
        if at.name == "z":
            return out
        norm = norm_map(part.ln1, model.dims.d_model) if fold else None
        value = projection(part, "v", kv_head)
        return FactoredMatrix(value if norm is None else norm.fold(value), out)
    if at.name == "mlp_act":
        part = layer_of(model, at.layer, "virtual_weights", "m")
        return _one(neuron_writer(model, part, fold), at, 0)
    raise OptionError(
        f"{at} writes nothing that can be read off the weights", mend=f"use {WRITERS}"
    )


def _reader(model: Model, at: Address, fold: bool) -> Tensor:
    if at.name == "logits":
        return unembedding(model, fold)[0]
    if at.name in ("q", "k", "v") and type(at.part) is int:
        part = layer_of(model, at.layer, "virtual_weights", at.name)
        head = index_of(at.part, part.projections.heads(at.name), f"{at.name} head")
        norm: NormMap | None = norm_map(part.ln1, model.dims.d_model) if fold else None
        weight = projection(part, at.name, head)
        return weight if norm is None else norm.fold(weight)
    if at.name == "mlp_pre":
        part = layer_of(model, at.layer, "virtual_weights", "m")
        return _one(neuron_reader(model, part, fold), at, 1)
    raise OptionError(f"{at} reads nothing that can be read off the weights", mend=f"use {READERS}")


def _plain(at: Address) -> Address:
    """Refuse what weights do not know: positions, and latents of a dictionary."""
    if at.pos is not None or at.dictionary is not None:
        raise OptionError(
            f"{at} names {'a position' if at.pos is not None else 'a dictionary'}, and weights are "
            "the same everywhere",
            mend="leave @… and /NAME out of the address",
        )
    return at


def _one(weight: Tensor, at: Address, axis: int) -> Tensor:
    if at.part is None:
        return weight
    number = index_of(at.part, weight.shape[axis], "neuron")
    return weight.narrow(axis, number, 1)


def _in_order(model: Model, source: Address, target: Address) -> None:
    """Refuse a reader that comes before its writer in the forward pass."""
    first = _place(model, source, 0)
    second = _place(model, target, 1)
    if second <= first:
        raise AddressError(
            f"{target} does not come after {source}", mend="name the earlier component first"
        )


def _place(model: Model, at: Address, side: int) -> tuple[int, int]:
    if at.layer is None:
        return (model.n_layers, 1) if at.name == "logits" else (-1, 0)
    layer = int(at.layer)  # type: ignore[arg-type]
    sequential = model.adapted.parts.layers[layer].wiring != "parallel"
    in_mlp = at.name.startswith("mlp")
    step = 2 * int(in_mlp and sequential)
    return (layer, step if side else step + 1)
