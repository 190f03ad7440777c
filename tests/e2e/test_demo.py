"""`beatledger demo` is the shortest proof there is, so it is a test."""

import subprocess

import pytest

from tests.servers.beatledger import COMMAND
from tests.servers.installation import Installation

SUCCESS = "all of it came out as it should"


def _demo(*words: str) -> str:
    demo = subprocess.run(
        [*COMMAND, "demo", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    return demo.stdout


def test_the_demo_comes_out_as_it_should():
    """Three songs, uploaded, found, corrected, audited: exit code 0, from nothing."""
    assert SUCCESS in _demo()


@pytest.mark.xdist_group("distributed")
def test_it_does_so_over_the_distributed_profile(distributed_up: Installation):
    assert SUCCESS in _demo("--url", distributed_up.url, "--token", distributed_up.token())
