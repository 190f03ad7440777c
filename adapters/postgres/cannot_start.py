"""The one error of starting up: the command line prints its text, which says what to do."""


class CannotStart(Exception):
    """The application can't run like this; the text tells the operator why, and what to change."""
