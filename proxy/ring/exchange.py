"""One request and its response: the live state in a worker, and its layout as a ring entry.

The worker packs a fixed struct (times, sizes, codes, section lengths), followed by raw bytes:
client and upstream, both heads, both body windows, the chunk timeline. Nothing is parsed or
formatted here; the collector does that. Times in the struct are nanoseconds: dividing them costs
the worker 40 ns each, and the collector has the time.

Entry header, little-endian, in the order of `FIXED`; -1 stands for "not reached". Sections follow
in the order of their lengths.
"""

from collections.abc import Collection
from struct import Struct
from typing import Final

from proxy.http1.errors import STATUS_OF
from proxy.ring.body_window import Window
from proxy.ring.http2_notes import StreamState
from proxy.ring.timeline import Timeline
from storage.record import OUTCOMES, Outcome

KIND_EXCHANGE: Final = 1
"""Ring entry kind of an exchange."""

ERROR_CODES: Final[tuple[str, ...]] = ("", *STATUS_OF)
"""The proxy's own error codes by their number in an entry; "" for no error."""
ERROR_INDEX: Final = {code: index for index, code in enumerate(ERROR_CODES)}
OUTCOME_INDEX: Final = {outcome: index for index, outcome in enumerate(OUTCOMES)}

NO_ROUTE: Final = 0xFFFF

FLAG_REQUEST_COMPLETE: Final = 1
FLAG_HTTP10: Final = 2
FLAG_TLS: Final = 4
FLAG_OWN_RESPONSE: Final = 8
"""The response was made here, not received from an upstream."""
FLAG_HEADS_OFF: Final = 16
"""The route's capture level keeps neither heads nor bodies."""
FLAG_BODIES_OFF: Final = 32
"""The route's capture level keeps no bodies."""
FLAG_ACCESS: Final = 64
"""`ACCESS`, the result of the key check, follows all other sections."""
FLAG_NOTES: Final = 128
"""Notes follow everything else: their length, `NOTES`, then for each a tag, a length and its bytes,
`NOTE`.
"""

NOTES: Final = Struct("<I")
NOTE: Final = Struct("<BI")
NOTE_MESSAGE, NOTE_REFUSED_HEAD, NOTE_LONGEST_GAP, NOTE_MESSAGES_DROPPED = 1, 2, 3, 4
"""Contents of notes: reason of a failure, as text; beginning of a malformed response head, up to
`MAX_REFUSED_HEAD_BYTES`; longest silence between two chunks, `LONGEST_GAP`, if the timeline lost
entries; number of messages that passed unrecorded.
"""
NOTES_REQUEST_TRAILERS, NOTES_RESPONSE_TRAILERS = (5, 6), (7, 8)
"""Trailer lines as received, each with its CRLF; names of trailers that were not passed on, each
once, separated by commas.
"""
NOTE_MESSAGES_UNREADABLE: Final = 9
"""Directions of a WebSocket with frames that violate RFC 6455 §5: a byte, 1 for in, 2 for out."""
NOTE_STREAM, NOTE_GRPC_MESSAGES = 10, 11
"""Formats in `http2_notes.py`."""
NOTE_TUNNEL: Final = 12
"""Facts about a tunnel, as JSON: the reason for not reading it, the client's offer, and the side
that ended it.
"""
MAX_REFUSED_HEAD_BYTES: Final = 4096

ACCESS: Final = Struct("<B16s")
"""A flag for a connection from a trusted proxy, and the key's id."""
NO_KEY: Final = bytes(16)
"""Id that no key has."""

MAX_NAMED_BYTES: Final = 255
"""Longest scheme or host stored with the client's address: that of a DNS name (RFC 1035 §2.3.4)."""

SHED_NONE, SHED_TAIL, SHED_BODIES = range(3)
SHED_WINDOW_BYTES: Final = 1024
"""Kept bytes of each body if the ring is more than three quarters full (FORMAT.md)."""

FIXED: Final = Struct("<16sqqqqqqQQHHBBBBHHHIIIIIII")
"""Id; times and sizes of both bodies; status, route, codes and lengths of the addresses; lengths of
the other sections.
"""
TIMELINE_ENTRY: Final = Struct("<QQ")
"""Byte offset, µs since the start."""
LONGEST_GAP: Final = Struct("<Q")
"""µs."""

