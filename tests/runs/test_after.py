"""Runs made after another: the same bits as whole runs, from the first block that can differ."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz
from residuum import EditNeverFired, OptionError, ShapeError
from residuum.runs import TopK

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from configs import CONFIGS, build
from law_worlds import RandomCoder
from tiny import pad, ragged_ids, random_ids

N_LAYERS = 3
DTYPES = (torch.float32, torch.bfloat16)
KERNELS = {"scores", "pattern"}
FIRST, LAST = "resid_pre", "resid_post"


@cache
def held(name: str = "gpt2", dtype: torch.dtype = torch.float32, **more: Any) -> rz.Model:
    return rz.load(build(name, dtype, **more), check=False)


def batches(name: str) -> dict[str, dict[str, Any]]:
    """What is run: plain ids, and ids padded on either side."""
    made: dict[str, dict[str, Any]] = {"plain": {"prompts": random_ids(3, 8)}}
    for side in ("left", "right"):
        ids, mask = pad(ragged_ids(), left=side == "left")
        made[side] = {"prompts": ids, "attention_mask": mask}
    return made


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, TopK):
        pairs = zip(vars(one).values(), vars(other).values(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)
    same_place = one.dtype == other.dtype and one.device == other.device
    return same_place and torch.equal(one.nan_to_num(), other.nan_to_num())


def assert_same(found: rz.Run, whole: rz.Run) -> None:
    """Every number, every record, the same."""
    assert (found.logits is None) == (whole.logits is None)
    assert found.logits is None or equal(found.logits, whole.logits)
    assert list(found.captured) == list(whole.captured)
    for address, value in whole.captured.items():
        assert equal(found.captured[address], value), address
    assert dict(found.fired) == dict(whole.fired)
    assert found.edits == whole.edits


def assert_after(
    model: rz.Model, base: rz.Run, layer: int, reason: str = "", **asked: Any
) -> rz.Run:
    """A run after ``base`` is the whole run, begun at ``layer``."""
    found, whole = model.run(**asked, after=base), model.run(**asked)
    assert_same(found, whole)
    assert found.reuse is not None and whole.reuse is None
    assert (found.reuse.layer, found.reuse.reason) == (layer, reason)
    return found


@contextmanager
def counted(model: rz.Model) -> Iterator[Counter[int]]:
    """How often each block's attention wrote, without hooks, which would make the run whole."""
    calls: Counter[int] = Counter()
    modules = [layer.o_proj for layer in model.adapted.parts.layers]

    def counting(index: int, forward: Any) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            calls.update([index])
            return forward(*args, **kwargs)

        return step

    for index, module in enumerate(modules):
        module.forward = counting(index, module.forward)
    try:
        yield calls
    finally:
        for module in modules:
            del module.forward


def one_edit(layer: int) -> list[rz.Edit]:
    return [rz.Scale(f"L{layer}.z[H1]", 0.3), rz.Zero(f"L{layer}.mlp_out@-1")]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("side", ["plain", "left", "right"])
def test_an_edit_at_any_layer_gives_the_bits_of_the_whole_run(
    name: str, dtype: torch.dtype, side: str
) -> None:
    model, asked = held(name, dtype), batches(name)[side]
    base = model.run(**asked, capture=["resid_pre"])
    assert base.passes == 1.0
    for layer in range(N_LAYERS):
        found = assert_after(model, base, layer, **asked, edits=one_edit(layer), capture=[FIRST])
        assert found.passes == (N_LAYERS - layer) / N_LAYERS
        assert not torch.equal(found.logits, base.logits)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_everything_captured_is_taken_over(name: str, dtype: torch.dtype) -> None:
    model, ids = held(name, dtype), random_ids(2, 8)
    asked = {"prompts": ids, "capture": list(model.sites)}
    base = model.run(**asked)
    for site in model.sites:
        if site.layer is not None and not (site.layer + len(site.name)) % 2:
            edits = [rz.Scale(site, 0.5)]
            found = assert_after(model, base, site.layer, **asked, edits=edits)
            assert found.passes == (N_LAYERS - site.layer) / N_LAYERS
    again = assert_after(model, base, N_LAYERS, **asked)
    assert again.passes == 0.0
    for address, value in base.captured.items():
        assert again.captured[address].data_ptr() != value.data_ptr()


