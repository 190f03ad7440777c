"""Only the bytes of a header count for its limit, and a header without an end is cut off."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from app.bounded_http import BoundedHttpProtocol
from app.connections import HttpLimits, Places

pytestmark = pytest.mark.anyio

LIMITS = HttpLimits(60, 60, 1, 60, connections=4, per_address=3)


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.written, self.closed, self._address = b"", False, address

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._address, 1) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def echo(scope: object, receive: object, send: object) -> None:
    """Answer nothing."""


def connected(places: Places | None = None, address: str = "10.0.0.1") -> tuple[BoundedHttpProtocol, Wire]:
    config = Config(echo, lifespan="off", log_level="critical")  # type: ignore[arg-type]
    protocol = BoundedHttpProtocol(places or Places(LIMITS), config, ServerState(), {})
    wire = Wire(address)
    protocol.connection_made(wire)
    return protocol, wire


HEADER = b"POST /v1/tracks HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"


async def test_the_body_that_arrives_with_the_end_of_a_split_header_is_not_counted():
    protocol, wire = connected()
    protocol.data_received(HEADER[:30])
    protocol.data_received(HEADER[30:] + b"a" * 200_000)
    assert wire.written == b""
    assert not wire.closed


async def test_the_body_before_a_pipelined_header_is_not_counted():
    protocol, wire = connected()
    protocol.data_received(HEADER)
    protocol.data_received(b"a" * 200_000 + HEADER[:30])
    protocol.data_received(HEADER[30:])
    assert not wire.closed


@pytest.mark.parametrize("field", [b"X: " + b"a" * 1_000, b"X: y\r\n" * 200], ids=["one field", "many"])
async def test_a_header_without_an_end_is_cut_off_at_64_kb(field: bytes):
    protocol, wire = connected()
    protocol.data_received(HEADER[:40])
    for _ in range(70):
        if not wire.closed:
            protocol.data_received(field)
    assert wire.written.startswith(b"HTTP/1.1 431")
    assert wire.closed


async def test_a_whole_header_over_64_kb_in_one_packet_is_refused():
    protocol, wire = connected()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n")
    assert wire.written.startswith(b"HTTP/1.1 431")
    assert wire.closed


async def test_the_connection_that_waited_longest_gives_its_place_to_a_new_one():
    places = Places(LIMITS)
    wires = [connected(places, f"10.0.0.{number}")[1] for number in range(6)]
    assert [wire.closed for wire in wires] == [True, True, False, False, False, False]


async def test_an_address_takes_no_more_than_its_places():
    places = Places(LIMITS)
    other = connected(places, "10.0.0.2")[1]
    wires = [connected(places)[1] for _ in range(5)]
    assert [wire.closed for wire in wires] == [True, True, False, False, False]
    assert not other.closed


async def test_a_connection_whose_request_is_served_keeps_its_place():
    places = Places(replace(LIMITS, connections=1))
    serving, wire = connected(places)
    serving.data_received(HEADER)
    late = connected(places, "10.0.0.2")[1]
    assert not wire.closed
    assert late.closed
