"""Changes to a view's generations, as pure functions on the entries of its control document.

Each changes the given entries. The caller writes them back whole, or repeats the call on newer entries.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from projections.documents import Generation

Entries = dict[str, dict[str, Any]]
"""A view's generations by number: {version, state, changed_at, watermarks {shard: position}}."""


def listed(view: str, entries: Entries) -> list[Generation]:
    """Return the generations, oldest first."""
    numbers = sorted(map(int, entries))
    return [Generation(view, n, entries[str(n)]["version"], entries[str(n)]["state"]) for n in numbers]


def begin(view: str, version: int, now: datetime, entries: Entries) -> Generation:
    """Return the unfinished generation of this version, else a new one.

    Its number is the time in milliseconds, so that an emptied database assigns no number twice: a projector
    that has not noticed yet would continue in the new generation, without the earlier documents.
    """
    for generation in listed(view, entries):
        if generation.version == version and generation.state in ("building", "following"):
            return generation
    number = max([int(now.timestamp() * 1000), *(int(number) + 1 for number in entries)])
    entries[str(number)] = {"version": version, "state": "building", "changed_at": now, "watermarks": {}}
    return Generation(view, number, version)


def follow(generation: Generation, now: datetime, entries: Entries) -> None:
    """Make a building generation follow."""
    entry = entries.get(str(generation.number))
    if entry and entry["state"] == "building":
        entry.update(state="following", changed_at=now)


def switch(generation: Generation, now: datetime, entries: Entries) -> bool:
    """Make a following generation serve, unless the old one is ahead; return True if it serves."""
    mine = entries.get(str(generation.number))
    if mine is None or mine["state"] not in ("following", "serving"):
        return False
    for other in entries.values():
        if other["state"] == "serving" and other is not mine:
            if _is_behind(mine["watermarks"], other["watermarks"]):
                return False
            other.update(state="retired", changed_at=now)
    if mine["state"] == "following":
        mine.update(state="serving", changed_at=now)
    return True


def drop(before: datetime, entries: Entries) -> frozenset[str]:
    """Remove the generations retired before that time; return the numbers of the rest."""
    for number, entry in list(entries.items()):
        if entry["state"] == "retired" and entry["changed_at"] <= before:
            del entries[number]
    return frozenset(entries)


def _is_behind(mine: dict[str, int], theirs: dict[str, int]) -> bool:
    return any(mine.get(shard, 0) < position for shard, position in theirs.items())
