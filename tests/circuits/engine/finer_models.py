"""Models with neurons and latents to be nodes."""

from __future__ import annotations

import torch
from tiny import loaded

from residuum.dictionaries import Dictionary, ReLU

NEURONS = ("L0.mlp_act[N3]", "L1.mlp_act[N0]", "L1.mlp_act[N5]", "L2.mlp_act[N7]")
LATENTS = ("L1.mlp_out/coder[F2]", "L1.mlp_out/coder[F9]")


def with_dictionary(name, dtype, reads="mlp_out", layer=1):
    """A model with a random dictionary on it, of an MLP's output or of what it reads."""
    model = loaded(name, dtype)
    width, latents = model.dims.d_model, 24
    draw = torch.Generator().manual_seed(2)
    weights = [
        torch.randn(*shape, generator=draw) for shape in ((width, latents), (latents, width))
    ]
    coder = Dictionary(
        (f"L{layer}.{reads}",),
        (f"L{layer}.mlp_out",),
        W_enc=weights[0][None],
        W_dec=weights[1][:, None] / 50,
        b_enc=torch.full((latents,), 0.5),
        b_dec=torch.ones(1, width) / 10,
        activation=ReLU(),
    ).to(dtype)
    model.dictionaries["coder"] = coder
    return model
