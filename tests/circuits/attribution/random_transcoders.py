"""Random transcoders for tiny models, of every kind."""

from __future__ import annotations

from typing import Any

import torch

from residuum.dictionaries import (
    CrossLayerTranscoder,
    Dictionary,
    Gated,
    JumpReLU,
    ReLU,
    TopK,
)

ACTIVATIONS = {"relu": ReLU(), "topk": TopK(4), "jumprelu": JumpReLU(), "gated": Gated()}


def read_site(model: Any, layer: int) -> str:
    """What the layer's MLP reads: behind its norm where there is one."""
    part = model.adapted.parts.layers[layer]
    if part.ln2 is not None:
        return f"L{layer}.ln2"
    return f"L{layer}.ln1" if part.wiring == "parallel" else f"L{layer}.mlp_in"


def coder(
    reads: str,
    writes: tuple[str, ...],
    d: int = 32,
    n: int = 12,
    activation: str = "relu",
    skip: bool = False,
    scale: float = 1.0,
    tied: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    **more: Any,
) -> Dictionary:
    made = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=made, dtype=torch.float64) * 0.3).to(dtype)

    kind = ACTIVATIONS[activation]
    vectors = {name: draw(n) for name in kind.needs}
    if "threshold" in vectors:
        vectors["threshold"] = vectors["threshold"].abs()
    return Dictionary(
        (reads,), writes, W_enc=draw(1, d, n), W_dec=draw(n, len(writes), d),
        b_dec=draw(len(writes), d), b_in=draw(1, d) if tied else None,
        W_skip=draw(d, d) if skip else None, activation=kind, scale=scale, **vectors, **more,
    )  # fmt: skip


def transcoders(model: Any, layers: Any = None, **options: Any) -> dict[int, Dictionary]:
    """One for each layer, the second with a skip connection."""
    d, found = model.dims.d_model, {}
    for layer in range(model.n_layers) if layers is None else layers:
        own = {"skip": layer == 1, "seed": layer, "dtype": model.dtype} | options
        found[layer] = coder(read_site(model, layer), (f"L{layer}.mlp_out",), d, **own)
    return found


def cross_layer(model: Any, **options: Any) -> CrossLayerTranscoder:
    n = model.n_layers
    writes = tuple(f"L{layer}.mlp_out" for layer in range(n))
    return CrossLayerTranscoder(
        tuple(
            coder(
                read_site(model, layer), writes[layer:], model.dims.d_model,
                seed=layer, dtype=model.dtype, **options,
            )
            for layer in range(n)
        )
    )  # fmt: skip
