"""That room will be made in a ring is denied only where it is known."""

from proxy.collector.rings.prospects import GIVE_UP_S, Prospects, outlook
from proxy.ring.outlook import Outlook
from tests.support.cases import each_of


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
def test_what_is_said(
    is_stuck: bool, away_s: float, has_spool: bool, is_spool_full: bool, said: Outlook
) -> None:
    """Only a way to the store that is stuck and known to stay so is no reason to wait."""
    prospects = Prospects(
        is_stuck=is_stuck, away_s=away_s, has_spool=has_spool, is_spool_full=is_spool_full
    )
    assert outlook(prospects) is said
