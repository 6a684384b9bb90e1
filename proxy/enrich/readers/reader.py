"""The contract of a reader: what the record builder asks, without knowing any protocol.

A reader is asked of every exchange whether it may read it, so it answers by the heads, or a few
bytes. What it then reads it returns as facts (`proxy/enrich/facts.py`); the record it gets is
filled as far as the readers before it in the list know, and is not its to change.
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
    """Whether no other reader reads what this one may."""
    needs_capture = True
    """Whether there is nothing to read of an exchange of which neither heads nor bodies are kept."""
    evictions = 0
    """What was forgotten to make room, before it had ended."""

    @abstractmethod
    def __init__(self, dependencies: Dependencies) -> None:
        """Keep the dependencies that this reader needs."""

    @abstractmethod
    def may_read(self, exchange: DecodedExchange) -> bool:
        """Whether there may be something to read: asked of every exchange, so nearly free."""

    def name(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return what names the exchange, before its endpoint is named; bodies may be replaced by
        what they say.
        """
        return None

    def read(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return what the exchange says; None where that is nothing.

        Raises:
            TooLong: it takes long, and `exchange.may_take_long` is false. It can be called again.
        """
        return None

    def running(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        """Return what the request of an exchange in flight says."""
        return None

    def running_tools(self, record: Record, exchange: DecodedExchange) -> list[ToolCall]:
        """Return the calls of tools that the request of an exchange in flight makes."""
        return []

    def may_read_message(self, message: CapturedMessage) -> bool:
        """Whether a message of a WebSocket, or of a stream, is of this protocol."""
        return False

    def is_long(self, message: CapturedMessage) -> bool:
        """Whether a message takes long to read."""
        return False

    def describe(self, message: CapturedMessage, route_id: str) -> tuple[dict[str, object], Any]:
        """Return the data of a message's event, and what `read_message` reads; each once, in order."""
        return {}, None

    def read_message(self, record: Record, message: CapturedMessage, content: Any) -> Facts | None:
        """Return what a message says, by its content as `describe` returned it."""
        return None

    def await_responses(self, calls: Iterable[ToolCall]) -> None:  # noqa: B027
        """Wait for the responses of calls that were stored before this process started."""

    def pending(self) -> list[ToolCall]:
        """Return the calls of tools whose response is awaited elsewhere."""
        return []

    def expired(self) -> list[ToolCall]:
        """Return the calls whose time is up; they are pending no longer."""
        return []

    def know_jobs(self, jobs: Iterable[Job]) -> None:  # noqa: B027
        """Know the jobs that were stored before this process started, newest first."""
