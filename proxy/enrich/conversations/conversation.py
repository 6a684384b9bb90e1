"""Find the conversation of a call from the evidence in its request.

The first evidence that applies decides: a session named by a header or the body; the previous
response that this call continues (`previous_response_id`, `previous_interaction_id`); a message
history that begins with the whole history of an earlier call. A call with messages and without such
evidence begins a conversation, named by the call's own id.

Invariant: every lookup and every session id goes through a hash of the tenant (project, container,
client, key), so no client can join another client's conversation. Histories, responses and session
names that could coincide by chance are also hashed with the upstream's credentials. The least
recently used marks are evicted first; a call that continues one of them begins a new conversation.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from proxy.enrich.conversations.history import History, messages_of, read_history
from proxy.enrich.conversations.session import session_of, short
from proxy.enrich.formats.cut_json import elements_at_start
from proxy.enrich.formats.hashes import HASH_BYTES, hash_of, tenant_of
from proxy.enrich.formats.json_parts import Member, decode_text
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.http.head_facts import parse_head
from proxy.ring.handshake import caller_of
from storage.conversations import has_failed
from storage.record import Record
from storage.tools import TOOL_ERROR

MAX_MARKS: Final = 32_768
"""Limit of marks: those of the last 16 000 calls, about 400 bytes each, 13 MB."""
MAX_ALIKE: Final = 8
"""Conversations kept per mark: runs that began with the same messages."""


class Known(NamedTuple):
    """A conversation found by a mark."""

    conversation: bytes
    has_failed: bool
    """True if the call that left the mark failed. The same request again is then a retry."""
    is_continued: bool = False
    """True if a call has continued it. The next call that begins alike is then more likely another
    run.
    """


class Marks:
    """Conversations by mark. The least recently set mark is evicted. Not thread-safe."""

    def __init__(self, max_marks: int = MAX_MARKS) -> None:
        self._max_marks = max_marks
        self._known: OrderedDict[bytes, tuple[Known, ...]] = OrderedDict()
        self.evictions = 0
        """Number of evicted marks."""

    def get(self, mark: bytes) -> tuple[Known, ...]:
        """Return the conversations of a mark, oldest first; an unknown mark has none."""
        return self._known.get(mark, ())

    def put(self, mark: bytes, known: Iterable[Known]) -> None:
        """Set the conversations of a mark, up to the newest eight, and count it as used."""
        self._known[mark] = tuple(known)[-MAX_ALIKE:]
        self._known.move_to_end(mark)
        if len(self._known) > self._max_marks:
            self._known.popitem(last=False)
            self.evictions += 1


WITH_INPUT: Final = ("/responses", "/responses/compact", "/interactions")
"""Suffixes of paths whose `input` is a message history."""
_SURE_CHARACTERS: Final = 16
"""Length from which a session name is unlikely to be chosen by two clients."""


class Place(NamedTuple):
    """The conversation of a call, and the marks of its continuation."""

    conversation: bytes
    marks: bytes
    """Marks that a continuing call will present."""


class Conversations:
    """The conversations of one sidecar. Not thread-safe."""

    def __init__(self, max_marks: int = MAX_MARKS) -> None:
        self._marks = Marks(max_marks)

    @property
    def evictions(self) -> int:
        """Return how many marks were evicted."""
        return self._marks.evictions

    def place(
        self,
        record: Record,
        exchange: DecodedExchange,
        members: Mapping[str, Member],
        response_id: str | None,
    ) -> Place | None:
        """Find the conversation of a call and store its marks; None for a call without messages."""
        fields = parse_head(exchange.request_head)[1]
        tenant = tenant_of(record)
        caller = hash_of(tenant, caller_of(fields))
        history = read_history(
            _messages(record, exchange, members), hash_of(caller, (record.provider or "").encode())
        )
        session = session_of(fields, members)
        previous = decode_text(
            short(members.get("previous_response_id") or members.get("previous_interaction_id"))
        )

        if session is not None:
            conversation = _session_id(tenant, caller, session)
        elif previous is not None:
            mark = _response_mark(caller, previous)
            conversation = self._get(mark) or mark
        elif history.hashes:
            conversation = self._continued(history) or record.id
        else:
            return None

        marks = history.hashes[-1:]
        if response_id is not None:
            marks.append(_response_mark(caller, response_id))
        self._learn(marks, Known(conversation, _is_tried_again(record)))
        return Place(conversation, b"".join(marks))

    def of_session(
        self, record: Record, name: bytes | None, caller: bytes, connection: bytes
    ) -> bytes:
        """Return the conversation of a call over a WebSocket: its named session, else the
        connection.

        `caller` is the hash of the credentials of its handshake.
        """
        if name is None:
            return connection
        tenant = tenant_of(record)
        return _session_id(tenant, hash_of(tenant, caller), name)

    def of_response(self, record: Record, exchange: DecodedExchange, job: str) -> bytes | None:
        """Return the conversation of a background response; None for other jobs."""
        kind, _, name = job.partition("/")
        caller = hash_of(tenant_of(record), caller_of(parse_head(exchange.request_head)[1]))
        if kind in ("response", "interaction"):
            return self._get(_response_mark(caller, name))
        return None

    def recall(self, records: Iterable[Record]) -> None:
        """Restore the marks of stored calls, oldest first, after a start."""
        newest: dict[bytes, list[bytes]] = {}
        for record in records:
            if record.conversation is not None and record.marks:
                marks = [
                    record.marks[at : at + HASH_BYTES]
                    for at in range(0, len(record.marks), HASH_BYTES)
                ]
                for mark in newest.get(record.conversation, ()):
                    self._continue(mark, record.conversation)
                self._learn(marks, Known(record.conversation, _is_tried_again(record)))
                newest[record.conversation] = marks

    def _continued(self, history: History) -> bytes | None:
        """Return the conversation of the longest known history that this one begins with.

        The model must have spoken since. The same history again is: a retry, if that call failed;
        else another run at the same point, if a run is known to have begun and not gone on; else a
        retry as well, unless it is a first call.
        """
        hashes, spoken_at = history
        again = None
        for length in range(len(hashes), 0, -1):
            mark = hashes[length - 1]
            known = self._marks.get(mark)
            if not known:
                continue

            has_spoken = spoken_at is not None and spoken_at <= length
            if length == len(hashes) and not known[-1].has_failed:
                again = known[-1].conversation if has_spoken else None
                continue

            waiting = next((each for each in known if not each.is_continued), None)
            if (has_spoken or length == len(hashes)) and (again is None or waiting is not None):
                chosen = waiting or known[-1]
                self._continue(mark, chosen.conversation)
                return chosen.conversation

        return again

    def _continue(self, mark: bytes, conversation: bytes) -> None:
        """Note for a mark that the conversation has continued from it."""
        if known := self._marks.get(mark):
            self._marks.put(
                mark,
                [
                    one._replace(is_continued=True) if one.conversation == conversation else one
                    for one in known
                ],
            )

    def _get(self, mark: bytes) -> bytes | None:
        known = self._marks.get(mark)
        if known:
            return known[-1].conversation
        return None

    def _learn(self, marks: Iterable[bytes], new: Known) -> None:
        for mark in marks:
            known = self._marks.get(mark)
            others = (
                each
                for each in known
                if not each.is_continued and each.conversation != new.conversation
            )
            self._marks.put(mark, [*others, new])


def _is_tried_again(record: Record) -> bool:
    """Return True if the same history again is a retry: the call itself failed, not just a tool."""
    return has_failed(record) and record.error_type != TOOL_ERROR


def _messages(
    record: Record, exchange: DecodedExchange, members: Mapping[str, Member]
) -> list[bytes]:
    has_input = (record.path or "").endswith(WITH_INPUT)
    found = messages_of(members, has_input=has_input)
    body = exchange.request_body
    if found or body is None or not body.is_truncated:
        return found

    return elements_at_start(
        body.head, (b"messages", b"contents", *((b"input",) if has_input else ()))
    )


def _session_id(tenant: bytes, caller: bytes, name: bytes) -> bytes:
    return hash_of(tenant if len(name) >= _SURE_CHARACTERS else caller, b"session", name)


def _response_mark(caller: bytes, response_id: str) -> bytes:
    return hash_of(caller, b"response", response_id.encode("utf-8", "replace"))
