"""Path patching: the textbook's two passes, its laws, and equality of the two engines."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import residuum as rz
from residuum.models import Batch
from residuum.patching.path_patching import path_patch
from residuum.patching.paths.forked import ForkedPaths
from residuum.patching.paths.naive import donor_run
from residuum.patching.paths.nodes import make_path_grid
from residuum.patching.paths.streams import base_sites
from residuum.patching.results.path_table import PathTable
from residuum.runs import Forks, metric_named
from residuum.runs.sweeping.plan import Sizes
from residuum.runs.sweeping.reader import AnswerReader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import CAUSAL, CONFIGS, build

OWN_SINGLE_PRECISION = ("gptj", "gpt_neo")
NORMED_OVER_HEADS = ("olmo2", "olmo3")
PARALLEL = ("gptj", "gpt_neox", "falcon")


@cache
def model(name: str = "gpt2", dtype: torch.dtype = torch.float32) -> rz.Model:
    return rz.load(build(name, dtype))


def pairs(rows: int = 3, width: int = 8, lengths: Any = None, **more: Any) -> rz.Task:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(3, 101, (rows, width), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 4] = (clean[:, 4] + 7) % 98 + 3
    corrupt[0, 5] = (clean[0, 5] + 11) % 98 + 3
    return rz.Task.from_pairs(
        clean=clean,
        corrupt=corrupt,
        answers=torch.arange(3, 3 + rows),
        wrong=torch.arange(50, 50 + rows),
        lengths=lengths,
        **more,
    )


def ragged() -> rz.Task:
    return pairs(lengths=torch.tensor([8, 6, 7]))


def logit_diff(logits: torch.Tensor, task: rz.Task) -> np.ndarray:
    rows = torch.arange(len(task))
    last = logits[rows, task.lengths - 1].double()
    return (last[rows, task.answers[:, 0]] - last[rows, task.wrong[:, 0]]).numpy()


def scale(m: rz.Model, table: PathTable, task: rz.Task) -> float:
    ends = np.abs(np.concatenate([table.clean, table.corrupt])).max()
    return float(max(ends, m.run(task.clean).logits.abs().max().item()))


def largest_gap(m: rz.Model, task: rz.Task, *nodes: Any, **options: Any) -> float:
    one = path_patch(m, task, *nodes, engine="forked", **options)
    two = path_patch(m, task, *nodes, engine="naive", **options)
    assert (one.engine, two.engine) == ("forked", "naive")
    assert (np.isnan(one.per_example.values) == np.isnan(two.per_example.values)).all()
    gap = np.nanmax(np.abs(one.per_example.values - two.per_example.values))
    return float(gap) / scale(m, two, task)


# -- the definition ---------------------------------------------------------------------------


def direct(m: rz.Model, base: Any, donor: Any, layer: int, head: int | None) -> torch.Tensor:
    """What a head, or an MLP, of a plain pre-norm model adds more: by weights, without freezing."""
    if head is None:
        return donor["mlp_out", layer] - base["mlp_out", layer]
    change = donor["z", layer] - base["z", layer]
    return change[:, :, head] @ m.W_O[layer][head]


@pytest.mark.parametrize("engine", ["forked", "naive"])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_path_is_the_change_added_to_the_receivers_own_input(
    name: str, direction: str, engine: str
) -> None:
    """By hand: the sender's change, by its weights, on top of what the receiver reads."""
    m, task = model(name), pairs()
    prompts = (task.clean, task.corrupt) if direction == "denoise" else (task.corrupt, task.clean)
    donor = m.run(prompts[0], capture=["z", "mlp_out"])
    base = m.run(
        prompts[1],
        capture=["z", "mlp_out", "q_in", "k_in", "v_in", "mlp_in", "resid_post"],
    )
    table = path_patch(m, task, direction=direction, engine=engine)  # type: ignore[arg-type]
    sent = [(0, 1), (1, 0), (0, None), (1, None)]
    received = ["L2.q_in[H3]", "L2.k_in[H1]", "L2.v_in[H0]", "L2.mlp_in"]
    for layer, head in sent:
        sender = f"L{layer}.mlp_out" if head is None else f"L{layer}.head_out[H{head}]"
        change = direct(m, base, donor, layer, head)
        for receiver in received:
            run = m.run(prompts[1], edits=rz.Patch(receiver, base[receiver] + change))
            expected = logit_diff(run.logits, task) - logit_diff(base.logits, task)
            found = table.per_example.sel(sender=sender, receiver=receiver)
            np.testing.assert_allclose(found, expected, atol=1e-5)
        last = f"L{m.n_layers - 1}.resid_post"
        run = m.run(prompts[1], edits=rz.Patch(last, base[last] + change))
        expected = logit_diff(run.logits, task) - logit_diff(base.logits, task)
        found = table.per_example.sel(sender=sender, receiver="logits")
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.nanmax(np.abs(table.effects)) > 1e-3


