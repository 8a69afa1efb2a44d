from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from configs import CAUSAL, build
from tiny import NAMES, bare_logits, gap, loaded, noise, random_ids

import residuum as rz
from residuum.core import ResiduumError


def state(hf):
    """Everything of a module that a run could leave changed."""
    hooks = {
        name: (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
        for name, m in hf.named_modules()
    }
    overridden = {name for name, m in hf.named_modules() if "forward" in m.__dict__}
    configs = {
        name: m.config._attn_implementation
        for name, m in hf.named_modules()
        if hasattr(m, "config") and hasattr(m.config, "_attn_implementation")
    }
    grads = {name for name, p in hf.named_parameters() if p.grad is not None}
    needs = {name: p.requires_grad for name, p in hf.named_parameters()}
    modes = {name: m.training for name, m in hf.named_modules()}
    return hooks, overridden, configs, grads, needs, modes, hf.config._attn_implementation


class Fails:
    """A user's hook that raises at the last block."""

    def __init__(self, error):
        self.error = error

    def __call__(self, module, args, output):
        raise self.error


@pytest.mark.parametrize("name", NAMES)
def test_runs_leave_the_module_as_it_was(name):
    hf = build(name)
    ids = random_ids(2, 6)
    options = {} if name == "bert" else {"use_cache": False}
    with torch.no_grad():
        before = hf(ids, **options).logits
    weights = {key: value.clone() for key, value in hf.state_dict().items()}
    clean = state(hf)
    fired = []
    user = [
        hf.register_forward_hook(lambda *_: fired.append("out")),
        hf.get_input_embeddings().register_forward_pre_hook(lambda *_: fired.append("in")),
    ]
    hooked = state(hf)

    model = rz.load(hf)
    assert state(hf) == hooked
    sites = list(model.sites)
    model.run(ids)
    model.run(ids, capture=sites)
    edits = [rz.Scale(each, 0.5) for each in sites if each.name not in ("ln1", "scores")]
    model.run(ids, capture=["L1.pattern"], edits=edits)
    model.run(ids, capture=["L1.z"], logits=False)
    model.run(ids, capture=["L1.z", "L0.pattern"], grad_of=lambda logits: logits[0, -1, 3])
    if name != "bert":
        model.generate(ids, 2, capture=["L1.pattern"], edits=[rz.Scale("L0.z", 0.5)])
    assert state(hf) == hooked

    with pytest.raises(ResiduumError):
        model.run(ids, capture=sites, edits=[rz.Set("L1.pattern", noise((3, 3)))])
    assert state(hf) == hooked
    for error in (RuntimeError("inside"), KeyboardInterrupt()):
        bad = model.adapted.parts.layers[-1].block.register_forward_hook(Fails(error))
        with pytest.raises(type(error)):
            model.run(ids, capture=sites, edits=[rz.Scale("L0.pattern", 0.5)])
        with pytest.raises(type(error)):
            model.run(ids, capture=sites, grad_of=lambda logits: logits[0, -1, 3])
        if name != "bert":
            with pytest.raises(type(error)):
                model.generate(ids, 2, capture=["pattern"])
        bad.remove()
        assert state(hf) == hooked

    fired.clear()
    model.run(ids, capture=sites)
    assert sorted(fired) == ["in", "out"]
    for handle in user:
        handle.remove()
    assert state(hf) == clean
    with torch.no_grad():
        assert torch.equal(hf(ids, **options).logits, before)
    assert all(torch.equal(value, weights[key]) for key, value in hf.state_dict().items())


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "gptj"])
def test_a_users_changing_hook_is_honoured(name):
    hf = build(name)
    model = rz.load(hf)
    ids = random_ids(2, 6)
    handle = model.adapted.parts.embed.register_forward_hook(lambda m, a, out: out + out.flip(-1))
    assert torch.equal(model.run(ids).logits, bare_logits(model, ids))
    run = model.run(ids, capture=list(model.sites))
    assert gap(run.logits, bare_logits(model, ids)) < 1e-5
    handle.remove()
    assert not torch.allclose(model.run(ids).logits, run.logits, atol=1e-3)


@pytest.mark.parametrize("name", ["bloom", "gptj", "falcon", "gpt_neo"])
def test_a_users_own_forward_is_put_back(name):
    model = rz.load(build(name))
    attn = model.adapted.parts.layers[0].attn
    own = attn.forward
    attn.forward = own
    model.run(random_ids(1, 5), capture=["pattern"])
    assert attn.__dict__["forward"] is own


@pytest.mark.parametrize("name", NAMES)
def test_captures_are_copies(name):
    model = loaded(name)
    ids = random_ids(2, 6)
    run = model.run(ids, capture=list(model.sites))
    kept = {address: value.clone() for address, value in run.captured.items()}
    logits = run.logits.clone()
    places = [value.untyped_storage().data_ptr() for value in run.captured.values()]
    assert len(set(places)) == len(places)
    parameters = {p.untyped_storage().data_ptr() for p in model.hf.parameters()}
    assert not parameters & set(places)
    for address, value in run.captured.items():
        value.fill_(float("nan"))
        if address.name == "logits":
            assert torch.equal(run.logits, logits)
    again = model.run(ids, capture=list(model.sites))
    assert torch.equal(again.logits, logits)
    assert all(torch.equal(again.captured[a], value) for a, value in kept.items())


