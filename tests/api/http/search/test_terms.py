"""What other readers need of terms: networks and trace ids."""

from api.http.search.terms import read_network, stored_trace_id
from storage.search.expression import InNetwork


def test_networks() -> None:
    """An address is a network of one; host bits are forgiven."""
    assert read_network("10.1.2.3/8") == InNetwork(b"\n\0\0\0", b"\n\xff\xff\xff")
    assert read_network("10.1.2.3") == InNetwork(b"\n\1\2\3", b"\n\1\2\3")
    assert read_network("10.1.2") is None


def test_trace_ids() -> None:
    """A UUID loses its hyphens; what is no trace id stays."""
    assert stored_trace_id(" 0AF76519-16CD-43DD-8448-EB211C80319C ") == "0af7651916cd43dd8448eb211c80319c"
    assert stored_trace_id("a-b") == "a-b"
