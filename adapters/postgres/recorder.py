"""The eventsourcing library on this log: its Application, Repository and subscribe() work on these recorders.

The library's recorders create tables and write to them. These leave the tables to the migrations and send
events through the queue that all appends of this process use. Selecting is the library's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)
from eventsourcing.postgres import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresFactory,
)
from eventsourcing.utils import Environment, EnvType
from psycopg.conninfo import make_conninfo

from adapters.postgres.access import OWNER
from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.batch_format import pack_unchecked
from adapters.postgres.event_store import DEADLINE_S
from adapters.postgres.migrate import migrate
from adapters.postgres.pending_append import PendingInThread
from domain.errors import Busy, EventTooLarge, Invalid, RevisionConflict, Unavailable
from domain.log import MAX_APPEND_BYTES, MAX_EVENT_BYTES, NewEvent

_EVENTS, _SNAPSHOTS = "stored_events", "stored_snapshots"


class LedgerRecorder(PostgresApplicationRecorder):
    """The library's application recorder over the append queue: the library's contract with group commit."""

    def __init__(
        self, datastore: PostgresDatastore, *, events_table_name: str = _EVENTS, queue: AppendQueue
    ) -> None:
        if datastore.enable_db_functions:
            raise ProgrammingError(
                "POSTGRES_ENABLE_DB_FUNCTIONS is set: in that mode readers miss events, unset it"
            )
        _expect_table(events_table_name, _EVENTS, datastore)
        super().__init__(datastore, events_table_name=events_table_name)
        self._queue = queue

    def create_table(self) -> None:
        """Migrate the database as its owner. Raises ProgrammingError for any other role."""
        _migrate(self.datastore)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events with their given versions, which only must be unique. Returns their positions.

        Raises the library's IntegrityError, DataError and OperationalError (unknown whether written).
        """
        if not stored_events:
            return None
        if beside := [name for name, value in kwargs.items() if value is not None]:
            raise ProgrammingError(f"the ledger can't store {', '.join(beside)} beside events")
        events = [(_uuid(event), event.originator_version, _new_event(event)) for event in stored_events]
        pending = PendingInThread(pack_unchecked(self._queue.next_ticket(), events))
        if pending.append.size > MAX_APPEND_BYTES:
            raise DataError(f"the append has {pending.append.size} bytes, more than {MAX_APPEND_BYTES}")
        try:
            self._queue.put(pending)
            appended = pending.wait(DEADLINE_S)
        except RevisionConflict as error:
            raise IntegrityError(str(error)) from error
        except (Invalid, EventTooLarge) as error:
            duplicate = isinstance(error, Invalid) and error.rule == "duplicate_revision"
            raise (IntegrityError if duplicate else DataError)(str(error)) from error
        except (Busy, Unavailable) as error:
            raise OperationalError(str(error)) from error
        return list(range(appended.position - len(events) + 1, appended.position + 1))


class LedgerSnapshotRecorder(PostgresAggregateRecorder):
    """The library's recorder for the snapshots of its own Application."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = _SNAPSHOTS) -> None:
        _expect_table(events_table_name, _SNAPSHOTS, datastore)
        super().__init__(datastore, events_table_name=events_table_name)

    def create_table(self) -> None:
        """Migrate the database as its owner. Raises ProgrammingError for any other role."""
        _migrate(self.datastore)


class LedgerFactory(PostgresFactory):
    """The factory for an Application of the library.

    Set PERSISTENCE_MODULE=adapters.postgres.recorder:LedgerFactory and, because a serving role makes no
    tables, CREATE_TABLE=no. All applications of a database share its one log, whatever their names are.
    """

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self._queue = AppendQueue(conninfo_of(self.datastore))

    def application_recorder(self) -> ApplicationRecorder:
        """Return a recorder of the log."""
        recorder = LedgerRecorder(self.datastore, queue=self._queue)
        if self.env_create_table():
            recorder.create_table()
        return recorder

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """Return the recorder for snapshots; application_recorder() is the one for events."""
        recorder = LedgerSnapshotRecorder(self.datastore, events_table_name=f"stored_{purpose}")
        if self.env_create_table():
            recorder.create_table()
        return recorder

    def close(self) -> None:
        """Write the queued events and close the connections."""
        self._queue.close()
        super().close()


def conninfo_of(datastore: PostgresDatastore) -> str:
    """Return the connection string of a datastore of the library."""
    settings = datastore.pool.kwargs
    assert isinstance(settings, dict)
    return make_conninfo(**{name: value for name, value in settings.items() if name != "row_factory"})


def _new_event(event: StoredEvent) -> NewEvent:
    if len(event.state) > MAX_EVENT_BYTES:
        raise DataError(f"the event {event.topic} has {len(event.state)} bytes, more than {MAX_EVENT_BYTES}")
    return NewEvent(uuid4(), event.topic, 1, event.state)


def _uuid(event: StoredEvent) -> UUID:
    if not isinstance(event.originator_id, UUID):
        raise DataError(f"the ledger's streams are named by UUIDs, not {event.originator_id!r}")
    return event.originator_id


def _expect_table(given: str, expected: str, datastore: PostgresDatastore) -> None:
    if given != expected or datastore.schema != "public" or datastore.originator_id_type != "uuid":
        raise ProgrammingError(
            f"the ledger's table is public.{expected} with UUIDs, not {datastore.schema}.{given}"
        )


def _migrate(datastore: PostgresDatastore) -> None:
    with datastore.get_connection() as conn:
        row = conn.execute("SELECT current_user AS role").fetchone()
    if row is None or row["role"] != OWNER:
        raise ProgrammingError(f"only {OWNER} makes tables, by `beatledger migrate`: set CREATE_TABLE=no")
    migrate(conninfo_of(datastore))
    datastore.register_type_adapters()
