"""Methods of writing facts into MLP matrices: one rank-one step a fact, or all by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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

    def keys(self, requests: Sequence[Fact], matrix: OutMatrix) -> tuple[Tensor, Tensor]:
        """What enters the matrix at the subject, wherever the edit names it.

        The requests' own rows, and the prompts in ``keep`` with the same subjects: the search adds
        the value there too, so the matrix is to give it there.

        Returns:
            ``[row d_mlp]`` float64, and ``[row]``: of which request.
        """
        site = f"L{matrix.layer}.mlp_act"
        rows = self.rows(requests)
        found = [subject_states(self.model, rows, [site])[site]]
        owner = torch.arange(len(requests)).repeat_interleave(self.each).tolist()
        held = [
            (index, fact)
            for index, request in enumerate(requests)
            for fact in self.keep
            if fact.subject == request.subject
        ]
        if held:
            kept = rows_of(self.model, [fact for _, fact in held])
            found.append(subject_states(self.model, kept, [site])[site])
            owner += [index for index, _ in held]
        return torch.cat(found), torch.tensor(owner)

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

    ``W' = W + u ⊗ δ`` with ``u = C⁻¹K (KᵀC⁻¹K + λ)⁻¹ 1``: of all changes of rank one with which
    every key of the fact (a column of ``K``) gives the value ``δ``, the one that changes what is
    written for other keys least, in the mean over text. The keys are those of the request in each
    phrasing and behind each prefix, and of the prompts in ``keep``.

    Attributes:
        slack: ``λ`` over the mean of ``kᵀC⁻¹k``: keys that are nearly alike need not be told apart;
            0 for the value in full at each.

    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", §3.1, eq. 2–4.
    Deviations: there ``K`` is one key, the mean over prefixes; with one prompt and ``slack=0`` this
    is the same. Prefixes are given or cut from the texts, not sampled from the model; the value is
    sought as a shift of the MLP's output, from its mean over the prefixes; the step of Adam, the
    decay and the bound are in units of the stream's norm; KL is taken at the subject alone and at
    the prompts in ``keep``; C is steadied by a thousandth of its mean diagonal.
    """

    search: ValueSearch = field(default_factory=ValueSearch)
    slack: float = 0.005

    def __post_init__(self) -> None:
        _check_slack(self.slack, zero=True)

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
            keys, _ = job.keys([request], matrix)
            left.append(_left(job.moments[matrix.layer], keys.T, self.slack).sum(dim=1))
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
    Deviations: ``K`` holds every key of a fact, as in :class:`Rome`, not their mean; λ as above
    instead of a number for one model; the value is sought as a shift of the
    last layer's MLP output, which in these blocks moves the stream after it by as much; and
    those of :class:`Rome`.
    """

    search: ValueSearch = field(default_factory=ValueSearch)
    slack: float = 0.02

    def __post_init__(self) -> None:
        _check_slack(self.slack, zero=False)

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
            keys, owner = job.keys(job.requests, matrix)
            left = _left(job.moments[matrix.layer], keys.T, self.slack)
            left = left.new_zeros(len(left), len(goal)).index_add_(1, owner, left)
            factors[matrix.layer] = _stored(left, missing / matrix.scale)
            job.write(matrix, factors[matrix.layer])
        return Written(factors, found.probs, found.kl_bits)


Method = Rome | Memit


def _check_slack(slack: Any, *, zero: bool) -> None:
    plain = isinstance(slack, (int, float)) and not isinstance(slack, bool)
    if not plain or not 0 <= slack < 1 or (slack == 0 and not zero):
        raise OptionError(
            f"slack={shown(slack)}", mend=f"give a share from {'0' if zero else 'above 0'} to 1"
        )


def _left(moment: Tensor, keys: Tensor, slack: float) -> Tensor:
    """``(λC + KKᵀ)⁻¹ K = C⁻¹K (KᵀC⁻¹K + λ)⁻¹``, ``[d_mlp key]``, from ``[d_mlp key]``."""
    seen = torch.linalg.solve(moment, keys)
    gram = keys.T @ seen
    weight = slack * float(gram.diagonal().mean())
    return torch.linalg.solve(gram + weight * torch.eye(len(gram), dtype=gram.dtype), seen.T).T


def _stored(left: Tensor, right: Tensor) -> Factors:
    """As they are saved (float32), for the same sums before and after."""
    return left.float().double(), right.float().double()
