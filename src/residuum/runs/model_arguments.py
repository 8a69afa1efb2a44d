"""The arguments of a model's verbs: prompts, masks, edits; what is none of them is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from residuum.core import Edit, OptionError, TokenError
from residuum.models import Batch, Tokens
from residuum.runs.arguments import shown


def batch_of(tokens: Tokens, prompts: Any, mask: Tensor | None, bos: bool | None) -> Batch:
    """The prompts of a run as one batch, with the user's mask where one is given.

    Raises:
        TokenError: no prompts. OptionError: no mask, or one that does not fit.
    """
    batch = tokens.batch(prompts, bos)
    if mask is None:
        return batch
    if not isinstance(prompts, Tensor):
        raise OptionError(
            "attention_mask goes with a tensor of ids",
            mend="give texts or id lists without a mask; they are padded for you",
        )
    real = _real_tokens(mask, batch.ids)
    return tokens.batch(Batch(batch.ids, None if bool(real.all()) else real))


def _real_tokens(mask: Any, ids: Tensor) -> Tensor:
    """The mask as booleans ``[batch pos]``."""
    if not isinstance(mask, Tensor) or bool(((mask != 0) & (mask != 1)).any()):
        raise OptionError(
            "attention_mask is a tensor of ones (tokens) and zeros (padding)",
            mend="give one, [batch pos]; additive masks are made from it",
        )
    if mask.shape != ids.shape:
        raise OptionError(
            f"attention_mask has shape {list(mask.shape)}, the ids {list(ids.shape)}",
            mend="give one number for each id",
        )
    real = mask.bool().cpu()
    jumps = (real[:, 1:].int() - real[:, :-1].int()).abs().sum(dim=1)
    if not bool(real.any(dim=1).all()) or bool((jumps > 1).any()):
        raise OptionError(
            "attention_mask must be one run of ones in each row",
            mend="pad on the left or on the right, not in the middle",
        )
    return real


def as_edits(edits: Any) -> Sequence[Edit]:
    """Edits as a tuple; what is none of them is left to be refused by name."""
    if edits is None:
        return ()
    if isinstance(edits, Iterable) and not isinstance(edits, str):
        return tuple(edits)
    one: Any = edits
    return (one,)


def need_prompts(prompts: Any, prepend_bos: Any) -> None:
    """What tokens are made of, before they are made."""
    if isinstance(prompts, (list, tuple)) and not prompts:
        raise TokenError("the list of prompts is empty", mend="give at least one prompt")
    need_bos(prepend_bos)


def need_bos(prepend_bos: Any) -> None:
    """Refuse what says neither yes, no, nor "as the tokenizer does".

    Raises:
        OptionError: it is none of the three.
    """
    if prepend_bos is not None and type(prepend_bos) is not bool:
        raise OptionError(
            f"prepend_bos={shown(prepend_bos)} is no switch", mend="give True, False or None"
        )


def row_of_ids(ids: Any) -> Tensor:
    """Token ids as one row ``[pos]``.

    Raises:
        TokenError: no ids.
    """
    try:
        row = torch.as_tensor(ids).flatten()
    except (TypeError, ValueError, RuntimeError):
        row = None
    if row is not None and not row.numel():
        return row.long()
    if row is None or row.is_floating_point() or row.is_complex() or row.dtype == torch.bool:
        raise TokenError(
            f"cannot read {shown(ids)} as text or token ids", mend="give a text, or a row of ids"
        )
    return row


def refuse_unknown_of(verb: str, unknown: dict[str, Any]) -> None:
    """Refuse options that a model's verb does not have.

    Raises:
        OptionError: there are some.
    """
    if unknown:
        raise OptionError(
            f"unknown option {', '.join(sorted(unknown))} of {verb}",
            mend=f"see help(model.{verb}) for its options",
        )


def refuse_for_loaded(options: dict[str, Any]) -> None:
    """A model in memory is taken as it is."""
    names = ("dtype", "device_map", "revision", "allow_pickle")
    given = [name for name in names if options.get(name)]
    if given:
        raise OptionError(
            f"{', '.join(given)} cannot be chosen for a model that is in memory already",
            mend="load it so in transformers, or give a name or folder here",
        )