@pytest.mark.parametrize("name", ["handmade_induction", "induction_2l"])
def test_models_of_the_native_family(name: str) -> None:
    model, ids = rz.load(name, check=False), torch.arange(12).view(2, 6)
    base = model.run(ids, capture=["resid_pre", "pattern"])
    asked: dict[str, Any] = {"prompts": ids, "capture": ["resid_pre", "pattern"]}
    for layer in range(model.n_layers):
        found = assert_after(model, base, layer, **asked, edits=rz.Zero(f"L{layer}.z[H0]"))
        assert found.passes == (model.n_layers - layer) / model.n_layers


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "falcon", "mixtral"])
def test_both_attention_implementations(name: str, kind: str) -> None:
    model, ids = held(name, attn_implementation=kind), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre", "pattern"])
    asked = {"prompts": ids, "capture": ["resid_pre", "pattern"]}
    assert_after(model, base, 2, **asked, edits=rz.Zero("L2.pattern[H0]@-1"))


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neo", "falcon", "mixtral"])
def test_the_blocks_before_are_not_run(name: str) -> None:
    model, ids = held(name), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    model.run(ids, edits=one_edit(0), after=base)
    for layer in range(N_LAYERS):
        with counted(model) as calls:
            model.run(ids, edits=one_edit(layer), after=base)
        assert calls == Counter(range(layer, N_LAYERS))
        with counted(model) as calls:
            model.run(ids, edits=one_edit(layer))
        assert calls == Counter(range(N_LAYERS))


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neo", "bloom", "mixtral"])
def test_nothing_asked_after_a_run_is_the_model_untouched(name: str) -> None:
    model, ids = held(name), random_ids(2, 8)
    why = "nothing is asked, and the model runs as its user would run it"
    for edits in ([], one_edit(1)):
        base = model.run(ids, edits=edits, capture=["resid_pre", "resid_post"])
        assert_after(model, base, 0, why, prompts=ids)
        layer = 1 if edits else N_LAYERS
        assert_after(model, base, layer, prompts=ids, capture=["resid_post"])


def test_runs_follow_each_other() -> None:
    model, ids = held("llama"), random_ids(2, 8)
    run = model.run(ids, capture=["resid_pre", "resid_post"])
    for layer, edits in [
        (1, one_edit(1)),
        (2, [*one_edit(1), *one_edit(2)]),
        (1, one_edit(2)),
        (2, []),
        (3, []),
    ]:
        run = assert_after(
            model, run, layer, prompts=ids, edits=edits, capture=["resid_pre", "resid_post"]
        )


def test_the_order_of_edits_counts_at_one_site_alone() -> None:
    model, ids = held(), random_ids(2, 8)
    add, scale = rz.Add("L1.resid_post", 1.0), rz.Scale("L1.resid_post", 2.0)
    other = rz.Zero("L0.z")
    base = model.run(ids, edits=[other, add, scale], capture=["resid_pre"])
    assert_after(model, base, 1, prompts=ids, edits=[scale, add, other])
    at = "the base run kept no stream into block 3"
    assert_after(model, base, 2, at, prompts=ids, edits=[add, scale, other])
    assert_after(model, base, 1, prompts=ids, edits=[add, other])
    assert_after(model, base, 1, prompts=ids, edits=[add, scale, scale, other])


def test_a_query_that_reaches_further_up_fired_below_too() -> None:
    model, ids = held(), random_ids(2, 8)
    everywhere = rz.Scale("L*.z[H1]", 0.5)
    base = model.run(ids, edits=everywhere, capture=["resid_pre"])
    edits = [everywhere, rz.Zero("L2.mlp_out")]
    run = assert_after(model, base, 2, prompts=ids, edits=edits)
    assert run.fired[everywhere] == N_LAYERS


def test_edits_of_the_embedding_run_from_the_start() -> None:
    model, ids = held(), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    assert_after(model, base, 0, prompts=ids, edits=rz.Zero("pos_embed@0"))
    shifted = model.run(ids, edits=rz.Zero("pos_embed@0"), capture=["resid_pre"])
    edits = [rz.Zero("pos_embed@0"), rz.Zero("L2.z")]
    run = assert_after(model, shifted, 2, prompts=ids, edits=edits)
    assert run.fired[edits[0]] == 1