OK: Final = OUTCOME_INDEX[Outcome.OK]
SWITCHING_PROTOCOLS: Final = 101
MAX_WAITED_MS: Final = 0xFFFF
"""Largest value of its field in the header.

A stopped process may have let a request wait longer.
"""


class Exchange:
    """The live state of one request and its response; owned by its downstream connection until it
    is recorded.

    No dataclass: mypyc leaves the `__init__` of one interpreted, and 0.8 µs become 0.2
    (bench/micro/worker).
    """

    __slots__ = (
        "access", "client", "close_code", "connect_ns", "done_ns", "ended_ns", "error", "first_byte_ns", "flags", "id",
        "id_text", "is_recorded", "messages_dropped", "method", "notes", "outcome", "request_body", "request_head",
        "request_whole", "response_body", "response_head", "response_whole", "route", "sent_ns", "slot",
        "started_at_ns", "started_ns", "status", "stream", "timeline", "upstream", "waited_ms",
    )  # fmt: skip

    def __init__(
        self, id: bytes, id_text: bytes, started_ns: int, started_at_ns: int, client: bytes
    ) -> None:
        """Begin at the monotonic `started_ns`, on the wall clock `started_at_ns`."""
        self.id = id
        self.id_text = id_text
        self.started_ns = started_ns
        self.started_at_ns = started_at_ns
        self.client = client
        self.upstream = b""
        self.method = b""
        self.route = NO_ROUTE
        self.is_recorded = True
        self.status = 0
        self.error = 0
        self.flags = 0
        self.close_code = 0
        self.messages_dropped = 0
        self.waited_ms = 0
        """Milliseconds that its request waited, before it was begun, for room in the ring."""
        self.outcome = OK
        self.connect_ns = -1
        self.sent_ns = -1
        self.first_byte_ns = -1
        self.done_ns = -1
        self.ended_ns = -1
        self.slot = -1
        self.request_head = b""
        self.response_head = b""
        self.request_body: Window | None = None
        self.response_body: Window | None = None
        # A body that came in one piece and fits its window needs none: 0.6 µs less per body
        # (bench/macro, get).
        self.request_whole = b""
        self.response_whole = b""
        self.timeline: Timeline | None = None
        self.stream: StreamState | None = None
        """State of the stream, for a client that speaks HTTP/2."""
        self.access = b""
        self.notes = b""

    def note(self, tag: int, data: bytes) -> None:
        self.notes += NOTE.pack(tag, len(data)) + data

    def note_trailers(
        self, tags: tuple[int, int], lines: bytes, dropped: Collection[bytes]
    ) -> None:
        self.note(tags[0], lines)
        if dropped:
            self.note(tags[1], b",".join(dict.fromkeys(dropped)))

    def note_dropped(self) -> None:
        """Add a note with the number of messages that passed unrecorded, if there are any."""
        if self.messages_dropped:
            self.note(NOTE_MESSAGES_DROPPED, self.messages_dropped.to_bytes(8, "little"))

    def leave_out_unsent(self, size: int) -> None:
        """Remove the last `size` bytes of the response, which the client was never sent."""
        if size and self.response_body is not None:
            self.response_body.shorten(size)
        elif size:
            self.response_whole = self.response_whole[: max(len(self.response_whole) - size, 0)]

    def _note_stream(self, stream: StreamState) -> None:
        self.note(NOTE_STREAM, stream.stream_note)
        if messages := stream.messages_note:
            self.note(NOTE_GRPC_MESSAGES, messages)
            self.note_dropped()

    def encode_opening(self) -> bytes:
        """Pack the state of an exchange at the time of its first message, as an entry without
        bodies.
        """
        sections = [self.client, self.upstream, self.request_head, self.response_head, self.access]
        flags = self.flags & ~FLAG_NOTES | (FLAG_ACCESS if self.access else 0)
        header = FIXED.pack(
            self.id, self.started_at_ns, -1, -1, -1, -1, -1, 0, 0, self.status, self.route, self.outcome, self.error,
            flags, SHED_NONE, len(self.client), len(self.upstream), 0, len(self.request_head),
            len(self.response_head), 0, 0, 0, 0, 0,
        )  # fmt: skip
        return b"".join((header, *sections))

    def encode(self, pressure: int) -> tuple[bytes, list[bytes]]:
        """Pack the entry header and collect the sections, dropping bodies as the ring's fill level
        demands.
        """
        sections = [self.client, self.upstream, self.request_head, self.response_head]
        # Bodies that are kept whole, the usual case, need no windows.
        if self.request_whole and not pressure:
            sections.append(self.request_whole)
            request_size = len(self.request_whole)
            request_head = request_size
            request_tail = 0
        else:
            request_size, request_head, request_tail = _collect(
                self.request_body, self.request_whole, pressure, sections
            )

        if self.response_whole and not pressure:
            sections.append(self.response_whole)
            response_size = len(self.response_whole)
            response_head = response_size
            response_tail = 0
        else:
            response_size, response_head, response_tail = _collect(
                self.response_body, self.response_whole, pressure, sections
            )

        timeline = 0
        if self.timeline:
            packed = b"".join([TIMELINE_ENTRY.pack(*entry) for entry in self.timeline])
            timeline = len(packed)
            sections.append(packed)
            if self.timeline.is_thinned:
                self.note(NOTE_LONGEST_GAP, LONGEST_GAP.pack(self.timeline.longest_gap_us))

        shed = SHED_NONE
        if (
            pressure
            and not self.flags & FLAG_BODIES_OFF
            and (request_head < request_size or response_head < response_size)
        ):
            shed = pressure

        if self.stream is not None:
            self._note_stream(self.stream)
        if self.access:
            self.flags |= FLAG_ACCESS
            sections.append(self.access)
        if self.notes:
            self.flags |= FLAG_NOTES
            sections += NOTES.pack(len(self.notes)), self.notes
        header = FIXED.pack(
            self.id, self.started_at_ns, self.connect_ns, self.sent_ns, self.first_byte_ns, self.done_ns,
            self.ended_ns, request_size, response_size, self.status, self.route, self.outcome, self.error, self.flags,
            shed, len(self.client), len(self.upstream), self.close_code or self.waited_ms, len(self.request_head),
            len(self.response_head), request_head, request_tail, response_head, response_tail, timeline,
        )  # fmt: skip
        return header, sections


