"""Every kind of sparse coder times every activation, small, in float64."""

import torch

from residuum.dictionaries import (
    L1,
    BatchTopK,
    CoderPlan,
    Gated,
    JumpReLU,
    L0Step,
    ReLU,
    SparseCoder,
    TopK,
)

N_LATENTS = 48
KINDS = {
    "sae": {"reads": "L1.resid_post"},
    "transcoder": {"reads": "L1.ln2", "writes": "L1.mlp_out", "out_width": 7},
    "skip_transcoder": {"reads": "L1.ln2", "writes": "L1.mlp_out", "out_width": 7, "skip": True},
    "crosscoder": {"reads": ("L0.resid_post", "L1.resid_post", "L2.resid_post")},
    "two_models": {"reads": ("L1.resid_post", "L1.resid_post"), "models": ("base", "chat")},
    "cross_layer": {
        "reads": ("L0.ln2", "L1.ln2", "L2.ln2"),
        "writes": ("L0.mlp_out", "L1.mlp_out", "L2.mlp_out"),
        "out_width": 7,
    },
}
WAYS = {
    "relu": {"activation": ReLU(), "penalty": L1()},
    "relu_unit": {"activation": ReLU(), "penalty": L1(by_decoder_norm=False)},
    "topk": {"activation": TopK(5)},
    "batch_topk": {"activation": BatchTopK(5)},
    "jump": {"activation": JumpReLU(bandwidth=0.8, start=0.4), "penalty": L0Step()},
    "jump_l1": {"activation": JumpReLU(bandwidth=0.8, start=0.4), "penalty": L1()},
    "gated": {"activation": Gated(), "penalty": L1(by_decoder_norm=False)},
}


def plan_of(kind, way, **more):
    return CoderPlan(width=10, n_latents=N_LATENTS, **KINDS[kind], **WAYS[way], **more)


def filled(plan, seed=3, dtype=torch.float64):
    """A coder in the middle of training: nothing at its start value, decoder rows of length 1."""
    coder = SparseCoder(plan, seed=seed, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in coder.parameters().values():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.add_((0.2 * noise).to(dtype))
        if plan.unit_norm:
            for name, value in coder.parameters().items():
                if name.startswith("W_dec"):
                    value.div_(value.norm(dim=1, keepdim=True))
    return coder


def batch_of(plan, n=23, seed=5):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, len(plan.reads), plan.width, generator=generator, dtype=torch.float64)
    if plan.reads == plan.writes:
        return x, x
    shape = (n, len(plan.writes), plan.out_width)
    return x, torch.randn(shape, generator=generator, dtype=torch.float64)
