"""Clients of kafka-python 3.0.12 that end without leaving anything behind, whatever they met.

Their constructors connect, and when they fail they keep the sockets and the thread they had begun with: what
they had begun is noted here and closed. Every client of ours gives up within seconds: who asks tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from socket import socket
from typing import Any, ClassVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from domain.errors import Unavailable

CONNECT_MS = 3_000
"""The longest wait for the first broker that answers."""


class _ClosedSockets(KafkaNetSocket):
    """A direct connection whose socket is closed when it fails: kafka-python leaves it to the collector."""

    SCHEMES: ClassVar = ["closed-sockets"]

    async def sock_connect(self, net: Any, sock: socket, sockaddr: Any, timeout_at: Any = None) -> Any:
        """Connect."""
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise


_SETTINGS: dict[str, Any] = {
    "proxy_url": f"{_ClosedSockets.SCHEMES[0]}://",  # a proxy's class is the one way in
    "bootstrap_timeout_ms": CONNECT_MS,
    "reconnect_backoff_ms": 50,
    "reconnect_backoff_max_ms": 500,
}


def connect(make: Callable[..., object], bootstrap: str, **settings: Any) -> Any:
    """Return a client of kafka-python; blocks. Raises KafkaError, and leaves nothing open then.

    It is Any: the types that checkers bring for kafka-python are those of version 2.
    """
    begun: list[KafkaNetClient] = []

    def begin(**configs: Any) -> KafkaNetClient:
        begun.append(KafkaNetClient(**configs))
        return begun[-1]

    try:
        return make(bootstrap_servers=bootstrap.split(","), kafka_client=begin, **{**_SETTINGS, **settings})
    except BaseException:
        for client in begun:
            client.close()
        raise


@contextmanager
def administering(bootstrap: str) -> Generator[Any]:
    """Give an admin client for a moment; blocks. Raises Unavailable when Kafka is away."""
    with kafka_unavailable():
        admin = connect(KafkaAdminClient, bootstrap, request_timeout_ms=10_000)
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def kafka_unavailable() -> Generator[None]:
    """Turn what kafka-python raises into Unavailable."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise Unavailable(f"Kafka can't be reached or did not answer in time: {error!r}") from error
