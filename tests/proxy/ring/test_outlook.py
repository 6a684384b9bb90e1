"""A reader's word to its writer: whether room will be made in the ring."""

from proxy.ring.outlook import Outlook, outlook_name
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import OUTLOOK
from tests.proxy.ring.ringing import idle


def test_a_writer_hopes_until_its_reader_says_otherwise(segment: Segment) -> None:
    """A fresh ring, and one without a reader, will have room; the newest word holds, also when its
    reader is gone.
    """
    writer = RingWriter(segment, idle)
    assert writer.has_hope
    reader = RingReader(segment)

    for said in (Outlook.FULL, Outlook.GIVEN_UP, Outlook.ROOM, Outlook.GIVEN_UP):
        reader.say(said)
        assert reader.outlook == said
        assert writer.has_hope is (said is Outlook.ROOM)

    del reader
    assert not writer.has_hope
    assert RingReader(segment).outlook == Outlook.GIVEN_UP


def test_a_word_stands_alone(segment: Segment) -> None:
    """No other cell of the header changes with it."""
    before = list(segment.cells)
    RingReader(segment).say(Outlook.FULL)
    after = list(segment.cells)
    assert [at for at, cell in enumerate(after) if cell != before[at]] == [OUTLOOK]


def test_a_word_that_is_not_known_is_shown_as_it_is(segment: Segment) -> None:
    """Damage of a header must not fail who describes it; it is no reason to wait."""
    segment.cells[OUTLOOK] = 77
    assert not RingWriter(segment, idle).has_hope
    assert [outlook_name(said) for said in (0, 1, 2, 77)] == ["room", "full", "given_up", "77"]
