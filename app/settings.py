"""Everything that can be set from outside, from BEATLEDGER_* variables or the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

TOKEN_SECRET = "token.key"  # noqa: S105 - the name of a file in the data folder's secrets


class Settings(BaseSettings):
    """The settings of the embedded profile, each with the default a fresh machine needs."""

    model_config = SettingsConfigDict(env_prefix="BEATLEDGER_", frozen=True)

    data_dir: Path = Path(".beatledger")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    analysis_workers: Annotated[int, Field(ge=1, le=64)] = os.cpu_count() or 1
    """Analyses that run at once, a child process each."""
    analysis_per_minute: Annotated[int, Field(ge=1)] | None = None
    """At most so many analyses are begun in a minute; None = no limit."""
    max_audio_minutes: Annotated[float, Field(gt=0, le=600)] = 20.0
    """Decoded length: a 49 MB MP3 can hold 13.9 hours of sound."""
    firmware_min_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    """What a device must run to play a version made now (semver)."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(origin.strip() for origin in value.split(",") if origin.strip())
        return value
