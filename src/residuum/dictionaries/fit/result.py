"""How well a dictionary fits, and the rule by which one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import Address, CheckFailed, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.fit.sites import BEFORE
from residuum.figures import Bars

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float, float]
"""A value and the ends of its 95 % interval over rows of text."""

BETTER, SURELY_BETTER = 1.2, 1.05
"""Another place fits better if what is unexplained here is so many times what is there; the lower
end of that ratio's interval must be above the second number."""
FAIR_L0 = 1.5
"""Another place counts if it has at most so many times the latents active here, or declared; with
more of them, anything is explained better, and it must be better by that factor too."""
OF_TURNED = 0.8
"""What is unexplained must be below this share of what is with the vectors turned."""
L0_LEAST, L0_MOST = 0.1, 0.5
"""Where none is declared: active latents a token at least, and as a share of all at most."""


@dataclass(frozen=True)
class Bounds:
    """How far a dictionary may be from what was declared.

    Attributes:
        l0_times: active latents may differ by this factor.
        left_times, left_more: what is surely unexplained (the lower end of its interval) may be so
            many times the declared share, and so much more.
    """

    l0_times: float
    left_times: float
    left_more: float


GIVEN = Bounds(2.0, 1.5, 0.05)
"""On text of the kind that it was trained on."""
OWN = Bounds(4.0, 2.0, 0.2)
"""On text that the model writes itself, which is off the training text."""