def test_slices_and_looked_up_parts_are_copies():
    model = loaded("gpt2")
    ids = random_ids(2, 6)
    run = model.run(ids, capture=["L1.z", "L1.z[H2]", "L1.z@-1", "L1.resid_post@1:3"])
    run["L1.z[H2]"].fill_(9.0)
    run["L1.z@-1"].fill_(9.0)
    run["L1.z@2"].fill_(9.0)
    run["L1.z[H0]"].fill_(9.0)
    assert (run["L1.z"] != 9.0).all()


@pytest.mark.parametrize("name", ["gpt2", "bloom", "gemma2"])
def test_a_patch_keeps_the_value_it_was_made_with(name):
    model = loaded(name)
    ids, other = random_ids(1, 6), random_ids(1, 6, seed=9)
    run = model.run(other, capture=["L1.z"])
    edit = rz.Patch("L1.z", run["L1.z"])
    first = model.run(ids, edits=[edit]).logits
    run["L1.z"].zero_()
    assert torch.equal(model.run(ids, edits=[edit]).logits, first)


PAIRS = [("gpt2", "llama"), ("llama", "llama"), ("bloom", "gptj"), ("bloom", "bloom")]


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_models_do_not_see_each_other(one, two):
    first, second = rz.load(build(one)), rz.load(build(two))
    ids = random_ids(2, 6)
    sites = ["pattern", "z", "q", "resid_post"]
    alone = [m.run(ids, capture=sites, edits=[rz.Scale("L0.z", 0.5)]) for m in (first, second)]
    inner = {}

    def run_the_other(module, args, output):
        inner["bare"] = bare_logits(second, ids)
        inner["run"] = second.run(ids, capture=sites, edits=[rz.Scale("L0.z", 0.5)])

    handle = first.adapted.parts.layers[1].block.register_forward_hook(run_the_other)
    outer = first.run(ids, capture=sites, edits=[rz.Scale("L0.z", 0.5)])
    handle.remove()
    assert torch.equal(inner["bare"], bare_logits(second, ids))
    for found, expected in ((outer, alone[0]), (inner["run"], alone[1])):
        assert torch.equal(found.logits, expected.logits)
        for address, value in expected.captured.items():
            assert torch.equal(found.captured[address], value)


def test_two_models_that_share_a_configuration():
    import transformers

    hf = build("llama")
    twin = transformers.LlamaForCausalLM(hf.config).eval()
    assert twin.config is hf.config
    model = rz.load(hf)
    ids = random_ids(2, 6)
    with torch.no_grad():
        expected = twin(ids).logits
    seen = []

    def run_the_twin(module, args, output):
        with torch.no_grad():
            seen.append(twin(ids).logits)

    handle = model.adapted.parts.layers[1].block.register_forward_hook(run_the_twin)
    model.run(ids, capture=["pattern"])
    handle.remove()
    assert torch.equal(seen[0], expected)


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_models_in_two_threads(one, two):
    models = [rz.load(build(one)), rz.load(build(two))]
    ids = random_ids(2, 6)
    sites = ["pattern", "z", "resid_post"]
    edits = [rz.Scale("L1.pattern", 0.5)]
    alone = [m.run(ids, capture=sites, edits=edits) for m in models]
    start = threading.Barrier(2)

    def work(index):
        start.wait()
        return [models[index].run(ids, capture=sites, edits=edits) for _ in range(15)]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, range(2)))
    for runs, expected in zip(results, alone, strict=True):
        for run in runs:
            assert torch.equal(run.logits, expected.logits)
            for address, value in expected.captured.items():
                assert torch.equal(run.captured[address], value)
    assert all(m.hf.config._attn_implementation != "residuum" for m in models)


@pytest.mark.parametrize("name", CAUSAL)
def test_loading_draws_nothing_from_the_global_generator(name):
    hf = build(name)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    model = rz.load(hf)
    model.run(random_ids(1, 5), capture=["pattern"])
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_oss", "bloom", "gptj"])
def test_one_model_in_three_threads(name):
    hf = build(name)
    models = [rz.load(hf), rz.load(hf)]
    models.append(models[0])
    ids = random_ids(2, 6)
    edits = ([rz.Scale("L1.pattern", 0.5)], [rz.Add("L0.resid_post", noise((32,), 2))], [])
    sites = (["pattern", "z"], ["L1.z"], [])
    alone = [m.run(ids, capture=s, edits=e) for m, s, e in zip(models, sites, edits, strict=True)]
    before = state(hf)
    start = threading.Barrier(3)

    def work(index):
        start.wait()
        return [models[index].run(ids, capture=sites[index], edits=edits[index]) for _ in range(12)]

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(work, range(3)))
    for runs, expected in zip(results, alone, strict=True):
        for run in runs:
            assert torch.equal(run.logits, expected.logits)
            for address, value in expected.captured.items():
                assert torch.equal(run.captured[address], value)
    assert state(hf) == before
