"""A reader's word to its writer: whether room will be made in the ring."""

from proxy.ring.outlook import GIVE_UP_S, Outlook, Prospects, outlook_name
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import OUTLOOK
from tests.proxy.ring.ringing import idle
from tests.support.cases import each_of


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


@each_of(
    ("is_stuck", "away_s", "has_spool", "is_spool_full", "said"),
    [
        (False, 0.0, True, False, Outlook.ROOM),  # it works
        (True, 0.0, True, False, Outlook.ROOM),  # the queue is full, and the store slow
        (True, 0.0, True, True, Outlook.ROOM),  # the store is back, and the spool still full
        (True, 0.1, True, False, Outlook.ROOM),  # the spool takes what comes
        (True, 3600.0, True, False, Outlook.ROOM),  # and has room for hours
        (False, 3600.0, True, True, Outlook.ROOM),  # there is room in the queue again
        (True, 0.1, True, True, Outlook.FULL),
        (True, 3600.0, True, True, Outlook.FULL),
        (True, GIVE_UP_S - 0.1, False, False, Outlook.ROOM),  # a database restarts
        (True, GIVE_UP_S, False, False, Outlook.GIVEN_UP),
        (False, GIVE_UP_S, False, False, Outlook.ROOM),
        (True, 0.0, False, False, Outlook.ROOM),
    ],
)
def test_room_is_denied_only_where_it_is_known(
    is_stuck: bool, away_s: float, has_spool: bool, is_spool_full: bool, said: Outlook
) -> None:
    """The way to the store has to be stuck, and known to stay so."""
    prospects = Prospects(
        is_stuck=is_stuck, away_s=away_s, has_spool=has_spool, is_spool_full=is_spool_full
    )
    assert prospects.outlook is said
