"""The training loop of the language-model organisms: AdamW, warm-up, cosine, resumable."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residuum.core.errors import LoadError
from residuum.core.progress import SILENT, Progress, track
from residuum.organisms.batches import Packer, Text
from residuum.organisms.checkpoint import load_checkpoint, save_checkpoint
from residuum.organisms.recipe import Recipe

if TYPE_CHECKING:
    from residuum.models.embedded import PreTrainedModel

Check = Callable[["PreTrainedModel"], dict[str, Any]]
LOG = "training_log.jsonl"


@dataclass
class Trainer:
    """One training in progress.

    Attributes:
        recipe: what decides the result.
        model: its weights change.
        text: gives endless sentences for a seed.
        vocabulary: words by token id.
        folder: where checkpoints and the log go; None keeps nothing.
        check: looks at the tasks every ``recipe.check_every`` steps; its answer is logged.
        report: hears every log entry.
    """

    recipe: Recipe
    model: PreTrainedModel
    text: Text
    vocabulary: list[str]
    folder: Path | None = None
    check: Check | None = None
    report: Callable[[dict[str, Any]], None] = lambda entry: None
    step: int = 0
    seconds: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self._packer = Packer(self.text, self.vocabulary, recipe)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
        )

    def resume(self) -> None:
        """Go on from the checkpoint in ``folder``; raises `LoadError` if there is none."""
        if self.folder is None:
            raise LoadError("this training keeps no checkpoint", mend="give it a folder")
        state = load_checkpoint(self.folder, self.model, self.optimizer)
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]

    def train(self, progress: Progress = SILENT, until: int | None = None) -> None:
        """Train to the recipe's last step, or to step ``until``, and keep a checkpoint."""
        end = self.recipe.steps if until is None else min(until, self.recipe.steps)
        began, seconds_before = perf_counter(), self.seconds
        self.model.train()
        todo = range(self.step, end)
        for step in track(todo, progress, f"training {self.recipe.name}", len(todo)):
            loss_nats = self._update(step)
            self.step = step + 1
            self.seconds = seconds_before + perf_counter() - began
            if self.step % self.recipe.check_every == 0 or self.step == end:
                self._look(loss_nats)
        self.model.eval()

    def _update(self, step: int) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * pace(step, self.recipe)
        ids = self._packer.batch(step).to(self.model.device)
        loss = _next_token_loss(self.model(ids, use_cache=False).logits, ids)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        return loss.item()

    def _look(self, loss_nats: float) -> None:
        speed = self.step * self.recipe.tokens_per_step / self.seconds
        entry: dict[str, Any] = {
            "step": self.step,
            "loss_nats": round(loss_nats, 4),
            "seconds": round(self.seconds, 1),
            "tokens_per_second": round(speed),
            "eta_seconds": round(self.seconds / self.step * (self.recipe.steps - self.step)),
        }
        if self.check:
            self.model.eval()
            entry |= self.check(self.model)
            self.model.train()
        self.log.append(entry)
        self.report(entry)
        if self.folder:
            state = {"step": self.step, "seconds": self.seconds, "log": self.log}
            save_checkpoint(self.folder, self.model, self.optimizer, state)
            lines = "".join(json.dumps(line) + "\n" for line in self.log)
            (self.folder / LOG).write_text(lines, encoding="utf-8")


def pace(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to 5 %."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def _next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Mean loss in nats over all tokens but the first of each window."""
    return cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
