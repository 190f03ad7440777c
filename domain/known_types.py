"""Makes msgspec learn a type where it is defined, because learning it at its first use is not safe."""

from __future__ import annotations

from typing import Any

import msgspec


def known(*types: Any) -> None:
    """Make msgspec learn types, and those of their fields, while their module is imported.

    At the first use of a Struct msgspec (0.22) shows it to all threads before its fields are known: another
    thread that decodes one meanwhile crashes the process. A Decoder made by the module has the same effect.
    """
    for type_ in types:
        msgspec.json.Decoder(type_)
