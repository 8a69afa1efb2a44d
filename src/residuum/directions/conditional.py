"""Where a push acts: every token, chosen ones, or those at which a direction is strong enough.

Edits are data, and no edit asks a question while a model runs. A condition is therefore read in an
unedited run and written down as an ``Add`` whose value is zero elsewhere. That is exact: what is
pushed at a site changes nothing at that site's earlier tokens, nor at earlier sites.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from residuum.core import Add, Address, OptionError, ShapeError
from residuum.runs import shown

if TYPE_CHECKING:
    from residuum.runs import Model


class Pushing(Protocol):
    """What steering needs of a direction."""

    @property
    def at(self) -> Address:
        """The site; may hold a position."""
        ...

    @property
    def vector(self) -> Tensor:
        """``[d]``."""
        ...

    @property
    def typical_norm(self) -> float:
        """Mean norm of the site's activations."""
        ...


@dataclass(frozen=True, eq=False)
class When:
    """A condition: the projection onto a direction, at the same token, is above a threshold.

    Attributes:
        direction: whose projection is read, in an unedited run; at the site that is steered, or
            before it.
        above: the threshold, in the activations' own units (along the unit vector); None takes the
            direction's own.
        below: True asks for a projection below the threshold instead.

    Raises:
        OptionError: a threshold that is no finite number.
    """

    direction: Any
    above: float | None = None
    below: bool = False

    def __post_init__(self) -> None:
        if self.above is not None:
            _ = self.threshold

    @property
    def threshold(self) -> float:
        """The threshold that holds.

        Raises:
            OptionError: neither given nor known to the direction.
        """
        own = self.above if self.above is not None else getattr(self.direction, "threshold", None)
        if isinstance(own, bool) or not isinstance(own, (int, float)) or not math.isfinite(own):
            raise OptionError(
                f"the condition has no threshold: {shown(own)}",
                mend="give When(direction, above=...), a finite number",
            )
        return float(own)

    def holds(self, model: Model, ids: Tensor, mask: Tensor) -> Tensor:
        """Tokens at which it holds, bool ``[batch pos]``."""
        site = replace(Address.parse(self.direction.at), pos=None)
        whole = None if bool(mask.all()) else mask
        run = model.run(ids, attention_mask=whole, capture=[site], logits=False)
        value: Any = run[site]
        unit = single(self.direction)
        strength = value.cpu().to(unit) @ unit
        found = strength < self.threshold if self.below else strength > self.threshold
        return found & mask


def single(direction: Pushing) -> Tensor:
    """The direction's unit vector ``[d]``.

    Raises:
        ShapeError: a subspace of several dimensions, or a vector of zeros.
    """
    vector = direction.vector.detach().cpu().float()
    if vector.ndim == 2 and len(vector) == 1:
        vector = vector[0]
    if vector.ndim != 1 or not bool(vector.norm() > 0):
        raise ShapeError(
            f"steering pushes along one vector with a length, got {list(vector.shape)}",
            mend="take one row of the subspace as a direction of its own",
        )
    return vector / vector.norm()


def check_order(model: Model, direction: Pushing, when: When | None) -> None:
    """Refuse a condition that cannot be asked, or is read behind the site that is steered.

    Raises:
        OptionError: no condition, no direction in it, no threshold, or read too late.
        LoadError: its direction is another model's.
    """
    if when is None:
        return
    if not isinstance(when, When):
        raise OptionError(
            f"when={shown(when)} is no condition", mend="give rz.When(direction, above=...)"
        )
    if not hasattr(when.direction, "check_fits") or not hasattr(when.direction, "vector"):
        raise OptionError(
            f"the condition needs a direction, got {shown(when.direction)}",
            mend="find one: When(rz.direction(model, data), above=...)",
        )
    when.direction.check_fits(model)
    single(when.direction)
    _ = when.threshold
    read, written = (
        model.sites.index(replace(Address.parse(each.at), pos=None, part=None))
        for each in (when.direction, direction)
    )
    if read > written:
        raise OptionError(
            f"the condition is read at {when.direction.at}, behind {direction.at}",
            mend="read it at the site that is steered, or before it: it would see the push",
        )


@dataclass(frozen=True, eq=False)
class Targets:
    """Which tokens are pushed.

    Attributes:
        positions: None for all tokens; a number (negative from the prompt's end); the name of one
            of a task's positions; or a number for each prompt, ``[n]``.
        when: a condition that must hold as well.

    >>> Targets(-1).shown, Targets().shown
    ('@-1', 'every token')
    """

    positions: Any = None
    when: When | None = None

    @property
    def shown(self) -> str:
        """In words."""
        own = self.positions
        if own is None:
            text = "every token"
        elif isinstance(own, str):
            text = f"the {own}"
        else:
            text = f"@{own}" if isinstance(own, int) else "a chosen token of each prompt"
        return text if self.when is None else f"{text} where a direction is strong enough"

    def mask(
        self, model: Model, ids: Tensor, real: Tensor, named: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The tokens, bool ``[batch pos]``.

        Args:
            real: bool ``[batch pos]``, true at real tokens (padding on the right).
            named: a task's positions, for a name.

        Raises:
            OptionError: a name or a number that these prompts do not have.
        """
        found = real.clone()
        if self.positions is not None:
            columns = self._columns(real, named or {})
            found = torch.zeros_like(real)
            found[torch.arange(len(real)), columns] = True
        return found if self.when is None else found & self.when.holds(model, ids, real)

    def spread(self, model: Model, ids: Tensor, real: Tensor, seed: int) -> Tensor:
        """As many tokens in text that has no such positions: all, or one drawn for each text."""
        found = real.clone()
        if self.positions is not None:
            generator = torch.Generator().manual_seed(seed)
            lengths = real.sum(1)
            drawn = (torch.rand(len(real), generator=generator) * (lengths - 1)).long()
            found = torch.zeros_like(real)
            found[torch.arange(len(real)), drawn] = True
        return found if self.when is None else found & self.when.holds(model, ids, real)

    def _columns(self, real: Tensor, named: Mapping[str, Tensor]) -> Tensor:
        own, lengths = self.positions, real.sum(1)
        if isinstance(own, str):
            if own not in named:
                raise OptionError(
                    f"there is no position {own!r} in these prompts",
                    mend=f"one of: {', '.join(named)}" if named else "give numbers",
                )
            own = named[own]
        columns = torch.as_tensor(own).long()
        columns = columns.expand(len(real)) if columns.ndim == 0 else columns
        if columns.shape != lengths.shape or bool(
            ((columns < -lengths) | (columns >= lengths)).any()
        ):
            raise OptionError(
                f"positions of shape {list(columns.shape)} do not fit {len(real)} prompts of "
                f"{int(lengths.min())} to {int(lengths.max())} tokens",
                mend="give one position for all, or one for each prompt, within its tokens",
            )
        return torch.where(columns < 0, columns + lengths, columns)


def push(direction: Pushing, scale: float, tokens: Tensor, unit: Tensor | None = None) -> Add:
    """The edit that adds ``scale`` typical norms along a direction at these tokens.

    Args:
        scale: in typical norms; negative pushes the other way.
        tokens: bool ``[batch pos]``.
        unit: another unit vector in the direction's place ``[d]``, for controls.
    """
    vector = (single(direction) if unit is None else unit) * float(direction.typical_norm)
    site = replace(Address.parse(direction.at), pos=None)
    return Add(site, tokens[:, :, None].to(vector) * vector, scale=scale)
