"""The logit lens: the stream, or a part of it, through the final norm and the unembedding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, OptionError
from residuum.lenses.broken_numbers import need_finite
from residuum.lenses.final_norm import freeze_norm, logit_factor, need_sum
from residuum.lenses.lens_reading import FROZEN_SCALE, OWN_SCALE, LensReading
from residuum.lenses.prompts import one_prompt, token_id
from residuum.lenses.vocabulary_chunks import Unembed, distributions
from residuum.models import final_logits, logits_of
from residuum.runs import (
    Capture,
    Model,
    Run,
    need_model,
    prove_unembedding,
    prove_weights,
    refuse_unknown,
)

STREAM = ("resid_pre", "resid_mid", "resid_post")
PARTS = ("attn_out", "mlp_out", "head_out")


@dataclass(frozen=True)
class Row:
    """One row of a reading: its label and what it hands the unembedding, ``[pos d_model]``."""

    label: str
    normed: Tensor
    unembed: Unembed


def unembed(model: Model, stream: Tensor) -> Tensor:
    """Logits that the model would give if ``stream`` ``[... d_model]`` were its last residual.

    The final norm is applied at the stream's own scale, then the unembedding and the family's own
    scaling and soft cap.
    """
    with torch.no_grad():
        return final_logits(model.adapted.parts, stream)


def logit_lens(
    model: Model,
    prompt: Any,
    *,
    site: str = "resid_post",
    top: int = 5,
    track: Sequence[str | int] | str | int | None = (),
    **unknown: Any,
) -> LensReading:
    """Read every layer of one prompt through the unembedding.

    The vocabulary is read in slices: nothing of layers × tokens × vocabulary is ever held.

    Args:
        model: a loaded model.
        prompt: a text, or one row of token ids.
        site: ``resid_post`` (the embedding is then a row of its own), ``resid_pre`` or
            ``resid_mid``: the final norm is applied at the stream's own scale. Or a part,
            ``attn_out``, ``mlp_out`` or ``head_out``, one layer's or head's (``L2.head_out[H3]``)
            or all: the final norm is then the linear map that it was in this run (frozen scale, no
            bias, no soft cap), so that the parts' logits add up.
        top: how many likely tokens to keep.
        track: words or ids to follow through the layers; None follows none.

    Returns:
        For each layer and position the likely tokens with probabilities (0 to 1), the tracked
        tokens' logits and probabilities, entropy and KL(layer || output) in bits.

    Raises:
        OptionError: no model; an unknown option; several prompts; ``top`` out of range; a site that
            is neither the stream nor a part of it.
        AddressError: a layer or head out of range; a part in a model whose stream is no sum.
        TokenError: no prompt; a tracked word that is not a single token.
        CheckFailed: a part of a model with an adapter or a hook on its unembedding or (heads) on an
            output projection.
        ShapeError: NaN or infinity in the model; the message names where they begin.

    Shows: what the unembedding reads off the stream, or what a part writes straight into the
    logits. Does not show: that later layers read it so, nor that the model uses it; for that, patch
    the stream.

    Source: nostalgebraist, "interpreting GPT: the logit lens" (2020). The embedding is
    shown as a layer of its own.

    >>> import residuum as rz
    >>> reading = rz.logit_lens(rz.load("microworld"), "Mary went to the store .")
    >>> bool((reading.kl_bits[-1] < 1e-4).all())
    True
    """
    refuse_unknown(unknown, "logit_lens", "site, top, track")
    need_model(model, "logit_lens")
    check_top(model, top)
    places = _places(model, site)
    last = f"L{model.n_layers - 1}.resid_post"
    run = run_one(model, prompt, [*dict.fromkeys([*places.values(), last])])
    part = Address.parse(next(iter(places.values()))).name in PARTS
    make = _part_rows if part else _stream_rows
    rows = make(model, run, places, last)
    found = read_rows(model, run, rows, top, tracked_ids(model, track))
    name = Address.parse(site).name if "." in site else site
    return LensReading(
        **found,
        provenance=model.provenance(strategy=f"logit_lens({site}, top={top})"),
        site=name,
        norm=FROZEN_SCALE if part else OWN_SCALE,
    )


def check_top(model: Model, top: Any) -> None:
    """Refuse a number of likely tokens that there are not."""
    if type(top) is not int or not 1 <= top <= model.d_vocab:
        raise OptionError(f"top={top!r} is out of range", mend=f"use 1 to {model.d_vocab}")


def run_one(model: Model, prompt: Any, capture: Sequence[str]) -> Run:
    """Run one prompt as far as its last stream.

    Raises:
        TokenError: no prompt, or one that cannot be read.
        OptionError: several prompts.
    """
    batch = one_prompt(model, prompt, "the lens")
    return model.run(batch, capture=[Capture(each) for each in capture], logits=False)


def _places(model: Model, site: Any) -> dict[str, str]:
    """Label of each row -> address of its tensor."""
    at = Address.parse(site)
    whole = isinstance(at.layer, (int, str, type(None))) and at.pos is None
    if at.name not in STREAM + PARTS or not whole or at.dictionary is not None:
        raise OptionError(
            f"the lens does not read {site!r}",
            mend=f"use {', '.join(STREAM + PARTS)}, or one layer's or head's, such as "
            "'L0.mlp_out' or 'L0.head_out[H1]'",
        )
    if at.name in PARTS:
        need_sum(model.adapted.parts, f"reading {at.name}")
        prove_unembedding(model)
    if at.name == "head_out":
        prove_weights(model, model.adapted.parts.layers, "o")
    layers = range(model.n_layers) if at.layer in (None, "*") else [at.layer]
    there = [i for i in layers if _is_there(model, Address(at.name, i), at.layer in (None, "*"))]
    if not there:
        raise AddressError(
            f"this model has no {at.name}", mend="residuum doctor MODEL lists its sites"
        )
    if at.name != "head_out":
        begin = {"embed": "L0.resid_pre"} if site == "resid_post" else {}
        return begin | {f"L{i}": f"L{i}.{at.name}" for i in there}
    heads = range(model.n_heads) if at.part in (None, "*") else [at.part]
    return {f"L{i}H{h}": f"L{i}.head_out[H{h}]" for i in there for h in heads}


def _is_there(model: Model, at: Address, of_all: bool) -> bool:
    """Whether a layer has the site; where it was asked for by number, running it says why not."""
    return not of_all or at in model.adapted.taps or at in model.adapted.refused


def _stream_rows(model: Model, run: Run, places: dict[str, str], last: str) -> list[Row]:
    del last
    return [stream_row(model, label, run[at][0]) for label, at in places.items()]


def stream_row(model: Model, label: str, stream: Tensor) -> Row:
    """A row that reads a stream ``[pos d_model]`` as the model reads its last."""
    parts = model.adapted.parts
    norm = parts.final_norm
    with torch.no_grad():
        normed = stream if norm is None else norm(stream)
    return Row(label, normed, lambda x, ids: logits_of(parts, x, ids))


def _part_rows(model: Model, run: Run, places: dict[str, str], last: str) -> list[Row]:
    """Rows of parts: through the frozen final norm and the bare unembedding."""
    norm = freeze_norm(model.adapted.parts.final_norm, run[last][0])
    matrix, factor = model.W_U, logit_factor(model.adapted.parts)
    assert isinstance(matrix, Tensor)

    def add(x: Tensor, ids: Tensor | None) -> Tensor:
        chosen = matrix if ids is None else matrix[:, ids.to(matrix.device)]
        return (x.to(matrix) @ chosen) * factor

    return [Row(label, norm.parts(run[at][0]).to(matrix), add) for label, at in places.items()]


def read_rows(
    model: Model, run: Run, rows: Sequence[Row], top: int, ids: Sequence[int]
) -> dict[str, Any]:
    """The fields of a reading that come from its rows."""
    ends = stream_row(model, "", run[f"L{model.n_layers - 1}.resid_post"][0])
    made, base = distributions(
        [(row.normed, row.unembed) for row in rows],
        (ends.normed, ends.unembed),
        model.d_vocab,
        top,
        ids,
    )
    top_ids = torch.stack([each.ids for each in made]).cpu()
    logits = torch.stack([each.tracked for each in made]).cpu()
    mass = torch.stack([each.log_mass for each in made]).cpu()
    mean = torch.stack([each.total for each in made]).cpu() / model.d_vocab
    best = torch.stack([each.values for each in made]).cpu()
    entropy = torch.stack([each.entropy_bits() for each in made]).cpu()
    kl = torch.stack([each.kl_bits(base) for each in made]).cpu()
    need_finite(
        model, run.batch, "the lens's reading", (entropy, kl, logits, *run.captured.values())
    )
    return {
        "layers": tuple(row.label for row in rows),
        "tokens": run.tokens[0] if run.tokens else tuple(model.to_str_tokens(run.ids[0])),
        "top_ids": top_ids,
        "top_probs": (best - mass[..., None]).exp(),
        "top_words": tuple(
            tuple(tuple(model.to_str_tokens(row)) for row in layer) for layer in top_ids
        ),
        "tracked": tuple(ids),
        "tracked_logits": logits - mean[..., None],
        "tracked_probs": (logits - mass[..., None]).exp(),
        "entropy_bits": entropy,
        "kl_bits": kl,
    }


def tracked_ids(model: Model, track: Any) -> list[int]:
    """Ids of the words (or ids) to follow."""
    if track is None:
        return []
    one = isinstance(track, str) or not isinstance(track, Iterable)
    words: list[Any] = [track] if one else [*track]  # pyright: ignore[reportGeneralTypeIssues]
    return [token_id(model, each, "cannot be tracked") for each in words]
