from __future__ import annotations

import sys
import threading
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from residuum.models import adapt, attend_explicitly, open_door

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import build

torch.set_num_threads(1)
CAUSAL_MODULE = SimpleNamespace(is_causal=True, training=False, num_key_value_groups=2)


@cache
def adapted(name):
    return adapt(build(name))


def ids(rows=2, length=6):
    return torch.randint(3, 101, (rows, length), generator=torch.Generator().manual_seed(1))


class Looks:
    """A visitor that writes down what it sees and may change it."""

    def __init__(self, layers=(0, 1, 2), explicit=True, change=None):
        self.layers, self.writes_out, self.change = layers, explicit, change or {}
        self.seen = {}

    def wants(self, layer):
        return layer in self.layers

    def explicit(self, layer):
        return self.writes_out and layer in self.layers

    def visit(self, layer, slot, value):
        self.seen.setdefault((layer, slot), value)
        return self.change.get(slot, lambda x: x)(value)


def heads(kv=2, length=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, 4, length, 8), (2, kv, length, 8), (2, kv, length, 8))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def by_loops(q, k, v, allowed, scale, cap=None, sinks=None, bias=None):
    """Attention one query at a time."""
    out = torch.zeros_like(q)
    patterns = torch.zeros(*q.shape[:3], k.shape[2], dtype=q.dtype)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            source = h // (q.shape[1] // k.shape[1])
            for i in range(q.shape[2]):
                weights = []
                for j in range(k.shape[2]):
                    score = float(q[b, h, i] @ k[b, source, j]) * scale
                    score += 0.0 if bias is None else float(bias[b, h, i, j])
                    score = (
                        score if cap is None else cap * float(torch.tanh(torch.tensor(score / cap)))
                    )
                    weights.append(torch.tensor(score).double().exp() if allowed[b, i, j] else 0.0)
                total = sum(weights) + (0.0 if sinks is None else float(sinks[h].exp()))
                row = torch.tensor([float(w) / float(total) for w in weights], dtype=q.dtype)
                patterns[b, h, i] = row
                out[b, h, i] = row @ v[b, source]
    return out.transpose(1, 2), patterns


def causal(length=6, window=99):
    distance = torch.arange(length)[:, None] - torch.arange(length)[None]
    return ((distance >= 0) & (distance < window)).expand(2, -1, -1)


@pytest.mark.parametrize("kv", [1, 2, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scaling": 0.7},
        {"scaling": 2.0, "softcap": 1.5},
        {"s_aux": torch.tensor([0.3, -1.0, 2.0, 0.0]).double()},
        {"bias": torch.linspace(-1, 1, 6).double().expand(2, 4, 1, 6)},
    ],
    ids=lambda o: "+".join(o) or "plain",
)
def test_attention_written_out_equals_loops(kv, options):
    q, k, v = heads(kv)
    z, pattern = attend_explicitly(CAUSAL_MODULE, q, k, v, None, None, 0, **options)
    bias = options.get("bias")
    expected, weights = by_loops(
        q, k, v, causal(), options.get("scaling", 8**-0.5), options.get("softcap"),
        options.get("s_aux"), None if bias is None else bias.expand(2, 4, 6, 6),
    )  # fmt: skip
    assert torch.allclose(z, expected, atol=1e-6) and torch.allclose(pattern, weights, atol=1e-6)


@pytest.mark.parametrize("form", ["boolean", "additive"])
def test_masks_of_both_forms(form):
    q, k, v = heads()
    allowed = causal(window=3).clone()
    allowed[0, :, 1] = False
    allowed[0, 1, 0] = True
    mask = allowed.unsqueeze(1)
    if form == "additive":
        mask = torch.zeros(mask.shape).double().masked_fill(~mask, torch.finfo(torch.float64).min)
    z, pattern = attend_explicitly(CAUSAL_MODULE, q, k, v, mask, None, 0)
    expected, weights = by_loops(q, k, v, allowed, 8**-0.5)
    assert torch.allclose(z, expected, atol=1e-6) and torch.allclose(pattern, weights, atol=1e-6)
    assert (pattern[~allowed.unsqueeze(1).expand_as(pattern)] == 0).all()


def test_one_query_on_many_keys_sees_them_all():
    q, k, v = heads()
    whole, _ = attend_explicitly(CAUSAL_MODULE, q, k, v, None, None, 0)
    last, _ = attend_explicitly(CAUSAL_MODULE, q[:, :, -1:], k, v, None, None, 0)
    two, _ = attend_explicitly(CAUSAL_MODULE, q[:, :, -2:], k, v, None, None, 0)
    assert torch.allclose(last[:, 0], whole[:, -1]) and torch.allclose(two, whole[:, -2:])


