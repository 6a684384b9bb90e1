"""Events on the wire, read back by a reader that follows the standard to the letter."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.stream.sse import HEARTBEAT, MAX_EVENT_ID, encode_event, encode_retry, read_event_id
from tests.support.cases import each_of
from tests.support.sse import SseReader


@given(
    data=st.recursive(
        st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
    ),
    event_id=st.none() | st.integers(0, MAX_EVENT_ID),
    name=st.sampled_from(["", "gap", "reset", "scope-destroyed"]),
)
def test_no_data_breaks_a_frame(data: object, event_id: int | None, name: str) -> None:
    """Whatever the data holds, one event comes out, with the same JSON, id and name."""
    reader = SseReader()
    content = json.dumps(data).encode()
    events = reader.feed(encode_event(content, event_id=event_id, name=name))
    assert len(events) == 1
    assert (events[0].data, events[0].name) == (content.decode(), name or "message")
    assert reader.last_event_id == ("" if event_id is None else str(event_id))


@given(data=st.binary(max_size=40).map(bytes.hex), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_frames_survive_any_cut(data: str, cuts: list[int]) -> None:
    """A network may deliver a frame in any pieces."""
    raw = encode_event(data.encode(), event_id=5) + HEARTBEAT + encode_event(b"next", event_id=6)
    reader = SseReader()
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    events = [event for a, b in pairwise(places) for event in reader.feed(raw[a:b])]
    assert [(event.id, event.data) for event in events] == [("5", data), ("6", "next")]


def test_frames_look_as_the_document_shows_them() -> None:
    """The id line, the data line, a blank line; a heartbeat is an empty comment."""
    assert encode_event(b'{"id":84321}', event_id=12345) == b'id: 12345\ndata: {"id":84321}\n\n'
    assert encode_event(b"{}", event_id=1, name="gap") == b"event: gap\nid: 1\ndata: {}\n\n"
    assert HEARTBEAT == b":\n\n"
    assert encode_retry(2000, 7) == b"retry: 2000\nid: 7\n\n"


@each_of(
    ("text", "number"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 12345 ", 12345),
        ("9223372036854775807", MAX_EVENT_ID),
        ("9223372036854775808", None),
        ("-1", None),
        ("+1", None),
        ("1_000", None),
        ("\u0663", None),
        ("12a", None),
        ("9" * 5000, None),
    ],
)
def test_only_plain_ids_are_read(text: str | None, number: int | None) -> None:
    """Anything that is no id of ours means: live."""
    assert read_event_id(text) == number
