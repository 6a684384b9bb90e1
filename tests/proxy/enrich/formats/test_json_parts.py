"""Parts of JSON are read for what they should be, or not at all."""

from proxy.enrich.formats.json_parts import first_count, sum_of


def test_counts_of_several_places() -> None:
    """What is no count is passed over; nought is one."""
    assert (first_count(None, "7", True, 0, 5), first_count(None, -1)) == (0, None)
    assert (sum_of((3, None, 4.0, "1")), sum_of((0,)), sum_of((None,))) == (7, 0, None)
