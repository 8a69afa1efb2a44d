"""Methods of writing facts into MLP matrices: one rank-one step a fact, or all by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from residuum.core import OptionError, Progress
from residuum.directions.facts.fact import Fact, FactRows, rows_of
from residuum.directions.facts.keys import mean_by_fact, subject_states
from residuum.directions.facts.matrices import OutMatrix
from residuum.directions.facts.values import Values, ValueSearch, search_values
from residuum.runs import Model, shown

Factors = tuple[Tensor, Tensor]
"""``left [d_mlp k]`` and ``right [k d_model]``: what is added to ``W_out`` is their product."""


@dataclass(frozen=True)
class Job:
    """What a method gets.

    Attributes:
        prefixes: texts that the prompts stand behind; the first is empty.
        phrasings: more templates that the requests are put in.
        moments: ``C`` of each layer, ``[d_mlp d_mlp]`` float64.
    """

    model: Model
    requests: tuple[Fact, ...]
    keep: tuple[Fact, ...]
    prefixes: tuple[str, ...]
    phrasings: tuple[str, ...]
    matrices: tuple[OutMatrix, ...]
    originals: dict[int, Tensor]
    moments: dict[int, Tensor]
    progress: Progress

    @property
    def each(self) -> int:
        """Rows of one request."""
        return len(self.prefixes) * (1 + len(self.phrasings))

    def rows(self, requests: Sequence[Fact]) -> FactRows:
        """Requests in every phrasing, behind every prefix; ``each`` rows for each of them."""
        facts = [
            replace(request, template=template)
            for request in requests
            for template in (request.template, *self.phrasings)
        ]
        return rows_of(self.model, facts, self.prefixes)

    def values(self, requests: Sequence[Fact], layer: int, search: ValueSearch) -> Values:
        """What to add to the stream after a layer, for each request."""
        rows = self.rows(requests)
        return search_values(self.model, requests, rows, layer, self.keep, search, self.progress)

    def write(self, matrix: OutMatrix, factors: Factors) -> None:
        """The original plus the product of the factors."""
        left, right = factors
        matrix.add(self.originals[matrix.layer], left @ right)


@dataclass(frozen=True)
class Written:
    """What a method found: factors by layer, and how the search for the values ended."""

    factors: dict[int, Factors]
    probs: Tensor
    kl_bits: Tensor


@dataclass(frozen=True)
class Rome:
    """One rank-one step a fact into one layer, each on the model as the last one left it.

    ``W' = W + (C⁻¹k) ⊗ δ / (kᵀC⁻¹k)``: of all changes with which the key ``k`` gives the value, the
    one that changes what is written for other keys least, in the mean over text.

    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", §3.1, eq. 2–4.
    Deviations: prefixes are given or cut from the texts, not sampled from the model; the value is
    sought as a shift of the MLP's output, from its mean over the prefixes; the step of Adam, the
    decay and the bound are in units of the stream's norm; KL is taken at the subject alone and at
    the prompts in ``keep``; C is steadied by a thousandth of its mean diagonal.
    """

    search: ValueSearch = field(default_factory=ValueSearch)

    def write(self, job: Job) -> Written:
        """Factors for the one layer; the model's matrix is left as edited."""
        if len(job.matrices) != 1:
            raise OptionError(
                f"Rome writes into one layer, got {len(job.matrices)}",
                mend="give layers=[one], or method=Memit()",
            )
        matrix = job.matrices[0]
        left, right, probs, kl = [], [], [], []
        for request in job.requests:
            found = job.values([request], matrix.layer, self.search)
            key = _keys(job, [request], matrix)[0]
            seen = torch.linalg.solve(job.moments[matrix.layer], key)
            left.append(seen / (key @ seen))
            right.append(found.shifts[0] / matrix.scale)
            probs.append(found.probs)
            kl.append(found.kl_bits)
            job.write(matrix, _stored(torch.stack(left, dim=1), torch.stack(right)))
        factors = {matrix.layer: _stored(torch.stack(left, dim=1), torch.stack(right))}
        return Written(factors, torch.cat(probs), torch.cat(kl))


@dataclass(frozen=True)
class Memit:
    """All facts at once, by least squares, spread over layers.

    Values are sought for the stream after the last layer. Each layer in turn takes its share of
    what is still missing there: ``Δ = (λC + KKᵀ)⁻¹ K R``.

    Attributes:
        slack: the share of a fact that alone would be left undone, for the sake of other keys; it
            sets ``λ = slack · mean(kᵀC⁻¹k)`` in each layer.

    Source: Meng et al. 2023, "Mass-Editing Memory in a Transformer", §4.2–4.3, eq. 14 and 19–20.
    Deviations: λ as above instead of a number for one model; the value is sought as a shift of the
    last layer's MLP output, which in these blocks moves the stream after it by as much; and
    those of :class:`Rome`.
    """

    search: ValueSearch = field(default_factory=ValueSearch)
    slack: float = 0.02

    def __post_init__(self) -> None:
        plain = isinstance(self.slack, (int, float)) and not isinstance(self.slack, bool)
        if not plain or not 0 < self.slack < 1:
            raise OptionError(f"slack={shown(self.slack)}", mend="give a share between 0 and 1")

    def write(self, job: Job) -> Written:
        """Factors for every layer; the model's matrices are left as edited."""
        last = job.matrices[-1].layer
        found = job.values(job.requests, last, self.search)
        goal, rows = found.streams + found.shifts, job.rows(job.requests)
        factors: dict[int, Factors] = {}
        for index, matrix in enumerate(job.matrices):
            site = f"L{last}.resid_post"
            now = subject_states(job.model, rows, [site])[site]
            missing = (goal - mean_by_fact(now, job.each)) / (len(job.matrices) - index)
            keys = _keys(job, job.requests, matrix).T
            left = self._left(job.moments[matrix.layer], keys)
            factors[matrix.layer] = _stored(left, missing / matrix.scale)
            job.write(matrix, factors[matrix.layer])
        return Written(factors, found.probs, found.kl_bits)

    def _left(self, moment: Tensor, keys: Tensor) -> Tensor:
        """``(λC + KKᵀ)⁻¹ K``, ``[d_mlp request]``, from ``[d_mlp request]``."""
        seen = torch.linalg.solve(moment, keys)
        weight = self.slack * float((keys * seen).sum(dim=0).mean())
        return torch.linalg.solve(weight * moment + keys @ keys.T, keys)


Method = Rome | Memit


def _keys(job: Job, requests: Sequence[Fact], matrix: OutMatrix) -> Tensor:
    """``[request d_mlp]``: the mean over prefixes of what enters the matrix at the subject."""
    site = f"L{matrix.layer}.mlp_act"
    keys = subject_states(job.model, job.rows(requests), [site])[site]
    return mean_by_fact(keys, job.each)


def _stored(left: Tensor, right: Tensor) -> Factors:
    """As they are saved (float32), for the same sums before and after."""
    return left.float().double(), right.float().double()
