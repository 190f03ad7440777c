"""Access tokens: short-lived JWTs (RFC 7519), signed with HMAC-SHA-256 by the installation's secret."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from api.refusals import TokenExpired, TokenUnknown
from api.security.principal import Person, PersonRole
from domain.command import printable
from domain.known_types import known

ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
MAX_TOKEN_CHARACTERS = 4096

ISSUER = "beatledger"
AUDIENCE = "beatledger"
CLOCKS_APART_S = 60
"""How far the clock of the process that minted a token may be ahead of ours."""


class _Claims(msgspec.Struct, frozen=True):
    """The claims of a token. Those that older tokens lack have the values that these tokens meant."""

    sub: UUID
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    roles: Annotated[list[PersonRole], msgspec.Meta(min_length=1)]
    iat: int
    exp: int
    nbf: float = 0
    iss: Literal["beatledger"] = ISSUER
    aud: str | list[str] = AUDIENCE


known(_Claims)


def account_id(secret: str, name: str) -> UUID:
    """Return a name's account id: the same at every mint, and no way back to the name without the secret.

    It stands in events for ever, so erasing the name from the accounts table leaves nobody's name behind.
    """
    # A key of its own, so that no token's signature can ever be an account id.
    key = hmac.digest(secret.encode(), b"beatledger account ids", "sha256")
    digest = bytearray(hmac.digest(key, name.encode(), "sha256")[:16])
    # Version 8, "vendor specific" (RFC 9562), which uuid.UUID can't set before Python 3.14.
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))


def mint(
    secret: str,
    name: str,
    roles: Collection[PersonRole],
    ttl: timedelta,
    clock: Callable[[], float] = time.time,
) -> str:
    """Return an access token of these roles. Raises ValueError for a short secret, a bad name or no role."""
    now = int(clock())
    if not roles or not 1 <= len(name) <= 255:
        raise ValueError("a token needs a name of 1 to 255 characters and a role")
    try:
        printable(name)
    except ValueError as error:
        raise ValueError(f"the name {error}") from error
    end = now + int(ttl.total_seconds())
    claims = _Claims(account_id(secret, name), name, sorted(set(roles)), iat=now, exp=end, nbf=now)
    return jwt.encode({"alg": ALGORITHM}, msgspec.to_builtins(claims), _key(secret), algorithms=[ALGORITHM])


class TokenVerifier:
    """Tells whose an access token is."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._key = _key(secret)
        self._clock = clock

    def verify(self, token: str) -> Person:
        """Return who the token speaks for. Raises TokenUnknown or TokenExpired."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise _not_ours()
        try:
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            claims = msgspec.convert(decoded.claims, _Claims)
            # The accounts table can't hold every text that JSON can.
            printable(claims.name)
        except (JoseError, ValueError, TypeError) as error:
            raise _not_ours() from error
        if AUDIENCE not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
            raise TokenUnknown("the access token is for another service: its `aud` does not name this one")
        if self._clock() + CLOCKS_APART_S < claims.nbf:
            raise TokenUnknown("the access token is not valid yet: compare the clocks of the two machines")
        if self._clock() >= claims.exp:
            raise TokenExpired("the access token has expired: get a new one")
        return Person(claims.sub, claims.name, frozenset(claims.roles))


def _not_ours() -> TokenUnknown:
    return TokenUnknown("this server did not issue this access token: get one with `beatledger token`")


def _key(secret: str) -> OctKey:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"the secret must have at least {MIN_SECRET_BYTES} bytes (RFC 7518, 3.2)")
    return OctKey.import_key(secret.encode())
