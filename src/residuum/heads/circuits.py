"""QK and OV circuits of one head: where it would look, and what it would write.

Row vectors throughout: a query stream ``x`` and a key stream ``y`` give the score ``x @ W_QK @ y``
(before the division by √d_head); a stream ``y`` that is attended to adds ``y @ W_OV``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from residuum.heads.circuit import Circuit
from residuum.heads.factored import FactoredMatrix
from residuum.heads.reading import (
    NormMap,
    embedding,
    head_of,
    norm_map,
    output_of,
    projection,
    unembedding,
    write_gain,
)
from residuum.heads.rotary import position_kind, rotation_between
from residuum.models import Layer
from residuum.runs import Model, refuse_unknown, whole_number
from residuum.runs.arguments import yes_or_no

_SCALE = "the division by √d_head (or the family's own factor) is left out"
_ROTARY = "rotary embedding is left out: these are the scores at relative offset 0"
_FROZEN = "each norm's division by the size of the stream is left out: one positive factor a place"


def qk(
    model: Model,
    layer: int,
    head: int,
    *,
    full: bool = False,
    fold: bool = True,
    offset: int | None = None,
    **unknown: Any,
) -> Circuit:
    """The QK circuit of one head: rows are what asks, columns what is asked.

    Args:
        model: a loaded model.
        layer, head: of the query head, from 0. In a grouped model the keys are those of its group
            (``circuit.kv_head``).
        full: through the embedding on both sides: ``[d_vocab d_vocab]``, tokens alone (no
            positions, and nothing that earlier layers add).
        fold: multiply the norm's gain (and LayerNorm's centring) into both readers. Exact but for
            the norm's division, one positive factor at each of the two positions. Without folding
            the bare weights, which read what the norm hands on.
        offset: rotary models: query so many positions after its key. None leaves rotary out, which
            is offset 0.

    Returns:
        The circuit; ``.matrix`` is factored, inner width ``d_head``. Constant terms (biases, also
        of a folded norm) are not in it and are listed in ``.biases``; what was left out is in
        ``.notes``. ALiBi, masks, sinks, soft caps and norms on queries and keys are never in it.

    Raises:
        OptionError: no model, an unknown option, an offset without rotary embedding.
        AddressError: a layer or head out of range, a block without known attention weights, or
            ``full`` where the embedding is not linear.
        CheckFailed: an adapter or a hook on the weights.
        ShapeError: NaN or infinity in these weights.

    Shows: which tokens would score high for which if these weights were driven by them alone. Does
    not show: that the model does drive them so; look at the pattern, and ablate.

    Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021), section
    "One-Layer Attention-Only Transformers"; the norm's folding is added here.

    >>> import residuum as rz
    >>> from residuum import heads
    >>> heads.qk(rz.load("microworld", check=False), 2, 3).shape
    (128, 128)
    """
    refuse_unknown(unknown, "qk", "full, fold, offset")
    _switches(full, fold)
    part, head, kv_head = head_of(model, layer, head, "qk", "qk")
    w_q, w_k = projection(part, "q", head), projection(part, "k", kv_head)
    norm = norm_map(part.ln1, model.dims.d_model) if fold else None
    biases = _input_biases(part, norm, {"Q": (w_q, head), "K": (w_k, kv_head)})
    if norm is not None:
        w_q, w_k = norm.fold(w_q), norm.fold(w_k)
    notes = [_SCALE, *_norm_notes(part, fold)]
    if offset is not None:
        whole_number(offset, "offset", 0)
        w_q = w_q @ rotation_between(model, part.index, offset).to(w_q)
        notes.append(f"rotary embedding for a query {offset} positions after its key")
    elif position_kind(model.adapted.parts) == "rotary":
        notes.append(_ROTARY)
    if position_kind(model.adapted.parts) == "alibi":
        notes.append("ALiBi's bias for distance is left out")
    if part.projections.q_norm is not None:
        notes.append("norms on queries and keys are left out")
    matrix = FactoredMatrix(w_q, w_k.T)
    if full:
        tokens = embedding(model)
        matrix = tokens @ matrix @ tokens.T
        notes.append("tokens alone: positions and earlier layers are left out")
    return _circuit(model, "QK", part, (head, kv_head), matrix, full, fold, biases, notes, offset)


def ov(
    model: Model,
    layer: int,
    head: int,
    *,
    full: bool = False,
    fold: bool = True,
    **unknown: Any,
) -> Circuit:
    """The OV circuit of one head: rows are what is attended to, columns what is written.

    Args:
        model: a loaded model.
        layer, head: of the query head; in a grouped model values are those of its group.
        full: from the embedding to the unembedding, ``[d_vocab d_vocab]``: how much each attended
            token raises each logit, by this head's direct path.
        fold: multiply the gain (and LayerNorm's centring) of the norm that it reads through, of a
            post-norm that it writes through, and with ``full`` of the final norm into the weights.
            Exact but for the norms' division, one positive factor at each place.

    Returns:
        The circuit; ``.matrix`` is factored, inner width ``d_head``. Constant terms are listed in
        ``.biases``, what was left out in ``.notes``. The family's factors on sub-layers and logits
        are in it; a soft cap of the logits is not.

    Raises:
        OptionError, AddressError, CheckFailed, ShapeError: as :func:`qk`.

    Shows: what the head would write if it attended to a token. Does not show: that it attends
    there, nor what later layers make of it.

    Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021), section
    "One-Layer Attention-Only Transformers".

    >>> import residuum as rz
    >>> from residuum import heads
    >>> circuit = heads.ov(rz.load("microworld", check=False), 3, 7, full=True)
    >>> circuit.shape, circuit.matrix.inner
    ((553, 553), 16)
    """
    refuse_unknown(unknown, "ov", "full, fold")
    _switches(full, fold)
    part, head, kv_head = head_of(model, layer, head, "ov", "vo")
    norm = norm_map(part.ln1, model.dims.d_model) if fold else None
    w_v, w_o = projection(part, "v", kv_head), output_of(part, head)
    biases = _input_biases(part, norm, {"V": (w_v, kv_head)})
    w_v = w_v if norm is None else norm.fold(w_v)
    notes = list(_norm_notes(part, fold))
    after = write_gain(part, model.dims.d_model) if fold else None
    if after is not None:
        w_o = after.apply(w_o)
    elif part.post_attn_norm is not None:
        notes.append("the norm after attention is left out")
    matrix = FactoredMatrix(w_v, w_o)
    if full:
        unembed, more = unembedding(model, fold)
        matrix = embedding(model) @ matrix @ unembed
        biases |= more
        notes.append("the direct path alone: positions and all other layers are left out")
        if model.adapted.family.logit_softcap:
            notes.append("the soft cap on the logits is left out")
    return _circuit(model, "OV", part, (head, kv_head), matrix, full, fold, biases, notes, None)


def _switches(full: Any, fold: Any) -> None:
    yes_or_no(full, "full")
    yes_or_no(fold, "fold")


def _norm_notes(part: Layer, fold: bool) -> tuple[str, ...]:
    norms = (part.ln1, part.post_attn_norm)
    if all(each is None or isinstance(each, nn.Identity) for each in norms):
        return ()
    return (_FROZEN,) if fold else ("unfolded: norms are left out altogether",)


def _input_biases(
    part: Layer, norm: NormMap | None, slots: dict[str, tuple[Tensor, int]]
) -> dict[str, Tensor]:
    """Constants that the projections add, ``[d_head]`` each."""
    biases: dict[str, Tensor] = {}
    for letter, (weight, head) in slots.items():
        stored = part.projections.bias(letter.lower())
        if stored is not None:
            biases[f"b_{letter}"] = stored[head].detach()
        if norm is not None and bool(norm.bias.any()):
            biases[f"b_ln1 @ W_{letter}"] = norm.bias.to(weight) @ weight
    return biases


def _circuit(
    model: Model,
    kind: str,
    part: Layer,
    heads: tuple[int, int],
    matrix: FactoredMatrix,
    full: bool,
    fold: bool,
    biases: dict[str, Tensor],
    notes: list[str],
    offset: int | None,
) -> Circuit:
    call = f"{kind.lower()}(L{part.index}H{heads[0]}, full={full}, fold={fold}, offset={offset})"
    return Circuit(
        kind=kind,
        layer=part.index,
        head=heads[0],
        kv_head=heads[1],
        matrix=matrix,
        full=full,
        folded=fold,
        offset=offset,
        biases={name: value for name, value in biases.items() if bool(value.any())},
        notes=tuple(notes),
        words=lambda ids: tuple(model.to_str_tokens(torch.as_tensor(list(ids)))),
        ends=_ends(model, fold),
        provenance=model.provenance(strategy=call),
    )


def _ends(model: Model, fold: bool) -> Any:
    """Embedding and unembedding, made when somebody reads directions off as tokens."""

    def ends() -> tuple[Tensor, Tensor]:
        return embedding(model), unembedding(model, fold)[0]

    return ends
