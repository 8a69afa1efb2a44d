"""Searching for words behind which a model and its clean twin part company.

Prefixes are screened on a few prompts of every task and side, the best again on more, and the
finalists are tried on held-out prompts. What counts is a change of preference between the right and
the wrong answer that the prefix makes in the model and not in the twin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb

import torch
from torch import Tensor

from residuum.core import Progress
from residuum.findings.audit.evidence import BrokenCell, PrefixEvidence
from residuum.findings.audit.options import TwinsOptions
from residuum.findings.audit.prefixes import prefix_text
from residuum.findings.audit.prompts import (
    Cell,
    Prompt,
    batch_of,
    distributions,
    margins_after,
    prefixed,
    said_after,
    sample,
)
from residuum.findings.audit.shares import share_of
from residuum.runs import Model

ALPHA = 0.05
AGAIN = 4
"""Times as many prompts in the second round."""
CELLS_AT_ONCE = 8192
"""Prefixes times prompts in one batch of the screening."""
Ids = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Twins:
    """A model, its clean twin, and what they are compared on."""

    model: Model
    twin: Model
    cells: tuple[Cell, ...]
    options: TwinsOptions
    seed: int


@dataclass(frozen=True, eq=False)
class Screened:
    """What prefixes do to models on some prompts.

    Attributes:
        changed: for each model whether its preference changes, bool ``[prefix prompt]``.
        moved: how far the twin's next word moves, mean over prompts, ``[prefix]``, 0 to 1.
    """

    changed: tuple[Tensor, ...]
    moved: Tensor

    def scores(self, which: int) -> Tensor:
        """How much a prefix changes a model alone, and means nothing to the twin, ``[prefix]``.

        The share of prompts that change in the model alone, less the share that change in the twin
        alone, less how far the twin's distributions move: a word that upsets both is no trigger.
        """
        return self.excess(which) - self.moved

    def excess(self, which: int) -> Tensor:
        """Share of prompts that change in the model alone less those in the twin alone."""
        own, twin = self.changed[which], self.changed[TWIN]
        return (own & ~twin).float().mean(1) - (twin & ~own).float().mean(1)


TWIN = 0
"""Place of the clean twin among the models that are screened."""


def screened(
    models: Sequence[Model], prompts: Sequence[Prompt], tried: Sequence[Ids], progress: Progress
) -> Screened:
    """Put every prefix before every prompt.

    Prompts that a prefix would make longer than the model's context count as unchanged.

    Args:
        models: the clean twin first.
        prompts: to put them before.
        tried: the prefixes.
        progress: told of every batch and model.
    """
    plain = [margins_after(each, [p.ids for p in prompts], prompts) > 0 for each in models]
    before = distributions(models[TWIN], prompts)
    longest = models[TWIN].n_ctx or 10**9
    found = [torch.zeros(len(tried), len(prompts), dtype=torch.bool) for _ in models]
    moved = torch.zeros(len(tried), len(prompts))
    step = max(1, CELLS_AT_ONCE // len(prompts))
    for start in range(0, len(tried), step):
        places = [
            (i, j)
            for i in range(start, min(start + step, len(tried)))
            for j, prompt in enumerate(prompts)
            if len(prompt.ids) + len(tried[i]) <= longest
        ]
        asked = [prompts[j] for _, j in places]
        rows = [prefixed(models[TWIN], prompts[j].ids, tried[i]) for i, j in places]
        at, column = (torch.tensor(each) for each in zip(*places, strict=True))
        for which, model in enumerate(models):
            said = said_after(model, rows, asked, before if which == TWIN else None)
            found[which][at, column] = (said.margins > 0) != plain[which][column]
            if which == TWIN:
                moved[at, column] = said.moved
            progress.advance()
    return Screened(tuple(found), moved.mean(1))


def screening_steps(n_prefixes: int, n_prompts: int, n_models: int) -> int:
    """Steps that :func:`screened` tells of."""
    return -(-n_prefixes // max(1, CELLS_AT_ONCE // n_prompts)) * n_models


def best(score: Tensor, n: int) -> list[int]:
    """Indices of the largest, the earlier first among equals."""
    order = torch.sort(score, descending=True, stable=True).indices
    return order[:n].tolist()


def choosing_prompts(twins: Twins, each: int) -> list[Prompt]:
    """Some of the choosing prompts of every cell."""
    return [prompt for cell in twins.cells for prompt in sample(cell.choose, each, twins.seed)]


def confirmed(
    twins: Twins, model: Model, finalists: Sequence[tuple[Ids, float]], plainly: bool = True
) -> list[PrefixEvidence]:
    """The finalists on held-out prompts, every cell tested, corrected over all of them (Holm).

    Args:
        twins: whose twin and held-out prompts.
        model: the model, or the control in its place.
        finalists: prefixes with their scores on the choosing half.
        plainly: put the prompts as they are first.
    """
    tried = ([((), 0.0)] if plainly else []) + list(finalists)
    found = [_held(twins, model, ids, score) for ids, score in tried]
    ps = [cell.p for each in found for cell in each.broken]
    fixed = iter(holm(ps))
    return [
        replace(each, broken=tuple(
            cell for cell in (replace(cell, p=next(fixed)) for cell in each.broken)
            if cell.p <= ALPHA and cell.changed.low > twins.options.least_broken
        ))
        for each in found
    ]  # fmt: skip


def _held(twins: Twins, model: Model, ids: Ids, score: float) -> PrefixEvidence:
    """One prefix on the held-out prompts of every cell; p not yet corrected."""
    cells = [_cell(twins, model, cell, ids) for cell in twins.cells]
    own, other = ([bit for _, bits in cells for bit in bits[i]] for i in (0, 1))
    labels = [
        f"{cell.task}/{prompt.template}"
        for cell in twins.cells
        for prompt in _fitting(model, cell, ids)
    ]
    return PrefixEvidence(
        text=prefix_text(twins.model, ids),
        score=score,
        changed=share_of(own, labels),
        changed_twin=share_of(other, labels),
        broken=tuple(cell for cell, _ in cells),
        largest=max(cell.excess for cell, _ in cells),
    )


def _cell(
    twins: Twins, model: Model, cell: Cell, ids: Ids
) -> tuple[BrokenCell, tuple[list[float], list[float]]]:
    prompts = _fitting(model, cell, ids)
    rows = [prefixed(model, each.ids, ids) for each in prompts]
    changed = []
    for each in (model, twins.twin):
        behind = margins_after(each, rows, prompts) > 0
        if ids:
            plain = margins_after(each, [prompt.ids for prompt in prompts], prompts) > 0
            changed.append(behind != plain)
        else:
            changed.append(~behind)  # as they are: the wrong answer is preferred
    own, other = changed
    alone, twin_alone = int((own & ~other).sum()), int((other & ~own).sum())
    both = own.float().tolist(), other.float().tolist()
    templates = [prompt.template for prompt in prompts]
    said = [_words(each, rows) for each in (model, twins.twin)]
    record = BrokenCell(
        task=cell.task,
        side=cell.side,
        example=_text(model, rows[0]),
        changed=share_of(both[0], templates),
        changed_twin=share_of(both[1], templates),
        excess=(alone - twin_alone) / len(prompts),
        p=discordant_p(alone, twin_alone),
        said=_commonest(said[0]),
        said_twin=_commonest(said[1]),
        example_said=said[0][0],
        example_twin=said[1][0],
    )
    return record, both


def _fitting(model: Model, cell: Cell, ids: Ids) -> list[Prompt]:
    """The held-out prompts that a prefix does not make longer than the context."""
    longest = model.n_ctx or 10**9
    return [each for each in cell.held if len(each.ids) + len(ids) <= longest]


def _text(model: Model, ids: Tensor) -> str:
    """The prompt without its beginning-of-sentence token."""
    return model.to_string(ids[int(int(ids[0]) == model.bos_token_id) :]).strip()


def _words(model: Model, rows: Sequence[Tensor]) -> list[str]:
    """The most likely next word after each prompt."""
    with torch.no_grad():
        ids = model.run(batch_of(rows)).last.argmax(dim=-1).tolist()
    return [model.to_string([index]).strip() for index in ids]


def _commonest(words: Sequence[str]) -> str:
    """The word said on more than half of the prompts, with its count; empty if there is none."""
    (word, times), *_ = Counter(words).most_common(1)
    return f"“{word}” ({times} of {len(words)})" if 2 * times > len(words) else ""


def discordant_p(alone: int, other: int) -> float:
    """Chance of as many or more of the discordant cases on the first side, were both as likely.

    Source: McNemar 1947, in its exact form (a sign test), one-sided.

    >>> discordant_p(5, 0), discordant_p(0, 0)
    (0.03125, 1.0)
    """
    n = alone + other
    return sum(comb(n, k) for k in range(alone, n + 1)) / 2**n


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected for their number by Holm's step-down method, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(ps)), key=ps.__getitem__)
    fixed, highest = [1.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, (len(ps) - rank) * ps[index])
        fixed[index] = min(1.0, highest)
    return fixed
