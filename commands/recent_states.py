"""The states used last, in memory: bounded in number and bytes, since each may hold several grids."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

MAX_BYTES = 20_000_000
"""The JSON of the states kept; decoded, a grid is four times as large."""


class RecentStates:
    """The states kept, by key; the least recently used goes first."""

    def __init__(self, most: int, max_bytes: int = MAX_BYTES) -> None:
        self._most = most
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Any | None:
        """Return the state of this key."""
        if (found := self._kept.get(key)) is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: Hashable, state: Any, size: int) -> None:
        """Keep a state whose JSON has `size` bytes, in place of the one before."""
        self._bytes += size - self._kept.get(key, (None, 0))[1]
        self._kept[key] = (state, size)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most or self._bytes > self._max_bytes:
            _, (_, freed) = self._kept.popitem(last=False)
            self._bytes -= freed
