"""MCP sessions: which one an exchange belongs to, and what is kept of it from one exchange to the
next.

A session is known by a hash only. Where a revision has none, the endpoint stands in for it. Kept
are the names that client and server give themselves, and calls whose response comes on another
stream; both are bounded and expire: an evicted session costs a nicer name, an evicted call becomes
a row without a response. No tenant's session is another's, nor does one that keeps many calls
pending evict others'. Clients count request ids from 1, so an id only means something within its
session.
"""

import hashlib
import re
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import parse_qs

import msgspec

from proxy.enrich.formats.hashes import tenant_of
from proxy.enrich.formats.json_parts import is_object, members_of, text_of, value_at
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.mcp.jsonrpc import RpcResponse, spellings
from storage.record import Record, ToolCall

_OPENING: Final = re.compile(rb"(?:(?:id|retry|):[^\r\n]{0,200}\r?\n){0,4}event: ?endpoint[\r\n]")
"""How the one stream of a session of the HTTP+SSE transport begins (revision 2024-11-05); Spring
gives it an id.
"""
MAX_SESSIONS: Final = 4096
MAX_PENDING: Final = 1024
"""Pending calls, and as many early responses."""
MAX_PENDING_BYTES: Final = 16 << 20
"""Of their arguments, and as much of early responses, of which one may have as much as is captured
of a body.
"""
_SHARE_BYTES: Final = MAX_PENDING_BYTES // MAX_PENDING
_OWNER_CHARACTERS: Final = 8
"""Of a session, or of what stands in for it: whose it is."""
PENDING_US: Final = 3_600_000_000
"""A call that was accepted, to be answered on another stream, gets no response after an hour."""
RESUME_US: Final = 300_000_000
"""A stream that broke off before its response is resumed within five minutes, or never."""

Key = tuple[str, str]
"""Hash of the session, JSON-RPC id."""


@dataclass(frozen=True, slots=True)
class Session:
    """What client and server reported about themselves."""

    server: str | None = None
    client: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class EarlyResponse:
    """A response that came before its call was recorded."""

    response: RpcResponse
    at_us: int


Held = TypeVar("Held")


class _Waiting(Generic[Held]):
    """What waits for its counterpart, bounded in number and size: the oldest of the tenant with
    most makes room.
    """

    def __init__(self) -> None:
        self.values: OrderedDict[Key, Held] = OrderedDict()
        self._sizes: dict[Key, int] = {}

    def put(self, key: Key, value: Held, size_bytes: int) -> list[tuple[Key, Held]]:
        """Keep a value, in the place of none; return what makes room for it."""
        self.values[key], self._sizes[key] = value, size_bytes
        evicted = []
        while len(self.values) > MAX_PENDING or sum(self._sizes.values()) > MAX_PENDING_BYTES:
            shares = Counter[str]()
            for (session, _), size in self._sizes.items():
                shares[session[:_OWNER_CHARACTERS]] += size + _SHARE_BYTES
            [(owner, _)] = shares.most_common(1)
            oldest = next(key for key in self.values if key[0].startswith(owner))
            evicted.append((oldest, self.values[oldest]))
            self.take(oldest)

        return evicted

    def find(self, key: Key) -> Key:
        """Return the key of what a message with an id is about: the same, or one that differs in
        its type alone.
        """
        return next(
            (same for each in spellings(key[1]) if (same := (key[0], each)) in self.values), key
        )

    def take(self, key: Key) -> Held | None:
        """Return a value; it is kept no longer."""
        self._sizes.pop(key, None)
        return self.values.pop(key, None)


