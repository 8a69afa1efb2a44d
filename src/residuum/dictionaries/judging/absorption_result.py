"""How much of a class other latents hold: the record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.judging.evaluation_result import plain
from residuum.dictionaries.judging.ground_truth_result import Measured

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars


@dataclass(frozen=True)
class ClassAbsorption:
    """One class of words.

    Attributes:
        name: of the class, or ``all classes``.
        main: its latents; none for all classes.
        n_tokens: held-out tokens that the dense probe gets right.
        missed: share of them on which no main latent is active.
        absorbed: share of them that are missed and held by another latent.
        control: the share absorbed with the words dealt out among the classes at random.
        words: those of which most tokens are absorbed -> latent, share.
    """

    name: str
    main: tuple[int, ...]
    n_tokens: int
    missed: Measured
    absorbed: Measured
    control: Measured
    words: dict[str, tuple[int, float]]


@dataclass(frozen=True, eq=False, repr=False)
class Absorption:
    """Classes whose latents are silent on words that have a latent of their own.

    Shows: how often "is of the class" cannot be read off the class's latents although the site
    holds it, and which latent holds it instead. Does not show: that the model does not use the
    class there; a class without a latent of its own is missed too (compare the control).

    Attributes:
        classes: a row for each class, and one for all.
        level: of the intervals, over held-out documents.
        provenance: model, strategy, seed.
    """

    classes: tuple[ClassAbsorption, ...]
    level: float
    provenance: Provenance

    def __repr__(self) -> str:
        whole = self.classes[-1]
        return (
            f"Absorption({len(self.classes) - 1} classes: missed {whole.missed}, absorbed "
            f"{whole.absorbed}, words dealt at random {whole.control})"
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a class, with interval ends."""
        import pandas as pd

        rows = []
        for each in self.classes:
            row: dict[str, Any] = {"class": each.name, "main": each.main, "n_tokens": each.n_tokens}
            for name in ("missed", "absorbed", "control"):
                found: Measured = getattr(each, name)
                row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
            rows.append({**row, "words": ", ".join(each.words)})
        return pd.DataFrame(rows)

    def figure(self, title: str = "") -> Bars:
        """Shares absorbed, class by class."""
        from residuum.figures import Bars

        found = [each.absorbed for each in self.classes]
        return Bars(
            [each.name for each in self.classes],
            [each.value for each in found],
            lo=[each.low for each in found],
            hi=[each.high for each in found],
            x="share of the class's tokens absorbed",
            order="given",
            title=title or "Feature absorption",
            caption=f"Held-out documents, {self.level:.0%} intervals over them. Words dealt out at "
            f"random: {self.classes[-1].control}.",
            does_not_show="that the model does not use the class there.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN is null."""
        rows = [
            {
                "class": each.name, "main": list(each.main), "n_tokens": each.n_tokens,
                "missed": plain(each.missed), "absorbed": plain(each.absorbed),
                "control": plain(each.control),
                "words": {word: list(pair) for word, pair in each.words.items()},
            }
            for each in self.classes
        ]  # fmt: skip
        return {"classes": rows, "level": self.level, "provenance": self.provenance.to_json()}

    def save(self, path: str | Path) -> None:
        """Write plain data (``.json``), the table (``.csv``) or the figure (HTML, SVG, PNG).

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "feature absorption")
