"""Which layers of a model have a site, and why others do not: a view shows what there is."""

from __future__ import annotations

from residuum.core import Address, AddressError, OptionError, TokenError
from residuum.runs import Model, Run


def layers_with(model: Model, *names: str) -> list[int]:
    """Layers that have all of these sites, proven at load."""
    there = set(model.adapted.taps)
    layers = range(model.n_layers)
    return [i for i in layers if all(Address(name, i) in there for name in names)]


def missing(model: Model, *names: str) -> dict[str, str]:
    """Address -> why this model does not have it, for these sites at every layer."""
    there, refused = set(model.adapted.taps), model.adapted.refused
    places = [Address(name, i) for i in range(model.n_layers) for name in names]
    return {
        str(at): refused.get(at, f"blocks of {model.adapted.family.name} have no {at.name}")
        for at in places
        if at not in there
    }


def need_layers(model: Model, view: str, *names: str) -> list[int]:
    """Layers that have all of these sites.

    Raises:
        AddressError: there is none.
    """
    found = layers_with(model, *names)
    if not found:
        why = next(iter(missing(model, *names).values()), "")
        raise AddressError(
            f"{view} needs {' and '.join(names)}, which this model does not have: {why}",
            mend="look at it in another view; residuum doctor MODEL lists the sites",
            where=names[0],
        )
    return found


def need_layer(model: Model, layer: int, head: int, layers: list[int]) -> None:
    """Refuse a layer or a head that is not there.

    Raises:
        AddressError: says which are.
    """
    if layer not in layers:
        raise AddressError(
            f"no attention at layer {layer}", mend=f"use one of: {', '.join(map(str, layers))}"
        )
    if head >= model.n_heads:
        raise AddressError(
            f"no head {head}: a layer has {model.n_heads}", mend=f"use 0 to {model.n_heads - 1}"
        )


def position(run: Run, pos: int) -> int:
    """A position counted from the first token; negative ones are counted from the end.

    Raises:
        TokenError: the prompt is shorter.
    """
    length = run.ids.shape[1]
    if not -length <= pos < length:
        raise TokenError(
            f"no position {pos}: the prompt has {length} tokens",
            mend=f"use {-length} to {length - 1}",
        )
    return pos % length


def need_token(model: Model, *tokens: int) -> None:
    """Refuse ids outside the vocabulary.

    Raises:
        TokenError: names the first of them.
    """
    for token in tokens:
        if not 0 <= token < model.d_vocab:
            raise TokenError(
                f"no token {token}: the vocabulary has {model.d_vocab}",
                mend=f"use 0 to {model.d_vocab - 1}",
            )


def need_same_length(run: Run, minus: Run | None) -> None:
    """Refuse a difference of prompts of different lengths.

    Raises:
        OptionError: says both.
    """
    if minus is not None and run.ids.shape != minus.ids.shape:
        raise OptionError(
            f"a prompt of {run.ids.shape[1]} tokens less one of {minus.ids.shape[1]}: their "
            "positions do not line up",
            mend="compare prompts of one length",
        )