# -- forked equals naive ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in CAUSAL if n not in NORMED_OVER_HEADS])
def test_forked_equals_naive(name: str) -> None:
    assert largest_gap(model(name), ragged()) < 1e-5


@pytest.mark.parametrize(
    "name", [n for n in CAUSAL if n not in NORMED_OVER_HEADS + OWN_SINGLE_PRECISION]
)
def test_forked_equals_naive_in_double_precision(name: str) -> None:
    assert largest_gap(model(name, torch.float64), ragged()) < 1e-10


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "falcon", "mixtral"])
@pytest.mark.parametrize("metric", ["prob", "loss_nats"])
def test_forked_equals_naive_noising_and_under_other_metrics(name: str, metric: str) -> None:
    assert largest_gap(model(name), pairs(), direction="noise", metric=metric) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "falcon", "bloom", "qwen3"])
def test_groups_within_a_layer_are_forked(name: str) -> None:
    groups = [
        ("L1.q_in[H0]", "L1.q_in[H2]"),
        ("L2.k_in", "L2.v_in[H0]", "L2.q_in[H3]"),
        "L1.q_in[H0]",
        "L1.q_in[H2]",
    ]
    m = model(name)
    assert largest_gap(m, ragged(), None, groups) < 1e-5
    table = path_patch(m, pairs(), None, groups)
    joint, one, two = table.effects.values[0, [0, 2, 3]]
    assert abs(joint - one - two) > 1e-8 or name == "bloom"  # jointly is more than one by one


@pytest.mark.parametrize("name", NORMED_OVER_HEADS)
def test_a_norm_over_all_heads_is_not_forked(name: str) -> None:
    """There a head's query depends on what the others read; its values do not."""
    table = path_patch(model(name), pairs())
    assert table.engine == "naive" and "normed over all heads" in table.warnings[0]
    assert largest_gap(model(name), pairs(), None, ["v_in", "mlp_in", "logits"]) < 1e-5


def test_an_encoder_is_not_forked() -> None:
    table = path_patch(model("bert"), pairs(), "L0.z", ["L1.q_in", "L1.mlp_in"])
    assert table.engine == "naive" and "encoder" in table.warnings[0]
    assert np.isfinite(table.effects.values).all() and (table.effects != 0).any()
    with pytest.raises(rz.OptionError, match="cannot be forked"):
        path_patch(model("bert"), pairs(), "L0.z", "L1.q_in", engine="forked")


def test_a_model_without_a_proven_seam_is_not_forked() -> None:
    table = path_patch(rz.load(build("gpt2"), check=False), pairs(), "L0.z", "L1.q_in")
    assert table.engine == "naive" and "seam" in table.warnings[0]


GROUPS = (
    ("L1.q_in[H0]", "L2.q_in[H1]"),
    ("L0.v_in", "L2.mlp_in"),
    ("L1.q_in[H2]", "L1.mlp_in"),
    ("L2.k_in[H0]", "L0.mlp_in", "L1.mlp_in", "L0.q_in[H1]"),
)
"""Receivers in several places."""


@pytest.mark.parametrize("via", [(), ["L*.mlp_out", "L1.z[H1]"]], ids=["direct", "via"])
@pytest.mark.parametrize(
    "name", ["gpt2", "llama", "gemma2", "gptj", "falcon", "bloom", "mixtral", "mistral", "qwen3"]
)
def test_groups_over_several_places(name: str, via: Any) -> None:
    assert largest_gap(model(name), ragged(), None, list(GROUPS), via=via) < 1e-5
    if name != "gptj":
        m = model(name, torch.float64)
        assert largest_gap(m, ragged(), None, list(GROUPS), via=via, direction="noise") < 1e-10


