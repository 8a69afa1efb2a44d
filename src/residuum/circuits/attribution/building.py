"""Building an attribution graph: one verb."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.attribution.attribution_graph import AttributionGraph
from residuum.circuits.attribution.coders import Hangings, hang
from residuum.circuits.attribution.frozen import FrozenPass, freeze, need_frozen
from residuum.circuits.attribution.graph_memory import Room
from residuum.circuits.attribution.node_list import node_list, warning_list
from residuum.circuits.attribution.rows import (
    constants,
    feature_constants,
    feature_rows,
    logit_rows,
)
from residuum.circuits.attribution.selection import strongest
from residuum.circuits.attribution.sources import Sources, active_features, sources_of
from residuum.circuits.attribution.targets import LogitTargets, logit_targets
from residuum.core import SILENT, CheckFailed, OptionError, Progress, TokenError
from residuum.runs import (
    Model,
    memory_in_bytes,
    need_model,
    outer_bound,
    refuse_unknown,
    shown,
    whole_number,
)

_OPTIONS = (
    "target, target_share, max_targets, skip, max_nodes, node_threshold, edge_threshold, "
    "prepend_bos, max_memory, progress"
)


def attribution_graph(
    model: Model,
    prompt: Any,
    transcoders: Any,
    *,
    target: Any = None,
    target_share: float = 0.95,
    max_targets: int = 10,
    skip: Sequence[str | int] = ("bos",),
    max_nodes: int = 2048,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    prepend_bos: bool | None = None,
    max_memory: int | str | None = "2 GB",
    progress: Progress = SILENT,
    **unknown: Any,
) -> AttributionGraph:
    """Trace one prompt's answer through transcoder features.

    Args:
        model: a causal model whose layer seam is proven.
        prompt: one text, or one row of token ids.
        transcoders: layer -> transcoder (or its name in ``model.dictionaries``), or a cross-layer
            transcoder. Each reads what its layer's MLP reads (``L1.ln2``, or the stream ``mlp_in``)
            and writes ``mlp_out``. A layer left out is a node of error alone, and that is said.
        target: the last token's logits to explain: a word, a token id, several of them, or a
            contrast as one target, ``{"Mary": 1, "John": -1}``. None: the most probable tokens.
        target_share, max_targets: how much probability those reach together, and their number.
        skip: tokens whose MLPs are errors as a whole: ``"bos"``, and positions. Dictionaries are
            trained without the first token unless told otherwise (:func:`harvest`).
        max_nodes: features that become nodes, at most; the others stay part of the errors.
        node_threshold, edge_threshold: shares of influence that pruning keeps.
        prepend_bos: None does what the tokenizer does.
        max_memory: bytes, or text; None: no bound.
        progress: who is told.

    Returns:
        The graph, with everything that was pruned still in it.

    Raises:
        OptionError: transcoders that are none, of another site or layer; a target, number or share
            out of range; no active latent; a family that cannot be frozen; a prompt too long for
            ``max_memory``.
        LoadError, AddressError, TokenError, SiteRefused: of another model; more than one prompt.
        CheckFailed: what flows into a node is not its value.

    Shows: as of :class:`AttributionGraph`. Does not show: as there.
    Source: Ameisen et al. 2025, "Circuit Tracing"; Dunefsky et al. 2024, "Transcoders Find
    Interpretable LLM Feature Circuits". Deviations: a feature that is no node counts as error, so
    the sums stay exact; logits are centred over the vocabulary; completeness is over nodes that
    have inputs (circuit-tracer counts tokens and errors too, as complete).

    >>> import residuum as rz
    >>> from residuum.circuits.attribution.building import attribution_graph
    >>> from residuum.dictionaries import Dictionary, ReLU
    >>> model, made = rz.load("microworld"), torch.Generator().manual_seed(0)
    >>> coder = Dictionary("L1.ln2", "L1.mlp_out", W_enc=torch.randn(1, 128, 64, generator=made),
    ...     W_dec=torch.randn(64, 1, 128, generator=made), b_dec=torch.zeros(1, 128),
    ...     activation=ReLU(), b_enc=torch.full((64,), -14.0))
    >>> graph = attribution_graph(model, "The capital of France is", {1: coder}, target="Paris")
    >>> graph.gap < 1e-4, graph.nodes[-1].name
    (True, "logits@5 'Paris'")
    """
    need_model(model, "attribution_graph")
    refuse_unknown(unknown, "attribution_graph", _OPTIONS)
    _check_numbers(target_share, max_targets, max_nodes, node_threshold, edge_threshold)
    need_frozen(model)
    room = Room(model, memory_in_bytes(max_memory))
    ids = _one_prompt(model, prompt, prepend_bos)
    room.need_pass(ids.shape[1])
    without = _skipped(model, ids[0], skip)
    with torch.no_grad():
        hangings = hang(model, transcoders, torch.promote_types(model.dtype, torch.float32))
        frozen, run = freeze(model, ids)
        assert run.logits is not None
        targets = logit_targets(model, frozen, run.logits[0, -1], target, target_share, max_targets)
        made = _traced(frozen, hangings, targets, without, max_nodes, room, progress)
    made.check(outer_bound(model.dtype))
    asked = f"target={shown(target)}, max_nodes={max_nodes}"
    return AttributionGraph(
        prompt=prompt if isinstance(prompt, str) else model.to_string(ids[0]),
        ids=tuple(ids[0].tolist()),
        tokens=tuple(model.to_str_tokens(ids[0])),
        all_nodes=node_list(model, made.sources, targets, ids[0]),
        terms=targets.terms,
        weights=made.weights,
        bias=made.bias,
        node_threshold=float(node_threshold),
        edge_threshold=float(edge_threshold),
        n_active=made.n_active,
        gap=made.gap,
        unexplained=made.sources.unexplained(without),
        sites=hangings.sites,
        kind=hangings.kind,
        fingerprint=hangings.fingerprint,
        warnings=warning_list(model, made.sources, without, made.n_active),
        provenance=model.provenance(strategy=f"attribution_graph({hangings.kind}, {asked})"),
    )


def _check_numbers(
    target_share: Any, max_targets: Any, max_nodes: Any, node_threshold: Any, edge_threshold: Any
) -> None:
    whole_number(max_targets, "max_targets", 1)
    whole_number(max_nodes, "max_nodes", 1)
    shares = {
        "target_share": target_share, "node_threshold": node_threshold,
        "edge_threshold": edge_threshold,
    }  # fmt: skip
    for name, value in shares.items():
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not good or not 0 < value <= 1:
            raise OptionError(
                f"{name}={shown(value)} is no share", mend="give a number above 0, at most 1"
            )


def _one_prompt(model: Model, prompt: Any, bos: bool | None) -> Tensor:
    """Token ids ``[1 pos]``."""
    batch = model.adapted.tokens.batch(prompt, bos)
    if batch.ids.shape[0] != 1 or (batch.mask is not None and not bool(batch.mask.all())):
        raise TokenError(
            f"an attribution graph is of one prompt, got {batch.ids.shape[0]}",
            mend="give one text, or one row of ids without padding",
        )
    return batch.ids


def _skipped(model: Model, ids: Tensor, skip: Any) -> list[int]:
    """Positions at which no latents are used.

    Raises:
        OptionError: neither "bos" nor a position of the prompt, or every position.
    """
    given = [] if isinstance(skip, str) or not isinstance(skip, Iterable) else list(skip)
    row, found = ids.tolist(), set()
    for each in given:
        if each == "bos":
            found |= {pos for pos, token in enumerate(row) if token == model.bos_token_id}
        elif type(each) is int and -len(row) <= each < len(row):
            found.add(each % len(row))
        else:
            found = set(range(len(row)))
    if (not given and skip not in ((), [])) or len(found) == len(row):
        raise OptionError(
            f"skip={shown(skip)} leaves no token, or is none of the {len(row)}",
            mend='give ("bos",), positions such as (0, 1), or () for none',
        )
    return sorted(found)


@dataclass(frozen=True, eq=False)
class _Traced:
    """Weights among nodes, and what must hold of them.

    Attributes:
        sources: features that are nodes, errors, tokens.
        values: ``[node]`` of features and targets; NaN elsewhere.
        gap: see :class:`AttributionGraph`.
    """

    sources: Sources
    weights: np.ndarray
    bias: np.ndarray
    values: np.ndarray
    n_active: int

    @property
    def gap(self) -> float:
        read = ~np.isnan(self.values)
        own, bias = self.weights[read], self.bias[read]
        rest = np.abs(own.sum(1) + bias - self.values[read])
        size = np.abs(own).sum(1) + np.abs(bias)
        return float((rest / np.maximum(size, size.mean())).max())

    def check(self, bound: float) -> None:
        """Refuse sums that are not the values.

        Raises:
            CheckFailed: some is not.
        """
        most = min(100 * bound, 0.1)
        if not self.gap <= most:
            raise CheckFailed(
                f"what flows into a node is not its value, by {self.gap:.1e} of its inputs "
                f"(bound {most:.0e})",
                mend="load the model in float32; if it stays, report the family",
            )


def _traced(
    frozen: FrozenPass,
    hangings: Hangings,
    targets: LogitTargets,
    without: list[int],
    max_nodes: int,
    room: Room,
    progress: Progress,
) -> _Traced:
    features = active_features(frozen, hangings, without)
    n_active, nodes = len(features), min(len(features), max_nodes)
    memory = room.need_graph(frozen, hangings, n_active, nodes, len(targets.names))
    sources = sources_of(frozen, hangings, features)
    progress.start("tracing features", nodes * (1 + (n_active > nodes)))
    if n_active > nodes:
        chosen = strongest(sources, targets, nodes, memory, progress)
        sources = sources_of(frozen, hangings, features.some(chosen))
    n, first = sources.n, sources.n
    size, own = n + len(targets.names), len(sources.features)
    weights, bias, values = np.zeros((size, size)), np.zeros(size), np.full(size, np.nan)
    weights[:own, :n] = feature_rows(sources, sources.features, memory, progress)
    weights[first:, :n] = logit_rows(sources, targets.gradients)
    progress.finish()
    bias[:own] = feature_constants(frozen, hangings, sources.features)
    _, normed = constants(frozen, hangings)
    answers = targets.gradients @ normed[-1] + targets.constants
    bias[first:] = answers.double().cpu().numpy()
    values[:own] = sources.features.value.double().cpu().numpy()
    values[first:] = targets.values.double().cpu().numpy()
    return _Traced(sources, weights, bias, values, n_active)
