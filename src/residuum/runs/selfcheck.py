"""The self-check at load: every site proves itself on random tokens, or is refused by name.

Identities of sums are checked on every layer, relative to their largest term; perturbations (does
a random, position-varying change of the site reach the logits?) and the gradient of the layer seam
on one layer of each kind, or on all of them when asked to be thorough.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import SITES, Address, LoadError, ResiduumError
from residuum.models import Adapted, Batch
from residuum.runs.capture import Capture, Kept
from residuum.runs.forward import forward_arguments, model_device, one_pass
from residuum.runs.identities import BARE, Gap, identity_gaps
from residuum.runs.reach import probe_batch, reach
from residuum.runs.record import record_calls

_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
_HALF_TOLERANCE = 3e-2
_OWN_CODE = 2e-6


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was checked, as an equation or a short sentence.
        sites: site names that it stands for.
        gap: largest difference relative to the largest term (for a perturbation: the change of
            the logits relative to their size).
        bound: what ``gap`` must not exceed (for a perturbation: must exceed).
        passed: whether it holds.
        note: reason when it does not.
    """

    name: str
    sites: tuple[str, ...]
    gap: float
    bound: float
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What the self-check found.

    Attributes:
        model: name of the model.
        family: name of the family's row.
        guessed: whether the family has no table of its own.
        checks: every check that applies to the family.
        sites: names of the sites that were proven.
        refused: site name -> reason.
        seam_proven: whether the layer seam rebuilds every block, forward and gradient.
    """

    model: str
    family: str
    guessed: bool
    checks: tuple[Check, ...]
    sites: tuple[str, ...]
    refused: dict[str, str]
    seam_proven: bool

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"passed": self.passed}


def tolerance(dtype: torch.dtype) -> float:
    """Relative tolerance of an identity in this dtype."""
    return _TOLERANCE.get(dtype, _HALF_TOLERANCE)


def outer_bound(dtype: torch.dtype) -> float:
    """Bound against the model's own code, which in many families computes in float32 inside."""
    return max(tolerance(dtype), _OWN_CODE)


def self_check(adapted: Adapted, *, thorough: bool = False) -> Report:
    """Check every site; remove those that fail from ``adapted.taps`` and say why.

    Args:
        thorough: perturb every site at every layer, not one layer of each kind.
    """
    with adapted.passing():
        return _checked(adapted, thorough)


def _checked(adapted: Adapted, thorough: bool) -> Report:
    batch = probe_batch(adapted)
    checks: list[Check] = []
    values, bare = _capture_all(adapted, batch, checks)
    checks += _shapes(batch, values)
    bound = tolerance(bare.dtype)
    for gap in identity_gaps(adapted, values, bare):
        checks.append(_identity(gap, outer_bound(bare.dtype) if gap.name == BARE else bound))
    _refuse(adapted, checks)
    checks += _perturbations(adapted, _sample_layers(adapted, thorough))
    outer = outer_bound(bare.dtype)
    checks.append(_seam_check(adapted, batch, outer, _sample_layers(adapted, thorough)))
    _refuse(adapted, checks)
    adapted.seam_proven = checks[-1].passed
    if adapted.guessed:
        checks += _padding_checks(adapted, outer_bound(bare.dtype))
    _refuse_unknown_sites(adapted)
    names = {each.name: None for each in adapted.taps}
    refused = {str(each.name): reason for each, reason in adapted.refused.items()}
    return Report(
        model=adapted.model_id,
        family=adapted.family.name,
        guessed=adapted.guessed,
        checks=tuple(checks),
        sites=tuple(names),
        refused=refused,
        seam_proven=adapted.seam_proven,
    )


def _refuse_unknown_sites(adapted: Adapted) -> None:
    """Say of every site inside a block of unknown make that it was not found."""
    known = adapted.taps.keys() | adapted.refused.keys()
    for layer in adapted.parts.layers:
        for name in [name for name, site in SITES.items() if site.layered and layer.opaque]:
            if Address(name, layer.index) not in known:
                note = "its family has no table, and the inside of its blocks was not recognised"
                adapted.refused[Address(name, layer.index)] = note


