"""Between dictionaries and other tools' files: ``rz.convert_dictionary(dictionary, folder, ...)``.

What a format has no field for is refused, or folded into the weights where that is asked for; what
it merely does not record (model, declared figures, labels) is written beside its own fields, and
comes back.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import OptionError, StoreError
from residuum.core.paths import as_path
from residuum.dictionaries.formats import (
    CircuitTracer,
    DictionaryLearning,
    Format,
    GemmaScope1,
    GemmaScope2,
    Parts,
    Place,
    SAELens,
    Sparsify,
)
from residuum.dictionaries.formats.as_dictionary import NAMES, NOTED, note_of
from residuum.dictionaries.formats.folding import folded
from residuum.dictionaries.record.dictionary import VECTORS, Dictionary

FORMATS: tuple[Format, ...] = (
    SAELens(), DictionaryLearning(), Sparsify(), GemmaScope1(), GemmaScope2(), CircuitTracer(),
)  # fmt: skip
"""In the order in which files are tried; no two fit the same files."""
OWN = "residuum"
"""Name of this project's own format."""
OWN_FILES = ("dictionary.json", "dictionary.safetensors")


def convert_dictionary(
    dictionary: Dictionary, folder: str | Path, *, format: str, fold: bool = False
) -> Path:
    """Write a dictionary as another tool's files.

    Args:
        dictionary: of one site in and one site out.
        folder: is made where it is missing.
        format: ``"saelens"``, ``"dictionary_learning"``, ``"sparsify"``, ``"gemma_scope"``,
            ``"gemma_scope_2"``, ``"circuit_tracer"``.
        fold: a scale of inputs, and a bias subtracted from them, that the format has no field for
            are folded into the weights: the same function up to rounding.

    Returns:
        The folder. ``load_dictionary`` of it gives the dictionary back to the last bit, unless
        something was folded.

    Raises:
        OptionError: an unknown format; a dictionary that the format cannot hold.
        StoreError: the folder cannot be written to, or holds a dictionary of another format.

    Source: the formats as their tools write them; see ``docs/howto/dictionary-formats.md``.

    >>> import tempfile, torch
    >>> from residuum.core import Address
    >>> from residuum.dictionaries import TopK
    >>> at, eye = (Address("L1.resid_post"),), torch.eye(3)
    >>> plain = Dictionary(at, at, W_enc=eye[None], W_dec=eye[:, None], b_dec=torch.zeros(1, 3),
    ...                    activation=TopK(1), b_enc=torch.zeros(3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = convert_dictionary(plain, folder, format="saelens")
    ...     sorted(each.name for each in made.iterdir())
    ['cfg.json', 'sae_weights.safetensors']
    """
    layout = format_named(format)
    parts = replace(parts_of(dictionary), format=layout.name)
    if fold and layout.refusal(parts):
        parts = folded(parts, layout)
    reason = layout.refusal(parts)
    if reason:
        could = "" if fold else "; " + (_foldable(parts, layout) or "fold=True does not help")
        raise OptionError(
            f"{layout.name} cannot hold this dictionary: {reason}",
            mend=f"keep it with dictionary.save(folder){could}",
        )
    target = as_path(folder)
    _need_no_other(target, layout)
    try:
        target.mkdir(parents=True, exist_ok=True)
        layout.write(parts, target)
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror or error}",
            mend="give a folder that can be made and has room",
            where=str(target),
        ) from error
    return target


def _need_no_other(folder: Path, layout: Format) -> None:
    """Files of two formats in one folder: what is opened there later would be a matter of luck."""
    place = Place(folder, None)
    others = [each.name for each in FORMATS if each is not layout and each.matches(place)]
    if place.has(*OWN_FILES):
        others.append(OWN)
    if others:
        raise StoreError(
            f"the folder holds a dictionary of {' and '.join(others)} already",
            mend="give a folder of its own to each format",
            where=str(folder),
        )


def format_named(name: Any) -> Format:
    """The format of this name.

    Raises:
        OptionError: there is none.
    """
    for each in FORMATS:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in FORMATS)
    raise OptionError(f"format={name!r:.40} is not known", mend=f"use one of: {names}")


def parts_of(dictionary: Dictionary) -> Parts:
    """A dictionary as its tensors, for writing.

    Raises:
        OptionError: it reads or writes several sites.
    """
    if len(dictionary.reads) != 1 or len(dictionary.writes) != 1:
        raise OptionError(
            f"other tools' files hold dictionaries of one site, this is a {dictionary.kind}",
            mend="keep it with dictionary.save(folder)",
        )
    own = dictionary.to("cpu").tensors()
    rest: dict[str, Any] = {name: own[name] for name in (*VECTORS, "W_skip") if name in own}
    return Parts(
        format="",
        activation=NAMES[type(dictionary.activation)],
        W_enc=own["W_enc"][0],
        W_dec=own["W_dec"][:, 0],
        b_dec=own["b_dec"][0],
        b_in=own["b_in"][0] if "b_in" in own else None,
        **rest,
        k=getattr(dictionary.activation, "k", None),
        scale=dictionary.scale,
        reads=str(dictionary.reads[0]),
        writes=str(dictionary.writes[0]),
        model_name=dictionary.model_name,
        declared={name: each for name, each in dictionary.declared.items() if name == "l0"},
        prefixes=tuple(dictionary.declared.get("prefixes", ())),
        note=note_of(dictionary),
    )


def _foldable(parts: Parts, layout: Format) -> str:
    after = layout.refusal(folded(parts, layout))
    return "" if after else "or fold=True folds it into the weights, equal up to rounding"


def equal(left: Dictionary, right: Dictionary) -> bool:
    """Whether two dictionaries are the same to the last bit, sites and records included."""
    names = ("reads", "writes", "activation", "scale", "declared", "labels", *NOTED)
    if any(getattr(left, name) != getattr(right, name) for name in names):
        return False
    ours, theirs = left.tensors(), right.tensors()
    return ours.keys() == theirs.keys() and all(_same(ours[n], theirs[n]) for n in ours)


def _same(left: Tensor, right: Tensor) -> bool:
    return left.dtype == right.dtype and torch.equal(left, right)
