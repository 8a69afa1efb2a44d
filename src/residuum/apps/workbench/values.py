"""Tensors for edits: from a run, a mean, reference rows, the unembedding, or plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, ShapeError, TokenError
from residuum.runs import Capture, Model, Run, make_task, resolve

Value = tuple[Any, str]
"""A tensor, and one line that says what it is."""


def from_run(model: Model, run: Run, ident: str, at: str) -> Value:
    """What patching from a run writes at ``at``.

    Raises:
        AddressError: ``at`` means several sites, or a head or position that is not there.
    """
    (address,) = resolve(model.adapted, one_site(at), run.batch)
    return run.site_value(address), f"{address} of run {ident}"


def from_task(model: Model, kind: str, task: str, n: int, seed: int, at: str) -> Value:
    """A site's mean over a task's clean prompts, or its rows there to draw from.

    Raises:
        AddressError: ``at`` means several sites.
        TaskError: no such task for this model.
    """
    address = one_site(at)
    pairs = make_task(task, model, n=n, seed=seed)
    reduce = "mean" if kind == "mean" else None
    request = Capture(address, reduce=reduce)
    mask = pairs.attention_mask
    run = model.run(pairs.clean, attention_mask=mask, capture=[request], logits=False)
    (value,) = run.captured.values()
    if mask is not None and reduce is None and address.pos is None:
        raise ShapeError(
            f"prompts of {task} differ in length, so their rows at {address} do not fit a prompt",
            mend=f"name a position, such as {address}@-1",
        )
    what = f"mean of {address}" if reduce else f"rows of {address} to draw from"
    return value, f"{what} over {n} clean prompts of {task}, seed {seed}"


def from_unembedding(model: Model, tokens: Sequence[int], scale: float) -> Value:
    """The direction that writes a token, or one token rather than another, ``[d_model]``.

    Raises:
        TokenError: no such token.
    """
    for each in tokens:
        if each >= model.d_vocab:
            raise TokenError(
                f"token id {each} is out of range", mend=f"use 0 to {model.d_vocab - 1}"
            )
    weights: Any = model.W_U
    columns: Tensor = weights[:, list(tokens)].detach()
    direction = columns[:, 0] - columns[:, 1] if len(tokens) == 2 else columns[:, 0]
    names = " − ".join(ascii(each) for each in model.to_str_tokens(list(tokens)))
    note = f"unembedding of {names}; the final norm stands between it and the logits"
    return scale * direction, note


def from_numbers(values: Any) -> Value:
    """Plain numbers, as float32.

    Raises:
        ShapeError: not an array of finite numbers.
    """
    try:
        tensor = torch.tensor(values, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ShapeError(
            "the values are no array of numbers", mend="give numbers, or equal lists of them"
        ) from error
    if not tensor.numel():
        raise ShapeError("the values are empty", mend="give at least one number")
    return tensor, "one number" if tensor.ndim == 0 else f"numbers of shape {list(tensor.shape)}"


def one_site(at: str) -> Address:
    """An address that means one site of the model.

    Raises:
        AddressError: it cannot be read, or means several.
    """
    address = Address.parse(at)
    if address.is_query or address.dictionary is not None:
        raise AddressError(
            f"{address} may mean several sites, each with a value of its own",
            mend="name one site, such as L2.z[H3]@-1",
        )
    return address


def needed(at: str) -> str:
    """The site to capture for a value at ``at``."""
    return str(one_site(at).base)
