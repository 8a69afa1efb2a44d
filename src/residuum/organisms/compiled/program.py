"""The record of a compiled program: model, meaning, contrast pairs, and the edges that matter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.circuits import Graph, graph_of
from residuum.core import OptionError, TaskError
from residuum.organisms.compiled.expressions import Expression
from residuum.organisms.compiled.ground_truth import THRESHOLD, EdgeCounts, GroundTruth
from residuum.organisms.compiled.interpreter import Interpreter
from residuum.organisms.compiled.naming import describe
from residuum.organisms.compiled.pairs import different_pairs, some_prompts
from residuum.organisms.compiled.scheduling import Schedule
from residuum.organisms.compiled.vocabulary import Vocabulary
from residuum.runs import Model, Task

MOST_PROMPTS = 4096


@dataclass(frozen=True, eq=False)
class CompiledProgram:
    """A program, the transformer that computes it, and which of its edges matter.

    Shows: a model whose circuit is known before anybody looks. Does not show: that trained models
    look like this: they have norms, share directions, and do things in more ways than one.

    Attributes:
        name: of the program.
        program: the expression that is the output.
        model: the loaded transformer; its logits at a token are 1 for the value there and 0 for
            others, or the number itself at ``<number>``.
        vocabulary: what each token id stands for.
        length: most tokens of a prompt, without the one that begins it.
        causal: whether positions see only themselves and earlier ones.
        checked: prompts on which the model was compared with :meth:`run` when it was compiled.
        plan: layers, heads and directions of the stream.
    """

    name: str
    program: Expression
    model: Model
    vocabulary: Vocabulary
    length: int
    causal: bool
    checked: int
    plan: Schedule = field(repr=False)

    # -- what it computes --------------------------------------------------------------------

    def run(self, tokens: Sequence[Any]) -> list[Any]:
        """What the program means, by the interpreter in plain Python; no model is run.

        Args:
            tokens: of the vocabulary, at least one and at most ``length``.

        Returns:
            One value for each token; None where there is none; numbers as floats.

        Raises:
            TokenError: something that is no token. OptionError: too many or none; an average over
                categorical values that differ.
        """
        values = self.values(tokens)[self.program]
        return [float(value) for value in values] if self.program.numerical else values

    def values(self, tokens: Sequence[Any]) -> Interpreter:
        """Values of every part of the program: ``.values(tokens)[expression]``; numbers exact."""
        self.encode(tokens)
        return Interpreter(self.program, tokens, self.causal)

    def outputs(self, tokens: Sequence[Any]) -> list[Any]:
        """The same as :meth:`run`, by the model: what its logits say at each token."""
        ids = torch.tensor([self.encode(tokens)], device=self.model.device)
        logits = self.model.run(ids).logits
        assert logits is not None
        return self.decode(logits[0, 1:])

    def encode(self, tokens: Sequence[Any]) -> list[int]:
        """Token ids of a prompt, with the beginning in front.

        Raises:
            TokenError: something that is no token. OptionError: too many or none.
        """
        if not 1 <= len(tokens) <= self.length:
            raise OptionError(
                f"{len(tokens)} tokens for a program of at most {self.length}",
                mend="compile_program(..., length=) says how many it takes",
                where=self.name,
            )
        return self.vocabulary.encode(tokens)

    def decode(self, logits: Tensor) -> list[Any]:
        """Values of logits ``[pos d_vocab]``: None where no value has half of what it should."""
        if self.program.numerical:
            return logits[:, self.vocabulary.number].tolist()
        ids = list(self.vocabulary.outputs)
        best = logits[:, ids].max(-1)
        return [
            self.vocabulary.labels[ids[at]] if top >= 0.5 else None
            for top, at in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def prompts(self, length: int | None = None) -> list[tuple[Any, ...]]:
        """Every prompt of a length (the longest by default), in order.

        Raises:
            OptionError: more than can be tried one by one.
        """
        size = self.length if length is None else length
        if len(self.plan.vocabulary) ** size > MOST_PROMPTS:
            raise OptionError(
                f"{len(self.plan.vocabulary)} tokens at {size} places make more than "
                f"{MOST_PROMPTS} prompts",
                mend="compile the program for a smaller vocabulary or length",
                where=self.name,
            )
        return list(product(self.plan.vocabulary, repeat=size))

    def task(self, n: int = 64, *, seed: int = 0, length: int | None = None) -> Task:
        """Contrast pairs: prompts of one length whose outputs at the last token differ.

        Args:
            n: pairs; fewer where there are no more.
            seed: which.
            length: tokens of each prompt; the longest by default.

        Returns:
            A task whose metric is the clean value's logit minus the corrupt one's. Of a number it
            is the number, larger on the clean prompt.

        Raises:
            TaskError: every prompt of this length has the same output there.
        """
        size = self.length if length is None else length
        if not isinstance(n, int) or n < 1 or not 1 <= size <= self.length:
            raise OptionError(
                f"{n!r} pairs of {size!r} tokens",
                mend=f"ask for at least one pair, of 1 to {self.length} tokens",
                where=self.name,
            )
        dice = random.Random(seed)
        prompts = some_prompts(self.plan.vocabulary, size, dice)
        ends = {each: self.values(each)[self.program][-1] for each in prompts}
        ends = {prompt: end for prompt, end in ends.items() if end is not None}
        if len(set(ends.values())) < 2:
            raise TaskError(
                f"{self.name} gives the same at the last of {size} tokens, whatever they are",
                mend="a pair needs different outputs; judge this program by edges_of",
                where=self.name,
            )
        return self._task_of(different_pairs(ends, n, dice), ends)

    def _task_of(self, pairs: list[tuple[Any, Any]], ends: dict[Any, Any]) -> Task:
        words = self.vocabulary
        if self.program.numerical:
            pairs = [pair if ends[pair[0]] > ends[pair[1]] else pair[::-1] for pair in pairs]
            right, wrong = ([[each] for _ in pairs] for each in (words.number, words.nothing))
        else:
            right, wrong = ([[words.id_of(ends[pair[at]])] for pair in pairs] for at in (0, 1))
        clean, corrupt = ([self.encode(pair[at]) for pair in pairs] for at in (0, 1))
        return Task.from_pairs(
            model=self.model, clean=clean, corrupt=corrupt, answers=right, wrong=wrong,
            name=self.name,
        )  # fmt: skip

    def describe(self) -> str:
        """The program line by line, with the parts of the model that compute it."""
        rows = zip(self.program.parts(), describe(self.program), strict=True)
        places = [(text, ", ".join(map(str, self.plan.nodes(each)))) for each, text in rows]
        return "\n".join(f"{text}  at {place}" for text, place in places)

    # -- which edges matter ------------------------------------------------------------------

    @cached_property
    def graph(self) -> Graph:
        """Every edge of the model."""
        return graph_of(self.model)

    @property
    def structural_edges(self) -> np.ndarray:
        """``edges_of("structural")``."""
        return self.edges_of("structural")

    def zero_causal(self, threshold: float = THRESHOLD, *, lengths: str = "longest") -> np.ndarray:
        """``edges_of("zero")``."""
        return self.edges_of("zero", threshold=threshold, lengths=lengths)

    def resample_causal(
        self, threshold: float = THRESHOLD, *, lengths: str = "longest"
    ) -> np.ndarray:
        """``edges_of("resample")``."""
        return self.edges_of("resample", threshold=threshold, lengths=lengths)

    def edges_of(
        self, kind: str, *, threshold: float = THRESHOLD, lengths: str = "longest"
    ) -> np.ndarray:
        """Which edges of :attr:`graph` matter, bool ``[edge]``.

        Args:
            kind: ``"structural"``: what the writer can write is read by the reader, by the weights;
                ``"zero"``: without it some prompt's output moves; ``"resample"``: with what the
                writer adds on some other prompt of the same length some prompt's output moves.
            threshold: the least move of a logit at any token, in logits.
            lengths: ``"longest"`` tries every prompt of the full length, ``"all"`` those of every
                length. What depends on the length alone does not vary within one.

        Raises:
            OptionError: another kind, or more prompts than can be tried.

        Shows: what is possible (structural), and what happens on some prompt (zero, resample).
        Does not show: how much, or on how many prompts; an edge outside may still matter when two
        are changed at once.
        """
        return self._truth.edges_of(kind, threshold, lengths)

    def counts(self, *, split: bool = False, lengths: str = "longest") -> EdgeCounts:
        """How many edges there are of every kind.

        Args:
            split: count tokens and positions as two senders, as published counts do; the graph of
                a model has one, ``embed``, for both.
            lengths: as in :meth:`edges_of`.
        """
        return self._truth.counts(lengths, split=split)

    @cached_property
    def _truth(self) -> GroundTruth:
        return GroundTruth(self.model.hf, self.graph, self.length, self._ids)

    def _ids(self, length: int) -> Tensor:
        return torch.tensor([self.encode(prompt) for prompt in self.prompts(length)])
