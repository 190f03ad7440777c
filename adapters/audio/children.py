"""Warm child processes for work on files that may crash, hang or eat memory.

`multiprocessing` is not used: its spawn imports the parent's main module, the whole application, into each
child, and its pools cannot kill one job. A child here runs `adapters.audio.child` with one socket.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from adapters.audio.child import Answer, Request

Result = TypeVar("Result")
Progress = Callable[[str, float], None]

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class ChildDied(Exception):
    """The child ended in mid-job: a crash of native code, a kill, an exit."""


class ChildTimedOut(Exception):
    """The job ran longer than it may; its child is gone."""


class Children:
    """A pool of `size` child processes: at most as many jobs run, the others wait in order.

    A job that times out, crashes or is cancelled takes its child with it: when `run` has returned, that
    process is gone, and the next job gets a new one. A job may take `memory_bytes` above what its imports
    take; beyond, malloc fails and numpy raises MemoryError. A child imports `warm` while it waits for its
    first job. No child outlives the thread that runs the event loop.
    """

    def __init__(self, size: int, memory_bytes: int, warm: Sequence[str] = ()) -> None:
        self._size = size
        self._memory_bytes = memory_bytes
        self._warm = warm
        # Last in, first out, so that a few jobs stay with the children that have their imports.
        self._idle: asyncio.LifoQueue[_Child | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._idle.put_nowait(None)
        self._returning: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Children:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Start all children now rather than with their first job."""
        taken = [await self._idle.get() for _ in range(self._size)]
        for child in taken:
            self._idle.put_nowait(child or await _Child.start(self._warm))

    async def close(self) -> None:
        """End all children, once the jobs that run have ended; cancel those first to be quick."""
        for _ in range(self._size):
            child = await self._idle.get()
            if child is not None:
                await child.end()

    async def run(
        self,
        function: str,
        *arguments: object,
        returns: type[Result],
        timeout_s: float,
        on_progress: Progress | None = None,
    ) -> Result:
        """Run `module:function` in a child; what it raises is raised here.

        It goes by name, so that the parent never imports what only children need. With `on_progress` the
        function gets one more argument, a callable (stage, percent) that leads to a call of `on_progress` in
        the event loop. The time counts from when a child is free. Raises ChildTimedOut, ChildDied.
        """
        child = await self._idle.get()
        try:
            child = await self._ready(child)
            request: Request = (function, arguments, self._memory_bytes, on_progress is not None)
            result = await _ask(child, request, timeout_s, on_progress)
            assert isinstance(result, returns), f"{function} returned {type(result)}"
            return result
        finally:
            returning = asyncio.create_task(self._give_back(child))
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)
            # A second cancellation ends this wait, but must not lose the child's place.
            await asyncio.shield(returning)

    async def _ready(self, child: _Child | None) -> _Child:
        """Return a child that lives: one may have been killed while it was idle."""
        if child is not None and child.is_gone:
            await child.end()
            child = None
        return child or await _Child.start(self._warm)

    async def _give_back(self, child: _Child | None) -> None:
        self._idle.put_nowait(await _released(child))


async def _ask(child: _Child, request: Request, timeout_s: float, on_progress: Progress | None) -> object:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            kind, value = await child.ask(request, on_progress)
    except TimeoutError as error:
        raise ChildTimedOut(f"not done within {timeout_s:g} s") from error
    if kind == "error":
        raise value
    return value


async def _released(child: _Child | None) -> _Child | None:
    """Return the child if it can take the next job; end it if it is still at the last one."""
    if child is None or not child.busy:
        return child
    await child.end()
    return None


class _Child:
    """One process and our end of its socket; `busy` from a request until its whole answer is here."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.busy = False

    @classmethod
    async def start(cls, warm: Sequence[str]) -> _Child:
        ours, its = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        ends = (str(its.fileno()), str(os.getpid()))
        command = (sys.executable, "-P", "-m", "adapters.audio.child", *ends, *warm)
        try:
            with its:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    env=_environment(),
                    pass_fds=(its.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            writer.close()
            raise
        return cls(process, reader, writer)

    @property
    def is_gone(self) -> bool:
        return self._process.returncode is not None or self._reader.at_eof()

    async def ask(self, request: Request, on_progress: Progress | None) -> Answer:
        self.busy = True
        try:
            message = pickle.dumps(request)
            self._writer.write(len(message).to_bytes(4, "big") + message)
            await self._writer.drain()
            while (answer := await self._receive())[0] == "progress":
                if on_progress is not None:
                    on_progress(*answer[1])
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ChildDied(_ending(await self._process.wait())) from error
        self.busy = False
        return answer

    async def end(self) -> None:
        """Kill the process and wait until it is gone."""
        self._writer.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _receive(self) -> Answer:
        length = int.from_bytes(await self._reader.readexactly(4), "big")
        return pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - from our own child


def _environment() -> dict[str, str]:
    """Ours without our secrets, with our import path, and one thread for each child."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEATLEDGER_")}
    import_path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return inherited | _ONE_THREAD | {"PYTHONPATH": import_path}


def _ending(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
