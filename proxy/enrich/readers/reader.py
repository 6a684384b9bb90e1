"""The contract of a reader: what the record builder asks, without knowing any protocol.

Every reader is asked of every exchange whether it may read it, so it answers by the heads, or a few
bytes. It returns facts (`proxy/enrich/facts.py`). The record it gets has the facts of the readers
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
    """Whether an exchange of this reader is asked of no other."""
    needs_capture = True
    """Whether this reader needs heads or bodies."""
    evictions = 0
    """Number of unfinished calls that were forgotten to make room."""

    @abstractmethod
    def __init__(self, dependencies: Dependencies) -> None:
        """Keep the dependencies that this reader needs."""

    @abstractmethod
    def may_read(self, exchange: DecodedExchange) -> bool:
        """Whether there may be something to read: asked of every exchange, so nearly free."""

    def name(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return the operation, by which the endpoint is named; called before `read`.

        Bodies of the exchange may be replaced by a readable form.
        """
        return None

    def read(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return the facts of an exchange; None without any.

        Raises:
            TooLong: reading takes long, and `exchange.may_take_long` is false. The caller may try
                again.
        """
        return None

    def running(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return the facts of an exchange in flight, by its request."""
        return None

    def running_tools(self, record: Record, exchange: DecodedExchange) -> list[ToolCall]:
        """Return the tool calls of an exchange in flight, by its request."""
        return []

    def may_read_message(self, message: CapturedMessage) -> bool:
        """Whether a message of a WebSocket, or of a stream, is of this protocol."""
        return False

    def is_long(self, message: CapturedMessage) -> bool:
        """Whether a message takes long to read."""
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
        """Return the tool calls whose response is awaited on another stream."""
        return []

    def expired(self) -> list[ToolCall]:
        """Return the tool calls without a response in time, and forget them."""
        return []

    def know_jobs(self, jobs: Iterable[Job]) -> None:  # noqa: B027
        """Remember the jobs that were stored before this process started, newest first."""
