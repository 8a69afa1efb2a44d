"""Random dictionaries of every kind, for the tests of other tools' formats."""

from __future__ import annotations

import torch

from residuum.core import Address, Provenance
from residuum.dictionaries import BatchTopK, Dictionary, Gated, JumpReLU, ReLU, TopK

D, N = 12, 40
ACTIVATIONS = {
    "relu": ReLU(), "topk": TopK(5), "batchtopk": BatchTopK(6), "jumprelu": JumpReLU(0.07),
    "gated": Gated(),
}  # fmt: skip


def sample(
    activation: str,
    *,
    tied: bool = False,
    transcoder: bool = False,
    skip: bool = False,
    scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
    one_threshold: bool = False,
    seed: int = 0,
    **more: object,
) -> Dictionary:
    """A dictionary whose tensors are all random, so that one in a wrong place is seen."""
    made = torch.Generator().manual_seed(seed)

    def draw(*shape: int, size: float = 0.4) -> torch.Tensor:
        return (torch.randn(*shape, generator=made, dtype=torch.float64) * size).to(dtype)

    kind = ACTIVATIONS[activation]
    b_dec = draw(1, D)
    vectors = {name: draw(N) for name in kind.needs}
    if "threshold" in vectors:
        high = draw(1).abs().expand(N).clone() if one_threshold else vectors["threshold"].abs()
        vectors["threshold"] = high
    site = Address("L2.resid_post")
    return Dictionary(
        reads=(Address("L2.ln2") if transcoder else site,),
        writes=(Address("L2.mlp_out") if transcoder else site,),
        W_enc=draw(1, D, N),
        W_dec=draw(N, 1, D),
        b_dec=b_dec,
        b_in=b_dec.clone() if tied else None,
        W_skip=draw(D, D) if skip else None,
        activation=kind,
        scale=scale,
        model_name="microworld",
        weight_hash="ab" * 32,
        tokenizer_hash="cd" * 32,
        declared={"l0": 6.5, "explained_variance": 0.875, **more},
        labels={3: "names of cities", 39: "ends"},
        provenance=Provenance("microworld", strategy="TopK", seed=4),
        **vectors,
    )


def inputs(n: int = 64, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Vectors ``[n d]``."""
    return torch.randn(n, D, generator=torch.Generator().manual_seed(9), dtype=dtype) + 0.3
