"""What a process has in hand goes with it, however it ends, and nobody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from adapters.postgres.cannot_start import CannotStart
from app.incoming import private_folder

HOLDER = """
import sys, time
from pathlib import Path
from app.incoming import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "upload").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_is_empty_and_goes_with_its_block(tmp_path: Path):
    with private_folder(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "upload").write_bytes(b"half")
    assert list(tmp_path.iterdir()) == []


def test_the_next_process_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        theirs = Path(holder.stdout.readline().strip())
        try:
            with private_folder(tmp_path) as ours:
                assert ours != theirs
                assert (theirs / "upload").read_bytes() == b"half", "its process lives"
        finally:
            holder.send_signal(signal.SIGKILL)
    with private_folder(tmp_path):
        assert not theirs.exists()
        assert len(list(tmp_path.iterdir())) == 1


def test_processes_that_start_at_the_same_moment_sweep_together(tmp_path: Path):
    for number in range(200):
        (tmp_path / f"process-{number}" / "files").mkdir(parents=True)
    together = Barrier(8)

    def start() -> None:
        together.wait()
        with private_folder(tmp_path):
            together.wait()

    with ThreadPoolExecutor(8) as starters:
        for started in [starters.submit(start) for _ in range(8)]:
            started.result(timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="can't be used"), private_folder(tmp_path / "file"):
        pass
