from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum import heads
from residuum.core import AddressError, OptionError
from residuum.models.native import NativeConfig, NativeForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import build
from handmade import INDUCTION, PREVIOUS, handmade_induction, induction_task

torch.set_num_threads(1)


def native(n_layers, normalization=None, positions="learned", dtype=torch.float32, **more):
    """A random attention-only model, its weights large enough that all parts matter."""
    options = {
        "n_layers": n_layers,
        "n_heads": 3,
        "d_model": 24,
        "d_head": 8,
        "d_vocab": 20,
        "n_ctx": 12,
        "normalization": normalization,
        "positions": positions,
        "unembed_bias": True,
    }
    model = NativeForCausalLM(NativeConfig(**(options | more)))
    generator = torch.Generator().manual_seed(n_layers)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype).eval()


IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3]])


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("normalization", [None, "layernorm"])
@pytest.mark.parametrize("positions", [None, "learned"])
def test_paths_sum_to_the_logits(n_layers, normalization, positions):
    model = rz.load(native(n_layers, normalization, positions))
    expected = model.run(IDS).logits[0]
    for order in (None, *range(n_layers + 1)):
        found = heads.path_expansion(model, IDS, order=order)
        assert float((found.total() - expected).abs().max()) < 1e-5
        for pos in (0, 4, -1):
            assert torch.allclose(found.contributions(pos).sum(0).float(), expected[pos], atol=1e-5)
        assert len(found.names) == len(found.contributions()) == len(set(found.names))


@pytest.mark.parametrize("normalization", [None, "layernorm"])
def test_without_any_layer_there_is_the_direct_path(normalization):
    """No native model has zero layers; one whose heads write nothing is the same function."""
    hf = native(1, normalization)
    with torch.no_grad():
        hf.model.blocks[0].attn.o_proj.weight.zero_()
        hf.model.blocks[0].attn.o_proj.bias.zero_()
    model = rz.load(hf, check=False)
    found = heads.path_expansion(model, IDS, order=0)
    run = model.run(IDS, capture=["embed", "pos_embed"])
    stream = run["embed"] + run["pos_embed"]
    with torch.no_grad():
        expected = hf.lm_head(hf.model.ln_final(stream))[0]
    assert torch.allclose(found.total().float(), expected, atol=1e-5)
    sums = found.by_order(7)
    assert sums["more heads"] == pytest.approx(0.0, abs=1e-12)
    direct = found.contributions()[list(found.names).index("embed → logits")]
    assert sums["direct"] != pytest.approx(0.0)
    if normalization is None:
        assert torch.allclose(direct.float(), hf.lm_head.weight @ run["embed"][0, -1], atol=1e-5)


def test_the_count_of_paths_and_their_names():
    found = heads.path_expansion(rz.load(native(2, attn_bias=False, unembed_bias=False)), IDS)
    # two sources, each direct, through 3 + 3 heads and 3 × 3 pairs
    assert len(found.names) == 2 * (1 + 6 + 9)
    assert "pos_embed → L0H2 → L1H0 → logits" in found.names
    assert [path.order for path in found.paths] == sorted(path.order for path in found.paths)
    biased = heads.path_expansion(rz.load(native(2, "layernorm")), IDS).names
    for name in ("L0.b_O → logits", "L0.b_V → L1H2 → logits", "L1.b_ln1 → logits", "b_U"):
        assert name in biased
    assert "b_ln_final" in biased


def test_a_virtual_head_is_the_product_of_two():
    """embed → L0Hi → L1Hj by hand: both patterns, both OV circuits, nothing else."""
    model = rz.load(native(2, dtype=torch.float64))
    found = heads.path_expansion(model, IDS)
    run = model.run(IDS, capture=["pattern", "embed"])
    both = heads.ov(model, 0, 1).matrix.dense() @ heads.ov(model, 1, 2).matrix.dense()
    look = run["pattern", 1][0, 2] @ run["pattern", 0][0, 1]
    expected = look @ run["embed"][0] @ both @ model.W_U
    at = found.names.index("embed → L0H1 → L1H2 → logits")
    for pos in (1, -1):
        assert torch.allclose(found.contributions(pos)[at], expected[pos], atol=1e-12)


def test_the_rest_is_what_the_longer_paths_are():
    """The sum of all two-head paths, told apart or not."""
    model = rz.load(native(2, "layernorm"))
    every, short = heads.path_expansion(model, IDS), heads.path_expansion(model, IDS, order=1)
    for source in ("embed", "pos_embed"):
        rest = short.names.index(f"{source} → (more heads) → logits")
        longer = [
            i for i, path in enumerate(every.paths) if path.source == source and path.order == 2
        ]
        summed = every.contributions()[longer].sum(0)
        assert float(summed.abs().max()) > 1e-4
        assert torch.allclose(short.contributions()[rest], summed, atol=1e-10)


