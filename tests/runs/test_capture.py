"""Capture: what was asked for, all of it, copied, and the same in one pass as in several."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import IDS, RandomCoder, build, model

RAGGED = [[4, 5, 7, 10, 4, 9], [9, 6, 8], [11, 6, 8, 10], [7]]
MANY = torch.randint(3, 101, (5, 6), generator=torch.Generator().manual_seed(1))
LENGTHS = [len(row) for row in RAGGED]


def names(run: rz.Run) -> list[str]:
    return [str(address) for address in run.captured]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("L1.z", ["L1.z"]),
        ("pattern", ["L0.pattern", "L1.pattern", "L2.pattern"]),
        ("L*.z[H*]", ["L0.z", "L1.z", "L2.z"]),
        ("L*.z[H2]@-1", ["L0.z[H2]@-1", "L1.z[H2]@-1", "L2.z[H2]@-1"]),
        (
            "L1:3.resid_*",
            [f"L{i}.resid_{part}" for i in (1, 2) for part in ("pre", "mid", "post")],
        ),
        ("L:1.mlp_act[N3]@1:3", ["L0.mlp_act[N3]@1:3"]),
        ("L2.?", ["L2.q", "L2.k", "L2.v", "L2.z"]),
        ("*embed", ["embed", "pos_embed"]),
        (("z", 1), ["L1.z"]),
        ("blocks.1.attn.hook_rot_q", ["L1.q"]),
        ("blocks.*.hook_resid_mid", ["L0.resid_mid", "L1.resid_mid", "L2.resid_mid"]),
        ("blocks.1.attn.hook_z[H2]@-1", ["L1.z[H2]@-1"]),
        ("hook_result", ["L0.head_out", "L1.head_out", "L2.head_out"]),
        (rz.Address("z", 0, 1), ["L0.z[H1]"]),
        (rz.Capture("L0.z"), ["L0.z"]),
    ],
    ids=str,
)
def test_queries_mean_sites_in_forward_order(query: object, expected: list[str]) -> None:
    assert names(model().run(IDS, capture=[query])) == expected
    if not isinstance(query, tuple):
        assert names(model().run(IDS, capture=query)) == expected


SLICES = [
    ("L1.z[H2]", lambda z: z[:, :, 2]),
    ("L1.z@3", lambda z: z[:, 3]),
    ("L1.z@-2", lambda z: z[:, 4]),
    ("L1.z@1:4", lambda z: z[:, 1:4]),
    ("L1.z@-2:", lambda z: z[:, 4:]),
    ("L1.z@:2", lambda z: z[:, :2]),
    ("L1.z[H3]@-1", lambda z: z[:, -1, 3]),
    ("L1.z[H0]@2:4", lambda z: z[:, 2:4, 0]),
    ("L1.pattern[H1]", lambda p: p[:, 1]),
    ("L1.pattern@4", lambda p: p[:, :, 4]),
    ("L1.pattern@1:3", lambda p: p[:, :, 1:3].transpose(1, 2)),
    ("L1.pattern[H2]@-1", lambda p: p[:, 2, -1]),
    ("L1.mlp_act[N5]@0", lambda a: a[:, 0, 5]),
    ("resid_post@0", lambda r: r[:, 0]),
]


@pytest.mark.parametrize(("text", "cut"), SLICES, ids=[row[0] for row in SLICES])
def test_a_slice_is_the_slice_of_the_whole(text: str, cut: object) -> None:
    address = rz.Address.parse(text)
    layer = 1 if address.layer is None else address.layer
    whole = model().run(MANY, capture=[rz.Address(address.name, layer)])
    asked = rz.Address(address.name, layer, address.part, address.pos)
    sliced = model().run(MANY, capture=[asked])
    expected = cut(whole[address.name, layer])  # type: ignore[operator]
    torch.testing.assert_close(sliced[asked], expected, rtol=0, atol=0)
    torch.testing.assert_close(whole[asked], expected, rtol=0, atol=0)


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_positions_of_padded_prompts_are_those_of_their_own_tokens(left: bool) -> None:
    rows = [row for row in RAGGED if len(row) >= 3]
    width = max(map(len, rows))
    ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, where], mask[i, where] = torch.tensor(row), 1
    asked = ["L1.z@0", "L1.z[H1]@-2", "L2.resid_post@1:3", "L1.pattern[H1]@-1"]
    batch = model().run(ids, attention_mask=mask, capture=asked)
    for i, row in enumerate(rows):
        single = model().run([row], capture=asked)
        for key in asked[:3]:
            torch.testing.assert_close(batch[key][i], single[key][0], rtol=1e-4, atol=1e-5)
        start = width - len(row) if left else 0
        keys = batch["L1.pattern[H1]@-1"][i]
        torch.testing.assert_close(
            keys[start : start + len(row)], single["L1.pattern[H1]@-1"][0], rtol=1e-4, atol=1e-5
        )


def test_run_is_read_by_any_name_of_a_site() -> None:
    run = model().run(IDS, capture=["L1.z", "pattern", "L0.mlp_act[N2]"])
    for key in ("L1.z", ("z", 1), "blocks.1.attn.hook_z", "z", rz.Address("z", 1)):
        assert torch.equal(run[key], run["L1.z"])
        assert key in run
    assert torch.equal(run["pattern", 2][:, 1], run["L2.pattern[H1]"])
    assert "L2.pattern[H1]@-1" in run
    assert "L0.z" not in run and "pattern@9" not in run and "L0.mlp_act" not in run
    with pytest.raises(rz.AddressError, match="pattern may mean 3 sites that were captured"):
        run["pattern"]
    with pytest.raises(rz.AddressError, match="no site named"):
        _ = "patern" in run


def test_a_name_without_its_layer_must_mean_one_site() -> None:
    run = model().run(IDS, capture=["z", "L1.q[H2]", "L2.resid_post"])
    for key, mend in {
        "z": 'write run["z", layer], for one of: L0.z, L1.z, L2.z',
        "hook_z": 'write run["z", layer], for one of: L0.z, L1.z, L2.z',
        "z[H3]@-1": 'write run["L{layer}.z[H3]@-1"], for one of: L0.z[H3]@-1, ',
        "L1:.z": "write run[address], for one of: L1.z, L2.z",
        "*": "write run[address], for one of: L0.z, L1.z, L2.z, L2.resid_post",
    }.items():
        with pytest.raises(rz.AddressError) as caught:
            run[key]
        assert "that were captured" in caught.value.what
        assert caught.value.mend.startswith(mend)
        assert key not in run
    assert torch.equal(run["resid_post@-1"], run["L2.resid_post"][:, -1])
    assert torch.equal(run["q[H2]"], run["L1.q[H2]"])
    assert torch.equal(run["z[H3]@-1", 1], run["z", 1][:, -1, 3])
    with pytest.raises(rz.AddressError, match=r"q\[H1\] was not captured"):
        run["q[H1]"]
    total = model().run(IDS, capture=["z"], grad_of=lambda logits: logits.sum())
    with pytest.raises(rz.AddressError) as caught:
        total.grad["z"]
    assert 'write run.grad["z", layer]' in caught.value.mend


def test_captures_are_copies_never_views() -> None:
    sites = model("llama").sites
    run = model("llama").run(IDS, capture=sites)
    assert set(names(run)) == {str(site) for site in sites}
    again = model("llama").run(IDS, capture=sites)
    places = {run[site].untyped_storage().data_ptr() for site in sites}
    assert len(places) == len(sites)
    for site in sites:
        value = run[site]
        assert not value.requires_grad
        value.fill_(7.0)
    for site in sites:
        assert not (again[site] == 7.0).all()
    torch.testing.assert_close(model("llama").run(IDS).logits, again["logits"])
    head = again["L0.z[H1]"]
    head.zero_()
    assert again["L0.z"][:, :, 1].abs().sum() > 0


def test_dtype_and_device_are_as_asked() -> None:
    full = model().run(IDS, capture=["L0.z", "L1.z"])
    cast = model().run(
        IDS,
        capture=["L0.z", rz.Capture("L1.z", dtype=torch.float64)],
        dtype=torch.float16,
        device="cpu",
    )
    assert cast["L0.z"].dtype == torch.float16 and cast["L1.z"].dtype == torch.float64
    assert torch.equal(cast["L0.z"], full["L0.z"].half())
    assert cast.logits.dtype == torch.float32
    reduced = model().run(IDS, capture="z", reduce="mean", dtype=torch.bfloat16)
    assert reduced["L0.z"].dtype == torch.bfloat16
    top = model().run(IDS, capture=rz.Capture("L0.z", reduce="top_k", k=2, dtype=torch.float16))
    assert top["L0.z"].values.dtype == torch.float16


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("prompts", [MANY, RAGGED], ids=["equal", "ragged"])
def test_chunks_equal_one_pass(size: int, prompts: object) -> None:
    asked = [
        "L0.z",
        "L1.resid_post@-1",
        rz.Capture("L2.z", reduce="mean"),
        rz.Capture("L1.mlp_act", reduce="second_moment"),
        rz.Capture("L2.mlp_act", reduce="top_k", k=3),
    ]
    one, many = (model().run(prompts, capture=asked, batch_size=n) for n in (None, size))
    torch.testing.assert_close(one.logits, many.logits, rtol=1e-4, atol=1e-5)
    for key in one.captured:
        left, right = one[key], many[key]
        if key.name == "mlp_act" and key.layer == 2:
            assert torch.equal(left.prompts, right.prompts)
            assert torch.equal(left.positions, right.positions)
            left, right = left.values, right.values
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def tokens(value: torch.Tensor) -> np.ndarray:
    """The real tokens of a padded capture, one row each."""
    rows = [value[i, : LENGTHS[i]] for i in range(len(LENGTHS))]
    return torch.cat(rows).double().numpy()


@pytest.mark.parametrize("site", ["L1.z", "L1.resid_post", "L1.mlp_act[N3]", "L1.z[H2]"])
def test_reductions_equal_numpy_on_the_full_capture(site: str) -> None:
    flat = tokens(model().run(RAGGED, capture=site)[site])
    for batch_size in (None, 2):
        reduced = {
            name: model().run(RAGGED, capture=rz.Capture(site, reduce=name), batch_size=batch_size)[
                site
            ]
            for name in ("mean", "second_moment")
        }
        np.testing.assert_allclose(reduced["mean"], flat.mean(0), rtol=1e-4, atol=1e-6)
        squares = (flat**2).mean(0)
        np.testing.assert_allclose(reduced["second_moment"], squares, rtol=1e-4, atol=1e-6)
        top = model().run(
            RAGGED, capture=rz.Capture(site, reduce="top_k", k=4), batch_size=batch_size
        )[site]
        order = np.argsort(-flat, axis=0, kind="stable")[:4]
        expected = np.take_along_axis(flat, order, axis=0)
        np.testing.assert_allclose(top.values, expected, rtol=1e-4, atol=1e-6)
        places = [(row, pos) for row, n in enumerate(LENGTHS) for pos in range(n)]
        where = np.array(places)[order]
        np.testing.assert_array_equal(top.prompts, where[..., 0])
        np.testing.assert_array_equal(top.positions, where[..., 1])


def test_reductions_of_maps_and_of_single_positions() -> None:
    full = model().run(MANY, capture=["L1.pattern", "L1.z"])
    mean = model().run(MANY, capture=["L1.pattern", "L1.z"], reduce="mean")
    torch.testing.assert_close(mean["L1.pattern"], full["L1.pattern"].mean((0, 2)))
    by_pos = model().run(MANY, capture=["L1.pattern", "L1.z"], reduce="mean_by_pos", batch_size=2)
    for site in ("L1.pattern", "L1.z"):
        torch.testing.assert_close(by_pos[site], full[site].mean(0), rtol=1e-4, atol=1e-5)
    last = model().run(RAGGED, capture="L1.z@-1", reduce="mean")["L1.z@-1"]
    own = torch.stack([model().run([row], capture="L1.z")["L1.z"][0, -1] for row in RAGGED])
    torch.testing.assert_close(last, own.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("pos", "expected"), [("@-1", {n - 1 for n in LENGTHS}), ("@0", {0}), ("@0:1", {0})]
)
def test_top_k_at_positions_names_real_positions(pos: str, expected: set[int]) -> None:
    top = model().run(RAGGED, capture=rz.Capture(f"L1.z{pos}", reduce="top_k"))[f"L1.z{pos}"]
    assert set(top.positions.flatten().tolist()) == expected
    assert set(top.prompts.flatten().tolist()) == {0, 1, 2, 3}
    span = model().run(MANY, capture=rz.Capture("L1.z@2:4", reduce="top_k"))["L1.z@2:4"]
    assert set(span.positions.flatten().tolist()) == {2, 3}


def test_parts_of_a_mean() -> None:
    run = model().run(MANY, capture=["z", "pattern"], reduce="mean")
    assert torch.equal(run["L1.z[H2]"], run["L1.z"][2])
    assert torch.equal(run["L1.pattern[H2]"], run["L1.pattern"][2])
    with pytest.raises(rz.AddressError, match="was not captured"):
        run["L1.z@2"]


def test_latents_are_captured_through_their_dictionary() -> None:
    held = rz.load(build("gpt2"), check=False)
    coder = held.dictionaries["toy"] = RandomCoder(32, 64)
    run = held.run(MANY, capture=["L1.resid_post", "L1.resid_post/toy", "L0.resid_post/toy[F3]@-1"])
    expected = coder.encode(run["L1.resid_post"])
    assert torch.equal(run["L1.resid_post/toy"], expected)
    assert torch.equal(run["L1.resid_post/toy[F5]"], expected[..., 5])
    assert torch.equal(run["L1.resid_post/toy[F5]@2"], expected[:, 2, 5])
    assert run["L0.resid_post/toy[F3]@-1"].shape == (5,)
    with pytest.raises(rz.AddressError, match="was not captured"):
        held.run(MANY, capture="L1.resid_post")["L1.resid_post/toy[F5]"]
    means = held.run(RAGGED, capture="L1.resid_post/toy", reduce="mean")["L1.resid_post/toy"]
    full = held.run(RAGGED, capture="L1.resid_post/toy")["L1.resid_post/toy"]
    np.testing.assert_allclose(means, tokens(full).mean(0), rtol=1e-4, atol=1e-6)
