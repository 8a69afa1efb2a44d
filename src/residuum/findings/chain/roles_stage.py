"""Stage 5: which heads write the answer, and which of them move it from where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import SILENT, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.parts_stage import numbers
from residuum.findings.chain.removing import removal, removed
from residuum.findings.chain.where_stage import has_mlps
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.mechanism import is_head
from residuum.findings.record.part_evidence import SWAP, Picture, RoleEvidence, RolesEvidence
from residuum.patching import Knockout, PathTable, SwapAblation, path_patch
from residuum.runs import Run

LEAST_ATTENTION = 0.1
"""Share of a mover's attention that goes to the answer at least, interval and all."""


def choose_writers(choose: Bench, max_heads: int, progress: Progress = SILENT) -> tuple[str, ...]:
    """Heads whose direct path to the logits speaks for the answer most, largest first.

    Those whose interval on the choosing half lies above 0, at most ``max_heads``; none if none is.
    """
    table = _direct(choose, ("L*.z[H*]",), progress)
    sure = table.statistics()
    effects, low = table.effects.values[:, 0], sure.low.values[:, 0]
    order = [int(i) for i in np.argsort(-effects, kind="stable") if low[i] > 0]
    return tuple(_z(str(table.effects.coords["sender"].values[i])) for i in order[:max_heads])


def roles(
    choose: Bench,
    bench: Bench,
    chosen: Sequence[str],
    max_heads: int,
    random_sets: int,
    progress: Progress = SILENT,
) -> RolesEvidence:
    """Direct paths to the logits, attention to the answer, and removal, head by head.

    Args:
        choose: the choosing half: writers are chosen on it.
        bench: the measuring half.
        chosen: the parts that matter; heads among them are described beside the writers.
        max_heads: writers at most.
        random_sets: random sets of heads removed for comparison with the writers.
        progress: told of every forward pass.
    """
    writers = choose_writers(choose, max_heads, progress)
    senders = ("L*.z[H*]", *(("L*.mlp_out",) if has_mlps(bench) else ()))
    table = _direct(bench, senders, progress)
    named = [at for at in chosen if is_head(at)]
    heads = (*named, *(at for at in writers if at not in named))
    alone = removed(bench, heads, SwapAblation(), 0, progress).singles if heads else ()
    run = bench.run("clean", capture=sorted({f"L{numbers(at)[0]}.pattern" for at in heads}))
    look = _Look(bench, run)
    pairs = zip(heads, alone, strict=True)
    mlps = [name for name in _senders(table) if name.endswith(".mlp_out")]
    return RolesEvidence(
        heads=tuple(_role(bench, table, look, at, effects) for at, effects in pairs),
        writers=writers,
        removal=_removal(bench, writers, random_sets, progress),
        mlps=tuple(mlps),
        mlp_direct=tuple(_effect(bench, table, name) for name in mlps),
        sure=str(table.statistics()).replace("cells", "direct paths"),
        pictures=tuple(look.picture(at) for at in heads),
    )


def _direct(bench: Bench, senders: Sequence[str], progress: Progress) -> PathTable:
    return path_patch(bench.model, bench.task, list(senders), ["logits"], progress=progress)


def _z(name: str) -> str:
    """A sender's name as the address of its ``z``."""
    return name.replace(".head_out[", ".z[")


def _senders(table: PathTable) -> list[str]:
    return [_z(str(name)) for name in table.effects.coords["sender"].values]


def _effect(bench: Bench, table: PathTable, name: str) -> Estimate:
    values = table.per_example.values[_senders(table).index(name), 0]
    return Estimate.of_mean(values.tolist(), clusters=bench.clusters)


def _removal(bench: Bench, writers: Sequence[str], random_sets: int, progress: Progress) -> Any:
    if not writers:
        return None
    out: Knockout = removed(bench, writers, SwapAblation(), random_sets, progress)
    return removal(SWAP, out, bench)


def _role(
    bench: Bench, table: PathTable, look: _Look, at: str, effects: np.ndarray
) -> RoleEvidence:
    sure, row = table.statistics(), _senders(table).index(at)
    direct, verdict = _effect(bench, table, at), str(sure.verdict.values[row, 0])
    cost = Estimate.of_mean((-effects).tolist(), clusters=bench.clusters)
    answer, wrong, prefers = look.at_answer(at)
    return RoleEvidence(
        at=at,
        direct=direct,
        p=float(sure.p.values[row, 0]),
        verdict=verdict,
        attends_answer=answer,
        attends_wrong=wrong,
        prefers=prefers,
        removal=cost,
        mover=is_mover(direct, verdict, answer, prefers, cost),
    )


def is_mover(
    direct: Estimate,
    verdict: str,
    answer: Estimate | None,
    prefers: Estimate | None,
    cost: Estimate,
) -> bool:
    """Whether a head's direct path is shown and speaks for the answer, it looks at the answer, at
    that rather than at the wrong one, and its removal costs something, each with its interval."""
    if answer is None or prefers is None or verdict != "shown":
        return False
    looks = answer.low >= LEAST_ATTENTION and prefers.low > 0
    return direct.value > 0 and looks and cost.low > 0


class _Look:
    """Attention from the last token of the clean prompts to where the answers stand."""

    def __init__(self, bench: Bench, run: Run) -> None:
        self.bench, self.run = bench, run
        self.answer = _places(bench, bench.task.answers)
        self.wrong = _places(bench, bench.task.wrong)

    def at_answer(self, head: str) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
        """Attention to the answer, to wrong answers, and the difference; None where no prompt
        holds the answer."""
        if not bool(self.answer.any(dim=1).all()):
            return None, None, None
        weights = self._last(head)
        right, wrong = ((weights * place).sum(dim=1) for place in (self.answer, self.wrong))
        found = [
            Estimate.of_mean(values.tolist(), clusters=self.bench.clusters)
            for values in (right, wrong, right - wrong)
        ]
        return found[0], found[1], found[2]

    def _last(self, at: str) -> Tensor:
        """``[example key]``, from the last token."""
        layer, head = numbers(at)
        pattern = self.run["pattern", layer][:, head].double().cpu()
        return pattern[torch.arange(len(pattern)), self.bench.task.last]

    def picture(self, at: str, example: int = 0) -> Picture:
        """The head's attention on an example prompt, padding cut off."""
        layer, head = numbers(at)
        size = int(self.bench.task.lengths[example])
        pattern = self.run["pattern", layer][example, head, :size, :size]
        weights = tuple(tuple(round(float(w), 4) for w in row) for row in pattern)
        return Picture(at, self.bench.prompt("clean", example), weights)


def _places(bench: Bench, ids: Tensor) -> Tensor:
    """Where one of these ids stands in the clean prompt, ``[example pos]``."""
    task = bench.task
    inside = torch.arange(task.clean.shape[1])[None] < task.lengths[:, None]
    same = task.clean[:, :, None] == ids[:, None, :]
    return (same & (ids >= 0)[:, None, :]).any(dim=-1) & inside
