"""Testing a graph's edges: features are changed in the real model, nothing is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from residuum.circuits.attribution.coders import Hangings, hang, need_same
from residuum.circuits.attribution.edge_test import EdgeTest
from residuum.circuits.attribution.nodes import GraphNode
from residuum.circuits.attribution.tables import Drawn
from residuum.circuits.attribution.targets import Terms, readings
from residuum.core import Add, Address, LoadError, OptionError
from residuum.runs import Model, Run, need_model, shown, whole_number


class Traced(Drawn, Protocol):
    """What a test reads of a graph."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Of the prompt."""
        ...

    @property
    def terms(self) -> tuple[Terms, ...]:
        """Of each logit, its tokens with their weights."""
        ...

    @property
    def weights(self) -> Float[np.ndarray, "node node"]:
        """Direct effects."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of the transcoders."""
        ...


def test_edges(
    graph: Traced,
    model: Model,
    transcoders: Any,
    *,
    n: int,
    times: float,
    n_random: int,
    seed: int,
    batch_size: int,
) -> EdgeTest:
    """See :meth:`AttributionGraph.test`."""
    need_model(model, "graph.test")
    for name, value, least in (("n", n, 1), ("n_random", n_random, 0), ("seed", seed, 0),
                               ("batch_size", batch_size, 1)):  # fmt: skip
        whole_number(value, name, least)
    if isinstance(times, bool) or not isinstance(times, (int, float)) or not np.isfinite(times):
        raise OptionError(f"times={shown(times)} is no factor", mend="0 ablates, 2 doubles")
    if times == 1:
        raise OptionError("times=1 changes nothing", mend="0 ablates, 2 doubles")
    if model.adapted.weight_hash != graph.provenance.weight_hash:
        raise LoadError(
            f"the graph is of other weights than those of {model.name}",
            mend="give the model that the graph was made with",
        )
    dtype = torch.promote_types(model.dtype, torch.float32)
    hangings = hang(model, transcoders, dtype)
    need_same(hangings, graph.fingerprint)
    changed = _strongest(graph, n)
    _need_others(hangings, n_random)
    trials = _Trials(model, hangings, graph, changed, float(times) - 1.0, batch_size, dtype)
    direct, total = trials.predicted()
    measured = trials.measured(trials.pushes())
    return EdgeTest(
        sources=tuple(graph.all_nodes[i].name for i in changed),
        targets=tuple(graph.all_nodes[i].name for i in trials.targets),
        logits=np.array([graph.all_nodes[i].kind == "logit" for i in trials.targets]),
        reached=trials.reached(),
        direct=direct,
        predicted=total,
        measured=measured,
        null=trials.null(n_random, np.random.default_rng(seed)),
        times=float(times),
        seed=seed,
        provenance=model.provenance(strategy=f"graph.test(n={n}, times={times:g})", seed=seed),
    )


test_edges.__test__ = False  # pyright: ignore[reportFunctionMemberAccess] - pytest takes it for one


def _strongest(graph: Traced, n: int) -> np.ndarray:
    """Numbers of the kept features with the most influence."""
    own = [i for i in np.flatnonzero(graph.kept).tolist() if graph.all_nodes[i].kind == "feature"]
    if not own:
        raise OptionError(
            "pruning kept no feature, so there is nothing to change",
            mend="make the graph with a larger node_threshold",
        )
    return np.array(sorted(own, key=lambda i: -graph.influence[i])[:n])


def _need_others(hangings: Hangings, n_random: int) -> None:
    """Refuse a null where a transcoder has no other latent to push.

    Raises:
        OptionError: it has one latent alone.
    """
    for layer, hung in hangings.by_layer.items():
        if n_random and hung.coder.n_latents < 2:
            raise OptionError(
                f"the transcoder of layer {layer} has one latent, so none can take its place",
                mend="give n_random=0 for no null",
            )


