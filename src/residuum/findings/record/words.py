"""Names of a finding's parts as people say them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

_METRIC_WORDS = {
    "logit_diff": "logit difference",
    "prob": "probability",
    "prob_diff": "probability difference",
    "loss_nats": "log probability",
}


def short(at: str) -> str:
    """A head's address as people say it.

    >>> short("L2.z[H3]")
    'L2.H3'
    """
    return at.replace(".z[H", ".H").removesuffix("]")


def listed(names: Sequence[str]) -> str:
    """Names as a list in words.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def model_name(name: str) -> str:
    """The last part of a path, or the name itself."""
    return PurePath(name).name or name


def metric_words(metric: str) -> str:
    """A metric's name in words.

    >>> metric_words("logit_diff")
    'logit difference'
    """
    return _METRIC_WORDS.get(metric, metric.replace("_", " "))
