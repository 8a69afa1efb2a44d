"""Attention patterns beside what they move: weights times the size of the values they carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import AddressError, OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.lenses.broken_numbers import need_finite
from residuum.lenses.prompts import one_prompt
from residuum.models.weights import output_heads
from residuum.runs import Model, need_model, prove_weights, shown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap, Panel

VIEWS = {
    "pattern": ("attention", "Where each position attends; rows sum to 1, less a sink."),
    "value": ("attention × value norm", "Attention times the length of the value vector there."),
    "output": (
        "norm of what is moved",
        "Attention times the length of what the value there adds to the stream, through W_O.",
    ),
}


@dataclass(frozen=True, eq=False, repr=False)
class AttentionView:
    """Attention of one prompt, plain and weighted by what it carries.

    Shows: how much each head moves from where to where. Does not show: what is moved, nor that it
    is read by anything later.

    Attributes:
        pattern: ``[layer head q_pos k_pos]``, 0 to 1.
        value: the same times the norm of the value vector at ``k_pos``.
        output: the same times the norm of that value through ``W_O``, before a post-norm where the
            family has one: the length of what the head moves from ``k_pos`` to ``q_pos``.
        tokens: of the prompt.
    """

    pattern: Tensor
    value: Tensor
    output: Tensor
    tokens: tuple[str, ...]
    provenance: Provenance

    def of(self, layer: int, head: int, view: str = "output") -> Tensor:
        """One head's map, ``[q_pos k_pos]``.

        Raises:
            AddressError: no such layer or head.
            OptionError: no such view.
        """
        if not isinstance(view, str) or view not in VIEWS:
            raise OptionError(f"no view {shown(view)}", mend=f"one of: {', '.join(VIEWS)}")
        layers, heads = self.pattern.shape[:2]
        for name, index, size in (("layer", layer, layers), ("head", head, heads)):
            if type(index) is not int or not 0 <= index < size:
                raise AddressError(
                    f"no {name} {shown(index)}: the model has {size}", mend=f"use 0 to {size - 1}"
                )
        return getattr(self, view)[layer, head]

    def figure(
        self, layer: int | None = None, head: int | None = None, view: str = "output"
    ) -> HeatMap | Panel:
        """One head in full, or thumbnails of all heads.

        Raises:
            AddressError: no such layer or head.
            OptionError: no such view, or a layer without a head.
        """
        from residuum.figures import Panel

        if (layer is None) != (head is None):
            raise OptionError("a head needs its layer and its number", mend="give both, or none")
        if layer is not None and head is not None:
            return self._map(layer, head, view)
        layers, heads = self.pattern.shape[:2]
        self.of(0, 0, view)
        maps = [
            self._map(each, h, view, f"L{each}H{h}") for each in range(layers) for h in range(heads)
        ]
        return Panel(maps, columns=heads, title=f"All heads: {VIEWS[view][0]}")

    def _map(self, layer: int, head: int, view: str, title: str = "") -> HeatMap:
        from residuum.figures import HeatMap

        values, labels = self.of(layer, head, view), list(self.tokens)
        return HeatMap(
            values.numpy(),
            row_labels=labels,
            col_labels=labels,
            x="from (key)",
            y="to (query)",
            unit="attention" if view == "pattern" else "norm",
            scale="sequential",
            limits=(0.0, 1.0) if view == "pattern" else None,
            title=title or f"L{layer}H{head}: {VIEWS[view][0]}",
            caption=VIEWS[view][1],
            does_not_show="what is moved, or that anything later reads it.",
        )

    def __repr__(self) -> str:
        layers, heads, tokens, _ = self.pattern.shape
        at = int(self.output[:, :, -1].amax(-1).argmax())
        layer, head = divmod(at, heads)
        k_pos = int(self.output[layer, head, -1].argmax())
        return (
            f"AttentionView({layers} layers × {heads} heads × {tokens} tokens; most is moved to "
            f"the last token by L{layer}H{head}, from {k_pos} {self.tokens[k_pos]!r})"
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each layer, head, query and key: the three numbers."""
        import pandas as pd

        places = torch.cartesian_prod(*(torch.arange(n) for n in self.pattern.shape))
        frame = pd.DataFrame(places.numpy(), columns=["layer", "head", "q_pos", "k_pos"])
        for name in VIEWS:
            frame[name] = getattr(self, name).flatten().numpy()
        return frame

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        maps = {name: getattr(self, name).tolist() for name in VIEWS}
        return {**maps, "tokens": list(self.tokens), "provenance": self.provenance.to_json()}

    def save(self, path: str | Path) -> None:
        """Write ``.json``, the table as ``.csv``, or all heads as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        save_result(self, path, "attention")


def need_attention(model: Model) -> None:
    """Refuse a model without attention, or of which none was found.

    Raises:
        AddressError: there is none.
    """
    if not any(at.name == "pattern" for at in model.adapted.taps):
        reason = next(
            (why for at, why in model.adapted.refused.items() if at.name == "pattern"), ""
        )
        raise AddressError(
            "no attention was found in this model" + (f": {reason}" if reason else ""),
            mend="load a model with attention; rz.logit_lens(model, prompt) reads the stream of "
            "any model; residuum doctor MODEL lists what was found",
            where="pattern",
        )


def attention_view(model: Model, prompt: Any) -> AttentionView:
    """Attention of one prompt, beside the size of what each head moves by it.

    Attention to a position whose value is small moves little: many heads rest on the first token
    so.

    Args:
        model: a loaded model.
        prompt: a text, or one row of token ids.

    Raises:
        OptionError: no model, or several prompts.
        TokenError: no prompt, or one that cannot be read.
        AddressError: a model without attention.
        CheckFailed: an adapter or a hook on an output projection or a block.
        ShapeError: NaN or infinity in the model; the message names where they begin.

    Shows: how much each head moves from where to where. Does not show: what is moved, nor that it
    is read by anything later.

    Source: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with
    Vector Norms", section 3: ``‖α f(x)‖``, where ``f(x)`` is the value, its bias included, through
    the head's part of the output projection.

    >>> import residuum as rz
    >>> view = attention_view(rz.load("microworld", check=False), "Mary went to the store .")
    >>> tuple(view.output.shape) == (4, 8, 7, 7)
    True
    """
    need_model(model, "attention_view")
    need_attention(model)
    prove_weights(model, model.adapted.parts.layers, "o")
    batch = one_prompt(model, prompt, "attention_view")
    run = model.run(batch, capture=["pattern", "v"], logits=False)
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for layer in model.adapted.parts.layers:
        pattern, v = run["pattern", layer.index][0].float().cpu(), run["v", layer.index][0]
        v = v.repeat_interleave(pattern.shape[0] // v.shape[1], dim=1)  # [pos head d_head]
        weight = output_heads(layer).detach().to(v)
        moved = torch.einsum("khd,hdm->hkm", v, weight) * layer.scale
        sizes = (v.float().norm(dim=-1).T.cpu(), moved.float().norm(dim=-1).cpu())
        rows.append((pattern, pattern * sizes[0][:, None], pattern * sizes[1][:, None]))
    pattern, value, output = (torch.stack(each) for each in zip(*rows, strict=True))
    need_finite(model, batch, "attention", (pattern, value, output))
    tokens = run.tokens[0] if run.tokens else tuple(model.to_str_tokens(run.ids[0]))
    return AttentionView(
        pattern, value, output, tokens, model.provenance(strategy="attention_view")
    )
