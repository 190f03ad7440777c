"""`beatledger demo` is the shortest proof there is, so it is a test."""

import subprocess
import time

from tests.servers.beatledger import COMMAND


def test_the_demo_comes_out_as_it_should():
    """Three songs, uploaded, found, corrected, audited: exit code 0 within its 90 seconds."""
    began = time.monotonic()
    demo = subprocess.run([*COMMAND, "demo"], capture_output=True, text=True, timeout=120, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert time.monotonic() - began < 90
    assert "all of it came out as it should" in demo.stdout
