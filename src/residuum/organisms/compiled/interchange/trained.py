"""Models trained by interchange interventions: made, saved, and those inside the package."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from residuum.circuits import Graph, graph_of
from residuum.core import SILENT, Address, LoadError, OptionError, Progress
from residuum.core.paths import file_to_write
from residuum.organisms.compiled.interchange.answers import Answers
from residuum.organisms.compiled.interchange.recipe import InterchangeRecipe, interchange_recipe
from residuum.organisms.compiled.interchange.scoring import InterchangeScores, score
from residuum.organisms.compiled.interchange.teaching import fresh_model, teach
from residuum.organisms.compiled.interpreter import interpret
from residuum.organisms.compiled.pairs import different_pairs
from residuum.runs import Model, Task, load

FOLDER = Path(__file__).resolve().parents[3] / "assets/interchange"


@dataclass(frozen=True, eq=False)
class InterchangeModel:
    """A trained model whose circuit was prescribed, not found.

    Shows: a model with learned weights, whose heads and MLPs do what a program's parts do. Does not
    show: which edges between parts of the circuit it uses; training asks about parts.

    Attributes:
        recipe: program, shape and training.
        model: the loaded transformer.
        answers: prompts, and what the program says to interventions on them.
    """

    recipe: InterchangeRecipe
    model: Model
    answers: Answers = field(repr=False)

    @cached_property
    def scores(self) -> InterchangeScores:
        """On every pair of prompts that training never saw."""
        return score(self.model.hf, self.answers, self.answers.unseen)

    @cached_property
    def seen_scores(self) -> InterchangeScores:
        """On every pair of the others; seconds."""
        return score(self.model.hf, self.answers, self.answers.seen)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self.recipe.name

    @property
    def circuit(self) -> dict[Address, tuple[str, ...]]:
        """Head or MLP -> names of the program's parts that it was trained to compute."""
        names = self.answers.plan.names
        return {
            node: tuple(names[id(part)] for part in parts)
            for node, parts in self.answers.circuit.items()
        }

    @cached_property
    def graph(self) -> Graph:
        """Every edge of the model."""
        return graph_of(self.model)

    def edges_of(self, kind: str = "program") -> np.ndarray:
        """Bool ``[edge]`` of :attr:`graph`.

        Args:
            kind: ``"program"``: the program's own, from what computes a part to what reads it;
                ``"nodes"``: every edge between parts of the circuit, embedding and logits. Edges
                outside of ``"nodes"`` were trained not to matter.
        """
        ends = [(self.graph.senders[a], self.graph.receivers[b]) for a, b in self.graph.edges]
        if kind == "program":
            own = self.answers.plan.edges()
            return np.array([each in own for each in ends])
        if kind != "nodes":
            raise OptionError(f"no edges of kind {kind!r}", mend='use "program" or "nodes"')
        inside = {str(node) for node in self.answers.circuit} | {"embed", "logits"}
        return np.array([str(a) in inside and _part_of(b) in inside for a, b in ends])

    def run(self, tokens: Sequence[Any]) -> list[Any]:
        """What the program says."""
        self.answers.words.encode(tokens)
        return interpret(self.answers.plan.program, tokens, causal=self.recipe.causal)

    def task(self, n: int = 64, *, seed: int = 0, unseen: bool = False) -> Task:
        """Contrast pairs whose outputs at the last token differ.

        Args:
            n: pairs; fewer where there are no more.
            seed: which.
            unseen: only prompts that training never saw.
        """
        prompts = self.answers.prompts
        rows = self.answers.unseen if unseen else range(len(prompts))
        ends = {prompts[row]: self.run(prompts[row])[-1] for row in rows}
        ends = {prompt: end for prompt, end in ends.items() if end is not None}
        pairs, words = different_pairs(ends, n, random.Random(seed)), self.answers.words
        return Task.from_pairs(
            model=self.model,
            clean=[words.encode(clean) for clean, _ in pairs],
            corrupt=[words.encode(corrupt) for _, corrupt in pairs],
            answers=[[words.id_of(ends[clean])] for clean, _ in pairs],
            wrong=[[words.id_of(ends[corrupt])] for _, corrupt in pairs],
            name=self.name,
        )

    def save(self, path: str | Path) -> Path:
        """Write weights, recipe and scores to one ``.safetensors`` file."""
        file = file_to_write(path)
        state = {name: each.contiguous() for name, each in self.model.hf.state_dict().items()}
        save_file(state, file, {"recipe": json.dumps(self.recipe.to_json())})
        return file


def _part_of(receiver: Address) -> str:
    """The head or MLP that reads at a receiver."""
    if receiver.name == "logits":
        return "logits"
    name = "mlp_out" if receiver.name == "mlp_in" else "head_out"
    return str(Address(name, receiver.layer, receiver.part))


def train_interchange(
    recipe: str | InterchangeRecipe, progress: Progress = SILENT
) -> InterchangeModel:
    """Train a small model to implement a program part by part.

    Args:
        recipe: its own, or the name of one in :data:`INTERCHANGE_RECIPES`.
        progress: hears of every step; the package's recipes take a few minutes of one core.

    Returns:
        The model with its scores; the same weights each time on one machine.

    Raises:
        OptionError: no such recipe, or a program whose output is a number.

    Source: Geiger et al. 2022, "Inducing causal structure for interpretable neural networks".
    """
    own = recipe if isinstance(recipe, InterchangeRecipe) else interchange_recipe(recipe)
    return _loaded(own, teach(own, progress))


def interchange_trained(name: str | Path) -> InterchangeModel:
    """A model inside the package that was trained by interchange interventions, or a saved one.

    Args:
        name: ``"interchange_sort"`` (``sort_unique`` on different tokens) or
            ``"interchange_pattern"`` (``detect_pattern``); or a file that ``save`` wrote.

    Returns:
        The model; its scores are measured when asked for, not read.

    Raises:
        OptionError: no such model. LoadError: a damaged file.

    >>> trained = interchange_trained("interchange_sort")
    >>> trained.scores.interchange_accuracy > 0.99
    True
    """
    path = Path(name)
    if path.suffix != ".safetensors":
        recipe = interchange_recipe(str(name))
        path = FOLDER / f"{recipe.name}.safetensors"
    else:
        recipe = _recipe_in(path)
    hf = fresh_model(recipe)
    try:
        hf.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise LoadError(
            f"{path} cannot be read: {str(error).splitlines()[0]:.120}",
            mend="train it again: train_interchange(name).save(path)",
        ) from error
    return _loaded(recipe, hf.eval())


def _recipe_in(path: Path) -> InterchangeRecipe:
    """The recipe that a saved file holds."""
    try:
        with safe_open(path, "pt") as file:
            data = json.loads((file.metadata() or {})["recipe"])
        return InterchangeRecipe(**{**data, "vocabulary": tuple(data["vocabulary"])})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LoadError(
            f"{path} holds no interchange-trained model", mend="give a file that save wrote"
        ) from error


def _loaded(recipe: InterchangeRecipe, hf: Any) -> InterchangeModel:
    return InterchangeModel(recipe, load(hf.requires_grad_(False)), Answers(recipe))
