"""How much of a sweep goes into one pass: by the size of the model, and by the memory there is."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.core import SITES, OptionError
from residuum.runs.memory import free_memory
from residuum.runs.model import Model
from residuum.runs.sweeping.changes import base_sites
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.plan import Sizes
from residuum.runs.task import Task

_WORTHWHILE = 1_800_000_000
"""Multiply-adds of one block in one batch above which a larger batch gains nothing on a CPU."""
_FEWEST, _MOST, _MOST_ON_GPU = 256, 8192, 65_536
_OVERHEAD = 32 * 10**6
"""Bytes that libraries and the allocator take beside the tensors, at least."""
_SPARE = 0.6
"""Share of the budget that is planned with; the rest is left to what is not counted."""


def sizes_of(
    model: Model,
    task: Task,
    kept: Sequence[str],
    *,
    max_memory: int | None,
    whole_logits: bool,
) -> Sizes:
    """Tokens in one batch of forks, and prompts that share a base run.

    Args:
        kept: name of every site that is kept of the base and donor runs, each layer by itself.
        max_memory: bytes beyond the model itself; by default half of what is free.
        whole_logits: whether the metric reads every token's logit.

    Raises:
        OptionError: not even one prompt fits into ``max_memory``.
    """
    width = task.clean.shape[1]
    given = max_memory or free_memory(model.device) // 2
    budget = _SPARE * (given - min(_OVERHEAD, given // 2))
    tokens = _tokens(model)
    rows = max(1, min(len(task), tokens // width))
    for_row = width * _kept(model, kept, width)
    for_token = _working(model, width, whole_logits)
    rows = min(rows, int(budget / 2 // for_row))
    tokens = min(tokens, int((budget - rows * for_row) // for_token))
    if max_memory is not None and (rows < 1 or tokens < width):
        least = 2 * (2 * for_row + width * for_token) / _SPARE
        raise OptionError(
            f"one prompt of {width} tokens takes about {least / 1e6:.0f} MB, "
            f"max_memory is {max_memory / 1e6:.0f} MB",
            mend="give more memory, or sweep shorter prompts",
        )
    return Sizes(tokens=max(tokens, 1), rows=max(rows, 1))


def _tokens(model: Model) -> int:
    """Tokens at which a batch is large enough to keep the device busy."""
    if model.device.type == "cuda":
        return _MOST_ON_GPU
    block = model.adapted.parts.layers[0].block
    weights = max(1, sum(each.numel() for each in block.parameters()))
    return max(_FEWEST, min(_MOST, _WORTHWHILE // weights))


def _item(model: Model) -> int:
    return model.dtype.itemsize


def kept_by_sweep(grid: Grid) -> list[str]:
    """The sites that a forked sweep keeps: of base and donor run, and what is written."""
    base = [address.name for address in base_sites(grid.site, grid.layers)]
    return base + 2 * [grid.site] * len(grid.layers)


def _kept(model: Model, kept: Sequence[str], width: int) -> float:
    """Bytes kept of the base and donor runs for each token of a prompt."""
    dims = model.dims
    numbers = sum(_width(model, name, width) for name in kept)
    numbers += model.n_layers * (2 * dims.d_model + 2 * dims.n_kv_heads * dims.d_head)
    return numbers * _item(model)


def _width(model: Model, site: str, width: int) -> int:
    """Numbers that a site holds for each token."""
    dims = model.dims
    heads = dims.n_kv_heads if site in ("k", "v") else dims.n_heads
    sizes = {
        "d_model": dims.d_model,
        "d_mlp": dims.d_mlp or 0,
        "head": heads,
        "d_head": dims.d_head,
        "k_pos": width,
        "expert": dims.n_experts,
    }
    found = 1
    for dim in SITES[site].dims:
        found *= sizes.get(dim, 1)
    return found


def _working(model: Model, width: int, whole_logits: bool) -> float:
    """Bytes that a batch of forks takes for each of its tokens, at most."""
    dims = model.dims
    hidden = 3 * (dims.d_mlp or 4 * dims.d_model)
    attention = 2 * dims.n_heads * width + 8 * dims.n_heads * dims.d_head
    numbers = 8 * dims.d_model + hidden + attention + dims.n_heads * dims.d_model
    logits = 16 * dims.d_vocab if whole_logits else 0
    return numbers * _item(model) + logits
