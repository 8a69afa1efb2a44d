"""Moving a scale and an input bias into the weights, for formats that have no field for them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from residuum.dictionaries.formats.parts import Format, Parts


def folded(parts: Parts, layout: Format | None = None) -> Parts:
    """The same function without a scale, and with the input bias moved into the encoder's.

    Computed in float64, stored in the dictionary's dtype.

    Args:
        parts: what is folded.
        layout: a format that may always subtract ``b_dec`` from the input; then the bias is moved
            so far that exactly ``b_dec`` is left to subtract.
    """
    free = _moved(parts, tied=False)
    if layout is None or parts.is_transcoder or not layout.refusal(free):
        return free
    return _moved(parts, tied=True)


def _moved(parts: Parts, tied: bool) -> Parts:
    scale, dtype = parts.scale, parts.W_enc.dtype
    W_enc, b_dec = parts.W_enc.double() * scale, (parts.b_dec.double() / scale).to(dtype)
    before = torch.zeros(parts.d_in, dtype=torch.float64)
    if parts.b_in is not None:
        before = parts.b_in.double() / scale
    after = b_dec.double() if tied else torch.zeros_like(before)
    shift = (after - before) @ W_enc
    biases: dict[str, Tensor] = {}
    if parts.b_enc is not None:
        biases["b_enc"] = (parts.b_enc.double() + shift).to(dtype)
    if parts.b_gate is not None and parts.b_mag is not None and parts.r_mag is not None:
        biases["b_gate"] = (parts.b_gate.double() + shift).to(dtype)
        biases["b_mag"] = (parts.b_mag.double() + shift * parts.r_mag.double().exp()).to(dtype)
    return replace(
        parts,
        W_enc=W_enc.to(dtype),
        W_dec=(parts.W_dec.double() / scale).to(dtype),
        b_dec=b_dec,
        b_in=b_dec.clone() if tied else None,
        scale=1.0,
        **biases,  # type: ignore[arg-type]
    )
