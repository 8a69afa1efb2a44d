"""Which edges a model has: counted apart, and as sums of what is in the stream."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "families"))
from configs import CAUSAL, CONFIGS, build
from tiny import PARALLEL, loaded

import residuum as rz
from residuum.circuits import graph_of, position_masks
from residuum.core import Address, AddressError, OptionError, SiteRefused, TaskError

KEY_VALUE_HEADS = {"falcon": 2, "falcon_7b": 1}
SUMS = ("gpt2", "llama", "gemma2", "olmo2", "gpt_neox", "falcon", "mixtral", "cohere", "granite")


def counted(layers, heads, kv, parallel=False, mlp=True):
    """Edges by the definition, without a graph."""
    total, stream = 0, 1
    for _ in range(layers):
        total += stream * (heads + 2 * kv)
        total += (stream + (0 if parallel else heads)) * mlp
        stream += heads + mlp
    return total + stream


def kv_heads(name):
    options = CONFIGS[name][1]
    return KEY_VALUE_HEADS.get(name, options.get("num_key_value_heads", 4))


def test_gpt2_small_has_32491_edges():
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(n_embd=24, vocab_size=50, n_positions=16, bos_token_id=1, eos_token_id=2)
    assert (shape.n_layer, shape.n_head) == (12, 12)
    graph = graph_of(rz.load(GPT2LMHeadModel(shape), check=False))
    assert (len(graph.senders), len(graph.receivers), graph.n_edges) == (157, 445, 32_491)
    assert graph.n_edges == counted(12, 12, 12)
    assert len(graph.into("logits")) == 157 and len(graph.out_of("embed")) == 445
    assert graph.out_of("L11.mlp_out").tolist() == [graph.index("L11.mlp_out -> logits")]


@pytest.mark.parametrize("name", CAUSAL)
def test_every_family_has_the_edges_of_its_shape(name):
    graph = graph_of(rz.load(build(name), check=False))
    kv, parallel = kv_heads(name), name in PARALLEL
    assert graph.n_edges == counted(3, 4, kv, parallel)
    assert graph.group == 4 // kv
    assert sum(each.name == "k_in" for each in graph.receivers) == 3 * kv
    inside = [f"L1.head_out[H{head}] -> L1.mlp_in" in graph.names for head in range(4)]
    assert inside == [not parallel] * 4


@pytest.mark.parametrize("name", SUMS)
def test_what_a_receiver_reads_is_the_sum_of_its_senders(name):
    """Of two prompts the difference, in which biases, that belong to no edge, cancel."""
    model = loaded(name, torch.float64)
    graph = graph_of(model)
    ids = torch.randint(3, 101, (2, 6), generator=torch.Generator().manual_seed(1))
    sites = {Address("resid_pre", 0)} | {each.base for each in graph.receivers}
    sites |= {each.base for each in graph.senders if each.name != "embed"}
    with torch.no_grad():
        run = model.run(ids, capture=[*sites, f"L{model.n_layers - 1}.resid_post"])

    def moved(address):
        if address.name == "embed":
            address = Address("resid_pre", 0)
        if address.name == "logits":
            address = Address("resid_post", model.n_layers - 1)
        value = run[address.base]
        value = value if address.part is None else value[:, :, address.part]
        return value[0] - value[1]

    sent = torch.stack([moved(each) for each in graph.senders])
    for index, receiver in enumerate(graph.receivers):
        senders = graph.edges[graph.edges[:, 1] == index, 0]
        read = moved(receiver)
        assert (sent[senders].sum(dim=0) - read).abs().max() < 1e-6 * sent.abs().max(), receiver
        assert (sent[senders[:-1]].sum(dim=0) - read).abs().max() > 1e-4 * sent.abs().max()


def test_a_stream_that_is_no_sum_is_refused():
    with pytest.raises(SiteRefused) as caught:
        graph_of(loaded("bert"))
    assert "normalises its stream after each sum" in caught.value.what
    assert "norms stand before attention" in caught.value.mend


def test_a_site_that_was_not_proven_is_named_with_its_reason():
    model = rz.load(build("gpt2"), check=False)
    gone = Address("k_in", 1)
    del model.adapted.taps[gone]
    model.adapted.refused[gone] = "its sum is off by 0.5"
    with pytest.raises(SiteRefused) as caught:
        graph_of(model)
    assert "L1.k_in is not available on it: its sum is off by 0.5" in caught.value.what
    assert "edges need q_in, k_in, v_in, head_out, mlp_in, mlp_out, logits" in caught.value.mend


def test_the_hand_set_induction_model_has_no_mlps():
    graph = graph_of(rz.load("handmade_induction"))
    model = rz.load("handmade_induction")
    heads = model.n_heads
    assert graph.n_edges == counted(model.n_layers, heads, heads, mlp=False)
    assert not any("mlp" in str(each) for each in (*graph.senders, *graph.receivers))
    assert "L0.head_out[H0] -> L1.k_in[H0]" in graph.names


def test_gbmi_indhead_has_12_edges(test_data):
    graph = graph_of(rz.load(test_data / "gbmi_indhead"))
    assert graph.n_edges == 3 + 6 + 3 == counted(2, 1, 1, mlp=False)
    assert graph.into("L1.k_in[H0]").tolist() == [
        graph.index("embed -> L1.k_in[H0]"),
        graph.index("L0.head_out[H0] -> L1.k_in[H0]"),
    ]


def test_positions_are_a_partition_and_unread_edges_are_left_out(model, task):
    graph = graph_of(model, task, by_position=True)
    names = ("IO", "S1", "place", "S2", "gift", "S1+1", "end", "rest")
    assert graph.positions[:6] == names[:6]
    masks = position_masks(task, graph.positions)
    real = np.arange(task.clean.shape[1]) < task.lengths.numpy()[:, None]
    assert (masks.sum(axis=0) == real).all()
    end = graph.positions.index("end")
    assert masks[end].argmax(axis=1).tolist() == task.last.tolist()
    whole = graph_of(model)
    last = model.n_layers - 1
    late = sum(
        r.name in ("logits",) or (r.layer == last and r.name in ("q_in", "mlp_in"))
        for r in (whole.receivers[j] for j in whole.edges[:, 1])
    )
    n = len(graph.positions)
    assert graph.n_edges == n * (whole.n_edges - late) + late
    assert {int(p) for p in graph.edges[graph.into("logits"), 2]} == {end}
    assert graph.index("embed -> L0.q_in[H0] @S2") in graph.into("L0.q_in[H0]")


def test_names_of_one_token_are_one_position(model):
    task = rz.task("greater_than", model, n=6)
    graph = graph_of(model, task, by_position=["start", "century_again", "end"])
    assert graph.positions == ("start", "end", "rest")


def test_positions_that_are_no_partition_are_refused(model):
    ids = [[5, 6, 7, 8], [5, 6, 7, 8]]
    given = {
        "clean": ids,
        "corrupt": [[5, 9, 7, 8], [5, 9, 7, 8]],
        "answers": [6, 6],
        "wrong": [9, 9],
    }
    task = rz.Task.from_pairs(**given, positions={"a": [1, 1], "b": [1, 2]})
    with pytest.raises(TaskError) as caught:
        graph_of(model, task, by_position=True)
    assert "positions a and b are the same token in 1 of 2 pairs" in caught.value.what
    assert "by_position=['b']" in caught.value.mend
    alone = graph_of(model, task, by_position=["b"])
    assert alone.positions == ("b", "end", "rest")
    with pytest.raises(OptionError, match="the task has no position 'c'"):
        graph_of(model, task, by_position=["c"])
    with pytest.raises(OptionError, match="neither yes or no nor a list"):
        graph_of(model, task, by_position="a")
    with pytest.raises(TaskError, match="names no positions"):
        graph_of(model, rz.Task.from_pairs(**given), by_position=True)
    with pytest.raises(TaskError, match="needs a task"):
        graph_of(model, by_position=True)
    with pytest.raises(TaskError, match="does not name the position 'S2'"):
        position_masks(task, ("S2", "rest"))
    wrong_end = rz.Task.from_pairs(**given, positions={"end": [1, 1]})
    with pytest.raises(TaskError, match="'end' is not the last token"):
        graph_of(model, wrong_end, by_position=True)


def test_neurons_are_nodes_of_their_own(model, graph):
    finer = graph_of(model, finer=["L1.mlp_act[N3]", "L2.mlp_act[N0]"])
    new = set(finer.names) - set(graph.names)
    assert set(graph.names) <= set(finer.names)
    assert "embed -> L1.mlp_pre[N3]" in new and "L1.mlp_act[N3] -> L2.mlp_pre[N0]" in new
    assert "L1.mlp_act[N3] -> logits" in new and "L2.mlp_act[N0] -> L1.mlp_pre[N3]" not in new
    into = len(graph.into("L1.mlp_in")) + len(graph.into("L2.mlp_in"))
    out = len(graph.out_of("L1.mlp_out")) + len(graph.out_of("L2.mlp_out"))
    assert len(new) == into + out + 1  # one from neuron to neuron
    for query, error, text in (
        ("L1.mlp_act", OptionError, "means every one of them"),
        ("L1.z[H0]", OptionError, "is no finer part of a graph"),
        ("L1.mlp_act[N99999]", AddressError, "neuron 99999 is out of range"),
        ("L1.mlp_out/none[F3]", OptionError, "the model has no dictionary 'none'"),
    ):
        with pytest.raises(error, match=text):
            graph_of(model, finer=query)


class Twelve:
    """A coder of twelve latents that says nothing of its place."""

    def encode(self, x):
        return x[..., :12]

    def decode(self, latents):
        return latents.repeat_interleave(11, dim=-1)[..., :128]


class Elsewhere(Twelve):
    reads = writes = (Address("resid_post", 1),)


def test_latents_of_a_dictionary_are_nodes_of_their_own(graph):
    model = rz.load("microworld", check=False)
    model.dictionaries["twelve"] = Twelve()
    model.dictionaries["elsewhere"] = Elsewhere()
    finer = graph_of(model, finer="L1.mlp_out/twelve[F11]")
    new = set(finer.names) - set(graph.names)
    assert "embed -> L1.mlp_in/twelve[F11]" in new and "L1.mlp_out/twelve[F11] -> logits" in new
    assert len(new) == len(graph.into("L1.mlp_in")) + len(graph.out_of("L1.mlp_out"))
    for query, error, text in (
        ("L1.mlp_out/twelve[F12]", AddressError, "latent 12 is out of range: twelve has 12"),
        ("L1.mlp_out/elsewhere[F1]", OptionError, "'elsewhere' writes L1.resid_post, not L1.mlp_o"),
    ):
        with pytest.raises(error, match=text):
            graph_of(model, finer=query)


def test_what_is_no_model_is_refused():
    with pytest.raises(OptionError, match="graph_of needs a loaded model"):
        graph_of("microworld")
