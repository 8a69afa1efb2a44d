"""The error tree. Every error says what went wrong, where, and how to mend it.

    ResiduumError                      anything this package raises on purpose
    ├── AddressError                   a site address that cannot be read or does not exist
    │   └── SiteRefused                a site that this model has not been proven to have
    ├── EditError                      an edit that cannot be applied as written
    │   └── EditNeverFired             an edit whose site was never reached in the run
    ├── ShapeError                     a tensor of the wrong shape, dtype or with NaN
    ├── TokenError                     text, tokens, tokenizer or prompt length
    ├── TaskError                      contrast pairs or a metric that do not fit
    ├── OptionError                    an unknown or contradictory option
    ├── LoadError                      a model, checkpoint or file that cannot be loaded
    ├── StoreError                     an artifact that is missing or damaged
    └── CheckFailed                    a self-check or a replay whose numbers do not agree

``what`` and ``mend`` are one line each: the command line prints them as they are, the
workbench sends them as they are.
"""

from __future__ import annotations


class ResiduumError(Exception):
    """Base of all errors of this package.

    Args:
        what: one line, what went wrong and with which value.
        mend: one line, what to do about it.
        where: the address, file or argument it is about, if there is one.
    """

    def __init__(self, what: str, *, mend: str, where: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.where = where

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where else ""
        return f"{self.what}{place}\n  mend: {self.mend}"


class AddressError(ResiduumError):
    """A site address that cannot be read, or that this model does not have."""


class SiteRefused(AddressError):
    """A site that exists in the vocabulary but was not proven on this model."""


class EditError(ResiduumError):
    """An edit that cannot be applied as written."""


class EditNeverFired(EditError):
    """An edit whose site or position was never reached in the run."""


class ShapeError(ResiduumError):
    """A tensor of the wrong shape or dtype, or one that holds NaN."""


class TokenError(ResiduumError):
    """Text, tokens, tokenizer or prompt length that do not fit the model."""


class TaskError(ResiduumError):
    """Contrast pairs, answers or a metric that do not fit together."""


class OptionError(ResiduumError):
    """An unknown option, or options that contradict each other."""


class LoadError(ResiduumError):
    """A model, checkpoint or file that cannot be loaded."""


class StoreError(ResiduumError):
    """An artifact that is missing from the store or damaged."""


class CheckFailed(ResiduumError):
    """A self-check, test or replay whose numbers do not agree."""
