"""Harvests: every number is the model's, what is left out is counted, what is wrong is refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.core import AddressError, OptionError, ShapeError, StoreError, TokenError
from residuum.dictionaries import Harvest, HighNorm, harvest, load_harvest
from residuum.stores import TokenShards, as_float32
from residuum.worlds import microworld_text

SITES = ["L1.resid_post", "L2.mlp_out"]


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(itertools.islice(microworld_text(0), 40))


def gpt2(**sizes: Any) -> rz.Model:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(**{"n_layer": 3, "n_head": 2, "n_embd": 8, "vocab_size": 50, **sizes})
    return rz.load(GPT2LMHeadModel(config).eval(), check=False)


def column(found: Harvest, name: str) -> np.ndarray:
    return np.concatenate([getattr(rows, name) for rows in found.rows()])


def values(found: Harvest) -> np.ndarray:
    return np.concatenate([as_float32(rows.values) for rows in found.rows()])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_vector_is_what_the_model_holds_at_that_token(
    model: rz.Model, texts: list[str], dtype: str
) -> None:
    found = harvest(model, texts, SITES, dtype=dtype, rows_per_shard=100, batch_size=7)
    assert found.shards.count > 3
    got, ids, texts_of = values(found), column(found, "token_ids"), column(found, "documents")
    position, norms = column(found, "positions"), column(found, "norms")
    at = 0
    for number, text in enumerate(texts):
        run = model.run(text, capture=SITES)
        length = run.ids.shape[1] - 1  # without BOS
        part = slice(at, at + length)
        assert ids[part].tolist() == run.ids[0, 1:].tolist()
        assert set(texts_of[part]) == {number} and position[part].tolist() == [
            *range(1, length + 1)
        ]
        for index, site in enumerate(SITES):
            exact = run[site][0, 1:]
            wanted = exact.to(getattr(torch, dtype)).float().numpy()
            near = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}[dtype]
            assert np.allclose(got[part, index], wanted, rtol=near, atol=near * 5)
            assert np.allclose(norms[part, index], exact.norm(dim=-1), rtol=1e-4)
        at += length
    assert at == len(found) == found.n_tokens


def test_packed_rows_are_what_the_model_holds(model: rz.Model, texts: list[str]) -> None:
    found = harvest(model, texts, "L1.resid_post", packing=True, context=16, skip=())
    ids = torch.tensor(column(found, "token_ids").reshape(-1, 16)).long()
    assert (ids[:, 0] == model.bos_token_id).all()
    run = model.run(ids, capture=["L1.resid_post"])
    wanted = run["L1.resid_post"].reshape(-1, 1, 128).numpy()
    assert np.allclose(values(found), wanted, rtol=2e-3, atol=1e-2)
    assert (column(found, "positions") == np.tile(np.arange(16), len(ids))).all()


def test_one_head_is_a_site_of_its_own(model: rz.Model, texts: list[str]) -> None:
    found = harvest(model, texts[:3], ["L1.z[H0]", "L1.z[H3]"], dtype="float32")
    run = model.run(texts[0], capture=["L1.z"])
    n = run.ids.shape[1] - 1
    wanted = run["L1.z"][0, 1:, [0, 3]].numpy()
    assert np.allclose(values(found)[:n], wanted, atol=1e-5)
    assert found.width == 16 and [str(at) for at in found.sites] == ["L1.z[H0]", "L1.z[H3]"]


def test_no_block_after_the_last_site_is_run() -> None:
    model = gpt2()
    found: list[int] = []
    for layer, block in enumerate(model.hf.transformer.h):
        block.register_forward_pre_hook(lambda *_, layer=layer: found.append(layer))
    harvest(model, [[1, 2, 3], [4, 5, 6]], ["L0.resid_post", "L1.mlp_out"])
    assert {0, 1} == set(found)


# -- what is left out ----------------------------------------------------------------------------


def test_what_is_left_out_is_counted_once(model: rz.Model) -> None:
    bos, pad, end = 1, 0, 2
    ids = [[bos, 10, 11, end], [bos, 12, pad, pad]]
    everything = harvest(model, ids, SITES, skip=())
    assert len(everything) == 8 and everything.skipped == {}
    found = harvest(model, ids, SITES)
    assert found.skipped == {"bos": 2, "pad": 2, "high_norm": 0}
    assert column(found, "token_ids").tolist() == [10, 11, end, 12]
    assert column(found, "positions").tolist() == [1, 2, 3, 1]
    more = harvest(model, ids, SITES, skip=("eos", "bos"))
    assert more.skipped == {"bos": 2, "eos": 1} and len(more) == 5
    for each in (everything, found, more):
        assert len(each) + sum(each.skipped.values()) == each.shards.lineage["tokens"]


def sink() -> rz.Model:
    """A model in which token 7 has a vector fifty times as long as the others."""
    model = gpt2()
    with torch.no_grad():
        weight = model.hf.transformer.wte.weight
        weight /= weight.norm(dim=1, keepdim=True)
        weight[7] *= 50
        model.hf.transformer.wpe.weight.zero_()
    return model


def test_tokens_of_extreme_norm_go_by_the_rule_that_is_stated(tmp_path: Path) -> None:
    model = sink()
    ids = [[7, 1, 2, 3], [4, 5, 7, 6], [8, 9, 10, 11]]
    found = harvest(model, ids, "embed", keep=tmp_path, rows_per_shard=4)
    assert found.skipped == {"bos": 0, "pad": 0, "high_norm": 2}
    assert 7 not in column(found, "token_ids") and len(found) == 10
    norms = harvest(model, ids, "embed", skip=()).to_dataframe("token")
    each = np.repeat(norms["mean_norm"], norms["n"])
    assert found.norm_limits == {"embed": pytest.approx(10 * np.median(each), rel=1e-5)}
    assert found.record["skip"]["high_norm"] == {"times": 10.0, "median_over": 4096}
    lenient = harvest(model, ids, "embed", skip=HighNorm(times=60))
    assert lenient.skipped == {"high_norm": 0} and len(lenient) == 12


def test_the_median_is_over_the_first_tokens_however_small_the_shards() -> None:
    model, rng = gpt2(), np.random.default_rng(0)
    ids = rng.integers(0, 50, (40, 5)).tolist()
    rule = HighNorm(times=2, tokens=50)
    limits = [
        harvest(model, ids, "embed", skip=[rule], rows_per_shard=n).norm_limits for n in (5, 500)
    ]
    assert limits[0] is not None and limits[1] is not None
    assert limits[0]["embed"] == pytest.approx(limits[1]["embed"], rel=1e-6)
    first = harvest(model, ids[:10], "embed", skip=[]).to_dataframe("token")
    median = np.median(np.repeat(first["mean_norm"], first["n"]))
    assert limits[0]["embed"] == pytest.approx(2 * median, rel=0.2)


# -- the result ----------------------------------------------------------------------------------


def test_a_harvest_is_found_again(model: rz.Model, texts: list[str], tmp_path: Path) -> None:
    made = harvest(model, texts, SITES, keep=tmp_path, rows_per_shard=100)
    found = load_harvest(tmp_path, model)
    assert (found.hash, found.n_tokens, found.skipped) == (made.hash, made.n_tokens, made.skipped)
    found.check(model)
    assert found.weight_hash == model.adapted.weight_hash
    assert found.provenance.tokenizer_hash == model.adapted.tokens.hash()
    assert found.provenance.software["residuum"] and "resid_post" in found.provenance.strategy
    other = harvest(model, texts[:-1], SITES, rows_per_shard=100)
    assert other.hash != made.hash and other.provenance.task_hash != made.provenance.task_hash
    assert repr(SITES[0]).strip("'") in repr(found)


def test_the_ten_lines_of_numpy_in_the_docs_read_a_shard(
    model: rz.Model, texts: list[str], root: Path
) -> None:
    page = (root / "docs/howto/harvest.md").read_text(encoding="utf-8")
    code = page.split("## The files")[1].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code.split("\n\n\nshard = ")[0].split("\nshard = ")[0], names)
    for dtype in ("float16", "bfloat16", "float32"):
        found = harvest(model, texts, SITES, dtype=dtype, rows_per_shard=100)
        for index, rows in enumerate(found.rows()):
            arrays = names["read_shard"](found.shards.path(index))
            assert sorted(arrays) == sorted(vars(rows))
            assert all(np.array_equal(arrays[name], value) for name, value in vars(rows).items())


def test_norms_by_position_and_by_token(model: rz.Model, texts: list[str], tmp_path: Path) -> None:
    found = harvest(model, texts, SITES, rows_per_shard=100)
    norms, position = column(found, "norms"), column(found, "positions")
    table = found.to_dataframe()
    row = table[(table["site"] == SITES[1]) & (table["position"] == 3)].iloc[0]
    own = norms[position == 3, 1].astype("f8")
    assert row["n"] == len(own)
    assert row[["mean_norm", "sd_norm", "max_norm"]].tolist() == pytest.approx(
        [own.mean(), own.std(), own.max()]
    )
    assert found.to_dataframe("token")["n"].sum() == 2 * len(found)
    figure = found.figure()
    assert [line.name for line in figure.series] == SITES and str(len(found)) in figure.title
    for name in ("a.json", "a.csv", "a.svg"):
        found.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size
    assert json.loads((tmp_path / "a.json").read_text())["hash"] == found.hash
    with pytest.raises(OptionError, match="by='layer' is not known"):
        found.to_dataframe("layer")


def test_progress_is_told_in_rows_of_text(model: rz.Model, texts: list[str]) -> None:
    class Listener:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def start(self, stage: str, total: int) -> None:
            self.told.append((stage, total))

        def advance(self, steps: int = 1) -> None:
            self.told.append(steps)

        def finish(self) -> None:
            self.told.append("finish")

    listener = Listener()
    harvest(model, texts, SITES, rows_per_shard=100, progress=listener)
    start, *steps, end = listener.told
    assert (start, end) == (("harvest", len(texts)), "finish") and sum(steps) == len(texts)


# -- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [[0], [1], [0, 2], ["norm_limits.json", 1], ["norm_limits.json"]])
def test_only_what_is_missing_is_made_again_and_bit_for_bit(
    model: rz.Model, texts: list[str], tmp_path: Path, lost: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def once() -> Harvest:
        return harvest(model, texts, SITES, keep=tmp_path, rows_per_shard=100)

    made = once()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for each in lost:
        (made.shards.path(each) if isinstance(each, int) else tmp_path / each).unlink()
    real, written = TokenShards.write, []
    monkeypatch.setattr(
        TokenShards, "write", lambda s, i, *more: (written.append(i), real(s, i, *more))
    )
    assert once().hash == made.hash
    assert written == [each for each in lost if isinstance(each, int)]
    if lost != ["norm_limits.json"]:
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("lost", [(), (2,)])
def test_a_damaged_shard_is_refused_by_name_when_a_harvest_goes_on(
    model: rz.Model, texts: list[str], tmp_path: Path, lost: tuple[int, ...]
) -> None:
    """One bit of a value, or of a token's id; its size and header stay as they were."""
    made = harvest(model, texts, SITES, keep=tmp_path, rows_per_shard=100)
    for index in lost:
        made.shards.path(index).unlink()
    path = made.shards.path(1)
    whole = path.read_bytes()
    start = made.shards.header(1).start
    for place in (-1, start):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(StoreError, match="shard 1 is damaged: its values are not") as error:
            harvest(model, texts, SITES, keep=tmp_path, rows_per_shard=100)
        assert error.value.mend.startswith(f"delete {path.name} and harvest again")
        assert error.value.where == str(path)
    path.unlink()
    again = harvest(model, texts, SITES, keep=tmp_path, rows_per_shard=100)
    assert again.hash == made.hash and path.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "what"),
    [({"sites": "L1.resid_post"}, "sites"), ({"text": ["Mary went ."]}, "text"),
     ({"dtype": "float32"}, "dtype"), ({"skip": ()}, "skip"), ({"batch_size": 3}, "batch_size")],
)  # fmt: skip
def test_another_harvest_in_the_folder_is_refused(
    model: rz.Model, texts: list[str], tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    arguments = {"text": texts, "sites": SITES, "rows_per_shard": 1000}
    harvest(model, keep=tmp_path, **arguments)
    with pytest.raises(StoreError, match=f"another harvest: .*{what}.* differ"):
        harvest(model, keep=tmp_path, **{**arguments, **change})


def test_another_models_harvest_is_refused(
    model: rz.Model, texts: list[str], tmp_path: Path
) -> None:
    twin = rz.load("microworld-trigger", check=False)
    harvest(model, texts[:3], SITES, keep=tmp_path)
    with pytest.raises(StoreError, match="another harvest: model differ"):
        harvest(twin, texts[:3], SITES, keep=tmp_path)
    with pytest.raises(StoreError, match="a harvest of another model") as error:
        load_harvest(tmp_path, twin)
    assert "load the model that was harvested" in error.value.mend
    with pytest.raises(StoreError, match="of another model"):
        load_harvest(tmp_path).check(twin)


def test_an_unfinished_harvest_is_no_harvest(
    model: rz.Model, texts: list[str], tmp_path: Path
) -> None:
    made = harvest(model, texts, SITES, keep=tmp_path, rows_per_shard=100)
    made.shards.path(1).unlink()
    with pytest.raises(StoreError, match=r"1 of [0-9]+ shards are missing") as error:
        load_harvest(tmp_path)
    assert "call rz.harvest again" in error.value.mend


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "what", "mend"),
    [
        ({"sites": "L1.z"}, AddressError, "L1.z holds no one vector", "one head"),
        ({"sites": "L1.pattern"}, AddressError, "L1.pattern holds no one vector", "resid_post"),
        ({"sites": "L1.resid_post@-1"}, AddressError, "means some positions", "the whole site"),
        ({"sites": "L9.resid_post"}, AddressError, "L9", ""),
        ({"sites": []}, OptionError, "no site to harvest", "L1.resid_post"),
        ({"sites": ["L1.resid_post", "L1.mlp_act"]}, AddressError, "different widths: .*128.*512",
         "one width together"),
        ({"skip": "sep"}, OptionError, "skip='sep' is not known", "bos, eos, pad, high_norm"),
        ({"dtype": "int8"}, OptionError, "dtype='int8' is not stored", "float16"),
        ({"batch_size": 0}, OptionError, "batch_size=0", "1 or more"),
        ({"rows_per_shard": 0}, OptionError, "rows_per_shard=0", "1 or more"),
        ({"progress": 3}, OptionError, "progress=3", "leave it out"),
        ({"text": [[1], [1]]}, TokenError, "every token of the text was left out", "skip=()"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(
    model: rz.Model, change: dict[str, Any], kind: Any, what: str, mend: str
) -> None:
    arguments = {"text": ["Mary went ."], "sites": "L1.resid_post", **change}
    with pytest.raises(kind, match=what) as error:
        harvest(model, **arguments)
    assert mend in error.value.mend
    with pytest.raises(OptionError, match="harvest needs a loaded model"):
        harvest("microworld", **arguments)  # type: ignore[arg-type]


def test_nan_is_named_by_site_and_token() -> None:
    model = gpt2()
    with torch.no_grad():
        model.hf.transformer.wte.weight[5, 0] = float("nan")
    with pytest.raises(ShapeError, match=r"infinity there, at token '<5>' .position 1.") as e:
        harvest(model, [[1, 5, 2]], ["L0.resid_pre", "L1.resid_post"])
    assert e.value.where == "L0.resid_pre" and "weights" in e.value.mend


def test_what_float16_cannot_hold_is_refused_and_no_shard_is_left(tmp_path: Path) -> None:
    model = sink()
    with torch.no_grad():
        model.hf.transformer.wte.weight[7] *= 1e5
    ids = [[7, 1, 2, 3], [4, 5, 7, 6], [8, 9, 10, 11]]
    with pytest.raises(ShapeError, match=r"token id 7 .* is beyond float16's 65504") as error:
        harvest(model, ids, "embed", skip=(), keep=tmp_path)
    assert error.value.mend == 'use dtype="bfloat16" or "float32"'
    assert not list(tmp_path.glob("shard-*"))
    assert len(harvest(model, ids, "embed", skip=(), dtype="bfloat16")) == 12
    assert len(harvest(model, ids, "embed")) == 10  # left out by its norm, so nothing overflows
