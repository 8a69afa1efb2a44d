"""Several sets of examples as one, and whether examples belong to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from residuum.core import OptionError, TaskError
from residuum.runs import Model


def joined_fields(parts: Sequence[Any]) -> dict[str, Any]:
    """One set after the other, as the fields of ``Examples`` that change.

    Raises:
        OptionError: no sets.
        TaskError: other classes, or ids of other tokenizers.
    """
    if not parts:
        raise OptionError("there are no examples to join", mend="give at least one set")
    first = parts[0]
    for other in parts[1:]:
        if (other.classes, other.tokenizer_hash) != (first.classes, first.tokenizer_hash):
            raise TaskError(
                f"examples of {', '.join(first.classes)} and of {', '.join(other.classes)} "
                "(or of another tokenizer) do not go together",
                mend="make them with the same labels and the same model",
            )
    longest = max(each.ids.shape[1] for each in parts)
    wide = [(0, longest - each.ids.shape[1]) for each in parts]
    grouped = all(each.groups for each in parts)
    pairs = [each.pairs for each in parts if each.pairs is not None]
    return {
        "ids": torch.cat([pad(each.ids, by) for each, by in zip(parts, wide, strict=True)]),
        "mask": torch.cat([pad(each.mask, by) for each, by in zip(parts, wide, strict=True)]),
        "labels": torch.cat([each.labels for each in parts]),
        "positions": torch.cat([each.positions for each in parts]),
        "groups": tuple(group for each in parts for group in each.groups) if grouped else (),
        "pairs": torch.cat(pairs) if len(pairs) == len(parts) else None,
    }


def need_fitting(examples: Any, model: Model) -> None:
    """Refuse a model whose tokenizer, vocabulary or context these ids do not belong to.

    Raises:
        TaskError: says which of them.
    """
    other = model.adapted.tokens.hash()
    if examples.tokenizer_hash and other and other != examples.tokenizer_hash:
        raise TaskError(
            "the examples' ids belong to another tokenizer than this model's",
            mend="make the examples again from their texts with this model",
            where=examples.source,
        )
    longest, highest = int(examples.lengths.max()), int(examples.ids.max())
    if highest >= model.d_vocab or (model.n_ctx is not None and longest > model.n_ctx):
        raise TaskError(
            f"the examples have ids up to {highest} and up to {longest} tokens; the model has "
            f"{model.d_vocab} tokens and a context of {model.n_ctx}",
            mend="make the examples again with this model, or shorten them",
            where=examples.source,
        )
