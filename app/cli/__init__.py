"""The command line: `beatledger COMMAND`, and `python -m app` the same."""

from __future__ import annotations

import sys


def main() -> None:
    """Run a command. Imports it here, because Ctrl-C during the imports must end without a traceback too."""
    try:
        from app.cli.main import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
