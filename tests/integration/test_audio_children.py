"""The pool goes on, whatever happens to a child; and no child outlives its use."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from adapters.audio.children import ChildDied, Children, ChildTimedOut

pytestmark = pytest.mark.anyio

JOBS = "tests.integration.child_jobs"
MEMORY = 200_000_000


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    async with Children(1, MEMORY) as pool:
        yield pool


async def run(pool: Children, job: str, *arguments: object, timeout_s: float = 30) -> object:
    return await pool.run(f"{JOBS}:{job}", *arguments, returns=object, timeout_s=timeout_s)


def exists(pid: int) -> bool:
    """Say whether the process runs; a zombie is gone but for its parent's asking."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while exists(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


async def pid_in(path: Path) -> int:
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.01)
    return int(path.read_text())


async def test_a_job_runs_in_another_process_and_its_result_comes_back(children: Children) -> None:
    assert await run(children, "double", 21) == 42
    assert await run(children, "whoami") != os.getpid()


async def test_a_child_is_warm_the_second_time(children: Children) -> None:
    assert await run(children, "whoami") == await run(children, "whoami")


async def test_a_large_result_comes_back_whole(children: Children) -> None:
    assert await run(children, "large", 30_000_000) == bytes(30_000_000)


async def test_progress_is_reported_in_the_event_loop_and_in_order(children: Children) -> None:
    heard: list[tuple[str, float]] = []

    def note(stage: str, percent: float) -> None:
        asyncio.get_running_loop()
        heard.append((stage, percent))

    result = await children.run(f"{JOBS}:count_to", 4, returns=int, timeout_s=30, on_progress=note)
    assert result == 4
    assert heard == [("counting", 25.0), ("counting", 50.0), ("counting", 75.0), ("counting", 100.0)]


async def test_what_the_job_raises_is_raised_here_and_costs_no_child(children: Children) -> None:
    before = await run(children, "whoami")
    with pytest.raises(ValueError, match="wrong"):
        await run(children, "fail", "wrong")
    with pytest.raises(RuntimeError, match="Unpicklable"):
        await run(children, "fail_without_a_pickle")
    with pytest.raises(AttributeError):
        await run(children, "no_such_job")
    with pytest.raises(TimeoutError, match="of the job"):
        await run(children, "time_out_inside")
    assert await run(children, "whoami") == before


@pytest.mark.parametrize(
    ("job", "arguments", "how"),
    [
        ("segfault", (), "ended by SIGSEGV"),
        ("kill_self", (), "ended by SIGKILL"),
        ("leave", (3,), "exited with 3"),
        ("leave", (0,), "exited with 0"),
    ],
)
async def test_a_child_that_dies_fails_its_job_alone(
    job: str, arguments: tuple[object, ...], how: str, children: Children
) -> None:
    before = await run(children, "whoami")
    with pytest.raises(ChildDied, match=how):
        await run(children, job, *arguments)
    assert await run(children, "whoami") != before


async def test_a_child_killed_from_outside_in_mid_job_fails_that_job_alone(
    children: Children, tmp_path: Path
) -> None:
    job = asyncio.create_task(run(children, "sleep_noting_pid", tmp_path / "pid", 60))
    os.kill(await pid_in(tmp_path / "pid"), signal.SIGKILL)
    with pytest.raises(ChildDied):
        await job
    assert await run(children, "double", 2) == 4


async def test_a_child_killed_while_idle_costs_no_job(children: Children) -> None:
    pid = await run(children, "whoami")
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    assert gone_within(pid, 10)
    await asyncio.sleep(0.05)
    assert await run(children, "double", 2) == 4


async def test_a_child_that_hangs_is_killed_at_its_time_limit(children: Children, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ChildTimedOut, match="4 s"):
        await run(children, "sleep_noting_pid", tmp_path / "pid", 60, timeout_s=4)
    assert time.monotonic() - started < 30
    assert not exists(int((tmp_path / "pid").read_text()))
    assert await run(children, "double", 2) == 4


async def test_a_cancelled_job_ends_its_child(children: Children, tmp_path: Path) -> None:
    job = asyncio.create_task(run(children, "sleep_noting_pid", tmp_path / "pid", 60))
    pid = await pid_in(tmp_path / "pid")
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert not exists(pid)
    assert await run(children, "double", 2) == 4


async def test_a_job_cancelled_again_while_its_child_ends_gives_its_place_back(
    children: Children, tmp_path: Path
) -> None:
    """As when a cancel and a stop come together: the next job would wait for a lost place for ever."""
    job = asyncio.create_task(run(children, "sleep_noting_pid", tmp_path / "pid", 60))
    await pid_in(tmp_path / "pid")
    job.cancel()
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await asyncio.wait_for(run(children, "double", 2), 10) == 4


