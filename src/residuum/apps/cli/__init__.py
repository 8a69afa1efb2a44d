"""The command line: ``residuum COMMAND``, one file for each command."""

import sys

try:
    from residuum.apps.cli.main import main
except KeyboardInterrupt:  # Ctrl-C while the package is still being read
    print("residuum: interrupted", file=sys.stderr)
    raise SystemExit(130) from None

__all__ = ["main"]
