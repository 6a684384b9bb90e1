"""Load on a data port that remembers which exchanges were answered completely."""

import http.client
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from tests.support.sidelog import eventually

_ANSWER_S: Final = 240.0
"""What a request on a new connection has on a busy machine, and whoever stops the clients."""


class Clients:
    """Some clients in threads of their own, from the beginning of a `with` to its end."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self._port = port
        self._is_stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"client {n}") for n in range(clients)
        ]
        self.completed: list[str] = []
        """Record ids of answers that arrived whole."""

    def __enter__(self) -> Self:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop them."""
        self.stop()

    def stop(self) -> None:
        """Stop the clients. Idempotent."""
        self._is_stopping.set()
        for thread in self._threads:
            thread.join(_ANSWER_S)

    def _run(self) -> None:
        raise AssertionError("bug: clients do something")

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None = None,
    ) -> None:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        self.completed.append(response.headers["X-Sidelog-Id"])


PAUSE_S = 0.05
"""Of clients whose number of requests does not matter: they leave some CPU to processes that start
meanwhile.
"""


class Load(Clients):
    """Kept-alive clients that repeat one request until stopped; errors are part of life and
    counted.
    """

    def __init__(
        self,
        port: int,
        clients: int = 4,
        *,
        pause_s: float = 0.0,
        make_body: Callable[[], bytes] | None = None,
    ) -> None:
        """Prepare; `with` starts and stops it. `pause_s`: of each client before the next request."""
        super().__init__(port, clients)
        self._pause_s = pause_s
        self._make_body = make_body or (lambda: b'{"n": 1}')
        self.headers = {"Content-Type": "application/json"}
        """Of each request."""
        self.errors = 0

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._is_stopping.is_set():
            try:
                self._ask(connection, "POST", "/load", self.headers, self._make_body())
                time.sleep(self._pause_s)
            except (OSError, http.client.HTTPException):
                self.errors += 1
                connection.close()
                self._is_stopping.wait(0.01)

        connection.close()


class NewConnections(Clients):
    """Clients that open a connection for each request; what went wrong is kept."""

    def __init__(self, port: int, clients: int = 4, *, pause_s: float = 0.0) -> None:
        """Prepare; `with` starts and stops them. `pause_s`: of each client before the next request."""
        super().__init__(port, clients)
        self._pause_s = pause_s
        self.errors: list[Exception] = []

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)
            try:
                self._ask(connection, "GET", "/new", {"Connection": "close"})
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(error)
            finally:
                connection.close()

            time.sleep(self._pause_s)


def await_more(completed: list[str], count: int) -> None:
    """Wait until clients have got so many answers more; a starved machine gives some twenty a
    second.
    """
    before = len(completed)
    eventually(lambda: len(completed) > before + count, 60 + count / 20)
