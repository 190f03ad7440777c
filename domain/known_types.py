"""Lets msgspec learn a type where it is defined, since learning it at its first use is not safe."""

from __future__ import annotations

from typing import Any

import msgspec


def known(*types: Any) -> None:
    """Let msgspec learn types, and those of their fields, while their module is imported.

    At the first use of a Struct msgspec (0.22) shows it to all threads before it knows its fields: another
    thread that decodes one meanwhile crashes the process. A Decoder that a module makes does the same.
    """
    for type_ in types:
        msgspec.json.Decoder(type_)
