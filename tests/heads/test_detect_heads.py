"""Detectors name the heads that are known, and are not fooled by position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from by_position import PERIOD, by_position
from handmade import INDUCTION, PREVIOUS, handmade_induction

import residuum as rz
from residuum.core import OptionError, SiteRefused, TokenError
from residuum.heads import detect_heads, random_repeats
from residuum.heads.detectors import measure
from residuum.heads.logit_directions import LogitDirections
from residuum.heads.matches import find_matches


def named(table: Any) -> dict[str, set[str]]:
    """Type -> addresses of its confirmed heads."""
    found: dict[str, set[str]] = {}
    for row in table.heads:
        for each in row.types:
            if each.status == "confirmed":
                found.setdefault(each.name, set()).add(row.at)
    return found


@pytest.fixture(scope="module")
def handmade() -> Any:
    return rz.load(handmade_induction())


@pytest.fixture(scope="module")
def on_handmade(handmade: Any) -> Any:
    return detect_heads(handmade, seed=1)


def test_the_handmade_model(on_handmade: Any) -> None:
    assert named(on_handmade) == {
        "previous-token": {f"L0.z[H{PREVIOUS}]"},
        "induction": {f"L1.z[H{INDUCTION}]"},
    }


def test_the_handmade_numbers(on_handmade: Any) -> None:
    """The hand-set heads attend with all but e⁻⁶⁰ of their attention."""
    assert on_handmade.score("previous_token")[0, PREVIOUS] == pytest.approx(1, abs=1e-6)
    assert on_handmade.score("induction")[1, INDUCTION] == pytest.approx(1, abs=1e-6)
    assert on_handmade.score("entropy")[0, PREVIOUS] == pytest.approx(0, abs=1e-6)
    assert on_handmade.score("positional_share")[0, PREVIOUS] == pytest.approx(1, abs=1e-6)
    assert on_handmade.score("positional_share")[1, INDUCTION] < 0.3
    # One letter of twelve gets one logit: 1 less the mean over the vocabulary.
    assert on_handmade.score("direct")[1, INDUCTION] == pytest.approx(1 - 1 / 12, abs=1e-5)
    assert on_handmade.ov_copying[1, INDUCTION] == pytest.approx(1, abs=1e-5)
    costs = on_handmade.costs["repeats"].values
    assert costs[0, PREVIOUS] > 0.5 and costs[1, INDUCTION] > 0.5


@pytest.mark.parametrize("removal", ["mean", "zero"])
def test_gbmi(test_data: Any, removal: str) -> None:
    table = detect_heads(rz.load(test_data / "gbmi_indhead"), removal=removal)
    assert named(table) == {"previous-token": {"L0.z[H0]"}, "induction": {"L1.z[H0]"}}
    # Both copy alike; what they attend to and write to the logits tells them apart.
    assert (table.ov_copying > 0.95).all()
    induction, direct = table.scores["induction"], table.scores["direct"]
    assert induction.low[1, 0] > induction.null_high[1, 0] + 0.5
    assert induction.values[0, 0] < 0.2
    assert direct.low[1, 0] > 10 and abs(direct.values[0, 0]) < 1


def test_it_finds_induction_where_positions_vary(handmade: Any) -> None:
    """The same prompts-of-one's-own path names the head when periods differ."""
    ids = random_repeats(handmade, 24, seed=9).ids
    table = detect_heads(handmade, prompts=ids, n=24)
    on = {t.on for row in table.of_type("induction") for t in row.types}
    assert {row.at for row in table.of_type("induction")} == {f"L1.z[H{INDUCTION}]"} and on


def test_without_removal_nothing_is_confirmed(handmade: Any) -> None:
    table = detect_heads(handmade, removal=None, n=20)
    assert named(table) == {} and table.costs == {}
    assert {row.at for row in table.of_type("induction", confirmed=False)}


def test_the_same_seed_gives_the_same_table(handmade: Any) -> None:
    first, again, other = (detect_heads(handmade, n=12, seed=s, removal=None) for s in (3, 3, 4))
    assert first.to_json() == again.to_json() != other.to_json()


# -- prompts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [None, 30, 12])
def test_repeats_repeat_at_random_places(length: int | None) -> None:
    model = rz.load("microworld", check=False)
    prompts = random_repeats(model, 40, length, seed=2)
    ids, width = prompts.ids, prompts.ids.shape[1]
    assert width == (length or 49) and (ids[:, 0] == model.bos_token_id).all()
    assert len(set(prompts.periods.tolist())) > 3
    whole = torch.cat([ids, prompts.answers[:, None]], 1)
    for row, period in zip(whole, prompts.periods.tolist(), strict=True):
        back = row[period:] == row[: len(row) - period]
        first = int(back.int().argmax())
        assert back[first:].all() and not back[:first].any() and back.any()
        block = row[: first + period]
        assert len(set(block.tolist())) == len(block)


def test_default_periods_are_those_of_the_text() -> None:
    periods = random_repeats(rz.load("microworld", check=False), 400).periods
    assert (int(periods.min()), int(periods.max())) == (8, 24)


def test_matches_by_hand() -> None:
    found = find_matches(torch.tensor([[9, 5, 6, 5, 7, 5, 9]]))
    duplicate = {(q, k) for _, q, k in found.duplicate.nonzero().tolist()}
    induction = {(q, k) for _, q, k in found.induction.nonzero().tolist()}
    assert duplicate == {(3, 1), (5, 1), (5, 3)}  # position 0 counts as none
    assert induction == {(3, 2), (5, 2), (5, 4)}
    assert found.has[0].tolist() == [False, False, False, True, False, True, False]
    assert found.predicted[0, [3, 5]].tolist() == [2, 4]


