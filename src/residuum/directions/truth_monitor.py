"""A monitor from the inside: does an answer depart from what the model holds to be true?

The model is run again with a push towards truth-telling. An answer that the model itself would then
give up departed from what it represents as true; one that it keeps did not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import Address
from residuum.directions.beliefs import Statements, last_log_probs
from residuum.directions.direction import Direction
from residuum.directions.examples import Examples
from residuum.directions.finding import direction as find_direction
from residuum.runs import Model

THRESHOLD_NATS = math.log(2)
"""An answer is flagged when the push takes more than half of its probability."""


@dataclass(frozen=True, eq=False)
class TruthMonitor:
    """A direction towards truth-telling, and how hard to push.

    Attributes:
        direction: its positive side asks for the truth.
        scale: strength of the push, in typical norms.
        threshold_nats: of the score, above which an answer is flagged.
    """

    direction: Direction
    scale: float = 0.5
    threshold_nats: float = THRESHOLD_NATS

    @staticmethod
    def fit(
        model: Model, statements: Statements, at: str | Address, scale: float = 0.5
    ) -> TruthMonitor:
        """From prompts that ask for the truth, and prompts that ask to please.

        Needs no true answers: only which prompts ask for them.
        """
        examples = Examples.from_texts(
            model,
            statements.texts,
            ["truth" if side else "please" for side in statements.asks_truth],
            statements.groups,
        )
        found = find_direction(model, examples, at=at, prove=False)
        return TruthMonitor(found, scale)

    def scores(self, model: Model, texts: Sequence[str], said: Tensor | None = None) -> Tensor:
        """How much log probability the push takes from each answer, nats ``[n]``.

        Args:
            texts: prompts that end just before the answer.
            said: the answers' token ids ``[n]``; by default what the model says.
        """
        self.direction.check_fits(model)
        plain = last_log_probs(model, texts)
        ids = plain.argmax(-1) if said is None else said
        pushed = last_log_probs(model, texts, self.direction.as_edit(self.scale, at=self._last))
        rows = torch.arange(len(ids))
        return plain[rows, ids] - pushed[rows, ids]

    def flags(self, model: Model, texts: Sequence[str], said: Tensor | None = None) -> list[bool]:
        """Which answers depart from what the model represents as true."""
        return (self.scores(model, texts, said) > self.threshold_nats).tolist()

    @property
    def _last(self) -> str:
        at = self.direction.at
        return str(at) if at.pos is not None else f"{at}@-1"
