"""Coordinates along a direction: of a run, of a site's values, of each token of a prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from residuum.core import Address, OptionError, ShapeError
from residuum.runs import Model, Run, shown


def values_at(at: Address, width: int, given: Run | Tensor) -> Tensor:
    """What a run captured at a site, or values given as they are, ``[... d]``.

    Raises:
        OptionError: neither.
        AddressError: a run that did not capture the site.
        ShapeError: values of another width.
    """
    if not isinstance(given, (Run, Tensor)):
        raise OptionError(
            f"a direction reads runs, got {shown(given)}",
            mend=f'give model.run(prompt, capture=["{at}"]), or the site\'s values',
        )
    values: Any = given if isinstance(given, Tensor) else given[at]
    if values.shape[-1] != width:
        raise ShapeError(
            f"the direction has width {width}, the values {list(values.shape)}",
            mend="give the values of its own site",
            where=str(at),
        )
    return values


def coordinates(basis: Float[Tensor, "k d"], values: Tensor) -> Tensor:
    """Along orthonormal rows, in the site's units: ``[...]`` for one row, ``[... k]`` for more."""
    found = values @ basis.T.to(values)
    return found[..., 0] if len(basis) == 1 else found


def token_coordinates(
    model: Model, prompt: Any, at: Address, basis: Float[Tensor, "1 d"]
) -> tuple[list[str], list[float]]:
    """The tokens of one prompt, and the coordinate of each.

    Raises:
        OptionError: several prompts.
    """
    site = replace(at, pos=None)
    run = model.run(prompt, capture=[site], logits=False)
    if len(run.ids) != 1:
        raise OptionError(
            f"{len(run.ids)} prompts in one picture", mend="give one prompt at a time"
        )
    found = coordinates(basis, values_at(site, basis.shape[1], run))[0]
    return list(model.to_str_tokens(run.ids[0])), found.double().cpu().tolist()
