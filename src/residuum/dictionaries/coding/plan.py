"""The plan of a sparse coder: everything that its training decides beforehand, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from residuum.core import Address, OptionError, StoreError
from residuum.dictionaries.coding.option_numbers import need_number
from residuum.dictionaries.coding.penalties import (
    L1,
    PENALTIES,
    L0Step,
    Penalty,
    penalty_json,
    read_penalty,
)
from residuum.dictionaries.record.activations import (
    ACTIVATIONS,
    Activation,
    BatchTopK,
    JumpReLU,
    TopK,
    activation_json,
    read_activation,
)
from residuum.dictionaries.record.kinds import Kind, kind_of, read_sites
from residuum.runs.arguments import shown, yes_or_no

_MOST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class CoderPlan:
    """What to train.

    Attributes:
        reads: sites read; text is parsed. The same site may come twice, from two ``models``.
        writes: sites rebuilt; None: those that are read (SAE, crosscoder).
        width: length of the vectors read.
        out_width: length of the vectors written; None: ``width``.
        n_latents: how many; of a cross-layer transcoder all layers' together.
        activation: how pre-activations become latents.
        penalty: what active latents cost; None for TopK and BatchTopK, which need none.
        prefixes: Matryoshka: numbers of first latents that must rebuild the target alone, rising;
            the last is ``n_latents`` (added where it is missing). Empty: none.
        skip: learn ``x @ W_skip`` beside the latents (transcoders).
        models: names of the models that the sites come from, where there are several.
        aux_k: dead latents that rebuild the error that is left; 0: none are revived.
        aux_weight: coefficient of that loss.
        dead_after: inputs in a row without firing after which a latent counts as dead.
        unit_norm: keep decoder rows at length 1; None: yes, except where the penalty is multiplied
            by their lengths.
        centred: take ``b_dec`` from the input; None: for SAEs only.
        normalise: bring inputs to a mean length of sqrt(width) by one constant.

    Source: Gao et al. 2024, "Scaling and evaluating sparse autoencoders" (auxiliary loss, decoder
    norms, tied start); Bussmann et al. 2025, "Learning Multi-Level Features with Matryoshka Sparse
    Autoencoders" (prefixes; there the losses of the prefixes are summed, here averaged).
    """

    reads: tuple[Address, ...]
    writes: tuple[Address, ...] | None = None
    width: int
    out_width: int | None = None
    n_latents: int
    activation: Activation = TopK(32)  # noqa: RUF009 - frozen
    penalty: Penalty | None = None
    prefixes: tuple[int, ...] = ()
    skip: bool = False
    models: tuple[str, ...] = ()
    aux_k: int = 0
    aux_weight: float = 1 / 32
    dead_after: int = 1_000_000
    unit_norm: bool | None = None
    centred: bool | None = None
    normalise: bool = True

    def __post_init__(self) -> None:
        for name in ("reads", "writes", "prefixes", "models"):
            _need_several(getattr(self, name), name, name == "writes")
        reads = read_sites(self.reads, "reads")
        writes = reads if self.writes is None else read_sites(self.writes, "writes")
        prefixes = tuple(self.prefixes)
        if prefixes and prefixes[-1] != self.n_latents:
            prefixes = (*prefixes, self.n_latents)
        by_norm = isinstance(self.penalty, L1) and self.penalty.by_decoder_norm
        settled = {
            "reads": reads,
            "writes": writes,
            "out_width": self.width if self.out_width is None else self.out_width,
            "prefixes": prefixes,
            "models": tuple(self.models),
            "unit_norm": not by_norm if self.unit_norm is None else self.unit_norm,
            "centred": (reads == writes and len(reads) == 1)
            if self.centred is None
            else self.centred,
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        _check(self)

    @property
    def kind(self) -> Kind:
        """What the sites make it."""
        assert self.writes is not None
        return kind_of(self.reads, self.writes, self.skip)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        assert self.writes is not None
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "reads": list(map(str, self.reads)),
            "writes": list(map(str, self.writes)),
            "activation": activation_json(self.activation),
            "penalty": penalty_json(self.penalty),
            "prefixes": list(self.prefixes),
            "models": list(self.models),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CoderPlan:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown.
        """
        known = {each.name for each in fields(CoderPlan)}
        if set(data) != known:
            raise StoreError(
                f"not a plan: {', '.join(sorted(known ^ set(data)))} missing or unknown",
                mend="give what CoderPlan.to_json made",
            )
        own = dict(data)
        own["activation"] = read_activation(own["activation"])
        own["penalty"] = read_penalty(own["penalty"])
        return CoderPlan(**own)


