"""REST endpoints of /v1."""
