"""Derived ids: the same inputs give the same id everywhere, so that a retry names the same thing."""

from __future__ import annotations

from uuid import UUID, uuid5

COMMANDS = UUID("6f0d1f6e-3c56-5d3b-9a35-0e3c1f6a7b01")


def job_id(track: UUID, number: int) -> UUID:
    """Return the id of a track's analysis number 1.. ."""
    return uuid5(track, f"analysis:{number}")


def command_id(principal: str, route: str, key: str) -> UUID:
    """Return the command id of an Idempotency-Key, in the scope of its principal and route."""
    return uuid5(COMMANDS, f"{principal}\n{route}\n{key}")
