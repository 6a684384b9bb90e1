"""What subscribers of the tail want."""

from api.native.records import encode_record
from api.stream.tail_ring import Interest
from storage.query import Filter
from storage.search.expression import Substring
from tests.support.filters import make_filter

KINDS = frozenset(("record",))


def test_heads_and_bodies_are_read_where_they_are_asked_for() -> None:
    """By frames that show them, or by a search of them; anything else is served from the ring."""
    assert not Interest(encode_record, make_filter(levels=("warn",)), KINDS).reads_store
    assert Interest(encode_record, Filter(where=Substring("needle")), KINDS).reads_store
    assert Interest(
        encode_record, Filter(), KINDS, lambda record, payload: encode_record(record)
    ).reads_store
