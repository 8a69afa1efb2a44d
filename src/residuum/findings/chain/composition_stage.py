"""How the named parts work together: what each is, and which feeds which, through q, k or v."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from residuum.core import SILENT, Address, Progress, ResiduumError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.composition_readings import TokenWeights, composed, head_readings
from residuum.findings.chain.parts_stage import share
from residuum.findings.record.budget import Budget
from residuum.findings.record.composition_evidence import (
    CompositionEvidence,
    PathEvidence,
    verdict,
)
from residuum.findings.record.rules import ALPHA
from residuum.patching import PathTable, path_patch
from residuum.patching.results.statistics import SweepStatistics, statistics_of
from residuum.runs import Model

_READS = {"q_in": "q", "k_in": "k", "v_in": "v", "mlp_in": "mlp", "logits": "logits"}
_MLPS = "L*.mlp_out"


def composition(
    bench: Bench,
    named: Sequence[str],
    spend: Budget,
    progress: Progress = SILENT,
    *,
    writers: Sequence[str] = (),
) -> CompositionEvidence:
    """What the named parts are, and which of them feeds which.

    Path patching from the tokens, every named part and every writer to the inputs of each later
    one and to the logits, both ways (clean into corrupt and back) with MLPs between the ends
    passing the change on, and once with them held; the same from other heads, drawn at random, into
    the same inputs. Kinds of heads by attention on random repeats and on the task; copying and
    matching, and composition scores, from the weights.

    Args:
        bench: the measuring half.
        named: addresses of the parts that the claim names, ``L2.z[H3]`` or ``L2.mlp_out``.
        spend: how many other heads are tried (``random_sets``), and prompts for the kinds (``n``).
        progress: told of every forward pass.
        writers: further heads, which write the answer.

    Cost: three tables of (1 + parts + ``random_sets``) senders by (3 parts + 1) inputs over the
    measuring half, each cell recomputing only what lies behind its input.

    Shows: which named part reads what another writes, and that the answer follows. Does not show:
    feeding through heads that are not named, or what both prompts share.
    """
    parts = _in_order((*named, *(at for at in writers if at not in named)))
    left_out: list[str] = []
    heads = [at for at in parts if ".z[" in at]
    weights = TokenWeights.of(bench, left_out)
    readings = head_readings(bench, heads, named, weights, spend, left_out, progress)
    measured = _measured(bench, parts, spend, left_out, progress)
    return CompositionEvidence(
        heads=readings,
        paths=() if measured is None else measured.paths(),
        scores=composed(bench, heads, weights, spend, left_out),
        through_mlps=measured is not None and measured.through_mlps,
        controls=() if measured is None else measured.controls,
        sure="" if measured is None else str(measured.sure).replace("cells", "paths"),
        floor=float("nan") if measured is None else measured.sure.floor,
        left_out=tuple(left_out),
    )


def _in_order(parts: Sequence[str]) -> tuple[str, ...]:
    """By place in the forward pass: layer, heads before the MLP, number."""

    def place(at: str) -> tuple[int, bool, int]:
        address = Address.parse(at)
        head = address.part if isinstance(address.part, int) else 0
        return int(address.layer), address.name == "mlp_out", head  # type: ignore[arg-type]

    return tuple(sorted(dict.fromkeys(parts), key=place))


@dataclass(frozen=True, eq=False)
class _Measured:
    """Tables of the same senders and receivers: both ways, and with MLPs held.

    ``receivers``: column, part and what it reads; heads of a group share the columns of keys and
    values.
    """

    bench: Bench
    controls: tuple[str, ...]
    receivers: tuple[tuple[int, str, str], ...]
    denoise: PathTable
    noise: PathTable
    held: PathTable
    through_mlps: bool
    sure: SweepStatistics

    def paths(self) -> tuple[PathEvidence, ...]:
        """Every possible path between the named ends."""
        senders = _senders(self.denoise)
        possible = np.isfinite(self.denoise.effects.values)
        rows = [i for i, name in enumerate(senders) if name not in self.controls]
        return tuple(
            self._path(senders, i, j, part, reads)
            for i in rows
            for j, part, reads in self.receivers
            if possible[i, j]
        )

    def _path(self, senders: list[str], i: int, j: int, receiver: str, reads: str) -> PathEvidence:
        restores = share(self.bench, self.denoise.per_example.values[i, j])
        loses = share(self.bench, -self.noise.per_example.values[i, j])
        p = float(self.sure.p.values[i, j])
        others = [k for k, name in enumerate(senders) if name in self.controls]
        tried = [k for k in others if np.isfinite(self.denoise.effects.values[k, j])]
        distance = self.bench.distance
        return PathEvidence(
            sender=senders[i],
            receiver=receiver,
            reads=reads,
            restores=restores,
            loses=loses,
            direct=share(self.bench, self.held.per_example.values[i, j]),
            p=p,
            control=_largest(self.denoise.effects.values[tried, j] / distance),
            control_loses=_largest(-self.noise.effects.values[tried, j] / distance),
            controls=len(tried),
            feeds=verdict(restores, loses, p, ALPHA),
        )


def _largest(values: np.ndarray) -> float:
    return float(values.max()) if len(values) else float("nan")


def _measured(
    bench: Bench, parts: tuple[str, ...], spend: Budget, left_out: list[str], progress: Progress
) -> _Measured | None:
    """The tables; None where the model's parts cannot be patched by path."""
    model = bench.model
    controls = other_heads(model, parts, spend.random_sets, bench.seed)
    read = [each for at in parts for each in inputs(model, at)]
    senders = ["embed", *parts, *controls]
    ends = [*dict.fromkeys(address for address, _, _ in read), "logits"]

    def table(direction: Any, via: tuple[str, ...], who: Sequence[str] = senders) -> PathTable:
        return path_patch(
            model, bench.task, list(who), ends, via=via, direction=direction, progress=progress
        )

    via = (_MLPS,) if any(address.name == "mlp_out" for address in model.sites) else ()
    try:
        denoise, noise = table("denoise", via), table("noise", via)
        held = table("denoise", (), senders[: 1 + len(parts)]) if via else denoise
    except ResiduumError as error:
        left_out.append(f"paths between the parts: {error.what}")
        return None
    both = (denoise.per_example.values - noise.per_example.values)[: 1 + len(parts)] / 2
    sure = statistics_of(
        xr.DataArray(both, dims=("sender", "receiver", "example")),
        bench.clusters or (),
        noise=max(denoise.noise, noise.noise),
    )
    read.append(("logits", "logits", "logits"))
    at = tuple((ends.index(address), part, reads) for address, part, reads in read)
    return _Measured(bench, controls, at, denoise, noise, held, bool(via), sure)


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


def _senders(table: PathTable) -> list[str]:
    names = [str(name) for name in table.effects.coords["sender"].values]
    return [name.replace(".head_out[", ".z[") for name in names]
