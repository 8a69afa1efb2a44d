"""Direct logit attribution: the terms are what the parts write, and they sum to the logits."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import INDUCTION, LETTERS, handmade_induction

import residuum as rz
from residuum.lenses import direct_logit_attribution
from residuum.lenses.final_norm import freeze_norm
from residuum.models.family import FAMILIES
from residuum.models.native import NativeConfig, NativeForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import id_task, model, talker

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import CAUSAL, CONFIGS, build

CAPPED = ("gemma2",)


@pytest.mark.parametrize("name", CAUSAL)
def test_terms_sum_to_the_logit_difference(name: str) -> None:
    held, task = model(name), id_task()
    found = direct_logit_attribution(held, task, neurons="moe" not in name and "mixt" not in name
                                     and name != "gpt_oss", sources=True, batch_size=3)  # fmt: skip
    run = held.run(task.clean)
    own = run.last.gather(1, task.answers) - run.last.gather(1, task.wrong)
    np.testing.assert_allclose(found.logits, own[:, 0].double(), atol=1e-6)
    np.testing.assert_allclose(found.total, found.pre_cap, atol=1e-5)
    if name in CAPPED:
        assert found.cap == 30.0 and "before the soft cap at ±30" in found.summary()
        logits = 30.0 * np.arctanh(run.last.double().numpy() / 30.0)
        before = np.take_along_axis(logits, task.answers.numpy(), 1)
        before -= np.take_along_axis(logits, task.wrong.numpy(), 1)
        np.testing.assert_allclose(found.total, before[:, 0], atol=1e-4)
    else:
        assert found.cap is None and "cap" not in found.summary()
        np.testing.assert_allclose(found.total, found.logits, atol=1e-5)
    assert np.abs(found.total).max() > 1e-3
    by_layer = found.by_layer()[["attention", "mlp"]].to_numpy().sum()
    outside = sum(found[t].logits for t in found.terms if not t.startswith("L"))
    assert by_layer + outside == pytest.approx(found.total.mean(), abs=1e-9)
    _parts_of_parts_sum(found)


def _parts_of_parts_sum(found) -> None:
    moved = found.sources.sum("k_pos", skipna=True)
    for layer in range(moved.sizes["layer"]):
        for head in range(moved.sizes["head"]):
            whole = found.per_example.sel(term=f"L{layer}.head_out[H{head}]")
            np.testing.assert_allclose(moved[layer, head], whole, atol=1e-6)
        if found.neurons is not None:
            units = found.neurons[layer].sum("neuron") + found.neuron_bias[layer]
            mlp = found.per_example.sel(term=f"L{layer}.mlp_out")
            np.testing.assert_allclose(units, mlp, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "granite", "cohere", "olmo2", "stablelm"])
def test_a_term_is_what_its_part_does_at_a_frozen_norm(name: str) -> None:
    """Independent of the decomposition: take the part out of the last stream, norm held still."""
    held, task = model(name, torch.float64), id_task()
    found = direct_logit_attribution(held, task)
    last = f"L{held.n_layers - 1}.resid_post"
    run = held.run(task.clean, capture=[last, "L1.head_out", "L0.mlp_out", "embed"])
    parts = {"L1.head_out[H2]": run["L1.head_out[H2]"], "L0.mlp_out": run["L0.mlp_out"],
             "embed": run["embed"]}  # fmt: skip
    norm = held.adapted.parts.final_norm
    centred = "LayerNorm" in type(norm).__name__
    stream = run[last]
    spread = stream - stream.mean(-1, keepdim=True) if centred else stream
    eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    scale = 1 / (spread.square().mean(-1, keepdim=True) + eps).sqrt()
    gain = norm.weight + 1 if "Gemma" in type(norm).__name__ else norm.weight
    config = held.hf.config
    factor = getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)
    columns = held.hf.lm_head.weight
    direction = (columns[task.answers[:, 0]] - columns[task.wrong[:, 0]]) * factor
    for term, part in parts.items():
        moved = part - part.mean(-1, keepdim=True) if centred else part
        by_hand = ((moved * scale * gain)[:, -1] * direction).sum(-1).detach()
        np.testing.assert_allclose(found.per_example.sel(term=term), by_hand, atol=1e-5)
        assert by_hand.abs().max() > 1e-4


def test_biases_are_terms_of_their_own() -> None:
    held, task = rz.load(build("gpt2"), check=False), id_task()
    with torch.no_grad():
        held.hf.transformer.ln_f.bias.zero_()
        without = direct_logit_attribution(held, task)
        held.hf.transformer.ln_f.bias.copy_(torch.arange(32) * 0.1)
        found = direct_logit_attribution(held, task)
    assert "b_ln_final" not in without.terms
    W = held.W_U.double()
    by_hand = (W[:, task.answers[:, 0]] - W[:, task.wrong[:, 0]]).T @ (
        torch.arange(32) * 0.1
    ).double()
    np.testing.assert_allclose(found.per_example.sel(term="b_ln_final"), by_hand, atol=1e-5)
    assert {"pos_embed", "L0.b_O", "L2.b_O"} <= set(found.terms)
    phi = direct_logit_attribution(model("phi"), task)
    bias = model("phi").hf.lm_head.bias.detach().double()
    expected = bias[task.answers[:, 0]] - bias[task.wrong[:, 0]]
    np.testing.assert_allclose(phi.per_example.sel(term="b_U"), expected, atol=1e-9)


def test_the_hand_set_induction_head_writes_the_answer_from_where_it_looks() -> None:
    held = rz.load(handmade_induction())
    prompt = [0, 3, 7, 5, 2, 9, 4, 1, 8, 3]
    found = direct_logit_attribution(held, prompt, answers=7, wrong=5, sources=True)
    head = f"L1.head_out[H{INDUCTION}]"
    assert found.top(1)[0].at == head
    assert found[head].logits == pytest.approx(1.0, rel=1e-6)
    of_positions = found["L0.head_out[H0]"].logits + found["L1.head_out[H0]"].logits
    assert of_positions == pytest.approx(found.logits[0] - 1.0, rel=1e-5)
    others = {head, "L0.head_out[H0]", "L1.head_out[H0]"}
    assert all(abs(found[term].logits) < 1e-6 for term in set(found.terms) - others)
    moved = found.sources.values[1, INDUCTION, :, 0]
    assert int(np.abs(moved).argmax()) == prompt.index(7)
    assert moved[prompt.index(7)] == pytest.approx(found[head].logits, rel=1e-6)
    assert held.d_vocab == LETTERS and found.terms[-1].startswith("L1")


def test_one_tokens_logit_and_any_position() -> None:
    held = talker()
    found = direct_logit_attribution(held, ["the cat sat on", "the dog ran"], answers="mat")
    run = held.run(["the cat sat on", "the dog ran"])
    np.testing.assert_allclose(found.logits, run.last[:, 11].double(), atol=1e-6)
    np.testing.assert_allclose(found.total, found.logits, atol=1e-5)
    assert found.metric == "logit" and found.tokens == ("the", "cat", "sat", "on")
    second = direct_logit_attribution(held, "the cat sat on", answers=["mat"], wrong="dog", pos=1)
    logits = held.run("the cat sat on").logits[0, 1].double()
    np.testing.assert_allclose(second.total, [logits[11] - logits[6]], atol=1e-5)


def test_padded_rows_equal_single_ones() -> None:
    held = talker()
    both = direct_logit_attribution(
        held, ["the cat sat on", "the dog"], answers=["mat", "cat"], sources=True
    )
    alone = direct_logit_attribution(held, "the dog", answers="cat", sources=True)
    np.testing.assert_allclose(both.per_example[:, 1], alone.per_example[:, 0], atol=1e-5)
    np.testing.assert_allclose(both.sources[:, :, :2, 1], alone.sources[..., 0], atol=1e-5)
    assert np.isnan(both.sources[:, :, 2:, 1]).all()


def test_intervals_are_those_of_the_bootstrap_by_template() -> None:
    task = id_task()
    names = {"templates": ("a", "a", "b", "b")}
    labelled = rz.Task.from_pairs(clean=task.clean, corrupt=task.corrupt, answers=task.answers,
                                  wrong=task.wrong, **names)  # fmt: skip
    by_template = direct_logit_attribution(model("gpt2"), labelled, seed=3)
    by_pair = direct_logit_attribution(model("gpt2"), task, seed=3)
    from residuum.runs import bootstrap_mean_interval

    values = by_pair.per_example.sel(term="L1.mlp_out").values
    assert by_pair["L1.mlp_out"].interval == pytest.approx(bootstrap_mean_interval(values, seed=3))
    halves = [values[:2].mean(), values[2:].mean()]
    assert by_template["L1.mlp_out"].interval == pytest.approx((min(halves), max(halves)))
    assert by_template["L1.mlp_out"].logits == pytest.approx(values.mean())


def test_corrupt_prompts_are_the_other_side() -> None:
    task = id_task()
    other = direct_logit_attribution(model("gpt2"), task, side="corrupt")
    swapped = direct_logit_attribution(model("gpt2"), task.swap(answers=False))
    np.testing.assert_allclose(other.per_example, swapped.per_example, atol=1e-9)


def test_tables_pictures_and_files(tmp_path: Path) -> None:
    found = direct_logit_attribution(model("gpt2"), id_task(), neurons=True, sources=True)
    frame = found.to_dataframe()
    row = frame[(frame.layer == 1) & (frame["head"] == 2)].iloc[0]
    assert row.term == "L1.head_out[H2]"
    assert row.logits == pytest.approx(found.heads.values[1, 2])
    tops = found.top(4)
    assert [abs(t.logits) for t in tops] == sorted((abs(t.logits) for t in tops), reverse=True)
    unit = found.top_neurons(1)[0]
    means = found.neurons.mean("example").values
    assert abs(unit.logits) == pytest.approx(np.abs(means).max())
    picture = found.figure("parts").to_json()
    assert picture["row_labels"] == ["L2", "L1", "L0"]
    assert picture["col_labels"] == ["H0", "H1", "H2", "H3", "bias", "MLP"]
    assert picture["values"][1][2] == pytest.approx(found.heads.values[1, 2], rel=1e-5)
    for kind in ("bars", "neurons", "sources"):
        assert "later parts" in json.dumps(found.figure(kind).to_json())
    for suffix in (".json", ".csv", ".html", ".png"):
        found.save(tmp_path / f"dla{suffix}")
    data = json.loads((tmp_path / "dla.json").read_text())
    np.testing.assert_allclose(data["contributions"], found.contributions)
    assert data["provenance"]["task_hash"] == id_task().task_hash
    with pytest.raises(rz.OptionError, match="cannot save"):
        found.save(tmp_path / "dla.txt")


def test_what_cannot_be_split_is_refused() -> None:
    assert "bert" in CONFIGS
    with pytest.raises(rz.AddressError, match="norms the stream itself"):
        direct_logit_attribution(model("bert"), [4, 5, 6], answers=7)
    task, held = id_task(), model("gpt2")
    with pytest.raises(rz.OptionError, match="need the token"):
        direct_logit_attribution(held, [4, 5, 6])
    with pytest.raises(rz.OptionError, match="brings its own answers"):
        direct_logit_attribution(held, task, answers=3)
    with pytest.raises(rz.OptionError, match="no neurons"):
        direct_logit_attribution(model("mixtral"), task, neurons=True)
    with pytest.raises(rz.TokenError, match="out of range"):
        direct_logit_attribution(held, [4, 5], answers=101)
    with pytest.raises(rz.TokenError, match="pos=7 is out of range"):
        direct_logit_attribution(held, [4, 5], answers=1, pos=7)
    with pytest.raises(rz.OptionError, match="unknown option neuron "):
        direct_logit_attribution(held, task, neuron=True)
    found = direct_logit_attribution(held, task)
    with pytest.raises(rz.OptionError, match=r"no term 'L0\.head_out"):
        found["L0.head_out[H9]"]
    with pytest.raises(rz.OptionError, match="sources were not computed"):
        found.figure("sources")


def test_a_head_that_is_no_norm_is_refused_and_odd_norms_are_read() -> None:
    stream = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    with pytest.raises(rz.AddressError, match="no LayerNorm or RMSNorm"):
        freeze_norm(torch.nn.Sequential(torch.nn.Linear(7, 7), torch.nn.GELU()), stream)
    norm = torch.nn.LayerNorm(7)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    frozen = freeze_norm(norm, stream)
    made = frozen.parts(stream) + frozen.bias
    torch.testing.assert_close(made, norm(stream).detach().double(), atol=1e-5, rtol=1e-5)
    d = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close((frozen.parts(x) * d).sum(-1), (frozen.pull_back(d) * x).sum(-1))


def test_a_soft_cap_that_bites_is_said_and_the_sum_is_before_it() -> None:
    held, task = rz.load(build("gemma2", final_logit_softcapping=0.4)), id_task()
    found = direct_logit_attribution(held, task)
    logits = held.run(task.clean).last.double()
    before = 0.4 * torch.atanh(logits / 0.4)
    own, uncapped = (
        (each.gather(1, task.answers) - each.gather(1, task.wrong))[:, 0]
        for each in (logits, before)
    )
    np.testing.assert_allclose(found.logits, own, atol=1e-6)
    np.testing.assert_allclose(found.total, uncapped, atol=1e-4)
    assert np.abs(found.total - found.logits).max() > 0.02
    assert found.cap == 0.4 and "soft cap at ±0.4" in found.summary()


def test_a_stream_that_is_not_the_sum_of_its_parts_is_found_out() -> None:
    held, task = rz.load(build("gpt2"), check=False), id_task()
    extra = torch.randn(32, generator=torch.Generator().manual_seed(1)) * 0.1
    block = held.hf.transformer.h[1]
    plain = block.forward
    block.forward = lambda *given, **options: plain(*given, **options) + extra  # no hook to prove
    with pytest.raises(rz.CheckFailed, match="L1 adds something that neither"):
        direct_logit_attribution(held, task)
    del block.forward
    direct_logit_attribution(held, task)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_says_how_far_its_sum_is_from_the_logits(
    name: str, dtype: torch.dtype
) -> None:
    held, task = rz.load(build(name, dtype), check=False), id_task()
    found = direct_logit_attribution(held, task)
    last = held.run(task.clean).last.double()
    own = (last.gather(1, task.answers) - last.gather(1, task.wrong))[:, 0]
    aim = found.pre_cap if found.cap else own.numpy()
    assert found.gap == pytest.approx(np.abs(found.total - aim).max())
    assert found.largest_logit == pytest.approx(float(last.abs().max()))
    assert 1e-6 < found.gap < 0.02
    share = found.gap / found.largest_logit
    assert share > 1e-4 and not found.exact
    for text in (found.summary(), repr(found), found.figure("bars").caption):
        assert f"(gap {found.gap:.1e})" in text
        assert f"not exact: the gap is {share:.1e} of the largest logit" in text
        assert str(dtype).removeprefix("torch.") in text
    assert found.to_json()["exact"] is False


def test_an_exact_sum_shows_its_gap_and_says_no_more() -> None:
    found = direct_logit_attribution(model("gpt2"), id_task())
    assert found.exact and found.gap <= 1e-4 * found.largest_logit
    assert f"(gap {found.gap:.1e})" in found.summary() and "not exact" not in found.summary()


def test_a_gap_past_the_bound_is_said_in_any_precision() -> None:
    """The bound is on the gap as it is, not on the dtype."""
    found = direct_logit_attribution(model("gpt2"), id_task())
    for share, said in ((0.9e-4, False), (1.1e-4, True)):
        moved = replace(found, gap=share * found.largest_logit)
        assert ("not exact" in moved.summary()) is said
        assert moved.exact is not said


@pytest.mark.parametrize("name", CAUSAL)
def test_every_term_is_what_its_part_does_at_a_frozen_norm(name: str) -> None:
    """Every family, every term: heads, MLPs, embeddings and biases, by hand from the run."""
    held, task = model(name, torch.float64), id_task()
    found = direct_logit_attribution(held, task)
    pull, bias = _by_hand(held, task)
    names = [t for t in found.terms if not t.endswith("b_O") and t not in bias]
    run = held.run(task.clean, capture=[*names, "attn_out"])
    done = {}
    for term in names:
        done[term] = (run[term][:, -1] * pull).sum(-1)
    for layer in range(held.n_layers):
        whole = (run["attn_out", layer][:, -1] * pull).sum(-1)
        heads = sum(done[f"L{layer}.head_out[H{h}]"] for h in range(held.n_heads))
        if f"L{layer}.b_O" in found.terms:
            done[f"L{layer}.b_O"] = whole - heads
        else:
            assert (whole - heads).abs().max() < 1e-6
    done |= bias
    assert set(done) == set(found.terms)
    assert {"embed", "L0.head_out[H0]", "L0.mlp_out"} <= set(done)
    for term, by_hand in done.items():
        np.testing.assert_allclose(found.per_example.sel(term=term), by_hand, atol=2e-6)
    assert max(float(value.abs().max()) for value in done.values()) > 1e-2


def _by_hand(held: rz.Model, task: rz.Task) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What a vector added to the last stream moves the difference by, ``[batch d_model]``; biases.

    From the definition of each norm and the family's own configuration: none of it from the room.
    """
    hf, norm, last = held.hf, held.adapted.parts.final_norm, f"L{held.n_layers - 1}.resid_post"
    kind = type(norm).__name__
    stream = held.run(task.clean, capture=[last])[last][:, -1]
    centred = "LayerNorm" in kind
    spread = stream - stream.mean(-1, keepdim=True) if centred else stream
    eps = next((getattr(norm, n) for n in ("eps", "variance_epsilon") if hasattr(norm, n)), 1e-5)
    weight = getattr(norm, "weight", None)
    gain = torch.ones(stream.shape[-1]).double() if weight is None else weight.detach()
    gain = gain + 1 if kind.startswith(("Gemma", "Nemotron")) else gain
    scale = (spread.square().mean(-1, keepdim=True) + eps).rsqrt()
    head, config = hf.get_output_embeddings(), hf.config
    factor = getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)
    right, wrong = task.answers[:, 0], task.wrong[:, 0]
    direction = (head.weight[right] - head.weight[wrong]).detach() * factor
    pull = direction * gain * scale
    pull = pull - pull.mean(-1, keepdim=True) if centred else pull
    offset, bias = getattr(norm, "bias", None), {}
    if isinstance(offset, torch.Tensor):
        bias["b_ln_final"] = direction @ offset.detach()
    if head.bias is not None:
        bias["b_U"] = (head.bias[right] - head.bias[wrong]).detach() * factor
    return pull, bias


