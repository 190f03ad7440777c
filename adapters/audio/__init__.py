"""Decoding and analysis in child processes that may crash or hang without harm to the application."""
