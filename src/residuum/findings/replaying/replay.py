"""Replay: run a finding's investigation again and compare every number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from residuum.core import SILENT, CheckFailed, LoadError, Progress, StoreError
from residuum.findings.chain.investigation import examine, investigate
from residuum.findings.finding import Finding
from residuum.findings.record.plain import to_plain
from residuum.findings.replaying.transfer import with_transfer
from residuum.findings.replaying.wording import other_words
from residuum.runs import Model, Task, load

RELATIVE, ABSOLUTE = 1e-3, 1e-3
"""A number is reproduced within ``ABSOLUTE + RELATIVE * |number|``."""
HALF = 0.05
"""Both, for weights in 16 bits."""
SENTENCES = ("claim", "claim_built", "falsifier", "scope", "limits", "intervention")
"""Fields compared as sentences: see :func:`other_words`."""
TAKEN = ("stages", "also", "task", "provenance", "given")
"""What a replay takes from the file."""


@dataclass(frozen=True)
class Difference:
    """A value that came out otherwise.

    Attributes:
        where: path in the finding, such as ``parts.named[0].patch.value``.
        recorded: what the file says.
        found: what came out now.
    """

    where: str
    recorded: Any
    found: Any


@dataclass(frozen=True)
class Replay:
    """What came of running a finding again.

    Shows: that the same data, weights and seed give the same numbers here. Does not show: that
    the claim holds on other data; that is another finding.

    Attributes:
        path: of the finding.
        recorded: as read.
        found: the new one.
        numbers: how many numbers were compared.
        differences: values outside the tolerance.
        worst: largest difference of two numbers, as a share of what is allowed.
        relative, absolute: the tolerance.
        unchanged: whether the file was as it was written: its hash fits, and its status and rules
            follow from its evidence.
    """

    path: str
    recorded: Finding
    found: Finding
    numbers: int
    differences: tuple[Difference, ...]
    worst: float
    relative: float
    absolute: float
    unchanged: bool

    @property
    def agrees(self) -> bool:
        """Whether everything was reproduced and the file is as it was written."""
        return self.unchanged and not self.differences

    def check(self) -> Replay:
        """Itself, if everything agrees.

        Raises:
            CheckFailed: numbers differ, or the file was changed after it was written.
        """
        if self.differences:
            first = self.differences[0]
            raise CheckFailed(
                f"{len(self.differences)} of the recorded values were not reproduced; the first is "
                f"{first.where}: recorded {_brief(first.recorded)}, found {_brief(first.found)}",
                mend="compare weights, data and software versions, or investigate again",
                where=self.path,
            )
        if not self.unchanged:
            raise CheckFailed(
                "every number was reproduced, but the file was changed after it was written",
                mend="take the file as investigate wrote it, or investigate again",
                where=self.path,
            )
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain data: the comparison, without the two findings."""
        return {
            "path": self.path,
            "agrees": self.agrees,
            "status_recorded": self.recorded.status,
            "status_found": self.found.status,
            "claim": self.found.claim,
            "numbers_compared": self.numbers,
            "differences": to_plain(self.differences),
            "worst_share_of_tolerance": to_plain(self.worst),
            "relative_tolerance": self.relative,
            "absolute_tolerance": self.absolute,
            "file_unchanged": self.unchanged,
        }


def replay(
    path: str | Path, model: Model | None = None, *, check: bool = True,
    progress: Progress = SILENT, also: Sequence[Model] | None = None,
) -> Replay:  # fmt: skip
    """Run a finding again, with its own data, budget and seed, and compare every number.

    Every stage is run anew and nothing is read from a cache. Texts must be equal; a number may
    differ by ``ABSOLUTE + RELATIVE * |number|`` (for weights in 16 bits by ``HALF`` of each).
    Claim, falsifier, scope, limits and rules must read the same, up to the last digit of their
    numbers; of a claim worded by hand the one that was built is compared.

    Args:
        path: ``finding.json``, or the folder that it lies in.
        model: the model itself, where it is in memory; loaded by its recorded name otherwise.
        check: raise where numbers differ or the file was changed; False says so in the record.
        progress: who is told.
        also: the other models that were asked the same; loaded by their recorded names otherwise.

    Returns:
        The comparison.

    Raises:
        CheckFailed: a file changed after it was written, or one whose status or rules do not follow
            from its evidence (before anything is run); a number outside the tolerance, or another
            sentence.
        LoadError: no such file, no such model, or a model with other weights or another tokenizer:
            on another model a finding is tried by :func:`transfer`.
        StoreError: pairs that are not those that the finding was made with.

    Shows: see :class:`Replay`. Does not show: see there.
    """
    recorded, unchanged = _read(path, check)
    task = Task.from_json(recorded.task)
    _same_data(recorded, task)
    if model is None:
        model = _recorded_model(recorded)
    _same_weights(recorded, model)
    others = _others(recorded) if also is None else list(also)
    found = _again(recorded, model, task, others, progress)
    half = str(model.dtype) in ("torch.float16", "torch.bfloat16")
    relative, absolute = (HALF, HALF) if half else (RELATIVE, ABSOLUTE)
    compared = _Comparison(relative, absolute)
    for part in _compared():
        compared.take(part, to_plain(getattr(recorded, part)), to_plain(getattr(found, part)))
    compared.differences += (
        Difference(*each) for each in other_words(recorded, found, relative, absolute)
    )
    result = Replay(
        str(path), recorded, found, compared.numbers, tuple(compared.differences),
        compared.worst, relative, absolute, unchanged,
    )  # fmt: skip
    return result.check() if check else result


