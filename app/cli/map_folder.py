"""Genesis Maps as files in a folder: one a recording, whole or not there, none in the place of another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from uuid import uuid4

SUFFIX = ".genesis-map.json"


class MapFolder:
    """A folder that holds a map of each of these recordings; `paths` says where, in their order."""

    def __init__(self, folder: Path, recordings: Sequence[Path]) -> None:
        self.paths = [folder / f"{name}{SUFFIX}" for name in distinct(file.stem for file in recordings)]

    def keep(self, number: int, content: bytes) -> None:
        """Write the map of a recording, replacing an earlier run's. Raises OSError."""
        target = self.paths[number]
        part = target.with_name(f".{uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def distinct(names: Iterable[str]) -> list[str]:
    """Return the names with a number behind each that an earlier one has taken: song, song-2, song-3.

    Case makes no difference, as on file systems that don't know it.
    """
    taken: set[str] = set()
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        free = (
            name if name.casefold() not in taken else next(n for n in numbered if n.casefold() not in taken)
        )
        taken.add(free.casefold())
        found.append(free)
    return found
