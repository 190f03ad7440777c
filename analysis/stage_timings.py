"""A run's stage timings in speedscope's file format, to be opened in any viewer of it (speedscope.app)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


def speedscope(name: str, stage_ms: Mapping[str, float]) -> bytes:
    """Return an evented profile of stages that ran one after the other; times in ms."""
    frames = [{"name": stage} for stage in stage_ms]
    events: list[dict[str, str | int | float]] = []
    at = 0.0
    for index, milliseconds in enumerate(stage_ms.values()):
        events.append({"type": "O", "frame": index, "at": at})
        at = round(at + milliseconds, 3)
        events.append({"type": "C", "frame": index, "at": at})
    profile = {
        "type": "evented",
        "name": name,
        "unit": "milliseconds",
        "startValue": 0,
        "endValue": at,
        "events": events,
    }
    return msgspec.json.encode(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "exporter": "beatledger",
            "name": name,
            "activeProfileIndex": 0,
            "shared": {"frames": frames},
            "profiles": [profile],
        }
    )