def _shapes(batch: Batch, values: dict[Address, Tensor]) -> list[Check]:
    """A check for each site whose axes are not those of the vocabulary (a guessed module)."""
    rows, length = batch.ids.shape
    wrong: dict[str, Check] = {}
    for address, value in values.items():
        site = address.site
        fits = value.ndim == len(site.dims) and len(value) == rows
        if not (fits and value.shape[site.pos_axis] == length):
            note = f"it has shape {list(value.shape)}, not [{' '.join(site.dims)}]"
            name = f"{site.name} has its axes"
            wrong[site.name] = Check(name, (site.name,), 1.0, 0.0, False, note)
    for address in [a for a in values if a.name in wrong]:
        del values[address]
    return list(wrong.values())


def _padding_checks(adapted: Adapted, bound: float) -> list[Check]:
    """Whether padded prompts of a guessed family equal single ones; sides that fail are refused."""
    ids = probe_batch(adapted, rows=1, length=5, seed=2).ids
    alone, _ = one_pass(adapted, Batch(ids), [], [])
    assert alone is not None
    checks = []
    for side in adapted.padding:
        own = slice(2, None) if side == "left" else slice(0, ids.shape[1])
        padded = torch.zeros(2, ids.shape[1] + 2, dtype=torch.long)
        mask = torch.ones_like(padded).bool()
        mask[0] = False
        mask[0, own] = True
        padded[0, own] = ids[0]
        name = f"prompts padded on the {side} = single prompts"
        try:
            found, _ = one_pass(adapted, Batch(padded, mask), [], [])
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            note = f"it could not be run: {(str(error).splitlines() or [''])[0][:120]}"
            checks.append(Check(name, (), 1.0, bound, False, note))
            continue
        assert found is not None
        gap = _relative(found[0, own], alone[0])
        passed = gap <= bound
        checks.append(Check(name, (), gap, bound, passed, "" if passed else "such are refused"))
    sides = zip(adapted.padding, checks, strict=True)
    adapted.padding = tuple(side for side, check in sides if check.passed)
    return checks


def _identity(gap: Gap, bound: float) -> Check:
    passed = gap.size <= bound
    note = "" if passed else f"{gap.name} fails by {gap.size:.1e} (bound {bound:.0e})"
    return Check(gap.name, gap.sites, gap.size, bound, passed, note)


def _refuse(adapted: Adapted, checks: Iterable[Check]) -> None:
    for check in checks:
        if check.passed:
            continue
        for address in [a for a in adapted.taps if a.name in check.sites]:
            del adapted.taps[address]
            adapted.refused.setdefault(address, check.note)


def _capture_all(
    adapted: Adapted, batch: Batch, checks: list[Check]
) -> tuple[dict[Address, Tensor], Tensor]:
    """All sites in one pass; where that fails (a guessed family), name by name."""
    bare = _bare_logits(adapted, batch)
    try:
        return _captured(adapted, batch, adapted.taps), bare
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, ResiduumError):
        pass
    values: dict[Address, Tensor] = {}
    for name in dict.fromkeys(address.name for address in adapted.taps):
        try:
            values |= _captured(adapted, batch, [a for a in adapted.taps if a.name == name])
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, LoadError) as error:
            note = f"it could not be captured: {str(error).splitlines()[0][:120]}"
            checks.append(Check(f"{name} can be captured", (name,), 1.0, 0.0, False, note))
    return values, bare


def _bare_logits(adapted: Adapted, batch: Batch) -> Tensor:
    try:
        with torch.no_grad():
            logits = adapted.hf(**forward_arguments(adapted, batch, model_device(adapted))).logits
    except RuntimeError as error:
        raise LoadError(
            f"the model itself cannot run: {str(error).splitlines()[0][:160]}",
            mend="run it in plain transformers first; try another dtype or device",
        ) from error
    if not bool(torch.isfinite(logits).all()):
        raise LoadError(
            "the model's logits are NaN or infinite on random tokens",
            mend="look at its weights, or load it in a wider dtype",
        )
    return logits


