"""Binary event streams."""

from proxy.enrich.formats.aws_events import DAMAGED, split_aws
from tests.proxy.enrich.llm.test_bedrock import STREAM, event, message


def test_a_window_has_the_frames_that_begin_in_it() -> None:
    """Wherever it begins and ends."""
    raw = b"".join(STREAM[:4])
    whole = split_aws(raw)
    assert [frame.event for frame in whole] == [b"messageStart", b"contentBlockStart"] + [
        b"contentBlockDelta"
    ] * 2
    assert whole[-1].end == len(raw)
    for cut in range(len(raw)):
        assert split_aws(raw[:cut]) == [frame for frame in whole if frame.end <= cut]
    for cut in range(1, len(STREAM[0])):
        assert split_aws(raw[cut:], start=cut, is_inside=True) == whole[-3:]


def test_damage_is_noted_and_passed_over() -> None:
    """What is no message is named so once, and the next one is found."""
    raw = bytearray(b"".join(STREAM[:4]))
    whole = split_aws(bytes(raw))
    raw[len(STREAM[0])] ^= 255
    frames = split_aws(bytes(raw), is_ended=True)
    assert [frame.event for frame in frames] == [
        whole[0].event,
        DAMAGED,
        *(frame.event for frame in whole[2:]),
    ]
    assert frames[-1].end == len(raw)
    assert [frame.event for frame in split_aws(bytes(1000), is_ended=True)] == [DAMAGED]


def test_a_message_that_is_cut_is_damaged() -> None:
    """At the end of a stream, where nothing more will come."""
    assert split_aws(STREAM[0][:-3]) == []
    assert [frame.event for frame in split_aws(STREAM[0][:-3], is_ended=True)] == [DAMAGED]


def test_an_exception_is_a_member_of_its_name() -> None:
    """As clients show it."""
    (frame,) = split_aws(event("validationException", {"message": "no"}, kind=b":exception-type"))
    assert (frame.event, frame.data) == (
        b"validationException",
        b'{"validationException":{"message": "no"}}',
    )


def test_headers_come_in_any_order() -> None:
    """An error has a code and a message in the place of a payload."""
    texts = (
        [(b":message-type", b"event"), (b":event-type", b"Records")],
        [(b":error-message", b"no"), (b":error-code", b"X")],
    )
    raw = b"".join(message(headers, b"") for headers in texts)
    whole = split_aws(raw)
    assert [(frame.event, frame.data) for frame in whole] == [
        (b"Records", b""),
        (b"X", b'{"X":{"message":"no"}}'),
    ]
    assert split_aws(raw[1:], start=1, is_inside=True) == whole[1:]
