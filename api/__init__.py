"""The HTTP surface: translation only."""
