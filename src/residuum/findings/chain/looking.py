"""What heads look at, on a task's own prompts: the places that a reader of patterns points to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import Address
from residuum.findings.chain.bench import Bench
from residuum.findings.record.controls_evidence import Place
from residuum.findings.record.evidence import Estimate

STRIKING = 0.4
"""Share of its attention that a head gives to a place at least, to be called striking."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where attention is looked for: from which tokens to which.

    Attributes:
        name: in words.
        keys: ``[example q_pos k_pos]``.
        queries: ``[example q_pos]``, of which the mean is taken.
    """

    name: Place
    keys: Tensor
    queries: Tensor


@dataclass(frozen=True)
class Look:
    """One head's attention to one place."""

    at: str
    place: Place
    attention: Estimate


def looks(bench: Bench) -> list[Look]:
    """Every head that gives much of its attention to a place, strongest first.

    A head stands there once, with the place that it looks at most. The first token counts as no
    place: heads with nothing to do rest there.
    """
    layers = range(bench.model.n_layers)
    wanted = [f"L{layer}.pattern" for layer in layers]
    run = bench.run("clean", capture=wanted)
    places = [*_places(bench)]
    found: dict[str, Look] = {}
    for layer in layers:
        pattern = run["pattern", layer].double().cpu()
        for place in places:
            shares = _shares(pattern, place)
            for head, each in enumerate(shares.T):
                _keep(bench, found, str(Address("z", layer, head)), place.name, each)
    return sorted(found.values(), key=lambda look: -look.attention.value)


def _keep(bench: Bench, found: dict[str, Look], at: str, place: Place, shares: Tensor) -> None:
    """Remember a head's look if it is striking, interval and all, and its strongest so far."""
    if float(shares.mean()) < STRIKING:
        return
    before = found.get(at)
    if before is not None and before.attention.value >= float(shares.mean()):
        return
    attention = Estimate.of_mean(shares.tolist(), clusters=bench.clusters)
    if attention.low >= STRIKING:
        found[at] = Look(at, place, attention)


def _shares(pattern: Tensor, place: Places) -> Tensor:
    """Mean attention to a place over its queries, ``[example head]``."""
    seen = torch.einsum("bhqk,bqk->bhq", pattern, place.keys.double())
    weights = place.queries.double()[:, None]
    return (seen * weights).sum(-1) / weights.sum(-1)


def _places(bench: Bench) -> Iterator[Places]:
    """The places that these prompts have: each in every prompt, reached by some token."""
    for place in (*_from_last(bench), *_from_all(bench)):
        if bool(place.queries.any(dim=1).all()):
            yield place


def _from_last(bench: Bench) -> Iterator[Places]:
    """From the last token: to where the answer stands, and to where the prompts differ."""
    task = bench.task
    width = task.clean.shape[1]
    last = torch.arange(width)[None] == task.last[:, None]
    answer = (
        (task.clean[:, :, None] == task.answers[:, None, :]) & (task.answers >= 0)[:, None]
    ).any(-1)
    targets: tuple[tuple[Place, Tensor], ...] = (
        ("the answer", answer),
        ("what differs", task.clean != task.corrupt),
    )
    for name, keys in targets:
        keys = keys & _inside(bench) & ~last
        keys[:, 0] = False
        reached = last & keys.any(dim=1, keepdim=True)
        yield Places(name, keys[:, None, :].expand(-1, width, -1), reached)


def _from_all(bench: Bench) -> Iterator[Places]:
    """From every token: to the one before it, the same one earlier, and what followed that."""
    ids, inside = bench.task.clean, _inside(bench)
    width = ids.shape[1]
    before = torch.diag(torch.ones(width - 1, dtype=torch.bool), -1)[None].expand(len(ids), -1, -1)
    same = (ids[:, :, None] == ids[:, None, :]).tril(-1)
    after = torch.zeros_like(same)
    after[:, :, 1:] = same[:, :, :-1]
    after &= torch.ones(width, width, dtype=torch.bool).tril(-1)
    targets: tuple[tuple[Place, Tensor], ...] = (
        ("the token before", before),
        ("the same token", same),
        ("what followed", after),
    )
    for name, keys in targets:
        keys = keys.clone()
        keys[:, :, 0] = False
        yield Places(name, keys, keys.any(dim=2) & inside)


def _inside(bench: Bench) -> Tensor:
    """Real tokens, ``[example pos]``."""
    return torch.arange(bench.task.clean.shape[1])[None] < bench.task.lengths[:, None]
