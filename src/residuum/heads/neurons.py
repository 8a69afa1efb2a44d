"""One neuron: the direction it reads, the direction it writes, and the texts that drive it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.heads.reading import embedding, index_of, layer_of, unembedding
from residuum.heads.stream_wiring import neuron_reader, neuron_writer
from residuum.runs import Model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import yes_or_no

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Panel

_BATCH = 32


@dataclass(frozen=True)
class TokenWeight:
    """A token and its weight along a direction."""

    token: int
    word: str
    weight: float


@dataclass(frozen=True)
class Drive:
    """One place where the neuron is active.

    Attributes:
        prompt: number of the prompt among those given.
        pos: position in it, from 0.
        word: token there.
        text: up to eight tokens, ending with it.
        activation: ``mlp_act`` there.
    """

    prompt: int
    pos: int
    word: str
    text: str
    activation: float


@dataclass(frozen=True, eq=False, repr=False)
class NeuronReading:
    """A neuron's reading and writing directions in tokens, and what drives it.

    Shows: which tokens' own embeddings point along what the neuron reads, and which logits its
    output raises directly. Does not show: what earlier layers feed it (see ``drives``), nor that
    later layers let its output through; one neuron rarely has one meaning.

    Attributes:
        address: such as ``L1.mlp_act[N5]``.
        reads, reads_least: tokens whose embeddings score highest and lowest along its input.
        raises, lowers: tokens whose logits its output moves most (at frozen norm scale).
        drives: the places with the largest activations among the prompts, one for each prompt.
        mean, share_active: of its activation over all tokens of the prompts; NaN without prompts.
    """

    address: str
    reads: tuple[TokenWeight, ...]
    reads_least: tuple[TokenWeight, ...]
    raises: tuple[TokenWeight, ...]
    lowers: tuple[TokenWeight, ...]
    drives: tuple[Drive, ...]
    mean: float
    share_active: float
    folded: bool
    provenance: Provenance

    def __repr__(self) -> str:
        lists = {"reads": self.reads, "raises": self.raises, "lowers": self.lowers}
        lines = [
            f"{name}: {' '.join(repr(each.word) for each in found[:5])}"
            for name, found in lists.items()
        ]
        lines += [f"{each.activation:+.2f} {each.text!r}" for each in self.drives[:3]]
        return "\n  ".join([f"NeuronReading({self.address}", *lines]) + ")"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self) -> Panel:
        """Bars of the tokens that it reads and moves; the driving texts as a table."""
        from residuum.figures import Bars, Column, Panel, Table

        def bars(title: str, best: Sequence[TokenWeight], least: Sequence[TokenWeight]) -> Bars:
            both = {each.token: each for each in (*best, *least)}
            names = [repr(each.word) for each in both.values()]
            return Bars(names, [each.weight for each in both.values()], x="weight", title=title)

        figures: list[Any] = [
            bars("reads", self.reads, self.reads_least),
            bars("moves the logit of", self.raises, self.lowers),
        ]
        if self.drives:
            rows = [[each.activation, each.text] for each in self.drives]
            columns = [Column("activation", digits=2), Column("text up to the token")]
            figures.append(Table(columns, rows, title="driven by"))
        return Panel(
            figures,
            columns=1,
            thumbnails=False,
            title=self.address,
            caption="Norm gains folded in." if self.folded else "Norms left out.",
            does_not_show="What earlier layers feed the neuron, or that it has one meaning.",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each token or text: list, token id, word, value."""
        import pandas as pd

        lists = {
            "reads": self.reads,
            "reads_least": self.reads_least,
            "raises": self.raises,
            "lowers": self.lowers,
        }
        rows: list[dict[str, Any]] = [
            {"list": name, "token": each.token, "word": each.word, "value": each.weight}
            for name, found in lists.items()
            for each in found
        ]
        rows += [
            {"list": "drives", "token": None, "word": each.text, "value": each.activation}
            for each in self.drives
        ]
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        names = ("reads", "reads_least", "raises", "lowers", "drives")
        return {
            "address": self.address,
            **{name: [vars(each) for each in getattr(self, name)] for name in names},
            "mean": None if self.mean != self.mean else self.mean,
            "share_active": None if self.share_active != self.share_active else self.share_active,
            "folded": self.folded,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)


