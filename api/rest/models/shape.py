"""What all answers have in common.

Routes answer encoded bytes of the documents themselves; the tests hold every answer to these models. A client
must ignore fields it does not know: answers are open to new ones.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """An answer; the text under a field is its description in the OpenAPI document."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Moved(Shape):
    """The command was recorded, or had nothing to change."""

    revision: int
    """Number of the last event of the resource's stream: the revision of its ETag."""
    position: int
    """Number of that event in the whole log."""
