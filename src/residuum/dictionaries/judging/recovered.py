"""What a model loses with a dictionary in a site's place, token by token, against its ablation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, Edit, Patch, Splice
from residuum.dictionaries.judging.judged_rows import JudgedBatch, through
from residuum.runs import Model

_NAME = "judged"
WAYS = ("spliced", "zero", "mean")
"""What is put in the site's place: the reconstruction, zeros, the site's mean."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A dictionary that leaves some tokens alone, with the face that ``Splice`` asks for.

    Attributes:
        made: from what the site holds to its reconstruction.
        keep: ``[batch pos]`` tokens to replace.
    """

    made: Callable[[Tensor], Tensor]
    keep: Tensor

    def encode(self, x: Tensor) -> Tensor:
        """The input itself: reading and writing are one step here."""
        return x

    def decode(self, latents: Tensor) -> Tensor:
        """The reconstruction where tokens are replaced, else the input."""
        keep = self.keep.to(latents.device)[..., None]
        return torch.where(keep, self.made(latents).to(latents.dtype), latents)


def losses_with(model: Model, dictionary: Any, read: JudgedBatch, mean: Tensor) -> dict[str, Any]:
    """Loss of the next token and divergence from the model's own prediction, for each way.

    Args:
        model: the judged model; it is left as it is.
        dictionary: with its sites.
        read: a pass with logits.
        mean: ``[write d]`` of the written sites.

    Returns:
        ``documents [token]``; ``loss_model``, ``loss_spliced``, ``loss_zero``, ``loss_mean`` in
        nats ``[token]``; ``kl_spliced``, ``kl_zero``, ``kl_mean`` in nats ``[token]``. Tokens are
        those replaced whose next token is text.
    """
    counted, following = predicted(read)
    base = read.run.logits
    assert base is not None
    own = base[:, :-1].float()[counted].log_softmax(-1)
    found: dict[str, Any] = {"documents": read.documents[:, :-1][counted.cpu()]}
    found["loss_model"] = _nll(own, following)
    for way in WAYS:
        hung, edits = _edits(model, dictionary, read, way, mean)
        run = hung.run(read.tokens, edits=edits)
        assert run.logits is not None
        other = run.logits[:, :-1].float()[counted].log_softmax(-1)
        found[f"loss_{way}"] = _nll(other, following)
        found[f"kl_{way}"] = (own.exp() * (own - other)).sum(-1)
    return found


def predicted(read: JudgedBatch) -> tuple[Tensor, Tensor]:
    """Which tokens predict a token of the text, ``[batch pos-1]``, and those tokens' ids."""
    mask = read.tokens.mask
    counted = read.keep[:, :-1].clone()
    if mask is not None:
        counted &= mask[:, 1:].bool()
    following = read.tokens.ids[:, 1:][counted]
    return counted, following


def _nll(logprobs: Tensor, following: Tensor) -> Tensor:
    return -logprobs.gather(1, following.to(logprobs.device)[:, None])[:, 0]


def _edits(
    model: Model, dictionary: Any, read: JudgedBatch, way: str, mean: Tensor
) -> tuple[Model, list[Edit]]:
    """The model with the dictionary hung on it (the one given stays as it is), and the edits."""
    reads, writes = tuple(dictionary.reads), tuple(dictionary.writes)
    if way == "spliced" and reads == writes and len(reads) == 1:
        return hung_with(model, lambda x: _rebuilt(dictionary, x), read.keep, writes[0])
    if way == "spliced":
        made = through(dictionary, read.values(reads), "reconstruct")
        made = made[:, :, None] if len(writes) == 1 else made
    else:
        rows = mean if way == "mean" else torch.zeros_like(mean)
        made = rows.expand(*read.keep.shape, *rows.shape)
    return model, [
        patch_of(read, at, made[:, :, index].to(read.run[at].device))
        for index, at in enumerate(writes)
    ]


def hung_with(
    model: Model, made: Callable[[Tensor], Tensor], keep: Tensor, at: Address
) -> tuple[Model, list[Edit]]:
    """A second face of the same model with one dictionary on it, and the edit that splices it."""
    hung = Model(model.adapted, model.report)
    hung.dictionaries[_NAME] = Kept(made, keep)
    return hung, [Splice(at, _NAME)]


def patch_of(read: JudgedBatch, at: Address, made: Tensor) -> Patch:
    """Write ``made [batch pos d]`` at the tokens that count, and the site's own value elsewhere."""
    held = read.run[at]
    flat = held.flatten(2)
    value = torch.where(read.keep.to(flat.device)[..., None], made.to(flat.dtype), flat)
    return Patch(at, value.reshape(held.shape))


def _rebuilt(dictionary: Any, x: Tensor) -> Tensor:
    return through(dictionary, x.flatten(2).float(), "reconstruct").reshape(x.shape)
