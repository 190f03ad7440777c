"""Our quick canonical JSON is RFC 8785 to the byte, as the reference package writes it."""

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.canonical import canonical, canonical_sha256

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1000, 1000).map(lambda x: round(x, 2)),
    st.integers(-(2**53) + 1, 2**53 - 1),
)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(numbers, max_size=8),
        st.dictionaries(st.text(), inner, max_size=5),
    ),
    max_leaves=30,
)


@settings(max_examples=500, deadline=None)
@given(documents)
@example([0.0, -0.0, 1.0, 10.0, 0.1, 1e-7, 1e21, 1e20, 123456789012345.0, 9007199254740991])
@example([1.5, True, None])
@example([[1.0, 2.0], [3.0, -0.0]])
@example({"\ue000": 1, "\U0001f600": 2, "a": [0.000001, 5e-324]})
def test_every_document_gives_the_bytes_of_the_reference_package(document: object) -> None:
    assert canonical(document) == rfc8785.dumps(document)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53])
def test_what_json_cannot_say_is_refused_inside_arrays_too(value: float) -> None:
    for document in (value, [value], [1.0, value]):
        with pytest.raises(rfc8785.CanonicalizationError):
            canonical(document)


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_sha256({"a": 1, "b": [2.0]}) == canonical_sha256({"b": [2], "a": 1.0})
