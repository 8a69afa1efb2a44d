"""One latent's label."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from residuum.dictionaries.labels.rules import Rule
from residuum.dictionaries.labels.score import Score

_SCORES = ("detection", "fuzzing", "detection_control", "fuzzing_control")


@dataclass(frozen=True)
class Label:
    """What a latent is said to be active at, and how far that is true.

    Attributes:
        latent: its number.
        text: in words; empty if there is none.
        by: ``"TokenStatistics"``, a language model's name, or ``"hand"``.
        detection: of whether a context holds an active token; None if it was not asked.
        fuzzing: of whether the marked tokens are the active ones.
        detection_control, fuzzing_control: the same questions with another latent's label.
        control_of: that other latent.
        rule: if the label is one about tokens.
        lacks: why there is no label or no score.
        author, date: of a label by hand.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "latent", "label", "by", "author", "date", "detection", "detection_low", "detection_high",
        "detection_control", "fuzzing", "fuzzing_low", "fuzzing_high", "fuzzing_control",
        "control_of", "unread", "lacks",
    )  # fmt: skip
    latent: int
    text: str
    by: str
    detection: Score | None = None
    fuzzing: Score | None = None
    detection_control: Score | None = None
    fuzzing_control: Score | None = None
    control_of: int | None = None
    rule: Rule | None = None
    lacks: str = ""
    author: str = ""
    date: str = ""

    def __str__(self) -> str:
        told = f": detection {self.detection}" if self.detection else ""
        return f"{self.latent} {self.text or '(none)'}{told}"

    def row(self) -> dict[str, Any]:
        """By column."""
        found: dict[str, Any] = {
            "latent": self.latent, "label": self.text, "by": self.by, "author": self.author,
            "date": self.date, "control_of": self.control_of, "lacks": self.lacks,
            "unread": sum(each.unread for each in self._scores()),
        }  # fmt: skip
        for name in ("detection", "fuzzing"):
            own, other = getattr(self, name), getattr(self, f"{name}_control")
            found[name] = own.value if own else math.nan
            found[f"{name}_low"] = own.low if own else math.nan
            found[f"{name}_high"] = own.high if own else math.nan
            found[f"{name}_control"] = other.value if other else math.nan
        return found

    def _scores(self) -> list[Score]:
        return [each for name in _SCORES if (each := getattr(self, name)) is not None]

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN is null."""
        plain = {name: getattr(self, name) for name in (each.name for each in fields(self))}
        for name in (*_SCORES, "rule"):
            plain[name] = None if plain[name] is None else plain[name].to_json()
        return plain

    @staticmethod
    def from_json(data: dict[str, Any]) -> Label:
        """Read what :meth:`to_json` wrote."""
        scores = {n: None if data[n] is None else Score.from_json(data[n]) for n in _SCORES}
        rule = None if data["rule"] is None else Rule.from_json(data["rule"])
        return Label(**{**data, **scores, "rule": rule})
