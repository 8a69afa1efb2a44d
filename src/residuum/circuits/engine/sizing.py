"""How many prompts and how many circuits share a pass: by the model's size, and by memory."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.circuits.engine.order import Wiring
from residuum.core import OptionError
from residuum.runs import Metric, Model, Task, free_memory
from residuum.runs.sweeping.reader import FEW

_WORTHWHILE = 1_800_000_000
"""Multiply-adds of one block in one pass above which a larger batch gains nothing on a CPU."""
_FEWEST, _MOST, _MOST_ON_GPU = 256, 4096, 65_536
_SPARE, _FOR_GROUNDS = 0.6, 0.5
_FEW_CIRCUITS = 4


@dataclass(frozen=True)
class Portions:
    """What is run together.

    Attributes:
        rows: the prompts, portion by portion.
        circuits: how many circuits share a pass over a portion.
        kept: how many portions' grounds are kept at a time.
    """

    rows: tuple[range, ...]
    circuits: int
    kept: int


def portions_of(
    model: Model, task: Task, wiring: Wiring, max_memory: int | None, measure: Metric
) -> Portions:
    """Prompts and circuits that share a pass.

    Raises:
        OptionError: not even one circuit on one prompt fits into ``max_memory``.
    """
    width, prompts = task.clean.shape[1], len(task)
    budget = _SPARE * (max_memory or free_memory(model.device) // 2)
    ground = width * _ground_bytes(model, wiring)
    each = width * _token_bytes(model, wiring) + _answer_bytes(model, measure)
    masks = _mask_bytes(wiring)
    tokens = _tokens(model)
    rows = max(1, min(prompts, tokens // (width * _FEW_CIRCUITS)))
    rows = min(rows, int(_FOR_GROUNDS * budget // ground))
    left = budget - rows * ground
    if rows:
        rows = min(rows, int((left - masks) // each))
    if rows < 1:
        if max_memory is not None:
            least = 2 * max(ground / _FOR_GROUNDS, each + masks) / _SPARE
            raise OptionError(
                f"one circuit on one prompt of {width} tokens takes about {least / 1e6:.0f} MB, "
                f"max_memory is {max_memory / 1e6:.0f} MB",
                mend="give more memory, or shorter prompts",
            )
        rows, left = 1, each + masks
    circuits = min(int(left // (rows * each + masks)), max(1, tokens // (rows * width)))
    return Portions(
        tuple(range(low, min(low + rows, prompts)) for low in range(0, prompts, rows)),
        max(1, circuits),
        max(1, int(_FOR_GROUNDS * budget // (rows * ground))),
    )


def _tokens(model: Model) -> int:
    """Tokens at which a pass is large enough to keep the device busy."""
    if model.device.type == "cuda":
        return _MOST_ON_GPU
    block = model.adapted.parts.layers[0].block
    weights = max(1, sum(each.numel() for each in block.parameters()))
    return max(_FEWEST, min(_MOST, _WORTHWHILE // weights))


def _ground_bytes(model: Model, wiring: Wiring) -> float:
    """Kept of each token: references, and what two known runs read and send."""
    dims, order = model.dims, wiring.order
    sent = 3 * order.n_senders * dims.d_model
    slots = dims.n_heads + 2 * dims.n_kv_heads
    read = 2 * order.n_layers * slots * dims.d_head
    return (sent + read + 3 * order.n_layers * dims.d_model) * model.dtype.itemsize


def _token_bytes(model: Model, wiring: Wiring) -> float:
    """Taken by each token of a circuit."""
    dims, order = model.dims, wiring.order
    slots = dims.n_heads + 2 * dims.n_kv_heads
    sent = order.n_senders * dims.d_model
    read = 4 * slots * dims.d_model
    heads = 6 * dims.n_heads * (dims.d_head + dims.d_model // 2)
    hidden = 4 * (dims.d_mlp or 4 * dims.d_model)
    finer = max((order.n_finer(layer) for layer in order.finer), default=0)
    hidden += finer * (hidden + 3 * dims.d_model)
    return (sent + read + heads + hidden) * model.dtype.itemsize


def _answer_bytes(model: Model, measure: Metric) -> float:
    return 0 if measure.name in FEW else 24 * model.dims.d_vocab


def _mask_bytes(wiring: Wiring) -> float:
    """Taken by each circuit's masks and by what is worked out from them."""
    return 16 * wiring.read.size
