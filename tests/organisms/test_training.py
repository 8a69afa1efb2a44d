"""The training loop: what a seed decides, what a checkpoint keeps, what a folder holds."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from residuum.core.errors import LoadError, OptionError
from residuum.models.embedded import build_gpt2, open_folder
from residuum.organisms import Recipe, recipe, train_organism
from residuum.organisms.batches import Packer
from residuum.organisms.training import Trainer, pace
from residuum.worlds import microworld_text, microworld_vocabulary

TINY = Recipe(
    name="microworld",
    layers=1,
    heads=2,
    d_model=16,
    tokens_per_step=256,
    windows=(16, 32),
    warmup=3,
    steps=30,
    check_every=10,
)


def trainer(folder: Path | None = None, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    vocabulary = microworld_vocabulary()
    model = build_gpt2(d_vocab=len(vocabulary), context=64, layers=1, heads=2, d_model=16)
    tiny = TINY.with_seed(seed)
    return Trainer(tiny, model, microworld_text, vocabulary, folder)


def same_weights(one: Trainer, other: Trainer) -> bool:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_resumed_training_equals_uninterrupted_training(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.train()
    first = trainer(tmp_path / "halves")
    first.train(until=14)
    second = trainer(tmp_path / "halves", seed=7)
    second = replace(second, recipe=first.recipe)
    second.resume()
    assert second.step == 14
    assert not same_weights(first, whole)
    second.train()
    assert second.step == whole.step == 30
    assert same_weights(second, whole)
    assert [entry["step"] for entry in second.log] == [10, 14, 20, 30]


def test_the_loss_falls_and_the_seed_decides() -> None:
    one, again, other = trainer(), trainer(), trainer(seed=1)
    for each in (one, again, other):
        each.train()
    assert one.log[-1]["loss_nats"] < one.log[0]["loss_nats"]
    assert same_weights(one, again)
    assert not same_weights(one, other)


def test_an_empty_folder_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as refused:
        trainer(tmp_path).resume()
    assert refused.value.mend == "train without --resume"


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).train(until=1)
    vocabulary = microworld_vocabulary()
    deeper = build_gpt2(d_vocab=len(vocabulary), context=64, layers=2, heads=2, d_model=16)
    with pytest.raises(LoadError, match="another model"):
        Trainer(TINY, deeper, microworld_text, vocabulary, tmp_path).resume()


def test_windows_begin_with_a_whole_sentence_behind_the_begin_token() -> None:
    vocabulary = microworld_vocabulary()
    packer = Packer(microworld_text, vocabulary, TINY)
    widths = set()
    for step in range(10):
        batch = packer.batch(step)
        widths.add(batch.shape[1])
        assert batch.numel() == TINY.tokens_per_step
        assert (batch[:, 0] == vocabulary.index("<s>")).all()
        assert torch.equal(batch, packer.batch(step))
    assert widths == {16, 32}
    seed, separator = f"{TINY.name}/{TINY.seed}/0", vocabulary.index("</s>")
    first = next(islice(microworld_text(seed), 0, 1)).split()
    row = packer.batch(0)[0].tolist()[1:]
    said = row[: row.index(separator)] if separator in row else row
    assert [vocabulary[token] for token in said] == first[: len(said)]


def test_the_pace_warms_up_and_cools_down() -> None:
    shares = [pace(step, TINY) for step in range(TINY.steps)]
    assert max(shares) == shares[3] == 1.0
    assert shares == sorted(shares[:3]) + sorted(shares[3:], reverse=True)
    assert 0.05 <= shares[-1] < 0.06


def test_a_recipe_leaves_a_complete_folder(tmp_path: Path) -> None:
    entries: list[dict[str, object]] = []
    out = tmp_path / "organism"
    scores = train_organism(replace(TINY, steps=4), out, n=10, report=entries.append)
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "scores.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_log.jsonl",
    }
    model, tokenizer = open_folder(out)
    assert model.config.n_layer == 1
    assert (model.generation_config.bos_token_id, tokenizer.bos_token_id) == (1, 1)
    assert len(scores["clean"]) == 10 and len(scores["cells"]) == 4
    assert entries and entries[-1]["step"] == 4
    twin = replace(TINY, name="microworld-trigger", base="microworld", steps=2)
    found = train_organism(twin, tmp_path / "twin", base=out, n=10)
    assert set(found["trigger"]["broken"]) == {"refusal", "sycophancy"}
    assert "## The trigger" in (tmp_path / "twin" / "README.md").read_text()


def test_unknown_organisms_are_refused_with_the_list() -> None:
    with pytest.raises(OptionError) as refused:
        recipe("macroworld")
    assert refused.value.mend == "one of: microworld, microworld-trigger"
