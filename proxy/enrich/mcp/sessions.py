"""MCP sessions: finding the session of an exchange, and the state kept between its exchanges.

A session is known by a hash only. In revisions without sessions, the endpoint takes its place. The
state consists of the names of client and server, and of calls whose response comes on another
stream. Both are bounded and expire: an evicted session loses its server's name, an evicted call
becomes a row without a response. Tenants never share a session, and a tenant with many pending
calls does not evict those of others. Clients count request ids from 1, so an id has a meaning only
within its session.
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
"""Beginning of the only stream of an HTTP+SSE session (revision 2024-11-05). Spring adds an id."""
MAX_SESSIONS: Final = 4096
MAX_PENDING: Final = 1024
"""Limit of pending calls, and of early responses."""
MAX_PENDING_BYTES: Final = 16 << 20
"""Limit of the arguments of pending calls together, and of early responses together. A single early
response may be as large as a captured body.
"""
_SHARE_BYTES: Final = MAX_PENDING_BYTES // MAX_PENDING
_OWNER_CHARACTERS: Final = 8
"""Length of the tenant's hash at the beginning of a session's hash."""
PENDING_US: Final = 3_600_000_000
"""Time after which a call accepted for an answer on another stream counts as unanswered: an hour.
"""
RESUME_US: Final = 300_000_000
"""Time within which a broken stream is resumed, or never: five minutes."""

Key = tuple[str, str]
"""Hash of the session, and JSON-RPC id."""


@dataclass(frozen=True, slots=True)
class Session:
    """Names and version that client and server reported."""

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
    """Entries that wait for their counterpart, bounded in number and bytes.

    The tenant with the most bytes loses its oldest entry first.
    """

    def __init__(self) -> None:
        self.values: OrderedDict[Key, Held] = OrderedDict()
        self._sizes: dict[Key, int] = {}

    def put(self, key: Key, value: Held, size_bytes: int) -> list[tuple[Key, Held]]:
        """Keep a value under a new key; return the evicted entries."""
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
        """Return the stored key for an id: the same id, or another spelling of it (`"1"` for 1)."""
        return next(
            (same for each in spellings(key[1]) if (same := (key[0], each)) in self.values), key
        )

    def take(self, key: Key) -> Held | None:
        """Remove and return a value; None if there is none."""
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
        """Keep a session. The least recently updated one is evicted."""
        self._sessions[name] = session
        self._sessions.move_to_end(name)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def add_pending(self, key: Key, call: ToolCall, wait_us: int = PENDING_US) -> list[ToolCall]:
        """Keep a call until its response comes or `wait_us` has passed; return the evicted calls."""
        if key in self._pending.values:
            same = self.take_pending(key)
        else:
            same = None
        evicted = [] if same is None else [same]
        self._deadlines[key] = call.created_at_us + wait_us
        for oldest, unanswered in self._pending.put(key, call, len(call.arguments or b"")):
            del self._deadlines[oldest]
            evicted.append(unanswered)
        return evicted

    def take_pending(self, key: Key) -> ToolCall | None:
        """Remove and return the pending call that a response belongs to."""
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
        """Remove and return all pending calls of a session."""
        keys = [key for key in self._pending.values if key[0] == name]
        return [call for key in keys if (call := self.take_pending(key)) is not None]

    def keep_early(self, key: Key, early: EarlyResponse) -> None:
        """Keep a response until its call is recorded.

        A response without an id belongs to no call.
        """
        self._early.take(key)
        if key[1]:
            self._early.put(key, early, len(early.response.result) + len(early.response.error))

    def take_early(self, key: Key) -> EarlyResponse | None:
        """Remove and return the early response to a call."""
        return self._early.take(self._early.find(key))

    def expire(self, now_us: int) -> list[ToolCall]:
        """Remove and return the calls whose deadline has passed."""
        late = [key for key, deadline_us in self._deadlines.items() if deadline_us <= now_us]
        return [call for key in late if (call := self.take_pending(key)) is not None]

    def pending(self) -> list[ToolCall]:
        return list(self._pending.values.values())


def session_of(record: Record, exchange: DecodedExchange) -> str | None:
    """Return the hash of an exchange's session, named by headers, query or HTTP+SSE stream.

    It begins with the tenant's hash, since clients choose session names and could guess them.
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
    """Return True if a body begins the only stream of an HTTP+SSE session (revision 2024-11-05)."""
    return _OPENING.match(head) is not None


def endpoint_of(record: Record) -> str:
    """Return the key that replaces the session in revisions without sessions."""
    return f"{_owner_of(record)}{record.host}{record.path}"


def _owner_of(record: Record) -> str:
    return tenant_of(record).hex()[:_OWNER_CHARACTERS]


def name_in(meta: msgspec.Raw, member: str) -> str | None:
    """Return the name of a client or server in a `_meta`. The prefix of its member may vary."""
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
