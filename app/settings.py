"""All settings, from BEATLEDGER_* variables or the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from api.security.tokens import MIN_SECRET_BYTES

TOKEN_SECRET = "token.key"  # noqa: S105 - a file name in the data folder's secrets

Profile = Literal["embedded", "distributed"]


Secret = Annotated[SecretStr, Field(min_length=MIN_SECRET_BYTES)]
"""The secret that signs access tokens."""


def _of_postgres(url: SecretStr) -> SecretStr:
    try:
        conninfo_to_dict(url.get_secret_value())
    except psycopg.ProgrammingError as error:
        raise ValueError("not a connection string of Postgres") from error
    return url


def _of_mongo(url: SecretStr) -> SecretStr:
    # Without a scheme MongoDB's parser takes any text for a host, and reports no error.
    if not url.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("not a mongodb:// URL")
    return url


PostgresUrl = Annotated[SecretStr, AfterValidator(_of_postgres)]
MongoUrl = Annotated[SecretStr, AfterValidator(_of_mongo)]


class Settings(BaseSettings):
    """The settings of both profiles; the defaults suit a fresh machine."""

    model_config = SettingsConfigDict(env_prefix="BEATLEDGER_", frozen=True, hide_input_in_errors=True)

    profile: Profile = "embedded"
    data_dir: Path = Path(".beatledger")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    analysis_workers: Annotated[int, Field(ge=1, le=64)] = os.cpu_count() or 1
    """Analyses that run at once, each in a child process."""
    analysis_per_minute: Annotated[int, Field(ge=1)] | None = None
    """The most analyses started in a minute; None = no limit."""
    max_audio_minutes: Annotated[float, Field(gt=0, le=90)] = 20.0
    """Longest decoded sound: a 49 MB MP3 can hold 13.9 hours. An analysis takes 50 MB, and 0.28 MB for each
    allowed second. The limit is 90, for which a grid's 20,000 beats suffice."""
    header_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    """A connection is ended when it has not sent a whole request header within this time."""
    body_seconds: Annotated[float, Field(gt=0, le=86_400)] = 900.0
    """A request's body must have arrived within this time, and at this rate in every window:"""
    body_bytes_per_second: Annotated[int, Field(ge=1)] = 1000
    body_window_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """An answer that nobody reads for this time is ended, too."""
    max_connections: Annotated[int, Field(ge=1)] | None = None
    """None = half of the descriptors this process may open, at most 4,096. When all places are taken, the
    connection that has waited longest for a header is ended."""
    max_connections_per_address: Annotated[int, Field(ge=1)] | None = None
    """None = half of max_connections. Behind a proxy all connections have its address."""
    max_uploads: Annotated[int, Field(ge=1)] = 192
    """Uploads received at once; others are answered with 503. Each has two descriptors."""
    probers: Annotated[int, Field(ge=2, le=64)] = 3
    """Uploads decoded for a look at once; as many wait, others are answered with 503."""
    firmware_min_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    """The firmware a device needs to play a version made from now on (semver)."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(origin.strip() for origin in value.split(",") if origin.strip())
        return value


class Embedded(Settings):
    """The settings of the embedded profile."""

    secret: Secret | None = None
    """Without it the data folder's secret is used, which is made at the first start."""


class Distributed(Settings):
    """The settings of the distributed profile only: the addresses of its servers. None has a default, so
    that no process connects to the wrong server or signs with a known secret by accident."""

    database_url: PostgresUrl
    """The serving role, beatledger_app: `postgresql://beatledger_app:…@host/beatledger`."""
    kafka_bootstrap: Annotated[str, Field(min_length=1)]
    """`host:port`, several with commas between them."""
    mongo_url: MongoUrl
    """With the database's name: `mongodb://host/beatledger?replicaSet=rs0`."""
    artefacts_url: Annotated[str, Field(pattern=r"^s3://[^/]+(/.*)?$")]
    """`s3://bucket` or `s3://bucket/prefix`. Endpoint, region and keys come from the AWS_* variables."""
    secret: Secret
    """The same in every process of the installation."""


class Migration(Distributed):
    """The settings that `beatledger migrate` reads in addition, in the distributed profile."""

    database_owner_url: PostgresUrl
    """The role beatledger_owner, which owns the tables; no serving process has its password."""
    database_admin_url: PostgresUrl | None = None
    """A superuser, to create the two roles and the database; without it they must exist."""
    kafka_partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    """Partitions of each topic; fixed, since keys would move. Also the most projectors that share a view."""
    kafka_replicas: Annotated[int, Field(ge=1, le=10)] = 3
    """Replicas of each topic; 1 on a single broker."""
    kafka_namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")] = "beatledger"
    """The prefix of the topics' names, so that several installations may share a Kafka."""
