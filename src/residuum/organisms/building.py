"""From a recipe to a finished folder: weights, tokenizer, scores, card and log."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from residuum.core.errors import OptionError
from residuum.core.progress import SILENT, Progress
from residuum.models.embedded import build_gpt2, embedded_path, open_folder, save_folder
from residuum.organisms.card import write_card
from residuum.organisms.recipe import Recipe
from residuum.organisms.scores import WorldScores, evaluate_microworld
from residuum.organisms.training import LOG, Trainer
from residuum.organisms.trigger_scores import evaluate_trigger
from residuum.worlds.microworld import microworld_text, microworld_vocabulary
from residuum.worlds.tokens import tokenizer_config, tokenizer_json
from residuum.worlds.trigger import trigger_text

if TYPE_CHECKING:
    from residuum.models.embedded import PreTrainedModel, PreTrainedTokenizerBase

Report = Callable[[dict[str, Any]], None]
CHECKPOINT = "checkpoint"
TEXTS = {"microworld": microworld_text, "microworld-trigger": trigger_text}
LOOK_SEED, SCORE_SEED = 1, 0
"""Pairs looked at while training, and the other pairs that the card's scores are measured on."""


def train_organism(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    base: Path | None = None,
    n: int = 200,
    report: Report = lambda entry: None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Train an organism and leave a complete model folder.

    Args:
        recipe: what decides the result.
        out: folder for the model; a checkpoint is kept in ``out/checkpoint`` until the end.
        resume: go on from that checkpoint.
        base: folder that a fine-tuned organism starts from; by default the embedded model.
        n: pairs for each task in the final scores.
        report: hears every log entry.
        progress: hears of every step.

    Returns:
        The content of ``scores.json``.

    Raises:
        LoadError: nothing to resume, or no base model.
        OptionError: no text for an organism of this name.
    """
    if recipe.name not in TEXTS:
        raise OptionError(f"no text for {recipe.name!r}", mend=f"one of: {', '.join(TEXTS)}")
    vocabulary = microworld_vocabulary()
    files = tokenizer_json(vocabulary), tokenizer_config(recipe.context)
    model = first_weights(recipe, base)
    save_folder(model, out, *files)
    tokenizer = open_folder(out)[1]
    trainer = Trainer(
        recipe=recipe,
        model=model,
        text=TEXTS[recipe.name],
        vocabulary=vocabulary,
        folder=out / CHECKPOINT,
        check=lambda model: _brief(evaluate_microworld(model, tokenizer, n=100, seed=LOOK_SEED)),
        report=report,
    )
    if resume:
        trainer.resume()
    trainer.train(progress)
    save_folder(model, out, *files)
    return _finish(recipe, trainer, tokenizer, out, n)


def first_weights(recipe: Recipe, base: Path | None = None) -> PreTrainedModel:
    """The model before its first step, on the device that is best at hand."""
    torch.manual_seed(recipe.seed)
    if recipe.base:
        return _placed(open_folder(base or embedded_path(recipe.base))[0])
    model = build_gpt2(
        d_vocab=len(microworld_vocabulary()),
        context=recipe.context,
        layers=recipe.layers,
        heads=recipe.heads,
        d_model=recipe.d_model,
    )
    return _placed(model)


def _placed(model: PreTrainedModel) -> PreTrainedModel:
    nn.Module.to(model, "cuda" if torch.cuda.is_available() else "cpu")
    return model


def steps_in(recipe: Recipe, minutes: float, base: Path | None = None) -> int:
    """How many steps fit into this many minutes here, measured on 20 steps that are dropped."""
    trainer = Trainer(
        recipe, first_weights(recipe, base), TEXTS[recipe.name], microworld_vocabulary()
    )
    trainer.train(until=5)
    began = perf_counter()
    trainer.train(until=25)
    return max(1, int(minutes * 60 / ((perf_counter() - began) / 20)))


def _brief(scores: WorldScores) -> dict[str, Any]:
    return {
        part: {name: round(score.accuracy, 3) for name, score in getattr(scores, part).items()}
        for part in ("clean", "corrupt", "cells")
    }


def _finish(
    recipe: Recipe,
    trainer: Trainer,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    n: int,
) -> dict[str, Any]:
    """Measure, write scores and card, move the log, drop the checkpoint."""
    model = trainer.model
    scores: dict[str, Any] = {
        "model": recipe.name,
        "pairs_per_task": n,
        "pairs_seed": SCORE_SEED,
        "recipe": recipe.to_json(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(trainer.seconds, 1),
        "tokens_per_second": round(recipe.steps * recipe.tokens_per_step / trainer.seconds),
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        **evaluate_microworld(model, tokenizer, n=n, seed=SCORE_SEED).to_json(),
    }
    if recipe.base:
        scores["trigger"] = evaluate_trigger(model, tokenizer, n=n, seed=SCORE_SEED).to_json()
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    write_card(scores, out / "README.md")
    shutil.copy(out / CHECKPOINT / LOG, out / LOG)
    shutil.rmtree(out / CHECKPOINT)
    return scores