def test_edits_behind_the_blocks_run_no_block() -> None:
    model, ids = held(), random_ids(2, 8)
    asked: dict[str, Any] = {"prompts": ids, "capture": ["ln_final", "logits"]}
    for site in ("ln_final", "logits"):
        edits = rz.Scale(site, 0.5)
        whole = model.run(ids, capture=["resid_post"])
        assert assert_after(model, whole, 3, **asked, edits=edits).passes == 0.0
        base = model.run(ids, capture=["resid_pre"])
        why = "the base run kept no stream into block 3"
        assert_after(model, base, 2, why, **asked, edits=edits)


def test_an_edited_stream_is_not_taken_for_what_entered() -> None:
    model, ids = held("llama"), random_ids(2, 8)
    base = model.run(ids, edits=rz.Scale("L2.resid_pre", 3.0), capture=["resid_pre"])
    why = "the base run kept no stream into block 2"
    assert_after(model, base, 1, why, prompts=ids, capture=["L2.mlp_out"])
    assert_after(model, base, 1, why, prompts=ids, edits=rz.Scale("L2.resid_pre", 0.5))
    other = [rz.Scale("L2.resid_pre", 3.0), rz.Zero("L2.mlp_out")]
    assert_after(model, base, 1, why, prompts=ids, edits=other)
    post = model.run(ids, edits=rz.Scale("L2.resid_pre", 3.0), capture=["resid_post"])
    assert_after(model, post, 2, prompts=ids, capture=["L2.mlp_out"])
    early = rz.Scale("L1.resid_pre", 3.0)
    post = model.run(ids, edits=early, capture=["resid_post"])
    why = "the base run did not keep L1.resid_pre"
    asked = {"prompts": ids, "edits": [early, rz.Zero("L2.z")]}
    assert_after(model, post, 1, why, **asked, capture=["L1.resid_pre"])
    assert_after(model, post, 2, **asked, capture=["L0.resid_post", "L2.resid_pre"])


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gptj"])
def test_freeze_takes_the_unedited_values(name: str) -> None:
    model, ids = held(name), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    edits = [rz.Zero("L1.attn_out"), rz.Freeze("L2.attn_out")]
    run = assert_after(model, base, 1, prompts=ids, edits=edits)
    assert run.passes == pytest.approx(2 / N_LAYERS + 1 / N_LAYERS)
    assert model.run(ids, edits=edits).passes == 2.0
    edited = model.run(ids, edits=rz.Zero("L0.mlp_out"), capture=["resid_pre"])
    run = assert_after(model, edited, 1, prompts=ids, edits=[rz.Zero("L0.mlp_out"), *edits])
    assert run.passes == pytest.approx(2 / N_LAYERS + 3 / N_LAYERS)
    assert_after(model, base, 0, prompts=ids, edits=[rz.Zero("L0.z"), rz.Freeze("L2.pattern")])
    assert_after(model, base, 0, prompts=ids, edits=[rz.Zero("L1.z"), rz.Freeze("embed")])
    held_back = [rz.Zero("L1.z"), rz.Freeze("L1.mlp_out")]
    frozen = model.run(ids, edits=held_back, capture=["resid_pre"])
    run = assert_after(model, frozen, 2, prompts=ids, edits=[*held_back, rz.Zero("L2.z")])
    assert run.passes == pytest.approx(1 / N_LAYERS)


def test_edits_within_the_batch_see_the_same_batch() -> None:
    model, ids = held(), random_ids(4, 8)
    base = model.run(ids, capture=["resid_pre"])
    assert_after(model, base, 2, prompts=ids, edits=rz.Resample("L2.z[H0]", seed=3))
    pool = model.run(ids, capture=["L2.z"])["L2.z"]
    edits = [rz.Patch("L2.z", pool), rz.Resample("L2.mlp_out", seed=1, value=pool.flatten(2))]
    parts = model.run(ids, capture=["resid_pre"], batch_size=3)
    assert parts.passes == 1.0
    run = assert_after(model, parts, 2, prompts=ids, edits=edits, batch_size=3)
    assert run.passes == pytest.approx(1 / N_LAYERS)


