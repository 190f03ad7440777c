"""The command line: `beatledger COMMAND`, and `python -m app` the same."""

from app.cli.main import main

__all__ = ["main"]
