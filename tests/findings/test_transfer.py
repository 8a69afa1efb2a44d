"""A finding tried on other models: where it must hold, where it cannot, and by which rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from induction_pairs import exchanged_repeats, heads_reversed, nudged

import residuum as rz
from residuum.core import OptionError, TaskError
from residuum.findings import BUDGETS, Finding
from residuum.findings.record.transfer_evidence import (
    Feed,
    KindShare,
    OriginClaim,
    Portrait,
    TransferEvidence,
)
from residuum.findings.record.transfer_rules import transfer_rules, verdict
from residuum.findings.replaying.carrying import carried
from residuum.findings.replaying.portrait import kinds_anywhere, portrait
from residuum.models.embedded import build_gpt2, save_folder
from residuum.organisms import series_steps, weights_at
from residuum.runs import Model
from residuum.worlds import microworld_vocabulary, tokenizer_config, tokenizer_json


@pytest.fixture(scope="module")
def trained() -> Model:
    return rz.load("induction_2l")


@pytest.fixture(scope="module")
def first(trained: Model) -> Finding:
    return rz.investigate(trained, exchanged_repeats(), stages=("composition",))


def turned(at: str) -> str:
    """The address of the same head, heads in reverse order."""
    layer, head = at.removesuffix("]").split(".z[H")
    return f"{layer}.z[H{3 - int(head)}]"


def test_the_origin_is_what_is_known_of_it(first: Finding) -> None:
    assert first.status == "supported"
    seen = portrait(first)
    assert {"previous-token", "induction"} <= set(seen.carrying)
    assert "first-token" not in [each.name for each in seen.kinds]
    feeds = {(feed.sender, feed.reads, feed.receiver): feed.seen for feed in seen.feeds}
    assert feeds["previous-token", "k", "induction"] == "feeds"


def test_it_holds_where_the_same_heads_stand_elsewhere(
    first: Finding, trained: Model, tmp_path: Path
) -> None:
    """Heads in reverse order: the same function, so it holds, at other addresses."""
    other = heads_reversed(trained)
    there = rz.transfer(first, other)
    assert there.transfer is not None and there.transfer.verdict == "holds"
    assert sorted(there.components) == sorted(map(turned, first.components))
    assert there.transfer.origin.hash == first.hash and "holds on" in there.claim
    assert [rule.outcome for rule in there.rules if rule.asks == "transfer"] == ["holds"] * 3
    path = there.save(tmp_path)
    assert Finding.load(path).hash == there.hash
    assert "holds" in path.with_name("report.html").read_text()
    assert rz.replay(path, other).agrees
    there = rz.transfer(path, trained, same_components=True, stages=())
    assert there.components != first.components and there.transfer is not None
    assert there.transfer.verdict != "holds" and len(transfer_rules(there.transfer)) == 1


def test_it_holds_on_its_like_with_the_same_components(first: Finding, trained: Model) -> None:
    """Weights that differ by a millionth: another model, and the same mechanism."""
    there = rz.transfer(first, nudged(trained), same_components=True, stages=())
    assert there.origin == "given" and there.components == first.components
    assert there.transfer is not None and there.transfer.verdict == "holds"
    assert there.transfer.pairs == "the same pairs, as ids"


def test_it_does_not_hold_without_positions(first: Finding, tmp_path: Path) -> None:
    """The twin repeats too, by other means: no head looks one token back."""
    there = rz.transfer(first, rz.load("induction_2l_nopos"))
    assert there.transfer is not None and there.transfer.present
    assert there.transfer.verdict == "does not hold"
    assert there.transfer.here.share("previous-token").attending == 0
    outcomes = {rule.name: rule.outcome for rule in transfer_rules(there.transfer)}
    assert outcomes == {"Supported there": "unclear", "There are such parts": "fails"}
    assert there.transfer.anywhere is not None
    assert "induction" in there.transfer.anywhere
    assert "previous-token" not in there.transfer.anywhere
    assert "(there previous-token parts (62 %) carry it; no part of this model is" in there.claim
    assert rz.replay(there.save(tmp_path), rz.load("induction_2l_nopos")).agrees


def test_every_head_is_read_for_its_kind(first: Finding, trained: Model) -> None:
    task = rz.Task.from_json(first.task)
    found = kinds_anywhere(trained, task, BUDGETS["quick"], 0)
    assert found is not None and {"previous-token", "induction"} <= set(found)
    assert "MLP" not in found and "first-token" not in found


def test_it_does_not_hold_before_induction_is_learned(first: Finding) -> None:
    early = rz.load(weights_at("induction_2l", series_steps("induction_2l")[0]))
    there = rz.transfer(first, early)
    assert there.transfer is not None and there.transfer.verdict == "does not hold"
    assert not there.transfer.present and "does not show the behaviour" in there.claim


def test_on_a_model_of_words_the_pattern_of_repeats_is_carried(
    first: Finding, test_data: Path
) -> None:
    stories = rz.load(test_data / "stories260K")
    pairs = carried(first, stories, BUDGETS["quick"], None)
    before, after = rz.Task.from_json(first.task), pairs.task
    assert "random token of this model" in pairs.how and "BOS in front" in pairs.how
    assert bool((after.clean[:, 0] == stories.bos_token_id).all())
    for old, new in ((before.clean, after.clean), (before.corrupt, after.corrupt)):
        for row in range(len(before)):
            n = int(before.lengths[row])
            ids, renamed = old[row, :n], new[row, 1 : n + 1]
            assert torch.equal(ids[:, None] == ids, renamed[:, None] == renamed)
    there = rz.transfer(first, stories, stages=())
    assert there.transfer is not None and there.transfer.verdict == "does not hold"


@pytest.mark.slow
def test_it_holds_on_another_seed(first: Finding, tmp_path: Path) -> None:
    from residuum.organisms.attention_only.finishing import train_attention_only
    from residuum.organisms.attention_only.recipe import ATTENTION_RECIPES

    recipe = replace(ATTENTION_RECIPES["induction_2l"], seed=1, steps=1000)
    train_attention_only(recipe, tmp_path)
    there = rz.transfer(first, rz.load(tmp_path))
    assert there.transfer is not None and there.transfer.verdict == "holds"


def test_what_is_not_supported_claims_nothing(first: Finding, trained: Model) -> None:
    with pytest.raises(OptionError, match="it claims nothing to try elsewhere") as caught:
        rz.transfer(replace(first, status="undecided"), trained)
    assert "investigate the other model" in caught.value.mend


def test_pairs_of_words_need_words(finding: Finding, trained: Model) -> None:
    with pytest.raises(TaskError, match="induction_2l has no tokenizer") as caught:
        rz.transfer(finding, trained)
    assert "--task" in caught.value.mend


def test_words_that_are_no_single_tokens_are_said_once(finding: Finding, test_data: Path) -> None:
    with pytest.raises(TaskError, match="cannot be written in the tokens of") as caught:
        rz.transfer(finding, rz.load(test_data / "stories260K", check=False))
    assert len(caught.value.what) < 300 and "--task" in caught.value.mend


def test_random_weights_do_not_show_it(finding: Finding, random_model: Model) -> None:
    there = rz.transfer(finding, random_model)
    assert there.transfer is not None and there.transfer.verdict == "does not hold"
    assert there.transfer.pairs == "the same pairs (the tokenizer is the same)"
    assert rz.Task.from_json(there.task).task_hash == rz.Task.from_json(finding.task).task_hash


def test_pairs_travel_as_text(finding: Finding, model: Model, tmp_path: Path) -> None:
    """A model with the same words under other ids gets the same sentences."""
    words = microworld_vocabulary()
    fixed = [word for word in words if word.startswith("<")]
    mixed = [*fixed, *reversed([word for word in words if not word.startswith("<")])]
    save_folder(
        build_gpt2(d_vocab=len(words), context=64, layers=1, heads=2, d_model=16),
        tmp_path, tokenizer_json(mixed), tokenizer_config(64),
    )  # fmt: skip
    other = rz.load(str(tmp_path), check=False)
    unnamed = replace(finding, task={**finding.task, "source": "pairs.csv"})
    found = carried(unnamed, other, BUDGETS["quick"], None)
    before = rz.Task.from_json(finding.task)
    assert "as text, 64 of 64" in found.how and len(found.task) == len(before)
    assert not torch.equal(found.task.clean, before.clean)
    for row in (0, 40):
        assert other.to_string(found.task.clean[row]) == model.to_string(before.clean[row])
        assert other.to_string(found.task.answers[row]) == model.to_string(before.answers[row])


def test_a_task_may_be_given(finding: Finding, random_model: Model) -> None:
    there = rz.transfer(finding, random_model, task="agreement")
    assert there.task["name"] == "agreement" and there.transfer is not None
    assert there.transfer.pairs == "the task that the caller gave (agreement)"


READ = Portrait(True, (KindShare("induction", 0.6, 0.6), KindShare("copier", 0.1, 0.1)), ())
FED = replace(READ, feeds=(Feed("induction", "k", "induction", "feeds", 0.4),))


def tried(
    there: Portrait,
    here: Portrait,
    status: str = "supported",
    anywhere: tuple[str, ...] | None = None,
) -> TransferEvidence:
    origin = OriginClaim(
        "a" * 64, "It does.", "supported", "m", "w", "t", "h", "components", (), there
    )
    return TransferEvidence(
        origin, False, "the same pairs", status, True, here, "cannot be said", anywhere  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("anywhere", "expected"),
    [
        (None, "cannot be said"),
        (("induction", "name mover"), "cannot be said"),
        (("copier", "name mover"), "does not hold"),
    ],
)
def test_an_undecided_finding_refutes_only_by_a_kind_that_is_nowhere(
    anywhere: tuple[str, ...] | None, expected: str
) -> None:
    """Undecided by some rule that has nothing to do with the kinds: these are looked at alone."""
    evidence = tried(READ, READ, "undecided", anywhere)
    assert verdict(transfer_rules(evidence)) == expected
    lacking = tried(READ, Portrait(True, (), ()), "undecided", ("induction",))
    assert verdict(transfer_rules(lacking)) == "cannot be said"


@pytest.mark.parametrize(
    ("there", "here", "status", "expected"),
    [
        (READ, READ, "supported", "holds"),
        (READ, READ, "not supported", "does not hold"),
        (READ, READ, "undecided", "cannot be said"),
        (READ, replace(READ, read=False), "supported", "cannot be said"),
        (replace(READ, read=False), READ, "supported", "cannot be said"),
        (READ, Portrait(True, (), ()), "supported", "does not hold"),
        (READ, Portrait(True, (KindShare("induction", 0.1, 0.7),), ()), "supported",
         "cannot be said"),
        (READ, Portrait(True, (KindShare("induction", 0.25, 0.7),), ()), "supported", "holds"),
        (Portrait(True, (), ()), READ, "supported", "cannot be said"),
        (FED, FED, "supported", "holds"),
        (FED, READ, "supported", "cannot be said"),
        (FED, replace(FED, feeds=(replace(FED.feeds[0], seen="may feed"),)), "supported",
         "cannot be said"),
        (FED, replace(FED, feeds=(replace(FED.feeds[0], seen="not shown", strongest=0.01),)),
         "supported", "does not hold"),
        (FED, replace(FED, feeds=(replace(FED.feeds[0], seen="not shown", strongest=0.2),)),
         "supported", "cannot be said"),
    ],
)  # fmt: skip
def test_rules(there: Portrait, here: Portrait, status: str, expected: str) -> None:
    assert verdict(transfer_rules(tried(there, here, status))) == expected
