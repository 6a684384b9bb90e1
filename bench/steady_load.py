"""A steady load by HTTP/1.1 on a sidelog, and what became of it: for runs that last minutes or
hours.
"""

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from proxy.process.own_packages import module_command, module_environment

CONNECTIONS: Final = 16
TIMEOUT_S: Final = 60.0
REQUEST: Final = b"GET /api/users/%d HTTP/1.1\r\nHost: shop\r\nX-Request-Id: soak-%d\r\n\r\n"


@contextmanager
def upstream_of(module: str, *arguments: str) -> Iterator[str]:
    """Start a module that serves and prints its port; gives its URL."""
    command = module_command(module, *arguments)
    with subprocess.Popen(command, env=module_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@dataclass(slots=True)
class Load:
    """Requests at a fixed rate that differ from each other, and what became of them."""

    port: int
    rate: float
    ids: list[bytes] = field(default_factory=list)
    """Of all answers that arrived whole."""
    errors: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    """Of those that found their idle connection closed, as every client does."""
    took: list[tuple[float, float, str]] = field(default_factory=list)
    """(when it was due, seconds until its answer, kind)."""
    sent: int = 0
    is_ending: bool = False

    def take_ids(self) -> list[bytes]:
        """Return the ids of the answers since the last call, and forget them."""
        found = self.ids
        self.ids = []
        return found

    async def run(self) -> None:
        """Send until `is_ending`."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(CONNECTIONS):
                tasks.create_task(self._client(number), name=f"client {number}")

    async def _client(self, number: int) -> None:
        pause_s = CONNECTIONS / self.rate
        due_s = time.monotonic() + pause_s * number / CONNECTIONS
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

        while not self.is_ending:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due_s += pause_s
            while True:
                is_kept = streams is not None
                try:
                    async with asyncio.timeout(TIMEOUT_S):
                        streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
                        self.ids.append(await self._exchange(*streams))
                    self.took.append((due_s - pause_s, time.monotonic() - due_s + pause_s, "http1"))
                    break
                except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                    if streams is not None:
                        streams[1].close()
                    streams = None
                    if is_kept and is_unanswered(error):
                        self.repeated += 1
                        continue

                    self.errors[type(error).__name__ + f": {error}"[:80]] += 1
                    break

        if streams is not None:
            streams[1].close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Ask for another user each time, and read the whole answer; return the id of its record."""
        self.sent += 1
        writer.write(REQUEST % (1 + self.sent % 20, self.sent))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ValueError(head[:40].decode("latin-1"))

        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        await reader.readexactly(int(fields[b"content-length"]))
        return bytes.fromhex(fields[b"x-sidelog-id"].decode().replace("-", ""))


def is_unanswered(error: Exception) -> bool:
    """Whether a connection was closed before the first byte of an answer."""
    if isinstance(error, asyncio.IncompleteReadError):
        return error.expected is None and not error.partial
    return isinstance(error, ConnectionResetError | BrokenPipeError)
