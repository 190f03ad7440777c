"""Accept is read as RFC 9110 defines it: qualities, wildcards, parameters, in any case."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from api.negotiation import preferred

JSON, BINARY = "application/json", "application/octet-stream"


def request(*accept: str) -> Request:
    return Request({"type": "http", "headers": [(b"accept", value.encode()) for value in accept]})


@pytest.mark.parametrize(
    "accept",
    [
        BINARY,
        "Application/Octet-Stream",
        f"{BINARY}, */*",
        f"{BINARY};q=0.9, {JSON};q=0.8",
        f"{JSON};q=0.1, application/*",
        f"{JSON};Q=0, {BINARY}",
        f"text/html, {BINARY};q=0.001",
    ],
)
def test_the_binary_form_is_chosen_when_it_ranks_higher(accept: str) -> None:
    assert preferred(request(accept), JSON, BINARY) == BINARY


@pytest.mark.parametrize(
    "accept",
    [
        f"{BINARY};q=0, {JSON}",
        f"{BINARY};q=0, */*",
        f"{BINARY};q=0.5, {JSON}",
        f"{BINARY}, {JSON}",
        "*/*",
        "application/*",
        "text/html",
        "",
        ",;=,q",
        f"{BINARY};q=nonsense",
        f"{BINARY};q=0",
        f"x{BINARY}",
        f"{BINARY};version=2",
        f'text/plain;note="{BINARY}"',
    ],
)
def test_json_is_chosen_in_every_other_case(accept: str) -> None:
    assert preferred(request(accept), JSON, BINARY) == JSON


def test_several_accept_headers_are_one_list() -> None:
    assert preferred(request(f"{JSON};q=0.5", BINARY), JSON, BINARY) == BINARY
    assert preferred(request(), JSON, BINARY) == JSON
