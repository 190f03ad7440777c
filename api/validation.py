"""What is wrong with a request, in words of HTTP and JSON: pydantic's own texts speak of Python's types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

UNION_TAG = "edit:"
"""Begins the tags by which bodies tell a union's members apart; no client sends one, so no path shows one."""

_CODES: Mapping[str, str] = {
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "array_type"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "object_type"),
    "string_unicode": "string_type",
}
"""Pydantic's codes that name a type of Python; its other codes are passed on."""

_MESSAGES: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "array_type": "must be an array",
    "object_type": "must be an object",
    "string_type": "must be a text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} items; it has {actual_length}",
    "too_long": "must have at most {max_length} items; it has {actual_length}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "datetime_type": "must be a time as RFC 3339 writes it",
    "datetime_parsing": "must be a time as RFC 3339 writes it",
    "datetime_from_date_parsing": "must be a time as RFC 3339 writes it",
    "timezone_aware": "must have an offset from UTC",
    "value_error": "{error}",
    "invalid": "is not valid",
}
"""By code, the text that follows a path and a colon; `invalid` stands for each kind that is not listed."""


_OWN = frozenset({"edit_unknown"})
"""Codes of errors whose text is written here and not by pydantic."""


class FieldError(pydantic.BaseModel):
    """An error in one part of the request."""

    model_config = pydantic.ConfigDict(use_attribute_docstrings=True)

    path: str
    """Path of the part, such as `beats_ms[3]` or `query.limit`."""
    message: str
    """The error in words."""
    code: str | None = None
    """Kind of the error."""


def field_path(location: Sequence[str | int]) -> str:
    """Return a pydantic location as a path such as `beats_ms[3]`; `body` goes without saying.

    Query parameters and headers keep the word that tells where they stand: `query.limit`.
    """
    parts = location[1:] if len(location) > 1 and location[0] in ("body", "path") else location
    if len(parts) > 1 and str(parts[0]).startswith(UNION_TAG):
        parts = parts[1:]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Return pydantic's errors without the input they echo, which may be long or secret."""
    return [_field_error(error) for error in errors]


def _field_error(error: Any) -> FieldError:
    code = _CODES.get(error["type"], error["type"])
    if code in _OWN:
        return FieldError(path=field_path(error["loc"]), message=error["msg"], code=code)
    code = code if code in _MESSAGES else "invalid"
    context = {name: _plain(value) for name, value in error.get("ctx", {}).items()}
    message = _MESSAGES[code].format_map(context)
    if code == "string_too_short" and context.get("min_length") == 1:
        message = "must not be empty"
    return FieldError(path=field_path(error["loc"]), message=message, code=code)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
