"""Binary event streams, cut into pieces anywhere."""

from proxy.enrich.formats.aws_events import AwsEventSplitter
from tests.proxy.enrich.llm.test_bedrock import STREAM


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
    assert AwsEventSplitter().feed(bytes(1000)) == []
