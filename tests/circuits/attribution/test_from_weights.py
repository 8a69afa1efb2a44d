"""Edges and scores from the weights alone, in NumPy: each source carried forward, MLPs cut out.

Nothing of the product is in it: the reference of the other tests uses the model's own modules and
gradients, this one neither.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_transcoders import transcoders
from tiny import loaded, random_ids

from residuum.circuits import attribution_graph

IDS = random_ids(1, 6, seed=4)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


class ByHand:
    """A GPT-2 from its state dict: patterns and deviations of one run, and linear maps at them."""

    def __init__(self, hf, ids):
        self.w = {k: v.detach().double().numpy() for k, v in hf.state_dict().items()}
        c = hf.config
        self.n_layers, self.heads, self.eps = c.n_layer, c.n_head, c.layer_norm_epsilon
        w, n_pos = self.w, len(ids)
        self.embed = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][:n_pos]
        self.patterns, self.deviations, self.mlp_reads, self.mlps = [], {}, [], []
        stream = self.embed
        hidden = np.triu(np.ones((n_pos, n_pos), bool), 1)
        for layer in range(self.n_layers):
            read = self.norm(stream, f"h.{layer}.ln_1")
            q, k, _ = np.split(self.linear(read, f"h.{layer}.attn.c_attn"), 3, -1)
            scores = self.split(q) @ self.split(k).transpose(0, 2, 1)
            scores = np.where(hidden, -np.inf, scores / np.sqrt(q.shape[-1] // self.heads))
            self.patterns.append(softmax(scores))
            stream = stream + self.attention(read, layer, True)
            read = self.norm(stream, f"h.{layer}.ln_2")
            inner = self.linear(read, f"h.{layer}.mlp.c_fc")
            inner = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
            self.mlp_reads.append(read)
            self.mlps.append(self.linear(inner, f"h.{layer}.mlp.c_proj"))
            stream = stream + self.mlps[-1]
        self.logits = self.centred(self.norm(stream, "ln_f")[-1])

    def linear(self, x, name, bias=True):
        own = f"transformer.{name}"
        return x @ self.w[f"{own}.weight"] + (self.w[f"{own}.bias"] if bias else 0)

    def split(self, x):
        return x.reshape(len(x), self.heads, -1).transpose(1, 0, 2)

    def norm(self, x, name, bias=True):
        """With the deviation of the first call at this place."""
        own = x - x.mean(-1, keepdims=True)
        found = np.sqrt((own**2).mean(-1, keepdims=True) + self.eps)
        gain = self.w[f"transformer.{name}.weight"]
        out = own / self.deviations.setdefault(name, found) * gain
        return out + (self.w[f"transformer.{name}.bias"] if bias else 0)

    def attention(self, read, layer, bias):
        value = np.split(self.linear(read, f"h.{layer}.attn.c_attn", bias), 3, -1)[2]
        z = (self.patterns[layer] @ self.split(value)).transpose(1, 0, 2).reshape(value.shape)
        return self.linear(z, f"h.{layer}.attn.c_proj", bias)

    def centred(self, normed):
        found = normed @ self.w["lm_head.weight"].T
        return found - found.mean()

    def carried(self, vector, pos, after):
        """What one vector, written after a layer's MLP, adds to what later MLPs read, and to the
        logits."""
        stream, reads = np.zeros_like(self.embed), {}
        stream[pos] = vector
        for layer in range(after + 1, self.n_layers):
            read = self.norm(stream, f"h.{layer}.ln_1", False)
            stream = stream + self.attention(read, layer, False)
            reads[layer] = self.norm(stream, f"h.{layer}.ln_2", False)
        return reads, self.centred(self.norm(stream, "ln_f", False)[-1])


def by_hand(model, graph, given):
    """``[target source]`` weights, and the value of each feature and logit."""
    own = ByHand(model.hf, IDS[0].numpy())
    coders = {
        layer: tuple(np.asarray(x) for x in (c.W_enc[0], c.b_enc, c.W_dec[:, 0], c.b_dec[0]))
        for layer, c in given.items()
    }
    acts = {i: np.maximum(own.mlp_reads[i] @ c[0] + c[1], 0) for i, c in coders.items()}
    size = len(graph.all_nodes)
    weights, values = np.zeros((size, size)), np.full(size, np.nan)
    for j, source in enumerate(graph.all_nodes):
        layer, pos, index = source.layer, source.pos, source.index
        if source.kind == "logit":
            values[j] = own.logits[index]
            continue
        if source.kind == "token":
            layer, vector = -1, own.embed[pos]
        elif source.kind == "feature":
            values[j] = acts[layer][pos, index]
            vector = values[j] * coders[layer][2][index]
        else:
            vector = own.mlps[layer][pos]
            if layer in coders:
                vector = vector - acts[layer][pos] @ coders[layer][2] - coders[layer][3]
        reads, logits = own.carried(vector, pos, layer)
        for i, target in enumerate(graph.all_nodes):
            if target.kind == "logit":
                weights[i, j] = logits[target.index]
            elif target.kind == "feature" and target.layer in reads:
                encoder = coders[target.layer][0][:, target.index]
                weights[i, j] = reads[target.layer][target.pos] @ encoder
    active = sum(int((each > 0).sum()) for each in acts.values())
    return weights, values, active


@pytest.mark.parametrize("layers", [(0, 1, 2), (0, 2)], ids=str)
def test_edges_values_and_scores_come_out_of_the_weights_alone(layers):
    model = loaded("gpt2", torch.float64)
    given = transcoders(model, layers, skip=False)
    graph = attribution_graph(model, IDS, given, target=[7, 40], skip=())
    weights, values, active = by_hand(model, graph, given)
    assert np.abs(weights).max() > 1 and np.count_nonzero(weights) > 1000
    assert np.abs(graph.weights - weights).max() < 1e-10
    read = ~np.isnan(values)
    assert np.abs(weights.sum(1) + graph.bias - values)[read].max() < 1e-10
    assert graph.n_active == active == graph.of_kind("feature").sum()

    size = np.abs(weights)
    total = size.sum(1, keepdims=True)
    strengths = np.divide(size, total, out=np.zeros_like(size), where=total > 0)
    one = np.eye(len(size))
    shares = np.array([each.share for each in graph.all_nodes])
    influence = shares @ (np.linalg.inv(one - strengths) - one)
    tokens, errors = graph.of_kind("token"), graph.of_kind("error")
    ends = influence[tokens].sum(), influence[errors].sum()
    assert graph.scores.replacement == pytest.approx(ends[0] / sum(ends))
    weight = (influence + shares)[read]
    explained = strengths[read][:, ~errors].sum(1)
    wanted = (weight * explained).sum() / weight.sum()
    assert graph.scores.completeness == pytest.approx(wanted)
    assert 0.2 < graph.scores.replacement < graph.scores.completeness < 0.99
