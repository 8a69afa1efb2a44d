"""The training loop of the attention-only organisms: seeded, resumable, measured as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from residuum.core import SILENT, LoadError, Progress
from residuum.core.progress import track
from residuum.organisms.attention_only.looking import LOOK_SEED, look_at_repeats, next_token_losses
from residuum.organisms.attention_only.recipe import AttentionRecipe
from residuum.organisms.attention_only.sequences import draws, repeated_blocks
from residuum.organisms.attention_only.skip_trigrams import look_at_trigrams, trigram_sequences
from residuum.organisms.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from residuum.models.native import NativeForCausalLM

CHECKPOINT, SERIES = "checkpoint", "series"


def first_model(recipe: AttentionRecipe) -> NativeForCausalLM:
    """The model before its first step; its attention kernel hands out patterns."""
    from residuum.models.native import NativeConfig, NativeForCausalLM

    torch.manual_seed(recipe.seed)
    config = NativeConfig(
        n_layers=recipe.layers,
        n_heads=recipe.heads,
        d_model=recipe.d_model,
        d_vocab=recipe.d_vocab,
        n_ctx=recipe.context,
        positions=recipe.positions,
        normalization=recipe.normalization,
        initializer_range=recipe.initializer_range,
    )
    model = NativeForCausalLM(config)
    model.set_attn_implementation("eager")
    return model.eval()


def batch_of(recipe: AttentionRecipe, step: int) -> Tensor:
    """Token ids of one step, ``[batch pos]``; seed and step decide them."""
    make = repeated_blocks if recipe.data == "repeats" else trigram_sequences
    generator = draws(recipe.seed, step)
    return make(recipe.batch, generator, context=recipe.context, d_vocab=recipe.d_vocab)[0]


def look(model: Any, recipe: AttentionRecipe, seed: int = LOOK_SEED) -> dict[str, Any]:
    """Measure a model on its own kind of data, on the sequences of a seed."""
    if recipe.data == "repeats":
        return look_at_repeats(model, seed=seed)
    return look_at_trigrams(model, seed=seed)


@dataclass
class Teacher:
    """One training in progress.

    Attributes:
        recipe: what decides the result.
        folder: where the checkpoint and the series of weights go; None keeps nothing.
        report: hears every log entry.
        model: its weights change.
        step: steps done.
        seconds: spent on them.
        log: one entry for each look, the first before the first step.
    """

    recipe: AttentionRecipe
    folder: Path | None = None
    report: Callable[[dict[str, Any]], None] = lambda entry: None
    step: int = 0
    seconds: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = first_model(self.recipe)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
        )

    def resume(self) -> None:
        """Go on from the checkpoint in ``folder``.

        Raises:
            LoadError: there is none, or it is of another recipe.
        """
        if self.folder is None:
            raise LoadError("this training keeps no checkpoint", mend="give it a folder")
        state = load_checkpoint(self.folder / CHECKPOINT, self.model, self.optimizer)
        wanted = {**self.recipe.to_json(), "steps": 0}
        if {**state["recipe"], "steps": 0} != wanted:
            raise LoadError(
                "the checkpoint is of another recipe",
                where=str(self.folder),
                mend="train with the recipe it began with, or name an empty folder",
            )
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]

    def train(self, progress: Progress = SILENT, until: int | None = None) -> None:
        """Train to the recipe's last step, or to step ``until``."""
        end = self.recipe.steps if until is None else min(until, self.recipe.steps)
        began, before = perf_counter(), self.seconds
        if not self.log:
            self._forget()
            self._keep()
        todo = range(self.step, end)
        for step in track(todo, progress, f"training {self.recipe.name}", len(todo)):
            self._update(step)
            self.step = step + 1
            self.seconds = before + perf_counter() - began
            if self.step % self.recipe.check_every == 0:
                self._keep()
        if self.log[-1]["step"] != self.step:
            self._save_state()

    def _update(self, step: int) -> None:
        ids = batch_of(self.recipe, step)
        losses = next_token_losses(self.model(ids, use_cache=False).logits, ids)
        self.optimizer.zero_grad(set_to_none=True)
        losses[:, 1:].mean().backward()
        self.optimizer.step()

    def _keep(self) -> None:
        """Measure, log, and write the checkpoint and one more of the series."""
        entry = {"step": self.step, "seconds": round(self.seconds, 1)}
        self.log.append({**entry, **look(self.model, self.recipe)})
        self.report(self.log[-1])
        if self.folder is not None:
            series = self.folder / SERIES
            series.mkdir(parents=True, exist_ok=True)
            state = {name: t.detach().half() for name, t in self.model.state_dict().items()}
            save_file(state, series / f"step-{self.step:05d}.safetensors")
            self._save_state()

    def _forget(self) -> None:
        """Take away the series of an earlier training in this folder."""
        if self.folder is not None:
            for path in (self.folder / SERIES).glob("step-*.safetensors"):
                path.unlink()

    def _save_state(self) -> None:
        if self.folder is None:
            return
        state = {
            "recipe": self.recipe.to_json(),
            "step": self.step,
            "seconds": self.seconds,
            "log": self.log,
        }
        save_checkpoint(self.folder / CHECKPOINT, self.model, self.optimizer, state)
