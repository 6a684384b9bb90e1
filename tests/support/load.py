"""Load on a data port that remembers which exchanges were answered completely."""

import http.client
import threading
from types import TracebackType
from typing import Self

from tests.support.sidelog import eventually


class Load:
    """Some kept-alive clients that repeat one request until stopped; errors are part of life and counted."""

    def __init__(self, port: int, clients: int = 4, method: str = "POST", path: str = "/load") -> None:
        """Prepare; `with` starts and stops it."""
        self._port = port
        self._method, self._path = method, path
        self._is_stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"client {n}") for n in range(clients)]
        self.completed: list[str] = []
        """Record ids of answers that arrived whole."""
        self.errors = 0

    def __enter__(self) -> Self:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop them."""
        self.stop()

    def stop(self) -> None:
        """Stop the clients. Idempotent."""
        self._is_stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._is_stopping.is_set():
            try:
                body = b'{"n": 1}' if self._method == "POST" else None
                connection.request(self._method, self._path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                self.completed.append(response.headers["X-Sidelog-Id"])
            except (OSError, http.client.HTTPException):
                self.errors += 1
                connection.close()
                self._is_stopping.wait(0.01)
        connection.close()


def await_more(completed: list[str], count: int) -> None:
    """Wait until clients have got so many answers more."""
    before = len(completed)
    eventually(lambda: len(completed) > before + count, 60)
