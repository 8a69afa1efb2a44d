"""A feature as a handle: one latent of a dictionary on a model, with edits in its own units."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal

from residuum.core import Address, AddressError, OptionError, Scale, Set, Span, Zero
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.use.calibration import units_of
from residuum.runs import Model, need_model, shown
from residuum.runs.arguments import whole_number

Unit = Literal["p99", "mean", "raw"]


@dataclass(frozen=True)
class Feature:
    """One latent of a dictionary that hangs on a model.

    Its edits move the latent alone: the other latents and the reconstruction's error stay as they
    are, so an edit that writes the present value changes nothing. They are ordinary edits, for runs
    and for generation.

    Shows: what the latent's direction does when it is moved. Does not show: that the model itself
    uses it as one unit.

    Attributes:
        name: of the dictionary on the model.
        index: of the latent.
        at: its site.
        p99, mean_active: 99th percentile and mean of its value where it is active; NaN where no
            units are known.
        active_share: share of tokens in which it is active.
        label: in words; empty where it has none.
    """

    name: str
    index: int
    at: Address
    p99: float = math.nan
    mean_active: float = math.nan
    active_share: float = math.nan
    label: str = ""

    @property
    def address(self) -> Address:
        """``L1.resid_post/NAME[F31]``."""
        return replace(self.at, part=self.index, dictionary=self.name)

    def ablate_edit(self, pos: int | None = None) -> Zero:
        """The edit that takes the latent out.

        Args:
            pos: a token; None: all.
        """
        return Zero(self._at(pos))

    def clamp_edit(self, times: float = 1.0, unit: Unit = "p99", pos: int | None = None) -> Set:
        """The edit that holds the latent at a value, whatever it was.

        Args:
            times: of the unit.
            unit: ``"p99"``, ``"mean"`` (where active), or ``"raw"``: the value itself.
            pos: a token; None: all.

        Raises:
            OptionError: no such unit; units that are not known; a latent that never fired; a
                ``times`` that is no finite number.
        """
        return Set(self._at(pos), _finite(times, "times") * self.value_of(unit))

    def amplify_edit(self, times: float, pos: int | None = None) -> Scale:
        """The edit that multiplies the latent where it is active; 1 changes nothing.

        Args:
            times: factor.
            pos: a token; None: all.

        Raises:
            OptionError: a factor that is no finite number.
        """
        return Scale(self._at(pos), _finite(times, "times"))

    def value_of(self, unit: Unit = "p99") -> float:
        """One unit, as a value of the latent.

        Raises:
            OptionError: no such unit; units that are not known; a latent that never fired.
        """
        known = {"p99": self.p99, "mean": self.mean_active, "raw": 1.0}
        if not isinstance(unit, str) or unit not in known:
            raise OptionError(f"unit={shown(unit)} is none", mend='"p99", "mean" or "raw"')
        if not known[unit] > 0:
            reason = "its units are not known" if math.isnan(known[unit]) else "it never fired"
            raise OptionError(
                f"latent {self.index} has no ordinary value: {reason}",
                mend="measure units on more text (rz.feature_units), or give unit='raw'",
                where=str(self.address),
            )
        return known[unit]

    def _at(self, pos: int | None) -> Address:
        if pos is not None and (isinstance(pos, bool) or not isinstance(pos, int | Span)):
            raise OptionError(f"pos={shown(pos)} is no token", mend="give a whole number or None")
        return self.address if pos is None else replace(self.address, pos=pos)


def _finite(value: Any, name: str) -> float:
    plain = isinstance(value, Real) and not isinstance(value, bool)
    if not plain or not abs(value) <= sys.float_info.max:  # pyright: ignore[reportOperatorIssue]
        raise OptionError(f"{name}={shown(value)} is no finite number", mend="give a number")
    return float(value)


def feature(model: Model, name: str, index: int) -> Feature:
    """A latent of a dictionary that hangs on a model.

    Args:
        model: with the dictionary: ``model.dictionaries[name] = dictionary``.
        name: of the dictionary.
        index: of the latent.

    Raises:
        OptionError: no such dictionary on the model; one that is no SAE of one site.
        AddressError: it has no such latent.

    Shows: as of :class:`Feature`. Does not show: as there.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> model.dictionaries["sae"] = rz.load_dictionary("microworld-sae")
    >>> at = feature(model, "sae", 31)
    >>> str(at.clamp_edit(2, pos=-1).at), at.ablate_edit().kind
    ('L1.resid_post/sae[F31]@-1', 'zero')
    """
    need_model(model, "feature")
    found = hung_sae(model, name)
    whole_number(index, "index", 0)
    if index >= found.n_latents:
        raise AddressError(
            f"latent {index} is out of range: {name} has {found.n_latents}",
            mend=f"use 0 to {found.n_latents - 1}",
        )
    own = Feature(name, index, found.reads[0], label=found.labels.get(index, ""))
    if "units" not in found.declared:
        return own
    units = units_of(found)
    return replace(
        own,
        p99=float(units.p99[index]),
        mean_active=float(units.mean_active[index]),
        active_share=float(units.active_share[index]),
    )


def hung_sae(model: Model, name: str) -> Dictionary:
    """The dictionary of this name on the model, if its latents can be edited.

    Raises:
        OptionError: there is none, or it is no SAE of one site.
    """
    if not isinstance(name, str) or name not in model.dictionaries:
        there = ", ".join(model.dictionaries) or "none"
        raise OptionError(
            f"the model has no dictionary {shown(name)}; it has: {there}",
            mend='hang it on: model.dictionaries["sae"] = dictionary, and give "sae"',
        )
    return need_sae(model.dictionaries[name])


def need_sae(dictionary: object) -> Dictionary:
    """Refuse what is no SAE of one site: only there can a latent be moved with the error kept.

    Raises:
        OptionError: it is none.
    """
    if not isinstance(dictionary, Dictionary) or dictionary.kind != "sae":
        kind = getattr(dictionary, "kind", type(dictionary).__name__)
        raise OptionError(
            f"latents of a {kind} cannot be edited in place",
            mend="give an SAE, which reads and writes one and the same site",
        )
    return dictionary