def test_in_a_group_the_later_member_does_not_read_what_the_earlier_one_changes() -> None:
    """By hand: both inputs are written, from the direct change alone, in one run."""
    m, task = model(), pairs()
    donor = m.run(task.clean, capture=["z"])
    base = m.run(task.corrupt, capture=["z", "q_in"])
    change = direct(m, base, donor, 0, 1)
    edits = [rz.Patch(at, base[at] + change) for at in GROUPS[0]]
    run = m.run(task.corrupt, edits=edits)
    expected = logit_diff(run.logits, task) - logit_diff(base.logits, task)
    table = path_patch(m, task, "L0.z[H1]", [GROUPS[0]], engine="forked")
    np.testing.assert_allclose(table.per_example.values[0, 0], expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-4


def sized(monkeypatch: pytest.MonkeyPatch, tokens: int, rows: int) -> None:
    module = sys.modules[path_patch.__module__]
    monkeypatch.setattr(module, "sizes_of", lambda *_, **__: Sizes(tokens, rows))


def test_batch_size_and_order_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    m, task = model("llama"), ragged()
    tables = []
    for size in (1, 37, 10_000):
        with monkeypatch.context() as patched:
            sized(patched, size, 3)
            tables.append(path_patch(m, task, engine="forked").per_example.values)
    for other in tables[1:]:
        np.testing.assert_allclose(other, tables[0], atol=1e-5)
    order = [2, 0, 1]
    one, two = (path_patch(m, t) for t in (task, task.subset(order)))
    np.testing.assert_allclose(one.per_example.values[..., order], two.per_example, atol=1e-5)
    turned = path_patch(m, task, list(one.effects.sender.values[::-1]))
    np.testing.assert_allclose(turned.effects.values[::-1], one.effects, atol=1e-5)
    for i in range(len(task)):
        alone = path_patch(m, task[i])
        np.testing.assert_allclose(alone.per_example[..., 0], one.per_example[..., i], atol=1e-5)


@pytest.mark.parametrize("engine", ["forked", "naive"])
def test_many_prompts_are_taken_some_at_a_time(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = pairs(rows=5, lengths=torch.tensor([8, 6, 7, 8, 6]))
    nodes = ["embed", "L0.z", "L1.mlp_out"], ["L1.k_in", "L2.mlp_in", "logits"]
    whole = path_patch(model(), task, *nodes, engine=engine)
    sized(monkeypatch, 64, 2)
    parts = path_patch(model(), task, *nodes, engine=engine)
    np.testing.assert_allclose(parts.per_example, whole.per_example, atol=1e-5)
    np.testing.assert_allclose(parts.clean, whole.clean, atol=1e-5)
    np.testing.assert_allclose(parts.corrupt, whole.corrupt, atol=1e-5)
    assert parts.passes + parts.passes_saved == whole.passes + whole.passes_saved
    assert 0.8 * whole.passes < parts.passes < 1.3 * whole.passes


def test_forks_are_cheaper() -> None:
    table = path_patch(model(), pairs())
    assert table.engine == "forked" and table.warnings[:1] != ("not forked",)
    assert table.passes < 0.2 * (table.passes + table.passes_saved)
    whole = path_patch(model(), pairs(), engine="naive")
    assert whole.passes == table.passes + table.passes_saved and whole.passes_saved == 0


ENDS = ["L{l}.q_in[H{h}]", "L{l}.k_in[H{k}]", "L{l}.v_in[H{k}]", "L{l}.mlp_in"]
PARTS = ["L{l}.z[H{h}]", "L{l}.mlp_out"]


@st.composite
def nodes(draw: st.DrawFn, kinds: list[str], most: int) -> list[str]:
    """Different nodes of a model with three layers, four heads and two key heads."""
    made = [
        draw(st.sampled_from(kinds)).format(
            l=draw(st.integers(0, 2)), h=draw(st.integers(0, 3)), k=draw(st.integers(0, 1))
        )
        for _ in range(draw(st.integers(1, most)))
    ]
    return list(dict.fromkeys(made))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    at=st.integers(0, 7),
    senders=nodes(PARTS, 3),
    one=nodes(ENDS, 4),
    group=nodes(ENDS, 4),
    via=st.sampled_from([(), ["L*.mlp_out"], ["L*.z[H1]", "L0.mlp_out"], ["L*.z", "L*.mlp_out"]]),
)
def test_any_nodes_and_prefix(
    seed: int, at: int, senders: list[str], one: list[str], group: list[str], via: Any
) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(3, 101, (2, 8), generator=generator)
    corrupt = clean.clone()
    corrupt[:, at] = (clean[:, at] + 5) % 98 + 3
    task = rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=torch.tensor([3, 4]), wrong=torch.tensor([5, 6])
    )
    ends = [*one, "logits"] + ([tuple(group)] if len(group) > 1 else [])
    try:
        gap = largest_gap(model("qwen3"), task, ["embed", *senders], ends, via=via)
    except rz.OptionError as error:  # a component of via that is on no path of this table
        assert "between no sender and receiver" in str(error)
        return
    assert gap < 1e-5


