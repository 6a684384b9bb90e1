"""The contract between the record builder and the readers, independent of any protocol.

Every reader is asked about every exchange, so `may_read` decides by the heads or a few bytes. A
reader returns facts (`proxy/enrich/facts.py`). The record it gets has the facts of the readers
before it in the list; a reader never changes it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

from proxy.enrich.facts import Facts
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.llm.prices import Prices
from proxy.enrich.redact.redactor import Redactor
from proxy.ring.message import CapturedMessage
from proxy.settings.model import Settings
from storage.record import Job, Record, ToolCall


class Dependencies(NamedTuple):
    """The objects that readers share."""

    redactor: Redactor
    settings: Settings
    prices: Prices


class Reader(ABC):
    """Reads exchanges of one protocol for one sidecar; may keep sessions. Not thread-safe."""

    is_alone = False
    """True if no other reader is asked about an exchange of this reader."""
    needs_capture = True
    """True if this reader needs heads or bodies."""
    evictions = 0
    """Number of unfinished calls evicted to stay within the limits."""

    @abstractmethod
    def __init__(self, dependencies: Dependencies) -> None:
        """Keep the dependencies that this reader needs."""

    @abstractmethod
    def may_read(self, exchange: DecodedExchange) -> bool:
        """Return True if this reader may find something.

        Called for every exchange, so nearly free.
        """

    def name(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return the operation that names the endpoint. Called before `read`.

        Bodies of the exchange may be replaced by a readable form.
        """
        return None

    def read(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return the facts of an exchange; None if there are none.

        Raises:
            TooLong: Reading takes long, and `exchange.may_take_long` is false. The caller may try
                again.
        """
        return None

    def running(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return the facts of an exchange in flight, known from its request."""
        return None

    def running_tools(self, record: Record, exchange: DecodedExchange) -> list[ToolCall]:
        """Return the tool calls of an exchange in flight, known from its request."""
        return []

    def may_read_message(self, message: CapturedMessage) -> bool:
        """Return True for a message of a WebSocket or a stream in this reader's protocol."""
        return False

    def is_long(self, message: CapturedMessage) -> bool:
        """Return True if reading a message takes long."""
        return False

    def describe(self, message: CapturedMessage, route_id: str) -> tuple[dict[str, object], Any]:
        """Return the data of a message's event, and its content for `read_message`.

        Called once for each message, in order.
        """
        return {}, None

    def read_message(self, record: Record, message: CapturedMessage, content: Any) -> Facts | None:
        """Return the facts of a message; `content` is the result of `describe`."""
        return None

    def await_responses(self, calls: Iterable[ToolCall]) -> None:  # noqa: B027
        """Wait for the responses to tool calls that were stored before this process started."""

    def pending(self) -> list[ToolCall]:
        """Return the tool calls that wait for a response on another stream."""
        return []

    def expired(self) -> list[ToolCall]:
        """Return the tool calls without a response in time, and forget them."""
        return []

    def know_jobs(self, jobs: Iterable[Job]) -> None:  # noqa: B027
        """Remember the jobs that were stored before this process started, newest first."""