def test_scores_do_not_depend_on_the_batch(handmade: Any) -> None:
    """But for what is compared with the other prompts of a batch."""
    ids = random_repeats(handmade, 12).ids
    directions = LogitDirections.of(handmade)
    one, other = (measure(handmade, ids, directions, rz.core.SILENT, size) for size in (12, 4))
    for name in ("previous_token", "first_token", "entropy", "duplicate_token", "induction",
                 "direct", "copying"):  # fmt: skip
        torch.testing.assert_close(one.scores[name], other.scores[name], equal_nan=True)


def test_direct_effect_is_what_the_logits_lose() -> None:
    """Without later layers and norm the direct effect is the drop of the centred logit."""
    model = rz.load(by_position())
    ids = random_repeats(model, 10, seed=5).ids
    measured = measure(model, ids, LogitDirections.of(model), rz.core.SILENT)
    find = find_matches(ids)
    whole = model.run(ids).logits
    removed = model.run(ids, edits=[rz.Zero("L0.z[H0]")]).logits
    change = whole - removed
    change = change - change.mean(-1, keepdim=True)
    token = ids.gather(1, find.predicted)
    drop = change.gather(2, token[..., None])[..., 0]
    mean = (drop * find.has).sum(1) / find.has.sum(1)
    torch.testing.assert_close(measured.scores["direct"][0, 0].float(), mean)


# -- refusals --------------------------------------------------------------------------------


def test_bad_input_is_refused(handmade: Any) -> None:
    for options, what in (
        ({"removal": "hope"}, "no way to remove"),
        ({"length": 99}, "longer than the model's context"),
        ({"n": 1}, "n=1"),
        ({"least": 2.0}, "least=2.0"),
        ({"sedd": 1}, "sedd"),
    ):
        with pytest.raises(OptionError, match=what):
            detect_heads(handmade, **options)
    with pytest.raises(TokenError, match="one prompt or none"):
        detect_heads(handmade, prompts="only one")
    with pytest.raises(TokenError, match="2 prompts, the shortest of 3"):
        detect_heads(handmade, prompts=[[1, 2, 3], [1, 2, 3]])


def test_a_context_too_small_is_refused() -> None:
    from residuum.models.native import NativeConfig, NativeForCausalLM

    config = NativeConfig(n_layers=1, n_heads=1, d_model=8, d_vocab=20, n_ctx=4)
    with pytest.raises(OptionError, match="a context of 4 tokens") as error:
        detect_heads(rz.load(NativeForCausalLM(config)))
    assert "6 tokens or more" in error.value.mend


def test_a_model_without_attention_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(
        hidden_size=16, state_size=4, num_hidden_layers=2, vocab_size=40, intermediate_size=32
    )
    model = rz.load(MambaForCausalLM(config))
    with pytest.raises(SiteRefused, match="no attention pattern in 2 of 2 layers") as error:
        detect_heads(model)
    assert "doctor" in error.value.mend


# -- the record ------------------------------------------------------------------------------


def test_the_table_as_data(on_handmade: Any, tmp_path: Any) -> None:
    frame = on_handmade.to_dataframe()
    assert len(frame) == 6 and frame.loc[4, "type"] == "induction"
    data = on_handmade.to_json()
    assert data["heads"][2]["type"] == "previous-token"
    assert np.shape(data["scores"]["induction"]["low"]) == (2, 3)
    assert on_handmade.top("induction", 1)[0].at == f"L1.z[H{INDUCTION}]"
    for suffix in ("json", "csv", "html", "svg", "png"):
        on_handmade.save(tmp_path / f"heads.{suffix}")
        assert (tmp_path / f"heads.{suffix}").stat().st_size > 500
    with pytest.raises(OptionError, match="no score 'love'"):
        on_handmade.score("love")
    with pytest.raises(OptionError, match="no view"):
        on_handmade.figure("love")
    with pytest.raises(OptionError, match="layer 7 is out of range"):
        on_handmade.head(7, 0)
    for view in ("types", "scores", "costs", "attention"):
        assert on_handmade.figure(view).to_json()["kind"] in ("heatmap", "panel")


def test_other_offsets(on_handmade: Any) -> None:
    model = rz.load(by_position())
    table = detect_heads(model, n=12, removal=None)
    assert table.other_offset[0, 0].tolist()[0] == PERIOD - 1


def test_types_and_scores_are_told_apart(on_handmade: Any) -> None:
    with pytest.raises(OptionError, match="no type 'previous_token'") as refused:
        on_handmade.of_type("previous_token")
    assert "table.top('previous_token')" in refused.value.mend
    with pytest.raises(OptionError, match="no score 'previous-token'") as refused:
        on_handmade.score("previous-token")
    assert "rests on the score previous_token" in refused.value.mend
    assert on_handmade.top("previous_token", 1)[0].type == "previous-token"


@pytest.mark.parametrize("seed", [0, 2, 4, 7])
def test_a_head_of_random_weights_is_called_nothing(handmade: Any, seed: int) -> None:
    """L1H2 reads everything by random weights: as much at the first token as by content."""
    table = detect_heads(handmade, seed=seed, n=50, removal_n=8)
    skip, first = table.scores["skip_trigram"], table.scores["first_token"]
    assert skip.values[1, 2] > first.values[1, 2] and skip.low[1, 2] > 0.2 > skip.null[1, 2]
    assert skip.low[1, 2] < first.high[1, 2]
    assert table.head(1, 2).types == ()


def test_skip_trigram_heads_are_found_where_there_are_some() -> None:
    table = detect_heads(rz.load("skip_trigram_1l", check=False), n=30)
    assert table.of_type("skip-trigram") and not table.of_type("induction", confirmed=False)
