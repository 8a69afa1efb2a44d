"""What a run says of itself: hash, provenance, tokens, which edits fired."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

import residuum as rz

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import IDS, build, model, talker

VECTOR = torch.arange(32.0)
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def test_the_hash_is_that_of_what_was_run() -> None:
    run = model().run(IDS, edits=rz.Zero("L0.z[H1]"))
    assert re.fullmatch("[0-9a-f]{64}", run.hash)
    same = [
        model().run(IDS.clone(), edits=(rz.Zero("L0.z[H1]"),)),
        model().run(IDS.tolist(), edits=rz.Zero("L0.z[H1]"), capture="z"),
        model().run(IDS, edits=rz.Zero("L0.z[H1]"), batch_size=1),
        model().run(IDS, edits=rz.Zero("L0.z[H1]"), logits=False),
        rz.load(build("gpt2"), check=False).run(IDS, edits=rz.Zero("L0.z[H1]")),
    ]
    assert {each.hash for each in same} == {run.hash}


def test_the_hash_tells_apart_what_differs() -> None:
    changed = build("gpt2")
    with torch.no_grad():
        changed.transformer.wte.weight[3, 4] += 1e-3
    add = rz.Add("L0.z[H1]", 1.0)
    runs = {
        "plain": model().run(IDS),
        "ids": model().run(IDS.flip(0)),
        "edit": model().run(IDS, edits=rz.Zero("L0.z[H1]")),
        "place": model().run(IDS, edits=rz.Zero("L0.z[H2]")),
        "value": model().run(IDS, edits=rz.Add("L0.z", 1.0)),
        "other value": model().run(IDS, edits=rz.Add("L0.z", 2.0)),
        "order": model().run(IDS, edits=[add, rz.Scale("L0.z[H1]", 2.0)]),
        "other order": model().run(IDS, edits=[rz.Scale("L0.z[H1]", 2.0), add]),
        "twice": model().run(IDS, edits=[add, add]),
        "seed": model().run(IDS, edits=rz.Resample("L0.z", seed=1)),
        "other seed": model().run(IDS, edits=rz.Resample("L0.z", seed=2)),
        "mask": model().run(IDS, attention_mask=MASK),
        "dtype": rz.load(build("gpt2", torch.float64), check=False).run(IDS),
        "weights": rz.load(changed, check=False).run(IDS),
        "family": model("llama").run(IDS),
    }
    assert len({run.hash for run in runs.values()}) == len(runs)


def test_a_weight_changed_in_place_is_noticed() -> None:
    hf = build("gpt2")
    held = rz.load(hf, check=False)
    before = held.run(IDS).hash
    with torch.no_grad():
        hf.transformer.h[1].mlp.c_fc.weight.mul_(1.01)
    assert held.run(IDS).hash != before


def test_provenance_names_everything_that_went_in() -> None:
    origin = talker().run("the cat").provenance
    assert origin.model_id == "GPT2LMHeadModel"
    assert origin.weight_hash == talker().adapted.weight_hash
    assert origin.tokenizer_hash == talker().adapted.tokens.hash() != ""
    assert (origin.dtype, origin.device) == ("float32", "cpu")
    assert origin.software["residuum"] == rz.__version__
    assert model().run(IDS).provenance.tokenizer_hash == ""
    assert rz.core.Provenance.from_json(origin.to_json()) == origin
    assert model().generate(IDS, 1, temperature=1.0, seed=7).provenance.seed == 7


def test_tokens_are_those_of_each_prompt_without_padding() -> None:
    run = talker().run(["the cat sat", "the"])
    assert run.tokens == (("the", "cat", "sat"), ("the",))
    assert run.ids.tolist() == [[4, 5, 7], [4, 0, 0]]
    assert talker().run("the cat", prepend_bos=True).ids.tolist() == [[1, 4, 5]]


def test_fired_says_which_edits_wrote_and_where_they_did_not_the_run_fails() -> None:
    edits = [rz.Zero("L*.z[H0]"), rz.Add("L2.resid_post@-1", VECTOR)]
    run = model().run(IDS, edits=edits, batch_size=1)
    assert dict(run.fired) == {edits[0]: 3, edits[1]: 1}
    assert model().run(IDS).fired == {}
    with pytest.raises(rz.EditNeverFired, match=r"zero at L0\.z@8:9 never fired"):
        model().run(IDS, edits=[*edits, rz.Zero("L0.z@8:9")])
    assert model().generate(IDS, 2, edits=edits).fired == {edits[0]: 3, edits[1]: 1}


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_last_is_at_each_prompts_last_token(left: bool) -> None:
    mask = MASK.flip(1) if left else MASK
    run = model().run(IDS, attention_mask=mask)
    ends = mask.cumsum(1).argmax(1)
    expected = torch.stack([run.logits[row, end] for row, end in enumerate(ends)])
    assert torch.equal(run.last, expected)


def test_a_run_with_nothing_asked_is_the_bare_model() -> None:
    with torch.no_grad():
        bare = model().hf(IDS).logits
    run = model().run(IDS)
    assert torch.equal(run.logits, bare)
    assert run.captured == {} and run.metric is None and not run.logits.requires_grad


def test_a_run_prints_what_it_holds_and_no_numbers() -> None:
    edits = [rz.Zero("L*.z[H0]"), rz.Add("L2.resid_post@-1", VECTOR)]
    run = model().run(IDS, attention_mask=MASK, edits=edits, capture=["z", "L1.q[H2]@-1", "embed"])
    digits = edits[1].value.hash[:8]
    assert repr(run) == (
        "Run(2 prompts × 3 to 5 tokens\n"
        "  captured: L*.z (3 layers), L1.q[H2]@-1, embed\n"
        "  fired: Zero('L*.z[H0]') at 3 sites, "
        f"Add('L2.resid_post@-1', <float32 [32] {digits}>) at 1 site)"
    )
    assert repr(model().run(IDS[:1])) == "Run(1 prompt × 5 tokens)"
    stopped = model().run(IDS, capture="L0.z", logits=False)
    assert "stopped before the logits" in repr(stopped)
    many = model().run(IDS, edits=[rz.Scale("L0.z", 1 + i / 9) for i in range(9)])
    assert repr(many).endswith("at 1 site, 3 more)")
    grads = model().run(IDS, capture="L0.z", grad_of=lambda logits: logits.sum())
    assert "gradients: L0.z" in repr(grads)
