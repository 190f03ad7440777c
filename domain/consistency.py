"""The Consistency-Token: the log positions of a command's events, so that a query can wait for them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

import msgspec

from domain.errors import Invalid

_decode = msgspec.json.Decoder(list[tuple[str, int]]).decode


def encode_token(positions: Mapping[str, int]) -> str:
    """Return the opaque token of shard to last position written."""
    return urlsafe_b64encode(msgspec.json.encode(sorted(positions.items()))).rstrip(b"=").decode()


def decode_token(token: str) -> dict[str, int]:
    """Return shard to position. Raises Invalid for a text that no command returned."""
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        return dict(_decode(urlsafe_b64decode(padded)))
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise Invalid("consistency_token", "not a Consistency-Token of a command's answer") from error
