"""Edge attribution written out: plain captures, plain edits, autograd through the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import residuum as rz
from residuum.runs import metric_named

ROWS, WIDTH, DIFFER_AT = 3, 7, 2


def family_task(
    ragged: bool = False, *, rows: int = ROWS, seed: int = 0, metric: str = "", at: int = DIFFER_AT
) -> rz.Task:
    """Random pairs for a tiny configuration that differ at one position."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(3, 101, (rows, WIDTH), generator=generator)
    corrupt = clean.clone()
    corrupt[:, at] = (clean[:, at] - 3 + 17) % 98 + 3
    answers = torch.randint(3, 50, (rows,), generator=generator)
    wrong = torch.randint(50, 101, (rows,), generator=generator)
    lengths = torch.tensor([WIDTH, WIDTH - 2, WIDTH - 1] * rows)[:rows] if ragged else None
    return rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=answers, wrong=wrong, lengths=lengths, metric=metric
    )


def site_of(model: rz.Model, address: Any, *, sends: bool) -> str:
    """Where a node is captured."""
    if address.name == "embed":
        return "L0.resid_pre"
    if address.name == "logits":
        return f"L{model.n_layers - 1}.resid_post"
    return str(address.base)


def captured(model: rz.Model, ids: torch.Tensor, task: rz.Task, graph: Any) -> dict[Any, Any]:
    """What every sender adds, ``[row pos d_model]``."""
    sites = sorted({site_of(model, each, sends=True) for each in graph.senders})
    run = model.run(ids, attention_mask=task.attention_mask, capture=sites, logits=False)
    return {each: _own(run[site_of(model, each, sends=True)], each) for each in graph.senders}


def slopes(
    model: rz.Model, task: rz.Task, graph: Any, edits: Sequence[Any] = ()
) -> dict[Any, torch.Tensor]:
    """Gradient of the task's metric at every receiver's own input, ``[row pos d_model]``."""
    metric = metric_named(task.metric)
    sites = sorted({site_of(model, each, sends=False) for each in graph.receivers})

    def measured(logits: torch.Tensor) -> torch.Tensor:
        return metric(logits[torch.arange(len(task)), task.last].double(), task)

    run = model.run(
        task.clean,
        attention_mask=task.attention_mask,
        capture=sites,
        edits=list(edits),
        grad_of=measured,
    )
    return {
        each: _own(run.grad[site_of(model, each, sends=False)], each) for each in graph.receivers
    }


def attributed(
    model: rz.Model,
    task: rz.Task,
    graph: Any,
    edits: Sequence[Any] = (),
    reference: dict[Any, torch.Tensor] | None = None,
) -> np.ndarray:
    """Σ over positions of (clean - reference) · slope, ``[example edge]``, one edge at a time."""
    own = captured(model, task.clean, task, graph)
    other = captured(model, task.corrupt, task, graph) if reference is None else reference
    at = slopes(model, task, graph, edits)
    found = np.zeros((len(task), graph.n_edges))
    for edge, (i, j) in enumerate(graph.edges):
        sender, receiver = graph.senders[i], graph.receivers[j]
        change = own[sender].double() - other[sender].double()
        found[:, edge] = (change * at[receiver].double()).sum((1, 2)).cpu().numpy()
    return found


def _own(value: torch.Tensor, node: Any) -> torch.Tensor:
    return value if node.part is None else value[:, :, node.part]
