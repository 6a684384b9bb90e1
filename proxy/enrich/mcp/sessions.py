"""What is remembered between the exchanges of one MCP session: names, and calls that are answered on another stream.

Everything is bounded and expires: a session that is forgotten costs a nicer name, a call that is forgotten becomes a
row without an answer. Ids of calls are counted from 1 by every client, so they only mean something within a session.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from proxy.enrich.mcp.jsonrpc import Answered
from storage.record import ToolCall

MAX_SESSIONS: Final = 4096
MAX_PENDING: Final = 1024
"""Calls, and early answers, that wait for each other; with at most 64 KiB each, 64 MiB at the very worst."""
PENDING_US: Final = 3_600_000_000
"""A call without an answer for an hour has none."""

Key = tuple[str, str]
"""Hash of the session, JSON-RPC id."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who talks to whom."""

    server: str | None = None
    client: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Early:
    """An answer that came before its call was recorded."""

    answer: Answered
    at_us: int


class Sessions:
    """The memory of one collector. Not thread-safe."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._pending: OrderedDict[Key, ToolCall] = OrderedDict()
        self._early: OrderedDict[Key, Early] = OrderedDict()

    def session(self, name: str) -> Session:
        """What is known of a session."""
        return self._sessions.get(name, Session())

    def learn(self, name: str, session: Session) -> None:
        """Remember a session; the one longest unheard of is forgotten."""
        self._sessions[name] = session
        self._sessions.move_to_end(name)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def wait(self, key: Key, call: ToolCall) -> list[ToolCall]:
        """Keep a call until its answer comes; returns those that are given up for it."""
        self._pending[key] = call
        given_up = []
        while len(self._pending) > MAX_PENDING:
            given_up.append(self._pending.popitem(last=False)[1])
        return given_up

    def take(self, key: Key) -> ToolCall | None:
        """Find the call that an answer belongs to; it waits no longer."""
        return self._pending.pop(key, None)

    def take_all(self, name: str) -> list[ToolCall]:
        """Find all calls that wait in a session; they wait no longer."""
        keys = [key for key in self._pending if key[0] == name]
        return [self._pending.pop(key) for key in keys]

    def keep_early(self, key: Key, early: Early) -> None:
        """Keep an answer whose call is not recorded yet."""
        self._early[key] = early
        if len(self._early) > MAX_PENDING:
            self._early.popitem(last=False)

    def take_early(self, key: Key) -> Early | None:
        """Find the answer that came before its call."""
        return self._early.pop(key, None)

    def expire(self, now_us: int) -> list[ToolCall]:
        """Give up calls that have waited too long."""
        given_up = []
        while self._pending:
            key, call = next(iter(self._pending.items()))
            if call.created_at_us + PENDING_US > now_us:
                break
            del self._pending[key]
            given_up.append(call)
        return given_up

    def waiting(self) -> list[ToolCall]:
        """The calls that wait now."""
        return list(self._pending.values())
