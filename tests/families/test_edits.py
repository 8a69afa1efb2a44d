from __future__ import annotations

import pytest
import torch
from configs import CAUSAL
from tiny import (
    MIXTURES,
    PARALLEL,
    POST_NORMS,
    bare_logits,
    gap,
    loaded,
    noise,
    pad,
    ragged_ids,
    random_ids as ids_of,
)

import residuum as rz
from residuum.runs.record import record_calls

F64 = torch.float64
TIGHT = 1e-6  # in float64, of models that compute norms and softmax in float32 inside
SEVERAL = (
    "gpt2",
    "llama",
    "gemma2",
    "olmo2",
    "gpt_neox",
    "falcon",
    "gpt_oss",
    "mixtral",
    "granite",
)
ALL = (*CAUSAL, "bert")


def base_run(model, ids):
    return model.run(ids, capture=list(model.sites))


class Rebuilt:
    """The rest of the model after a block's changed output, by the model's own blocks."""

    def __init__(self, model, ids):
        self.model, self.ids = model, ids
        self.records = record_calls(model.adapted, model.adapted.tokens.batch(ids))[0]

    def logits_from(self, layer, output):
        """Logits when block ``layer`` hands on ``output``: every later block is called anew."""
        block = self.model.adapted.parts.layers[layer].block

        def instead(_, args, out):
            return (output, *out[1:]) if isinstance(out, tuple) else output

        handle = block.register_forward_hook(instead)
        logits = bare_logits(self.model, self.ids)
        handle.remove()
        return logits

    def block(self, layer, change_qkv=None, change_z=None, change_attn=None, mlp_stream=None):
        """One block from the seam, with changes on the way."""
        seam, record = self.model.seam, self.records[layer]
        part = self.model.adapted.parts.layers[layer]
        stream = record.stream
        with torch.no_grad():
            q, k, v = seam.qkv(layer, seam.norm(layer, stream), record.call)
            if change_qkv is not None:
                q, k, v = change_qkv(q, k, v, stream, record.call)
            z = seam.attend(layer, q, k, v, record.call)
            z = change_z(z) if change_z else z
            attn = seam.out(layer, z)
            attn = change_attn(attn) if change_attn else attn
            middle = stream if part.wiring == "parallel" else stream + attn
            read = mlp_stream(middle) if mlp_stream else middle
            mlp = seam.mlp(layer, read)
            return stream + attn + mlp


def projected_anew(model, ids, slot, head, change):
    """Logits when one head's projection in block 1 reads a changed stream."""
    module = getattr(model.hf.model.layers[1].self_attn, f"{slot}_proj")
    own = slice(head * model.dims.d_head, (head + 1) * model.dims.d_head)

    def instead(_, args, out):
        out = out.clone()
        out[..., own] = ((args[0] + change) @ module.weight.T)[..., own]
        return out

    handle = module.register_forward_hook(instead)
    logits = bare_logits(model, ids)
    handle.remove()
    return logits


@pytest.mark.parametrize("slot", "qkv")
@pytest.mark.parametrize("name", CAUSAL)
def test_own_inputs_of_heads(name, slot):
    model, ids = loaded(name, F64), ids_of(2, 6)
    rebuilt = Rebuilt(model, ids)
    heads = model.n_heads if slot == "q" else model.dims.n_kv_heads
    head, layer = heads - 1, 1
    change = noise((6, 32), 1, F64)

    def swap(q, k, v, stream, call):
        own = model.seam.qkv(layer, model.seam.norm(layer, stream + change), call)
        found = [q.clone(), k.clone(), v.clone()]
        found["qkv".index(slot)][:, :, head] = own["qkv".index(slot)][:, :, head]
        return found

    if (
        name in ("olmo2", "olmo3") and slot != "v"
    ):  # its norm on queries and keys sees all heads together
        expected = projected_anew(model, ids, slot, head, change)
    else:
        expected = rebuilt.logits_from(layer, rebuilt.block(layer, change_qkv=swap))
    edit = rz.Add(f"L1.{slot}_in[H{head}]", change)
    run = model.run(ids, edits=[edit], capture=["L1.resid_pre", f"L1.{slot}_in"])
    assert gap(run.logits, expected) < TIGHT
    assert (run.logits - bare_logits(model, ids)).abs().max() > 1e-3
    record = rebuilt.records[layer]
    assert gap(run["L1.resid_pre"], record.stream) < TIGHT
    assert gap(run[f"L1.{slot}_in"][:, :, head], record.stream + change) < TIGHT
    others = [h for h in range(heads) if h != head]
    if others:
        assert gap(run[f"L1.{slot}_in"][:, :, others[0]], record.stream) < TIGHT


