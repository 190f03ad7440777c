"""Every code that a problem can carry, read from the source: error classes, rules, and what HTTP adds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from api import problem
from domain.errors import LedgerError

ROOT = Path(__file__).parents[3]
FOLDERS = ("domain", "commands", "projections", "adapters", "api")
NOT_ANSWERED = {"rejected", "invalid"}
"""Codes of the classes whose `rule` is answered instead."""


def error_classes(base: type[LedgerError] = LedgerError) -> Iterator[type[LedgerError]]:
    """Yield every kind of refusal there is."""
    for kind in base.__subclasses__():
        yield kind
        yield from error_classes(kind)


@cache
def rules() -> set[str]:
    """Return the first argument of every Rejected(...) and Invalid(...) in the source."""
    found: set[str] = set()
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Rejected" | "Invalid"), args=[ast.Constant(str(rule)), *_]):
                    found.add(rule)
                case ast.Call(
                    func=ast.Name(id="Rejected" | "Invalid"), args=[ast.Subscript(ast.Name(id=name)), *_]
                ):
                    found |= _values(path, name)
                case ast.Call(func=ast.Name(id="Rejected" | "Invalid")):
                    raise AssertionError(f"{path}:{node.lineno}: a rule's code must stand where it is raised")
                case _:
                    pass
    return found


def _values(path: Path, name: str) -> set[str]:
    """Return the values of a module's table of codes."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Dict(values=values)) if target == name:
                return {value.value for value in values if isinstance(value, ast.Constant)}
            case _:
                pass
    raise AssertionError(f"{path} has no table {name}")


def all_codes() -> set[str]:
    """Return every code docs/errors.md has to explain."""
    kinds = {kind.code for kind in error_classes()} - NOT_ANSWERED
    http = {code for code, _ in problem.HTTP_CODES.values()}
    return kinds | http | rules() | {problem.INVALID_REQUEST, problem.INTERNAL}
