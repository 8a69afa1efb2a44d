"""Where twins differ: in the weights of every head and MLP, and by patching between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from residuum.core import Patch, Progress
from residuum.findings.audit.evidence import PlaceEvidence, TogetherEvidence
from residuum.findings.audit.prompts import Prompt, batch_of, margins, prefixed
from residuum.findings.record.evidence import Estimate
from residuum.runs import Model, Run

_HEAD_WEIGHTS, _MLP_WEIGHTS = ("W_Q", "W_K", "W_V", "W_O"), ("W_in", "W_out")
_CAPTURED = ("z", "mlp_out")


@dataclass(frozen=True, eq=False)
class Behind:
    """Both twins run on the same prompts behind a prefix.

    Attributes:
        model, twin: the two.
        prompts: whose answers count.
        own, other: their runs, heads and MLPs captured.
    """

    model: Model
    twin: Model
    prompts: tuple[Prompt, ...]
    own: Run
    other: Run

    @staticmethod
    def of(model: Model, twin: Model, prompts: Sequence[Prompt], prefix: Sequence[int]) -> Behind:
        """Run both."""
        batch = batch_of([prefixed(model, each.ids, prefix) for each in prompts])
        with torch.no_grad():
            runs = [each.run(batch, capture=list(_CAPTURED)) for each in (model, twin)]
        return Behind(model, twin, tuple(prompts), *runs)

    def healed(self, parts: Sequence[str]) -> Estimate:
        """The twin's values of these parts in the model: share of the twin's margin regained."""
        return self._moved(self.model, self.own, self.other, parts)

    def infected(self, parts: Sequence[str]) -> Estimate:
        """The model's values of these parts in the twin: share of the twin's margin lost."""
        return self._moved(self.twin, self.other, self.own, parts)

    def _moved(self, model: Model, own: Run, donor: Run, parts: Sequence[str]) -> Estimate:
        with torch.no_grad():
            run = model.run(own.batch, edits=[Patch(at, donor) for at in parts])
        start, end, now = (
            margins(each.last.float().cpu(), self.prompts).numpy() for each in (own, donor, run)
        )
        groups = [each.template for each in self.prompts]
        several = groups if len(set(groups)) > 1 else None
        return Estimate.of_ratio((now - start).tolist(), (end - start).tolist(), clusters=several)


def parts_of(model: Model) -> tuple[str, ...]:
    """Addresses of every head and every MLP."""
    layers = range(model.n_layers)
    heads = [f"L{layer}.z[H{head}]" for layer in layers for head in range(model.n_heads)]
    return (*heads, *(f"L{layer}.mlp_out" for layer in layers))


def weight_change(model: Model, twin: Model, at: str) -> float:
    """Norm of the difference of a part's weights, over their norm in the twin."""
    layer = int(at[1 : at.index(".")])
    if ".mlp_out" in at:
        pairs = [_layer_weights(each, _MLP_WEIGHTS, layer, None) for each in (model, twin)]
    else:
        head = int(at[at.index("[H") + 2 : -1])
        pairs = [_layer_weights(each, _HEAD_WEIGHTS, layer, head) for each in (model, twin)]
    own, other = pairs
    return float((own - other).norm() / other.norm())


def _layer_weights(
    model: Model, names: Sequence[str], layer: int, head: int | None
) -> torch.Tensor:
    """Weights of a part as one vector; keys and values of grouped heads are shared."""
    found = []
    for name in names:
        weight = getattr(model, name)[layer]
        if head is not None:
            weight = weight[head * weight.shape[0] // model.n_heads]
        found.append(weight.detach().double().flatten())
    return torch.cat(found)


def places(
    choose: Behind, held: Behind, most: int, random_sets: int, seed: int, progress: Progress
) -> tuple[tuple[PlaceEvidence, ...], TogetherEvidence]:
    """Every head and MLP alone, and the strongest heads together beside random sets.

    Args:
        choose: prompts on which the strongest are chosen.
        held: prompts on which everything is measured.
        most: how many are chosen.
        random_sets: sets of as many other heads.
        seed: of the sets.
        progress: told of every part and set.
    """
    every = parts_of(held.model)
    progress.start("patching between the twins", len(every) + random_sets)
    try:
        alone, found = {}, []
        for at in every:
            alone[at] = choose.healed([at]).value
            change = weight_change(held.model, held.twin, at)
            found.append(PlaceEvidence(at, change, held.healed([at]), held.infected([at])))
            progress.advance()
        heads = [at for at in every if ".mlp_out" not in at]
        chosen = sorted(heads, key=lambda at: -alone[at])[: min(most, len(heads) // 2)]
        others, draws = [at for at in heads if at not in chosen], []
        for index in range(random_sets):
            drawn = Random(f"{seed}/{index}").sample(others, len(chosen))
            draws.append(held.healed(drawn).value)
            progress.advance()
    finally:
        progress.finish()
    found.sort(key=lambda each: -each.heals.value)
    return tuple(found), TogetherEvidence(tuple(chosen), held.healed(chosen), tuple(draws))
