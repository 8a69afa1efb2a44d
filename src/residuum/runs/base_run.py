"""Whether a later run may go on from a base run: refused where it is of something else.

Where the base is the right one and still nothing can be taken from it, the later run is whole, and
the reason is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from residuum.core import OptionError
from residuum.models import Adapted, Batch
from residuum.runs.arguments import shown
from residuum.runs.forward import one_pass
from residuum.runs.run import Run
from residuum.runs.run_trace import Ground, version
from residuum.runs.skipped_blocks import BASE_MEND, SkippedBlocks

_TUPLES: WeakKeyDictionary[Any, tuple[tuple[int, ...], str]] = WeakKeyDictionary()
"""Model -> how each block returns its stream, and why blocks cannot be left out, if so."""


def check_base(base: Any, batch: Batch, ground: Ground) -> None:
    """Refuse a base whose numbers are not those of this model on these prompts.

    Args:
        base: what was given as the base.
        batch: the prompts of the later run.
        ground: what the later run stands on.

    Raises:
        OptionError: no run; one of another model, other ids, another mask or other weights; one
            whose captured tensors were written to.
    """
    if not isinstance(base, Run):
        raise OptionError(
            f"after={shown(base)} is no run",
            mend='give one: base = model.run(prompts, capture=["resid_pre"])',
        )
    trace = base.trace
    _same_prompts(batch, base.batch if trace is None else trace.batch)
    if trace is None:
        return
    if ground.hf is not trace.ground.hf:
        raise OptionError("the base run is of another model", mend=BASE_MEND)
    if ground.weights != trace.ground.weights:
        raise OptionError("the model's weights have changed since the base run", mend=BASE_MEND)
    for address, counter in trace.versions.items():
        value = base.captured[address]
        if isinstance(value, Tensor) and version(value) != counter:
            raise OptionError(
                f"the base run's {address} was written to after the run", mend=BASE_MEND
            )


def _same_prompts(batch: Batch, base: Batch) -> None:
    if not torch.equal(batch.ids.cpu(), base.ids.cpu()):
        raise OptionError(
            "the base run is of other token ids",
            mend="give a base of the same prompts; its ids are run.ids",
        )
    masks = [each.mask for each in (batch, base)]
    full = [torch.ones_like(batch.ids, dtype=torch.bool) if m is None else m for m in masks]
    if not torch.equal(full[0].cpu(), full[1].cpu()):
        raise OptionError(
            "the base run has another attention_mask",
            mend="give a base of the same prompts; its mask is run.batch.mask",
        )


def why_whole(
    adapted: Adapted, base: Run, ground: Ground, size: int, *, asked: bool, grad: bool
) -> str:
    """Why nothing can be taken from a base run; empty if something may be.

    Args:
        ground: what the later run stands on.
        size: prompts in a pass.
        asked: whether there is an edit or a capture.
        grad: whether gradients are asked for.
    """
    trace = base.trace
    if not asked:
        return "nothing is asked, and the model runs as its user would run it"
    if grad:
        return "gradients are taken through every block"
    if trace is None:
        return 'the base run kept no stream; make it with capture=["resid_pre"]'
    if trace.grad:
        return "the base run was made with gradients, which may choose other kernels"
    if adapted.guessed:
        return f"the family {adapted.family.name} has no table"
    if ground.hooks or trace.ground.hooks:
        return "somebody's hooks stand on the model"
    if ground.settings != trace.ground.settings:
        return "kernels, threads or precision were set otherwise since the base run"
    if size != trace.size:
        return f"the base run had {trace.size} prompts in a pass, this one has {size}"
    return proof(adapted)[1]


def proof(adapted: Adapted) -> tuple[tuple[int, ...], str]:
    """How each block returns its stream, and why blocks cannot be left out, if so.

    Found once for each model: two short passes, whole and from the middle on, must agree. One on
    other ids comes between them, so that nothing but the stream can carry over.

    Returns:
        For each block the length of the tuple that it returns, 0 for a bare tensor; the reason.
    """
    if adapted.hf not in _TUPLES:
        length = min(5, adapted.tokens.n_ctx or 5)
        batch = Batch(torch.arange(2 * length).view(2, length) % adapted.parts.dims.d_vocab)
        middle = max(1, len(adapted.parts.layers) // 2)
        blocks = [layer.block for layer in adapted.parts.layers]
        whole, outputs = _with_outputs(adapted, batch, blocks)
        lengths = tuple(len(each) if isinstance(each, tuple) else 0 for each in outputs)
        last = outputs[middle - 1]
        stream = last[0] if isinstance(last, tuple) else last
        one_pass(adapted, Batch(batch.ids.flip(0)), [], [])
        skip = SkippedBlocks(blocks[:middle], lengths[:middle], stream)
        found, _ = one_pass(adapted, batch, [], [], skip=skip)
        same = found is not None and torch.equal(found, whole)
        why = "" if same else "a short run from the middle on does not give the same logits"
        _TUPLES[adapted.hf] = lengths, why
    return _TUPLES[adapted.hf]


def _with_outputs(
    adapted: Adapted, batch: Batch, blocks: Sequence[nn.Module]
) -> tuple[Tensor, list[Any]]:
    """The logits of a pass, and a copy of what each block returned."""
    outputs: list[Any] = []

    def hook(_: nn.Module, args: Any, out: Any) -> None:
        outputs.append((out[0].clone(), *out[1:]) if isinstance(out, tuple) else out.clone())

    with adapted.lock:
        handles = [block.register_forward_hook(hook) for block in blocks]
        try:
            logits, _ = one_pass(adapted, batch, [], [])
        finally:
            for handle in handles:
                handle.remove()
    assert logits is not None
    return logits, outputs
