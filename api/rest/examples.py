"""Example requests of the OpenAPI document: what its page offers to try.

A test sends each of them to a fresh installation. Ids have no example: every installation has its own.
"""

from __future__ import annotations

from typing import Any

from fastapi.openapi.models import Example


def _examples(**values: tuple[str, Any]) -> dict[str, Example]:
    return {name: Example(summary=summary, value=value) for name, (summary, value) in values.items()}


UPLOAD = {"title": "Warehouse at dawn", "artist": "Ada", "tags": ["demo"], "bpm_hint": ""}
"""By field. The page would fill in the lowest tempo that is allowed; an empty field gives none."""

PATCH = _examples(
    title=("Another title", {"title": "Warehouse at dusk"}),
    tags=("Other tags, and no artist", {"artist": None, "tags": ["demo", "live"]}),
)
ARCHIVE = _examples(reason=("With a reason", {"reason": "A better recording has come"}))
ANALYSIS = _examples(
    again=("As the last time", {}),
    preset=("For another kind of music", {"preset": "rock"}),
    hint=("Near a known tempo, soon", {"bpm_hint": 128, "priority": 8}),
)
OVERRIDE = _examples(
    offset=("Every beat 12 ms later", {"edit": "offset", "offset_ms": 12, "note": "the kick drags"}),
    double=("Twice as many beats", {"edit": "double"}),
    halve=("Half as many beats", {"edit": "halve"}),
    shift=("Every beat half a beat later", {"edit": "shift_half_beat"}),
    stretch=("Two beats where they were heard", {"edit": "stretch", "anchors": [[0, 362], [8, 4112]]}),
    beats=(
        "These beats",
        {"beats_ms": [500, 968.75, 1437.5, 1906.25, 2375], "downbeats_ms": [500, 2375], "note": "by ear"},
    ),
)
