"""What a process writes to stderr besides its own lines."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import logging
from app.logging import configure_logging

configure_logging()
logging.getLogger("kafka.coordinator").error("its noise")
logging.getLogger("another.library").warning("a warning")
"""


def test_kafka_pythons_own_lines_are_not_among_them_and_other_warnings_are() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert "a warning" in done.stderr
    assert "its noise" not in done.stderr