def neuron(
    model: Model,
    layer: int,
    index: int,
    prompts: Sequence[Any] | Tensor | None = None,
    *,
    tokens: int = 8,
    texts: int = 8,
    fold: bool = True,
    **unknown: Any,
) -> NeuronReading:
    """Read one neuron off the weights, and find what drives it.

    Args:
        model: a loaded model.
        layer, index: of the neuron.
        prompts: texts, rows of ids, or a tensor ``[batch pos]`` to search; None searches none.
        tokens: how many tokens at each end of a direction.
        texts: how many driving places, at most one for each prompt.
        fold: multiply the norm's gain and centring into both directions.

    Returns:
        The reading. Of a gated MLP the reading direction is the gate's.

    Raises:
        OptionError: no model, an unknown option, no prompts in the list.
        AddressError: out of range; a block without neurons of its own.
        CheckFailed: an adapter or a hook on their weights.
        ShapeError: NaN or infinity in these weights.

    Shows: see :class:`NeuronReading`, where "Does not show" stands too.

    Source: the directions are those of Geva et al., "Transformer Feed-Forward Layers Are Key-Value
    Memories" (2021), projected to tokens as in their later work (2022).

    >>> import residuum as rz
    >>> from residuum import heads
    >>> model = rz.load("microworld", check=False)
    >>> reading = heads.neuron(model, 0, 5, ["Mary went to the store ."])
    >>> len(reading.reads), reading.drives[0].prompt
    (8, 0)
    """
    refuse_unknown(unknown, "neuron", "prompts, tokens, texts, fold")
    whole_number(tokens, "tokens", 1)
    whole_number(texts, "texts", 1)
    yes_or_no(fold, "fold")
    part = layer_of(model, layer, "neuron", "m")
    reader, writer = neuron_reader(model, part, fold), neuron_writer(model, part, fold)
    index = index_of(index, writer.shape[0], "neuron")
    read = embedding(model) @ reader[:, index]
    moved = writer[index] @ unembedding(model, fold)[0]
    drives, mean, active = _drives(model, part.index, index, prompts, texts)
    address = f"L{part.index}.mlp_act[N{index}]"
    return NeuronReading(
        address=address,
        reads=_tokens(model, read, tokens),
        reads_least=_tokens(model, read, tokens, -1),
        raises=_tokens(model, moved, tokens),
        lowers=_tokens(model, moved, tokens, -1),
        drives=drives,
        mean=mean,
        share_active=active,
        folded=fold,
        provenance=model.provenance(strategy=f"neuron({address}, fold={fold})"),
    )


def _tokens(model: Model, weights: Tensor, n: int, sign: int = 1) -> tuple[TokenWeight, ...]:
    best = (sign * weights).topk(min(n, len(weights))).indices
    words = model.to_str_tokens(best)
    return tuple(
        TokenWeight(int(at), word, float(weights[at])) for at, word in zip(best, words, strict=True)
    )


def _prompt_rows(prompts: Any) -> list[Any]:
    """Texts or lists of ids, one for each prompt."""
    if not isinstance(prompts, (str, Sequence, Tensor, np.ndarray)):
        raise OptionError(
            f"prompts={shown(prompts)} is nothing to search",
            mend="give texts, rows of ids, a tensor [batch pos], or None",
        )
    if not len(prompts):
        raise OptionError("no prompts to search", mend="give at least one text, or None")
    rows: Any = prompts.tolist() if isinstance(prompts, (Tensor, np.ndarray)) else prompts
    found = [rows] if isinstance(rows, str) or isinstance(rows[0], Number) else rows
    return [each.tolist() if isinstance(each, (Tensor, np.ndarray)) else each for each in found]


def _drives(
    model: Model, layer: int, index: int, prompts: Any, n: int
) -> tuple[tuple[Drive, ...], float, float]:
    if prompts is None:
        return (), float("nan"), float("nan")
    rows = _prompt_rows(prompts)
    found: list[Drive] = []
    total, active, count = 0.0, 0, 0
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        run = model.run(some, capture=[f"L{layer}.mlp_act"], logits=False)
        values = run["mlp_act", layer][..., index].double().cpu()
        mask = torch.ones_like(values, dtype=torch.bool)
        if run.batch.mask is not None:
            mask = run.batch.mask.cpu()
        total, count = total + float(values[mask].sum()), count + int(mask.sum())
        active += int((values[mask] > 0).sum())
        best = values.masked_fill(~mask, -torch.inf).max(dim=1)
        for row in range(len(values)):
            at = int(best.indices[row])
            first = int(run.batch.starts[row])
            words = model.to_str_tokens(run.ids[row, first : at + 1])
            text = model.to_string(run.ids[row, max(first, at - 7) : at + 1])
            found.append(Drive(start + row, at - first, words[-1], text, float(best.values[row])))
    found.sort(key=lambda each: -each.activation)
    return tuple(found[:n]), total / count, active / count