def test_every_family_with_a_soft_cap_says_so_and_no_other_does() -> None:
    """By the configuration: a family of the table that caps its logits is never taken as exact."""
    capped = set()
    for name in CAUSAL:
        found = direct_logit_attribution(model(name), id_task())
        cap = getattr(model(name).hf.config, "final_logit_softcapping", None)
        assert found.cap == cap
        assert ("before the soft cap" in found.summary()) is (cap is not None)
        capped |= {name} if cap else set()
    assert capped == set(CAPPED)
    other = rz.load(build("gemma3_text", final_logit_softcapping=20.0), check=False)
    assert "before the soft cap at ±20" in direct_logit_attribution(other, id_task()).summary()


def test_every_family_of_the_table_is_among_them() -> None:
    tried = {CONFIGS[name][0] for name in CAUSAL}
    table = {each for row in FAMILIES for each in row.model_types}
    assert table - tried == {"bert", "residuum_native"}  # refused; and below


@pytest.mark.parametrize("normalization", [None, "layernorm"])
def test_residuums_own_models_sum_too(normalization: str | None) -> None:
    config = NativeConfig(n_layers=2, n_heads=2, d_model=16, d_head=8, d_vocab=101, n_ctx=16,
                          d_mlp=24, normalization=normalization)  # fmt: skip
    torch.manual_seed(3)
    made = NativeForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    found = direct_logit_attribution(rz.load(made, check=False), id_task(), neurons=True)
    np.testing.assert_allclose(found.total, found.logits, atol=1e-5)
    assert found.exact and found.top_neurons(1)[0].logits != 0
    assert {"embed", "L1.mlp_out", "L0.head_out[H1]"} <= set(found.terms)
