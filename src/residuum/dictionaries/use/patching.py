"""Patching groups of latents between clean and corrupt prompts, and the error beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.use.measuring import clusters_of
from residuum.dictionaries.use.pairs import CORRUPT, LatentPairs, latent_pairs
from residuum.runs import Model, Task, bootstrap_mean_intervals, need_model, need_task

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

EVERY, ERROR, WHOLE = "every latent", "error", "whole site"


@dataclass(frozen=True, eq=False, repr=False)
class FeaturePatching:
    """What corrupt prompts gain from the clean values of groups of latents.

    Shows: how much of the answer these latents carry together, how much all of them, and how much
    is in what the dictionary does not rebuild. Does not show: that the parts add up.

    Attributes:
        names: of the groups; then ``"every latent"``, ``"error"`` and ``"whole site"``.
        effects: ``[group]`` mean change of the metric on corrupt prompts, larger made better.
        low, high: 95 % intervals, whole templates drawn again.
        clean, corrupt: mean metric without edits.
        metric, at: metric's name, site.
        provenance: model, task.
    """

    names: tuple[str, ...]
    effects: np.ndarray
    low: np.ndarray
    high: np.ndarray
    clean: float
    corrupt: float
    metric: str
    at: str
    provenance: Provenance

    @property
    def recovered_frac(self) -> np.ndarray:
        """``[group]``: 0 at the corrupt answers, 1 at the clean ones."""
        return self.effects / (self.clean - self.corrupt)

    def __repr__(self) -> str:
        shares = zip(self.names, self.recovered_frac, strict=True)
        return f"FeaturePatching({self.at}: {', '.join(f'{n} {share:.2f}' for n, share in shares)})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each group."""
        import pandas as pd

        columns = {"effect": self.effects, "low": self.low, "high": self.high}
        return pd.DataFrame({"group": self.names, **columns, "recovered_frac": self.recovered_frac})

    def figure(self) -> Bars:
        """Effects with intervals."""
        from residuum.figures import Bars

        return Bars(
            self.names, self.effects, lo=self.low, hi=self.high, order="given",
            x=f"change of {self.metric} on corrupt prompts", title=f"Patching latents of {self.at}",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        rows = {name: [float(x) for x in getattr(self, name)] for name in ("effects",)}
        ends = {
            name: [float(x) if np.isfinite(x) else None for x in getattr(self, name)]
            for name in ("low", "high")
        }
        plain = {name: getattr(self, name) for name in ("clean", "corrupt", "metric", "at")}
        own = {"names": list(self.names), **rows, **ends, **plain}
        return {**own, "provenance": self.provenance.to_json()}

    def save(self, path: str | Path) -> None:
        """Write as ``.json``, ``.csv``, ``.html``, ``.svg`` or ``.png``.

        Raises:
            OptionError, StoreError: another suffix; no place to write to.
        """
        save_result(self, path, "feature patching")


def patch_features(
    model: Model,
    dictionary: Dictionary,
    task: Task,
    groups: Mapping[str, Sequence[int]] | None = None,
    *,
    pos: int | None = None,
    seed: int = 0,
) -> FeaturePatching:
    """Give corrupt prompts the clean values of groups of latents, token by token.

    Args:
        model: a loaded model.
        dictionary: an SAE of one of its sites.
        task: contrast pairs.
        groups: name -> latents changed together.
        pos: the token; None: all.
        seed: of the intervals.

    Returns:
        Effects of each group, of every latent together, of the error alone, of the whole site.

    Raises:
        OptionError: no SAE of one site; an empty group, one with a latent that there is not, or a
            name that is taken.
        LoadError, AddressError, TaskError: another model, position or task than fits.

    Shows: as of :class:`FeaturePatching`. Does not show: as there.
    Source: Marks et al. 2024, "Sparse Feature Circuits", for the error as a node of its own.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> sae, task = rz.load_dictionary("microworld-sae"), rz.task("refusal", model, n=8)
    >>> found = patch_features(model, sae, task, {"two": [0, 1]}, pos=-1)
    >>> found.names
    ('two', 'every latent', 'error', 'whole site')
    """
    need_model(model, "patch_features")
    need_task(task, "patch_features")
    held = latent_pairs(model, dictionary, task, pos)
    wanted = _groups(groups or {}, dictionary.n_latents)
    change = held.change("patch")
    moves = [change[..., index] @ held.directions[index] for index in wanted.values()]
    moves += _rest(held, change)
    after = held.after(lambda draw: moves[draw], len(moves))[:, CORRUPT]
    values = (after - held.pairs.base[CORRUPT]).numpy()
    low, high = bootstrap_mean_intervals(values, seed=seed, clusters=clusters_of(task))
    clean, corrupt = held.pairs.base.mean(1).tolist()
    strategy = f"patch_features({dictionary.reads[0]}, pos={pos}, {dict(wanted)})"
    return FeaturePatching(
        (*wanted, EVERY, ERROR, WHOLE), values.mean(1), low, high, clean, corrupt, task.metric,
        str(dictionary.reads[0]),
        model.provenance(task_hash=task.task_hash, strategy=strategy, seed=seed),
    )  # fmt: skip


def _rest(held: LatentPairs, change: Tensor) -> list[Tensor]:
    """All latents, the error, and both: three changes of the site."""
    error = held.error()
    latents, rest = change @ held.directions, error.flip(0) - error
    return [latents, rest, latents + rest]


def _groups(groups: Mapping[str, Sequence[int]], n: int) -> dict[str, list[int]]:
    found = {}
    for name, some in groups.items():
        index = list(dict.fromkeys(some))
        wrong = [each for each in index if type(each) is not int or not 0 <= each < n]
        if not index or wrong or name in (EVERY, ERROR, WHOLE):
            what = f"latents {wrong}" if wrong else "no latents" if not index else "a taken name"
            raise OptionError(
                f"the group {name!r:.40} has {what}",
                mend=f"give each group a name of its own and latents from 0 to {n - 1}",
            )
        found[name] = index
    return found