class Sessions:
    """Sessions, pending calls and early responses of one sidecar. Not thread-safe."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._pending: _Waiting[ToolCall] = _Waiting()
        self._deadlines: dict[Key, int] = {}
        self._early: _Waiting[EarlyResponse] = _Waiting()

    def get(self, name: str) -> Session:
        return self._sessions.get(name, Session())

    def update(self, name: str, session: Session) -> None:
        """Keep a session; the least recently updated one is evicted."""
        self._sessions[name] = session
        self._sessions.move_to_end(name)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def add_pending(self, key: Key, call: ToolCall, wait_us: int = PENDING_US) -> list[ToolCall]:
        """Keep a call until its response comes or its time is up; return the calls evicted for it."""
        same = self.take_pending(key) if key in self._pending.values else None
        evicted = [] if same is None else [same]
        self._deadlines[key] = call.created_at_us + wait_us
        for oldest, unanswered in self._pending.put(key, call, len(call.arguments or b"")):
            del self._deadlines[oldest]
            evicted.append(unanswered)
        return evicted

    def take_pending(self, key: Key) -> ToolCall | None:
        """Return the pending call of a response; it is pending no longer."""
        key = self._pending.find(key)
        self._deadlines.pop(key, None)
        return self._pending.take(key)

    def is_pending(self, key: Key) -> bool:
        return self._pending.find(key) in self._pending.values

    def get_pending(self, key: Key) -> ToolCall | None:
        return self._pending.values.get(key)

    def has_pending(self, name: str | None) -> bool:
        return any(key[0] == name for key in self._pending.values)

    def take_all_pending(self, name: str) -> list[ToolCall]:
        """Return all pending calls of a session; they are pending no longer."""
        keys = [key for key in self._pending.values if key[0] == name]
        return [call for key in keys if (call := self.take_pending(key)) is not None]

    def keep_early(self, key: Key, early: EarlyResponse) -> None:
        """Keep a response for its call; one without an id belongs to no call."""
        self._early.take(key)
        if key[1]:
            self._early.put(key, early, len(early.response.result) + len(early.response.error))

    def take_early(self, key: Key) -> EarlyResponse | None:
        """Return the response that came before its call; it is kept no longer."""
        return self._early.take(self._early.find(key))

    def expire(self, now_us: int) -> list[ToolCall]:
        """Return the calls that have been pending too long; they are pending no longer."""
        late = [key for key, deadline_us in self._deadlines.items() if deadline_us <= now_us]
        return [call for key in late if (call := self.take_pending(key)) is not None]

    def pending(self) -> list[ToolCall]:
        return list(self._pending.values.values())


def session_of(record: Record, exchange: DecodedExchange) -> str | None:
    """Return the hash of an exchange's session, which its headers, its query or its HTTP+SSE stream
    names.

    It begins with that of the tenant: a name is the client's choice, and may be guessed.
    """
    raw = exchange.request.mcp_session or exchange.response.mcp_session
    if not raw:
        head = exchange.request_head
        raw = _session_in(head[: max(0, head.find(b"\r\n"))])
    body = exchange.response_body
    if not raw and body is not None and opens_sse_transport(body.head):
        raw = _session_in(next((frame.data for frame in body.frames()), b""))
    if raw:
        return _owner_of(record) + hashlib.sha256(raw).hexdigest()[:16]

    return None


def opens_sse_transport(head: bytes) -> bool:
    """Whether this begins the one stream of a session of the HTTP+SSE transport (revision
    2024-11-05).
    """
    return _OPENING.match(head) is not None


def endpoint_of(record: Record) -> str:
    """Return the substitute for the session in revisions without one."""
    return f"{_owner_of(record)}{record.host}{record.path}"


def _owner_of(record: Record) -> str:
    return tenant_of(record).hex()[:_OWNER_CHARACTERS]


def name_in(meta: msgspec.Raw, member: str) -> str | None:
    """Return the name of a client or server in a `_meta`, where its member stands under a prefix
    that may change.
    """
    for name, raw in members_of(meta).items():
        if name.endswith(member) and is_object(raw):
            return text_of(value_at(raw, "name"))
    return None


def _session_in(target: bytes) -> bytes:
    query = target.partition(b"?")[2].partition(b" ")[0]
    if b"ession" not in query:
        return b""

    try:
        found = parse_qs(query, max_num_fields=64)
    except ValueError:
        return b""

    values = found.get(b"session_id") or found.get(b"sessionId") or [b""]
    return values[0]
