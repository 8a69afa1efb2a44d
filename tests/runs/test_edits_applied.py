"""Edits applied: each kind's arithmetic, their order, where they act, and that they come back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import residuum as rz

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import IdentityCoder, RandomCoder, build, model

IDS = torch.randint(3, 101, (4, 6), generator=torch.Generator().manual_seed(4))
SITE = "L1.resid_post"
GENERATOR = torch.Generator().manual_seed(8)
VECTOR = torch.randn(32, generator=GENERATOR)
FULL = torch.randn(4, 6, 32, generator=GENERATOR)
MATRIX = torch.randn(32, 32, generator=GENERATOR) / 6
PLANE = torch.randn(2, 32, generator=GENERATOR)


def close(left: torch.Tensor, right: torch.Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def value(edits: Any, site: str = SITE) -> torch.Tensor:
    return model().run(IDS, edits=edits, capture=site)[site]


def without(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    q = torch.linalg.qr(directions.double().T)[0]
    return (x.double() - x.double() @ q @ q.T).to(x.dtype)


KINDS: list[tuple[rz.Edit, Any]] = [
    (rz.Zero(SITE), lambda x: x * 0),
    (rz.Scale(SITE, -1.5), lambda x: -1.5 * x),
    (rz.Set(SITE, VECTOR), lambda x: VECTOR.expand_as(x)),
    (rz.Set(SITE, 2.0), lambda x: torch.full_like(x, 2.0)),
    (rz.Mean(SITE, FULL.mean((0, 1))), lambda x: FULL.mean((0, 1)).expand_as(x)),
    (rz.Patch(SITE, FULL), lambda x: FULL),
    (rz.Patch(SITE, FULL[0]), lambda x: FULL[0].expand_as(x)),
    (rz.Add(SITE, VECTOR), lambda x: x + VECTOR),
    (rz.Add(SITE, VECTOR, scale=-3.0), lambda x: x - 3 * VECTOR),
    (rz.Erase(SITE, VECTOR), lambda x: without(x, VECTOR[None])),
    (rz.Erase(SITE, PLANE), lambda x: without(x, PLANE)),
    (rz.Erase(SITE, PLANE, bias=VECTOR), lambda x: without(x, PLANE) + VECTOR),
    (rz.Erase(SITE, matrix=MATRIX), lambda x: x @ MATRIX.T),
    (rz.Erase(SITE, matrix=MATRIX, bias=VECTOR), lambda x: x @ MATRIX.T + VECTOR),
    (rz.Freeze(SITE), lambda x: x),
]


@pytest.mark.parametrize(("edit", "rule"), KINDS, ids=lambda each: getattr(each, "kind", ""))
def test_arithmetic_of_each_kind(edit: rz.Edit, rule: Any) -> None:
    base = value(())
    close(value(edit), rule(base))
    run = model().run(IDS, edits=edit)
    assert dict(run.fired) == {edit: 1} and run.edits == (edit,)
    after = model().run(IDS, edits=rz.Patch(SITE, rule(base)))
    close(run.logits, after.logits)


NARROW = ["L1.z[H2]", "L1.z[H2]@-1", "L1.z@2", "L1.z@1:4", "L1.mlp_act[N7]@0", "L1.pattern[H1]@3"]


@pytest.mark.parametrize("at", NARROW)
def test_a_narrow_edit_changes_its_place_and_no_other(at: str) -> None:
    whole = str(rz.Address.parse(at).base)
    base = model().run(IDS, capture=whole)
    run = model().run(IDS, edits=rz.Scale(at, 3.0), capture=whole)
    close(run[at], 3 * base[at])
    restored = run[whole].clone()
    moved = (restored - base[whole]).abs() > 1e-5
    assert moved.sum() <= base[at].numel()
    again = model().run(IDS, edits=[rz.Scale(at, 3.0), rz.Patch(at, base)], capture=whole)
    close(again[whole], base[whole])
    close(again.logits, base.logits)


def test_the_order_of_the_stack_counts() -> None:
    add, double = rz.Add(SITE, VECTOR), rz.Scale(SITE, 2.0)
    base = value(())
    close(value([add, double]), (base + VECTOR) * 2)
    close(value([double, add]), base * 2 + VECTOR)
    close(value([rz.Zero(SITE), add]), VECTOR.expand_as(base))
    close(value([add, rz.Zero(SITE)]), base * 0)
    first, second = (model().run(IDS, edits=each) for each in ([add, double], [double, add]))
    assert (first.logits - second.logits).abs().max() > 1e-2
    assert first.hash != second.hash


def test_an_earlier_layer_is_edited_first_whatever_the_stacks_order() -> None:
    early, late = rz.Add("L0.resid_post", VECTOR), rz.Scale("L2.mlp_out", 0.0)
    one, two = (model().run(IDS, edits=each) for each in ([early, late], [late, early]))
    assert torch.equal(one.logits, two.logits)


def test_the_same_edit_twice_is_made_twice() -> None:
    add = rz.Add(SITE, VECTOR)
    close(value([add, add]), value(()) + 2 * VECTOR)


def test_a_query_edits_every_site_and_fired_counts_them() -> None:
    edits = [rz.Zero("L*.z[H1]"), rz.Scale("resid_mid", 0.5), rz.Zero("L1:.mlp_act[N3]@-1")]
    run = model().run(IDS, edits=edits, capture=["z", "L2.mlp_act"])
    assert [run.fired[edit] for edit in edits] == [3, 3, 2]
    for layer in range(3):
        assert (run["z", layer][:, :, 1] == 0).all() and (run["z", layer][:, :, 0] != 0).any()
    assert (run["L2.mlp_act"][:, -1, 3] == 0).all() and (run["L2.mlp_act"][:, 0, 3] != 0).any()


def test_freeze_is_patching_from_the_base_run() -> None:
    base = model().run(IDS, capture=["L1.z", "L2.mlp_act"])
    push = rz.Add("L0.resid_post", VECTOR)
    frozen = model().run(IDS, edits=[push, rz.Freeze("L1.z[H1]"), rz.Freeze("L2.mlp_act@-1")])
    patched = model().run(
        IDS, edits=[push, rz.Patch("L1.z[H1]", base), rz.Patch("L2.mlp_act@-1", base)]
    )
    close(frozen.logits, patched.logits)
    assert (frozen.logits - model().run(IDS, edits=push).logits).abs().max() > 1e-3
    chunks = model().run(IDS, edits=[push, rz.Freeze("L1.z[H1]")], batch_size=3)
    close(chunks.logits, model().run(IDS, edits=[push, rz.Freeze("L1.z[H1]")]).logits)


def test_resampling_takes_another_prompt_and_is_seeded() -> None:
    base = value(())
    seen = set()
    for seed in range(6):
        new = value(rz.Resample(SITE, seed=seed))
        near = ((new[:, None] - base[None]).abs().amax((2, 3)) < 1e-5).nonzero()
        assert near[:, 0].tolist() == [0, 1, 2, 3]
        donors = near[:, 1].tolist()
        assert sorted(donors) == [0, 1, 2, 3]
        assert all(row != donor for row, donor in enumerate(donors))
        seen.add(tuple(donors))
        assert torch.equal(new, value(rz.Resample(SITE, seed=seed)))
    assert len(seen) > 1


@pytest.mark.parametrize("size", [1, 3])
def test_resampling_from_rows_is_the_same_in_chunks(size: int) -> None:
    edit = rz.Resample(SITE, seed=3, value=torch.stack([FULL[0] * i for i in range(7)]))
    one, many = (model().run(IDS, edits=edit, batch_size=n) for n in (None, size))
    close(one.logits, many.logits)
    rows = value(edit)
    assert len({float(row[0, 0]) for row in rows}) > 1


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("at", [SITE, "L1.z[H1]", "L1.resid_mid@-1", "L1.pattern[H0]"])
def test_patches_of_a_batch_are_the_same_in_chunks(at: str, size: int) -> None:
    donor = model().run(IDS.flip(0), capture=str(rz.Address.parse(at).base))
    for edit in (rz.Patch(at, donor), rz.Add(at, donor)):
        one, many = (model().run(IDS, edits=edit, batch_size=n) for n in (None, size))
        close(one.logits, many.logits)


def test_nothing_is_left_along_an_erased_direction() -> None:
    new = value([rz.Erase(SITE, 100 * VECTOR)])
    assert (new @ VECTOR).abs().max() < 1e-4 * VECTOR.norm() * new.abs().max()
    twice = torch.stack([VECTOR, 2 * VECTOR])
    close(value(rz.Erase(SITE, twice)), new)
    close(value([rz.Erase(SITE, VECTOR), rz.Erase(SITE, VECTOR)]), new)


def test_a_mean_run_gives_its_heads_and_serves_at_every_position() -> None:
    means = model().run(IDS, capture=["L1.z", "L1.pattern"], reduce="mean")
    edited = value(rz.Mean("L1.z[H2]", means), "L1.z")
    close(edited[:, :, 2], means["L1.z"][2].expand(4, 6, 8))
    edited = value(rz.Mean("L1.z[H2]@-1", means), "L1.z")
    close(edited[:, -1, 2], means["L1.z"][2].expand(4, 8))
    close(edited[:, 0], value((), "L1.z")[:, 0])
    by_pos = model().run(IDS, capture="L1.z", reduce="mean_by_pos")
    close(value(rz.Mean("L1.z", by_pos), "L1.z"), by_pos["L1.z"].expand(4, 6, 4, 8))


RAGGED = [IDS[0].tolist(), IDS[1, :3].tolist(), IDS[2, :4].tolist()]


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("at", ["L1.resid_post@-1", "L0.z[H1]@1", "L1.pattern[H1]@2", "L0.k@0:2"])
def test_positions_of_padded_prompts_hit_the_right_tokens(name: str, at: str, left: bool) -> None:
    ids, mask = torch.zeros(3, 6, dtype=torch.long), torch.zeros(3, 6)
    for i, row in enumerate(RAGGED):
        where = slice(6 - len(row), 6) if left else slice(0, len(row))
        ids[i, where], mask[i, where] = torch.tensor(row), 1
    edit = rz.Scale(at, 0.25)
    batch = model(name).run(ids, attention_mask=mask, edits=edit, capture="L2.resid_post")
    for i, row in enumerate(RAGGED):
        single = model(name).run([row], edits=edit, capture="L2.resid_post")
        close(batch["L2.resid_post"][i][mask[i].bool()], single["L2.resid_post"][0])
        close(batch.last[i], single.last[0])
        assert (single.last - model(name).run([row]).last).abs().max() > 1e-4


# -- dictionaries ----------------------------------------------------------------------------


def coded() -> rz.Model:
    held = rz.load(build("gpt2"), check=False)
    held.dictionaries |= {"same": IdentityCoder(), "toy": RandomCoder(32, 64)}
    return held


def test_splicing_in_a_dictionary() -> None:
    held = coded()
    base = held.run(IDS, capture=SITE)
    close(held.run(IDS, edits=rz.Splice(SITE, "same")).logits, base.logits)
    coder = held.dictionaries["toy"]
    rebuilt = coder.decode(coder.encode(base[SITE]))
    spliced = held.run(IDS, edits=rz.Splice(SITE, "toy"), capture=SITE)
    close(spliced[SITE], rebuilt)
    assert (spliced.logits - base.logits).abs().max() > 1e-2
    close(held.run(IDS, edits=rz.Splice(SITE, "toy", keep_error=True)).logits, base.logits)
    last = held.run(IDS, edits=rz.Splice(f"{SITE}@-1", "toy"), capture=SITE)[SITE]
    close(last[:, -1], rebuilt[:, -1])
    close(last[:, :-1], base[SITE][:, :-1])


@pytest.mark.parametrize("at", [f"{SITE}/toy[F3]", f"{SITE}/toy[F3]@2", f"{SITE}/toy[F3]@1:4"])
def test_editing_a_latent_moves_along_its_decoder_alone(at: str) -> None:
    held = coded()
    coder = held.dictionaries["toy"]
    base = held.run(IDS, capture=SITE)[SITE]
    latents = coder.encode(base)[..., 3]
    run = held.run(IDS, edits=rz.Set(at, 5.0), capture=SITE)
    pos = rz.Address.parse(at).pos
    inside = torch.zeros(6, dtype=torch.bool)
    inside[slice(None) if pos is None else slice(1, 4) if not isinstance(pos, int) else pos] = True
    expected = base + ((5.0 - latents) * inside).unsqueeze(-1) * coder.dec[3]
    close(run[SITE], expected)
    assert list(run.fired.values()) == [1]
    close(held.run(IDS, edits=rz.Scale(at, 1.0)).logits, held.run(IDS).logits)


def test_values_of_latents_from_a_run_and_frozen() -> None:
    held = coded()
    donor = held.run(IDS.flip(0), capture=[f"{SITE}/toy"])
    at = f"{SITE}/toy[F3]@-1"
    run = held.run(IDS, edits=rz.Patch(at, donor), capture=SITE)
    coder = held.dictionaries["toy"]
    base = held.run(IDS, capture=SITE)[SITE]
    change = (donor[at] - coder.encode(base)[:, -1, 3])[:, None] * coder.dec[3]
    close(run[SITE][:, -1], base[:, -1] + change)
    push = rz.Add("L0.resid_post", VECTOR)
    frozen = held.run(IDS, edits=[push, rz.Freeze(f"{SITE}/toy[F3]")], capture=SITE)[SITE]
    pushed = held.run(IDS, edits=push, capture=SITE)[SITE]
    change = coder.encode(base)[..., 3] - coder.encode(pushed)[..., 3]
    close(frozen, pushed + change[..., None] * coder.dec[3])


def test_a_splice_and_then_its_latents() -> None:
    held = coded()
    edits = [rz.Splice(SITE, "same"), rz.Zero(f"{SITE}/same[F3]")]
    new = held.run(IDS, edits=edits, capture=SITE)[SITE]
    base = held.run(IDS, capture=SITE)[SITE]
    assert (new[..., 3] == 0).all()
    close(new[..., :3], base[..., :3])


# -- through files ---------------------------------------------------------------------------


def everything() -> list[rz.Edit]:
    donor = model().run(IDS.flip(0), capture="L0.z")
    return [edit for edit, _ in KINDS] + [
        rz.Patch("L0.z[H1]", donor),
        rz.Resample("L2.z", seed=5),
        rz.Resample("L2.mlp_act@-1", value=torch.ones(3, 128)),
        rz.Zero("L*.z[H3]@1:3"),
        rz.Add("L2.resid_mid", VECTOR.to(torch.bfloat16)),
    ]


def test_edits_from_a_file_give_the_same_logits(tmp_path: Path) -> None:
    stack = everything()
    path = rz.save_edits(stack, tmp_path / "edits.json")
    again = rz.load_edits(path)
    assert list(again) == stack
    json.loads(path.read_text())
    one, two = model().run(IDS, edits=stack), model().run(IDS, edits=again)
    assert torch.equal(one.logits, two.logits)
    assert one.hash == two.hash and dict(one.fired) == dict(two.fired)


def test_a_reference_is_safe_from_what_is_done_to_the_tensor_later() -> None:
    tensor = VECTOR.clone()
    edit = rz.Add(SITE, tensor)
    before = value(edit)
    tensor.zero_()
    assert torch.equal(value(edit), before)
    array = np.ones(32, dtype="float32")
    made = rz.Set(SITE, array)
    array[:] = 0
    assert (value(made) == 1).all()


# -- any stack -------------------------------------------------------------------------------

LAYERED = ("resid_pre", "resid_mid", "resid_post", "z", "mlp_act", "attn_out", "mlp_out")
numbers = st.floats(-3, 3, width=32)


@st.composite
def edits(draw: st.DrawFn) -> rz.Edit:
    name, layer = draw(st.sampled_from(LAYERED)), draw(st.integers(0, 2))
    site = rz.Address(name, layer).site
    part = draw(st.none() | st.integers(0, 3)) if site.part_letter else None
    pos = draw(st.none() | st.integers(-6, 5))
    at = rz.Address(name, layer, part, pos)
    kind = draw(st.sampled_from(["zero", "scale", "add", "set", "resample", "freeze", "erase"]))
    if kind == "scale":
        return rz.Scale(at, draw(numbers))
    if kind in ("add", "set"):
        return {"add": rz.Add, "set": rz.Set}[kind](at, draw(numbers))
    if kind == "resample":
        return rz.Resample(at, seed=draw(st.integers(0, 99)))
    if kind == "erase" and not (name == "mlp_act" and part is not None):
        width = {"z": 8, "mlp_act": 128}.get(name, 32)
        return rz.Erase(at, torch.eye(width)[draw(st.integers(0, width - 1))])
    return rz.Freeze(at) if kind == "freeze" else rz.Zero(at)


@settings(max_examples=40)
@given(st.lists(edits(), min_size=1, max_size=5))
def test_any_stack_comes_back_from_json_and_does_the_same(stack: list[rz.Edit]) -> None:
    live = {ref.hash: ref.payload for edit in stack for ref in edit.tensors().values()}
    again = [rz.core.edit_from_json(json.loads(json.dumps(e.to_json())), live) for e in stack]
    one, two = model().run(IDS, edits=stack), model().run(IDS, edits=again)
    assert torch.equal(one.logits, two.logits) and one.hash == two.hash
    assert all(one.fired[edit] >= 1 for edit in stack)


@settings(max_examples=40)
@given(st.lists(edits(), min_size=2, max_size=5), st.integers(0, 2))
def test_any_stack_may_be_applied_layer_by_layer(stack: list[rz.Edit], cut: int) -> None:
    """Edits of earlier layers first, then the rest on the stream they leave: the same run."""
    stack = [edit for edit in stack if edit.kind != "freeze"]
    ordered = sorted(stack, key=lambda edit: edit.at.layer or 0)
    whole = model().run(IDS, edits=stack)
    close(model().run(IDS, edits=ordered).logits, whole.logits)
    early = [edit for edit in ordered if (edit.at.layer or 0) <= cut]
    left = model().run(IDS, edits=early, capture=f"L{cut}.resid_post")
    rest = [rz.Patch(f"L{cut}.resid_post", left), *ordered[len(early) :]]
    scale = float(whole.logits.abs().max())
    gap = (model().run(IDS, edits=rest).logits - whole.logits).abs().max()
    assert gap < 1e-4 * max(scale, 1.0)
