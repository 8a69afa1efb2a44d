"""The oracle of masked runs: whole runs of the model, what receivers read written in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import residuum as rz
from residuum.circuits.graph.positions import position_masks
from residuum.models import Batch
from residuum.runs import metric_named


def batch_of(task: Any, ids: Tensor) -> Batch:
    return Batch(ids, task.attention_mask)


def sender_sites(model: Any) -> list[str]:
    layers = range(model.n_layers)
    mlps = [f"L{n}.mlp_out" for n in layers if model.adapted.parts.layers[n].has_mlp]
    return ["L0.resid_pre", *(f"L{n}.head_out" for n in layers), *mlps]


def sent(run: Any, sender: Any) -> Tensor:
    """What a sender adds to the stream, ``[batch pos d_model]``."""
    if sender.name == "embed":
        return run["L0.resid_pre"]
    value = run[str(sender.base)]
    return value if sender.part is None else value[:, :, sender.part]


def reference_values(model: Any, task: Any, kind: str, prompts: Tensor | None = None) -> Any:
    """Sender -> its reference ``[batch pos d_model]``, for the kinds that an average makes."""

    def values(sender: Any) -> Tensor:
        ids = torch.cat([task.clean, task.corrupt]) if prompts is None else prompts
        run = model.run(ids, capture=sender_sites(model))
        value = sent(run, sender)
        if prompts is not None:
            return value
        if kind == "zero":
            return torch.zeros_like(value[: len(task)])
        if kind == "mean":
            return value.mean(0, keepdim=True).expand(len(task), -1, -1)
        found = torch.zeros_like(value[: len(task)])
        for label in set(task.templates):
            rows = [i for i, each in enumerate(task.templates) if each == label]
            both = [*rows, *(i + len(task) for i in rows)]
            found[rows] = value[both].mean(0)
        return found

    return values


def layerwise(model: Any, graph: Any, task: Any, kept: Any, reference: Any) -> Tensor:
    """Logits at the answer ``[batch d_vocab]``: each layer's inputs are written after a run."""
    edits: list[Any] = []
    clean = batch_of(task, task.clean)
    ref = {sender: reference(sender) for sender in graph.senders}
    where = torch.from_numpy(position_masks(task, graph.positions)) if graph.positions else None

    def run_with(at: str) -> Any:
        return model.run(clean, capture=[at, *sender_sites(model)], edits=edits)

    def stream(run: Any, at: str, receiver: Any) -> Tensor:
        value = run[at].clone()
        for number in graph.into(receiver):
            if kept[number]:
                continue
            sender = graph.senders[graph.edges[number, 0]]
            change = ref[sender] - sent(run, sender)
            if where is not None:
                change = change * where[graph.edges[number, 2]][..., None]
            value += change
        return value

    for layer in range(model.n_layers):
        written, pre = [], f"L{layer}.resid_pre"
        run = run_with(pre)
        for slot in "qkv":
            heads = model.n_heads if slot == "q" else model.dims.n_kv_heads
            each = [stream(run, pre, f"L{layer}.{slot}_in[H{head}]") for head in range(heads)]
            written.append(rz.Set(f"L{layer}.{slot}_in", torch.stack(each, dim=2)))
        edits += written
        part = model.adapted.parts.layers[layer]
        if part.has_mlp:
            at = f"L{layer}.resid_pre" if part.wiring == "parallel" else f"L{layer}.resid_mid"
            edits.append(rz.Set(f"L{layer}.mlp_in", stream(run_with(at), at, f"L{layer}.mlp_in")))
    last = f"L{model.n_layers - 1}.resid_post"
    edits.append(rz.Set(last, stream(run_with(last), last, "logits")))
    return model.run(clean, edits=edits).last


def metric_of(task: Any, logits: Tensor) -> Tensor:
    return metric_named(task.metric)(logits.double(), task)
