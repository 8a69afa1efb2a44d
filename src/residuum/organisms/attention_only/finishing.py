"""From a recipe to a finished folder: weights, series, log, scores and card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from residuum.core import SILENT, Progress
from residuum.organisms.attention_only.attention_card import write_attention_card
from residuum.organisms.attention_only.recipe import AttentionRecipe
from residuum.organisms.attention_only.teaching import CHECKPOINT, Teacher, look
from residuum.organisms.training import LOG

_FRESH_SEED = 991
"""Sequences of the final scores; neither training nor the looks on the way saw them."""


def train_attention_only(
    recipe: AttentionRecipe,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[dict[str, Any]], None] = lambda entry: None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Train an attention-only organism and leave a complete model folder.

    Args:
        recipe: what decides the result.
        out: folder for model, series, log, scores and card; it holds a checkpoint until the end.
        resume: go on from that checkpoint.
        report: hears every log entry.
        progress: hears of every step.

    Returns:
        The content of ``scores.json``.

    Raises:
        LoadError: nothing to resume, or a checkpoint of another recipe.
    """
    teacher = Teacher(recipe, out, report)
    if resume:
        teacher.resume()
    teacher.train(progress)
    return finish(teacher, out)


def finish(teacher: Teacher, out: Path) -> dict[str, Any]:
    """Write what a trained organism leaves, and drop the checkpoint."""
    model, recipe = teacher.model, teacher.recipe
    model.save_pretrained(out)
    scores: dict[str, Any] = {
        "model": recipe.name,
        "recipe": recipe.to_json(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(teacher.seconds, 1),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "scores_seed": _FRESH_SEED,
        **look(model, recipe, seed=_FRESH_SEED),
    }
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    lines = "".join(json.dumps(entry) + "\n" for entry in teacher.log)
    (out / LOG).write_text(lines, encoding="utf-8")
    write_attention_card(scores, out / "README.md")
    shutil.rmtree(out / CHECKPOINT)
    return scores
