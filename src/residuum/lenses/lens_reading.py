"""The record of a lens: likely tokens by layer and position, and how far from the output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap

OWN_SCALE = "final norm at the stream's own scale"
FROZEN_SCALE = "final norm at the scale of the whole last stream (frozen), without its bias"


@dataclass(frozen=True, repr=False)
class LensReading:
    """What each layer would answer if the model stopped there.

    Shows: what the unembedding reads off the stream. Does not show: that later layers read it
    so, nor that the model uses it; for that, patch the stream.

    Attributes:
        layers: row labels, ``embed`` or ``L0`` … in order.
        tokens: tokens of the prompt.
        top_ids: ``[layer pos k]`` most likely next tokens.
        top_probs: ``[layer pos k]`` their probabilities.
        top_words: the same as text.
        tracked: ids followed through the layers.
        tracked_logits: ``[layer pos tracked]``, mean over the vocabulary taken off. Parts
            (``attn_out``, ``mlp_out``, ``head_out``): what it adds to them; these add up.
        tracked_probs: ``[layer pos tracked]``.
        entropy_bits: ``[layer pos]`` of the layer's distribution.
        kl_bits: ``[layer pos]`` KL(layer || output), weighed by the layer's probabilities; 0 or
            more, 0 at the last layer up to rounding. The metric of this name runs the other way:
            KL(reference || logits).
        site: what was read.
        norm: how the final norm was applied.
        lens: ``"logit"`` or ``"tuned"``.
    """

    layers: tuple[str, ...]
    tokens: tuple[str, ...]
    top_ids: Tensor
    top_probs: Tensor
    top_words: tuple[tuple[tuple[str, ...], ...], ...]
    tracked: tuple[int, ...]
    tracked_logits: Tensor
    tracked_probs: Tensor
    entropy_bits: Tensor
    kl_bits: Tensor
    provenance: Provenance
    site: str = "resid_post"
    norm: str = OWN_SCALE
    lens: str = "logit"

    def figure(self, title: str = "") -> HeatMap:
        """Top token and its probability, layers by tokens, the last layer on top."""
        from residuum.figures import HeatMap

        order = list(reversed(range(len(self.layers))))
        return HeatMap(
            self.top_probs[..., 0].flip(0).double().numpy(),
            row_labels=[self.layers[i] for i in order],
            col_labels=list(self.tokens),
            x="token",
            y="layer" if self.norm != FROZEN_SCALE else "part",
            unit="probability",
            scale="sequential",
            limits=(0.0, 1.0) if self.norm == OWN_SCALE else None,
            cell_text=[[self.top_words[i][p][0] for p in range(len(self.tokens))] for i in order],
            title=title or self._title(),
            caption=self._caption(),
            does_not_show="that later layers read the stream this way, or that the model uses it.",
        )

    def __repr__(self) -> str:
        rows, tokens = self.kl_bits.shape
        kind = f"{self.lens} lens" + ("" if self.site == "resid_post" else f" of {self.site}")
        words = ", ".join(
            f"{layer} {self.top_words[i][-1][0]!r} {float(self.top_probs[i, -1, 0]):.0%}"
            for i, layer in list(enumerate(self.layers))[-4:]
        )
        size = f"{rows} {'row' if rows == 1 else 'rows'} × {tokens} tokens"
        return f"LensReading({kind}, {size}; at the last token {words})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def _title(self) -> str:
        where = "" if self.site == "resid_post" else f" of {self.site}"
        return f"{self.lens.capitalize()} lens{where}"

    def _caption(self) -> str:
        if self.norm == FROZEN_SCALE:
            return (
                f"Most likely next token if {self.site} were all that is unembedded; colour is its "
                f"probability. {self.norm.capitalize()}."
            )
        translated = "through the layer's translator, " if self.lens == "tuned" else ""
        where = "after each block" if self.site == "resid_post" else f"at {self.site}"
        return (
            f"Most likely next token {where}, read {translated}through the final norm and the "
            "unembedding; colour is its probability."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each layer, position and rank."""
        import pandas as pd

        rows = [
            (layer, pos, self.tokens[pos], rank, word, float(self.top_probs[i, pos, rank]))
            for i, layer in enumerate(self.layers)
            for pos, words in enumerate(self.top_words[i])
            for rank, word in enumerate(words)
        ]
        return pd.DataFrame(rows, columns=["layer", "pos", "token", "rank", "word", "probability"])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "layers": list(self.layers),
            "tokens": list(self.tokens),
            "top_ids": self.top_ids.tolist(),
            "top_words": self.top_words,
            "top_probs": self.top_probs.tolist(),
            "tracked": list(self.tracked),
            "tracked_logits": self.tracked_logits.tolist(),
            "tracked_probs": self.tracked_probs.tolist(),
            "entropy_bits": self.entropy_bits.tolist(),
            "kl_bits": self.kl_bits.tolist(),
            "site": self.site,
            "norm": self.norm,
            "lens": self.lens,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, the table as ``.csv``, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        save_result(self, path, "a reading")
