"""Clients of kafka-python 3.0.12 that leave no socket and no thread open, whatever error they meet.

Their constructors connect. If they fail, they keep the sockets and the thread they have started; this module
records these and closes them. Every client gives up within seconds, and the caller tries again.
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
    """A direct connection that closes its socket when it fails; kafka-python leaves it open."""

    SCHEMES: ClassVar = ["closed-sockets"]

    async def sock_connect(self, net: Any, sock: socket, sockaddr: Any, timeout_at: Any = None) -> Any:
        """Connect."""
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise


_SETTINGS: dict[str, Any] = {
    "proxy_url": f"{_ClosedSockets.SCHEMES[0]}://",  # a proxy class is the only hook for it
    "bootstrap_timeout_ms": CONNECT_MS,
    "reconnect_backoff_ms": 50,
    "reconnect_backoff_max_ms": 500,
}


def connect(make: Callable[..., object], bootstrap: str, **settings: Any) -> Any:
    """Return a client of kafka-python; blocks. Raises KafkaError, and then leaves nothing open.

    The return type is Any, because the types that checkers have for kafka-python are those of version 2.
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
    """Yield an admin client; blocks. Raises Unavailable if Kafka is unreachable."""
    with kafka_unavailable():
        admin = connect(KafkaAdminClient, bootstrap, request_timeout_ms=10_000)
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def kafka_unavailable() -> Generator[None]:
    """Turn the errors of kafka-python into Unavailable."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise Unavailable(f"Kafka can't be reached or did not answer in time: {error!r}") from error
