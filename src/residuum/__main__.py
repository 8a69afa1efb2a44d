"""``python -m residuum``: the command line."""

import sys

from residuum.apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