def client_section(address: bytes, proto: bytes, host: bytes) -> bytes:
    """Encode the client: its address, then after LFs the scheme and host stated by a trusted proxy.

    Values that are too long are left out.
    """
    if not (proto or host):
        return address
    named = [value if len(value) <= MAX_NAMED_BYTES else b"" for value in (proto, host)]
    return b"\n".join([address, *named])


def _collect(
    window: Window | None, whole: bytes, pressure: int, sections: list[bytes]
) -> tuple[int, int, int]:
    """Append the kept part of a body; return its true size and the kept lengths of head and tail."""
    if whole:
        kept = b"" if pressure == SHED_BODIES else whole[:SHED_WINDOW_BYTES]
        sections.append(kept)
        return len(whole), len(kept), 0

    if window is None:
        return 0, 0, 0
    if pressure == SHED_BODIES:
        return window.size, 0, 0

    return window.size, *window.collect(sections, SHED_WINDOW_BYTES if pressure else -1)


class CapturedExchange:
    """A decoded ring entry: the struct's fields as attributes, sections as bytes of their own."""

    __slots__ = (
        "access",
        "client",
        "close_code",
        "connect_ns",
        "done_ns",
        "ended_ns",
        "error",
        "first_byte_ns",
        "flags",
        "id",
        "is_thinned",
        "longest_gap_us",
        "notes",
        "outcome",
        "request_bytes",
        "request_head",
        "request_tail",
        "request_window",
        "response_bytes",
        "response_head",
        "response_tail",
        "response_window",
        "route",
        "sent_ns",
        "shed",
        "started_at_ns",
        "status",
        "timeline",
        "upstream",
        "waited_ms",
    )

    @classmethod
    def opened(cls, opening: bytes) -> "CapturedExchange":
        """Decode the result of `Exchange.encode_opening`; raises like the constructor."""
        return cls(opening[: FIXED.size], opening[FIXED.size :])

    def __init__(self, header: bytes | memoryview, sections: bytes | memoryview) -> None:
        """Decode an entry.

        Raises:
            ValueError: the lengths do not fit the sections, or a code is unknown: the entry is damaged.
        """
        if len(header) != FIXED.size:
            raise ValueError(f"entry header of {len(header)} bytes, expected {FIXED.size}")
        (
            self.id, self.started_at_ns, self.connect_ns, self.sent_ns, self.first_byte_ns, self.done_ns,
            self.ended_ns, self.request_bytes, self.response_bytes, self.status, self.route, self.outcome, self.error,
            self.flags, self.shed, client, upstream, self.close_code, request_head,
            response_head, request_window, request_tail, response_window, response_tail, timeline,
        ) = FIXED.unpack(header)  # fmt: skip
        self.waited_ms = 0
        if self.status != SWITCHING_PROTOCOLS:  # not a WebSocket, so it has no close code
            self.waited_ms = self.close_code
            self.close_code = 0
        raw = bytes(sections)
        at = client + upstream + request_head + response_head
        end = at + request_window + request_tail + response_window + response_tail + timeline
        access = end
        if self.flags & FLAG_ACCESS:
            end += ACCESS.size
        if end > len(raw):
            raise ValueError(f"sections of {len(raw)} bytes, the lengths add up to {end}")
        if timeline % TIMELINE_ENTRY.size:
            raise ValueError(
                f"timeline of {timeline} bytes, not a multiple of {TIMELINE_ENTRY.size}"
            )
        if self.outcome >= len(OUTCOMES) or self.error >= len(ERROR_CODES):
            raise ValueError(f"unknown outcome {self.outcome} or error {self.error}")

        self.client = raw[:client]
        self.upstream = raw[client : client + upstream]
        self.request_head = raw[client + upstream : at - response_head]
        self.response_head = raw[at - response_head : at]
        self.request_window = b""
        self.request_tail = b""
        self.response_window = b""
        self.response_tail = b""
        self.timeline: list[tuple[int, int]] = []
        self.access = raw[access:end]
        self.notes = _read_notes(raw, end) if self.flags & FLAG_NOTES else {}

        if access > at:
            middle = at + request_window
            self.request_window, self.request_tail = (
                raw[at:middle],
                raw[middle : middle + request_tail],
            )
            at = middle + request_tail
            middle = at + response_window
            self.response_window, self.response_tail = (
                raw[at:middle],
                raw[middle : middle + response_tail],
            )
            at = middle + response_tail
            if timeline:
                self.timeline = list(TIMELINE_ENTRY.iter_unpack(raw[at : at + timeline]))

        self.is_thinned = NOTE_LONGEST_GAP in self.notes
        self.longest_gap_us = self._longest_gap_us() if timeline else None

    def _longest_gap_us(self) -> int | None:
        """Return the longest silence between two chunks in microseconds. A note holds it if entries
        of the timeline were dropped.

        It is in a note if entries were dropped.
        """
        noted = self.notes.pop(NOTE_LONGEST_GAP, b"")
        if len(noted) == LONGEST_GAP.size:
            gap_us: int = LONGEST_GAP.unpack(noted)[0]
            return gap_us
        if len(self.timeline) > 1:
            return Timeline(self.timeline).longest_gap_us

        return None


def _read_notes(raw: bytes, at: int) -> dict[int, bytes]:
    """Return notes by tag. An unknown tag may be a later version's.

    Raises:
        ValueError: a note is longer than the remaining bytes.
    """
    notes = {}
    end = at + NOTES.size
    if end <= len(raw):
        end += NOTES.unpack_from(raw, at)[0]
    if end > len(raw):
        raise ValueError(f"notes end at {end}, {len(raw)} bytes are here")

    at += NOTES.size
    while at < end:
        tag, length = NOTE.unpack_from(raw, at) if end - at >= NOTE.size else (0, end)
        at += NOTE.size
        if length > end - at:
            raise ValueError(f"a note of {length} bytes where {max(end - at, 0)} are left")
        notes[tag] = raw[at : at + length]
        at += length

    return notes
