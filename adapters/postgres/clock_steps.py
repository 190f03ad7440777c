"""Rows that wait until an instant, when the database's clock steps back.

Such a row holds the instant and `counts_from`, from when its delay counts: the time of the event it derives
from, or the clock's time when the row was made if that is earlier. So `counts_from` lies ahead of the clock
only after the clock has stepped back; the delay then counts from now.
To add such a table: give it `counts_from` with an index, and begin the statement that claims its rows with
`with_delays_from_now`.
"""

from __future__ import annotations

from typing import LiteralString


def with_delays_from_now(
    table: LiteralString, *, due: LiteralString, waiting: LiteralString
) -> LiteralString:
    """Return the beginning of a statement that also moves the rows which wait by a clock of before.

    `due` names the column of the instant; `waiting` is the condition of the table's index on `counts_from`.
    The statement itself does not see the rows moved by it: the next one does.
    """
    return f"""
        WITH stepped AS (
            UPDATE {table} SET {due} = now() + ({due} - counts_from), counts_from = now()
            WHERE {waiting} AND counts_from > now()
        )
    """  # noqa: S608 - the parts are literals of our own code
