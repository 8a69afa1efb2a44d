"""The command line: ``residuum COMMAND``, one file for each command."""

from residuum.apps.cli.main import main

__all__ = ["main"]
