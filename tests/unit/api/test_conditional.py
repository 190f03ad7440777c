"""ETags name a revision and a body; If-Match looks at the revision, If-None-Match at all of it."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from api.circumstances import MAX_WAIT_S, wait_of
from api.conditional import etag, known_to_client, representation, revisions_to_match
from api.refusals import MatchRequired, RangeNotSatisfiable
from api.rest.versions import wanted_range
from api.trace import trace_of
from domain.errors import Invalid
from projections.queries import Wait


def request(*headers: tuple[str, str]) -> Request:
    return Request({"type": "http", "headers": [(k.lower().encode(), v.encode()) for k, v in headers]})


def test_an_etag_has_the_revision_and_tells_bodies_apart() -> None:
    assert etag(7, b"a").startswith('"7-')
    assert len({etag(7, b"a"), etag(7, b"b"), etag(8, b"a"), etag(None, b"a")}) == 4


A7 = etag(7, b"a")


@pytest.mark.parametrize(
    "header", [A7, etag(7, b"b"), '"7"', ' "7-0a" ', f"W/{A7}", f'{A7[:-1]}-gzip"', f"{A7},"]
)
def test_if_match_is_the_revision_whatever_the_body_was(header: str) -> None:
    """Also as a proxy that compresses rewrites it: weak, or with a suffix."""
    assert revisions_to_match(request(("If-Match", header))) == {7}


@pytest.mark.parametrize(
    ("header", "revisions"),
    [
        ('"7", "8"', {7, 8}),
        (f'W/{A7} , "x,y",W/"9-0a"', {7, 9}),
        ('"x"', set()),
        ('"-1"', set()),
        ('W/""', set()),
        (f'"{"9" * 30}"', set()),
        (f'"{"0a" * 32}"', set()),
    ],
)
def test_if_match_takes_any_list_of_etags(header: str, revisions: set[int]) -> None:
    assert revisions_to_match(request(("If-Match", header))) == revisions


def test_several_if_match_headers_are_one_list() -> None:
    assert revisions_to_match(request(("If-Match", '"7"'), ("If-Match", '"8"'))) == {7, 8}


@pytest.mark.parametrize("header", ["7", "", "x", '"7', "7-0a", 'w/"7"', '"7" "8"', '*, "7"', '"7";q=1'])
def test_what_is_no_etag_is_no_if_match(header: str) -> None:
    with pytest.raises(Invalid):
        revisions_to_match(request(("If-Match", header)))


def test_if_match_can_be_required_and_a_star_meets_that() -> None:
    assert revisions_to_match(request()) is None
    assert revisions_to_match(request(("If-Match", "*")), required=True) is None
    with pytest.raises(MatchRequired):
        revisions_to_match(request(), required=True)


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ("", False),
    ],
)
def test_if_none_match_names_what_the_client_has(header: str, known: bool) -> None:
    assert known_to_client(request(("If-None-Match", header)), '"a"') is known


def test_a_known_representation_is_answered_without_its_body() -> None:
    first = representation(request(), b"{}", 3)
    second = representation(request(("If-None-Match", first.headers["etag"])), b"{}", 3)
    changed = representation(request(("If-None-Match", first.headers["etag"])), b"{ }", 3)
    assert (second.status_code, second.body) == (304, b"")
    assert second.headers["etag"] == first.headers["etag"]
    assert (changed.status_code, changed.body) == (200, b"{ }")


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=2", 2.0),
        ("respond-async, wait=10", 10.0),
        ("Wait = 0.5", 0.5),
        ("wait=9999", MAX_WAIT_S),
        ("wait=soon", None),
        ("await=2", None),
        ("return=minimal", None),
    ],
)
def test_prefer_wait_is_read_among_other_preferences(prefer: str, seconds: float | None) -> None:
    asked = request(("Prefer", prefer), ("Consistency-Token", "abc"))
    assert wait_of(asked) == Wait("abc", seconds)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=4-", (4, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=9-9", (9, 10)),
        ("bytes=3-1", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-3", None),
        ("", None),
    ],
)
def test_a_range_is_read_as_rfc_9110_has_it(header: str, wanted: tuple[int, int] | None) -> None:
    assert wanted_range(request(("Range", header)), '"t"', 10) == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_outside_is_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        wanted_range(request(("Range", header)), '"t"', 10)


def test_a_range_of_another_version_is_all_of_this_one() -> None:
    assert wanted_range(request(("Range", "bytes=0-3"), ("If-Range", '"old"')), '"t"', 10) is None
    assert wanted_range(request(("Range", "bytes=0-3"), ("If-Range", '"t"')), '"t"', 10) == (0, 4)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_trace_goes_on_with_a_span_of_our_own() -> None:
    trace = trace_of(request(("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")).headers)
    version, trace_id, span, flags = trace.traceparent.split("-")
    assert (version, trace_id, flags, trace.trace_id) == ("00", TRACE, "01", TRACE)
    assert span != "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-abc-def-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
def test_a_wrong_traceparent_begins_a_new_trace(header: str) -> None:
    first, second = (trace_of(request(("traceparent", header)).headers) for _ in range(2))
    assert len(first.trace_id) == 32
    assert len({first.trace_id, second.trace_id, TRACE}) == 3


@pytest.mark.parametrize(("sent", "echoed"), [("abc-1", True), ("a b", False), ("x" * 200, False)])
def test_a_request_id_is_echoed_if_it_is_harmless(sent: str, echoed: bool) -> None:
    trace = trace_of(request(("X-Request-Id", sent)).headers)
    assert trace.request_id == (sent if echoed else trace.trace_id)
