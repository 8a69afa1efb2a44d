"""What is refused, with its reason and a mend."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_transcoders import coder, transcoders
from tiny import loaded, random_ids

import residuum as rz
from residuum.circuits import attribution_graph
from residuum.core import (
    AddressError,
    LoadError,
    OptionError,
    ShapeError,
    SiteRefused,
    TokenError,
)

IDS = random_ids(1, 5)


@pytest.fixture(scope="module")
def model():
    return loaded("gpt2")


@pytest.fixture(scope="module")
def given(model):
    return transcoders(model)


def test_an_encoder_is_refused_with_the_reason():
    with pytest.raises(OptionError, match="in an encoder a norm stands in the stream itself"):
        attribution_graph(loaded("bert"), IDS, {0: coder("L0.mlp_in", ("L0.mlp_out",))})


def test_a_model_that_was_not_checked_is_refused(given):
    bare = rz.load("microworld", check=False)
    with pytest.raises(OptionError, match="layer seam is not proven") as error:
        attribution_graph(bare, "Mary went to the store .", given)
    assert "check=True" in error.value.mend


WRONG = {
    "an SAE": ((("L1.mlp_out",), ("L1.mlp_out",)), "is an sae of L1.mlp_out, no transcoder"),
    "another layer": ((("L0.ln2",), ("L0.mlp_out",)), "reads L0.ln2, which is of another layer"),
    "another site": ((("L1.resid_post",), ("L1.mlp_out",)), "reads L1.resid_post, which its MLP"),
    "before attention": ((("L1.ln1",), ("L1.mlp_out",)), "reads L1.ln1, which its MLP does not"),
    "writes attention": ((("L1.ln2",), ("L1.attn_out",)), "not what an MLP adds"),
    "writes backward": ((("L1.ln2",), ("L0.mlp_out", "L1.mlp_out")), "writes L0.mlp_out"),
    "skips its own": ((("L1.ln2",), ("L2.mlp_out",)), "writes L2.mlp_out"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_dictionary_that_stands_for_no_mlp_is_refused(model, case):
    (reads, writes), words = WRONG[case]
    with pytest.raises(OptionError, match=words) as error:
        attribution_graph(model, IDS, {1: coder(reads[0], writes)})
    assert "layer 1" in error.value.what and error.value.mend


def test_several_layers_read_at_once_are_refused(model):
    sites = tuple(f"L{i}.ln2" for i in range(2))
    one = coder("L0.ln2", ("L0.mlp_out",))
    joint = replace(
        one, reads=sites, writes=("L0.mlp_out", "L1.mlp_out"), W_enc=torch.randn(2, 32, 12),
        W_dec=torch.randn(12, 2, 32), b_dec=torch.zeros(2, 32),
    )  # fmt: skip
    with pytest.raises(OptionError, match="reads 2 sites at once"):
        attribution_graph(model, IDS, {0: joint})


def test_transcoders_of_another_model_are_refused(model, given):
    other = replace(given[0], weight_hash="ab" * 32)
    with pytest.raises(LoadError, match="trained on other weights"):
        attribution_graph(model, IDS, {0: other})
    with pytest.raises(LoadError, match="vectors of 16 numbers"):
        attribution_graph(model, IDS, {0: coder("L0.ln2", ("L0.mlp_out",), 16)})
    with pytest.raises(AddressError):
        attribution_graph(model, IDS, {7: coder("L7.ln2", ("L7.mlp_out",))})


def test_no_transcoders_are_refused(model, given):
    for wrong in ({}, None, [given[0]], {"0": given[0]}, {-1: given[2]}, 3):
        with pytest.raises(OptionError, match="names no transcoder of a layer"):
            attribution_graph(model, IDS, wrong)
    with pytest.raises(OptionError, match="which is no dictionary"):
        attribution_graph(model, IDS, {0: 5})
    with pytest.raises(OptionError, match="the model has no dictionary 'absent'; it has: none"):
        attribution_graph(model, IDS, {0: "absent"})


def test_a_dictionary_on_the_model_is_taken_by_name(model, given):
    own = rz.Model(model.adapted, model.report)
    own.dictionaries["first"] = given[0]
    graph = attribution_graph(own, IDS, {0: "first"}, skip=())
    assert graph.all_nodes[0].name.startswith("L0.ln2/first[F")


def test_no_active_latent_is_refused(model, given):
    silent = replace(given[0], b_enc=torch.full((12,), -1e4))
    with pytest.raises(OptionError, match="no latent of the transcoders is active") as error:
        attribution_graph(model, IDS, {0: silent})
    assert "fit_dictionary" in error.value.mend


def test_a_prompt_too_long_for_the_memory_is_refused(model, given):
    with pytest.raises(OptionError, match="a prompt of 60 tokens would take about") as error:
        attribution_graph(model, random_ids(1, 60), given, max_memory="0.5 MB")
    assert "max_memory" in error.value.mend
    with pytest.raises(OptionError, match="active features would take about"):
        attribution_graph(model, IDS, given, max_memory=200_000)
    assert attribution_graph(model, IDS, given, max_memory=None).n_active > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": []}, {"target": [3, 3]}, {"target": {}}, {"target": {3: "much"}},
        {"target": {3: 0}}, {"target": {3: 1e300}}, {"target": {3: float("nan")}},
        {"target": 3.5}, {"target_share": 0}, {"target_share": True},
        {"max_targets": 0}, {"max_nodes": 0}, {"node_threshold": 1.5}, {"edge_threshold": -1},
        {"max_memory": "much"}, {"skip": "bos"}, {"thresholds": 3},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_and_targets_out_of_range_are_refused(model, given, wrong):
    with pytest.raises(OptionError) as error:
        attribution_graph(model, IDS, given, **wrong)
    assert error.value.mend


def test_tokens_that_are_none_are_refused(model, given):
    with pytest.raises(TokenError, match="out of range"):
        attribution_graph(model, IDS, given, target=101)
    with pytest.raises(TokenError, match="is no token"):
        attribution_graph(model, IDS, given, target=[True])
    with pytest.raises(TokenError, match="of one prompt, got 2"):
        attribution_graph(model, random_ids(2, 5), given)


def test_attention_that_is_not_its_weights_is_refused(given):
    """An adapter that is put on later must not be left out of the sums silently."""
    from configs import build

    model = rz.load(build("gpt2"))
    with torch.no_grad():
        proj = model.adapted.parts.layers[1].o_proj
        handle = proj.register_forward_hook(lambda _, args, out: out * 1.5)
    try:
        with pytest.raises(SiteRefused, match="is not what its pattern and weights say") as error:
            attribution_graph(model, IDS, given)
        assert error.value.where == "L1.attn_out"
    finally:
        handle.remove()
    assert attribution_graph(model, IDS, given).n_active > 0


def test_a_norm_that_is_no_affine_map_is_refused(given):
    from configs import build

    model = rz.load(build("gpt2"))
    norm = model.adapted.parts.layers[1].ln2
    handle = norm.register_forward_hook(lambda _, args, out: out + 0.1 * out.square())
    try:
        with pytest.raises(SiteRefused, match="is no affine map at a frozen scale") as error:
            attribution_graph(model, IDS, given)
        assert error.value.where == "L1.ln2"
    finally:
        handle.remove()


def test_a_contrast_that_names_a_token_twice_is_refused():
    model = rz.load("microworld")
    coders = {1: coder("L1.ln2", ("L1.mlp_out",), 128)}
    same = {"Paris": 1, model.to_single_token("Paris"): -1}
    with pytest.raises(OptionError, match="twice, the second time as"):
        attribution_graph(model, "The capital of France is", coders, target=same)


@pytest.mark.parametrize("name", ["W_enc", "W_dec", "b_dec", "b_enc"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(model, given, name, wrong):
    value = getattr(given[0], name).clone()
    value.view(-1)[1] = wrong
    with pytest.raises(ShapeError, match=f"{name} holds NaN or infinity"):
        attribution_graph(model, IDS, {0: replace(given[0], **{name: value})})


def test_an_empty_prompt_is_refused(model, given):
    with pytest.raises(TokenError, match="the prompt is empty"):
        attribution_graph(model, IDS[:, :0], given)


def test_one_token_has_a_graph_and_no_variance(model, given):
    graph = attribution_graph(model, IDS[:, :1], given, skip=())
    assert graph.gap < 1e-4 and graph.of_kind("token").sum() == 1
    assert dict(graph.unexplained) == {} and "MLPs' variance" not in str(graph)
    assert "one token does not vary, so what is left unexplained is not known" in graph.warnings
    two = attribution_graph(model, IDS[:, :2], given, skip=(0,))
    assert dict(two.unexplained) == {} and "not known" in str(two)


def test_more_nodes_and_targets_than_there_are_is_all_of_them(model, given):
    graph = attribution_graph(
        model, IDS, given, skip=(), max_nodes=10**9, max_targets=10**9, target_share=1.0
    )
    assert graph.of_kind("feature").sum() == graph.n_active
    assert graph.of_kind("logit").sum() == model.d_vocab