# -- laws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gptj", "mixtral"])
def test_clean_into_clean_is_zero(name: str) -> None:
    m, task = model(name), pairs()
    batch = Batch(task.clean, None)
    same = replace(task, corrupt=task.clean)
    plain = path_patch(m, same, engine="naive")
    reader = AnswerReader(m, same, metric_named("logit_diff"))
    grid = make_path_grid(m, None, None, ())
    every = torch.ones_like(task.clean, dtype=torch.bool)  # as if each position differed
    forks = Forks(m.adapted, batch, base_sites(m))
    donor = donor_run(m, grid, batch)
    engine = ForkedPaths(m, grid, forks, donor, every, reader, plain.corrupt, 0, 128)
    with torch.no_grad():
        values = engine.fill()
    cells = ~np.isnan(plain.per_example.values)
    for found in (plain.per_example.values, values - plain.corrupt):
        assert np.abs(found)[cells].max() < 2e-6
    assert cells.any() and (cells == ~np.isnan(values)).all()


def linear(**more: Any) -> rz.Model:
    """A random model without norms: the logits are a linear function of the last stream."""
    from residuum.models.native import NativeConfig, NativeForCausalLM

    torch.manual_seed(2)
    sizes: dict[str, Any] = {"n_layers": 3, "d_model": 32, "n_heads": 4, "d_vocab": 101}
    hf = NativeForCausalLM(NativeConfig(**sizes, n_ctx=16, normalization=None, **more))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return rz.load(hf.double())


@pytest.mark.parametrize("d_mlp", [None, 48])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_direct_effects_on_linear_logits_add_up(d_mlp: int | None, direction: Any) -> None:
    m = linear(d_mlp=d_mlp)
    table = path_patch(m, pairs(), None, "logits", direction=direction, engine="forked")
    total = table.per_example.sel(receiver="logits").sum("sender")
    towards = 1 if direction == "denoise" else -1
    np.testing.assert_allclose(total, towards * (table.clean - table.corrupt), atol=1e-10)
    assert np.abs(total).max() > 0.1
    assert len(table.effects.sender) == 1 + 12 + (0 if d_mlp is None else 3)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gptj"])