def test_norms_are_frozen_at_the_runs_scale():
    """The direct path, divided by the size of the whole last stream and not by its own."""
    model = rz.load(native(1, "layernorm"))
    one = heads.path_expansion(model, IDS)
    run = model.run(IDS, capture=["embed", "resid_post"])
    final = model.hf.model.ln_final
    size = (run["resid_post", 0][0].var(-1, correction=0, keepdim=True) + final.eps).sqrt()
    embed = run["embed"][0]
    centred = (embed - embed.mean(-1, keepdim=True)) / size * final.weight
    expected = (centred @ model.W_U).double()
    at = one.names.index("embed → logits")
    assert torch.allclose(one.contributions(3)[at], expected[3], atol=1e-5)


def test_induction_by_paths():
    """The answer comes through the induction head alone; what composes moves its pattern."""
    model = rz.load(handmade_induction())
    task = induction_task(4)
    for row in range(4):
        answer, wrong = int(task.answers[row].flatten()[0]), int(task.wrong[row].flatten()[0])
        clean = heads.path_expansion(model, task.clean[row : row + 1])
        name, value = clean.top(answer, wrong, n=1)[0]
        assert name == f"embed → L1H{INDUCTION} → logits" and value == pytest.approx(1.0)
        assert f"embed → L0H{PREVIOUS} → L1H{INDUCTION} → logits" in clean.names
        assert clean.by_order(answer, wrong)["2 heads"] == pytest.approx(0.0, abs=1e-6)


def test_gbmi_is_one_head_again(test_data):
    model = rz.load(test_data / "gbmi_indhead")
    ids = torch.tensor([[3, 7, 1, 12, 20, 5, 9, 7]])
    found = heads.path_expansion(model, ids)
    assert found.error < 1e-4 * float(found.logits.abs().max())
    assert found.top(1, n=1)[0][0] == "embed → L1H0 → logits"  # token 1 followed token 7


SHIPPED = ("induction_2l", "induction_2l_nopos", "skip_trigram_1l", "handmade_induction", "gbmi")


@pytest.mark.parametrize("name", SHIPPED)
def test_trained_models_in_both_precisions(test_data, name):
    """Float64: to 1e-10. Float32: to 1e-5 of the largest logit, which is the model's rounding."""
    source = test_data / "gbmi_indhead" if name == "gbmi" else name
    exact, rounded = rz.load(source, dtype="float64"), rz.load(source)
    assert (exact.dtype, rounded.dtype) == (torch.float64, torch.float32)
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        ids = torch.randint(0, exact.d_vocab, (1, min(exact.n_ctx, 40)), generator=generator)
        found = heads.path_expansion(exact, ids)
        assert found.error < 1e-10
        assert float((found.total() - exact.run(ids).logits[0]).abs().max()) < 1e-10
        found = heads.path_expansion(rounded, ids)
        assert found.error < 1e-5 * float(found.logits.abs().max())


def test_rows_and_pictures(tmp_path):
    model = rz.load(native(2))
    found = heads.path_expansion(model, IDS)
    likely = int(found.logits[-1].argmax())
    centred = found.logits[-1] - found.logits[-1].mean()
    assert sum(found.by_order(likely).values()) == pytest.approx(float(centred[likely]), abs=1e-5)
    against = found.of_token(3, 4).sum()
    assert float(against) == pytest.approx(
        float(found.logits[-1, 3] - found.logits[-1, 4]), abs=1e-5
    )
    assert len(found.to_dataframe()) == len(found.names)
    for suffix in ("json", "csv", "html", "png"):
        found.save(tmp_path / f"x.{suffix}")
    assert found.figure(3, pos=2).title == "Paths to '<3>' at position 2"


@pytest.mark.parametrize(
    ("model", "prompt", "options", "error", "words"),
    [
        (lambda: native(1, d_mlp=16), IDS, {}, AddressError, "block 0 has an MLP"),
        (lambda: build("llama"), IDS, {}, AddressError, "has an MLP"),
        (lambda: native(1), IDS.repeat(2, 1), {}, OptionError, "one prompt at a time"),
        (lambda: native(1), IDS, {"order": -1}, OptionError, "order=-1"),
        (lambda: native(2), IDS, {"order": 3}, OptionError, "order=3: no path goes through more"),
        (lambda: native(1), IDS, {"depth": 1}, OptionError, "unknown option depth"),
        (lambda: native(9), IDS, {}, OptionError, "too many"),
    ],
)
def test_bad_input_is_refused(model, prompt, options, error, words):
    loaded = rz.load(model(), check=False)
    with pytest.raises(error, match=words) as refused:
        heads.path_expansion(loaded, prompt, **options)
    assert refused.value.mend


def test_places_out_of_range():
    found = heads.path_expansion(rz.load(native(1)), IDS)
    for call in (
        lambda: found.contributions(10),
        lambda: found.of_token(20),
        lambda: found.of_token(0, against=99),
    ):
        with pytest.raises(AddressError, match="out of range") as refused:
            call()
        assert refused.value.mend
