"""A task's pairs as latents: how each would change, and the answers after changes of some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import OptionError, Patch
from residuum.dictionaries.judging.judged_rows import need_judgeable
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.use.edits import need_sae
from residuum.directions.answers import Part, answers_of
from residuum.directions.interventions import Pairs, read_pairs
from residuum.models import Batch
from residuum.runs import Model, Task, metric_named, shown

Way = Literal["ablate", "patch"]
CLEAN, CORRUPT = 0, 1
_GRAD_ROWS = 64


@dataclass(frozen=True, eq=False)
class LatentPairs:
    """Both sides of a task at a dictionary's site.

    Attributes:
        pairs: the site's values and the answers without edits; larger is better.
        latents: ``[2 pair pos latent]``, clean side first; 0 at tokens that are not written.
        directions: ``[latent d]``, what one unit of each adds to the site.
    """

    model: Model
    pairs: Pairs
    latents: Float[Tensor, "2 pair pos latent"]
    directions: Float[Tensor, "latent d"]

    @property
    def active(self) -> list[int]:
        """Latents that are active somewhere, on either side."""
        return (self.latents != 0).flatten(0, 2).any(0).nonzero()[:, 0].tolist()

    def change(self, way: Way) -> Float[Tensor, "2 pair pos latent"]:
        """What each latent would change by: to zero, or to its partner's value."""
        return -self.latents if way == "ablate" else self.latents.flip(0) - self.latents

    def clamped(
        self, index: Sequence[int], values: Sequence[float]
    ) -> Float[Tensor, "2 pair pos some"]:
        """What latents change by when they are held at values."""
        held = torch.tensor(values, dtype=self.latents.dtype)
        moved = held - self.latents[..., list(index)]
        return moved * self.pairs.written[None, :, :, None]

    def error(self) -> Float[Tensor, "2 pair pos d"]:
        """What the dictionary does not rebuild, up to its constant, at the written tokens."""
        rest = self.pairs.values - self.latents @ self.directions
        return rest * self.pairs.written[None, :, :, None]

    def after(
        self, moved: Callable[[int], Float[Tensor, "2 pair pos d"]], n: int
    ) -> Float[Tensor, "draw 2 pair"]:
        """The answers after each of several changes of the site."""
        x = self.pairs.values

        def made(part: Part, some: slice) -> Tensor:
            added = [moved(draw)[:, part.rows, part.columns] for draw in range(n)[some]]
            return x[:, part.rows, part.columns] + torch.stack(added)

        return answers_of(self.model, self.pairs.at, self.pairs.parts, made, n)

    def after_each(self, change: Tensor, index: Sequence[int]) -> Float[Tensor, "draw 2 pair"]:
        """The answers after the change of one latent at a time."""

        def moved(draw: int) -> Tensor:
            return change[..., index[draw], None] * self.directions[index[draw]]

        return self.after(moved, len(index))

    def slopes(
        self, side: int, moved: Float[Tensor, "pair pos d"] | None = None
    ) -> Float[Tensor, "pair pos latent"]:
        """How the answer rises with each latent on one side, the site moved by so much first."""
        value = self.pairs.values[side] if moved is None else self.pairs.values[side] + moved
        rows = [self._gradient(side, value, rows) for rows in self._rows()]
        return torch.cat(rows) @ self.directions.T

    def _rows(self) -> list[range]:
        n = len(self.pairs)
        return [range(i, min(i + _GRAD_ROWS, n)) for i in range(0, n, _GRAD_ROWS)]

    def _gradient(self, side: int, value: Tensor, rows: range) -> Tensor:
        task, at, metric = self.pairs.task, self.pairs.at, self.pairs.metric
        ids = (task.clean, task.corrupt)[side][rows.start : rows.stop]
        mask = task.attention_mask
        batch = Batch(ids, None if mask is None else mask[rows.start : rows.stop])
        last = task.last[rows.start : rows.stop]

        def measured(logits: Tensor) -> Tensor:
            own = logits[torch.arange(len(last), device=logits.device), last.to(logits.device)]
            return metric(own.cpu().double(), task, list(rows))

        run = self.model.run(
            batch, capture=[at], edits=[Patch(at, value[rows.start : rows.stop])], grad_of=measured
        )
        sign = 1 if metric.larger_is_better else -1
        return sign * run.grads[at].float()


def latent_pairs(
    model: Model, dictionary: Dictionary, task: Task, pos: int | None = None
) -> LatentPairs:
    """Run a task's prompts and encode them.

    Args:
        pos: the token at which latents are changed; None: all.

    Raises:
        OptionError: no SAE of one site.
        LoadError, AddressError, TaskError: another model, a position that a prompt lacks, prompts
            whose answers do not differ.
    """
    sae = need_sae(dictionary)
    need_judgeable(model, sae)
    pairs = read_pairs(model, replace(sae.reads[0], pos=pos), task)
    latents = sae.encode(pairs.values.to(sae.device).float()).to(pairs.values.device)
    latents = latents * pairs.written[None, :, :, None]
    directions = (sae.W_dec[:, 0] / sae.scale).to(pairs.values)
    return LatentPairs(model, pairs, latents, directions)


def need_way(way: str) -> None:
    """Refuse what is no way to change a latent.

    Raises:
        OptionError: it is none.
    """
    if way not in ("ablate", "patch"):
        raise OptionError(
            f"way={shown(way)} is none",
            mend='"ablate" (clean prompts lose the latent) or "patch" (corrupt prompts get its '
            "clean value)",
        )


def need_gradient(task: Task) -> None:
    """Refuse a metric without a gradient.

    Raises:
        OptionError: it has none.
    """
    if not metric_named(task.metric).differentiable:
        raise OptionError(
            f"{task.metric} has no gradient", mend="use logit_diff, or method=Exact()"
        )
