"""Lens: what each layer's stream already says, read through the final norm and the unembedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from residuum.apps.workbench.views.lens_lines import lines
from residuum.apps.workbench.views.lens_translators import has_translators, translators
from residuum.apps.workbench.views.site_layers import (
    layers_with,
    missing,
    need_layers,
    need_same_length,
    need_token,
    position,
)
from residuum.apps.workbench.views.view import Arrays, Look, Meta as BaseMeta, Params as BaseParams
from residuum.apps.workbench.views.vocabulary import (
    OF_TOKEN,
    UNITS,
    Asked,
    Readings,
    predictions,
    read,
)
from residuum.core import AddressError, OptionError
from residuum.runs import Model, Run

TokenId = Annotated[int, Field(ge=0, le=10_000_000)]
Pos = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class Params(BaseParams):
    """What to read.

    Attributes:
        site: where the stream is read.
        kind: the logit lens, or a tuned one where there is one for the model.
        quantity: of the target: its probability, rank (1 is the most likely) or logit above the
            vocabulary's mean; of the whole distribution: entropy, or KL(layer || output).
        target: token that the quantity is of; by default the model's own prediction at each
            position (in a difference the one of the run that is subtracted).
        top: likely tokens of each cell.
        positions: which to read, negative ones counted from the end; all by default.
        tokens, pos: trajectories of these tokens through the rows at one position instead.
    """

    site: Literal["resid_pre", "resid_mid", "resid_post"] = "resid_post"
    kind: Literal["logit", "tuned"] = "logit"
    quantity: Literal["prob", "rank", "entropy", "kl", "logit"] = "prob"
    target: TokenId | None = None
    top: int = Field(default=5, ge=1, le=50)
    positions: list[Pos] | None = Field(default=None, min_length=1, max_length=4096)
    tokens: list[TokenId] | None = Field(default=None, min_length=1, max_length=64)
    pos: Pos = -1


class Meta(BaseMeta):
    """Typed fields of a lens.

    Attributes:
        rows: label of each row; the embedding first.
        positions: of each column.
        kind, site, quantity, unit: what is read, and in what.
        targets: token of each column (of each trajectory) that the quantity is of; none for
            entropy and KL.
        strings: id -> text of every token that the arrays name.
        missing: site -> why this model does not have it.
        tuned: whether there is a tuned lens for the model.
    """

    rows: list[str]
    positions: list[int]
    kind: str
    site: str
    quantity: str
    unit: str
    targets: list[int] = Field(default_factory=list)
    strings: dict[str, str] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)
    tuned: bool = False


class Lens:
    """The view."""

    name = "lens"
    title = "Lens"
    order = 20
    about = (
        "What each layer would answer if the model stopped there: its stream through the final "
        "norm and the unembedding. It does not say that later layers read the stream so, nor that "
        "the model uses it: for that, patch the stream."
    )
    Params = Params
    Meta = Meta

    def needs(self, model: Model, params: Params) -> Sequence[str]:
        """The streams that are rows, and the last one; none where there are none."""
        if not layers_with(model, params.site):
            return []  # reading says why
        places = _places(model, params)
        return list(dict.fromkeys([*places.values(), _last(model)]))

    def read(self, look: Look, params: Params) -> Arrays:
        """A quantity and likely tokens, layers × positions; or trajectories of some tokens."""
        need_same_length(look.run, look.minus)
        if look.model.adapted.parts.unembed is None:
            raise AddressError("this model has no unembedding", mend="load a language model")
        if params.top > look.model.d_vocab:
            raise OptionError(
                f"top={params.top}: the vocabulary has {look.model.d_vocab}",
                mend=f"use 1 to {look.model.d_vocab}",
            )
        for token in (*(params.tokens or ()), *([] if params.target is None else [params.target])):
            need_token(look.model, token)
        return _trajectories(look, params) if params.tokens else _cells(look, params)

    def python(self, params: Params, minus: bool) -> str:
        """Lines that make the same arrays."""
        return lines(params, minus)


def _cells(look: Look, params: Params) -> Arrays:
    at = _positions(look.run, params)
    targets = _targets(look, params, at)
    asked = Asked(params.quantity, targets, params.top)
    found = _read(look, look.run, params, at, asked)
    value, probs = found.value, found.top_probs
    if look.minus is not None:
        again = Asked(params.quantity, targets, follow=found.top_ids)
        less = _read(look, look.minus, params, at, again)
        value, probs = value - less.value, probs - less.top_probs
    meta = _meta(look, params, at)
    meta.targets = targets[:, 0].tolist() if params.quantity in OF_TOKEN else []
    meta.strings = _strings(look.model, [*found.top_ids.unique().tolist(), *meta.targets])
    arrays = {
        "value": value[..., 0].float().numpy(),
        "top_ids": found.top_ids.int().numpy(),
        "top_probs": probs.float().numpy(),
    }
    return Arrays(meta, arrays)


def _trajectories(look: Look, params: Params) -> Arrays:
    if params.quantity not in OF_TOKEN:
        raise OptionError(
            f"{params.quantity} is of the whole distribution, not of a token",
            mend=f"follow tokens by one of: {', '.join(OF_TOKEN)}",
        )
    tokens, at = params.tokens or [], [position(look.run, params.pos)]
    asked = Asked(params.quantity, torch.tensor([tokens]), top=1)
    value = _read(look, look.run, params, at, asked).value
    if look.minus is not None:
        value = value - _read(look, look.minus, params, at, asked).value
    meta = _meta(look, params, at)
    meta.targets, meta.strings = list(tokens), _strings(look.model, tokens)
    return Arrays(meta, {"trajectory": value[:, 0].T.float().numpy()})


def _read(look: Look, run: Run, params: Params, at: list[int], asked: Asked) -> Readings:
    model, places = look.model, _places(look.model, params)
    streams = [run[address][0][at] for address in places.values()]
    last = run[_last(model)][0][at]
    if params.kind == "tuned":
        lens = translators(model)
        streams = [lens.translate(each, i) for i, each in enumerate(streams[:-1])] + [last]
    return read(model, streams, last, asked)


def _targets(look: Look, params: Params, at: list[int]) -> Tensor:
    """``[pos 1]``: the token asked for, or what the model itself predicts (before the edits)."""
    if params.target is not None:
        return torch.full((len(at), 1), params.target)
    of = look.run if look.minus is None else look.minus
    return predictions(look.model, of[_last(look.model)][0][at])[:, None]


def _positions(run: Run, params: Params) -> list[int]:
    if params.positions is None:
        return list(range(run.ids.shape[1]))
    return [position(run, each) for each in params.positions]


def _places(model: Model, params: Params) -> dict[str, str]:
    """Label of each row -> address of its stream."""
    if params.kind == "tuned":
        if params.site != "resid_post":
            raise OptionError(
                f"a tuned lens reads the stream between blocks, not {params.site}",
                mend="use resid_post, or the logit lens",
            )
        translators(model)
    layers = need_layers(model, "the lens", params.site)
    begin = {"embed": "L0.resid_pre"} if params.site == "resid_post" else {}
    return begin | {f"L{i}": f"L{i}.{params.site}" for i in layers}


def _last(model: Model) -> str:
    return f"L{model.n_layers - 1}.resid_post"


def _meta(look: Look, params: Params, at: list[int]) -> Meta:
    return Meta(
        rows=list(_places(look.model, params)),
        positions=at,
        kind=params.kind,
        site=params.site,
        quantity=params.quantity,
        unit=UNITS[params.quantity],
        missing=missing(look.model, params.site),
        tuned=has_translators(look.model),
    )


def _strings(model: Model, ids: list[int]) -> dict[str, str]:
    unique = sorted(set(ids))
    texts = model.to_str_tokens(torch.tensor(unique)) if unique else []
    return {str(token): text for token, text in zip(unique, texts, strict=True)}


VIEW: Any = Lens()
