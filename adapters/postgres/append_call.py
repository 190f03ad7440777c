"""The flusher's connection to Postgres, and the one statement it sends: a whole batch to append_events()."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.conninfo import make_conninfo
from psycopg.pq import Format

from adapters.postgres.batch_format import PackedAppend, pack_array
from adapters.postgres.pool import hang_up

_CALL = "SELECT base, at, refused::text FROM public.append_events(%b, %b, %b, %b)"
# Durability must not depend on the defaults of a role or a database.
_SESSION = """
    SELECT set_config('lock_timeout', %s, false), set_config('timezone', 'UTC', false),
        CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
        THEN set_config('synchronous_commit', 'on', false) END
"""
_TYPES = """
    SELECT 'public.new_event'::regtype::oid::int8, 'public.stream_check'::regtype::oid::int8,
        'public.new_command_key'::regtype::oid::int8
"""
CONNECT_TIMEOUT_S = 3
_LOCK_TIMEOUT_MS = 5000
"""A lock held by hand must end in an error like an outage, not in an endless wait."""


class _Packed:
    """A parameter that is already in binary form; the server knows its type from the function's signature."""

    def __init__(self, content: bytes) -> None:
        self.content = content


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer | None:
        return obj.content


@dataclass(frozen=True, slots=True)
class Flushed:
    """The result of a batch: its written events have the positions base + 1, base + 2 … in the order sent."""

    base: int
    recorded_at: datetime
    refused: list[dict[str, Any]]


class AppendCall:
    """A connection of the serving role, opened on demand and closed after errors that leave it in doubt."""

    def __init__(self, conninfo: str) -> None:
        # Detects a server that vanished from the network within seconds; the kernel's default is a quarter
        # of an hour.
        self._conninfo = make_conninfo(
            conninfo,
            connect_timeout=CONNECT_TIMEOUT_S,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
            application_name="beatledger append",
        )
        self._connection: Connection[Any] | None = None
        self._types = (0, 0, 0)

    def send(self, batch: Sequence[PackedAppend], resent: bool) -> Flushed:
        """Append a batch. Raises psycopg.Error; `in_doubt` says whether the error concerns the batch."""
        try:
            connection = self._connection or self._connect()
            event, check, key = self._types
            keys = [append.key for append in batch if append.key]
            parameters = (
                _array(
                    event, sum([append.event_count for append in batch]), [append.events for append in batch]
                ),
                _array(
                    check, sum([append.check_count for append in batch]), [append.checks for append in batch]
                ),
                _array(key, len(keys), keys),
                resent,
            )
            row = connection.execute(_CALL, parameters, prepare=True, binary=True).fetchone()
        except BaseException as error:
            if not isinstance(error, psycopg.Error) or in_doubt(error):
                self.close()
            raise
        assert row is not None
        base, at, refused = row
        return Flushed(base, at, msgspec.json.decode(refused) if refused else [])

    def hang_up(self) -> None:
        """End the statement that `send` waits for, from another thread: `send` raises OperationalError."""
        if (connection := self._connection) is not None:
            hang_up(connection)

    def close(self) -> None:
        """Drop the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _connect(self) -> Connection[Any]:
        connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            connection.execute(_SESSION, [str(_LOCK_TIMEOUT_MS)])
            row = connection.execute(_TYPES).fetchone()
        except BaseException:
            connection.close()
            raise
        assert row is not None
        connection.adapters.register_dumper(_Packed, _PackedDumper)
        self._types = row
        self._connection = connection
        return connection


def in_doubt(error: psycopg.Error) -> bool:
    """Return True if the error concerns the database's state: the same batch may be sent again.

    Connection lost, shutting down, disk full, out of memory, lock timeout, deadlock, read-only standby.
    """
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):  # a text too long for its index
        return False
    return isinstance(
        error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.errors.ReadOnlySqlTransaction
    )


def _array(element_type: int, count: int, elements: Sequence[bytes]) -> _Packed:
    return _Packed(pack_array(element_type, count, elements))
