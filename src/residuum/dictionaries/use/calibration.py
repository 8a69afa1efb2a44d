"""Units of features: how strongly each latent fires where it fires, calibrated on text."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from residuum.core import OptionError, StoreError
from residuum.dictionaries.harvests.token_masks import SKIPPED_BY_DEFAULT, HighNorm
from residuum.dictionaries.judging.judged_rows import JudgedRows, need_judgeable, through
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.runs import Model, need_model

KEPT = "units"
"""Key under which a dictionary's ``declared`` keeps them."""
_QUANTILE = 0.99
_COLUMNS = ("mean_active", "p99", "active_share")


@dataclass(frozen=True, eq=False)
class FeatureUnits:
    """How strongly each latent fires.

    Shows: which strengths are ordinary for a latent on this text. Does not show: what it does on
    other text.

    Attributes:
        mean_active: ``[latent]`` mean over the tokens where it is active; 0 where it never is.
        p99: ``[latent]`` 99th percentile over the same tokens.
        active_share: ``[latent]`` share of the tokens where it is active.
        n_tokens: how many tokens.
        text_hash: of the text.
    """

    mean_active: np.ndarray
    p99: np.ndarray
    active_share: np.ndarray
    n_tokens: int
    text_hash: str

    def to_json(self) -> dict[str, Any]:
        """Plain data, to six digits."""
        columns = {name: [float(f"{x:.6g}") for x in getattr(self, name)] for name in _COLUMNS}
        return {**columns, "n_tokens": self.n_tokens, "text_hash": self.text_hash}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> FeatureUnits:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: entries that are missing or of another type; columns of different lengths.
        """
        given = data if isinstance(data, Mapping) else {}
        wrong = [name for name in _COLUMNS if not _column(given.get(name))]
        wrong += [] if type(given.get("n_tokens")) is int else ["n_tokens"]
        wrong += [] if isinstance(given.get("text_hash"), str) else ["text_hash"]
        if wrong:
            raise _no_units(f"{', '.join(wrong)} missing or of another type")
        columns = {name: np.asarray(given[name], np.float64) for name in _COLUMNS}
        if len({len(each) for each in columns.values()}) > 1:
            raise _no_units("its columns are of different lengths")
        return FeatureUnits(**columns, n_tokens=given["n_tokens"], text_hash=given["text_hash"])

    def keep_in(self, dictionary: Dictionary) -> Dictionary:
        """The dictionary with these units; they are saved with it."""
        return replace(dictionary, declared={**dictionary.declared, KEPT: self.to_json()})


@torch.no_grad()
def feature_units(
    dictionary: Dictionary,
    model: Model,
    text: Any,
    *,
    tokens: int | None = None,
    skip: Sequence[str | HighNorm] = SKIPPED_BY_DEFAULT,
) -> FeatureUnits:
    """Measure how strongly every latent fires on text.

    Args:
        dictionary: of this model.
        model: the one that it was trained on.
        text: as of :func:`harvest`.
        tokens: of text, at most.
        skip: as of :func:`harvest`.

    Returns:
        The units; ``units.keep_in(dictionary)`` saves them with the dictionary.

    Raises:
        LoadError, AddressError, TokenError: another model, no such site, no text.

    Shows: as of :class:`FeatureUnits`. Does not show: as there.

    >>> import residuum as rz
    >>> from residuum.dictionaries import Dictionary, ReLU, feature_units
    >>> model, at, eye = rz.load("microworld", check=False), ("L1.resid_post",), torch.eye(128)
    >>> plain = Dictionary(at, at, W_enc=eye[None], W_dec=eye[:, None], b_dec=torch.zeros(1, 128),
    ...                    activation=ReLU(), b_enc=torch.zeros(128))
    >>> units = feature_units(plain, model, ["Mary went to the store .", "John left ."])
    >>> units.n_tokens, units.mean_active.shape
    (9, (128,))
    """
    need_model(model, "feature_units")
    need_judgeable(model, dictionary)
    rows = JudgedRows.of(model, dictionary, text, tokens, None, skip)
    found: list[torch.Tensor] = []
    owners: list[torch.Tensor] = []
    n_tokens = 0
    for read in rows.batches():
        latents = through(dictionary, read.values(dictionary.reads)[read.keep], "encode").cpu()
        token, latent = latents.nonzero(as_tuple=True)
        found.append(latents[token, latent])
        owners.append(latent)
        n_tokens += len(latents)
    values, owner = torch.cat(found).double().numpy(), torch.cat(owners).numpy()
    return _summed(values, owner, dictionary.n_latents, n_tokens, rows.table.hash)


def _summed(
    values: np.ndarray, owner: np.ndarray, n_latents: int, n_tokens: int, text_hash: str
) -> FeatureUnits:
    counts = np.bincount(owner, minlength=n_latents)
    means = np.bincount(owner, values, minlength=n_latents) / np.maximum(counts, 1)
    high = np.zeros(n_latents)
    order = np.argsort(owner, kind="stable")
    for part in np.split(order, np.cumsum(counts)[:-1]):
        if len(part):
            high[owner[part[0]]] = np.quantile(values[part], _QUANTILE)
    return FeatureUnits(means, high, counts / max(1, n_tokens), n_tokens, text_hash)


def units_of(dictionary: Dictionary) -> FeatureUnits:
    """The units that a dictionary keeps.

    Raises:
        OptionError: it keeps none.
        StoreError: what it keeps are no units of its latents.
    """
    if KEPT not in dictionary.declared:
        raise OptionError(
            "the dictionary does not know how strongly its latents fire",
            mend="measure it: dictionary = rz.feature_units(dictionary, model, text)"
            ".keep_in(dictionary)",
        )
    units = FeatureUnits.from_json(dictionary.declared[KEPT])
    if len(units.p99) != dictionary.n_latents:
        raise _no_units(f"{len(units.p99)} numbers for {dictionary.n_latents} latents")
    return units


def _column(value: Any) -> bool:
    """Whether it is a list of finite numbers, none below zero."""
    if not isinstance(value, list | tuple):
        return False
    plain = all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
    return plain and all(0 <= each <= sys.float_info.max for each in value)


def _no_units(why: str) -> StoreError:
    return StoreError(
        f"what the dictionary keeps as units cannot be read: {why}",
        mend="measure them again: rz.feature_units(dictionary, model, text).keep_in(dictionary)",
    )
