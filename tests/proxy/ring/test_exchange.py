"""The layout of an exchange in the ring: what is packed is read back; bodies go first; damage is
told.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ring.body_window import Window
from proxy.ring.exchange import (
    ACCESS,
    ERROR_CODES,
    FIXED,
    FLAG_ACCESS,
    FLAG_BODIES_OFF,
    NO_ROUTE,
    NOTE_MESSAGE,
    NOTE_REFUSED_HEAD,
    SHED_BODIES,
    SHED_NONE,
    SHED_TAIL,
    SHED_WINDOW_BYTES,
    TIMELINE_ENTRY,
    CapturedExchange,
    Exchange,
)
from proxy.ring.timeline import Timeline, note_chunk
from storage.record import OUTCOMES
from tests.support.cases import each_of

ID = bytes(range(16))


def window(*pieces: bytes, head: int = 4096, tail: int = 512) -> Window:
    made = Window(head, tail)
    for piece in pieces:
        made.add(piece)
    return made


def read_back(
    exchange: Exchange, pressure: int = 0, padding: bytes = b"\0" * 7
) -> CapturedExchange:
    header, sections = exchange.encode(pressure)
    return CapturedExchange(header, b"".join(sections) + padding)


def make() -> Exchange:
    return Exchange(ID, b"text", 5, 1_700_000_000_000_000_000, b"1.2.3.4")


def test_a_refusal_without_anything_is_read_back() -> None:
    """An exchange of which nothing is known but its start has the values that mean so."""
    found = read_back(make())
    assert (found.id, found.started_at_ns, found.client) == (
        ID,
        1_700_000_000_000_000_000,
        b"1.2.3.4",
    )
    assert (
        found.connect_ns,
        found.sent_ns,
        found.first_byte_ns,
        found.done_ns,
        found.ended_ns,
    ) == (-1,) * 5
    assert (found.status, found.route, found.outcome, found.error, found.flags, found.shed) == (
        0,
        NO_ROUTE,
        0,
        0,
        0,
        0,
    )
    assert (found.upstream, found.request_head, found.response_head, found.timeline) == (
        b"",
        b"",
        b"",
        [],
    )
    assert (
        found.request_bytes,
        found.response_bytes,
        found.request_window,
        found.response_tail,
    ) == (0, 0, b"", b"")


@given(st.data())
def test_every_field_and_section_is_read_back(data: st.DataObject) -> None:
    """Whatever an exchange holds, the collector sees it."""
    draw = data.draw
    exchange = make()
    times = st.integers(-1, 1 << 60)
    for name in ("connect_ns", "sent_ns", "first_byte_ns", "done_ns", "ended_ns"):
        setattr(exchange, name, draw(times))
    exchange.status, exchange.route = draw(st.integers(0, 599)), draw(st.integers(0, NO_ROUTE))
    exchange.outcome = draw(st.integers(0, len(OUTCOMES) - 1))
    exchange.error = draw(st.integers(0, len(ERROR_CODES) - 1))
    exchange.flags = draw(st.integers(0, 255)) & ~FLAG_ACCESS
    exchange.access = draw(st.binary(min_size=ACCESS.size, max_size=ACCESS.size) | st.just(b""))
    # One field of the header has the one or the other: a WebSocket's close code, or how long
    # another request waited.
    setattr(
        exchange,
        "close_code" if exchange.status == 101 else "waited_ms",
        draw(st.integers(0, 65535)),
    )
    for name in ("client", "upstream", "request_head", "response_head"):
        setattr(exchange, name, draw(st.binary(max_size=30)))
    bodies = draw(st.lists(st.lists(st.binary(max_size=20), max_size=6), min_size=2, max_size=2))
    exchange.request_body = window(*bodies[0], head=20, tail=10)
    exchange.response_whole = b"".join(bodies[1])
    entries = draw(
        st.lists(st.tuples(st.integers(0, 1 << 63), st.integers(0, 1 << 63)), max_size=5)
    )
    exchange.timeline = Timeline(entries) if entries else None
    found = read_back(exchange)

    for name in (
        "id", "started_at_ns", "connect_ns", "sent_ns", "first_byte_ns", "done_ns", "ended_ns", "status", "route",
        "outcome", "error", "flags", "close_code", "waited_ms", "client", "upstream", "request_head", "response_head",
        "access",
    ):  # fmt: skip
        assert getattr(found, name) == getattr(exchange, name)

    body = b"".join(bodies[0])
    assert (found.request_bytes, found.request_window) == (len(body), body[:20])
    assert found.request_tail == body[20:][-10:]
    assert (found.response_bytes, found.response_window, found.response_tail) == (
        len(exchange.response_whole), exchange.response_whole, b"",
    )  # fmt: skip
    assert found.timeline == (exchange.timeline or [])
    assert found.shed == SHED_NONE


@each_of("is_whole", [True, False])
@each_of(
    ("pressure", "kept", "tail"),
    [(SHED_NONE, 4096, 512), (SHED_TAIL, SHED_WINDOW_BYTES, 0), (SHED_BODIES, 0, 0)],
)
def test_pressure_leaves_bodies_out(pressure: int, kept: int, tail: int, is_whole: bool) -> None:
    """Above three quarters a kilobyte of each body is kept, above 90 % none; sizes and heads stay."""
    body = bytes(number % 256 for number in range(10_000))
    exchange = make()
    exchange.request_head = b"request"
    exchange.response_head = b"response"
    exchange.timeline = Timeline([(1, 2)])

    if is_whole:
        exchange.request_whole = body
        exchange.response_whole = body
        kept, tail = (len(body), 0) if not pressure else (kept, 0)
    else:
        exchange.request_body = exchange.response_body = window(body[:3000], body[3000:])

    found = read_back(exchange, pressure)
    assert (found.request_bytes, found.response_bytes, found.shed) == (
        len(body),
        len(body),
        pressure,
    )
    for head in (found.request_window, found.response_window):
        assert head == body[:kept]
    for end in (found.request_tail, found.response_tail):
        assert end == (body[-tail:] if tail else b"")
    assert (found.request_head, found.response_head, found.timeline) == (
        b"request",
        b"response",
        [(1, 2)],
    )


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_fits_under_pressure_is_not_called_shed(is_whole: bool) -> None:
    """`shed` says that something was left out; a small body, or none, loses nothing."""
    exchange = make()
    assert read_back(exchange, SHED_BODIES).shed == SHED_NONE
    if is_whole:
        exchange.response_whole = b"small"
    else:
        exchange.response_body = window(b"sm", b"all")

    found = read_back(exchange, SHED_TAIL)
    assert (found.response_window, found.shed) == (b"small", SHED_NONE)
    assert read_back(exchange, SHED_BODIES).shed == SHED_BODIES


def test_a_level_without_bodies_sheds_none() -> None:
    """Where bodies are not kept anyway, pressure takes nothing away."""
    exchange = make()
    exchange.flags = FLAG_BODIES_OFF
    exchange.response_body = window(b"body", head=0, tail=0)
    assert read_back(exchange, SHED_BODIES).shed == SHED_NONE


def test_damage_is_an_error() -> None:
    """Lengths that do not fit, and codes nobody wrote, are told, not guessed at."""
    exchange = make()
    exchange.request_head = b"head"
    header, sections = exchange.encode(0)
    raw = b"".join(sections)
    with pytest.raises(ValueError, match="header of"):
        CapturedExchange(header[:-1], raw)
    with pytest.raises(ValueError, match="add up"):
        CapturedExchange(header, raw[:-1])
    odd = header[:-4] + (TIMELINE_ENTRY.size - 1).to_bytes(4, "little")
    with pytest.raises(ValueError, match="timeline of"):
        CapturedExchange(odd, raw + bytes(100))
    exchange.outcome = len(OUTCOMES)
    with pytest.raises(ValueError, match="unknown outcome"):
        CapturedExchange(exchange.encode(0)[0], raw)
    exchange.outcome, exchange.error = 0, len(ERROR_CODES)
    with pytest.raises(ValueError, match="unknown outcome"):
        CapturedExchange(exchange.encode(0)[0], raw)


@given(
    st.binary(min_size=FIXED.size - 28, max_size=FIXED.size - 28),
    st.lists(st.integers(0, 40), min_size=7, max_size=7),
    st.binary(max_size=100),
)
def test_arbitrary_entries_are_refused_or_read(
    start: bytes, lengths: list[int], sections: bytes
) -> None:
    """No bytes in a ring make the collector fail in another way."""
    header = start + b"".join(length.to_bytes(4, "little") for length in lengths)
    try:
        captured = CapturedExchange(header, sections)
    except ValueError:
        return
    assert len(captured.request_head) <= len(sections)


@pytest.mark.parametrize("padding", [b"", b"\0\0\0", b"\x01\x05\0\0\0\xff\xff"])
def test_notes_are_read_back(padding: bytes) -> None:
    """Behind all else, in any number, whatever a later version adds."""
    exchange = make()
    exchange.access = ACCESS.pack(1, ID)
    exchange.note(NOTE_MESSAGE, b"why")
    exchange.note(NOTE_REFUSED_HEAD, b"")
    exchange.note(99, b"\0later")
    found = read_back(exchange, padding=padding)
    assert found.notes == {NOTE_MESSAGE: b"why", NOTE_REFUSED_HEAD: b"", 99: b"\0later"}
    assert found.access == ACCESS.pack(1, ID)


@pytest.mark.parametrize("damage", [b"\x01\x04\0\0\0why", b"\x01\x04"])
def test_a_damaged_note_is_noticed(damage: bytes) -> None:
    """A length that does not fit is no note."""
    exchange = make()
    exchange.notes = damage
    with pytest.raises(ValueError, match="note"):
        read_back(exchange, padding=b"")


def test_the_longest_silence_of_a_long_stream_is_read_back() -> None:
    """Where entries were dropped it is packed beside them, and what the key check noted comes
    behind it.
    """
    exchange = make()
    exchange.timeline = Timeline()
    for number in range(2000):
        note_chunk(exchange.timeline, number + 1, number * 10 + (500 if number > 3 else 0))
    exchange.access = bytes(ACCESS.size)
    found = read_back(exchange)
    assert (found.longest_gap_us, found.access, found.timeline) == (
        510,
        bytes(ACCESS.size),
        list(exchange.timeline),
    )
    assert read_back(make()).longest_gap_us is None


@each_of("cut", range(1, 13))
def test_notes_that_are_not_all_there_are_noticed(cut: int) -> None:
    """Wherever they are cut."""
    exchange = make()
    exchange.note(NOTE_MESSAGE, b"why")
    header, sections = exchange.encode(0)
    with pytest.raises(ValueError, match="note"):
        CapturedExchange(header, b"".join(sections)[:-cut])