async def test_a_job_cancelled_while_it_waits_takes_nobodys_child(children: Children, tmp_path: Path) -> None:
    first = asyncio.create_task(run(children, "sleep_noting_pid", tmp_path / "pid", 0.5))
    await pid_in(tmp_path / "pid")
    waiting = asyncio.create_task(run(children, "double", 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await first == int((tmp_path / "pid").read_text())


async def test_a_job_may_not_take_more_memory_than_allowed(children: Children) -> None:
    assert await run(children, "allocate", MEMORY // 2) == 1
    with pytest.raises(MemoryError):
        await run(children, "allocate", 2 * MEMORY)
    assert await run(children, "double", 2) == 4


async def test_as_many_jobs_run_at_a_time_as_there_are_children(tmp_path: Path) -> None:
    async with Children(2, MEMORY) as pool:
        paths = [tmp_path / str(number) for number in range(4)]
        jobs = [asyncio.create_task(run(pool, "sleep_noting_pid", path, 0.4)) for path in paths]
        await asyncio.gather(pid_in(tmp_path / "0"), pid_in(tmp_path / "1"))
        assert not (tmp_path / "2").exists()
        assert len({await job for job in jobs}) == 2


async def test_ctrl_c_does_not_reach_a_child(children: Children) -> None:
    pid = await run(children, "interrupt_self")
    assert await run(children, "whoami") == pid
    assert isinstance(pid, int)
    assert os.getpgid(pid) != os.getpgid(0)


async def test_a_child_inherits_no_file_no_secret_and_only_one_thread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BEATLEDGER_SECRET", "hush")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with Children(1, MEMORY) as pool:
            seen = await run(pool, "surroundings")
    assert isinstance(seen, dict)
    assert "BEATLEDGER_SECRET" not in seen
    assert seen["OMP_NUM_THREADS"] == seen["OPENBLAS_NUM_THREADS"] == "1"
    files = [target for name, target in seen.items() if name.startswith("fd ")]
    assert len(files) == 1
    assert files[0].startswith("socket:")


async def test_a_child_imports_nothing_before_a_job_needs_it(tmp_path: Path) -> None:
    (tmp_path / "light_job.py").write_text(
        "import sys\n"
        "def imported():\n"
        "    heavy = {'numpy', 'scipy', 'soundfile', 'aubio', 'asyncio', 'pydantic', 'multiprocessing'}\n"
        "    return sorted(heavy & set(sys.modules))\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        async with Children(1, MEMORY) as pool:
            assert await pool.run("light_job:imported", returns=list, timeout_s=30) == []
    finally:
        sys.path.remove(str(tmp_path))


async def test_a_child_imports_what_it_is_told_before_its_first_job(tmp_path: Path) -> None:
    """The module says when it was imported; the job is sent once that is done."""
    (tmp_path / "slow_import.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'imported')!r}).touch()\ndef job(): return 'done'\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        async with Children(1, MEMORY, warm=("slow_import",)) as pool, asyncio.timeout(20):
            while not (tmp_path / "imported").exists():
                await asyncio.sleep(0.01)
            assert await pool.run("slow_import:job", returns=str, timeout_s=30) == "done"
    finally:
        sys.path.remove(str(tmp_path))


async def test_a_child_that_cannot_import_what_it_is_told_fails_its_job() -> None:
    async with Children(1, MEMORY, warm=("no_such_module",)) as pool:
        with pytest.raises(ChildDied, match="exited with 1"):
            await run(pool, "double", 2)


async def test_closing_the_pool_ends_every_child() -> None:
    async with Children(2, MEMORY) as pool:
        pids = await asyncio.gather(run(pool, "whoami"), run(pool, "whoami"))
    assert len(set(pids)) == 2
    assert not any(exists(pid) for pid in pids if isinstance(pid, int))


PARENT = """
import asyncio, sys
from pathlib import Path
from adapters.audio.children import Children

async def main():
    async with Children(2, 200_000_000) as pool:
        print(await pool.run("tests.integration.child_jobs:whoami", returns=int, timeout_s=30), flush=True)
        job = "tests.integration.child_jobs:sleep_noting_pid"
        await pool.run(job, Path(sys.argv[1]), 60, returns=int, timeout_s=90)

asyncio.run(main())
"""


def test_no_child_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    """One is in mid-job and reads nothing, one is idle: both are gone."""
    path = tmp_path / "pid"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(path)], stdout=subprocess.PIPE, env=environment
    )
    with parent:
        assert parent.stdout is not None
        first = int(parent.stdout.readline())
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        busy = int(path.read_text())
        children = [int(child) for child in children_of(parent.pid)]
        assert len(children) == 2
        assert {first, busy} <= set(children)
        parent.kill()
    assert all(gone_within(pid, 10) for pid in children)


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_the_pool_works_on_uvloop_as_well(tmp_path: Path) -> None:
    async def use() -> None:
        async with Children(1, MEMORY) as pool:
            assert await run(pool, "double", 21) == 42
            with pytest.raises(ChildDied, match="SIGSEGV"):
                await run(pool, "segfault")
            with pytest.raises(ChildTimedOut):
                await run(pool, "sleep_noting_pid", tmp_path / "pid", 60, timeout_s=4)
            assert not exists(int((tmp_path / "pid").read_text()))
            assert await run(pool, "large", 3_000_000) == bytes(3_000_000)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use())
