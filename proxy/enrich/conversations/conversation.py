"""Which conversation a call belongs to, from what the wire states.

Evidence, the first that there is counts: a session that a header or the body names; the response
that this one continues (`previous_response_id`, `previous_interaction_id`); a history that begins
with all of an earlier call's. A call with messages and no such evidence begins a conversation,
known by the call's own id.

Invariant: everything is looked up, and every id of a session is made, under a hash of the tenant
(project, container, client, key), so no client can join another client's conversation. Histories,
responses and session names that others may choose by chance are also hashed with the credentials of
the upstream. Marks that were unused for longest are dropped first: a call that continues one of
them begins a new conversation.
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
"""Those of the last 16 000 calls, about 400 bytes each: 13 MB."""
MAX_ALIKE: Final = 8
"""Conversations that a mark leads to: runs that began with the same messages."""


class Known(NamedTuple):
    """A conversation that a mark leads to."""

    conversation: bytes
    has_failed: bool
    """Whether the call that left the mark failed: the same request again is another try."""
    is_continued: bool = False
    """Whether a call has continued it: another run that began alike is more likely to be meant
    next.
    """


class Marks:
    """What each mark leads to, oldest conversation first; what was put least recently makes room.
    Not thread-safe.
    """

    def __init__(self, max_marks: int = MAX_MARKS) -> None:
        self._max_marks = max_marks
        self._known: OrderedDict[bytes, tuple[Known, ...]] = OrderedDict()
        self.evictions = 0
        """Marks that were forgotten to make room."""

    def get(self, mark: bytes) -> tuple[Known, ...]:
        """Return the conversations of a mark; none for an unknown one."""
        return self._known.get(mark, ())

    def put(self, mark: bytes, known: Iterable[Known]) -> None:
        """Set the conversations of a mark, the newest eight of them; it counts as used."""
        self._known[mark] = tuple(known)[-MAX_ALIKE:]
        self._known.move_to_end(mark)
        if len(self._known) > self._max_marks:
            self._known.popitem(last=False)
            self.evictions += 1


WITH_INPUT: Final = ("/responses", "/responses/compact", "/interactions")
"""Ends of paths whose `input` is a history."""
_SURE_CHARACTERS: Final = 16
"""From this length on, no two clients choose the same session name by accident."""


class Place(NamedTuple):
    """Where a call belongs."""

    conversation: bytes
    marks: bytes
    """What a call that continues it states."""


class Conversations:
    """The conversations of one sidecar. Not thread-safe."""

    def __init__(self, max_marks: int = MAX_MARKS) -> None:
        self._marks = Marks(max_marks)

    @property
    def evictions(self) -> int:
        """Marks that were forgotten to make room."""
        return self._marks.evictions

    def place(
        self,
        record: Record,
        exchange: DecodedExchange,
        members: Mapping[str, Member],
        response_id: str | None,
    ) -> Place | None:
        """Find the conversation of a call, and remember what continues it; None for a call without
        messages.
        """
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
        """Find the conversation of a call over a WebSocket: the session that it names, else the
        whole connection.

        `caller` is the hash of the credentials of its handshake.
        """
        if name is None:
            return connection
        tenant = tenant_of(record)
        return _session_id(tenant, hash_of(tenant, caller), name)

    def of_response(self, record: Record, exchange: DecodedExchange, job: str) -> bytes | None:
        """Find the conversation of a job that is a response which was to be fetched later; None for
        others.
        """
        kind, _, name = job.partition("/")
        caller = hash_of(tenant_of(record), caller_of(parse_head(exchange.request_head)[1]))
        if kind in ("response", "interaction"):
            return self._get(_response_mark(caller, name))
        return None

    def recall(self, records: Iterable[Record]) -> None:
        """Remember stored calls, oldest first."""
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
        """Find the conversation of the longest known history that this one begins with, if the
        model spoke since.

        The same history again is another try of a call that failed; else another run that has come
        as far, if one is known to have begun and not gone on; else another try once more, unless it
        is a first call.
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
        """Note that a conversation has gone on from a mark."""
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
        return known[-1].conversation if known else None

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
    """Whether the same history is another try: the call failed, and does not only tell of a tool
    that did.
    """
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
