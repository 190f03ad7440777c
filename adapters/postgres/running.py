"""How a command reaches the database of a data folder: through the running `up`, or by serving it itself."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from adapters.postgres.access import DATABASE, Access, access_through
from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder, DataFolderInUse
from adapters.postgres.postmaster import running_postmaster
from adapters.postgres.server import EmbeddedPostgres


@contextmanager
def running_or_own(folder: DataFolder, patience_s: float = 30.0) -> Generator[Access]:
    """Give the access to the folder's Postgres, which is started for this block when nobody else serves it.

    A Postgres of our own may have no database yet: bootstrap() and migrate() are the caller's. For the main
    thread. Raises CannotStart, also when the one that starts or stops just now does not come to an end.
    """
    deadline = time.monotonic() + patience_s
    with ExitStack() as ours:
        while True:
            try:
                ours.enter_context(folder.hold())
            except DataFolderInUse as in_use:
                found = running_postmaster(folder.postgres)
                if found is not None and found.ready:
                    access = access_through(found.socket_folder, folder, DATABASE)
                    break
                if time.monotonic() > deadline:
                    raise CannotStart(f"{in_use}; its Postgres is not ready") from None
                time.sleep(0.1)
            else:
                postgres = EmbeddedPostgres(folder)
                ours.callback(postgres.stop)
                postgres.start()
                access = postgres.access()
                break
        yield access
