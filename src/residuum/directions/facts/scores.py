"""How an edit is judged: what it should change, what it should not, each with an interval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.facts.text_loss import Loss

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

KINDS = ("requests", "paraphrases", "same_subject", "neighbours", "elsewhere")
_WHAT = {
    "requests": "says the new answer",
    "paraphrases": "says the new answer, phrasings not used",
    "same_subject": "as before: same subject, other relation",
    "neighbours": "as before: same relation, other subject",
    "elsewhere": "as before: the rest",
    "others": "as before: all other facts",
}


@dataclass(frozen=True)
class Share:
    """A share of facts with its interval.

    Attributes:
        share: 0 to 1; NaN without facts.
        interval: over subjects; where all are alike, Wilson's with one trial a subject.
        n: facts.
    """

    share: float
    interval: tuple[float, float]
    n: int


@dataclass(frozen=True, eq=False, repr=False)
class FactScores:
    """An edit judged.

    Shows: how far an edit reaches on these facts and texts. Does not show: what follows from the
    new fact, or text of other kinds.

    Attributes:
        shares: kind of fact -> share. ``requests`` and ``paraphrases``: greedy decoding says the
            new answer. ``same_subject, neighbours, elsewhere`` and all of them, ``others``: the
            most likely next token is the same as before the edit.
        before: kind -> share that said the answer of the record before the edit.
        rows: one record a fact: kind, prompt, answer, said before and after, whether as it should.
        text: loss on plain text, or None.
        left_out: facts of the pool that the edit used, not judged.
        provenance: of the model before the edit.
    """

    shares: dict[str, Share]
    before: dict[str, float]
    rows: tuple[dict[str, Any], ...]
    text: Loss | None
    left_out: int
    provenance: Provenance

    def __repr__(self) -> str:
        lines = [
            f"{name} {each.share:.3f} [{each.interval[0]:.3f}, {each.interval[1]:.3f}] of {each.n}"
            for name, each in self.shares.items()
        ]
        if self.text is not None:
            low, high = self.text.interval
            lines.append(
                f"plain text {self.text.before_nats:.4f} -> {self.text.after_nats:.4f} nats, "
                f"{100 * self.text.change_frac:+.2f} % [{100 * low:+.2f}, {100 * high:+.2f}]"
            )
        return "FactScores(" + "\n  ".join(lines) + ")"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a fact."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "shares": {name: asdict(each) for name, each in self.shares.items()},
            "before": self.before,
            "rows": list(self.rows),
            "text": None if self.text is None else asdict(self.text),
            "left_out": self.left_out,
            "provenance": self.provenance.to_json(),
        }

    def figure(self, title: str = "A fact edit: what changed and what stayed") -> Bars:
        """Shares with their intervals."""
        from residuum.figures import Bars

        found = {name: each for name, each in self.shares.items() if each.n}
        text = "" if self.text is None else (
            f" Plain text: loss {100 * self.text.change_frac:+.2f} %."
        )  # fmt: skip
        return Bars(
            [f"{_WHAT[name]} ({each.n})" for name, each in found.items()],
            [each.share for each in found.values()],
            lo=[each.interval[0] for each in found.values()],
            hi=[each.interval[1] for each in found.values()],
            unit="share",
            title=title,
            caption=f"95 % intervals over subjects.{text}",
            does_not_show="what follows from the new fact, or text of other kinds.",
        )

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv``, ``.html``, ``.svg`` or ``.png``."""
        save_result(self, path, "fact scores")

    def _repr_html_(self) -> str | None:
        return html_of(self)
