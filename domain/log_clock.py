"""The database's clock beside the times of the log, which never go back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE_S = 1.0
"""A clock this little behind the log is right: clocks are adjusted all the time."""


@dataclass(frozen=True, slots=True)
class LogClock:
    """The database's time now, and the time of the log's last event (None for an empty log)."""

    now: datetime
    last: datetime | None

    @property
    def behind_s(self) -> float:
        """Seconds by which the clock is behind the log; 0.0 for a clock that is right."""
        behind_s = (self.last - self.now).total_seconds() if self.last else 0.0
        return behind_s if behind_s > TOLERANCE_S else 0.0

    def __str__(self) -> str:
        if not self.behind_s or self.last is None:
            return "the database's clock is not behind the log"
        behind = timedelta(seconds=round(self.behind_s))
        return (
            f"the database's clock is {behind} behind the log: until it reaches {self.last.isoformat()}, new "
            "events are recorded with that time"
        )
