"""Attribute an exchange to the API key it was made with, to a project and to a user.

Precedence of project and user: the key's own, then a header set by a trusted proxy, then the route's. The record keeps
a copy of the key's name at that moment, so it outlives the key. The ring carries only the key's id, because the index
here holds deleted keys as well.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from proxy.enrich.http.head_facts import parse_head, text_of
from proxy.http1.errors import AUTH_CODES
from proxy.ring.descriptor import RouteLabels
from proxy.ring.exchange import ACCESS, NO_KEY
from storage.keys import ApiKey, secret_digest
from storage.record import Record, format_id

MAX_HEADER_CHARACTERS: Final = 256
"""Of a project or user in a header: as much as a route's project may have."""
_AUTH_CODES: Final = frozenset(AUTH_CODES)


class KeyIndex:
    """Every key of the store, deleted ones included, and the uses that the store has yet to be given."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, ApiKey] = {}
        self._by_hash: dict[bytes, ApiKey] = {}
        self._uses: dict[str, int] = {}

    def replace(self, keys: Iterable[ApiKey]) -> None:
        self._by_id = {UUID(key.id).bytes: key for key in keys}
        self._by_hash = {key.secret_sha256: key for key in self._by_id.values() if key.secret_sha256 is not None}

    def get(self, key_id: bytes) -> ApiKey | None:
        """Return a key by its 16-byte id."""
        return self._by_id.get(key_id)

    def find(self, secret: bytes) -> ApiKey | None:
        return self._by_hash.get(secret_digest(secret))

    def note_use(self, key_id: str, at_us: int) -> None:
        if self._uses.get(key_id, 0) < at_us:
            self._uses[key_id] = at_us

    def take_uses(self) -> dict[str, int]:
        """Return the uses since the last call, by key id in Unix µs."""
        uses, self._uses = self._uses, {}
        return uses


def attribute_exchange(record: Record, access: bytes, head: bytes, labels: RouteLabels, keys: KeyIndex) -> None:
    """Attribute an exchange of a route that checks keys or trusts headers.

    `access` is what the worker's key check noted (`exchange.ACCESS`), empty when the request was refused before it;
    `head` is the request's as received.
    """
    record.keyed = labels.auth is not None
    is_trusted, key_id = ACCESS.unpack(access) if access else (0, NO_KEY)
    if record.error_type in _AUTH_CODES:
        record.auth_code = record.error_type
    key = None
    if key_id != NO_KEY:
        key = keys.get(key_id)
        record.key_id = format_id(key_id)
        if record.auth_code is None:
            keys.note_use(record.key_id, record.started_at_us)
    if is_trusted:
        _apply_trusted_headers(record, head, labels)
    _apply_key(record, key)


def attribute_message(record: Record, access: bytes, labels: RouteLabels, keys: KeyIndex) -> None:
    """Attribute a WebSocket message by what the key check noted about the handshake.

    A project that a header names stands in the handshake's head, which messages do not carry: theirs is then unknown,
    and readers of one project do not see them, rather than the wrong ones.
    """
    is_trusted, key_id = ACCESS.unpack(access)
    if is_trusted and labels.project_header:
        record.project = None
    if key_id != NO_KEY:
        record.key_id = format_id(key_id)
        _apply_key(record, keys.get(key_id))


def attribute_in_flight(record: Record, head: bytes, labels: RouteLabels, keys: KeyIndex) -> None:
    """Attribute an exchange that has not ended, from its head alone; headers are not trusted yet."""
    record.keyed = True
    header = (labels.key_header or "").lower().encode()
    for name, value in parse_head(head)[1]:
        if name == header:
            key = keys.find(value.partition(b" ")[2] if value[:7].lower() == b"bearer " else value)
            if key is not None:
                record.key_id = key.id
                _apply_key(record, key)


def _apply_key(record: Record, key: ApiKey | None) -> None:
    if key is not None:
        record.key_name, record.key_last4 = key.name, key.last4
        record.project = key.project or record.project
        record.user_id = key.user_id or record.user_id


def _apply_trusted_headers(record: Record, head: bytes, labels: RouteLabels) -> None:
    fields = dict(reversed(parse_head(head)[1]))  # the first of several counts
    for header, member in ((labels.project_header, "project"), (labels.user_header, "user_id")):
        value = fields.get(header.lower().encode(), b"") if header else b""
        if value:
            setattr(record, member, text_of(value)[:MAX_HEADER_CHARACTERS])
