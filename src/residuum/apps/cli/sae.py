"""``residuum sae``: sparse dictionaries, one verb for each thing to do with them."""

from __future__ import annotations

from residuum.apps.cli import sae_compare, sae_convert, sae_evaluate, sae_label, sae_train
from residuum.apps.cli.parser import Commands, command_group

VERBS = (sae_train, sae_evaluate, sae_compare, sae_label, sae_convert)
"""One module each, with ``add(verbs)`` and ``run(arguments)``; in the order of the help."""


def add(commands: Commands) -> None:
    """Declare the command and its verbs."""
    _, verbs = command_group(
        commands, "sae", "sparse dictionaries: train, judge, compare, label, convert",
        details="A dictionary writes a model's activations as sums of a few of many latents.",
    )  # fmt: skip
    for verb in VERBS:
        verb.add(verbs)
