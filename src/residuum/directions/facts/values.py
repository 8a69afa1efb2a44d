"""Values: the vector which, added to the stream at the subject, makes the model say the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import Add, OptionError, Progress
from residuum.core.progress import track
from residuum.directions.facts.fact import Fact, FactRows, rows_of
from residuum.directions.facts.keys import subject_states
from residuum.runs import Model, shown, whole_number


@dataclass(frozen=True)
class ValueSearch:
    """How the value of a fact is searched for.

    Attributes:
        steps: of Adam.
        lr: its rate, in units of the stream's norm at the subject over the root of its width.
        kl_weight: of KL(before || after) at the prompts that are to stay as they are.
        decay: of the squared length of what is added, relative to the stream's.
        longest: length of what is added at most, relative to the stream's.
        enough: the search ends when every answer has at least this probability.
    """

    steps: int = 100
    lr: float = 0.05
    kl_weight: float = 0.5
    decay: float = 0.2
    longest: float = 3.0
    enough: float = 0.98

    def __post_init__(self) -> None:
        whole_number(self.steps, "steps", 1)
        for name, low, high in (
            ("lr", 0, 10), ("kl_weight", -1e-9, 1e6), ("decay", -1e-9, 1e6), ("longest", 0, 1e3),
            ("enough", 0, 1.000001),
        ):  # fmt: skip
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not low < value < high:
                raise OptionError(f"{name}={shown(value)} is out of range", mend="see ValueSearch")


@dataclass(frozen=True)
class Values:
    """What was found.

    Attributes:
        shifts: ``[fact d_model]`` to add to the stream at the subject's last token, float64.
        streams: ``[fact d_model]`` the stream there before, mean over the prefixes.
        probs: ``[fact]`` probability of the answer with the shift, mean over the prefixes.
        kl_bits: ``[fact]`` at the prompts that are to stay.
        steps: taken.
    """

    shifts: Tensor
    streams: Tensor
    probs: Tensor
    kl_bits: Tensor
    steps: int


def kept_facts(requests: Sequence[Fact], keep: Sequence[Fact]) -> tuple[list[Fact], list[int]]:
    """Prompts that are to stay, and of which request: the subject alone, and what was given.

    The answer of the first is only there to make a row; what counts is the whole prediction.
    """
    facts, owners = [], []
    for index, request in enumerate(requests):
        facts.append(Fact("{}", request.subject, request.answer))
        same = [fact for fact in keep if fact.subject == request.subject]
        facts += same
        owners += [index] * (1 + len(same))
    return facts, owners


def search_values(
    model: Model,
    requests: Sequence[Fact],
    told: FactRows,
    layer: int,
    keep: Sequence[Fact],
    search: ValueSearch,
    progress: Progress,
) -> Values:
    """Optimise what each request adds to the stream after ``layer`` at its subject's last token.

    All requests are searched for in one batch, each with its own vector.

    Args:
        told: the same number of rows for each request, request by request.
    """
    facts, kept_of = kept_facts(requests, keep)
    held = rows_of(model, facts)
    before = _predictions(model, held).log_softmax(dim=-1)
    stream = subject_states(model, told, [f"L{layer}.resid_post"])[f"L{layer}.resid_post"]
    stream = stream.unflatten(0, (len(requests), -1)).mean(dim=1)
    lengths = stream.norm(dim=-1, keepdim=True)
    owner = torch.arange(len(requests)).repeat_interleave(len(told) // len(requests))
    losses = _Losses(
        model, layer, told, held, owner, torch.tensor(kept_of), before, search, len(requests)
    )
    shifts = torch.zeros_like(stream)
    adam = torch.optim.Adam([shifts], lr=search.lr / stream.shape[1] ** 0.5)
    taken = 0
    for _ in track(range(search.steps), progress, "values", search.steps):
        scaled = shifts * lengths
        if bool((losses.at(scaled) >= search.enough).all()):
            break
        shifts.grad = losses.gradient * lengths + 2 * search.decay * shifts
        adam.step()
        taken += 1
        shifts *= (search.longest / shifts.norm(dim=-1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
    final = shifts * lengths
    probs = losses.at(final)
    return Values(final, stream, probs, losses.kl_bits, taken)


def _predictions(model: Model, rows: FactRows) -> Tensor:
    """Logits at each prompt's last token, ``[row d_vocab]``."""
    run = model.run(rows.batch.ids, attention_mask=rows.batch.mask)
    assert run.logits is not None
    return run.logits[torch.arange(len(rows)), rows.ends].detach()


@dataclass
class _Losses:
    """The loss of all requests at once, and its gradient for each one's shift."""

    model: Model
    layer: int
    told: FactRows
    held: FactRows
    owner: Tensor
    kept_of: Tensor
    before: Tensor
    search: ValueSearch
    requests: int

    def at(self, shifts: Tensor) -> Tensor:
        """Mean probability of each answer; leaves ``gradient`` and ``kl_bits`` behind."""
        self.gradient = torch.zeros_like(shifts)
        probs = self._share(shifts, self.told, self.owner, self._answers)
        kl = self._share(shifts, self.held, self.kept_of, self._changes)
        self.kl_bits = kl / torch.log(torch.tensor(2.0))
        return probs

    def _share(self, shifts: Tensor, rows: FactRows, owner: Tensor, loss: object) -> Tensor:
        """One batch: adds its gradient, returns its measure by request."""
        site = f"L{self.layer}.mlp_out"
        index = torch.arange(len(rows))
        added = torch.zeros(*rows.batch.ids.shape, shifts.shape[1], dtype=self.model.dtype)
        added[index, rows.last] = shifts[owner].to(added.dtype)
        counts = torch.bincount(owner, minlength=self.requests)
        seen: list[Tensor] = []

        def total(logits: Tensor) -> Tensor:
            values, measure = loss(logits)  # type: ignore[operator]
            seen.append(measure.detach().cpu().double())
            return (values / counts[owner].to(values.device)).sum()

        run = self.model.run(
            rows.batch.ids, attention_mask=rows.batch.mask, capture=[site],
            edits=[Add(site, added.to(self.model.device))], grad_of=total,
        )  # fmt: skip
        grads = run.grad[site].cpu()[index, rows.last].double()
        self.gradient.index_add_(0, owner, grads)
        summed = torch.zeros(self.requests, dtype=torch.float64).index_add_(0, owner, seen[-1])
        return summed / counts

    def _answers(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        found = self.told.log_probs(logits)
        return -found, found.exp()

    def _changes(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        now = logits[torch.arange(len(self.held)), self.held.ends].log_softmax(dim=-1)
        kl = (self.before.exp() * (self.before - now)).sum(dim=-1)
        return self.search.kl_weight * kl, kl