def _compared() -> list[str]:
    """Fields whose values must come out again: every one that is not left out by name."""
    return [each.name for each in fields(Finding) if each.name not in SENTENCES + TAKEN]


def _again(
    recorded: Finding, model: Model, task: Task, also: Sequence[Model], progress: Progress
) -> Finding:
    """The same investigation, or the same examination of what was stated."""
    budget, seed, stages = recorded.budget.name, recorded.provenance.seed or 0, recorded.stages
    if recorded.origin == "given":
        stated = recorded.mechanism
        found = examine(
            model, task, stated, budget, seed, progress=progress, stages=stages, also=also
        )
    else:
        found = investigate(model, task, budget, seed, progress=progress, stages=stages, also=also)
    tried = recorded.transfer
    if tried is None:
        return found
    return with_transfer(found, model, task, tried.origin, tried.same_components, tried.pairs)


def _read(path: str | Path, check: bool) -> tuple[Finding, bool]:
    """The finding, and whether it is as it was written; one that is not is refused, or told of."""
    try:
        return Finding.load(path), True
    except CheckFailed as error:
        if check:
            raise CheckFailed(error.what, mend=error.mend, where=str(path)) from error
        return Finding.load(path, verify=False), False


def _recorded_model(recorded: Finding) -> Model:
    """The model that the finding names, in the dtype that it was measured in."""
    name = recorded.provenance.model_id
    try:
        return load(name, dtype=getattr(torch, recorded.provenance.dtype, None))
    except LoadError as error:
        raise LoadError(
            f"the model of this finding, {name}, cannot be loaded: {error.what}",
            mend="put it where it was, or say where it is now: --model FOLDER (in Python model=); "
            "--transfer tries the finding on another model",
        ) from error


def _others(recorded: Finding) -> list[Model]:
    """The other models that were asked the same; their weights are compared with the rest."""
    found = []
    for name in recorded.also:
        try:
            found.append(load(name))
        except LoadError as error:
            raise LoadError(
                f"another model that was asked the same, {name}, cannot be loaded: {error.what}",
                mend="put it where it was, or give the models: in Python rz.replay(…, also=[…])",
            ) from error
    return found


def _same_data(recorded: Finding, task: Task) -> None:
    if task.task_hash != recorded.provenance.task_hash:
        raise StoreError(
            f"the pairs in the file ({task.task_hash[:12]}) are not those that the finding was "
            f"made with ({recorded.provenance.task_hash[:12]})",
            mend="take the file as it was written, or investigate the other pairs",
        )


def _same_weights(recorded: Finding, model: Model) -> None:
    then, now = recorded.provenance, model.provenance()
    for what, one, other in (
        ("weights", then.weight_hash, now.weight_hash),
        ("dtype", then.dtype, now.dtype),
        ("tokenizer", then.tokenizer_hash, now.tokenizer_hash),
    ):
        if one != other:
            raise LoadError(
                f"{model.name} is another model than the finding was made with: {what} "
                f"{other[:12] or 'none'}, not {one[:12] or 'none'}",
                mend="give the model that it was made with; to try the finding on another one: "
                "--transfer MODEL (in Python rz.transfer)",
            )


class _Comparison:
    """Walks through two pieces of plain data side by side."""

    def __init__(self, relative: float, absolute: float) -> None:
        self.relative, self.absolute = relative, absolute
        self.numbers, self.worst = 0, 0.0
        self.differences: list[Difference] = []

    def take(self, where: str, recorded: Any, found: Any) -> None:
        pairs = _children(recorded, found)
        if pairs is not None:
            for name, one, other in pairs:
                self.take(f"{where}{name}", one, other)
        elif _number(recorded) and _number(found):
            self.numbers += 1
            share = abs(recorded - found) / (self.absolute + self.relative * abs(recorded))
            self.worst = max(self.worst, share)
            if share > 1:
                self.differences.append(Difference(where, recorded, found))
        elif recorded != found and not _sentence(where):
            self.differences.append(Difference(where, recorded, found))


def _children(one: Any, other: Any) -> Iterator[tuple[str, Any, Any]] | None:
    """Parts of the same name; None where there are none or where they do not line up."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return ((f".{key}", one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return ((f"[{i}]", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True)))
    return None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sentence(where: str) -> bool:
    """Texts of rules, which are compared by :func:`other_words`."""
    return where.startswith("rules[") and where.endswith((".found", ".demands"))


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
