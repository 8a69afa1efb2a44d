"""Residual: how the stream grows, and what each part adds to an answer's logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from residuum.apps.workbench.views.direct_sum import (
    DirectSum,
    direct_sum,
    own_logits,
    why_no_sum,
)
from residuum.apps.workbench.views.lens import Pos, TokenId
from residuum.apps.workbench.views.residual_lines import lines
from residuum.apps.workbench.views.site_layers import (
    layers_with,
    missing,
    need_layers,
    need_same_length,
    need_token,
    position,
)
from residuum.apps.workbench.views.view import Arrays, Look, Meta as BaseMeta, Params as BaseParams
from residuum.core import OptionError
from residuum.runs import Model, Run

WRITERS = ("attn_out", "mlp_out")


class Params(BaseParams):
    """What to split.

    Attributes:
        answer: token whose logit is split; by default the most likely one at the position (in a
            difference that of the run that is subtracted).
        wrong: token whose logit is taken off; none splits the answer's logit alone.
        pos: position whose next token is meant.
    """

    answer: TokenId | None = None
    wrong: TokenId | None = None
    pos: Pos = Field(default=-1)


class Meta(BaseMeta):
    """Typed fields of the residual view. All of ``added`` and the sums are in logits.

    Attributes:
        rows: label of each row of ``norm`` and ``cosine``.
        columns: label of each column of ``added``: the heads, the MLP, the attention's bias (with
            whatever an edit of ``attn_out`` adds besides).
        writers: of ``added_norm``'s second axis.
        pos: position that was split.
        answer, wrong: tokens.
        embed: what the stream before the first block adds.
        bias: what the final norm's and the unembedding's biases add.
        rest: what edits wrote straight into the stream; zero without, up to rounding.
        total: sum of ``added``, ``embed``, ``bias`` and ``rest``: the logit (difference) before a
            soft cap.
        logits: the model's own logit (difference), behind the soft cap where there is one.
        convention: how the final norm was taken.
        strings: id -> text of answer and wrong.
        reason: why the logit cannot be split on this model; empty if it can. ``added`` is then NaN.
        missing: site -> why this model does not have it; its cells are NaN or its rows left out.
    """

    rows: list[str]
    columns: list[str]
    writers: list[str] = Field(default=list(WRITERS))
    pos: int
    answer: int
    wrong: int | None = None
    embed: float | None = None
    bias: float | None = None
    rest: float | None = None
    total: float | None = None
    logits: float | None = None
    convention: str = ""
    strings: dict[str, str] = Field(default_factory=dict)
    reason: str = ""
    missing: dict[str, str] = Field(default_factory=dict)


class Residual:
    """The view."""

    name = "residual"
    title = "Residual"
    order = 30
    about = (
        "How long the stream is at each layer, how far it already points where it ends, and what "
        "each head and MLP adds to a logit directly. It does not show effects through later "
        "parts, nor that a part is needed: for that, remove it."
    )
    Params = Params
    Meta = Meta

    def needs(self, model: Model, params: Params) -> Sequence[str]:
        """Streams, what is added to them, and each head's share at the position."""
        if not layers_with(model, "resid_post"):
            return []  # reading says why
        wanted = [*_rows(model).values()]
        for name in WRITERS:
            wanted += [f"L{i}.{name}" for i in layers_with(model, name)]
        if not why_no_sum(model):
            wanted += [f"L{i}.head_out@{params.pos}" for i in layers_with(model, "head_out")]
            wanted += ["ln_final"] if model.adapted.parts.final_norm is not None else []
        return list(dict.fromkeys(wanted))

    def read(self, look: Look, params: Params) -> Arrays:
        """Norms and cosines of the stream, norms of what is added, and the split logit."""
        need_same_length(look.run, look.minus)
        position(look.run, params.pos)
        found = _of_stream(look.model, look.run)
        if look.minus is not None:
            less = _of_stream(look.model, look.minus)
            found = {name: value - less[name] for name, value in found.items()}
        split = _split(look, params)
        arrays = {**found, "added": split.added}
        meta = _meta(look, params, split)
        return Arrays(meta, {name: value.float().numpy() for name, value in arrays.items()})

    def python(self, params: Params, minus: bool) -> str:
        """Lines that make the same arrays."""
        return lines(params, minus)


def _rows(model: Model) -> dict[str, str]:
    """Label -> address of every stream there is, in forward order."""
    need_layers(model, "the residual view", "resid_post")
    labels = {"resid_mid": "L{}.mid", "resid_post": "L{}"}
    there = {name: layers_with(model, name) for name in labels}
    rows = {"embed": "L0.resid_pre"}
    for layer in range(model.n_layers):
        for name, label in labels.items():
            if layer in there[name]:
                rows[label.format(layer)] = f"L{layer}.{name}"
    return rows


def _of_stream(model: Model, run: Run) -> dict[str, Tensor]:
    """Lengths and directions at every position."""
    rows = [run[address][0].float().cpu() for address in _rows(model).values()]
    last = rows[-1]
    norms = torch.stack([row.norm(dim=-1) for row in rows])
    dots = torch.stack([(row * last).sum(-1) for row in rows])
    added = torch.full((model.n_layers, len(WRITERS), len(last)), torch.nan)
    for column, name in enumerate(WRITERS):
        for layer in layers_with(model, name):
            added[layer, column] = run[f"L{layer}.{name}"][0].float().cpu().norm(dim=-1)
    return {"norm": norms, "cosine": dots / (norms * norms[-1]), "added_norm": added}


def _split(look: Look, params: Params) -> DirectSum:
    first = look.run if look.minus is None else look.minus
    answer = params.answer
    if answer is None:
        answer = int(own_logits(first, params.pos).argmax())
    need_token(look.model, answer, *([] if params.wrong is None else [params.wrong]))
    if answer == params.wrong:
        raise OptionError(
            "answer and wrong are the same token", mend="compare two tokens, or leave wrong out"
        )
    split = direct_sum(look.model, look.run, params.pos, answer, params.wrong)
    if look.minus is None:
        return split
    return split.less(direct_sum(look.model, look.minus, params.pos, answer, params.wrong))


def _meta(look: Look, params: Params, split: DirectSum) -> Meta:
    model = look.model
    tokens = [split.answer, *([] if split.wrong is None else [split.wrong])]
    texts = model.to_str_tokens(torch.tensor(tokens))
    whole = not split.reason
    return Meta(
        rows=list(_rows(model)),
        columns=[*(f"H{head}" for head in range(model.n_heads)), "MLP", "bias"],
        pos=position(look.run, params.pos),
        answer=split.answer,
        wrong=split.wrong,
        embed=split.embed if whole else None,
        bias=split.bias if whole else None,
        rest=split.rest if whole else None,
        total=split.total if whole else None,
        logits=split.logits,
        convention=split.convention,
        strings={str(token): text for token, text in zip(tokens, texts, strict=True)},
        reason=split.reason,
        missing=missing(model, "resid_mid", "resid_post", *WRITERS),
    )


VIEW: Any = Residual()
