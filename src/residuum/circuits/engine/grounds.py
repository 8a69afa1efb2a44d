"""Making ready for masked runs, and proving them: all edges give the clean run, none the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.engine.attention import heads_joined
from residuum.circuits.engine.finite import refuse_not_finite
from residuum.circuits.engine.ground import Ground, ground_of
from residuum.circuits.engine.order import Wiring
from residuum.circuits.engine.passes import Pass
from residuum.circuits.engine.references import References
from residuum.circuits.engine.states import Joint, States, all_own
from residuum.circuits.engine.work import Tally
from residuum.core import CheckFailed, OptionError
from residuum.models import final_logits
from residuum.runs import CannotFork, Model, outer_bound


@dataclass
class Grounds:
    """Grounds of portions of a task's prompts; some are kept.

    Attributes:
        places: ``[example pos]``: which named position each token is.
        kept: how many are kept.
        passes: whole passes spent on the clean runs.
        spent: multiply-adds spent on the two known runs.
    """

    model: Model
    wiring: Wiring
    references: References
    places: Tensor
    kept: int
    passes: float = 0.0
    spent: int = 0
    cut: bool = True
    _joint: Joint | None = None
    _made: dict[tuple[int, int], Ground] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cut = self.model.adapted.family.door == "interface"

    def at(self, rows: range) -> Ground:
        """The ground of some prompts.

        Raises:
            CheckFailed: masked runs of them are not the model's own.
        """
        key = (rows.start, rows.stop)
        if key not in self._made:
            while len(self._made) >= self.kept:
                self._made.pop(next(iter(self._made)))
            self._made[key] = self._proven(rows)
        return self._made[key]

    def joint(self, ground: Ground) -> Joint:
        """Layers whose heads hang together; found once."""
        if self._joint is None:
            layers = self.model.adapted.parts.layers
            inputs = []
            for layer in layers:
                like = ground.embed[:1]
                call = ground.copies(1).first(ground.calls[layer.index], like.device)
                inputs.append(heads_joined(self.model.adapted, layer.index, call, like))
            outputs = tuple(layer.attn_writer is not layer.o_proj for layer in layers)
            biased = (getattr(each.o_proj, "bias", None) is not None for each in layers)
            beside = tuple(a and b for a, b in zip(outputs, biased, strict=True))
            self._joint = Joint(tuple(inputs), outputs, beside)
        return self._joint

    def begin(
        self,
        ground: Ground,
        masks: Tensor,
        states: States,
        *,
        marks: np.ndarray | None = None,
        keep: bool = False,
    ) -> Pass:
        """A pass of some circuits over the ground's prompts."""
        tokens = ground.prompts * ground.positions
        return Pass(
            adapted=self.model.adapted,
            order=self.wiring.order,
            joint=self.joint(ground),
            ground=ground,
            masks=masks,
            states=states,
            run_like=self.references.run_like,
            tally=Tally(self.model.adapted, tokens, ground.prompts, ground.width),
            marks=marks,
            keep=keep,
            finer=self.references.finer,
        )

    def _proven(self, rows: range) -> Ground:
        """The ground, if masked runs are the model's own; without the cut where only it fails."""
        ground, why = None, ""
        try:
            ground = self._with_known_runs(rows)
            why = self._gap(ground)
        except CannotFork as error:
            why = str(error)
        if ground is not None and not why:
            return ground
        if not self.cut:
            raise CheckFailed(
                f"masked runs of {self.model.name} are not the model's own: {why}",
                mend="take adapters and hooks off the model; residuum doctor MODEL checks it",
            )
        self.cut = False
        return self._proven(rows)

    def _with_known_runs(self, rows: range) -> Ground:
        """The ground, with the whole and the empty circuit run."""
        with self.model.adapted.passing(), torch.no_grad():
            ground = ground_of(self.model, self.references, rows, self.places, cut=self.cut)
            self.passes += len(rows) / len(self.references.task)
            marks = np.stack([self.wiring.read, np.zeros_like(self.wiring.read)])
            masks = torch.from_numpy(marks).to(ground.embed)
            made = self.begin(ground, masks, all_own(self.wiring.order, 2), marks=marks, keep=True)
            answers = made.run()
            self.spent += made.tally.spent
            ground.whole, ground.empty = made.known(0), made.known(1)
            ground.whole.answers, ground.empty.answers = answers
        return ground

    def _gap(self, ground: Ground) -> str:
        """Empty if all edges give the clean run and none the run of the references."""
        bound = outer_bound(self.model.dtype)
        refuse_not_finite(self.model.adapted, ground.clean, "the logits", self.model.name)
        pairs = [("all edges", ground.whole.answers, ground.clean, "the clean run")]
        if ground.other is not None:
            pairs.append(("no edge", ground.empty.answers, ground.other, "the reference run"))
        for kept, answers, truth, name in pairs:
            assert answers is not None
            with torch.no_grad():
                found = final_logits(self.model.adapted.parts, answers).double()
            scale = truth.double().abs().max().clamp_min(1e-30)
            gap = float((found - truth.double()).abs().max() / scale)
            if not gap <= bound:
                return f"with {kept} kept they differ from {name} by {gap:.1e} of its logits"
        return ""


def refuse_unproven(model: Model) -> None:
    """Refuse a model whose blocks cannot be run from parts, with the reason.

    Raises:
        OptionError: says which it is.
    """
    adapted = model.adapted
    why = ""
    if adapted.parts.layers[0].opaque:
        why = "its family has no table, so nothing inside its blocks is known"
    elif adapted.parts.layers[0].wiring == "post_norm_encoder":
        why = "in an encoder a norm stands between sender and receiver, so no sum is read"
    elif not adapted.seam_proven:
        why = "its layer seam was not proven (residuum doctor MODEL says where it fails)"
    if why:
        raise OptionError(
            f"{model.name} (family {adapted.family.name}) has no masked runs: {why}",
            mend="use a model of another family, or rz.patch with engine='naive'",
        )
