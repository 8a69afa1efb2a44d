"""Path patching by whole passes: the oracle, and the way out where paths cannot be forked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residuum.core import Address, Edit, Freeze, Patch
from residuum.models import Batch
from residuum.patching.paths.nodes import PathGrid, Receiver, exchanged_at
from residuum.patching.paths.work import PathWork
from residuum.runs import Done, Model, Run
from residuum.runs.sweeping.reader import AnswerReader


def naive_passes(grid: PathGrid) -> float:
    """Whole passes that the naive engine makes for a table."""
    inner = sum(not grid.receivers[j].is_logits for _, j in grid.cells())
    return 2.0 + 2 * len({i for i, _ in grid.cells()}) + inner


def donor_run(model: Model, grid: PathGrid, source: Batch) -> Run:
    """The run whose values are sent."""
    sites = {exchanged_at(sender).base for sender in grid.senders}
    return model.run(source, capture=sorted(sites, key=str))


@dataclass
class NaivePaths:
    """Fills a table by whole passes: one with the sender exchanged and all else held, one a path.

    Every component between sender and receiver is frozen but those of ``grid.via``; what then
    reaches the receiver is written into a second run, where everything after it is live.
    """

    model: Model
    work: PathWork
    reader: AnswerReader = field(init=False)
    held: list[Edit] = field(init=False)
    _begun: tuple[int, Run, Batch] | None = None

    def __post_init__(self) -> None:
        self.reader = AnswerReader(self.model, self.work.task, self.work.measure)
        self.held = _held(self.model, self.work.grid)

    def block(self, index: int) -> Done:
        """One block: the metric at the end of each path, ``[sender receiver row]``."""
        block = self.work.blocks[index]
        rows, passes = range(block.first_row, block.end_row), 0.0
        share = len(rows) / len(self.work.task)
        if self._begun is None or self._begun[0] != block.first_row:
            source, target = self.work.prompts(block)
            donor = donor_run(self.model, self.work.grid, source)
            self._begun, passes = (block.first_row, donor, target), 1.0
        _, donor, target = self._begun
        if not block.senders:
            ends = (self.model.run(target).last, donor.last)
            values = np.stack([self.reader.of_logits(each, rows) for each in ends])
            return Done(values, share * (passes + 1))
        part = self.work.part(block)
        values = np.full((*part.shape, len(rows)), np.nan)
        for i, sender in enumerate(part.senders):
            mine = [j for at, j in part.cells() if at == i]
            arrived = _arrived(self.model, part, sender, donor, target, self.held, mine)
            for j in mine:
                run = _received(self.model, part.receivers[j], arrived)
                values[i, j] = self.reader.of_logits(run.last, rows)
        return Done(values, share * (passes + naive_passes(part) - 2))


def _held(model: Model, grid: PathGrid) -> list[Edit]:
    """A freeze of every head and MLP but those that may pass the change on."""
    edits: list[Edit] = []
    heads = range(model.n_heads)
    for site in model.sites:
        if site.name == "mlp_out" and site not in grid.via:
            edits.append(Freeze(site))
        elif site.name == "z":
            free = {a.part for a in grid.via if a.base == site}
            each = [Address("z", site.layer, head) for head in heads if head not in free]
            edits += [Freeze(address) for address in each] if free else [Freeze(site)]
    return edits


def _arrived(
    model: Model,
    grid: PathGrid,
    sender: Address,
    donor: Run,
    target: Batch,
    held: list[Edit],
    receivers: list[int],
) -> Run:
    """The receiving run with the sender exchanged and the rest held: what reaches each receiver."""
    members = [a for j in receivers for a in grid.receivers[j].members if a.name != "logits"]
    capture = list(dict.fromkeys(a.base for a in members))
    return model.run(target, edits=[*held, Patch(exchanged_at(sender), donor)], capture=capture)


def _received(model: Model, receiver: Receiver, arrived: Run) -> Run:
    """The receiving run in which the receiver alone reads what arrived."""
    if receiver.is_logits:
        return arrived
    return model.run(arrived.batch, edits=[Patch(each, arrived) for each in receiver.members])
