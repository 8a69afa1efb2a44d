"""The oracle of neurons and latents as nodes: whole runs, what each part adds written by hand."""

from __future__ import annotations

from typing import Any

import torch
from layerwise import batch_of
from torch import Tensor

import residuum as rz
from residuum.circuits.graph.positions import position_masks


class Oracle:
    """One circuit's run: what every part reads, and what it adds, layer by layer."""

    def __init__(self, model: Any, graph: Any, ids: Tensor, task: Any) -> None:
        self.model, self.graph, self.task = model, graph, task
        self.batch = batch_of(task, ids)
        self.edits: list[Any] = []
        self.sent: dict[str, Tensor] = {}
        self.where = None
        if graph.positions:
            self.where = torch.from_numpy(position_masks(task, graph.positions))

    def logits(self, kept: Any = None, reference: dict[str, Tensor] | None = None) -> Tensor:
        """Logits at the answer; with all edges kept where ``kept`` is None."""
        model, last = self.model, f"L{self.model.n_layers - 1}.resid_post"
        self.kept, self.reference = kept, reference
        self.sent["embed"] = self.run("L0.resid_pre")
        for layer in range(model.n_layers):
            pre, written = f"L{layer}.resid_pre", []
            for slot in "qkv":
                heads = model.n_heads if slot == "q" else model.dims.n_kv_heads
                each = [self.read(pre, f"L{layer}.{slot}_in[H{head}]") for head in range(heads)]
                written.append(rz.Set(f"L{layer}.{slot}_in", torch.stack(each, dim=2)))
            self.edits += written
            heads_out = self.run(f"L{layer}.head_out")
            for head in range(model.n_heads):
                self.sent[f"L{layer}.head_out[H{head}]"] = heads_out[:, :, head]
            self.mlp(layer)
        self.edits.append(rz.Set(last, self.read(last, "logits")))
        return model.run(self.batch, edits=self.edits).last

    def mlp(self, layer: int) -> None:
        """The MLP's parts from streams of their own, and their sum in the MLP's place."""
        parallel = self.model.adapted.parts.layers[layer].wiring == "parallel"
        at = f"L{layer}.resid_pre" if parallel else f"L{layer}.resid_mid"
        nodes = [a for a in self.graph.senders if a.layer == layer and a.name.startswith("mlp")]
        finer = [a for a in nodes if a.part is not None]
        whole, parts = self.parts(layer, self.read(at, f"L{layer}.mlp_in"), finer)
        self.sent[f"L{layer}.mlp_out"] = whole - sum(parts, torch.zeros_like(whole))
        total = self.sent[f"L{layer}.mlp_out"].clone()
        for index, node in enumerate(finer):
            name = f"L{layer}.mlp_pre[N{node.part}]"
            if node.dictionary is not None:
                name = f"L{layer}.mlp_in/{node.dictionary}[F{node.part}]"
            own = self.parts(layer, self.read(at, name), finer)[1][index]
            self.sent[str(node)] = own
            total += own
        self.edits.append(rz.Set(f"L{layer}.mlp_out", total))

    def parts(self, layer: int, stream: Tensor, nodes: Any) -> tuple[Tensor, list[Tensor]]:
        """What the MLP adds to a stream that is written in, and each node's share of it."""
        written = rz.Set(f"L{layer}.mlp_in", stream)
        sites = [f"L{layer}.{name}" for name in ("mlp_out", "mlp_act", "ln2")]
        run = self.model.run(self.batch, capture=sites, edits=[*self.edits, written])
        whole, found = run[sites[0]], []
        for node in nodes:
            if node.dictionary is None:
                direction = self.model.adapted.weights.by_layer("W_out")[layer][node.part]
                direction = direction * self.model.adapted.parts.layers[layer].scale
                found.append(run[sites[1]][..., node.part, None] * direction)
                continue
            coder = self.model.dictionaries[node.dictionary]
            read = whole if coder.reads[0].name == "mlp_out" else run[sites[2]]
            latents = coder.encode(read)
            only = torch.zeros_like(latents)
            only[..., node.part] = latents[..., node.part]
            found.append(coder.decode(only) - coder.decode(torch.zeros_like(latents)))
        return whole, found

    def run(self, site: str) -> Tensor:
        return self.model.run(self.batch, capture=[site], edits=self.edits)[site]

    def read(self, at: str, receiver: str) -> Tensor:
        """What a receiver reads: the stream, with senders of edges that are cut exchanged."""
        value = self.run(at).clone()
        if self.kept is None or self.reference is None:
            return value
        for number in self.graph.into(receiver):
            if not self.kept[number]:
                sender = str(self.graph.senders[self.graph.edges[number, 0]])
                change = self.reference[sender] - self.sent[sender]
                if self.where is not None:
                    change = change * self.where[self.graph.edges[number, 2]][..., None]
                value += change
        return value


def finer_reference(model: Any, graph: Any, task: Any, kind: str) -> dict[str, Tensor]:
    """Reference of every sender, by a run with all edges kept."""
    ids = task.corrupt if kind == "counterfactual" else torch.cat([task.clean, task.corrupt])
    oracle = Oracle(model, graph, ids, task)
    oracle.logits()
    if kind == "counterfactual":
        return oracle.sent
    if kind == "zero":
        return {name: torch.zeros_like(each[: len(task)]) for name, each in oracle.sent.items()}
    return {
        name: each.mean(0, keepdim=True).expand(len(task), -1, -1)
        for name, each in oracle.sent.items()
    }
