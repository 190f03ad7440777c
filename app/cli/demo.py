"""demo: the product in a minute, against a server of its own or one that runs."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder
from app.settings import TOKEN_SECRET

START_S = 60.0


def demo(
    url: Annotated[str | None, typer.Option(help="A running server; needs --token.")] = None,
    token: Annotated[str | None, typer.Option(help="Of roles producer and auditor, for --url.")] = None,
) -> None:
    """Upload songs with known beats, score what is found, correct a grid, show the audit trail."""
    import httpx2

    from api.security.tokens import mint
    from app import demo as story

    if (url is None) != (token is None):
        raise typer.BadParameter("--url and --token go together")
    console = Console()
    try:
        if url is not None and token is not None:
            _tell(url, token, console)
            return
        with tempfile.TemporaryDirectory(prefix="beatledger-demo-") as folder, _server(Path(folder)) as own:
            secret = DataFolder(Path(folder)).secret(TOKEN_SECRET)
            console.print(f"a server of its own at {own}, in a temporary folder")
            _tell(own, mint(secret, "Demo Producer", ["producer", "auditor"], timedelta(minutes=10)), console)
    except (story.DemoFailed, httpx2.HTTPError) as error:
        console.print(f"[red]the demo failed:[/] {error}")
        raise typer.Exit(1) from error


def _tell(url: str, token: str, console: Console) -> None:
    import httpx2

    from app import demo as story

    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=30.0) as client:
        story.run(client, console)
    console.print("[green]all of it came out as it should[/]")


@contextmanager
def _server(folder: Path) -> Generator[str]:
    """Run `beatledger up` on the folder as a child and give its URL."""
    command = [sys.executable, "-m", "app", "up", "--data-dir", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield _url_of(child)
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(30)


def _url_of(child: subprocess.Popen[str]) -> str:
    lines: queue.Queue[str | None] = queue.Queue()
    assert child.stdout is not None
    output = child.stdout

    def read() -> None:
        for line in output:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (line := lines.get(timeout=START_S)) is not None:
        words = line.split()
        if "ready" in words:
            return next(word for word in words if word.startswith("http"))
    raise CannotStart("the demo's server ended before it was ready")
