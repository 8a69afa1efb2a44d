"""Random sets of components beside chosen ones: as many of each kind, of the same layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb, prod

import numpy as np

from residuum.core import Address

Strata = list[tuple[list[Address], int]]
"""What may be drawn, and how many of it."""


def random_sets(
    everyone: Sequence[Address], chosen: Sequence[Address], count: int, seed: int
) -> tuple[list[list[Address]], bool]:
    """Different random sets of components, none of them chosen, and whether layers are matched.

    As many of each site in each layer as were chosen there; where that leaves fewer than ``count``
    sets, sites are drawn from any layer, those with the fewest sets first. Fewer than ``count``
    where fewer are possible.
    """
    others = [at for at in everyone if at not in set(chosen)]
    if len(others) < len(chosen) or count == 0:
        return [], True
    sites = sorted({at.name for at in chosen})
    strata = {name: _strata(others, chosen, name, by_layer=True) for name in sites}
    loose = sorted(sites, key=lambda name: _possible(strata[name]))
    matched = True
    while loose and prod(map(_possible, strata.values())) < count:
        name, matched = loose.pop(0), False
        strata[name] = _strata(others, chosen, name, by_layer=False)
    return _distinct([each for one in strata.values() for each in one], count, seed), matched


def _strata(
    others: Sequence[Address], chosen: Sequence[Address], name: str, *, by_layer: bool
) -> Strata:
    """What may be drawn of one site and how many of it: one stratum for each layer, or one."""
    here = [at for at in others if at.name == name]
    wanted = Counter(at.layer for at in chosen if at.name == name)
    if not by_layer:
        return [(here, wanted.total())]
    return [([at for at in here if at.layer == layer], n) for layer, n in wanted.items()]


def _possible(strata: Strata) -> int:
    return prod(comb(len(here), n) for here, n in strata)


def _distinct(strata: Strata, count: int, seed: int) -> list[list[Address]]:
    """Different sets, each with so many from each stratum."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[Address, ...], None] = {}
    while len(found) < min(count, _possible(strata)):
        drawn: list[Address] = []
        for here, n in strata:
            drawn += [here[int(i)] for i in rng.choice(len(here), size=n, replace=False)]
        found[tuple(sorted(drawn, key=str))] = None
    return [list(each) for each in found]
