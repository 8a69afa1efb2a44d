"""Labels of latents with what they are worth: the record."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import OptionError, Provenance, StoreError
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.judging.ground_truth_result import Measured
from residuum.dictionaries.labels.label import Label
from residuum.dictionaries.labels.replies import plain_line
from residuum.dictionaries.labels.score import CHANCE
from residuum.runs import bootstrap_mean_interval
from residuum.runs.arguments import need_text, shown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

_DRAWN = 40
_SHOWS_NOT = (
    "that the model uses the latent for what the label says, or that the label tells all of it: "
    "contexts of other kinds of text were not asked about."
)


@dataclass(frozen=True, eq=False, repr=False)
class Labels:
    """Labels, each judged on documents that none was made from.

    Shows: how well somebody who knows the label alone can tell where a latent is active, on
    contexts half of which are active; and how well with another latent's label. Does not show: that
    the model uses the latent for what the label says, or that the label tells all of it. Contexts
    drawn half and half flatter labels that are too wide: a latent is active far less often.

    Attributes:
        found: latent -> its label as made.
        manual: latent -> its label by hand; these come first.
        record: plain data: strategy (model's name, prompts' hash), sizes, examples and their hash.
        cost: of all answers, as plain data; None where none was paid for.
        unread: replies that had not the form asked for; their questions count for nothing.
        level: of the intervals.
        provenance: of the model whose latents they are, with the seed.
        noun: what a latent is called.
    """

    found: Mapping[int, Label]
    record: Mapping[str, Any]
    provenance: Provenance
    cost: Mapping[str, Any] | None = None
    unread: int = 0
    level: float = 0.95
    manual: Mapping[int, Label] = field(default_factory=dict)
    noun: str = "latent"

    def __getitem__(self, latent: int) -> Label:
        if not isinstance(latent, Hashable):
            raise OptionError(
                f"latent={shown(latent)} is no number of a {self.noun}", mend="give a whole number"
            )
        if latent in self.manual:
            return self.manual[latent]
        if latent not in self.found:
            raise OptionError(
                f"no label of {self.noun} {shown(latent)}",
                mend=f"there are labels of {len(self.latents)} {self.noun}s: see .latents",
            )
        return self.found[latent]

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def latents(self) -> tuple[int, ...]:
        """All that were asked for or labelled by hand, ascending."""
        return tuple(sorted({*self.found, *self.manual}))

    @property
    def texts(self) -> dict[int, str]:
        """Latent -> words, those by hand first; without latents that got none."""
        return {each: self[each].text for each in self.latents if self[each].text}

    @property
    def means(self) -> dict[str, Measured]:
        """Means over latents: ``detection, detection_control, detection_gain`` (their difference)
        and the same of fuzzing, with intervals from drawing latents again; NaN for none."""
        found = {}
        for name in ("detection", "fuzzing"):
            own = np.array([_value(getattr(each, name)) for each in self.found.values()])
            other = np.array([_value(getattr(each, f"{name}_control"))
                              for each in self.found.values()])  # fmt: skip
            columns = {name: own, f"{name}_control": other, f"{name}_gain": own - other}
            found |= {key: self._mean(values) for key, values in columns.items()}
        return found

    def _mean(self, values: np.ndarray) -> Measured:
        known = values[~np.isnan(values)] if len(values) else values
        if not len(known):
            return Measured(math.nan, math.nan, math.nan)
        low, high = bootstrap_mean_interval(known.tolist(), self.level, seed=0)
        return Measured(float(known.mean()), low, high)

    def with_manual(
        self, texts: Mapping[int, str], *, author: str = "", date: str | None = None
    ) -> Labels:
        """The same with labels by hand, which come first; those made stay beside them.

        Args:
            author: who wrote them.
            date: ISO; today if left out.

        Raises:
            OptionError: no number of a latent, no words, a date that is none.
        """
        need_text(author, "author")
        day = Date.today().isoformat() if date is None else _day(date)
        added = {}
        for latent, text in texts.items():
            if type(latent) is not int or latent < 0:
                raise OptionError(
                    f"texts= has {shown(latent)}, which is no number of a {self.noun}",
                    mend="give a whole number",
                )
            need_text(text, f"label {latent}")
            if not (line := plain_line(text)):
                raise OptionError(
                    f"the label of {self.noun} {latent} has no words", mend="give some"
                )
            added[latent] = Label(latent, line, "hand", author=author, date=day)
        return replace(self, manual={**self.manual, **added})

    # -- results -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        means, parts = self.means, []
        for name in ("detection", "fuzzing"):
            own, other = means[name], means[f"{name}_control"]
            beside = "" if math.isnan(other.value) else f", another's label {other}"
            parts += [f"{name} {own}{beside}"] if not math.isnan(own.value) else []
        told = "; ".join(parts) or "none scored"
        return f"Labels({len(self.texts)} of {len(self)} {self.noun}s; {told})"

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each label, made or by hand: ``latent, label, by, author, date, detection,
        detection_low, detection_high, detection_control, fuzzing, fuzzing_low, fuzzing_high,
        fuzzing_control, control_of, unread, lacks``."""
        import pandas as pd

        both = [each[i] for i in self.latents for each in (self.manual, self.found) if i in each]
        return pd.DataFrame([each.row() for each in both], columns=list(Label.columns))

    def figure(self) -> Bars:
        """Detection of each label (the best forty), with its interval."""
        from residuum.figures import Bars

        scored = [each for each in self.found.values() if not math.isnan(_value(each.detection))]
        scored.sort(key=lambda each: -_value(each.detection))
        some = scored[:_DRAWN]
        scores = [each.detection for each in some if each.detection is not None]
        means = self.means
        return Bars(
            [f"{each.latent}: {each.text[:40]}" for each in some] or ["none"],
            [each.value for each in scores] or [math.nan],
            lo=[each.low for each in scores] or [math.nan],
            hi=[each.high for each in scores] or [math.nan],
            x="balanced accuracy of detection",
            order="given",
            title=f"Labels of {len(self.texts)} {self.noun}s",
            caption=f"{len(some)} of {len(scored)} labels that were scored; chance {CHANCE}. All: "
            f"{means['detection']}, with another's label {means['detection_control']}; "
            f"{self.level:.0%} intervals.",
            does_not_show=_SHOWS_NOT,
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN is null."""
        return {
            "format": "residuum labels 1",
            "found": [each.to_json() for each in self.found.values()],
            "manual": [each.to_json() for each in self.manual.values()],
            "record": dict(self.record),
            "cost": None if self.cost is None else dict(self.cost),
            "unread": self.unread,
            "level": self.level,
            "noun": self.noun,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write plain data (``.json``), the table (``.csv``) or the figure (HTML, SVG, PNG).

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "labels")


def load_labels(path: str | Path) -> Labels:
    """Labels from a ``.json`` file that :meth:`Labels.save` wrote.

    Raises:
        StoreError: it is not there, or no such file.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if data["format"] != "residuum labels 1":
            raise ValueError(data["format"])
        tables = [{one.latent: one for one in map(Label.from_json, data[name])}
                  for name in ("found", "manual")]  # fmt: skip
        return Labels(
            tables[0], data["record"], Provenance.from_json(data["provenance"]), data["cost"],
            data["unread"], data["level"], tables[1], data["noun"],
        )  # fmt: skip
    except OSError as error:
        raise StoreError(
            f"the labels cannot be read: {error.strerror}", mend="give a file of labels",
            where=str(path),
        ) from error  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            "this is no file of labels", mend="give one that Labels.save wrote as .json",
            where=str(path),
        ) from error  # fmt: skip


def _value(score: Any) -> float:
    return math.nan if score is None else score.value


def _day(text: Any) -> str:
    try:
        return Date.fromisoformat(text).isoformat()
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"date={shown(text)} is no date", mend='give one such as "2026-01-31"'
        ) from error
