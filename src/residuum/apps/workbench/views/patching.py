"""Patching: where two runs differ, before anything is patched; the sweeps themselves are jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from residuum.apps.workbench.views.site_layers import (
    layers_with,
    missing,
    need_layers,
    need_same_length,
)
from residuum.apps.workbench.views.view import Arrays, Look, Meta as BaseMeta, Params as BaseParams
from residuum.core import OptionError
from residuum.runs import Model

_SITES = {"pos": "resid_post", "head": "z"}


class Params(BaseParams):
    """What to compare.

    Attributes:
        by: layers × positions of the stream, or layers × heads of what attention gathered, over
            all positions or one by one.
    """

    by: list[Literal["layer", "head", "pos"]] = Field(
        default=["layer", "pos"], min_length=2, max_length=3
    )


class Meta(BaseMeta):
    """Typed fields of the patching view.

    Attributes:
        rows: label of each layer; for the stream the embedding comes first.
        by: axes of the array.
        site: what is compared.
        first: first position at which the prompts' tokens differ; None where they never do.
        differ: positions at which they do.
        missing: site -> why this model does not have it.
    """

    rows: list[str]
    by: list[str]
    site: str
    first: int | None
    differ: list[int]
    missing: dict[str, str] = Field(default_factory=dict)


class Patching:
    """The view."""

    name = "patching"
    title = "Patching"
    order = 40
    about = (
        "Two prompts side by side, and a sweep that writes one run's values into the other, cell "
        "by cell. A cell that brings the answer back carries what differs; it may have a stand-in, "
        "and what both prompts share is never seen."
    )
    Params = Params
    Meta = Meta

    def needs(self, model: Model, params: Params) -> Sequence[str]:
        """The sites that are compared; none where there are none."""
        site = _site(params)
        return list(_places(model, site).values()) if layers_with(model, site) else []

    def read(self, look: Look, params: Params) -> Arrays:
        """Length of the difference of the two runs at each cell."""
        if look.minus is None:
            raise OptionError(
                "patching compares two runs, and one was given",
                mend="pin another run as A, or give minus=",
            )
        need_same_length(look.run, look.minus)
        site, by = _site(params), params.by
        places = _places(look.model, site)
        found = [_difference(look, at, by) for at in places.values()]
        differ = (look.run.ids[0] != look.minus.ids[0]).nonzero().flatten().tolist()
        meta = Meta(
            rows=list(places),
            by=list(by),
            site=site,
            first=differ[0] if differ else None,
            differ=differ,
            missing=missing(look.model, site),
        )
        return Arrays(meta, {"difference": torch.stack(found).numpy()})

    def python(self, params: Params, minus: bool) -> str:
        """Lines that make the same array."""
        if not minus:
            raise OptionError(
                "patching compares two runs, and one was given",
                mend="pin another run as A, or give minus=",
            )
        return _LINES.format(
            begin=["L0.resid_pre"] if _site(params) == "resid_post" else [],
            site=_site(params),
            lengths=_LENGTHS[tuple(params.by)],
        )


_LENGTHS = {
    ("layer", "pos"): "between.norm(dim=-1)",
    ("layer", "head"): "between.norm(dim=(0, 2))",
    ("layer", "head", "pos"): "between.norm(dim=-1).T",
    ("layer", "pos", "head"): "between.norm(dim=-1)",
}

_LINES = """\
rows = [*{begin}, *(f"L{{i}}.{site}" for i in range(model.n_layers))]
found = []
for at in [each for each in rows if each in run]:
    between = run[at][0].float().cpu() - minus[at][0].float().cpu()
    found.append({lengths})
difference = torch.stack(found)
"""


def _site(params: Params) -> str:
    if tuple(params.by) not in _LENGTHS:
        raise OptionError(
            f"cannot compare by {params.by}",
            mend=f"one of: {'; '.join(', '.join(each) for each in _LENGTHS)}",
        )
    return _SITES["head" if "head" in params.by else "pos"]


def _places(model: Model, site: str) -> dict[str, str]:
    """Label -> address of each row."""
    begin = {"embed": "L0.resid_pre"} if site == "resid_post" else {}
    layers = need_layers(model, "the patching view", site)
    return begin | {f"L{i}": f"L{i}.{site}" for i in layers}


def _difference(look: Look, at: str, by: Sequence[str]) -> Tensor:
    """``[pos]``, ``[head]``, ``[head pos]`` or ``[pos head]``."""
    assert look.minus is not None
    between = look.run[at][0].float().cpu() - look.minus[at][0].float().cpu()
    if list(by) == ["layer", "head"]:
        return between.norm(dim=(0, 2))
    lengths = between.norm(dim=-1)
    return lengths.T if list(by) == ["layer", "head", "pos"] else lengths


VIEW: Any = Patching()
