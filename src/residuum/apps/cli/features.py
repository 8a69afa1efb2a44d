"""``residuum features``: what latents are active at, and what they do."""

from __future__ import annotations

from residuum.apps.cli import features_effects, features_read, features_show
from residuum.apps.cli.parser import Commands, command_group


def add(commands: Commands) -> None:
    """Declare the command and its verbs."""
    _, verbs = command_group(
        commands, "features", "latents of a dictionary: read, list, search, page, effects",
        details="residuum features read MODEL DICTIONARY TEXT --out DIR   one pass over text\n"
        "residuum features list DIR · search DIR WORD · show DIR N · page DIR FILE\n"
        "residuum features effects MODEL DICTIONARY --task T      what they do to answers",
    )  # fmt: skip
    features_read.add(verbs)
    features_show.add(verbs)
    features_effects.add(verbs)
