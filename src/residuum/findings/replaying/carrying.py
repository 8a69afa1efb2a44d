"""A task carried to another model: the same pairs, the same sentences, or the same pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import ContrastPair, ResiduumError, TaskError
from residuum.findings.chain.asking import task_of
from residuum.findings.finding import Finding
from residuum.findings.record.budget import Budget
from residuum.runs import Model, Task, load, make_task, task_names

_MEND = "give the task for this model: task=..., or --task with a name or a file of pairs"
_NAMED = re.compile(r"(?P<world>\w+):(?P<name>\w+) n=(?P<n>\d+) seed=(?P<seed>\d+)")


@dataclass(frozen=True)
class Carried:
    """Pairs for the other model.

    Attributes:
        task: the pairs.
        how: how they were made, in words.
    """

    task: Task
    how: str


def carried(finding: Finding, model: Model, budget: Budget, task: Task | str | None) -> Carried:
    """The pairs of a finding for another model.

    The first that applies: what the caller gives; the same pairs, where the tokenizer is the same;
    the task of the same name, for pairs that were drawn by name; the same pairs as text; and, for
    ids that never had words, the same ids, or the same pattern of repeats in this model's tokens.

    Args:
        finding: whose task it is.
        model: the other model.
        budget: how many pairs a task drawn by name has.
        task: what the caller gives, or None.

    Raises:
        TaskError: the pairs cannot be made for this model.
    """
    if task is not None:
        given = task_of(model, task, budget, finding.provenance.seed or 0)
        return Carried(given, f"the task that the caller gave ({given.name})")
    recorded = Task.from_json(finding.task)
    if not recorded.tokenizer_hash:
        return _without_words(recorded, model)
    if recorded.tokenizer_hash == model.adapted.tokens.hash():
        recorded.check_fits(model)
        return Carried(recorded, "the same pairs (the tokenizer is the same)")
    drawn = _NAMED.match(recorded.source)
    if drawn and drawn["name"] in task_names(model):
        return _by_name(drawn, model, budget)
    return _as_text(recorded, finding.provenance.model_id, model)


def _by_name(drawn: re.Match[str], model: Model, budget: Budget) -> Carried:
    try:
        task = make_task(drawn["name"], model, n=2 * budget.n, seed=int(drawn["seed"]))
    except TaskError as error:
        raise _unwritten(drawn["name"], model, error) from error
    world = task.source.split(":")[0]
    others = "" if world == drawn["world"] else f", in sentences of {world}, not {drawn['world']}"
    return Carried(task, f"the task of the same name, drawn with the same seed{others}")


def _unwritten(name: str, model: Model, error: TaskError) -> TaskError:
    """The same error, with the first reason only."""
    first = error.what.split(";")[0]
    return TaskError(
        f"the pairs of {name} cannot be written in the tokens of {model.name}: {first}", mend=_MEND
    )


def _as_text(recorded: Task, origin: str, model: Model) -> Carried:
    """The same pairs, read by the first model's tokenizer and written by this one's."""
    if model.tokenizer is None:
        raise TaskError(
            f"the pairs of {recorded.name} are text, and {model.name} has no tokenizer", mend=_MEND
        )
    try:
        reader = load(origin, check=False)
    except ResiduumError as error:
        raise TaskError(
            f"the pairs can only be read with the tokenizer of {origin}: {error.what}", mend=_MEND
        ) from error
    if reader.tokenizer is None or reader.adapted.tokens.hash() != recorded.tokenizer_hash:
        raise TaskError(f"{origin} no longer has the tokenizer of these pairs", mend=_MEND)
    pairs = [_pair(recorded, row, reader) for row in range(len(recorded))]
    try:
        task = Task.from_pairs(
            pairs, model, name=recorded.name, metric=recorded.metric, skip_misfits=True
        )
    except TaskError as error:
        raise _unwritten(recorded.name, model, error) from error
    kept = f"{len(task)} of {len(recorded)} that its tokenizer can write"
    return Carried(replace(task, source=recorded.source), f"the same pairs as text, {kept}")


def _pair(task: Task, row: int, reader: Model) -> ContrastPair:
    """One pair as text, without a BOS that the tokenizer put in front."""
    front = int(reader.prepends_bos)

    def prompt(ids: Tensor) -> str:
        return reader.to_string(ids[row, front : int(task.lengths[row])])

    def words(ids: Tensor) -> tuple[str, ...]:
        return tuple(reader.to_string([i]) for i in ids[row].tolist() if i >= 0)

    return ContrastPair(
        prompt(task.clean), prompt(task.corrupt), words(task.answers), words(task.wrong),
        template=task.templates[row],
    )  # fmt: skip


def _without_words(recorded: Task, model: Model) -> Carried:
    """Ids that never had words: as they are, or one to one in this model's tokens."""
    if model.tokenizer is None:
        recorded.check_fits(model)
        return Carried(recorded, "the same pairs, as ids")
    held = torch.cat([each.flatten() for each in _ids(recorded)]).unique()
    held = held[held >= 0].tolist()
    tokens = _ordinary(model)
    if len(held) > len(tokens):
        raise TaskError(
            f"the pairs hold {len(held)} different ids, {model.name} has {len(tokens)} tokens with "
            "a letter to put in their place",
            mend=_MEND,
        )
    drawn = np.random.default_rng(0).permutation(tokens)[: len(held)].tolist()
    task = _renamed(recorded, dict(zip(held, drawn, strict=True)), model)
    front = " and BOS in front" if model.prepends_bos else ""
    return Carried(
        task,
        f"the same pattern of repeats: each of the {len(held)} ids, which have no words, became "
        f"one random token of this model that holds a letter{front}; this carries over which "
        "tokens repeat and nothing else",
    )


def _ids(task: Task) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return task.clean, task.corrupt, task.answers, task.wrong


def _ordinary(model: Model) -> list[int]:
    """Tokens that hold a letter, special and byte tokens left out."""
    special = set(model.tokenizer.all_special_ids)
    names = model.tokenizer.convert_ids_to_tokens(list(range(len(model.tokenizer))))
    return [
        index
        for index, name in enumerate(names)
        if index not in special and name and not name.startswith("<") and _letters(name)
    ]


def _letters(name: str) -> bool:
    return any(letter.isalpha() and letter.isascii() for letter in name)


def _renamed(task: Task, names: dict[int, int], model: Model) -> Task:
    """Every id under its new name, BOS in front where the tokenizer puts it."""
    bos = model.bos_token_id if model.prepends_bos else None
    table = torch.zeros(max(names) + 1, dtype=torch.long)
    for old, new in names.items():
        table[old] = new

    def renamed(ids: Tensor) -> Tensor:
        return torch.where(ids >= 0, table[ids.clamp(min=0)], ids)

    def prompt(ids: Tensor) -> Any:
        found = renamed(ids)
        return found if bos is None else torch.nn.functional.pad(found, (1, 0), value=bos)

    shift = 0 if bos is None else 1
    made = Task.from_pairs(
        clean=prompt(task.clean), corrupt=prompt(task.corrupt), answers=renamed(task.answers),
        wrong=renamed(task.wrong) if bool((task.wrong >= 0).any()) else None,
        lengths=task.lengths + shift, name=task.name, metric=task.metric,
        positions={name: at + shift for name, at in task.positions.items()},
        templates=task.templates, model=model,
    )  # fmt: skip
    return replace(made, source=f"{task.source}, renamed")
