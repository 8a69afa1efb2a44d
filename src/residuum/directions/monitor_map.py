"""Where truth, belief and mode can be read: linear probes by layer and named token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.directions.beliefs import Statements
from residuum.directions.example_rows import token_rows
from residuum.directions.monitor_roc import auroc
from residuum.directions.monitoring import held_out_folds

if TYPE_CHECKING:
    import xarray as xr

    from residuum.runs import Model

_RIDGE = 1e-2


def probe_map(
    model: Model,
    statements: Statements,
    labels: Sequence[bool],
    *,
    entity_folds: int = 4,
    seed: int = 0,
) -> xr.DataArray:
    """AUROC of a ridge probe for each layer and named token, on unseen wordings and entities.

    Args:
        labels: what the probe is to tell apart, one for each statement.

    Returns:
        Mean over folds, dims ``(layer, position)``; 0.5 is chance.

    Raises:
        OptionError: statements without named positions, or labels of another number.

    Shows: where it can be read linearly. Does not show: that the model uses it there.
    """
    import xarray as xr

    if not statements.positions or len(labels) != len(statements):
        raise OptionError(
            f"{len(labels)} labels for {len(statements)} statements with "
            f"{len(statements.positions)} named positions",
            mend="give one label each, and statements with positions",
        )
    truth = np.asarray(labels, dtype=bool)
    if truth.all() or not truth.any():
        raise OptionError(
            f"all {len(truth)} labels are the same", mend="label some statements true, others false"
        )
    folds = held_out_folds(statements, entity_folds, seed)
    token_rows(model, statements.texts)  # names the row of a word that is not known
    run = model.run(list(statements.texts), capture=["resid_post"], logits=False, batch_size=128)
    rows = torch.arange(len(statements))
    table = np.zeros((model.n_layers, len(statements.positions)))
    for layer in range(model.n_layers):
        value: Any = run["resid_post", layer]
        for column, places in enumerate(statements.positions.values()):
            x = value[rows, torch.tensor(places)].double().cpu()
            table[layer, column] = _mean_auroc(x, truth, folds)
    coords = {"layer": range(model.n_layers), "position": list(statements.positions)}
    return xr.DataArray(table, dims=("layer", "position"), coords=coords, name="auroc")


def _mean_auroc(
    x: Tensor, truth: np.ndarray, folds: Sequence[tuple[list[int], list[int]]]
) -> float:
    found = []
    for fit, test in folds:
        if len(set(truth[test].tolist())) == 2 and len(set(truth[fit].tolist())) == 2:
            weight, centre = _ridge(x[fit], torch.from_numpy(truth[fit]).double())
            found.append(auroc(((x[test] - centre) @ weight).numpy(), truth[test]))
    return float(np.mean(found)) if found else float("nan")


def _ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``[d]`` on centred vectors, and the centre; the penalty is scaled to the spread."""
    centre, n = x.mean(0), len(x)
    scale = x.std(0).clamp_min(1e-9)
    z = (x - centre) / scale
    gram = z.T @ z / n + _RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(gram, z.T @ (y - y.mean()) / n) / scale, centre
