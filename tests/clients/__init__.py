"""Typed clients generated from docs/openapi.json, each with the README's first session written against it."""
