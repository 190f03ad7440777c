"""Limits the number of jobs that a worker starts in a minute."""

from __future__ import annotations

from collections import deque

_WINDOW_S = 60.0


class RateLimit:
    """At most `per_minute` in any minute, None = no limit. Times in s of any steady clock."""

    def __init__(self, per_minute: int | None) -> None:
        self._begun: deque[float] | None = None if per_minute is None else deque(maxlen=per_minute)

    def wait_s(self, now: float) -> float:
        """Return the time in s until the next job may start."""
        if self._begun is None or len(self._begun) < (self._begun.maxlen or 0):
            return 0.0
        return max(0.0, self._begun[0] + _WINDOW_S - now)

    def begun(self, now: float) -> None:
        """Count a job that starts now."""
        if self._begun is not None:
            self._begun.append(now)
