"""The handlers as the application has them, over artefacts in memory, with a clock that stands still."""

from __future__ import annotations

from commands.handler import Handlers
from commands.tracks import track_handlers
from commands.versions import Versions
from tests.unit.commands.memory import NOON, MemoryArtefacts


def versions(artefacts: MemoryArtefacts) -> Versions:
    return Versions(artefacts, "1.2.0", clock=lambda: NOON)


def handlers(artefacts: MemoryArtefacts) -> Handlers:
    return track_handlers(versions(artefacts))
