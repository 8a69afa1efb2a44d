"""The logit lens: the stream after each block, through the final norm and the unembedding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import OptionError, Provenance, TokenError
from residuum.core.paths import file_to_write
from residuum.models import final_logits
from residuum.runs import Capture, Model, need_model, refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap


@dataclass(frozen=True)
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
        tracked_logits: ``[layer pos tracked]``, mean over the vocabulary taken off.
        tracked_probs: ``[layer pos tracked]``.
        entropy_bits: ``[layer pos]`` of the layer's distribution.
        kl_bits: ``[layer pos]`` KL(layer || output), weighed by the layer's probabilities; 0 or
            more, 0 at the last layer up to rounding. The metric of this name runs the other way:
            KL(reference || logits).
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

    def figure(self, title: str = "Logit lens") -> HeatMap:
        """Top token and its probability, layers by tokens, the last layer on top."""
        from residuum.figures import HeatMap

        order = list(reversed(range(len(self.layers))))
        return HeatMap(
            self.top_probs[..., 0].flip(0).double().numpy(),
            row_labels=[self.layers[i] for i in order],
            col_labels=list(self.tokens),
            x="token",
            y="layer",
            unit="probability",
            scale="sequential",
            limits=(0.0, 1.0),
            cell_text=[[self.top_words[i][p][0] for p in range(len(self.tokens))] for i in order],
            title=title,
            caption="Most likely next token after each block, read through the final norm and the "
            "unembedding; colour is its probability.",
            does_not_show="that later layers read the stream this way, or that the model uses it.",
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
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write the reading as JSON, or its figure as HTML, SVG or PNG, by suffix.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        path = file_to_write(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1))
        else:
            self.figure().save(path)


def unembed(model: Model, stream: Tensor) -> Tensor:
    """Logits that the model would give if ``stream`` ``[... d_model]`` were its last residual.

    The final norm is applied at the stream's own scale, then the unembedding and the family's own
    scaling and soft cap.
    """
    with torch.no_grad():
        return final_logits(model.adapted.parts, stream)


def logit_lens(
    model: Model,
    prompt: Any,
    *,
    top: int = 5,
    track: Sequence[str | int] | str | int | None = (),
    **unknown: Any,
) -> LensReading:
    """Read every layer of one prompt through the unembedding.

    Args:
        model: a loaded model.
        prompt: a text, or one row of token ids.
        top: how many likely tokens to keep.
        track: words or ids to follow through the layers; None follows none.

    Returns:
        For each layer and position the likely tokens with probabilities (0 to 1), the tracked
        tokens' logits and probabilities, entropy and KL(layer || output) in bits.

    Raises:
        OptionError: no model; an unknown option; several prompts; ``top`` out of range.
        TokenError: a tracked word that is not a single token.

    Shows: what the unembedding reads off the stream. Does not show: that later layers read it so,
    nor that the model uses it; for that, patch the stream.

    Source: nostalgebraist, "interpreting GPT: the logit lens" (2020). The embedding is
    shown as a layer of its own.

    >>> import residuum as rz
    >>> reading = rz.logit_lens(rz.load("microworld"), "Mary went to the store .")
    >>> bool((reading.kl_bits[-1] < 1e-4).all())
    True
    """
    refuse_unknown(unknown, "logit_lens", "top, track")
    need_model(model, "logit_lens")
    if type(top) is not int or not 1 <= top <= model.d_vocab:
        raise OptionError(f"top={top!r} is out of range", mend=f"use 1 to {model.d_vocab}")
    sites = [Capture("L0.resid_pre"), Capture("L*.resid_post")]
    run = model.run(prompt, capture=sites)
    if run.ids.shape[0] != 1:
        raise OptionError("the lens reads one prompt at a time", mend="give a single prompt")
    streams = [run["L0.resid_pre"]] + [run["resid_post", i] for i in range(model.n_layers)]
    ids = [_token_id(model, each) for each in _tracked(track)]
    assert run.logits is not None
    final = torch.log_softmax(run.logits[0].double(), dim=-1)
    readings = [_read(unembed(model, s)[0].double(), final, top, ids) for s in streams]
    top_ids, top_probs, tracked, probs, entropy, kl = (
        torch.stack(each) for each in zip(*readings, strict=True)
    )
    words = tuple(tuple(tuple(model.to_str_tokens(row)) for row in layer) for layer in top_ids)
    return LensReading(
        layers=("embed", *(f"L{i}" for i in range(model.n_layers))),
        tokens=run.tokens[0] if run.tokens else tuple(model.to_str_tokens(run.ids[0])),
        top_ids=top_ids,
        top_probs=top_probs,
        top_words=words,
        tracked=tuple(ids),
        tracked_logits=tracked,
        tracked_probs=probs,
        entropy_bits=entropy,
        kl_bits=kl,
        provenance=model.provenance(strategy=f"logit_lens(top={top})"),
    )


def _tracked(track: Any) -> list[Any]:
    if track is None:
        return []
    one = isinstance(track, str) or not isinstance(track, Iterable)
    return [track] if one else [*track]  # pyright: ignore[reportGeneralTypeIssues]


def _token_id(model: Model, word: str | int) -> int:
    if isinstance(word, str):
        return model.to_single_token(word)
    if isinstance(word, bool) or not isinstance(word, int) or not 0 <= word < model.d_vocab:
        raise TokenError(
            f"token id {word!r} cannot be tracked", mend=f"ids go from 0 to {model.d_vocab - 1}"
        )
    return word


def _read(logits: Tensor, final: Tensor, top: int, ids: list[int]) -> tuple[Tensor, ...]:
    log = torch.log_softmax(logits, dim=-1)
    probs = log.exp()
    best = probs.topk(top, dim=-1)
    bits = 1 / torch.log(torch.tensor(2.0, dtype=log.dtype))
    entropy = -(probs * log).sum(-1) * bits
    kl = (probs * (log - final)).sum(-1) * bits
    centred = logits - logits.mean(-1, keepdim=True)
    return best.indices, best.values, centred[:, ids], probs[:, ids], entropy, kl
