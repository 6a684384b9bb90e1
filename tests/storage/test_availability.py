"""When a store that was away is asked again."""

import pytest

from storage.availability import FIRST_PAUSE_S, MAX_PAUSE_S, Availability


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_pauses_double_up_to_a_bound_and_begin_anew(chance: float, share: float) -> None:
    """Each pause is shortened by chance to half of it at most; an answer forgets them."""
    availability = Availability(lambda: 100.0, lambda: chance, is_up=True)
    pauses = []
    for _ in range(10):
        availability.note_down(OSError("refused"))
        pauses.append(availability.retry_at_s - 100.0)
    assert (availability.is_up, availability.reason) == (False, "refused")
    assert pauses[:3] == pytest.approx([FIRST_PAUSE_S * share, 2 * FIRST_PAUSE_S * share, 4 * FIRST_PAUSE_S * share])
    assert pauses[-1] == MAX_PAUSE_S * share
    availability.note_up()
    assert (availability.is_up, availability.reason, availability.retry_at_s) == (True, "", 0.0)
    availability.note_down(OSError("refused"))
    assert availability.retry_at_s - 100.0 == pytest.approx(pauses[0])
