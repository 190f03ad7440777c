"""Structured logs on stderr: key=value for a person at a terminal, JSON lines for everybody else."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging() -> None:
    """Set up structlog for this process, at level info, and keep libraries quiet of what we say ourselves."""
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # It warns at each start and end, and again and again while Kafka is away: adapters/kafka says it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