def test_via_everything_is_activation_patching(name: str) -> None:
    m, task = model(name), pairs()
    every = ["L*.z[H*]", "L*.mlp_out"]
    sweep = rz.patch(m, task, "z", ("layer", "head"))
    table = path_patch(m, task, ["L0.z", "L1.z"], "logits", via=every)
    expected = sweep.per_example.values[:2].reshape(8, -1)
    np.testing.assert_allclose(table.per_example.values[:, 0], expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-3
    whole = path_patch(m, task, "embed", "logits", via=every)
    np.testing.assert_allclose(
        whole.per_example.values[0, 0], whole.clean - whole.corrupt, atol=1e-5
    )
    donor = m.run(task.clean, capture=["q_in", "mlp_in"])
    base = logit_diff(m.run(task.corrupt).logits, task)
    ends = ["L2.q_in[H1]", "L2.mlp_in"]
    arriving = path_patch(m, task, "embed", ends, via=every)
    for end in ends:
        run = m.run(task.corrupt, edits=rz.Patch(end, donor))
        found = arriving.per_example.sel(sender="embed", receiver=end)
        np.testing.assert_allclose(found, logit_diff(run.logits, task) - base, atol=1e-5)


def test_via_passes_on_what_the_direct_path_does_not() -> None:
    m, task = model(), pairs()
    direct_only = path_patch(m, task, "L0.z[H0]", "L2.q_in[H0]")
    through = path_patch(m, task, "L0.z[H0]", "L2.q_in[H0]", via=["L1.z[H2]", "L1.mlp_out"])
    assert through.via == ("L1.z[H2]", "L1.mlp_out")
    assert abs(float(through.effects[0, 0]) - float(direct_only.effects[0, 0])) > 1e-7


VIAS = (["L*.mlp_out"], ["L1.z[H2]", "L0.mlp_out", "L0:2.z[H1]"], ["L*.z", "L*.mlp_out"])


@pytest.mark.parametrize("via", VIAS, ids=str)
@pytest.mark.parametrize(
    "name", ["gpt2", "llama", "gemma2", "gptj", "falcon", "bloom", "mixtral", "mistral", "qwen3"]
)
def test_forked_equals_naive_with_via(name: str, via: list[str]) -> None:
    assert largest_gap(model(name), ragged(), via=via) < 1e-5
    if name != "gptj":
        assert largest_gap(model(name, torch.float64), ragged(), via=via) < 1e-10


def test_a_norm_over_all_heads_is_forked_where_whole_heads_pass_on() -> None:
    m = model("olmo2", torch.float64)
    assert largest_gap(m, pairs(), None, ["mlp_in", "logits"], via=["L*.z", "L*.mlp_out"]) < 1e-10
    assert largest_gap(m, pairs(), None, "logits", via=["L1.z[H2]"]) < 1e-10


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_the_embedding_into_all_of_a_first_layer_is_its_output(name: str) -> None:
    m, task = model(name), pairs()
    group = ("L0.q_in", "L0.k_in", "L0.v_in")
    table = path_patch(m, task, "embed", [group], engine="forked")
    expected = rz.patch(m, task, "attn_out", ("layer",)).per_example.values[0]
    np.testing.assert_allclose(table.per_example.values[0, 0], expected, atol=1e-5)


# -- the table --------------------------------------------------------------------------------


def test_every_sender_and_every_receiver() -> None:
    table = path_patch(model("llama"), pairs())
    senders, receivers = (list(table.effects.coords[d].values) for d in ("sender", "receiver"))
    heads = [f"L0.head_out[H{h}]" for h in range(4)]
    assert senders[:6] == ["embed", *heads, "L0.mlp_out"] and len(senders) == 16
    first = [f"L0.q_in[H{h}]" for h in range(4)]
    first += [f"L0.{slot}_in[H{h}]" for slot in "kv" for h in range(2)] + ["L0.mlp_in"]
    assert receivers[:9] == first and receivers[-1] == "logits" and len(receivers) == 28
    for sender in senders:
        for receiver in receivers:
            at = rz.Address.parse(sender)
            wrote = -1 if at.layer is None else 2 * int(at.layer) + (at.name == "mlp_out")
            to = rz.Address.parse(receiver)
            read = 99 if to.layer is None else 2 * int(to.layer) + (to.name == "mlp_in")
            value = float(table.effects.sel(sender=sender, receiver=receiver))
            assert np.isfinite(value) == (wrote < read), (sender, receiver)


@pytest.mark.parametrize("name", PARALLEL)
def test_in_parallel_blocks_attention_does_not_feed_the_mlp_beside_it(name: str) -> None:
    table = path_patch(model(name), pairs(), ["L0.z[H0]", "embed"], ["L0.mlp_in", "L1.mlp_in"])
    assert np.isnan(table.effects.values[0, 0]) and np.isfinite(table.effects.values).sum() == 3
    beside = path_patch(model(), pairs(), "L0.z[H0]", "L0.mlp_in")
    assert np.isfinite(beside.effects.values).all()


def test_names_of_nodes() -> None:
    m, task = model(), pairs()
    by_glob = path_patch(m, task, "L*.z[H*]", "L2.q_in[H0]")
    assert by_glob.effects.shape == (12, 1)
    assert np.isnan(by_glob.effects.values[8:]).all() and np.isfinite(by_glob.effects[:8]).all()
    alias = path_patch(m, task, "blocks.0.attn.hook_result[H1]", ("hook_q_input", 2))
    assert list(alias.effects.sender.values) == ["L0.head_out[H1]"]
    assert list(alias.effects.receiver.values) == [f"L2.q_in[H{h}]" for h in range(4)]
    value = by_glob.effect("L0.head_out[H1]", "L2.q_in[H0]")
    assert value == by_glob.effect("L0.z[H1]", "L2.q_in[H0]")
    assert value == float(by_glob.effects.sel(sender="L0.z[H1]", receiver="L2.q_in[H0]"))
    assert value == pytest.approx(alias.effect("L0.z[H1]", "L2.q_in[H0]"), abs=1e-6)
    with pytest.raises(rz.OptionError, match=r"no sender L2.z\[H9\]"):
        by_glob.effect("L2.z[H9]", "L2.q_in[H0]")


@pytest.mark.parametrize(
    ("nodes", "options", "error", "says"),
    [
        (("L0.resid_post", None), {}, rz.OptionError, "is no sender"),
        (("embed", "L1.z[H0]"), {}, rz.OptionError, "is no receiver"),
        (("L0.z[H0]@-1", None), {}, rz.OptionError, "all positions"),
        (("L0.z[H0]", "L0.q_in"), {}, rz.OptionError, "no sender lies before"),
        ((["L0.z[H0]", "L0.head_out[H0]"], None), {}, rz.OptionError, "given twice"),
        (("embed", ["logits", "logits"]), {}, rz.OptionError, "given twice"),
        (("embed", [("logits", "L1.q_in")]), {}, rz.OptionError, "no member of a group"),
        (((), None), {}, rz.OptionError, "senders is empty"),
        (("embed", {"L1.q_in": 1}), {}, rz.OptionError, "names no sites"),
        (("L7.z[H0]", None), {}, rz.AddressError, "out of range"),
        (("L0.z[H9]", None), {}, rz.AddressError, "out of range"),
        (("L0.z", "L1.q_in"), {"via": "L2.z[H0]"}, rz.OptionError, "between no sender"),
        (("L0.z", "L1.q_in"), {"via": "L0.resid_mid"}, rz.OptionError, "no component of via"),
        ((None, None), {"direction": "both"}, rz.OptionError, "unknown direction"),
        ((None, None), {"engine": "quick"}, rz.OptionError, "unknown engine"),
        ((None, None), {"metric": "kl_bits"}, rz.OptionError, "no sign"),
        ((None, None), {"sites": "z"}, rz.OptionError, "unknown option sites"),
    ],
)
def test_what_makes_no_sense_is_refused(
    nodes: tuple[Any, Any], options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        path_patch(model(), pairs(), *nodes, **options)


def test_sites_that_were_not_proven_are_named() -> None:
    m = rz.load(build("gpt2"))
    m.adapted.refused.update({a: "a reason" for a in m.adapted.taps if a.name == "k_in"})
    for address in list(m.adapted.refused):
        del m.adapted.taps[address]
    table = path_patch(m, pairs())
    assert not [r for r in table.effects.receiver.values if "k_in" in r]
    assert "k_in is left out: a reason" in table.warnings
    with pytest.raises(rz.ResiduumError, match="not available"):
        path_patch(m, pairs(), "embed", "L1.k_in")


@pytest.mark.parametrize("site", ["q", "k", "v"])
def test_without_proven_queries_keys_or_values_nothing_is_forked(site: str) -> None:
    m = rz.load(build("gpt2"))
    at = rz.Address(site, 1)
    m.adapted.refused[at] = "a reason"
    del m.adapted.taps[at]
    table = path_patch(m, pairs(), "L0.z", ["L1.k_in", "logits"])
    assert table.engine == "naive" and f"L1.{site} could not be proven" in table.warnings[0]
    expected = path_patch(model(), pairs(), "L0.z", ["L1.k_in", "logits"])
    np.testing.assert_allclose(table.effects, expected.effects, atol=1e-5)


class Listener:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def start(self, stage: str, total: int) -> None:
        self.heard.append((stage, total))

    def advance(self, steps: int = 1) -> None:
        self.heard.append(steps)

    def finish(self) -> None:
        self.heard.append("end")


@pytest.mark.parametrize("engine", ["forked", "naive"])
def test_every_block_is_reported(engine: Any) -> None:
    listener = Listener()
    table = path_patch(model(), pairs(), "L0.z", engine=engine, progress=listener)
    blocks = 1 + 1  # the prompts as they are, and all four senders
    assert len(table.effects.sender) == 4
    assert listener.heard == [("path patching", blocks), *[1] * blocks, "end"]


def test_two_workers_and_a_resumed_table_say_the_same(tmp_path: Path) -> None:
    whole = path_patch(model(), pairs())
    kept = [path_patch(model(), pairs(), keep=tmp_path) for _ in range(2)]
    assert len(list(tmp_path.iterdir())) == 1
    assert (kept[0].per_example.values == kept[1].per_example.values)[
        ~np.isnan(kept[0].per_example.values)
    ].all()
    apart = path_patch(model(), pairs(), jobs=2)
    for other in (kept[0], apart):
        np.testing.assert_allclose(other.per_example, whole.per_example, atol=1e-5)


def test_too_little_memory_is_said() -> None:
    with pytest.raises(rz.OptionError, match="takes about"):
        path_patch(model(), pairs(), max_memory=1000)


def test_every_family_is_named() -> None:
    assert set(NORMED_OVER_HEADS) | set(PARALLEL) <= set(CONFIGS)
