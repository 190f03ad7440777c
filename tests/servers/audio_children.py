"""The analysis children of this process: among them no server that a test of before has started."""

from __future__ import annotations

from pathlib import Path

MODULE = b"adapters.audio.child"


def audio_children() -> set[int]:
    """Return their process ids."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split() if _is_one(pid)}


def memory_bytes(pids: set[int], field: str) -> int:
    """Return what the largest of these has resident now (VmRSS), or had at most (VmHWM); gone ones have 0."""
    found = [0]
    for status in (Path(f"/proc/{pid}/status") for pid in pids):
        lines = status.read_text().splitlines() if status.exists() else []
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")]
    return max(found)


def _is_one(pid: str) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and MODULE in command.read_bytes().split(b"\0")
