"""Ways to corrupt a subject: another subject in its place, or noise on its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor

from residuum.core import Add, Edit, OptionError
from residuum.directions.facts.fact import Fact, FactRows, rows_of
from residuum.runs import Model, shown, whole_number


@dataclass(frozen=True)
class Corrupted:
    """One draw of corrupted prompts.

    Attributes:
        ids: ``[row pos]``.
        noise: ``[row pos d_model]`` added to the embedding, or None.
    """

    ids: Tensor
    noise: Tensor | None = None

    def at(self, rows: Sequence[int], width: int) -> tuple[Tensor, list[Edit]]:
        """Ids and edits of some rows, cut to a width."""
        index = list(rows)
        noise = [] if self.noise is None else [Add("embed", self.noise[index, :width])]
        return self.ids[index, :width], [*noise]


@dataclass(frozen=True)
class OtherSubject:
    """The subject of another fact of the same template, with as many tokens and another answer.

    Source: symmetric token replacement, Zhang & Nanda 2024, §2.
    """

    def corrupted(
        self, model: Model, facts: Sequence[Fact], rows: FactRows, seed: int
    ) -> list[Corrupted]:
        """One draw.

        Raises:
            OptionError: a fact has no such partner.
        """
        rng = Random(f"{seed}/other subject")
        others = rows_of(model, [_partner(rng, facts, rows, row) for row in range(len(facts))])
        if not bool((others.first == rows.first).all() and (others.last == rows.last).all()):
            raise OptionError(
                "clean and corrupt subjects do not line up", mend="use corruption=Noise()"
            )
        ids = rows.batch.ids.clone()
        for row in range(len(facts)):
            span = slice(int(rows.first[row]), int(rows.last[row]) + 1)
            ids[row, span] = others.batch.ids[row, span]
        return [Corrupted(ids)]


def _partner(rng: Random, facts: Sequence[Fact], rows: FactRows, row: int) -> Fact:
    fact, size = facts[row], int(rows.last[row] - rows.first[row])
    usable = [
        each.subject
        for index, each in enumerate(facts)
        if each.template == fact.template
        and each.answer != fact.answer
        and int(rows.last[index] - rows.first[index]) == size
    ]
    if not usable:
        raise OptionError(
            f"no other fact has a subject of as many tokens as {fact.subject!r} in "
            f"{fact.template!r}",
            mend="give more facts of this template, or use corruption=Noise()",
        )
    return replace(fact, subject=rng.choice(usable))


@dataclass(frozen=True)
class Noise:
    """Normal noise on the embedding of the subject's tokens.

    Attributes:
        scale: in standard deviations of the entries of the facts' own subject embeddings.
        draws: over which effects are averaged.

    Source: Meng et al. 2022, §2.1: three standard deviations, ten draws.
    """

    scale: float = 3.0
    draws: int = 10

    def __post_init__(self) -> None:
        plain = isinstance(self.scale, (int, float)) and not isinstance(self.scale, bool)
        if not plain or not 0 < self.scale < 1e3:
            raise OptionError(f"scale={shown(self.scale)}", mend="give a number such as 3.0")
        whole_number(self.draws, "draws", 1)

    def corrupted(
        self, model: Model, facts: Sequence[Fact], rows: FactRows, seed: int
    ) -> list[Corrupted]:
        """As many draws as asked for."""
        del facts
        run = model.run(
            rows.batch.ids, attention_mask=rows.batch.mask, capture=["embed"], logits=False
        )
        embedded = run["embed"]
        columns = torch.arange(rows.batch.ids.shape[1])
        inside = (columns >= rows.first[:, None]) & (columns <= rows.last[:, None])
        inside = inside.to(embedded.device)
        spread = self.scale * float(embedded[inside].double().std())
        generator = torch.Generator().manual_seed(seed)
        found = []
        for _ in range(self.draws):
            drawn = torch.randn(embedded.shape, generator=generator).to(embedded)
            found.append(Corrupted(rows.batch.ids, drawn * spread * inside[..., None]))
        return found


Corruption = OtherSubject | Noise
