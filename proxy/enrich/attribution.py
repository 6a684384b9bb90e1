"""Attribute an exchange to its API key, a project and a user.

Project and user come from the key, else from a header set by a trusted proxy, else from the route.
The record keeps a copy of the key's current name, so the name outlives the key. The ring carries
only the key's id, because the index here also holds deleted keys.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from proxy.enrich.http.head_facts import parse_head, text_of
from proxy.http1.errors import AUTH_CODES
from proxy.ring.descriptor import RouteLabels
from proxy.ring.exchange import ACCESS, NO_KEY
from proxy.ring.inflight import Caller
from storage.keys import ApiKey
from storage.record import Record, format_id

MAX_HEADER_CHARACTERS: Final = 256
"""Limit for a project or user from a header; a route's project has the same limit."""
_AUTH_CODES: Final = frozenset(AUTH_CODES)


class KeyIndex:
    """All keys of the store, deleted ones included, and the uses that are not stored yet."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, ApiKey] = {}
        self._uses: dict[str, int] = {}

    def replace(self, keys: Iterable[ApiKey]) -> None:
        self._by_id = {UUID(key.id).bytes: key for key in keys}

    def get(self, key_id: bytes) -> ApiKey | None:
        """Return an API key by its 16-byte id; None if the id is unknown."""
        return self._by_id.get(key_id)

    def note_use(self, key_id: str, at_us: int) -> None:
        if self._uses.get(key_id, 0) < at_us:
            self._uses[key_id] = at_us

    def take_uses(self) -> dict[str, int]:
        """Return the uses since the last call: key id → time of the last use in Unix µs."""
        uses = self._uses
        self._uses = {}
        return uses


def attribute_exchange(
    record: Record, access: bytes, head: bytes, labels: RouteLabels, keys: KeyIndex
) -> None:
    """Attribute an exchange of a route that checks keys or trusts headers.

    Args:
        record: Gets the columns of key, project and user.
        access: The result of the worker's key check (`exchange.ACCESS`); empty if the request was
            refused before it.
        head: The request head as received.
        labels: Labels of the route.
        keys: Finds the key and notes its use.
    """
    record.keyed = labels.auth is not None
    is_trusted, key_id = ACCESS.unpack(access) if access else (0, NO_KEY)
    if record.error_type in _AUTH_CODES:
        record.auth_code = record.error_type
    if is_trusted:
        _apply_trusted_headers(record, head, labels)
    _apply_key(record, key_id, keys)
    if record.key_id is not None and record.auth_code is None:
        keys.note_use(record.key_id, record.started_at_us)


def attribute_message(record: Record, access: bytes, labels: RouteLabels, keys: KeyIndex) -> None:
    """Attribute a WebSocket message by the key check of its handshake.

    A header of the handshake may name the project. Until the connection's project is known, its
    messages have none and stay hidden from readers of one project.
    """
    is_trusted, key_id = ACCESS.unpack(access)
    if is_trusted and labels.project_header:
        record.project = None
    _apply_key(record, key_id, keys)


def attribute_in_flight(
    record: Record, caller: Caller | None, labels: RouteLabels, keys: KeyIndex
) -> None:
    """Attribute an exchange in flight by the caller that its worker noted, because its head may be
    cut.

    Without a known caller it has no project and stays hidden from readers of one project.
    """
    if not (labels.auth or labels.project_header or labels.user_header):
        return
    record.keyed = labels.auth is not None
    if caller is None or not caller.access:
        record.project = None
        record.user_id = None
        return

    _apply_names(record, caller.project, caller.user)
    _apply_key(record, ACCESS.unpack(caller.access)[1], keys)


def _apply_key(record: Record, key_id: bytes, keys: KeyIndex) -> None:
    if key_id == NO_KEY:
        return
    record.key_id = format_id(key_id)
    key = keys.get(key_id)
    if key is None:
        # An unknown key may have its own project.
        record.project = None
        return

    record.key_name = key.name
    record.key_last4 = key.last4
    record.project = key.project or record.project
    record.user_id = key.user_id or record.user_id


def _apply_trusted_headers(record: Record, head: bytes, labels: RouteLabels) -> None:
    fields = dict(reversed(parse_head(head)[1]))  # The first of several counts.
    project, user = (
        (header or "").lower().encode() for header in (labels.project_header, labels.user_header)
    )
    _apply_names(record, fields.get(project, b""), fields.get(user, b""))


def _apply_names(record: Record, project: bytes, user: bytes) -> None:
    if project:
        record.project = text_of(project)[:MAX_HEADER_CHARACTERS]
    if user:
        record.user_id = text_of(user)[:MAX_HEADER_CHARACTERS]
