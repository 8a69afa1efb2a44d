"""Roles of a circuit's parts: known answers, what attention alone does not give, refusals."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import handmade
import numpy as np
import pandas as pd
import pytest
import torch

import residuum as rz
from residuum.circuits import (
    EAP,
    EAPIG,
    Circuit,
    Roles,
    circuit_from_edges,
    discover,
    graph_of,
    load_roles,
    name_roles,
)
from residuum.circuits.roles.part_role import ROLES, HeadAttention, PartEffect
from residuum.circuits.roles.places import places_of
from residuum.circuits.roles.rules import Seen, name_head, settle, short
from residuum.core import LoadError, OptionError, StoreError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "families"))
from configs import build

P, Q = f"L0H{handmade.PREVIOUS}", f"L1H{handmade.INDUCTION}"


@cache
def model() -> rz.Model:
    return rz.load("handmade_induction")


@cache
def whole_graph() -> Circuit:
    graph = graph_of(model())
    return circuit_from_edges(graph, graph.names)


@cache
def handmade_roles() -> Roles:
    return name_roles(whole_graph(), model(), handmade.induction_task())


def ends(roles: Roles, name: str) -> list[str]:
    return [each.at for each in roles.of(name)]


def test_the_hand_set_model_has_a_previous_token_head_and_an_induction_head() -> None:
    """In the whole graph: four more heads are unknown, though one attends to the token before."""
    roles = handmade_roles()
    assert roles[P].names == ("previous-token",) and roles[Q].names == ("induction",)
    assert len(roles.of("unknown")) == 4 and len(roles) == 6
    idle = roles["L0H1"]
    assert any("the token before" in each for each in idle.against), idle.against
    assert "a head that attends is not a head that matters" in idle.against[0]


def test_the_evidence_says_which_part_feeds_which_through_what() -> None:
    roles = handmade_roles()
    (into_key,) = [each for each in roles[Q].fed_by if each.counts and each.slot == "k"]
    assert into_key.sender == f"L0.head_out[H{handmade.PREVIOUS}]"
    assert into_key.value == pytest.approx(2.0, abs=1e-4) == roles[P].feeds[0].value
    logits = roles[Q].logits
    assert logits is not None and logits.value == pytest.approx(2.0, abs=1e-4)
    assert roles[Q].works_at == ("end",) and roles[P].works_at == ("rest",)
    assert roles[Q].detectors["induction"] > 0.9 > roles[Q].detectors["induction null"]


def test_short_names_are_those_of_whole_heads_and_mlps() -> None:
    assert [short(each) for each in ("L1.head_out[H0]", "L2.mlp_out")] == ["L1H0", "L2 MLP"]
    for part in ("embed", "L0.mlp_act[N3]", "L2.mlp_out/coder[F9]"):
        assert short(part) == part


def test_gbmi_has_exactly_these_two(test_data: Path) -> None:
    found = rz.load(test_data / "gbmi_indhead")
    graph = graph_of(found)
    roles = name_roles(circuit_from_edges(graph, graph.names), found, permuted_letters())
    assert {each.at: each.names for each in roles} == {
        "L0.head_out[H0]": ("previous-token",),
        "L1.head_out[H0]": ("induction",),
    }
    assert roles["L0H0"].detectors["ov_copying"] > 0.95, "copying alone does not tell them apart"
    counted = {str(each).rsplit(" ", 1)[0] for each in roles.effects if each.counts}
    assert counted == {
        "L0.head_out[H0] -> L1.k_in[H0]",
        "L1.head_out[H0] -> logits",
        "embed -> L0.v_in[H0]",
        "embed -> L1.v_in[H0]",
    }


def permuted_letters(rows: int = 48) -> rz.Task:
    """Seven distinct letters, then one of them again; against another order of the seven."""
    draw = np.random.default_rng(0)
    clean, corrupt, answers, wrong = [], [], [], []
    while len(clean) < rows:
        sides = draw.permutation(draw.permutation(26)[:7]), draw.permutation(7)
        one, other = sides[0], sides[0][sides[1]]
        last = one[draw.integers(6)]
        after = one[one.tolist().index(last) + 1]
        if other[-1] != last and (against := other[other.tolist().index(last) + 1]) != after:
            clean.append([*one, last])
            corrupt.append([*other, last])
            answers.append(after)
            wrong.append(against)
    ids = (torch.tensor(np.array(each)) for each in (clean, corrupt, answers, wrong))
    return rz.Task.from_pairs(
        **dict(zip(("clean", "corrupt", "answers", "wrong"), ids, strict=True))
    )


def test_a_head_whose_edges_do_nothing_has_no_name() -> None:
    """The previous-token head, in a circuit that holds only an edge along which nothing changes."""
    graph = graph_of(model())
    idle = f"L0.head_out[H{handmade.PREVIOUS}] -> L1.q_in[H{handmade.INDUCTION}]"
    roles = name_roles(circuit_from_edges(graph, [idle]), model(), handmade.induction_task())
    assert roles[P].names == ("unknown",) and not roles[P].works_at
    assert any("attends 1.00" in each for each in roles[P].against)


@cache
def ioi() -> tuple[rz.Model, Roles]:
    world = rz.load("microworld")
    found, tried = rz.template_halves(rz.task("ioi", world, n=48, seed=0))
    return world, name_roles(discover(world, found, EAPIG(steps=3), n_edges=60), world, tried)


def test_ioi_has_movers_fed_by_inhibiting_heads_through_mlps() -> None:
    _, roles = ioi()
    movers, inhibiting = roles.of("name mover"), roles.of("S-inhibition-like")
    assert {"L3.head_out[H3]", "L3.head_out[H7]"} <= {each.at for each in movers}
    assert {"L0.head_out[H1]", "L0.head_out[H5]"} <= {each.at for each in inhibiting}
    for each in movers:
        assert each.logits is not None and each.logits.counts and each.logits.value > 0
        assert any(a.to == "answer" and a.holds and a.from_ == "end" for a in each.attention)
    assert "through L0 MLP" in " ".join(roles["L0H1"].evidence)
    assert roles["L3.mlp_out"].role == "MLP to logits"
    assert roles.of("unknown"), "heads that only attend stay without a name"
    assert all(each.counts for part in roles if part.known for each in part.feeds[:1])


def test_the_effects_are_those_of_the_exact_method() -> None:
    task = handmade.induction_task()
    scores = discover(model(), task, rz.ExactEdges(), n_edges=3).scores
    assert scores is not None
    measured = [each.value for each in handmade_roles().effects]
    np.testing.assert_allclose(measured, scores.values, atol=1e-5)


def test_a_graph_by_position_is_named_at_its_own_positions() -> None:
    world = rz.load("microworld")
    task = rz.task("ioi", world, n=32)
    graph = graph_of(world, task, by_position=True)
    roles = name_roles(discover(world, task, EAP(), graph=graph, n_edges=60), world, task)
    assert roles["L0H1"].works_at == ("end",) and roles["L0H1"].feeds[0].position == "end"
    assert any("found on" in each for each in roles.warnings)


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gemma2"])
def test_families(family: str) -> None:
    """Shared keys and values, parallel blocks, post-norms; at random weights nothing has a name."""
    draw = torch.Generator().manual_seed(0)
    clean = torch.randint(3, 20, (16, 9), generator=draw)
    corrupt = clean.clone()
    corrupt[:, 4] = 3 + (clean[:, 4] - 2) % 17
    answers, wrong = torch.full((16, 1), 21), torch.full((16, 1), 22)
    task = rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)
    tiny = rz.load(build(family))
    graph = graph_of(tiny)
    roles = name_roles(circuit_from_edges(graph, graph.names[::9]), tiny, task)
    assert len(roles.effects) == len(graph.names[::9])
    shared = {len(each.readers) for each in roles.effects if each.slot in "kv"}
    assert shared == {graph.group} and len(roles.of("unknown")) == len(roles)
    keys = next(each for each in roles.effects if each.slot in "kv")
    assert all(keys in roles[part].fed_by for part in keys.readers)


def test_only_the_largest_are_measured_where_asked() -> None:
    world = rz.load("microworld")
    task = rz.task("ioi", world, n=32)
    roles = name_roles(discover(world, task, EAP(), n_edges=40), world, task, most=5)
    assert len(roles.effects) == roles.measured == 5 and roles.n_edges == 40
    assert "5 of 40 edges were measured, the largest by score" in roles.warnings[0]


def test_a_pair_repeated_is_no_further_evidence() -> None:
    task = handmade.induction_task(8)
    once = name_roles(whole_graph(), model(), task)
    often = name_roles(whole_graph(), model(), task.subset([*range(8)] * 3))
    assert often.effects == once.effects and often.n_pairs == 8
    assert "16 of 24 pairs repeat another one" in often.warnings[-1]


def test_prompts_of_the_discovery_are_said() -> None:
    seen = handmade.induction_task(8)
    circuit = discover(model(), seen, EAP(), n_edges=3)
    (said,) = name_roles(circuit, model(), seen[1:7]).warnings
    assert said.startswith("6 of 6 prompts are those that the circuit was found on")
    assert not name_roles(circuit, model(), handmade.induction_task(8, 3)).warnings


def test_roles_are_read_again(tmp_path: Path) -> None:
    for roles in (ioi()[1], handmade_roles()):
        roles.save(tmp_path / "roles.json")
        again = load_roles(tmp_path / "roles.json")
        assert again.to_json() == roles.to_json() and str(again) == str(roles)
        assert [each.feeds for each in again] == [each.feeds for each in roles]
        pd.testing.assert_frame_equal(again.to_dataframe(), roles.to_dataframe())
    assert load_roles(tmp_path / "roles.json", model()).to_json() == roles.to_json()
    with pytest.raises(LoadError, match="the circuit with roles is of handmade_induction"):
        load_roles(tmp_path / "roles.json", rz.load("microworld"))
    data = json.loads((tmp_path / "roles.json").read_text())
    data["parts"][0]["names"] = ["name mover"]
    (tmp_path / "edited.json").write_text(json.dumps(data))
    with pytest.raises(StoreError, match="changed after it was written"):
        load_roles(tmp_path / "edited.json")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(StoreError, match="not a circuit's roles of format 1"):
        load_roles(tmp_path / "other.json")
    with pytest.raises(StoreError, match="no such file"):
        load_roles(tmp_path / "none.json")


def test_results_are_written(tmp_path: Path) -> None:
    _, roles = ioi()
    for suffix in ("json", "csv", "html", "svg", "png"):
        roles.save(tmp_path / f"roles.{suffix}")
        assert (tmp_path / f"roles.{suffix}").stat().st_size > 500
    data = json.loads((tmp_path / "roles.json").read_text())
    assert data["parts"][0]["names"] == list(roles.parts[0].names)
    assert len(data["effects"]) == 60 and data["provenance"]["model_id"] == "microworld"
    assert data["parts"][0]["attention"][0]["from"] == "end"
    frame = roles.to_dataframe()
    assert list(frame["part"]) == [each.at for each in roles]
    labels = {part.name.split(":")[0]: part.label for part in roles.figure().parts}
    mlps = {name: label for name, label in labels.items() if "mlp_out" in name}
    assert mlps and all(label.startswith(f"MLP{name[1]} ") for name, label in mlps.items())
    assert "H7 mover" in roles.figure().html() and "does not" in str(roles).lower()


# -- rules on made-up evidence -------------------------------------------------------------------


def effect(receiver: str, value: float, *, counts: bool = True, position: str = "") -> PartEffect:
    return PartEffect("L0.head_out[H0]", receiver, (), position, value, value, value, 0.01, counts)


def attention(to: str, share: float = 0.9, *, at: str = "end", holds: bool = True) -> HeadAttention:
    return HeadAttention(at, to, share, share, share, 0.1, 20, holds)


EVERY = ("previous_token", "duplicate_token", "induction", "first_token")


def named(
    feeds: list[PartEffect], looks: list[HeadAttention], repeats: Any = EVERY, **detectors: float
) -> tuple[str, ...]:
    placed, sure = (effect("logits", 1.0, position="end"),), frozenset(repeats)
    seen = Seen("L0.head_out[H0]", tuple(feeds), (), placed, tuple(looks), detectors, sure, "end")
    name_head(seen, ["L0.mlp_in"])
    return settle(seen)


COPIES = {"copying": 2.0, "copying null": 0.5, "ov_copying": 0.9}


@pytest.mark.parametrize(
    ("feeds", "looks", "detectors", "expected"),
    [
        ([effect("logits", 1)], [attention("answer")], {}, ("name mover",)),
        ([effect("logits", -1)], [attention("answer")], {}, ("negative",)),
        ([effect("logits", -1)], [], {}, ("negative",)),
        ([effect("L0.mlp_in", 1)], [attention("answer")], {}, ("moves through MLP",)),
        ([effect("L1.mlp_in", 1)], [attention("answer")], {}, ("unknown",)),
        ([effect("L1.q_in[H0]", 1)], [attention("duplicate")], {}, ("duplicate-token",)),
        ([effect("logits", 1)], [attention("first")], {}, ("first-token",)),
        ([effect("logits", 1)], [attention("first", 0.4)], {}, ("unknown",)),
        ([effect("logits", 1)], [attention("first")], COPIES, ("copying",)),
        ([effect("logits", 1)], [attention("induction")], COPIES, ("induction",)),
        ([effect("L1.k_in[H0]", 1)], [], COPIES, ("unknown",)),
        ([effect("logits", 1)], [attention("answer", holds=False)], {}, ("unknown",)),
        ([effect("logits", 1, counts=False)], [attention("answer")], COPIES, ("unknown",)),
        ([effect("logits", 1)], [attention("previous", at="S1")], {}, ("unknown",)),
    ],
)  # fmt: skip
def test_rules(feeds: Any, looks: Any, detectors: Any, expected: Any) -> None:
    assert named(feeds, looks, **detectors) == expected
    assert set(expected) <= set(ROLES)


def test_a_name_by_tokens_needs_random_repeats() -> None:
    for kind in ("previous", "duplicate", "induction", "first"):
        assert named([effect("logits", 1)], [attention(kind)]) != ("unknown",)
        assert named([effect("logits", 1)], [attention(kind)], ()) == ("unknown",)
    assert named([effect("logits", 1)], [attention("answer")], ()) == ("name mover",)


def test_a_head_that_looks_at_the_subject_is_no_previous_token_head() -> None:
    """In ``facts`` the token before the last is the country: what stands there, not where."""
    world = rz.load("microworld")
    task = rz.task("facts", world, n=48)
    roles = name_roles(discover(world, task, EAP(), n_edges=60), world, task)
    by_place = {each.at for each in roles.of("previous-token")}
    assert by_place and by_place <= {"L0.head_out[H2]", "L0.head_out[H4]"}
    reader = roles["L2H0"]
    assert reader.names == ("unknown",) and reader.works_at == ("end",)
    assert "the token before" in reader.against[0] and "but 0." in reader.against[0]


def test_places_that_two_kinds_would_look_at_count_for_neither() -> None:
    ids = torch.tensor([[0, 4, 7, 4, 9, 4]])
    task = rz.Task.from_pairs(clean=ids, corrupt=ids, answers=[9], wrong=[7])
    found = places_of(task, [0], [])
    assert found["previous"][0, 2].tolist() == [False, True, False, False, False, False]
    assert not found["previous"][0, 5].any(), "what followed 4 the last time is the token before"
    assert found["induction"][0, 5].nonzero().ravel().tolist() == [2]
    assert found["duplicate"][0, 5].nonzero().ravel().tolist() == [1, 3]
    assert not found["answer"].any(), "the answer stands where induction looks"
    assert found["first"][0, 5].nonzero().ravel().tolist() == [0]


def test_bad_input() -> None:
    task = handmade.induction_task()
    with pytest.raises(OptionError, match="needs a circuit"):
        name_roles("circuit.json", model(), task)  # type: ignore[arg-type]
    world = rz.load("microworld")
    ioi_circuit = discover(world, rz.task("ioi", world, n=8), EAP(), n_edges=20)
    with pytest.raises(LoadError, match="the circuit is of microworld"):
        name_roles(ioi_circuit, model(), task)
    with pytest.raises(OptionError, match="table of heads is of microworld"):
        table = rz.detect_heads(world, n=8, removal=None)
        name_roles(whole_graph(), model(), task, heads=table)
    with pytest.raises(OptionError, match="least_attention=2"):
        name_roles(whole_graph(), model(), task, least_attention=2)
    with pytest.raises(OptionError, match="no role 'leader'"):
        handmade_roles().of("leader")
    with pytest.raises(OptionError, match="no part of this circuit"):
        _ = handmade_roles()["L7H0"]
    with pytest.raises(OptionError, match="positions"):
        name_roles(whole_graph(), model(), task, positions=["end"])
