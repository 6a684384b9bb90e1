"""Binary event streams, cut into pieces anywhere."""

from proxy.enrich.formats.aws_events import DAMAGED, AwsEventSplitter
from tests.proxy.enrich.llm.test_bedrock import STREAM, event


def test_pieces_give_the_same_frames() -> None:
    """However the bytes come."""
    raw = b"".join(STREAM[:4])
    whole = AwsEventSplitter().feed(raw)
    assert [frame.event for frame in whole] == [b"messageStart", b"contentBlockStart"] + [b"contentBlockDelta"] * 2
    assert whole[-1].end == len(raw)
    for size in (1, 7, 100):
        splitter = AwsEventSplitter()
        frames = [frame for at in range(0, len(raw), size) for frame in splitter.feed(raw[at : at + size])]
        assert [*frames, *splitter.finish()] == whole
    for cut in range(1, len(STREAM[0])):
        assert AwsEventSplitter(start=cut, is_inside=True).feed(raw[cut:])[-3:] == whole[-3:]


def test_damage_is_told_and_passed_over() -> None:
    """However the bytes come: what is no message is named so once, and the next one is found."""
    raw = bytearray(b"".join(STREAM[:4]))
    whole = AwsEventSplitter().feed(bytes(raw))
    raw[len(STREAM[0])] ^= 255
    expected = [whole[0].event, DAMAGED, *(frame.event for frame in whole[2:])]
    for size in (1, 7, len(raw)):
        splitter = AwsEventSplitter()
        frames = [frame for at in range(0, len(raw), size) for frame in splitter.feed(bytes(raw[at : at + size]))]
        assert [frame.event for frame in [*frames, *splitter.finish()]] == expected
        assert frames[-1].end == len(raw)
    splitter = AwsEventSplitter()
    assert [frame.event for frame in splitter.feed(bytes(1000))] == [DAMAGED]
    assert splitter.finish() == []


def test_a_message_that_is_cut_is_damaged() -> None:
    """At the end of a stream, where nothing more will come."""
    splitter = AwsEventSplitter()
    assert splitter.feed(STREAM[0][:-3]) == []
    assert [frame.event for frame in splitter.finish()] == [DAMAGED]


def test_an_exception_is_a_member_of_its_name() -> None:
    """As clients show it."""
    (frame,) = AwsEventSplitter().feed(event("validationException", {"message": "no"}, kind=b":exception-type"))
    assert (frame.event, frame.data) == (b"validationException", b'{"validationException":{"message": "no"}}')
