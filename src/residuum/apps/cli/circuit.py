"""``residuum circuit``: which edges carry a behaviour, found, judged, tried and named."""

from __future__ import annotations

from residuum.apps.cli import (
    circuit_attribute,
    circuit_convert,
    circuit_damage,
    circuit_evaluate,
    circuit_find,
    circuit_rivals,
    circuit_roles,
    circuit_show,
    circuit_stability,
    circuit_trial,
)
from residuum.apps.cli.parser import Commands, command_group

VERBS = (
    circuit_find,
    circuit_evaluate,
    circuit_trial,
    circuit_stability,
    circuit_rivals,
    circuit_damage,
    circuit_roles,
    circuit_attribute,
    circuit_show,
    circuit_convert,
)
"""One module each, with ``add(verbs)`` and ``run(arguments)``; in the order of the help."""

_DETAILS = """A circuit is some edges of a model: from what adds to the stream to what reads it.
By default it is found on one half of a task's templates and judged, tried and named on the other.

examples:
  residuum circuit find microworld --task ioi --edges 60 --out ioi.json --out ioi.svg
  residuum circuit evaluate microworld ioi.json --task ioi
  residuum circuit trial microworld ioi.json --task ioi
  residuum circuit stability microworld ioi.json --task ioi
  residuum circuit rivals microworld ioi.json --task ioi
  residuum circuit damage microworld ioi.json --task ioi --task induction
  residuum circuit roles microworld ioi.json --task ioi
  residuum circuit show ioi.json
  residuum circuit convert ioi.json ioi.graphml"""


def add(commands: Commands) -> None:
    """Declare the command and its verbs."""
    _, verbs = command_group(
        commands, "circuit", "which edges carry a behaviour: find, judge, try, doubt, name",
        details=_DETAILS,
    )  # fmt: skip
    for verb in VERBS:
        verb.add(verbs)
