"""Derived ids: the same inputs give the same id everywhere, so that a retry names the same thing."""

from __future__ import annotations

from uuid import UUID, uuid5

COMMANDS = UUID("6f0d1f6e-3c56-5d3b-9a35-0e3c1f6a7b01")
DEVICES = UUID("c1a7e6d2-4b0f-5e88-8f64-2d9b7c1e5a02")
LEASES = UUID("9e3d5b70-71c4-5a2e-b1d8-6a4f0c8e2b03")


def job_id(track: UUID, number: int) -> UUID:
    """Return the id of a track's analysis number 1.. ."""
    return uuid5(track, f"analysis:{number}")


def command_id(principal: str, route: str, key: str) -> UUID:
    """Return the command id of an Idempotency-Key, in the scope of its principal and route."""
    return uuid5(COMMANDS, f"{principal}\n{route}\n{key}")


def device_stream(slug: str) -> UUID:
    """Return the stream of a device; it is also the partition key of its lease's events."""
    return uuid5(DEVICES, slug)


def lease_stream(slug: str) -> UUID:
    """Return the stream of a device's lease."""
    return uuid5(LEASES, slug)


def member_stream(deployment: UUID, slug: str) -> UUID:
    """Return the stream of a device in a deployment."""
    return uuid5(deployment, slug)
