"""Path patching by whole passes: the oracle, and the way out where paths cannot be forked."""

from __future__ import annotations

import numpy as np

from residuum.core import Address, Edit, Freeze, Patch, Progress
from residuum.models import Batch
from residuum.patching.engine.outcome import Outcome
from residuum.patching.engine.reader import AnswerReader
from residuum.patching.paths.nodes import PathGrid, Receiver, exchanged_at
from residuum.runs import Model, Run


def naive_passes(grid: PathGrid) -> float:
    """Whole passes that the naive engine makes for a table."""
    inner = sum(not grid.receivers[j].is_logits for _, j in grid.cells())
    return 2.0 + 2 * len({i for i, _ in grid.cells()}) + inner


def donor_run(model: Model, grid: PathGrid, source: Batch) -> Run:
    """The run whose values are sent."""
    sites = {exchanged_at(sender).base for sender in grid.senders}
    return model.run(source, capture=sorted(sites, key=str))


def naive(
    model: Model,
    grid: PathGrid,
    source: Batch,
    target: Batch,
    reader: AnswerReader,
    progress: Progress,
) -> Outcome:
    """The table by whole passes: one with the sender exchanged and all else held, one a receiver.

    Every component between sender and receiver is frozen but those of ``grid.via``; what then
    reaches the receiver is written into a second run, where everything after it is live.
    """
    donor = donor_run(model, grid, source)
    base = reader.of_logits(model.run(target).last)
    values = np.full((*grid.shape, len(target.ids)), np.nan)
    cells = grid.cells()
    held = _held(model, grid)
    progress.start("path patching", len(cells))
    try:
        for i, sender in enumerate(grid.senders):
            mine = [j for at, j in cells if at == i]
            if not mine:
                continue
            arrived = _arrived(model, grid, sender, donor, target, held, mine)
            for j in mine:
                values[i, j] = reader.of_logits(_received(model, grid.receivers[j], arrived).last)
                progress.advance()
    finally:
        progress.finish()
    given = reader.of_logits(donor.last)
    return Outcome(values, base, given, naive_passes(grid), "naive")


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