@dataclass(frozen=True)
class Measured:
    """Two figures with their 95 % intervals.

    Attributes:
        l0: active latents a token.
        explained: share of the variance about the mean; below 0 it is worse than the mean.
    """

    l0: Interval
    explained: Interval


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A dictionary's figures at its own place and at others.

    Attributes:
        reads, writes: its place.
        here: its figures there.
        turned: the same for the same cloud of vectors in a random orientation.
        rivals: other place -> its figures there, and unexplained here over unexplained there.
        declared: what was declared, of ``l0`` and ``explained_variance``.
        n_latents: of the dictionary.
        n_tokens, left_out: tokens measured on; run and left out (first of a row, BOS, sinks).
        own_text: whether the model wrote the text itself.
        provenance: of the model.

    Shows: whether the dictionary belongs to this tensor. Does not show: what its latents mean.
    """

    reads: tuple[Address, ...]
    writes: tuple[Address, ...]
    here: Measured
    turned: Measured
    rivals: Mapping[str, tuple[Measured, Interval]]
    declared: Mapping[str, float]
    n_latents: int
    n_tokens: int
    left_out: int
    own_text: bool
    provenance: Provenance

    @property
    def place(self) -> str:
        """Its place in words."""
        read, write = (", ".join(map(str, sites)) for sites in (self.reads, self.writes))
        return read if read == write else f"{read} -> {write}"

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    @property
    def best(self) -> str | None:
        """The place that it fits surely better than its own; None where there is none."""
        sure = {
            name: ratio[0]
            for name, (there, ratio) in self.rivals.items()
            if ratio[0] > BETTER * self._unfair(there) and ratio[1] > SURELY_BETTER
        }
        # of two names of one tensor, the block's output rather than the next one's input
        return max(sure, key=lambda name: (sure[name], "resid_pre" not in name), default=None)

    def _unfair(self, there: Measured) -> float:
        """1 where about as many latents are active there as here or as declared, else how many
        times more than here."""
        l0, more = self.here.l0[0], there.l0[0]
        if more <= FAIR_L0 * max(l0, self.declared.get("l0", 0.0)):
            return 1.0
        return more / max(l0, 1e-9)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it, one line each; nothing where it fits."""
        return tuple(
            each for each in (self._turned(), self._rival(), self._l0(), self._said()) if each
        )

    def need(self) -> Fit:
        """The same, if it fits.

        Raises:
            CheckFailed: it does not; with the figures and a mend.
        """
        if self.fits:
            return self
        raise CheckFailed(
            f"the dictionary does not fit {self.place} of {self.provenance.model_id}: "
            + "; ".join(self.reasons),
            mend=self._mend(),
            where=self.place,
        )

    def _turned(self) -> str:
        left, left_turned = 1 - self.here.explained[0], 1 - self.turned.explained[0]
        if left <= OF_TURNED * left_turned and left < 1:
            return ""
        return (
            f"{left:.3g} of the variance is left unexplained (L0 {self.here.l0[0]:.3g}); with the "
            f"same vectors turned at random it is {left_turned:.3g}"
        )

    def _rival(self) -> str:
        best = self.best
        if best is None:
            return ""
        there = self.rivals[best][0].explained[0]
        return f"it explains {self.here.explained[0]:.3g} here and {there:.3g} at {best}"

    @property
    def _bounds(self) -> Bounds:
        return OWN if self.own_text else GIVEN

    def _l0(self) -> str:
        l0, said = self.here.l0[0], self.declared.get("l0")
        if said is not None and said > 0:
            if said / self._bounds.l0_times <= l0 <= said * self._bounds.l0_times:
                return ""
            return f"{l0:.3g} latents are active, {said:.3g} were declared"
        if L0_LEAST <= l0 <= L0_MOST * self.n_latents:
            return ""
        return f"{l0:.3g} of {self.n_latents} latents are active"

    def _said(self) -> str:
        said = self.declared.get("explained_variance")
        if said is None:
            return ""
        surely_left, bounds = 1 - self.here.explained[2], self._bounds
        if surely_left <= bounds.left_times * (1 - said) + bounds.left_more:
            return ""
        return f"it explains {self.here.explained[0]:.3g}, {said:.3g} was declared"

    def _mend(self) -> str:
        best = self.best
        if best is not None and BEFORE in best:
            return (
                f"it is a dictionary of {best}, which the stream never holds: take one that was "
                "trained on what is added to the stream, after that norm"
            )
        if best is not None and self.rivals[best][0].explained[0] > 1 - OF_TURNED:
            sites = [f'"{each}"' for each in best.split(" -> ")]
            where = sites[0] if len(sites) == 1 else f"({', '.join(sites)})"
            return f"it fits better elsewhere: at={where}"
        told = ", and give text= of the kind that it was trained on" if self.own_text else ""
        return (
            "see which tensor it was trained on (before or after a norm, another model, scaled "
            f"inputs){told}; check=False hangs it all the same"
        )

    # -- results -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        value, low, high = self.here.explained
        verdict = "fits" if self.fits else "does not fit: " + "; ".join(self.reasons)
        return (
            f"Fit({self.place}: explained variance {value:.3f} [{low:.3f}, {high:.3f}], "
            f"L0 {self.here.l0[0]:.1f}, {self.n_tokens} tokens; {verdict})"
        )

    def _rows(self) -> list[tuple[str, Measured]]:
        others = sorted(self.rivals.items(), key=lambda each: -each[1][0].explained[0])
        rows = [(self.place, self.here), ("turned at random", self.turned)]
        return rows + [(name, each) for name, (each, _) in others]

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each place: ``place, l0, explained_variance`` and the ends of both."""
        import pandas as pd

        names = ["l0", "l0_low", "l0_high", "explained_variance", "low", "high"]
        rows = [(name, *each.l0, *each.explained) for name, each in self._rows()]
        return pd.DataFrame(rows, columns=["place", *names])

    def figure(self) -> Bars:
        """Explained variance here, with the vectors turned, and at the best other places."""
        rows = self._rows()[:12]
        values, low, high = zip(*(each.explained for _, each in rows), strict=True)
        return Bars(
            [name for name, _ in rows],
            values,
            lo=low,
            hi=high,
            x="explained variance (about the mean)",
            order="given",
            title=f"A dictionary at {self.place} and elsewhere",
            does_not_show="What the latents mean, nor that they are the model's own.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "reads": list(map(str, self.reads)),
            "writes": list(map(str, self.writes)),
            "places": [{"place": name, **asdict(each)} for name, each in self._rows()],
            "declared": dict(self.declared),
            "n_latents": self.n_latents,
            "n_tokens": self.n_tokens,
            "left_out": self.left_out,
            "own_text": self.own_text,
            "reasons": list(self.reasons),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write it as ``.json``, ``.csv``, or its figure as ``.html``, ``.svg``, ``.png``.

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "a fit")
