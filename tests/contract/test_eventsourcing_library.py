"""The eventsourcing library's promises, kept by our recorders: its cases run from the installed package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.access import Access
from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.recorder import LedgerFactory, LedgerRecorder, LedgerSnapshotRecorder
from domain.log import MAX_EVENT_BYTES


def _datastore(conninfo: str, **settings: Any) -> PostgresDatastore:
    at = conninfo_to_dict(conninfo)
    return PostgresDatastore(
        str(at["dbname"]),
        str(at["host"]),
        at.get("port", 5432),
        str(at["user"]),
        str(at["password"]),
        pool_size=2,
        max_overflow=20,
        **settings,
    )


@pytest.fixture
def datastore(database: Access) -> Iterator[PostgresDatastore]:
    with _datastore(database.serving) as datastore:
        yield datastore


@pytest.fixture
def recorder(database: Access, datastore: PostgresDatastore) -> Iterator[LedgerRecorder]:
    queue = AppendQueue(database.serving)
    yield LedgerRecorder(datastore, queue=queue)
    queue.close()


class _OnOurRecorder:
    recorder: LedgerRecorder

    @pytest.fixture(autouse=True)
    def _use(self, recorder: LedgerRecorder) -> None:
        self.recorder = recorder

    def create_recorder(self) -> LedgerRecorder:
        return self.recorder


class TestApplicationRecorder(_OnOurRecorder, ApplicationRecorderTestCase[LedgerRecorder]):
    def test_insert_subscribe(self) -> None:
        """The library leaves this one to each recorder to switch on."""
        self.optional_test_insert_subscribe()


class TestNonInterleavingNotificationIds(_OnOurRecorder, NonInterleavingNotificationIDsBaseCase):
    pass


class TestSnapshotRecorder(AggregateRecorderTestCase):
    datastore: PostgresDatastore

    @pytest.fixture(autouse=True)
    def _use(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore

    def create_recorder(self) -> LedgerSnapshotRecorder:
        return LedgerSnapshotRecorder(self.datastore)


# Abstract, and without a recorder: imported to be inherited, not to be run.
del AggregateRecorderTestCase, ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase


class Song(Aggregate):
    @event("Uploaded")
    def __init__(self, title: str) -> None:
        self.title = title
        self.tags: list[str] = []

    @event("Tagged")
    def tag(self, tag: str) -> None:
        self.tags.append(tag)


class Songs(Application[UUID]):
    is_snapshotting_enabled = True
    snapshotting_intervals: ClassVar[Any] = {Song: 5}


def _environment(database: Access) -> dict[str, str]:
    at = conninfo_to_dict(database.serving)
    return {
        "PERSISTENCE_MODULE": "adapters.postgres.recorder:LedgerFactory",
        "POSTGRES_DBNAME": str(at["dbname"]),
        "POSTGRES_HOST": str(at["host"]),
        "POSTGRES_PORT": str(at.get("port", 5432)),
        "POSTGRES_USER": str(at["user"]),
        "POSTGRES_PASSWORD": str(at["password"]),
        "CREATE_TABLE": "no",
    }


def test_the_librarys_application_and_repository_work_on_the_log(database: Access) -> None:
    """Snapshots too: the aggregate comes back from the one at version 10 and the events after it."""
    songs = Songs(env=_environment(database))
    try:
        song = Song("Für Elise")
        songs.save(song)
        for number in range(11):
            song.tag(f"tag {number}")
            songs.save(song)
        again: Song = songs.repository.get(song.id)
        assert (again.title, len(again.tags), again.version) == ("Für Elise", 11, 12)
        assert songs.repository.get(song.id, version=3).tags == ["tag 0", "tag 1"]
        assert songs.snapshots is not None
        assert [s.originator_version for s in songs.snapshots.get(song.id)] == [5, 10]
        assert [n.id for n in songs.notification_log.select(3, 10)] == list(range(3, 13))
    finally:
        songs.close()


def test_the_librarys_subscription_follows_the_log(database: Access) -> None:
    songs = Songs(env=_environment(database))
    try:
        with songs.recorder.subscribe(gt=0) as subscription:
            song = Song("Gymnopédie")
            songs.save(song)
            assert next(subscription).originator_id == song.id
            song.tag("slow")
            songs.save(song)
            assert (tagged := next(subscription)).id == 2
            assert tagged.originator_version == 2
    finally:
        songs.close()


def test_db_functions_are_refused(database: Access) -> None:
    """In that mode of the library a tailing reader lost 11 of 4,000 events."""
    queue = AppendQueue(database.serving)
    with (
        _datastore(database.serving, enable_db_functions=True) as datastore,
        pytest.raises(ProgrammingError, match="POSTGRES_ENABLE_DB_FUNCTIONS"),
    ):
        LedgerRecorder(datastore, queue=queue)
    environment = _environment(database) | {"POSTGRES_ENABLE_DB_FUNCTIONS": "yes"}
    with LedgerFactory(environment) as factory, pytest.raises(ProgrammingError, match="readers miss events"):
        factory.application_recorder()


def test_another_table_is_refused(database: Access, datastore: PostgresDatastore) -> None:
    with pytest.raises(ProgrammingError, match=r"public\.stored_events"):
        LedgerRecorder(datastore, events_table_name="song_events", queue=AppendQueue(database.serving))


def test_the_serving_role_makes_no_tables_and_the_owner_migrates(
    database: Access, recorder: LedgerRecorder
) -> None:
    with pytest.raises(ProgrammingError, match="beatledger migrate"):
        recorder.create_table()
    with pytest.raises(ProgrammingError, match="beatledger migrate"):
        LedgerSnapshotRecorder(recorder.datastore).create_table()
    with _datastore(database.owner) as owners:
        LedgerRecorder(owners, queue=AppendQueue(database.owner)).create_table()


def _stored(state: bytes = b"{}", version: int = 1, originator: UUID | None = None) -> StoredEvent:
    return StoredEvent(originator or uuid4(), version, "topic", state)


def test_insert_events_refuses_in_the_librarys_own_words(recorder: LedgerRecorder) -> None:
    stream = uuid4()
    assert recorder.insert_events([_stored(originator=stream), _stored(version=7, originator=stream)]) == [
        1,
        2,
    ]
    with pytest.raises(IntegrityError):
        recorder.insert_events([_stored(version=5, originator=stream), _stored(version=7, originator=stream)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([_stored(version=8, originator=stream), _stored(version=8, originator=stream)])
    with pytest.raises(DataError):
        recorder.insert_events([_stored(b"x" * (MAX_EVENT_BYTES + 1))])
    with pytest.raises(DataError):
        recorder.insert_events([_stored(b"x" * MAX_EVENT_BYTES) for _ in range(8)])
    with pytest.raises(DataError):
        recorder.insert_events([StoredEvent(uuid4(), 1, "a topic with \0", b"{}")])
    with pytest.raises(DataError):
        recorder.insert_events([StoredEvent("no uuid", 1, "topic", b"{}")])
    with pytest.raises(ProgrammingError, match="tracking"):
        recorder.insert_events([_stored()], tracking=object())
    assert recorder.max_notification_id() == 2


def test_insert_events_after_closing_is_an_operational_error(
    database: Access, datastore: PostgresDatastore
) -> None:
    queue = AppendQueue(database.serving)
    recorder = LedgerRecorder(datastore, queue=queue)
    queue.close()
    with pytest.raises(OperationalError):
        recorder.insert_events([_stored()])