@dataclass(eq=False)
class _Trials:
    """Changes of single features, predicted and measured.

    Attributes:
        changed: numbers of the features that are changed.
        step: change of an activation, as a multiple of it.
        targets: numbers of the nodes that are looked at: kept features, all logits.
    """

    model: Model
    hangings: Hangings
    graph: Traced
    changed: np.ndarray
    step: float
    batch_size: int
    dtype: torch.dtype
    targets: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        nodes = self.graph.all_nodes
        self.targets = np.array(
            [
                i
                for i in np.flatnonzero(self.graph.kept).tolist()
                if nodes[i].kind in ("feature", "logit")
            ]
        )

    def node(self, i: int) -> GraphNode:
        """A node by its number."""
        return self.graph.all_nodes[i]

    def predicted(self) -> tuple[np.ndarray, np.ndarray]:
        """Changes of each target by the edge alone, and by all paths, ``[source target]``.

        Along a path, an active feature's activation moves as its pre-activation does.
        """
        nodes, weights = self.graph.all_nodes, self.graph.weights
        active = np.array([i for i, each in enumerate(nodes) if each.kind == "feature"])
        values = np.array([nodes[i].value for i in active])
        slopes = weights[:, active] / values
        place = {int(i): at for at, i in enumerate(active)}
        start = np.zeros((len(active), len(self.changed)))
        for column, i in enumerate(self.changed):
            start[place[int(i)], column] = self.step * nodes[i].value
        moved, step = start.copy(), slopes[active] @ start
        while step.any():  # each step is one edge further, and layers only rise
            moved, step = moved + step, slopes[active] @ step
        return (slopes @ start)[self.targets].T, (slopes @ moved)[self.targets].T

    def reached(self) -> Bool[np.ndarray, "source target"]:
        """Whether a target is a later layer's, at the same token or after it, or a logit."""
        found = np.zeros((len(self.changed), len(self.targets)), bool)
        for row, i in enumerate(self.changed):
            source = self.node(i)
            assert source.layer is not None
            for column, j in enumerate(self.targets):
                target = self.node(j)
                later = target.layer is None or target.layer > source.layer
                found[row, column] = later and target.pos >= source.pos
        return found

    def pushes(self, random: np.random.Generator | None = None) -> list[dict[int, Tensor]]:
        """For each source, what is added to each layer's MLP output at its token.

        Args:
            random: take another latent's directions, as long as the feature's own.
        """
        found = []
        for i in self.changed:
            node = self.node(i)
            assert node.layer is not None and node.index is not None
            hung = self.hangings.by_layer[node.layer]
            latent = node.index
            if random is not None:
                latent = int(random.integers(hung.coder.n_latents - 1))
                latent += latent >= node.index
            own = {}
            for column, layer in enumerate(hung.written):
                size = hung.decoders(torch.tensor([node.index]), column)[0] * node.value * self.step
                other = hung.decoders(torch.tensor([latent]), column)[0]
                length = other.norm().clamp_min(torch.finfo(other.dtype).tiny)
                own[layer] = size if random is None else other / length * size.norm()
            found.append(own)
        return found

    def null(
        self, draws: int, random: np.random.Generator
    ) -> Float[np.ndarray, "draw source target"]:
        """Changes of each target where random latents are pushed; several draws in one pass."""
        shape, n = (-1, len(self.changed), len(self.targets)), len(self.changed)
        at_once, found = max(1, self.batch_size // n), [np.zeros((0, *shape[1:]))]
        for first in range(0, draws, at_once):
            some = range(first, min(first + at_once, draws))
            pushes = [each for _ in some for each in self.pushes(random)]
            found.append(self.measured(pushes).reshape(shape))
        return np.concatenate(found)

    def measured(self, pushes: Sequence[dict[int, Tensor]]) -> Float[np.ndarray, "push target"]:
        """Changes of each target in the model, one push at a time; of the sources in turn."""
        found, changed = [], np.resize(self.changed, len(pushes))
        for first in range(0, len(pushes), self.batch_size):
            some = pushes[first : first + self.batch_size]
            sources = changed[first : first + self.batch_size]
            values = self._values(self._run(some, sources))
            found.append(values[:-1] - values[-1])
        return np.concatenate(found)

    def _run(self, pushes: Sequence[dict[int, Tensor]], sources: np.ndarray) -> Run:
        """One pass over a row for each source, and one without a push."""
        ids = torch.tensor([self.graph.ids] * (len(pushes) + 1))
        layers = sorted({layer for each in pushes for layer in each})
        width, edits = self.model.dims.d_model, []
        for layer in layers:
            added = torch.zeros(*ids.shape, width, dtype=self.dtype)
            for row, (own, i) in enumerate(zip(pushes, sources, strict=True)):
                if layer in own:
                    added[row, self.node(i).pos] = own[layer].cpu()
            edits.append(Add(Address("mlp_out", layer), added))
        reads = [each.coder.reads[0] for each in self.hangings.by_layer.values()]
        capture = [
            *reads,
            "ln_final" if self._has_norm else f"L{self.model.n_layers - 1}.resid_post",
        ]
        return self.model.run(ids, edits=edits, capture=capture, logits=False)

    @property
    def _has_norm(self) -> bool:
        return self.model.adapted.parts.final_norm is not None

    def _values(self, run: Run) -> Float[np.ndarray, "row target"]:
        """Pre-activations and centred logits of every target."""
        found = np.zeros((run.ids.shape[0], len(self.targets)))
        nodes = [self.node(i) for i in self.targets]
        for layer, hung in self.hangings.by_layer.items():
            own = [k for k, each in enumerate(nodes) if each.kind == "feature"
                   and each.layer == layer]  # fmt: skip
            if own:
                read = run[hung.coder.reads[0]].to(self.dtype)
                pre = hung.pre(read).double().cpu().numpy()
                pos, latent = ([getattr(nodes[k], name) for k in own] for name in ("pos", "index"))
                found[:, own] = pre[:, pos, latent]
        own = [k for k, each in enumerate(nodes) if each.kind == "logit"]
        last = run["ln_final"] if self._has_norm else run["resid_post", self.model.n_layers - 1]
        found[:, own] = self._logits(last[:, -1].to(self.dtype))
        return found

    def _logits(self, normed: Tensor) -> Float[np.ndarray, "row target"]:
        rows, constants = readings(self.model, self.graph.terms, self.dtype)
        return (normed @ rows.T + constants).double().cpu().numpy()