def _captured(adapted: Adapted, batch: Batch, sites: Iterable[Address]) -> dict[Address, Tensor]:
    kept = [Kept(Capture(address), address) for address in sites]
    one_pass(adapted, batch, [], kept)
    missed = [str(each.address) for each in kept if not each.chunks]
    if missed:
        raise RuntimeError(f"never reached: {', '.join(missed[:3])}")
    return {each.address: each.chunks[0] for each in kept}


def _sample_layers(adapted: Adapted, thorough: bool) -> tuple[int, ...]:
    """All layers, or the first of each kind and the last."""
    layers = adapted.parts.layers
    if thorough or len(layers) <= 2:
        return tuple(range(len(layers)))
    kinds: dict[Any, int] = {}
    for layer in layers:
        window = getattr(layer.attn, "sliding_window", None)
        kind = getattr(layer.attn, "attention_type", None)
        kinds.setdefault((layer.mlp_kind, layer.wiring, window is None, kind), layer.index)
    return tuple(sorted({*kinds.values(), len(layers) - 1}))


def _perturbations(adapted: Adapted, layers: tuple[int, ...]) -> list[Check]:
    """Whether a random change of each site reaches the logits."""
    changes, bound = reach(adapted, layers)
    return [_perturbation(name, change, bound) for name, change in changes.items()]


def _perturbation(name: str, change: float, bound: float) -> Check:
    passed = change > bound
    note = "" if passed else "a random change of it does not reach the logits"
    return Check(f"changing {name} changes the logits", (name,), change, bound, passed, note)


def _seam_check(
    adapted: Adapted, batch: Batch, bound: float, grad_layers: tuple[int, ...]
) -> Check:
    """Whether the five functions rebuild every block, forward and (on some layers) gradient."""
    name = "the layer seam rebuilds every block, forward and gradient"
    if any(layer.opaque for layer in adapted.parts.layers):
        note = "nothing is known of the inside of its blocks; the naive engine is used instead"
        return Check(name, (), 1.0, bound, False, note)
    try:
        worst = max(
            _seam_gap(adapted, index, record, index in grad_layers)
            for index, record in enumerate(record_calls(adapted, batch)[0])
        )
    except (
        RuntimeError, ValueError, TypeError, AttributeError, KeyError, AssertionError, LoadError
    ) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        return Check(name, (), 1.0, bound, False, f"it could not be run: {reason}")
    note = "" if worst <= bound else f"off by {worst:.1e}; the naive engine is used instead"
    return Check(name, (), worst, bound, worst <= bound, note)


def _seam_gap(adapted: Adapted, index: int, record: Any, gradient: bool) -> float:
    if not gradient:
        with torch.no_grad():
            rebuilt = adapted.seam.block(index, record.stream, record.call)
        return _relative(rebuilt, record.output)
    block = adapted.parts.layers[index].block
    weights = torch.randn(record.output.shape, generator=torch.Generator().manual_seed(index)).to(
        record.output
    )
    results = []
    with torch.enable_grad():
        for rebuild in (True, False):
            stream = record.stream.detach().clone().requires_grad_()
            if rebuild:
                out = adapted.seam.block(index, stream, record.call)
            else:
                out = block(stream, *record.args, **record.kwargs)
                out = out[0] if isinstance(out, tuple) else out
            (grad,) = torch.autograd.grad((out * weights).sum(), stream)
            results.append((out.detach(), grad))
    (out, grad), (true_out, true_grad) = results
    return max(_relative(out, true_out), _relative(grad, true_grad))


def _relative(found: Tensor, expected: Tensor) -> float:
    scale = float(expected.abs().max()) or 1.0
    return float((found.double() - expected.double()).abs().max()) / scale
