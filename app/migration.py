"""`beatledger migrate`: brings the stores to the schema of this code, before any process serves."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from adapters.artefacts.s3 import try_bucket
from adapters.kafka.topics import create_topics
from adapters.mongo.documents import MongoDocuments
from adapters.mongo.server import MongoServer
from adapters.postgres.access import Access
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.document_indexes import index_statements
from adapters.postgres.migrate import migrate
from adapters.postgres.roles import create_roles
from adapters.postgres.running import running_or_own
from app.settings import Migration
from domain.errors import Unavailable
from projections.views import VIEWS


def prepare(access: Access) -> tuple[str, ...]:
    """Bring an embedded profile's database to this code's schema; return the migrations it applied."""
    create_roles(access)
    return migrate(access.owner, index_statements(VIEWS))


def migrate_folder(folder: DataFolder) -> tuple[str, ...]:
    """Prepare the database of a data folder. Raises CannotStart."""
    with running_or_own(folder) as access:
        return prepare(access)


def migrate_servers(settings: Migration) -> tuple[str, ...]:
    """Prepare Postgres, Kafka, MongoDB and the bucket; return the parts it created.

    May be run again, also concurrently. Raises CannotStart; Unavailable names the unreachable server.
    """
    try_bucket(settings.artefacts_url)
    owner = settings.database_owner_url.get_secret_value()
    serving = settings.database_url.get_secret_value()
    with _postgres_named():
        if settings.database_admin_url is not None:
            create_roles(Access(settings.database_admin_url.get_secret_value(), owner, serving))
        applied = migrate(owner)
        topics = create_topics(
            owner,
            settings.kafka_bootstrap,
            settings.kafka_namespace,
            partitions=settings.kafka_partitions,
            replication=settings.kafka_replicas,
        )
    asyncio.run(_index_documents(settings.mongo_url.get_secret_value()))
    return (*applied, *topics)


@contextmanager
def _postgres_named() -> Generator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unavailable(
            f"Postgres can't be reached or refuses access: {' '.join(str(error).split())}"
        ) from error


async def _index_documents(mongo_url: str) -> None:
    mongo = MongoServer(mongo_url)
    try:
        await MongoDocuments(mongo, VIEWS).ensure_indexes(VIEWS)
    finally:
        await mongo.close()
