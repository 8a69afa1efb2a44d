"""The tuned lens of a model, where its folder holds one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from residuum.core import OptionError
from residuum.lenses import TunedLens
from residuum.runs import Model

FOLDER = "tuned_lens"
"""Folder, inside the model's own, in which its tuned lens is looked for."""


def has_translators(model: Model) -> bool:
    """Whether the model's folder holds a tuned lens; whether it fits is known when it is read."""
    return (Path(model.name) / FOLDER).is_dir()


def translators(model: Model) -> TunedLens:
    """The lens.

    Raises:
        OptionError: the model's folder has none.
        LoadError: it was trained on another model.
        StoreError: its files are damaged.
    """
    folder = Path(model.name) / FOLDER
    if not folder.is_dir():
        raise OptionError(
            f"no tuned lens was found for {model.name}",
            mend=f"train one, rz.TunedLens.train(...).save({FOLDER!r}), and put that folder into "
            "the model's; or use the logit lens",
        )
    lens = _loaded(str(folder), max(each.stat().st_mtime_ns for each in folder.iterdir()))
    lens.check_fits(model)
    return lens


@lru_cache(maxsize=4)
def _loaded(folder: str, changed: int) -> TunedLens:
    del changed  # only so that another file is read again
    return TunedLens.load(folder)
