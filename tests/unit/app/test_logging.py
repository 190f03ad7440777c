"""Whoever collects the log can read every line of it, whoever wrote it."""

from __future__ import annotations

import json
import subprocess
import sys

LOGGING = """
import logging, structlog
from app.logging import configure_logging
configure_logging()
structlog.get_logger().info("ours", number=1)
logging.getLogger("asyncio").warning("theirs in %s words", 4)
logging.getLogger("psycopg.pool").warning("error connecting in 'pool-1'")
logging.getLogger("kafka.cluster").error("Metadata refresh: failed Cancelled")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("uvicorn.error").exception("broke")
"""


def test_every_line_is_json_also_a_librarys_and_what_we_say_once_is_not_said_again():
    ran = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs in 4 words", "broke"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert lines[1]["logger"] == "asyncio"
    assert "ZeroDivisionError" in lines[2]["exception"]
