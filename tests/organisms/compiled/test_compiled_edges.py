"""Edges of compiled programs: known counts, laws, and an oracle that edits the real model."""

from __future__ import annotations

from dataclasses import astuple
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.core import OptionError
from residuum.organisms.compiled import PROGRAMS, CompiledProgram, EdgeCounts, compile_program

PAGE = Path(__file__).resolve().parents[3] / "docs/howto/compiled-programs.md"


@cache
def compiled(name: str) -> CompiledProgram:
    return compile_program(name)


KNOWN = {  # tokens and positions apart, every prompt of five tokens: measured with another compiler
    "reverse": EdgeCounts(94, 15, 9, 2),
    "frac_prevs": EdgeCounts(32, 7, 5, 3),
    "hist": EdgeCounts(13, 6, 6, 4),
}

JOINT = {  # with the one sender ``embed`` of a model's graph
    "length": EdgeCounts(8, 6, 2, 0),
    "hist": EdgeCounts(8, 6, 6, 4),
    "reverse": EdgeCounts(77, 13, 8, 2),
    "sort_unique": EdgeCounts(23, 10, 10, 6),
    "frac_prevs": EdgeCounts(23, 5, 5, 3),
    "shift": EdgeCounts(8, 4, 4, 2),
    "detect_pattern": EdgeCounts(23, 8, 8, 5),
    "dyck": EdgeCounts(271, 29, 22, 12),
}


@pytest.mark.parametrize("name", KNOWN)
def test_counts_are_those_of_an_equal_construction(name: str) -> None:
    assert compiled(name).counts(split=True) == KNOWN[name]


def test_the_page_shows_these_counts() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = {row[0].strip("`"): [int(cell) for cell in row[3:]]
            for line in text.splitlines() if line.startswith("| `")
            and len(row := line.strip("| ").split(" | ")) == 11}  # fmt: skip
    assert set(rows) == set(JOINT)
    for name, cells in rows.items():
        assert cells[:4] == list(astuple(JOINT[name]))
        if name in KNOWN:
            assert cells[4:] == list(astuple(KNOWN[name]))


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_causal_is_structural(name: str) -> None:
    made = compiled(name)
    assert made.counts() == JOINT[name]
    possible = made.structural_edges
    for causal in (made.zero_causal(), made.resample_causal()):
        assert causal.dtype == bool and causal.shape == (made.graph.n_edges,)
        assert not (causal & ~possible).any()
    if made.graph.n_edges < 100:  # of every length: seconds more for the largest
        assert not (made.zero_causal(lengths="all") & ~possible).any()
        assert not (made.resample_causal(lengths="all") & ~possible).any()


def test_the_edges_of_hist_by_name() -> None:
    made = compiled("hist")
    named = {kind: {made.graph.name(at) for at in np.flatnonzero(made.edges_of(kind))}
             for kind in ("structural", "zero", "resample")}  # fmt: skip
    varying = {
        "embed -> L0.q_in[H0]",
        "embed -> L0.k_in[H0]",
        "L0.head_out[H0] -> L0.mlp_in",
        "L0.mlp_out -> logits",
    }
    assert named["resample"] == varying
    assert named["zero"] == named["structural"]
    assert named["zero"] == varying | {"embed -> L0.v_in[H0]", "embed -> L0.mlp_in"}


def test_prompts_of_one_length_do_not_vary_the_length() -> None:
    made = compiled("length")
    assert made.counts(lengths="all").resample == 0
    more = made.zero_causal(lengths="all") & ~made.zero_causal()
    assert {made.graph.name(at) for at in np.flatnonzero(more)} == {
        "embed -> L0.v_in[H0]",
        "L0.head_out[H0] -> L0.mlp_in",
    }


def moved_by_edits(made: CompiledProgram, reference: str) -> np.ndarray:
    """The same sets by edits of the loaded model, every edge and pair of prompts one by one."""
    ids = torch.tensor([made.encode(prompt) for prompt in made.prompts()])
    sites = ["resid_pre", "q_in", "k_in", "v_in", "mlp_in", "head_out", "mlp_out"]
    run = made.model.run(ids, capture=sites)
    found = []
    for sender, receiver in made.graph.edges:
        sent = value_of(run, made.graph.senders[sender])
        reads = made.graph.receivers[receiver]
        moves = 0.0
        for turn in range(1, len(ids)) if reference == "resample" else [0]:
            change = sent.roll(turn, 0) - sent if reference == "resample" else -sent
            moves = max(moves, moved(made, ids, run, reads, change))
        found.append(moves > 1e-3)
    return np.array(found)


def value_of(run: rz.Run, sender: rz.Address) -> torch.Tensor:
    if sender.name == "embed":
        return run["L0.resid_pre"]
    value = run[f"L{sender.layer}.{sender.name}"]
    return value if sender.part is None else value[:, :, sender.part]


def moved(made: CompiledProgram, ids: torch.Tensor, run: rz.Run, reads: rz.Address, change: torch.Tensor) -> float:  # fmt: skip # noqa: E501
    if reads.name == "logits":
        logits = run.logits + change @ made.model.hf.lm_head.weight.T.detach()
    else:
        base = run[f"L{reads.layer}.{reads.name}"]
        stream = base if reads.part is None else base[:, :, reads.part]
        logits = made.model.run(ids, edits=[rz.Patch(reads, stream + change)]).logits
    return float((logits - run.logits)[:, 1:].abs().max())


@pytest.mark.parametrize(
    ("name", "vocabulary", "length"),
    [("hist", "ab", 3), ("frac_prevs", "xy", 3), ("sort_unique", "ab", 3), ("shift", "ab", 3)],
)
@pytest.mark.parametrize("reference", ["zero", "resample"])
def test_the_sets_are_those_of_edits_one_edge_at_a_time(
    name: str, vocabulary: str, length: int, reference: str
) -> None:
    made = compile_program(name, vocabulary=vocabulary, length=length)
    assert np.array_equal(made.edges_of(reference), moved_by_edits(made, reference))


def test_the_answer_is_the_askers_own() -> None:
    made = compiled("hist")
    made.structural_edges[:] = False
    assert made.structural_edges.any()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "mean"}, "no edges of kind 'mean'"),
        ({"kind": "zero", "lengths": "short"}, "lengths='short'"),
        ({"kind": "zero", "threshold": -1}, "threshold=-1"),
    ],
)
def test_other_questions_are_refused(arguments: dict[str, object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        compiled("hist").edges_of(**arguments)  # type: ignore[arg-type]


def test_too_many_prompts_are_refused() -> None:
    made = compile_program("reverse", length=7, vocabulary="abcdef")
    assert made.structural_edges.sum() == 13
    with pytest.raises(OptionError, match="6 tokens at 7 places make more than 4096 prompts"):
        made.zero_causal()
