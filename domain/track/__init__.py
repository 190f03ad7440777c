"""The track: its events, its states, its commands and the decisions between them."""