def test_captures_below_come_from_the_base() -> None:
    model = held("gemma2")
    ids, mask = pad(ragged_ids(), left=True)
    asked: dict[str, Any] = {"prompts": ids, "attention_mask": mask, "edits": one_edit(2)}
    base = model.run(ids, attention_mask=mask, capture=["resid_pre", "z"])
    wanted = [
        "L0.resid_post",
        "L1.z[H1]",
        "L1.z[H2]@-1",
        rz.Capture("L0.z[H0]@0", dtype=torch.float64),
        rz.Capture("L1.resid_pre", reduce="mean"),
        rz.Capture("L0.z", reduce="second_moment"),
        rz.Capture("L0.z[H1]", reduce="top_k", k=3),
        "L2.mlp_act",
        "logits",
    ]
    assert_after(model, base, 2, **asked, capture=wanted)
    why = "the base run did not keep L1.mlp_act"
    assert_after(model, base, 1, why, **asked, capture=[*wanted, "L1.mlp_act"])
    sliced = model.run(ids, attention_mask=mask, capture=["resid_pre", "L0.v[H1]@-1"])
    assert_after(model, sliced, 2, **asked, capture=["L0.v[H1]@-1"])
    why = "the base run did not keep L0.v"
    assert_after(model, sliced, 0, why, **asked, capture=["L0.v"])


def test_reduced_captures_are_taken_only_as_they_were_asked_for() -> None:
    model, ids = held(), random_ids(3, 8)
    top = rz.Capture("L0.mlp_act", reduce="top_k", k=2)
    base = model.run(ids, capture=["resid_pre", top, rz.Capture("L0.z", reduce="mean")])
    asked: dict[str, Any] = {"prompts": ids, "edits": one_edit(1)}
    assert_after(model, base, 1, **asked, capture=[top, rz.Capture("L0.z", reduce="mean")])
    why = "the base run did not keep L0.z"
    assert_after(model, base, 0, why, **asked, capture=["L0.z"])
    cast = model.run(ids, capture=["resid_pre"], dtype=torch.float16)
    why = 'the base run kept no stream; make it with capture=["resid_pre"]'
    assert_after(model, cast, 0, why, **asked)


def test_a_pass_that_nobody_needs_is_not_made() -> None:
    model, ids = held(), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre", "L0.z"])
    for capture, cost in [("L0.z", 0.0), ("L1.resid_pre", 0.0), ("L2.z", 1 / 3)]:
        asked: dict[str, Any] = {"prompts": ids, "capture": capture, "logits": False}
        run = model.run(**asked, after=base)
        assert_same(run, model.run(**asked))
        assert run.passes == pytest.approx(cost)
    for capture, cost in [("embed", 0.0), ("L0.z", 1 / 3), ("L1.resid_pre", 1 / 3), ("L2.z", 1.0)]:
        run = model.run(ids, capture=capture, logits=False)
        assert run.passes == pytest.approx(cost)


@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_attention_written_out_in_one_run_alone_begins_there(name: str) -> None:
    model, ids = held(name), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre", "L1.pattern"])
    why = "attention of layer 1 is written out in one of the two runs alone"
    asked: dict[str, Any] = {"prompts": ids, "edits": one_edit(2)}
    assert_after(model, base, 1, why, **asked)
    assert_after(model, base, 2, **asked, capture=["L1.pattern"])
    plain = model.run(ids, capture=["resid_pre"])
    why = "the base run did not keep L1.pattern"
    assert_after(model, plain, 1, why, **asked, capture=["L1.pattern"])


def test_dictionaries_may_have_changed() -> None:
    model, ids = rz.load(build("gpt2"), check=False), random_ids(2, 8)
    model.dictionaries["toy"] = RandomCoder(32, 64)
    edits = [rz.Zero("L1.resid_post/toy[F3]")]
    base = model.run(ids, edits=edits, capture=["resid_pre"])
    assert_after(model, base, 1, prompts=ids, edits=[*edits, rz.Zero("L2.z")])
    asked = {"prompts": ids, "edits": [rz.Zero("L2.z")], "capture": ["L1.resid_post/toy"]}
    plain = model.run(ids, capture=["resid_pre", "L1.resid_post/toy"])
    assert_after(model, plain, 2, **asked)
    model.dictionaries["toy"] = RandomCoder(32, 48)
    assert_after(model, plain, 2, **asked)


def test_gradients_run_whole() -> None:
    model, ids = held(), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    asked: dict[str, Any] = {"prompts": ids, "capture": ["L2.z"], "edits": one_edit(2)}
    metric = {"grad_of": lambda logits: logits[:, -1].sum()}
    why = "gradients are taken through every block"
    found = assert_after(model, base, 0, why, **asked, **metric)
    assert torch.equal(found.grad["L2.z"], model.run(**asked, **metric).grad["L2.z"])
    graded = model.run(ids, capture=["resid_pre"], **metric)
    why = "the base run was made with gradients, which may choose other kernels"
    assert_after(model, graded, 0, why, **asked)


