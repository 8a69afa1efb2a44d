"""What the finding on microworld's ioi says of its heads, against loops of full forward passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.findings import Finding
from residuum.findings.chain.bench import Bench
from residuum.findings.record.part_evidence import RESAMPLE, SWAP, ZERO
from residuum.lenses.logit_lens import unembed
from residuum.runs import Model


@pytest.fixture(scope="module")
def bench(finding: Finding, model: Model) -> Bench:
    """The measuring half."""
    return Bench(model, rz.Task.from_json(finding.task)[1::2])


def test_removal_drops_the_difference_and_random_heads_lie_ten_times_below(
    finding: Finding,
) -> None:
    assert finding.parts is not None and finding.roles is not None
    resampled = finding.parts.removal(RESAMPLE)
    swapped, silenced = finding.parts.removal(SWAP), finding.parts.removal(ZERO)
    for removal in (resampled, swapped, finding.roles.removal):
        assert removal is not None and len(removal.random) == 20
        cost = removal.together[-1]
        assert cost.low > 0 and cost.value > 10 * removal.control > 0
        assert cost.value > 2 * max(np.abs(removal.random))
    assert resampled is not None and all(each.low > 0 for each in resampled.alone)
    assert silenced is not None and max(silenced.random) > 0.5 * silenced.together[-1].value


def test_backups_are_visible(finding: Finding) -> None:
    """Together they cost more than the sum of each alone, and the interval says so."""
    assert finding.parts is not None and finding.roles is not None
    assert len(finding.parts.removals) == 4 and not finding.parts.left_out
    for removal in (*finding.parts.removals, finding.roles.removal):
        assert removal is not None and removal.backup.low > 0, removal
        assert removal.together[-1].value - removal.summed == pytest.approx(removal.backup.value)


def test_the_mover_is_named_with_its_evidence(finding: Finding, folder: Path) -> None:
    assert finding.roles is not None
    assert finding.movers == ("L3.z[H7]",)
    (mover,) = [head for head in finding.roles.heads if head.mover]
    assert mover.attends_answer is not None and mover.attends_wrong is not None
    assert mover.attends_answer.value > 2 * mover.attends_wrong.value
    assert mover.removal.low > 0 and mover.direct.low > 0 and mover.verdict == "shown"
    page = (folder / "report.html").read_text().replace("\u00a0", " ")
    for said in (
        "Mover head: L3.H7",
        "others stand in for a missing one",
        "layers are not matched",
        "16 undecided at 5 % over all together",
        "smallest possible p 0.0078",
    ):
        assert said in page


def test_the_strongest_heads_look_at_the_giver_and_are_no_movers(finding: Finding) -> None:
    """They carry who gave, from which later parts tell the receiver."""
    assert finding.roles is not None
    strongest = [head for head in finding.roles.heads if head.at in finding.components[:2]]
    for head in strongest:
        assert head.attends_wrong is not None and head.attends_wrong.value > 0.8
        assert not head.mover and head.direct.value < 0
    largest = max(each.value for each in finding.roles.mlp_direct)
    assert largest > 10 * max(head.direct.value for head in finding.roles.heads)


def test_swapping_equals_a_loop_of_forward_passes(finding: Finding, bench: Bench) -> None:
    assert finding.parts is not None
    removal = finding.parts.removal(SWAP)
    assert removal is not None
    donor = bench.run("corrupt", capture=["z"])
    groups = [*([at] for at in removal.parts), list(removal.parts)]
    lost = [
        float((bench.clean - bench.values("clean", [rz.Patch(at, donor) for at in group])).mean())
        for group in groups
    ]
    said = [*(each.value for each in removal.alone), removal.together[-1].value]
    assert lost == pytest.approx(said, abs=1e-3)
    clean = bench.run("clean", capture=["z"])
    for head in finding.parts.named:
        gained = bench.values("corrupt", [rz.Patch(head.at, clean)]) - bench.corrupt
        assert gained.tolist() == pytest.approx(list(head.patch_values), abs=1e-3)


def test_direct_paths_equal_the_stream_with_one_head_exchanged(
    finding: Finding, bench: Bench
) -> None:
    """Corrupt stream plus the change of one head's output at the last token, unembedded."""
    assert finding.roles is not None
    last = bench.model.n_layers - 1
    sites = ["head_out@-1", f"L{last}.resid_post@-1"]
    clean, corrupt = bench.run("clean", capture=sites), bench.run("corrupt", capture=sites)
    stream = corrupt[f"L{last}.resid_post@-1"]
    for head in finding.roles.heads:
        layer, number = int(head.at[1]), int(head.at[6])
        change = clean[f"L{layer}.head_out@-1"] - corrupt[f"L{layer}.head_out@-1"]
        moved = stream + change[..., number, :]
        logits = unembed(bench.model, moved).double().cpu()
        effect = float((bench.measure(logits) - bench.corrupt).mean())
        assert effect == pytest.approx(head.direct.value, abs=1e-3), head.at


def test_attention_is_the_models_own(finding: Finding, bench: Bench) -> None:
    assert finding.roles is not None
    task, hf = bench.task, bench.model.hf
    hf.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            out = hf(task.clean, attention_mask=task.attention_mask, output_attentions=True)
    finally:
        hf.set_attn_implementation("sdpa")
    rows = torch.arange(len(task))
    for head in finding.roles.heads:
        pattern = out.attentions[int(head.at[1])][:, int(head.at[6])]
        seen = pattern[rows, task.last, task.positions["IO"]].mean()
        assert head.attends_answer is not None
        assert float(seen) == pytest.approx(head.attends_answer.value, abs=1e-4)
    for head in (1, 2):  # both names alike, in both prompts: unseen by this contrast
        pattern = out.attentions[2][:, head]
        names = [pattern[rows, task.last, task.positions[name]].mean() for name in ("IO", "S1")]
        assert min(names) > 0.35 and max(names) < 0.6


def test_verdicts_are_the_sweeps_own(finding: Finding, bench: Bench) -> None:
    assert finding.where is not None and finding.parts is not None
    grid = finding.where.heads
    sure = rz.patch(bench.model, bench.task, "z", ("layer", "head")).statistics()
    assert np.asarray(grid.p) == pytest.approx(sure.p.values)
    assert [list(row) for row in grid.verdict] == sure.verdict.values.tolist()
    assert np.asarray(grid.low) == pytest.approx(sure.low.values, abs=1e-3)
    assert grid.sure == str(sure) and grid.floor == sure.floor
    for head in finding.parts.named:
        assert head.p == grid.p[int(head.at[1])][int(head.at[6])]


def test_an_answer_that_is_not_in_the_prompt_has_no_mover(model: Model) -> None:
    found = rz.investigate(model, "facts", stages=())
    assert found.roles is not None and found.movers == ()
    assert all(head.attends_answer is None for head in found.roles.heads)


def test_what_the_pairs_do_not_allow_is_said(model: Model) -> None:
    """Induction's prompts have so many lengths that some have no other prompt to draw from."""
    found = rz.investigate(model, "induction", stages=())
    assert found.parts is not None and found.parts.removal(RESAMPLE) is None
    assert found.parts.left_out == ("resampled: no other prompt of 5 tokens to resample from",)
    assert found.parts.main.how == SWAP and len(found.movers) >= 2
