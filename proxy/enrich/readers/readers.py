"""The list of readers, and the calls to them.

The first reader that states a fact wins, so a reader that only knows the shapes of errors comes
last. Invariant: a failing reader loses its own facts, never the record.
"""

import logging
import time
import traceback
from collections.abc import Callable
from typing import Final

from proxy.enrich.facts import Facts
from proxy.enrich.http.bodies import TooLong
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.readers.failures import Failures
from proxy.enrich.readers.graphql import GraphQl
from proxy.enrich.readers.grpc import Grpc
from proxy.enrich.readers.live import Live
from proxy.enrich.readers.llm import Llm
from proxy.enrich.readers.mcp import Mcp
from proxy.enrich.readers.reader import Dependencies, Reader
from proxy.ring.message import CapturedMessage

log = logging.getLogger(__name__)

READERS: Final[tuple[type[Reader], ...]] = (Grpc, GraphQl, Live, Llm, Mcp, Failures)
_REPORT_EVERY_S: Final = 60.0


class Readers:
    """The readers of one sidecar. Not thread-safe."""

    def __init__(
        self, dependencies: Dependencies, kinds: tuple[type[Reader], ...] = READERS
    ) -> None:
        self.all = [kind(dependencies) for kind in kinds]
        self._alone = [reader for reader in self.all if reader.is_alone]
        self._questions = [(reader.may_read, reader) for reader in self.all if not reader.is_alone]
        self._reported_s = -_REPORT_EVERY_S

    def of(self, exchange: DecodedExchange) -> list[Reader]:
        """Return the readers that may read an exchange.

        For nearly all exchanges the list is empty.
        """
        for reader in self._alone:
            if reader.may_read(exchange):
                return [reader]
        return [reader for may_read, reader in self._questions if may_read(exchange)]

    def of_message(self, message: CapturedMessage) -> Reader:
        """Return the reader of a message."""
        return next(reader for reader in self.all if reader.may_read_message(message))

    def ask(self, question: Callable[..., Facts | None], *about: object) -> Facts | None:
        """Call a reader's method; return None after an unexpected error, which is logged."""
        try:
            return question(*about)
        except TooLong:
            raise
        except Exception as error:
            self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        """Log the traceback of an error without content, at most once a minute.

        The client may repeat the request as often as it likes.
        """
        if (now_s := time.monotonic()) - self._reported_s >= _REPORT_EVERY_S:
            self._reported_s = now_s
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
            log.error(
                "bug: the calls of an exchange could not be read: %s at %s",
                type(error).__name__,
                where,
            )
