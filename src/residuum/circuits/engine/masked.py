"""Runs of the clean prompts in which only some edges carry the run's own values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.engine.finer import finer_layers
from residuum.circuits.engine.ground import Ground
from residuum.circuits.engine.grounds import Grounds, refuse_unproven
from residuum.circuits.engine.order import Order, Wiring
from residuum.circuits.engine.references import References, check_reference
from residuum.circuits.engine.sizing import Portions, portions_of
from residuum.circuits.engine.states import all_own, states_of
from residuum.circuits.engine.work import MaskedWork, pass_macs
from residuum.circuits.graph.fitting import graph_on
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.positions import position_masks
from residuum.core import SILENT, OptionError, Progress, ShapeError
from residuum.models import final_logits
from residuum.runs import (
    Metric,
    Model,
    Task,
    memory_in_bytes,
    metric_named,
    need_model,
    need_task,
    whole_number,
)
from residuum.runs.sweeping.reader import AnswerReader


class MaskedRuns:
    """The clean prompts of a task, run with any set of kept edges.

    What each head's query, key and value, each MLP and the logits read is the sum over all senders
    of the run's own value where the edge is kept, and of the reference value elsewhere. Biases of
    attention belong to no sender and always have the run's own value. A head behind a post-norm
    sends its share at that run's own norm scale. Neurons or latents that are nodes of the graph
    read streams of their own; the MLP is then the rest: what it adds to its own beside them.

    Args:
        model: a loaded model whose layer seam is proven.
        graph: the edges in question; a model's edges that it leaves out are always kept.
        task: contrast pairs.
        reference: what the other edges carry: ``"zero"``; ``"mean"`` over the task's clean and
            corrupt prompts (by position where all have one length, else over all tokens);
            ``"template_mean"``, the same over the pairs of the same template; ``"resample"``,
            another clean prompt of the same length, drawn with ``seed``; ``"counterfactual"``, the
            pair's corrupt prompt at the same position.
        metric: name of a metric; the task's own by default.
        seed: of the draw.
        max_memory: bytes beyond the model, or a text such as ``"2 GB"``; by default half of what
            is free.

    Raises:
        OptionError: no model; an unknown reference or metric; a model without a proven seam; a
            graph of another model, or with neurons or latents that cannot be nodes; too little
            memory.
        TaskError: no task; ids of another tokenizer; positions that the task does not name; no
            other prompt of some length to resample from.
        CheckFailed: with all edges kept this is not the clean run, or with none not the reference
            run (a hook or an adapter on the model).

    Shows: what the model would say if it were this circuit alone. Does not show: what it does on
    other prompts, or under another reference.
    Source: Wang et al. 2022, "Interpretability in the Wild", §3 (knock-outs of a circuit's
    complement); Conmy et al. 2023, §3 (edges).

    >>> import numpy as np
    >>> import residuum as rz
    >>> from residuum.circuits.graph.building import graph_of
    >>> model = rz.load("microworld")
    >>> graph, task = graph_of(model), rz.task("ioi", model, n=4)
    >>> runs = MaskedRuns(model, graph, task)
    >>> kept = np.array([[True] * graph.n_edges, [False] * graph.n_edges])
    >>> runs.metric(kept).shape, runs.work.circuits
    ((2, 4), 2)
    """

    def __init__(
        self,
        model: Model,
        graph: Graph,
        task: Task,
        reference: str = "counterfactual",
        *,
        metric: str = "",
        seed: int = 0,
        max_memory: Any = None,
    ) -> None:
        need_model(model, "MaskedRuns")
        need_task(task, "MaskedRuns")
        refuse_unproven(model)
        task.check_fits(model)
        self.model, self.graph, self.task = model, graph_on(graph, model), task
        self.reference, self.seed = check_reference(reference), whole_number(seed, "seed", 0)
        self.measure: Metric = metric_named(metric or task.metric)
        finer = finer_layers(model, self.graph)
        self.wiring = Wiring.of(self.graph, Order.of(model, finer))
        self.references = References(model, task, self.reference, seed, finer)
        self.portions: Portions = portions_of(
            model, task, self.wiring, memory_in_bytes(max_memory), self.measure
        )
        self._reader = AnswerReader(model, task, self.measure)
        places = _places(self.graph, task)
        self._grounds = Grounds(model, self.wiring, self.references, places, self.portions.kept)
        self._spent = self._least = self._circuits = 0

    # -- what is asked -----------------------------------------------------------------------

    def metric(self, kept: Any, *, progress: Progress = SILENT) -> np.ndarray:
        """The metric with only these edges kept.

        Args:
            kept: bool ``[circuit edge]`` (or one circuit's ``[edge]``), in the graph's order.
            progress: who is told.

        Returns:
            float64 ``[circuit example]``, in the metric's unit. Equal circuits are run once.

        Raises:
            ShapeError: another shape or kind of array.
        """
        asked = self._checked(kept)
        circuits, back = np.unique(asked, axis=0, return_inverse=True)
        found = np.full((len(circuits), len(self.task)), np.nan)
        order = np.argsort(circuits.sum(axis=1), kind="stable")
        progress.start(f"masked runs, {self.reference}", len(circuits) * len(self.portions.rows))
        for rows in self.portions.rows:
            ground = self._grounds.at(rows)
            for low in range(0, len(order), self.portions.circuits):
                some = order[low : low + self.portions.circuits]
                found[some, rows.start : rows.stop] = self._values(circuits[some], ground)
                progress.advance(len(some))
        progress.finish()
        self._circuits += len(asked)
        return found[back.ravel()]

    def logits(self, kept: Any) -> Tensor:
        """Logits at the answer's position with only these edges kept.

        Args:
            kept: as in :meth:`metric`.

        Returns:
            float64 ``[circuit example d_vocab]`` on the CPU.

        Raises:
            ShapeError: another shape or kind of array.
        """
        asked = self._checked(kept)
        found: list[Tensor] = []
        for rows in self.portions.rows:
            ground = self._grounds.at(rows)
            some = [asked[low : low + self.portions.circuits]
                    for low in range(0, len(asked), self.portions.circuits)]  # fmt: skip
            streams = torch.cat([self._streams(each, ground) for each in some])
            found.append(final_logits(self.model.adapted.parts, streams).detach().double().cpu())
        self._circuits += len(asked)
        return torch.cat(found, dim=1)

    @property
    def whole(self) -> np.ndarray:
        """The metric with all edges kept: that of the clean run, ``[example]``."""
        return self.metric(np.ones(self.wiring.n_edges, dtype=bool))[0]

    @property
    def empty(self) -> np.ndarray:
        """The metric with no edge of the graph kept, ``[example]``."""
        return self.metric(np.zeros(self.wiring.n_edges, dtype=bool))[0]

    @property
    def work(self) -> MaskedWork:
        """What has been spent so far."""
        whole = pass_macs(self.model.adapted, len(self.task), self.task.clean.shape[1])
        ready = self._grounds.passes + self.references.passes
        spent = self._spent + self._grounds.spent
        return MaskedWork(self._circuits, spent / whole + ready, self._least / whole)

    def differentiable(self, kept: Tensor, rows: range | None = None) -> Tensor:
        """The metric with edges kept in part, with gradients for ``kept``.

        Args:
            kept: ``[circuit edge]``, from 0 (the reference) to 1 (the run's own value).
            rows: prompts of the task; must lie within one portion. By default all of them.

        Returns:
            ``[circuit row]``; model weights get gradients too unless they are frozen.

        Raises:
            ShapeError: another shape.
            OptionError: more prompts than memory allows at once.
        """
        if kept.ndim != 2 or kept.shape[1] != self.wiring.n_edges:
            raise ShapeError(
                f"edges of shape {list(kept.shape)} for a graph of {self.wiring.n_edges}",
                mend="give one number for each edge, [circuit edge]",
            )
        rows = range(len(self.task)) if rows is None else rows
        if len(rows) > max(map(len, self.portions.rows)):
            raise OptionError(
                f"{len(rows)} prompts at once, memory is for {len(self.portions.rows[0])}",
                mend="give rows= of fewer prompts, or more memory",
            )
        ground = self._grounds.at(rows)
        fixed = torch.from_numpy(self.wiring.fixed).to(kept)
        masks = fixed.expand(len(kept), *fixed.shape).clone()
        at = [torch.from_numpy(each).to(kept.device) for each in self.wiring.places]
        masks[:, at[0], at[1], at[2]] = kept
        states = all_own(self.wiring.order, len(kept))
        with self.model.adapted.passing():
            answers = self._grounds.begin(ground, masks.to(ground.embed), states).run()
            return self._metric_of(answers, ground)

    # -- how ---------------------------------------------------------------------------------

    def _checked(self, kept: Any) -> np.ndarray:
        given = np.asarray(kept)
        found = given[None] if given.ndim == 1 else given
        if found.dtype != bool or found.ndim != 2 or found.shape[1] != self.wiring.n_edges:
            raise ShapeError(
                f"kept edges of shape {list(given.shape)} and type {given.dtype} for a graph of "
                f"{self.wiring.n_edges} edges",
                mend="give bool [circuit edge], in the order of graph.edges",
            )
        return found

    def _values(self, kept: np.ndarray, ground: Ground) -> np.ndarray:
        """``[circuit row]`` of some circuits on some prompts."""
        with torch.no_grad():
            return self._metric_of(self._streams(kept, ground), ground).numpy()

    def _streams(self, kept: np.ndarray, ground: Ground) -> Tensor:
        """Last streams ``[circuit row d_model]`` of some circuits on some prompts."""
        marks = self.wiring.masks(kept) & self.wiring.read
        joint, run_like = self._grounds.joint(ground), self.references.run_like
        states = states_of(self.wiring, marks, joint, run_like=run_like)
        masks = torch.from_numpy(marks).to(ground.embed)
        with self.model.adapted.passing(), torch.no_grad():
            made = self._grounds.begin(ground, masks, states, marks=marks)
            answers = made.run()
            self._spent += made.tally.spent
            self._least += made.tally.least
            return answers

    def _metric_of(self, answers: Tensor, ground: Ground) -> Tensor:
        """``[circuit row]``, float64, from last streams ``[circuit row d_model]``."""
        reader, measure = self._reader, self.measure
        logits = final_logits(self.model.adapted.parts, answers, reader.tokens).double().cpu()
        rows = torch.arange(ground.rows.start, ground.rows.stop)
        clean = ground.clean.double().cpu() if measure.needs_reference else None
        each = [measure(one, reader.ids, rows=rows, reference=clean) for one in logits]
        return torch.stack(each)


def _places(graph: Graph, task: Task) -> Tensor:
    """Which named position each token is, ``[example pos]``; padding counts as the first."""
    if not graph.positions:
        return torch.zeros_like(task.clean)
    return torch.from_numpy(position_masks(task, graph.positions).argmax(axis=0))
