"""Paths between parts, measured both ways, beside those of other heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from residuum.core import SILENT, Address, Progress, ResiduumError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.replacement import share_of
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.path_evidence import PathEvidence, verdict
from residuum.findings.record.rules import ALPHA
from residuum.patching import PathTable, path_patch
from residuum.patching.results.statistics import statistics_of
from residuum.runs import Model

_READS = {"q_in": "q", "k_in": "k", "v_in": "v", "mlp_in": "mlp", "logits": "logits"}
_MLPS = "L*.mlp_out"
_NAN = float("nan")


@dataclass(frozen=True)
class PartPaths:
    """Every possible path between the parts.

    Attributes:
        paths: from the tokens, between the parts, and to the logits.
        controls: addresses of the other heads that were tried.
        through_mlps: whether MLPs in between passed the change on.
        sure: how many are shown, in words.
        floor: smallest joint p that these pairs can give.
    """

    paths: tuple[PathEvidence, ...]
    controls: tuple[str, ...]
    through_mlps: bool
    sure: str
    floor: float


def measure_paths(
    bench: Bench,
    parts: Sequence[str],
    spend: Budget,
    left_out: list[str],
    progress: Progress = SILENT,
) -> PartPaths | None:
    """Measure the paths; None, with the reason, where the model's parts cannot be patched by path.

    Args:
        bench: the measuring half.
        parts: addresses of the parts.
        spend: how many other heads are tried (``random_sets``).
        left_out: told of what cannot be done.
        progress: told of every forward pass.
    """
    try:
        return _Tables(bench, parts, spend, progress).measured()
    except ResiduumError as error:
        left_out.append(f"paths between the parts: {error.what}")
        return None


class _Tables:
    """Path tables of the same ends, one after the other."""

    def __init__(
        self, bench: Bench, parts: Sequence[str], spend: Budget, progress: Progress
    ) -> None:
        self.bench, self.progress = bench, progress
        self.senders = ["embed", *parts]
        self.read = [each for at in parts for each in inputs(bench.model, at)]
        self.read.append(("logits", "logits", "logits"))
        self.controls = other_heads(bench.model, parts, spend.random_sets, bench.seed)
        has_mlps = any(address.name == "mlp_out" for address in bench.model.sites)
        self.via: tuple[str, ...] = (_MLPS,) if has_mlps else ()

    def measured(self) -> PartPaths:
        """All paths; those that say something also with MLPs held and from other heads."""
        ends = list(dict.fromkeys(address for address, _, _ in self.read))
        gain = self.table("denoise", self.senders, ends, self.via)
        loss = self.table("noise", self.senders, ends, self.via)
        both = (gain.per_example.values - loss.per_example.values) / 2
        sure = statistics_of(
            xr.DataArray(both, dims=("sender", "receiver", "example")),
            self.bench.clusters or (),
            noise=max(gain.noise, loss.noise),
        )
        found: list[tuple[str, PathEvidence]] = []
        for address, part, reads in self.read:
            j = ends.index(address)
            for i in np.flatnonzero(np.isfinite(gain.effects.values[:, j])).tolist():
                values = (gain.per_example.values[i, j], -loss.per_example.values[i, j])
                path = self.path(self.senders[i], part, reads, values, float(sure.p.values[i, j]))
                found.append((address, path))
        return PartPaths(
            paths=self.beside(found),
            controls=self.controls,
            through_mlps=bool(self.via),
            sure=str(sure).replace("cells", "paths"),
            floor=sure.floor,
        )

    def table(
        self, direction: Any, senders: Sequence[str], ends: Sequence[str], via: tuple[str, ...]
    ) -> PathTable:
        """One table."""
        model, task = self.bench.model, self.bench.task
        return path_patch(
            model, task, list(senders), list(ends), via=via, direction=direction,
            progress=self.progress,
        )  # fmt: skip

    def path(
        self, sender: str, receiver: str, reads: str, values: tuple[np.ndarray, ...], p: float
    ) -> PathEvidence:
        """A path by itself."""
        restores, loses = (share_of(self.bench, each) for each in values)
        unknown = Estimate(_NAN, _NAN, _NAN, len(values[0]))
        said = verdict(restores, loses, p, ALPHA)
        return PathEvidence(
            sender, receiver, reads, restores, loses, unknown, p, _NAN, _NAN, 0, said
        )

    def beside(self, found: list[tuple[str, PathEvidence]]) -> tuple[PathEvidence, ...]:
        """The same paths; where something flows, with MLPs held and other heads tried."""
        live = [(address, path) for address, path in found if path.feeds != "not shown"]
        ends = list(dict.fromkeys([*(address for address, _ in live), "logits"]))
        held = self.table("denoise", self.senders, ends, ())
        reached = [address for address, path in live if path.sender != "embed"]
        tried = self.tried(list(dict.fromkeys([*reached, "logits"])))
        done = []
        for address, path in found:
            if address in ends:
                at = self.senders.index(path.sender), ends.index(address)
                path = replace(path, direct=share_of(self.bench, held.per_example.values[at]))
            if address in tried:
                restored, lost = tried[address]
                path = replace(
                    path, control=max(restored), control_loses=max(lost), controls=len(restored)
                )
            done.append(path)
        return tuple(done)

    def tried(self, ends: list[str]) -> dict[str, tuple[list[float], list[float]]]:
        """What other heads restore and cost by each of these inputs, as shares."""
        if not self.controls:
            return {}
        gain = self.table("denoise", self.controls, ends, self.via).effects.values
        loss = self.table("noise", self.controls, ends, self.via).effects.values
        distance = self.bench.distance
        found = {}
        for j, end in enumerate(ends):
            before = np.isfinite(gain[:, j])
            if before.any():
                found[end] = (
                    (gain[before, j] / distance).tolist(),
                    (-loss[before, j] / distance).tolist(),
                )
        return found


def inputs(model: Model, at: str) -> list[tuple[str, str, str]]:
    """A part's inputs: address, the part, and what is read there.

    In a grouped model keys and values are those of the head's group.

    >>> import residuum as rz
    >>> [address for address, _, _ in inputs(rz.load("microworld", check=False), "L1.z[H2]")]
    ['L1.q_in[H2]', 'L1.k_in[H2]', 'L1.v_in[H2]']
    """
    address = Address.parse(at)
    layer = int(address.layer)  # type: ignore[arg-type]
    if address.name == "mlp_out":
        return [(f"L{layer}.mlp_in", at, "mlp")]
    head = int(address.part)  # type: ignore[arg-type]
    kept = model.adapted.parts.layers[layer].projections
    group = kept.n_heads // kept.n_kv_heads
    return [
        (f"L{layer}.{site}[H{head if site == 'q_in' else head // group}]", at, _READS[site])
        for site in ("q_in", "k_in", "v_in")
    ]


def other_heads(model: Model, parts: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    """Heads that are not among the parts and lie before the last of them, drawn at random.

    As far as there are such, layers in which a part lies come first, so that the controls lie where
    the parts do.
    """
    layers = [int(Address.parse(at).layer) for at in parts]  # type: ignore[arg-type]
    found = [
        (layer not in layers, f"L{layer}.z[H{head}]")
        for layer in range(max(layers))
        for head in range(model.adapted.parts.layers[layer].projections.n_heads)
        if f"L{layer}.z[H{head}]" not in parts
    ]
    order = np.random.default_rng(seed).permutation(len(found))
    drawn = sorted((found[i] for i in order), key=lambda each: each[0])
    return tuple(at for _, at in drawn[:most])
