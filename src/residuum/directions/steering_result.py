"""The result of steering: doses, side effects, the usable range, and what was said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import Address, OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.side_effects import SideEffects
from residuum.directions.steering_off_target import OffTarget
from residuum.directions.steering_response import Dose

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Panel, Table

USABLE_UP_FRAC = 0.1
"""A strength is usable while perplexity on neutral text rises by less than this."""


@dataclass(frozen=True)
class Said:
    """Continuations of one prompt at one strength."""

    prompt: str
    scale: float
    text: str


@dataclass(frozen=True, repr=False)
class Steering:
    """What pushing along a direction does, strength by strength.

    Shows: how many answers flip at which strength, and what it costs elsewhere. Does not show: that
    the model uses the direction by itself (``rz.prove``), or what steering does to text unlike the
    neutral texts.

    Attributes:
        at: the site.
        tokens: which tokens are pushed, in words.
        scales: strengths in typical norms of the site, ascending.
        doses: the answers at each strength; empty without a task.
        side_effects: at each strength, on neutral text.
        off_target: accuracy on other tasks at each strength.
        said: continuations, prompt by prompt and strength by strength; empty unless asked for.
        repetition: strength -> share of repeated word pairs in the continuations.
        typical_norm: mean norm of the site's activations.
    """

    at: Address
    tokens: str
    scales: tuple[float, ...]
    doses: tuple[Dose, ...]
    side_effects: tuple[SideEffects, ...]
    off_target: tuple[OffTarget, ...]
    said: tuple[Said, ...]
    repetition: dict[float, float]
    typical_norm: float
    metric: str
    unit: str
    neutral_n: int
    provenance: Provenance

    @property
    def usable(self) -> tuple[float, float]:
        """Weakest and strongest of the measured strengths around 0 that keep neutral text.

        Between them, perplexity on neutral text rises by less than 10 % everywhere.
        """
        ends = []
        for sign in (-1, 1):
            end = 0.0
            for effect in sorted(self.side_effects, key=lambda each: abs(each.scale)):
                if effect.scale * sign <= 0:
                    continue
                if not effect.perplexity_up_frac < USABLE_UP_FRAC:
                    break
                end = effect.scale
            ends.append(end)
        return (ends[0], ends[1])

    def best(self, sign: int = 1) -> Dose:
        """The usable dose that flips most; of equals the middle one, which has room on both sides.

        Args:
            sign: 1 along the direction, -1 against it.

        Raises:
            OptionError: no task was given, or no usable strength of this sign was measured.
        """
        low, high = self.usable
        found = [each for each in self.doses if each.scale * sign > 0 and low <= each.scale <= high]
        if not found:
            raise OptionError(
                "no measured strength of this sign is usable"
                if self.doses
                else "no task was given",
                mend="measure weaker strengths with scales=" if self.doses else "steer on a task",
            )
        most = max(each.flipped for each in found)
        equals = [each for each in found if each.flipped == most]
        return sorted(equals, key=lambda each: abs(each.scale))[len(equals) // 2]

    def side_effect(self, scale: float) -> SideEffects:
        """The side effects at a strength that was measured.

        Raises:
            OptionError: it was not.
        """
        for each in self.side_effects:
            if math.isclose(each.scale, scale, abs_tol=1e-9):
                return each
        raise OptionError(
            f"strength {scale} was not measured",
            mend=f"one of: {', '.join(f'{each:g}' for each in self.scales)}",
        )

    def __repr__(self) -> str:
        low, high = self.usable
        parts = [f"usable {low:g} to {high:g} typical norms"]
        for sign in (1, -1):
            if any(each.scale * sign > 0 and low <= each.scale <= high for each in self.doses):
                dose = self.best(sign)
                up = self.side_effect(dose.scale).perplexity_up_frac
                parts.append(
                    f"at {dose.scale:+g} flips {100 * dose.flipped:.0f} % of {dose.n} "
                    f"(perplexity {100 * up:+.1f} %)"
                )
        return f"Steering({self.at}, {self.tokens}: {'; '.join(parts)})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each strength."""
        import pandas as pd

        rows = [_flat(asdict(each)) for each in self.side_effects]
        for row, dose in zip(rows, self.doses, strict=False):
            row.update(_flat(asdict(dose)))
        for each in self.off_target:
            row = next(row for row in rows if row["scale"] == each.scale)
            row[f"accuracy_{each.task}"] = each.accuracy
        for row in rows:
            if row["scale"] in self.repetition:
                row["repetition_share"] = self.repetition[row["scale"]]
        return pd.DataFrame(rows)

    def figure(self, title: str = "") -> Panel:
        """Dose-response beside side effects, strength by strength."""
        from residuum.directions.steering_figure import steering_figure

        return steering_figure(self, title)

    def side_by_side(self, scales: Sequence[float] | None = None) -> Table:
        """What the model says as it is and pushed, in columns; one row for each prompt.

        Args:
            scales: strengths; by default all of up to three that were measured, of more those at
                the ends of the usable range.

        Raises:
            OptionError: nothing was continued, or not at such a strength.
        """
        from residuum.directions.said_table import said_table

        return said_table(self, scales)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "at": str(self.at),
            "tokens": self.tokens,
            "typical_norm": self.typical_norm,
            "scales": list(self.scales),
            "usable": list(self.usable),
            "metric": self.metric,
            "unit": self.unit,
            "doses": [asdict(each) for each in self.doses],
            "side_effects": [asdict(each) for each in self.side_effects],
            "off_target": [asdict(each) for each in self.off_target],
            "repetition": {f"{scale:g}": share for scale, share in self.repetition.items()},
            "said": [asdict(each) for each in self.said],
            "neutral_n": self.neutral_n,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, its table as CSV, or its figure as HTML, SVG or PNG.

        Raises:
            OptionError, StoreError: another suffix; a place that cannot be written to.
        """
        save_result(self, path, "a steering")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Intervals as two columns."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key.endswith("_interval"):
            stem = key.removesuffix("_interval")
            flat |= {f"{stem}_low": value[0], f"{stem}_high": value[1]}
        else:
            flat[key] = value
    return flat
