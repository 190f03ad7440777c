"""The multipart parser gives the same form however the network cuts it up."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.refusals import BodyTooLarge, MalformedMultipart, UnsupportedMediaType
from api.rest.multipart import MAX_FIELD_BYTES, MAX_PARTS, MAX_PREAMBLE_BYTES, MultipartForm
from domain.errors import Invalid

BOUNDARY = "xyzzy"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"

AUDIO = b"\r\n--xyzz RIFF\x00\xff\r\n--" * 40
"""Full of what looks like the beginning of a boundary."""


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def parsed(*chunks: bytes, content_type: str = TYPE) -> tuple[list[tuple[str, str]], str, bytes]:
    form, file = MultipartForm(content_type), b""
    for chunk in chunks:
        file += b"".join(form.feed(chunk))
    filename = form.finish()
    return form.fields, filename, file


FORM = body(
    part("title", "Füße".encode()),
    part("tags", b"a"),
    part("file", AUDIO, "søng.wav"),
    part("tags", b"b"),
)


def test_fields_come_in_any_order_around_the_file() -> None:
    assert parsed(FORM) == ([("title", "Füße"), ("tags", "a"), ("tags", "b")], "søng.wav", AUDIO)


@given(st.lists(st.integers(0, len(FORM)), max_size=40))
def test_the_form_is_the_same_in_whatever_chunks_it_comes(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(FORM)]
    assert parsed(*(FORM[a:b] for a, b in pairwise(edges))) == parsed(FORM)


def test_byte_by_byte_is_no_different() -> None:
    assert parsed(*(FORM[i : i + 1] for i in range(len(FORM)))) == parsed(FORM)


PREAMBLE = b"This is a message in MIME format.\r\n-- xyzz\r\n--xyzz\r\n"


@pytest.mark.parametrize("preamble", [b"\r\n", b"\r\n\r\n", PREAMBLE])
def test_text_before_the_first_boundary_is_ignored(preamble: bytes) -> None:
    whole = preamble + FORM
    assert parsed(whole) == parsed(FORM)
    assert parsed(*(whole[i : i + 1] for i in range(len(whole)))) == parsed(FORM)


def test_text_before_the_first_boundary_has_an_end() -> None:
    line = b"x" * 98 + b"\r\n"
    assert parsed(line * (MAX_PREAMBLE_BYTES // 100 - 20) + FORM) == parsed(FORM)
    form = MultipartForm(TYPE)
    with pytest.raises(MalformedMultipart):
        for _ in range(2 * MAX_PREAMBLE_BYTES // 100):
            form.feed(line)


@pytest.mark.parametrize(
    ("parameters", "filename"),
    [
        ("filename*=UTF-8''s%C3%B8ng%20one.wav", "søng one.wav"),
        ("filename*=utf-8'en'song.wav", "song.wav"),
        ("filename=\"plain.wav\"; filename*=UTF-8''other.wav", "plain.wav"),
        ("filename*=UTF-8''%FF.wav", "\ufffd.wav"),
    ],
)
def test_a_file_may_have_an_encoded_name(parameters: str, filename: str) -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; {parameters}\r\n\r\n'
    assert parsed(body(head.encode() + AUDIO + b"\r\n")) == ([], filename, AUDIO)


@given(st.integers(0, len(FORM) - 5))
def test_a_body_that_breaks_off_anywhere_is_refused(end: int) -> None:
    """Also when nothing but the closing boundary is missing."""
    with pytest.raises(MalformedMultipart):
        parsed(FORM[:end])


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_it_fail_otherwise(content: bytes) -> None:
    with pytest.raises((MalformedMultipart, BodyTooLarge, Invalid)):
        parsed(content)


@given(st.binary(max_size=200))
def test_no_headers_at_all_make_it_fail_otherwise(header: bytes) -> None:
    """A part that by chance is a field leaves the file missing."""
    with pytest.raises((MalformedMultipart, BodyTooLarge, Invalid)):
        parsed(b"--xyzzy\r\n" + header + b"\r\n\r\nx\r\n--xyzzy--\r\n")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40))
def test_no_parameters_at_all_make_it_fail_otherwise(parameters: str) -> None:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=x; filename*{parameters}\r\n\r\n"
    with contextlib.suppress(MalformedMultipart, Invalid):
        parsed(body(head.encode() + b"x\r\n"))


def rule_of(content: bytes) -> str:
    with pytest.raises(Invalid) as refused:
        parsed(content)
    return refused.value.rule


def test_a_form_has_exactly_one_file() -> None:
    file = part("file", b"x", "a.wav")
    assert rule_of(body(part("title", b"x"))) == "file_missing"
    assert rule_of(body(part("file", b"x"))) == "file_missing"
    assert rule_of(body(part("file", b"x" * (MAX_FIELD_BYTES + 1)))) == "file_missing"
    assert rule_of(body(file, file)) == "one_file_only"
    assert rule_of(body(part("cover", b"x", "a.png"), file)) == "unexpected_file"


def test_fields_are_utf_8() -> None:
    assert rule_of(body(part("title", b"\xff\xfe"), part("file", b"x", "a.wav"))) == "not_utf8"


def test_fields_are_small_and_few() -> None:
    with pytest.raises(BodyTooLarge):
        parsed(part("title", b"x" * (MAX_FIELD_BYTES + 1)))
    with pytest.raises(BodyTooLarge):
        parsed(part("tags", b"x") * (MAX_PARTS + 1))


@pytest.mark.parametrize("content_type", [None, "", "application/json", "multipart/mixed; boundary=x"])
def test_another_content_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        MultipartForm(content_type)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", f"multipart/form-data; boundary={'x' * 500}"]
)
def test_a_boundary_is_needed_and_short(content_type: str) -> None:
    with pytest.raises(MalformedMultipart):
        MultipartForm(content_type)
