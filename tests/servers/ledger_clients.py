"""Clients that write to the ledger as real ones do, and the check of what they must find in it afterwards.

Each command has its own key and goes to one to three streams that all clients share. A client keeps its
command until it is acknowledged: after a lost race with the revision it was told, after an outage with the
same key. As a process, `python -m tests.servers.ledger_clients CONNINFO SEED COMMANDS FIRST ..`, it
has a client for each FIRST, and prints `client number position` for each acknowledgement.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import NAMESPACE_OID, UUID, uuid5

from domain.errors import Busy, RevisionConflict, Unavailable
from domain.log import Appended, CommandKey, Slice
from domain.recorded import Recorded
from tests.servers.ledgers import an_event, open_ledger, told_by

STREAMS = 60
Ack = tuple[int, int]
"""Client and the number of its command."""


class Append(Protocol):
    """The async door, or the sync one behind a thread."""

    async def __call__(self, slices: Any, metadata: Any, command_key: CommandKey) -> Appended: ...


@dataclass
class Clients:
    """What happened to the commands of some clients so far."""

    seed: str
    acknowledged: dict[Ack, int] = field(default_factory=dict[Ack, int])
    conflicts: int = 0
    outages: int = 0
    repeated: int = 0
    on_ack: Callable[[int, int, int], None] = lambda client, number, position: None
    revisions: dict[UUID, int] = field(default_factory=dict[UUID, int])

    async def run(self, append: Append, client: int, numbers: Iterable[int]) -> None:
        """Have these commands of one client acknowledged, one after the other."""
        for number in numbers:
            dice = random.Random(f"{self.seed}/{client}/{number}")
            streams = [
                stream_named(self.seed, n) for n in dice.sample(range(STREAMS), dice.choice((1, 1, 2, 3)))
            ]
            key = CommandKey(
                uuid5(NAMESPACE_OID, f"{self.seed}/{client}/{number}"), b"same", 202, {"n": number}
            )
            counts = [dice.choice((1, 1, 2)) for _ in streams]
            appended = await self._until_acknowledged(append, client, number, key, streams, counts)
            self.acknowledged[client, number] = appended.position
            self.on_ack(client, number, appended.position)

    async def _until_acknowledged(
        self,
        append: Append,
        client: int,
        number: int,
        key: CommandKey,
        streams: list[UUID],
        counts: list[int],
    ) -> Appended:
        while True:
            expected = [self.revisions.get(stream, 0) for stream in streams]
            slices = [
                Slice(
                    stream,
                    revision,
                    "track",
                    str(stream),
                    tuple(
                        an_event({"client": client, "number": number, "of": sum(counts)})
                        for _ in range(count)
                    ),
                )
                for stream, revision, count in zip(streams, expected, counts, strict=True)
            ]
            try:
                appended = await append(slices, told_by(), key)
            except RevisionConflict as lost:
                self.conflicts += 1
                self.revisions[lost.stream] = lost.actual
            except (Unavailable, Busy):
                self.outages += 1
                await asyncio.sleep(0.02)
            else:
                self.repeated += appended.repeated is not None
                for stream, revision, count in zip(streams, expected, counts, strict=True):
                    self.revisions[stream] = max(self.revisions.get(stream, 0), revision + count)
                return appended


def stream_named(seed: str, number: int) -> UUID:
    """Return one of the streams the clients share."""
    return uuid5(NAMESPACE_OID, f"{seed}/stream {number}")


def check_log(events: list[Recorded], acknowledged: dict[Ack, int]) -> None:
    """Assert that the log holds every acknowledged command once, whole and in its place, and has no hole."""
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    times = [event.recorded_at for event in events]
    assert times == sorted(times)
    revisions: dict[UUID, int] = {}
    commands: dict[Ack, list[Recorded]] = {}
    for event in events:
        assert event.revision == revisions.get(event.stream, 0) + 1, event
        revisions[event.stream] = event.revision
        commands.setdefault((event.data["client"], event.data["number"]), []).append(event)
    for command, written in commands.items():
        assert len(written) == written[0].data["of"], f"command {command} is there in part, or twice"
        assert written[-1].position - written[0].position == len(written) - 1, "another came in between"
    missing = acknowledged.keys() - commands.keys()
    assert not missing, f"acknowledged and lost: {missing}"
    misplaced = {
        command: position
        for command, position in acknowledged.items()
        if commands[command][-1].position != position
    }
    assert not misplaced


def _print_ack(client: int, number: int, position: int) -> None:
    # One write: a process that is killed leaves a half line at most at the end.
    sys.stdout.write(f"{client} {number} {position}\n")
    sys.stdout.flush()


async def _main(conninfo: str, seed: str, commands: int, first: list[int]) -> None:
    clients = Clients(seed, on_ack=_print_ack)
    async with open_ledger(conninfo) as ledger, asyncio.TaskGroup() as group:
        for client, number in enumerate(first):
            group.create_task(clients.run(ledger.store.append, client, range(number, commands + 1)))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(word) for word in sys.argv[4:]]))