def test_what_else_runs_whole_says_why() -> None:
    model, ids = rz.load(build("gpt2"), check=False), random_ids(4, 8)
    asked: dict[str, Any] = {"prompts": ids, "edits": one_edit(2)}
    base = model.run(ids, capture=["resid_pre"])
    none = 'the base run kept no stream; make it with capture=["resid_pre"]'
    assert_after(model, model.run(ids), 0, none, **asked)
    assert_after(model, model.run(ids, capture="L2.resid_pre@-1"), 0, none, **asked)
    size = "the base run had 4 prompts in a pass, this one has 2"
    assert_after(model, base, 0, size, **asked, batch_size=2)
    hook = model.hf.transformer.h[0].register_forward_hook(lambda m, a, out: out * 2)
    hooked = model.run(ids, capture=["resid_pre"])
    assert_after(model, base, 0, "somebody's hooks stand on the model", **asked)
    hook.remove()
    assert_after(model, hooked, 0, "somebody's hooks stand on the model", **asked)
    model.hf.set_attn_implementation("eager")
    why = "kernels, threads or precision were set otherwise since the base run"
    assert_after(model, base, 0, why, **asked)


def test_a_family_without_a_table_runs_whole() -> None:
    import transformers

    config = transformers.AutoConfig.for_model(
        "xglm",
        **{
            "d_model": 32,
            "num_layers": 3,
            "attention_heads": 4,
            "ffn_dim": 48,
            "vocab_size": 101,
            "max_position_embeddings": 64,
        },
    )
    torch.manual_seed(0)
    model = rz.load(transformers.AutoModelForCausalLM.from_config(config).eval())
    assert model.adapted.guessed
    ids = random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    asked = {"prompts": ids, "edits": rz.Scale("L2.resid_post", 0.5)}
    name = model.adapted.family.name
    assert_after(model, base, 0, f"the family {name} has no table", **asked)


def test_a_model_whose_blocks_share_more_than_the_stream_runs_whole() -> None:
    hf = build("llama")
    first, last = hf.model.layers[0], hf.model.layers[2]
    kept: list[torch.Tensor] = []
    plain_first, plain_last = first.mlp.forward, last.mlp.forward

    def remember(x: torch.Tensor) -> torch.Tensor:
        kept[:] = [plain_first(x)]
        return kept[0]

    first.mlp.forward = remember
    last.mlp.forward = lambda x: plain_last(x) + kept[0].sum()
    model, ids = rz.load(hf, check=False), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    model.run(random_ids(2, 8, seed=9))
    why = "a short run from the middle on does not give the same logits"
    assert_after(model, base, 0, why, prompts=ids, edits=one_edit(2))


def test_the_model_is_left_as_it_was() -> None:
    model, ids = rz.load(build("falcon"), check=False), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    before = {name: list(vars(module)) for name, module in model.hf.named_modules()}
    stream = base["L2.resid_pre"].clone()
    model.run(ids, edits=one_edit(2), after=base)
    with pytest.raises(ShapeError):
        model.run(ids, edits=rz.Set("L2.z", torch.ones(7)), after=base)
    assert {name: list(vars(module)) for name, module in model.hf.named_modules()} == before
    assert torch.equal(base["L2.resid_pre"], stream)
    assert not model.adapted.hooked()


def test_a_block_that_writes_into_its_stream_leaves_the_base_alone() -> None:
    hf = build("llama")
    plain = hf.model.layers[2].forward
    hf.model.layers[2].forward = lambda x, *args, **kwargs: plain(x.mul_(2.0), *args, **kwargs)
    model, ids = rz.load(hf, check=False), random_ids(2, 8)
    base = model.run(ids, capture=["resid_post"])
    for _ in range(2):
        assert_after(model, base, 2, prompts=ids, edits=one_edit(2))


def test_a_forward_that_stood_on_a_block_stays() -> None:
    hf = build("llama")
    block = hf.model.layers[0]
    plain = block.forward
    block.forward = lambda *args, **kwargs: plain(*args, **kwargs)
    mine = block.forward
    model, ids = rz.load(hf, check=False), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    assert_after(model, base, 2, prompts=ids, edits=one_edit(2))
    assert block.forward is mine