@pytest.mark.parametrize("name", CAUSAL)
def test_a_head_of_z_and_its_result(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    rebuilt = Rebuilt(model, ids)

    def zero(z):
        z = z.clone()
        z[:, :, 2] = 0
        return z

    expected = rebuilt.logits_from(1, rebuilt.block(1, change_z=zero))
    run = model.run(
        ids, edits=[rz.Zero("L1.z[H2]")], capture=["L1.z", "L1.head_out", "L1.attn_out"]
    )
    assert gap(run.logits, expected) < TIGHT
    assert (run["L1.z"][:, :, 2] == 0).all() and (run["L1.head_out"][:, :, 2] == 0).all()
    same = model.run(ids, edits=[rz.Zero("L1.head_out[H2]")])
    if name not in POST_NORMS:  # behind a post-norm a result is taken out at the frozen scale
        assert gap(same.logits, run.logits) < TIGHT
    else:
        base = base_run(model, ids)

        def without(attn):
            return attn - base["L1.head_out[H2]"]

        frozen = rebuilt.logits_from(1, rebuilt.block(1, change_attn=without))
        assert gap(same.logits, frozen) < TIGHT


@pytest.mark.parametrize("name", CAUSAL)
def test_the_mlps_own_input(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    rebuilt = Rebuilt(model, ids)
    change = noise((6, 32), 2, F64)
    block = rebuilt.block(1, mlp_stream=lambda x: x + change)
    run = model.run(
        ids,
        edits=[rz.Add("L1.mlp_in", change)],
        capture=["L1.resid_pre", "L1.attn_out", "L1.mlp_out", "L1.resid_post", "L1.mlp_in"],
    )
    assert gap(run.logits, rebuilt.logits_from(1, block)) < TIGHT
    total = run["L1.resid_pre"] + run["L1.attn_out"] + run["L1.mlp_out"]
    assert gap(run["L1.resid_post"], total) < TIGHT
    base = base_run(model, ids)
    assert gap(run["L1.attn_out"], base["L1.attn_out"]) < TIGHT
    assert gap(run["L1.mlp_in"], base["L1.mlp_in"] + change) < TIGHT
    assert (run["L1.mlp_out"] - base["L1.mlp_out"]).abs().max() > 1e-3


@pytest.mark.parametrize("name", [n for n in CAUSAL if n not in PARALLEL])
def test_the_stream_between(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    rebuilt = Rebuilt(model, ids)
    change = noise((6, 32), 3, F64)
    expected = rebuilt.logits_from(1, rebuilt.block(1, change_attn=lambda x: x + change))
    run = model.run(
        ids, edits=[rz.Add("L1.resid_mid", change)], capture=["L1.resid_mid", "L1.mlp_in"]
    )
    assert gap(run.logits, expected) < TIGHT
    base = base_run(model, ids)
    assert gap(run["L1.resid_mid"], base["L1.resid_mid"] + change) < TIGHT
    assert torch.equal(run["L1.resid_mid"], run["L1.mlp_in"])
    value = noise((2, 6, 32), 4, F64)
    placed = model.run(ids, edits=[rz.Set("L1.resid_mid", value)], capture=["L1.resid_mid"])
    assert gap(placed["L1.resid_mid"], value) < TIGHT


@pytest.mark.parametrize("name", ALL)
def test_patching_clean_into_clean_changes_nothing(name):
    model, ids = loaded(name), ids_of(2, 6)
    base = base_run(model, ids)
    for address in model.sites:
        run = model.run(ids, edits=[rz.Patch(address, base)])
        assert gap(run.logits, base.logits) < 1e-6, address
    together = [
        rz.Patch(a, base) for a in model.sites if a.name not in ("q_in", "k_in", "v_in", "mlp_in")
    ]
    assert gap(model.run(ids, edits=together).logits, base.logits) < TIGHT


@pytest.mark.parametrize("name", ALL)
def test_patching_a_whole_stream_gives_the_other_run(name):
    model, ids, other = loaded(name), ids_of(2, 6), ids_of(2, 6, seed=8)
    source = base_run(model, other)
    for layer in range(model.n_layers):
        for site in ("resid_pre", "resid_post"):
            run = model.run(ids, edits=[rz.Patch(f"L{layer}.{site}", source)])
            assert gap(run.logits, source.logits) < 1e-5
    if "embed" in model.report.sites and name != "bert":
        assert gap(model.run(ids, edits=[rz.Patch("embed", source)]).logits, source.logits) < 1e-5
    last = model.n_layers - 1
    run = model.run(ids, edits=[rz.Patch("ln_final", source)], capture=[f"L{last}.resid_post"])
    assert gap(run.logits, source.logits) < 1e-5
    assert torch.equal(model.run(ids, edits=[rz.Patch("logits", source)]).logits, source.logits)


@pytest.mark.parametrize("name", CAUSAL)
def test_patching_q_k_and_v_gives_the_other_runs_attention(name):
    model, ids, other = loaded(name), ids_of(2, 6), ids_of(2, 6, seed=8)
    source = base_run(model, other)
    edits = [rz.Patch(f"L1.{slot}", source) for slot in "qkv"]
    run = model.run(ids, edits=edits, capture=["L1.pattern", "L1.z", "L1.scores"])
    for site in ("pattern", "z"):
        assert gap(run["L1." + site], source["L1." + site]) < 1e-5
    own = [rz.Patch(f"L1.{slot}_in", source) for slot in "qkv"]
    run = model.run(ids, edits=own, capture=["L1.pattern", "L1.z", "L1.attn_out", "L1.resid_pre"])
    for site in ("pattern", "z", "attn_out"):
        assert gap(run["L1." + site], source["L1." + site]) < 1e-5
    assert gap(run["L1.resid_pre"], base_run(model, ids)["L1.resid_pre"]) < 1e-6


KINDS = {
    "zero": (lambda at, x: rz.Zero(at), lambda old, x: torch.zeros_like(old)),
    "set": (rz.Set, lambda old, x: x.expand_as(old)),
    "patch": (rz.Patch, lambda old, x: x.expand_as(old)),
    "mean": (rz.Mean, lambda old, x: x.expand_as(old)),
    "add": (lambda at, x: rz.Add(at, x, scale=-2.0), lambda old, x: old - 2 * x),
    "scale": (lambda at, x: rz.Scale(at, 0.3), lambda old, x: old * 0.3),
    "erase": (
        lambda at, x: rz.Erase(at, x),
        lambda old, x: old - (old @ x)[..., None] * x / (x @ x),
    ),
}
PLACES = (
    *("embed", "L1.resid_pre", "L1.resid_post@-1", "L1.resid_post@2", "L0.attn_out@1:4"),
    *("L1.z[H2]", "L1.z[H0]@-1", "L1.q_pre[H3]@2", "L1.k[H0]@-2", "L1.v[H1]@0", "L1.head_out[H1]"),
    *("L1.mlp_out@0", "L2.mlp_in", "L1.q_in[H2]@3", "L1.k_in[H1]", "L1.v_in[H1]@-1", "ln_final@-1"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SEVERAL)
def test_each_kind_writes_what_it_says_and_nothing_else(name, kind):
    model, ids = loaded(name, F64), ids_of(2, 6)
    base = base_run(model, ids)
    make, rule = KINDS[kind]
    for number, place in enumerate(PLACES):
        site = rz.Address.parse(place).base
        old = base[place]
        value = noise(old.shape[-1:], number, F64)
        run = model.run(ids, edits=[make(place, value)], capture=[site, place])
        tolerance = 1e-6 if rz.Address.parse(place).name == "head_out" else TIGHT
        assert gap(run[place], rule(old, value)) < tolerance or rule(old, value).abs().max() == 0
        if kind == "zero":
            assert run[place].abs().max() < TIGHT
        untouched = base[site].clone()
        _write(untouched, rz.Address.parse(place), run[place])
        assert gap(run[site], untouched) < tolerance, place


def _write(tensor, address, value):
    """Put a value at an address's part and positions, independently of the package."""
    index = [slice(None)] * tensor.ndim
    if address.part is not None:
        index[2] = address.part
    if isinstance(address.pos, int):
        index[1] = address.pos
    elif address.pos is not None:
        index[1] = slice(address.pos.start, address.pos.stop)
    tensor[tuple(index)] = value


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "phi3", "bert", "falcon", "opt"])
def test_a_neuron(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    base = base_run(model, ids)
    for site in ("mlp_act", "mlp_pre", "mlp_lin"):
        if site not in model.report.sites:
            continue
        run = model.run(
            ids, edits=[rz.Set(f"L1.{site}[N17]@2", 3.0)], capture=["L1." + site, "L1.mlp_out"]
        )
        expected = base["L1." + site].clone()
        expected[:, 2, 17] = 3.0
        assert gap(run["L1." + site], expected) < TIGHT
        if site == "mlp_act" and name not in POST_NORMS:
            moved = (run["L1.mlp_out"] - base["L1.mlp_out"])[:, 2]
            step = (3.0 - base["L1.mlp_act"][:, 2, 17])[:, None] * model.W_out[1][17]
            assert gap(moved, step) < TIGHT


@pytest.mark.parametrize("name", MIXTURES)
def test_an_expert(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    base = base_run(model, ids)
    layer = 2
    site, out, router = f"L{layer}.expert_out", f"L{layer}.mlp_out", f"L{layer}.router"
    run = model.run(ids, edits=[rz.Zero(f"{site}[E1]")], capture=[out, site])
    assert gap(run[out], base[out] - base[site][:, :, 1]) < TIGHT
    assert gap(run[site][:, :, 0], base[site][:, :, 0]) < TIGHT
    run = model.run(ids, edits=[rz.Scale(f"{router}[E2]", 0.5)], capture=[out, router, site])
    assert gap(run[out], base[out] - 0.5 * base[site][:, :, 2]) < TIGHT
    assert gap(run[site][:, :, 2], 0.5 * base[site][:, :, 2]) < TIGHT
    run = model.run(ids, edits=[rz.Set(router, 0.25)], capture=[out, site])
    assert (run[site].abs().amax(-1) > 0).all()
    assert gap(run[out], run[site].sum(2)) < TIGHT


@pytest.mark.parametrize("name", SEVERAL)
def test_pattern_and_scores(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    base = base_run(model, ids)
    groups = model.n_heads // model.dims.n_kv_heads
    values = base["L1.v"].repeat_interleave(groups, dim=2)
    row = torch.zeros(6, dtype=F64)
    row[0] = 1.0
    run = model.run(ids, edits=[rz.Set("L1.pattern[H1]@-1", row)], capture=["L1.z", "L1.pattern"])
    assert gap(run["L1.z"][:, -1, 1], values[:, 0, 1]) < TIGHT
    assert gap(run["L1.z"][:, :-1], base["L1.z"][:, :-1]) < TIGHT
    assert gap(run["L1.z"][:, -1, 0], base["L1.z"][:, -1, 0]) < TIGHT
    run = model.run(ids, edits=[rz.Zero("L1.scores")], capture=["L1.pattern", "L1.scores"])
    lowest = base["L1.scores"] < -1e30
    assert (run["L1.pattern"][lowest] == 0).all()
    open_ = run["L1.pattern"][0, 0, -1][~lowest[0, 0, -1]]
    assert gap(open_, open_[:1].expand_as(open_)) < TIGHT


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "gpt_oss"])
def test_edits_of_one_site_go_in_the_order_given(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    base = base_run(model, ids)
    one = noise((32,), 1, F64)
    for edits, rule in (
        ([rz.Add("L1.resid_post", one), rz.Scale("L1.resid_post", 2.0)], lambda x: (x + one) * 2),
        ([rz.Scale("L1.resid_post", 2.0), rz.Add("L1.resid_post", one)], lambda x: x * 2 + one),
    ):
        run = model.run(ids, edits=edits, capture=["L1.resid_post"])
        assert gap(run["L1.resid_post"], rule(base["L1.resid_post"])) < TIGHT


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "falcon"])
def test_freezing_undoes_what_comes_before(name):
    model, ids = loaded(name, F64), ids_of(2, 6)
    base = base_run(model, ids)
    edits = [rz.Add("L0.resid_post", noise((32,), 1, F64)), rz.Freeze("L2.resid_post")]
    assert gap(model.run(ids, edits=edits).logits, base.logits) < TIGHT
    edits = [rz.Add("L0.resid_post", noise((32,), 1, F64)), rz.Freeze("L1.pattern")]
    run = model.run(ids, edits=edits, capture=["L1.pattern"])
    assert gap(run["L1.pattern"], base["L1.pattern"]) < TIGHT
    assert (run.logits - base.logits).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom"])
def test_resampling_takes_another_prompts_value(name):
    model, ids = loaded(name, F64), ids_of(4, 6)
    base = base_run(model, ids)
    run = model.run(ids, edits=[rz.Resample("L1.z[H1]", seed=3)], capture=["L1.z"])
    found, rows = run["L1.z"][:, :, 1], base["L1.z"][:, :, 1]
    source = [next(j for j in range(4) if torch.allclose(found[i], rows[j])) for i in range(4)]
    assert sorted(source) == [0, 1, 2, 3] and all(i != j for i, j in enumerate(source))
    again = model.run(ids, edits=[rz.Resample("L1.z[H1]", seed=3)])
    assert torch.equal(again.logits, run.logits)


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "bloom", "mixtral", "falcon_alibi"])
def test_own_inputs_in_padded_batches(name, left):
    model = loaded(name)
    rows, mask = pad(ragged_ids(), left)
    edits = [rz.Add("L1.k_in[H1]", noise((32,), 1)) if name != "falcon" else rz.Zero("L0.z"),
             rz.Scale("L1.mlp_in@-1", -1.0), rz.Scale("L0.v_in[H0]@1", 2.0)]  # fmt: skip
    batch = model.run(rows, attention_mask=mask, edits=edits)
    for index, row in enumerate(ragged_ids()):
        assert gap(batch.last[index], model.run(row, edits=edits).last[0]) < 1e-5


@pytest.mark.parametrize("name", SEVERAL)
def test_gradients_agree_with_finite_differences(name):
    model, ids = loaded(name, F64), ids_of(1, 6, seed=14)

    def metric(logits):
        return (logits[:, -1, 5] - logits[:, -1, 9]).sum()

    sites = [
        a for a in model.sites if a.layer == 1 and a.name not in ("router", "expert_out", "scores")
    ]
    for address in [*sites, rz.Address.parse("embed"), rz.Address.parse("ln_final")]:
        run = model.run(ids, capture=[address], grad_of=metric)
        direction = noise(run[address].shape, 6, F64)
        size = 3e-5 if name in MIXTURES else 1e-4  # the routing of a mixture jumps
        up, down = (
            metric(model.run(ids, edits=[rz.Add(address, direction, scale=s)]).logits)
            for s in (size, -size)
        )
        slope = float(up - down) / (2 * size)
        expected = float((run.grad[address] * direction).sum())
        assert abs(slope - expected) < 5e-3 * max(abs(slope), abs(expected), 0.5), address
