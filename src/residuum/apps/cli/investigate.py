"""``residuum investigate``: from a behaviour to a claim, with a report."""

from __future__ import annotations

import argparse

from residuum.apps.cli.finding_options import (
    add_asked,
    options_of,
    put_finding,
    stages_of,
    task_for,
)
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command

_DETAILS = (
    "Checks that the behaviour is there, reads every layer with the logit lens, patches the "
    "stream, every head and every MLP between clean and corrupt prompts, compares the "
    "strongest parts with random ones, and decides by stated rules: supported, not supported, "
    "undecided. Further stages: the circuit, who feeds whom, one direction, other tasks and plain "
    "text, other templates and draws, controls. Leaves finding.json and report.html in DIR; an "
    "interrupted investigation goes on where it stopped. A mechanism that you state yourself is "
    "measured by residuum examine."
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "investigate", run, "find which parts a behaviour rests on; leaves a report",
        details=_DETAILS,
    )  # fmt: skip
    add_asked(parser)


def run(arguments: argparse.Namespace) -> int:
    """Investigate, save, and say what was found."""
    from residuum.findings import investigate

    stages = stages_of(arguments)
    model = open_model(arguments)
    task = task_for(arguments, model)
    return put_finding(arguments, investigate(model, task, **options_of(arguments, stages)))
