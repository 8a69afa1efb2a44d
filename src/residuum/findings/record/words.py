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

MOST = 12
"""Heads that a claim names; more are counted."""


def short(at: str) -> str:
    """A head's or an MLP's address as people say it.

    >>> short("L2.z[H3]"), short("L2.mlp_out")
    ('L2.H3', 'L2.MLP')
    """
    return at.replace(".z[H", ".H").removesuffix("]").replace(".mlp_out", ".MLP")


def parts_in_words(components: Sequence[str]) -> str:
    """Heads and MLPs as a claim names them.

    >>> parts_in_words(["L2.z[H3]", "L0.z[H1]", "L3.mlp_out"])
    'heads L2.H3 and L0.H1 and the MLP of layer 3'
    """
    heads = [short(at) for at in components if not at.endswith(".mlp_out")]
    layers = [at.split(".")[0].removeprefix("L") for at in components if at.endswith(".mlp_out")]
    said = [f"{'head' if len(heads) == 1 else 'heads'} {listed(heads, MOST)}"] if heads else []
    if layers:
        one = len(layers) == 1
        said.append(f"the MLP{'' if one else 's'} of layer{'' if one else 's'} {listed(layers)}")
    return " and ".join(said)


def plural(kind: str, parts: Sequence[str]) -> bool:
    """Whether a mechanism is spoken of in the plural.

    >>> plural("components", ["L2.z[H3]"]), plural("components", ["a", "b"]), plural("circuit", [])
    (False, True, False)
    """
    return kind == "components" and len(parts) != 1


def object_words(kind: str, parts: Sequence[str]) -> str:
    """A mechanism as the object of a sentence.

    >>> object_words("components", ["L2.z[H3]"]), object_words("circuit", ["L2.z[H3]"])
    ('the named part', "the circuit's edges")
    """
    named = "the named part" if len(parts) == 1 else "the named parts"
    return {"circuit": "the circuit's edges", "direction": "the direction"}.get(kind, named)


def listed(names: Sequence[str], most: int | None = None) -> str:
    """Names as a list in words; beyond ``most`` they are counted.

    >>> listed(["a", "b", "c"]), listed(["a"]), listed(["a", "b", "c", "d"], most=2)
    ('a, b and c', 'a', 'a, b and 2 more')
    """
    if most is not None and len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
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