def test_a_bidirectional_module_sees_the_future():
    q, k, v = heads()
    both = SimpleNamespace(is_causal=False)
    _, pattern = attend_explicitly(both, q, k, v, None, None, 0)
    assert (pattern > 0).all()


def test_half_precision_is_softmaxed_in_single():
    q, k, v = (each.to(torch.bfloat16) for each in heads())
    z, pattern = attend_explicitly(CAUSAL_MODULE, q, k, v, None, None, 0)
    assert z.dtype == pattern.dtype == torch.bfloat16
    assert (pattern.float().sum(-1) - 1).abs().max() < 2e-2


def test_edited_scores_do_not_open_the_future():
    q, k, v = heads()
    visitor = Looks(change={"scores": torch.zeros_like})
    _, pattern = attend_explicitly(CAUSAL_MODULE, q, k, v, None, visitor, 0)
    assert torch.allclose(pattern[0, 0, 3], torch.tensor([0.25] * 4 + [0, 0]).double())


NAMES = ("gpt2", "llama", "gemma2", "gpt_oss", "bert", "bloom", "falcon", "gptj", "gpt_neo")


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_an_open_door_changes_nothing(name, explicit):
    model = adapted(name)
    with torch.no_grad():
        bare = model.hf(ids()).logits
        visitor = Looks(explicit=explicit)
        with open_door(model.parts, visitor) as calls:
            through = model.hf(ids()).logits
        again = model.hf(ids()).logits
    assert torch.allclose(through, bare, atol=1e-5) and torch.equal(again, bare)
    assert set(calls) == {0, 1, 2}
    slots = {slot for _, slot in visitor.seen}
    module_door = model.family.door == "module"
    expected = {"q", "k", "v", "z"} | ({"scores", "pattern"} if explicit or module_door else set())
    assert slots == expected


@pytest.mark.parametrize("name", NAMES)
def test_only_the_layers_asked_for_are_visited(name):
    model = adapted(name)
    visitor = Looks(layers=(1,))
    with torch.no_grad(), open_door(model.parts, visitor):
        model.hf(ids())
    assert {layer for layer, _ in visitor.seen} == {1}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_door_closes_after_an_error(name, error):
    model = adapted(name)
    before = [m.config._attn_implementation for m in model.hf.modules() if hasattr(m, "config")]

    def fail(value):
        raise error

    visitor = Looks(change={"z": fail})
    with pytest.raises(error), torch.no_grad(), open_door(model.parts, visitor):
        model.hf(ids())
    after = [m.config._attn_implementation for m in model.hf.modules() if hasattr(m, "config")]
    assert before == after
    assert not any("forward" in m.__dict__ for m in model.hf.modules())
    with torch.no_grad():
        assert torch.isfinite(model.hf(ids()).logits).all()


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "bloom"])
def test_doors_nest(name):
    model = adapted(name)
    outer, inner = Looks(), Looks()
    with torch.no_grad():
        bare = model.hf(ids()).logits
        with open_door(model.parts, outer):
            with open_door(model.parts, inner):
                within = model.hf(ids()).logits
            seen_outside = dict(outer.seen)
            after = model.hf(ids()).logits
    assert not seen_outside and inner.seen.keys() == outer.seen.keys()
    assert torch.allclose(within, bare, atol=1e-5) and torch.allclose(after, bare, atol=1e-5)
    assert model.hf.config._attn_implementation != "residuum"


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "gemma2"])
def test_the_name_works_without_a_door(name):
    """Another thread may meet the name while a door is open here: it gets the model's kernel."""
    model = adapted(name)
    with torch.no_grad():
        bare = model.hf(ids()).logits
    results = {}

    def elsewhere():
        with torch.no_grad():
            results["logits"] = model.hf(ids()).logits

    with open_door(model.parts, Looks()):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert torch.allclose(results["logits"], bare, atol=1e-5)


def test_edits_at_the_door_reach_the_output():
    model = adapted("llama")
    with torch.no_grad():
        bare = model.hf(ids()).logits
        for slot in ("q", "k", "v", "scores", "pattern", "z"):
            with open_door(model.parts, Looks(layers=(1,), change={slot: lambda x: x * 0.3})):
                moved = model.hf(ids()).logits
            assert (moved - bare).abs().max() > 1e-4, slot
