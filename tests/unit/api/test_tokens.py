"""Access tokens: only ours, only unexpired, only signed one way; account ids tell nobody's name."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from api.refusals import TokenExpired, Unauthenticated
from api.security.tokens import TokenVerifier, account_id, mint

SECRET = "a secret of an installation, long enough"
OTHER = "a secret of another installation, as long"
NOW = 1_000_000.0
TTL = timedelta(minutes=15)


def verifier(now: float = NOW) -> TokenVerifier:
    return TokenVerifier(SECRET, clock=lambda: now)


def token(secret: str = SECRET, name: str = "Ada") -> str:
    return mint(secret, name, ["producer", "auditor"], TTL, clock=lambda: NOW)


def forged(header: dict[str, str], claims: dict[str, object], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in (header, claims))
    return ".".join([*parts, signature])


def signed(claims: dict[str, object]) -> str:
    """Sign any claims at all, also those that no library would encode."""
    unsigned = forged({"alg": "HS256"}, claims).removesuffix(".")
    signature = hmac.digest(SECRET.encode(), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def claims_of(text: str) -> dict[str, object]:
    payload = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_minted_token_tells_whose_it_is() -> None:
    principal = verifier().verify(token())
    assert (principal.name, principal.roles) == ("Ada", {"producer", "auditor"})
    assert principal.account_id == account_id(SECRET, "Ada")
    assert principal.actor == f"user:{principal.account_id}"


def test_a_token_is_good_until_the_very_second_it_expires() -> None:
    last = NOW + TTL.total_seconds()
    assert verifier(last - 1).verify(token()).name == "Ada"
    with pytest.raises(TokenExpired):
        verifier(last).verify(token())


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(token(OTHER))


def test_an_unsigned_token_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(forged({"alg": "none", "typ": "JWT"}, claims_of(token())))


def test_changed_claims_are_refused() -> None:
    header, _, signature = token().split(".")
    more = {**claims_of(token()), "roles": ["admin"]}
    with pytest.raises(Unauthenticated):
        verifier().verify(".".join([header, forged({}, more).split(".")[1], signature]))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_even_with_our_secret(algorithm: str) -> None:
    other = jwt.encode(
        {"alg": algorithm}, claims_of(token()), OctKey.import_key(SECRET * 2), algorithms=[algorithm]
    )
    with pytest.raises(Unauthenticated):
        verifier().verify(other)


def test_a_token_signed_with_a_key_pair_is_refused() -> None:
    key = RSAKey.generate_key(2048)
    other = jwt.encode({"alg": "RS256"}, claims_of(token()), key, algorithms=["RS256"])
    with pytest.raises(Unauthenticated):
        verifier().verify(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"sub": "Ada"},
        {"roles": []},
        {"roles": ["service"]},
        {"roles": "admin"},
        {"name": ""},
        {"name": "Ada\0"},
        {"name": "Ada\n"},
        {"name": "\ud800"},
        {"iss": "another"},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": []},
        {"aud": 7},
        {"nbf": NOW + 3600},
        {"nbf": "now"},
    ],
)
def test_claims_that_are_not_ours_are_refused_even_when_signed(changed: dict[str, object]) -> None:
    claims = {name: v for name, v in {**claims_of(token()), **changed}.items() if v is not None}
    with pytest.raises(Unauthenticated):
        verifier().verify(signed(claims))


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ["another", "beatledger"]},
        {"nbf": NOW + 30},
        {"iss": None, "aud": None, "nbf": None},
    ],
)
def test_claims_that_are_ours_are_accepted(changed: dict[str, object]) -> None:
    """One audience of several, a clock half a minute ahead, and a token of before these claims."""
    claims = {name: v for name, v in {**claims_of(token()), **changed}.items() if v is not None}
    assert verifier().verify(signed(claims)).name == "Ada"


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "é.ü.ß", "a" * 5000, token()[:-5], token() + "."])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(text)


def test_an_account_id_is_the_same_each_time_and_needs_the_secret() -> None:
    """Nobody who knows names but not the secret can tell whose id it is."""
    assert account_id(SECRET, "Ada") == account_id(SECRET, "Ada")
    assert account_id(SECRET, "Ada") != account_id(SECRET, "Bob")
    assert account_id(SECRET, "Ada") != account_id(OTHER, "Ada")
    assert account_id(SECRET, "Ada").version == 8


@pytest.mark.parametrize(
    ("secret", "name", "roles"),
    [
        ("short", "Ada", ["viewer"]),
        (SECRET, "", ["viewer"]),
        (SECRET, "Ada", []),
        (SECRET, "A\0", ["viewer"]),
    ],
)
def test_no_token_without_a_long_secret_a_name_and_a_role(secret: str, name: str, roles: list) -> None:
    with pytest.raises(ValueError, match=r"at least 32 bytes|a name of 1 to 255|control"):
        mint(secret, name, roles, TTL)
