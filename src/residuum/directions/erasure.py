"""Erasing a concept: edits that take it out of a run, with the proof that it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import Address, Erase, OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.erasure_methods import ErasureMethod, Leace
from residuum.directions.erasure_proof import ErasureProof, Sample, halves_of, proof_of
from residuum.directions.erasure_vectors import Place, place_of, vector_blocks, vectors
from residuum.directions.examples import Examples
from residuum.directions.leace import Eraser
from residuum.directions.splitting import need_apart
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

_HELD_OUT = 0.3
_ROWS = (
    ("fitted data", "fitted"),
    ("held-out groups", "held"),
    ("held-out groups, probe fitted there", "refitted"),
)


@dataclass(frozen=True, repr=False)
class Erasure:
    """A concept taken out at one site, and what fresh probes find before and after.

    Shows: that no linear probe reads the concept at that site and those tokens any more, on the
    data that was fitted (for ``Leace`` a law); beside it, held-out data. Does not show: that later
    layers cannot compute it again, that a probe which is not linear finds nothing, or that the
    model used it (for that, look at what ``edits`` do to a task).

    Attributes:
        at: where the edit is written.
        edits: for ``model.run(..., edits=erasure.edits)``.
        eraser: the affine map.
        proof: fresh probes, before and after.
        classes: names of the classes.
        held_out: groups that the eraser never saw (empty if examples were held out).
        tokens: ``"read"`` or ``"all"``.
    """

    at: Address
    edits: tuple[Erase, ...]
    eraser: Eraser
    proof: ErasureProof
    classes: tuple[str, ...]
    held_out: tuple[str, ...]
    tokens: str
    provenance: Provenance

    def __repr__(self) -> str:
        own = self.proof
        return (
            f"Erasure({self.at}, {self.eraser.method}, rank {self.eraser.rank}: a fresh linear "
            f"probe {own.fitted_before.accuracy:.3f} -> {own.fitted_after.accuracy:.3f} "
            f"(majority {own.fitted_after.majority:.3f}), held out "
            f"{own.held_before.accuracy:.3f} -> {own.held_after.accuracy:.3f} "
            f"(majority {own.held_after.majority:.3f}), {self._refitted})"
        )

    @property
    def _refitted(self) -> str:
        before, after = self.proof.refitted_before, self.proof.refitted_after
        if before is None or after is None:
            return "too few held out to fit a probe there"
        return (
            f"a probe fitted on held-out data {before.accuracy:.3f} -> {after.accuracy:.3f} "
            f"(majority {after.majority:.3f})"
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each probe: where it was judged, before or after."""
        import pandas as pd

        rows = []
        for name, key in _ROWS:
            for side in ("before", "after"):
                score = getattr(self.proof, f"{key}_{side}")
                if score is not None:
                    rows.append(
                        {
                            "data": name,
                            "side": side,
                            "accuracy": score.accuracy,
                            "low": score.interval[0],
                            "high": score.interval[1],
                            "majority": score.majority,
                            "loss_nats": score.loss_nats,
                            "entropy_nats": score.entropy_nats,
                            "n": score.n,
                        }
                    )
        return pd.DataFrame(rows)

    def figure(self, title: str = "") -> Bars:
        """Accuracy of fresh probes before and after, the majority's rate beside it."""
        from residuum.figures import Bars

        rows = self.to_dataframe().to_dict("records")
        short = {name: key for name, key in _ROWS}
        rates = {short[row["data"]]: row["majority"] for row in rows}
        said = ", ".join(f"{key} {rate:.3f}" for key, rate in rates.items())
        return Bars(
            [f"{short[row['data']]}, {row['side']}" for row in rows],
            [row["accuracy"] for row in rows],
            [row["low"] for row in rows],
            [row["high"] for row in rows],
            x="accuracy of a fresh linear probe",
            unit="share",
            order="given",
            title=title or f"Erasing {' / '.join(self.classes)} at {self.at}",
            caption=f"Majority: {said}. {self.eraser.method} takes out {self.eraser.rank} of "
            f"{len(self.eraser.bias)} dimensions and changes the vectors by "
            f"{100 * self.proof.change_frac:.1f} % of their variance. fitted: a "
            "probe fitted and judged on the eraser's data; held: the same probe on held-out "
            "groups; refitted: a new probe on those. Intervals: 95 % bootstrap.",
            does_not_show="that later layers cannot compute it again, or that the model used it.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; the map itself is in ``matrix`` and ``bias``."""
        return {
            "at": str(self.at),
            "method": self.eraser.method,
            "rank": self.eraser.rank,
            "matrix": self.eraser.matrix.tolist(),
            "bias": self.eraser.bias.tolist(),
            "classes": list(self.classes),
            "held_out": list(self.held_out),
            "tokens": self.tokens,
            "proof": self.proof.to_json(),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, its table as CSV, or its figure as HTML, SVG or PNG.

        Raises:
            OptionError, StoreError: another suffix; a place that cannot be written to.
        """
        save_result(self, path, "an erasure")


def erase(
    model: Model,
    examples: Examples,
    at: str | Address,
    *,
    method: ErasureMethod | None = None,
    tokens: str = "read",
    seed: int = 0,
    batch_size: int = 64,
    **unknown: Any,
) -> Erasure:
    """Take a concept out at a site, and prove with fresh linear probes that it is gone.

    About a third of the groups (of the examples, where there is one group) is held out.

    Args:
        model: a loaded model.
        examples: with the concept and without.
        at: a site such as ``L1.resid_post``; ``L1.resid_post@-1`` for one token.
        method: ``Leace()`` (by default), ``Projection()`` or ``Subspace(k)``.
        tokens: ``"read"`` for the token that each example names; ``"all"`` erases the concept
            from every token, each with its example's class.
        seed: of what is held out and of the bootstrap.
        batch_size: examples in one pass.

    Returns:
        The edits, the map and the proof.

    Raises:
        OptionError, AddressError, ShapeError: one class; vectors that are all the same or hold
            NaN; a site without vectors; tokens that no position names.
        TaskError: the same example on both sides of the proof; examples of another model.

    Shows, Does not show: as :class:`Erasure`.
    Source: Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form".

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> examples = rz.Examples.from_task(rz.task("refusal", model, n=60))
    >>> erasure = rz.erase(model, examples, "L1.resid_post@-1")
    >>> erasure.proof.was_there, erasure.proof.gone
    (True, True)
    """
    refuse_unknown(unknown, "erase", "method, tokens, seed, batch_size")
    need_model(model, "erase")
    whole_number(seed, "seed", 0)
    whole_number(batch_size, "batch_size", 1)
    method = Leace() if method is None else method
    if isinstance(method, type) or not hasattr(method, "fit"):
        raise OptionError(
            f"method={shown(method)} is no way to erase",
            mend="Leace(), Projection() or Subspace(k)",
        )
    if not isinstance(examples, Examples):
        raise OptionError(
            f"erase needs examples, got {shown(examples)}",
            mend="give rz.Examples.from_texts(...), .from_file(...) or .from_task(...)",
        )
    examples.check_fits(model)
    place = place_of(examples, at, tokens)
    groups = tuple(map(str, examples.groups or ())) or ("",) * len(examples.labels)
    fit_rows, held_rows = halves_of(examples.labels, groups, _HELD_OUT, seed)
    need_apart(examples.identities, {"fitted": fit_rows, "held-out": held_rows})
    eraser = _fitted(model, examples, place, fit_rows, method, batch_size)
    edit = eraser.as_edit(place.written)
    samples = []
    for rows in (fit_rows, held_rows):
        before, labels, owners = vectors(model, examples, place, rows, (), batch_size)
        after = vectors(model, examples, place, rows, (edit,), batch_size)[0]
        samples.append(Sample(before, after, labels, tuple(groups[int(at)] for at in owners)))
    fitted_groups = {groups[at] for at in fit_rows}
    return Erasure(
        at=place.written,
        edits=(edit,),
        eraser=eraser,
        proof=proof_of(samples[0], samples[1], len(examples.classes), seed),
        classes=tuple(examples.classes),
        held_out=tuple(sorted({groups[at] for at in held_rows} - fitted_groups)),
        tokens=tokens,
        provenance=model.provenance(
            task_hash=examples.hash, strategy=f"erase({place.written}, {method!r})", seed=seed
        ),
    )


def _fitted(
    model: Model,
    examples: Examples,
    place: Place,
    rows: list[int],
    method: ErasureMethod,
    batch_size: int,
) -> Eraser:
    """The eraser, from vectors that stream by."""

    def blocks() -> Iterator[tuple[Tensor, Tensor]]:
        for x, labels, _ in vector_blocks(model, examples, place, rows, (), batch_size):
            yield x, labels

    width = next(blocks())[0].shape[-1]
    with torch.no_grad():
        return method.fit(blocks, width, len(examples.classes))
