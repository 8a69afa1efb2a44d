"""How an edit is judged: what it should change, what it should not, each with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from residuum.core import OptionError, Progress, Provenance
from residuum.core.notebook import html_of
from residuum.core.progress import track
from residuum.core.saving import save_result
from residuum.directions.facts.fact import Fact, need_facts, rows_of
from residuum.directions.facts.keys import batches_of, need_texts
from residuum.runs import Model, bootstrap_mean_interval, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

_ROWS = 64
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


@dataclass(frozen=True)
class Loss:
    """Plain text before and after, mean over tokens, nats.

    Attributes:
        change_frac: (after - before) / before.
        interval: of ``change_frac``, over texts, paired.
    """

    before_nats: float
    after_nats: float
    change_frac: float
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
        from dataclasses import asdict

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


def judge(
    model: Model,
    edit: Any,
    *,
    facts: Sequence[Fact],
    paraphrases: Sequence[Fact],
    texts: Sequence[str],
    level: float,
    seed: int,
    progress: Progress,
) -> FactScores:
    """Measure before and after; the model is left unedited."""
    sorted_facts, left_out = _sorted(edit, facts, paraphrases)
    texts = need_texts(texts) if texts else ()
    flat = [(kind, fact) for kind in KINDS for fact in sorted_facts[kind]]
    told = [fact for _, fact in flat]
    before = _read(model, told, progress)
    losses = [_losses(model, texts, progress)] if texts else []
    with edit:
        after = _read(model, told, progress)
        losses += [_losses(model, texts, progress)] if texts else []
    rows = tuple(
        _record(model, kind, fact, one, two)
        for (kind, fact), one, two in zip(flat, before, after, strict=True)
    )
    text = _loss(losses[0], losses[1], level, seed) if texts else None
    shares = {kind: _share(rows, (kind,), level, seed) for kind in KINDS}
    shares["others"] = _share(rows, KINDS[2:], level, seed)
    said = {
        kind: float(np.mean([row["right_before"] for row in rows if row["kind"] == kind] or np.nan))
        for kind in KINDS
    }
    return FactScores(shares, said, rows, text, left_out, edit.provenance)


def _sorted(
    edit: Any, facts: Sequence[Fact], paraphrases: Sequence[Fact]
) -> tuple[dict[str, list[Fact]], int]:
    """Facts by kind, and how many were left out because the edit used them."""
    used = edit.used
    wrong = [each.prompt for each in paraphrases if each.prompt in used]
    if wrong:
        raise OptionError(
            f"{wrong[0]!r} was used for the edit", mend="judge by phrasings that it never saw"
        )
    new = {(each.subject, each.relation): each.answer for each in edit.requests}
    subjects, relations = ({key[i] for key in new} for i in (0, 1))
    found: dict[str, list[Fact]] = {kind: [] for kind in KINDS}
    found["requests"] = list(edit.requests)
    found["paraphrases"] = list(need_facts(paraphrases, "paraphrases")) if paraphrases else []
    left_out = 0
    for fact in need_facts(facts, "facts") if facts else ():
        key = (fact.subject, fact.relation)
        if fact.prompt in used:
            left_out += 1
        elif key in new:
            found["paraphrases"].append(replace(fact, answer=new[key]))
        elif fact.subject in subjects:
            found["same_subject"].append(fact)
        elif fact.relation in relations:
            found["neighbours"].append(fact)
        else:
            found["elsewhere"].append(fact)
    return found, left_out


def _read(model: Model, facts: Sequence[Fact], progress: Progress) -> list[tuple[int, bool, float]]:
    """Most likely next token, whether the answer is said, and its probability, for each fact."""
    found: list[tuple[int, bool, float]] = []
    starts = range(0, len(facts), _ROWS)
    for start in track(starts, progress, "facts", len(starts)):
        rows = rows_of(model, facts[start : start + _ROWS])
        run = model.run(rows.batch.ids, attention_mask=rows.batch.mask)
        assert run.logits is not None
        best = run.logits[torch.arange(len(rows)), rows.ends].argmax(dim=-1).tolist()
        probs = rows.log_probs(run.logits).exp().tolist()
        found += list(zip(best, rows.says(run.logits).tolist(), probs, strict=True))
    return found


def _record(
    model: Model, kind: str, fact: Fact, one: tuple[int, bool, float], two: tuple[int, bool, float]
) -> dict[str, Any]:
    wanted = kind in ("requests", "paraphrases")
    return {
        "kind": kind,
        "subject": fact.subject,
        "prompt": fact.prompt,
        "answer": fact.answer,
        "said_before": model.to_string([one[0]]),
        "said_after": model.to_string([two[0]]),
        "prob_before": one[2],
        "prob_after": two[2],
        "right_before": one[1],
        "as_it_should": two[1] if wanted else one[0] == two[0],
    }


def _share(rows: Sequence[dict[str, Any]], kinds: Sequence[str], level: float, seed: int) -> Share:
    chosen = [row for row in rows if row["kind"] in kinds]
    values = [float(row["as_it_should"]) for row in chosen]
    if not values:
        return Share(float("nan"), (float("nan"), float("nan")), 0)
    subjects = [row["subject"] for row in chosen]
    share = float(np.mean(values))
    if share in (0.0, 1.0):
        trials = len(set(subjects))
        interval = wilson_interval(int(share) * trials, trials, level)
    else:
        interval = bootstrap_mean_interval(values, level, seed=seed, clusters=subjects)
    return Share(share, interval, len(values))


def _losses(model: Model, texts: Sequence[str], progress: Progress) -> np.ndarray:
    """``[text 2]``: summed loss in nats and tokens predicted."""
    found: list[list[float]] = []
    batches = batches_of(model, texts)
    for batch in track(batches, progress, "plain text", len(batches)):
        run = model.run(batch.ids, attention_mask=batch.mask)
        assert run.logits is not None
        log_probs = run.logits[:, :-1].log_softmax(dim=-1)
        nats = -log_probs.gather(-1, batch.ids[:, 1:, None].to(log_probs.device))[..., 0].double()
        if batch.mask is not None:
            nats = nats * batch.mask[:, 1:].to(nats.device)
        tokens = batch.lengths - 1
        found += [[a, b] for a, b in zip(nats.sum(dim=1).tolist(), tokens.tolist(), strict=True)]
    return np.array(found)


def _loss(before: np.ndarray, after: np.ndarray, level: float, seed: int) -> Loss:
    tokens, base = before[:, 1].sum(), before[:, 0].sum()
    changes = (after[:, 0] - before[:, 0]) * len(before) / base
    interval = bootstrap_mean_interval(changes.tolist(), level, seed=seed)
    return Loss(
        float(base / tokens),
        float(after[:, 0].sum() / tokens),
        float(changes.mean()),
        interval,
        len(before),
    )
