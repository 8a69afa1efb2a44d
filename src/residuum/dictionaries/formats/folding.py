"""Moving a scale and an input bias into the weights, for formats that have no field for them."""

from __future__ import annotations

from dataclasses import replace

import torch

from residuum.dictionaries.formats.parts import Format, Parts


def folded(parts: Parts, tied_for: Format | None = None) -> Parts:
    """The same function without a scale, and with the input bias moved into ``b_enc``.

    Computed in float64. With ``tied_for``, a format that subtracts ``b_dec`` from its input, the
    bias is moved so far that exactly ``b_dec`` is left to subtract.
    """
    if parts.activation == "gated":
        return _folded_gates(parts, tied_for)
    scale, dtype = parts.scale, parts.W_enc.dtype
    W_enc, b_dec = parts.W_enc.double() * scale, parts.b_dec.double() / scale
    b_in = torch.zeros(parts.d_in).double() if parts.b_in is None else parts.b_in.double() / scale
    assert parts.b_enc is not None
    free = replace(
        parts,
        W_enc=W_enc.to(dtype),
        W_dec=(parts.W_dec.double() / scale).to(dtype),
        b_dec=b_dec.to(dtype),
        b_enc=(parts.b_enc.double() - b_in @ W_enc).to(dtype),
        b_in=None,
        scale=1.0,
    )
    if tied_for is None or not tied_for.refusal(free) or parts.is_transcoder:
        return free
    tied_enc = (parts.b_enc.double() + (b_dec - b_in) @ W_enc).to(dtype)
    return replace(free, b_enc=tied_enc, b_in=free.b_dec.clone())


def _folded_gates(parts: Parts, tied_for: Format | None) -> Parts:
    assert parts.b_gate is not None and parts.b_mag is not None and parts.r_mag is not None
    gate = replace(folded(replace(parts, activation="relu", b_enc=parts.b_gate), tied_for))
    size = replace(
        parts, activation="relu", W_enc=parts.W_enc * parts.r_mag.exp(), b_enc=parts.b_mag
    )
    if gate.b_in is not None:
        size = replace(folded(size, tied_for), b_in=gate.b_in)
    else:
        size = folded(size)
    return replace(gate, activation="gated", b_enc=None, b_gate=gate.b_enc, b_mag=size.b_enc)
