"""What must hold of a dictionary's tensors before it is one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from residuum.core import OptionError, ShapeError
from residuum.dictionaries.record.kinds import kind_of

_VECTORS = ("b_enc", "threshold", "b_gate", "b_mag", "r_mag")


def check_dictionary(dictionary: Any) -> None:
    """Refuse tensors that do not fit each other, the sites or the activation.

    Raises:
        ShapeError: a wrong shape or dtype, NaN or infinity.
        OptionError: a vector that the activation needs and is missing, or has no use for; a scale
            that is no positive number; sites that fit no kind; a label of no latent, or no text;
            more latents to keep than there are; names that are no texts.
    """
    kind_of(dictionary.reads, dictionary.writes, dictionary.W_skip is not None)
    _check_vectors(dictionary)
    wanted = _shapes(dictionary)
    for name, tensor in dictionary.tensors().items():
        _check_tensor(name, tensor, wanted[name], dictionary.W_enc)
    scale = dictionary.scale
    plain = isinstance(scale, (int, float)) and not isinstance(scale, bool)
    if not plain or not 0 < scale <= sys.float_info.max:
        raise OptionError(
            f"scale={scale!r:.40} is no positive number", mend="give 1.0 for no scaling"
        )
    _check_words(dictionary)
    n, k = dictionary.W_enc.shape[-1], getattr(dictionary.activation, "k", 1)
    if k > n:
        raise OptionError(f"k={k} of {n} latents", mend=f"give k from 1 to {n}")
    check_labels(dictionary.labels, n)


def check_labels(labels: Any, n_latents: int) -> None:
    """Refuse what is no mapping from latents to words.

    Raises:
        OptionError: it is none, a latent that the dictionary does not have, or no text.
    """
    if not isinstance(labels, Mapping):
        raise OptionError(
            f"labels are a {type(labels).__name__}", mend='give latent -> words, {3: "colours"}'
        )
    wrong = [key for key in labels if type(key) is not int or not 0 <= key < n_latents]
    if wrong:
        raise OptionError(
            f"a label for latent {wrong[0]!r:.40} of {n_latents}",
            mend=f"use the latents 0 to {n_latents - 1}",
        )
    for key, words in labels.items():
        if not isinstance(words, str):
            raise OptionError(f"the label of latent {key} is no text", mend="give a text")


def _check_words(dictionary: Any) -> None:
    texts = (dictionary.model_name, dictionary.tokenizer_hash, *dictionary.models)
    texts += () if dictionary.weight_hash is None else (dictionary.weight_hash,)
    if not all(isinstance(each, str) for each in texts):
        raise OptionError("a name or hash of the model is no text", mend="give texts")
    declared = dictionary.declared
    if not isinstance(declared, Mapping) or not all(isinstance(key, str) for key in declared):
        raise OptionError("declared is no mapping from names", mend='give {"l0": 14.0} or {}')


def _check_vectors(dictionary: Any) -> None:
    needs = set(dictionary.activation.needs)
    has = {name for name in _VECTORS if getattr(dictionary, name) is not None}
    kind = type(dictionary.activation).__name__
    if needs - has:
        raise OptionError(
            f"{kind} needs {', '.join(sorted(needs - has))}, which is not given",
            mend="give it as a tensor [latent]",
        )
    if has - needs:
        raise OptionError(
            f"{kind} has no use for {', '.join(sorted(has - needs))}",
            mend=f"give only {', '.join(sorted(needs))}",
        )


def _shapes(dictionary: Any) -> dict[str, tuple[int, ...]]:
    if dictionary.W_enc.ndim != 3 or dictionary.W_dec.ndim != 3:
        raise ShapeError(
            f"W_enc of shape {list(dictionary.W_enc.shape)} and W_dec of shape "
            f"{list(dictionary.W_dec.shape)}",
            mend="give [read d_in latent] and [latent write d_out]; one site has length 1",
        )
    _, d_in, n = dictionary.W_enc.shape
    d_out = dictionary.W_dec.shape[-1]
    reads, writes = len(dictionary.reads), len(dictionary.writes)
    return {
        "W_enc": (reads, d_in, n),
        "W_dec": (n, writes, d_in if dictionary.reads == dictionary.writes else d_out),
        "b_dec": (writes, d_out),
        "b_in": (reads, d_in),
        "W_skip": (d_in, d_out),
        **dict.fromkeys(_VECTORS, (n,)),
    }


def _check_tensor(name: str, tensor: Tensor, wanted: tuple[int, ...], like: Tensor) -> None:
    if tuple(tensor.shape) != wanted:
        raise ShapeError(
            f"{name} has shape {list(tensor.shape)}, {list(wanted)} was expected",
            mend="look at the order of the axes: W_enc [read d_in latent], "
            "W_dec [latent write d_out]",
            where=name,
        )
    if not tensor.is_floating_point() or tensor.dtype != like.dtype or tensor.device != like.device:
        raise ShapeError(
            f"{name} is {tensor.dtype} on {tensor.device}, W_enc {like.dtype} on {like.device}",
            mend="give all tensors in one floating dtype on one device",
            where=name,
        )
    if not bool(tensor.isfinite().all()):
        raise ShapeError(
            f"{name} holds NaN or infinity", mend="look where the tensor comes from", where=name
        )