def _need_several(value: Any, name: str, optional: bool) -> None:
    if not isinstance(value, str | Address | Sequence) and not (optional and value is None):
        raise OptionError(f"{name}={shown(value)} is no list", mend="give a tuple")


def _check(plan: CoderPlan) -> None:
    for name in ("skip", "unit_norm", "centred", "normalise"):
        yes_or_no(getattr(plan, name), name)
    need_number(plan.aux_weight, "aux_weight")
    for name in ("width", "out_width", "n_latents", "dead_after"):
        _need_count(getattr(plan, name), name, 1)
    _need_count(plan.aux_k, "aux_k", 0)
    _need_one_of(plan.activation, ACTIVATIONS, "activation")
    if plan.penalty is not None:
        _need_one_of(plan.penalty, PENALTIES, "penalty")
    n, kind = plan.n_latents, plan.kind
    of_each = n // len(plan.reads) if kind == "cross_layer_transcoder" else n
    if kind in ("sae", "crosscoder") and plan.out_width != plan.width:
        raise OptionError(
            f"a {kind} of width {plan.width} cannot write width {plan.out_width}",
            mend="leave out_width out",
        )
    if plan.centred and kind != "sae":
        raise OptionError(f"a {kind} cannot be centred", mend="leave centred out: only SAEs can")
    if isinstance(plan.activation, TopK | BatchTopK) and plan.activation.k > of_each:
        raise OptionError(
            f"k={plan.activation.k} of {of_each} latents",
            mend=f"give k of at most {of_each}",
            where="k",
        )
    if isinstance(plan.penalty, L0Step) and not isinstance(plan.activation, JumpReLU):
        raise OptionError(
            f"L0Step has no gradient for {type(plan.activation).__name__}",
            mend="use it with JumpReLU, or the penalty L1()",
        )
    if kind == "cross_layer_transcoder" and n % len(plan.reads):
        raise OptionError(
            f"{n} latents cannot be shared by {len(plan.reads)} layers",
            mend=f"give a multiple of {len(plan.reads)}",
            where="n_latents",
        )
    if plan.models and len(plan.models) != len(plan.reads):
        raise OptionError(
            f"{len(plan.models)} models for {len(plan.reads)} sites", mend="name one for each site"
        )
    _check_prefixes(plan)


def _check_prefixes(plan: CoderPlan) -> None:
    steps = zip((0, *plan.prefixes), plan.prefixes, strict=False)
    if any(type(high) is not int or high <= low for low, high in steps):
        raise OptionError(
            f"prefixes={plan.prefixes} do not rise to {plan.n_latents}",
            mend="give whole numbers such as (64, 256, 1024)",
        )
    if plan.prefixes and plan.kind == "cross_layer_transcoder":
        raise OptionError(
            "a cross_layer_transcoder has no first latents", mend="leave prefixes out"
        )


def _need_one_of(value: Any, known: Mapping[str, type], name: str) -> None:
    if type(value) not in known.values():
        raise OptionError(f"{name}={shown(value)} is none", mend=f"give one of {', '.join(known)}")


def _need_count(value: Any, name: str, least: int) -> None:
    if type(value) is not int or not least <= value <= _MOST:
        raise OptionError(
            f"{name}={shown(value)} is no count", mend=f"give a whole number of at least {least}"
        )
