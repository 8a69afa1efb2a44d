"""The reference: the model written out with stop-gradients, differentiated by autograd.

Patterns and norm deviations are detached; MLPs are their transcoders' decoders plus a constant;
nothing here is shared with the product but the model's own modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def norm(module: Any, x: Tensor, offset: float, deviation: Tensor | None) -> tuple[Tensor, Tensor]:
    """A norm whose deviation is detached (or given); LayerNorms have a bias, RMSNorms none."""
    eps = getattr(module, "eps", None) or module.variance_epsilon
    bias = getattr(module, "bias", None)
    layer_norm = isinstance(module, torch.nn.LayerNorm)
    own = x - x.mean(-1, keepdim=True) if layer_norm else x
    if deviation is None:
        deviation = (own.square().mean(-1, keepdim=True) + eps).sqrt().detach()
    out = own / deviation * (module.weight + offset)
    return (out if bias is None else out + bias), deviation


@dataclass
class Reference:
    """A frozen forward pass of one prompt.

    Attributes:
        offset: added to norm gains (1 for Gemma).
        leaves: activations ``[pos latent]`` by layer, errors ``[pos d]`` by layer, the embedding.
        deviations: of the norms, by place, from the first pass.
    """

    model: Any
    ids: Tensor
    coders: dict[int, Any]
    offset: float = 0.0
    leaves: dict[Any, Tensor] = field(default_factory=dict)
    deviations: dict[Any, Tensor] = field(default_factory=dict)
    pre: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ["pattern", "mlp_out", "resid_pre", "ln_final"]
        reads = [each.reads[0] for each in self.coders.values()]
        self.run = self.model.run(self.ids, capture=[*names, *reads])
        self.leaves["embed"] = self.run["resid_pre", 0][0].clone().requires_grad_()
        for layer, own in self.coders.items():
            acts = own.encode(self.run[own.reads[0]][0])
            self.leaves["acts", layer] = acts.clone().requires_grad_()
        for layer in range(self.model.n_layers):
            rest = self.run["mlp_out", layer][0] - self._rebuilt(layer, self.leaves, None).detach()
            self.leaves["error", layer] = rest.clone().requires_grad_()

    def _rebuilt(self, layer: int, leaves: dict[Any, Tensor], read: Tensor | None) -> Tensor:
        """What transcoders add to a layer's MLP output, the skip connection included."""
        total = torch.zeros_like(leaves["embed"])
        for first, own in self.coders.items():
            written = [each.layer for each in own.writes]
            if layer not in written:
                continue
            made = own.decode(leaves["acts", first])
            total = total + (made if made.ndim == 2 else made[:, written.index(layer)])
            if first == layer and own.W_skip is not None:
                x = self.run[own.reads[0]][0] if read is None else read
                total = total + x @ own.W_skip
        return total

    def norm(self, place: Any, module: Any, x: Tensor) -> Tensor:
        """The norm at a place; identity where there is none."""
        if module is None:
            return x
        out, own = norm(module, x, self.offset, self.deviations.get(place))
        self.deviations.setdefault(place, own)
        return out

    def forward(self, leaves: dict[Any, Tensor] | None = None, follow: bool = False) -> Tensor:
        """Logits at the last token, before a soft cap; pre-activations are left in ``pre``.

        Args:
            leaves: in place of the run's own.
            follow: let active latents move with their pre-activations.
        """
        leaves = dict(self.leaves) if leaves is None else dict(leaves)
        stream = leaves["embed"]
        for layer, part in enumerate(self.model.adapted.parts.layers):
            read = self.norm((layer, "ln1"), part.ln1, stream)
            middle = stream + self._attention(layer, part, read)
            parallel = part.wiring == "parallel"
            source = stream if parallel else middle
            shared = parallel and part.ln2 is None
            seen = read if shared else self.norm((layer, "ln2"), part.ln2, source)
            own = self.coders.get(layer)
            if own is not None:
                self.pre[layer] = self._pre(own, seen)
                if follow:
                    was = leaves["acts", layer]
                    moved = (self.pre[layer] - self.start[layer]) * (
                        self.leaves["acts", layer] != 0
                    )
                    leaves["acts", layer] = was + moved
            stream = middle + self._rebuilt(layer, leaves, seen) + leaves["error", layer]
        parts = self.model.adapted.parts
        logits = parts.unembed(self.norm("final", parts.final_norm, stream)[-1])
        return logits

    def _attention(self, layer: int, part: Any, read: Tensor) -> Tensor:
        pattern = self.run["pattern", layer][0]
        value = part.projections.read(part.projections.module("v")(read[None]), "v")[0]
        value = value.repeat_interleave(len(pattern) // value.shape[1], 1)
        z = torch.einsum("hqk,khd->qhd", pattern, value).flatten(-2)
        out = part.o_proj(z[None])[0]
        return self.norm((layer, "post"), part.post_attn_norm, out) * part.scale

    @staticmethod
    def _pre(own: Any, read: Tensor) -> Tensor:
        x = read * own.scale - (0 if own.b_in is None else own.b_in[0])
        return x @ own.W_enc[0] + own.b_enc

    def effects(self, value: Tensor) -> dict[Any, Tensor]:
        """Gradient times input of every leaf: activations by latent, the others summed."""
        keys = list(self.leaves)
        found = torch.autograd.grad(
            value, [self.leaves[key] for key in keys], retain_graph=True, allow_unused=True
        )
        out = {}
        for key, grad in zip(keys, found, strict=True):
            own = self.leaves[key]
            product = torch.zeros_like(own) if grad is None else grad * own
            out[key] = (product if key[0] == "acts" else product.sum(-1)).detach()
        return out

    def remember(self) -> None:
        """Keep the pre-activations of this run, which ``follow`` compares with."""
        self.forward()
        self.start = {layer: value.detach() for layer, value in self.pre.items()}
