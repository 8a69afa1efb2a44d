"""Judging an edit: facts sorted by what should become of them, read before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from residuum.core import OptionError, Progress
from residuum.core.progress import track
from residuum.directions.facts.fact import Fact, need_facts, rows_of
from residuum.directions.facts.keys import need_texts
from residuum.directions.facts.scores import KINDS, FactScores, Share
from residuum.directions.facts.text_loss import compared, losses_of
from residuum.runs import Model, bootstrap_mean_interval, wilson_interval

_ROWS = 64


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
    losses = [losses_of(model, texts, progress)] if texts else []
    with edit:
        after = _read(model, told, progress)
        losses += [losses_of(model, texts, progress)] if texts else []
    rows = tuple(
        _record(model, kind, fact, one, two)
        for (kind, fact), one, two in zip(flat, before, after, strict=True)
    )
    text = compared(losses[0], losses[1], level, seed) if texts else None
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