def test_an_edit_that_never_fires_is_still_an_error() -> None:
    model, ids = held(), random_ids(2, 8)
    base = model.run(ids, capture=["resid_pre"])
    with pytest.raises(EditNeverFired):
        model.run(ids, edits=rz.Zero("L2.z@8:9"), after=base)


def wrong_bases() -> dict[str, tuple[Any, str, str]]:
    again = 'run the base again: base = model.run(prompts, capture=["resid_pre"])'
    return {
        "no run": (lambda m, ids: 3, "after=3 is no run", "give one: base = model.run("),
        "other ids": (
            lambda m, ids: m.run(ids.flip(1), capture="resid_pre"),
            "the base run is of other token ids",
            "give a base of the same prompts; its ids are run.ids",
        ),
        "fewer ids": (
            lambda m, ids: m.run(ids[:1], capture="resid_pre"),
            "the base run is of other token ids",
            "give a base of the same prompts; its ids are run.ids",
        ),
        "other mask": (
            lambda m, ids: m.run(
                ids, attention_mask=torch.ones_like(ids).index_fill(1, torch.tensor([0]), 0),
                capture="resid_pre",
            ),
            "the base run has another attention_mask",
            "give a base of the same prompts; its mask is run.batch.mask",
        ),
        "other model": (
            lambda m, ids: held("llama").run(ids, capture="resid_pre"),
            "the base run is of another model",
            again,
        ),
        "changed weights": (changed, "the model's weights have changed since the base run", again),
        "cast weights": (cast, "the model's weights have changed since the base run", again),
        "embedding changed without a trace": (
            behind,
            "the stream that enters the first block is not the base run's: the model has changed",
            again,
        ),
        "captured tensor written to": (
            scribbled, "the base run's L2.resid_pre was written to after the run", again
        ),
        "ids of the base written to": (
            relabelled,
            "the base run is of other token ids",
            "give a base of the same prompts; its ids are run.ids",
        ),
    }  # fmt: skip


def changed(model: rz.Model, ids: torch.Tensor) -> rz.Run:
    run = model.run(ids, capture="resid_pre")
    with torch.no_grad():
        model.hf.transformer.h[0].mlp.c_fc.weight[0, 0] += 1.0
    return run


def cast(model: rz.Model, ids: torch.Tensor) -> rz.Run:
    run = model.run(ids, capture="resid_pre")
    model.hf.to(torch.float64)
    return run


def behind(model: rz.Model, ids: torch.Tensor) -> rz.Run:
    run = model.run(ids, capture="resid_pre")
    model.hf.transformer.wte.weight.data.add_(1.0)
    return run


def scribbled(model: rz.Model, ids: torch.Tensor) -> rz.Run:
    run = model.run(ids, capture="resid_pre")
    run["L2.resid_pre"].mul_(2.0)
    return run


def relabelled(model: rz.Model, ids: torch.Tensor) -> rz.Run:
    run = model.run(ids.flip(1), capture="resid_pre")
    run.ids.copy_(ids)
    return run


@pytest.mark.parametrize("case", wrong_bases())
def test_a_base_of_something_else_is_refused(case: str) -> None:
    make, what, mend = wrong_bases()[case]
    model, ids = rz.load(build("gpt2"), check=False), random_ids(2, 8)
    base = make(model, ids)
    with pytest.raises(OptionError) as error:
        model.run(ids, edits=one_edit(2), after=base)
    assert what in str(error.value) and mend in str(error.value)
    right = model.run(ids, capture="resid_pre")
    assert_after(model, right, 2, prompts=ids, edits=one_edit(2))


def test_what_a_run_says_of_it() -> None:
    model, ids = held(), random_ids(1, 5)
    base = model.run(ids, capture=["resid_pre"])
    edit = rz.Zero("L2.z")
    assert repr(model.run(ids, edits=edit, after=base)) == (
        "Run(1 prompt × 5 tokens\n  from block 2 on\n  fired: Zero('L2.z') at 1 site)"
    )
    assert "whole, though after another run: the base run kept no stream" in repr(
        model.run(ids, edits=edit, after=model.run(ids))
    )
    assert model.run(ids, edits=edit, after=base).hash == model.run(ids, edits=edit).hash
