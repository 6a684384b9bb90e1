"""What other readers need of terms: networks, trace ids and statuses of gRPC."""

from storage.grpc import Grpc
from storage.search.expression import InNetwork, Or
from storage.search.language.terms import read_grpc_status, read_network, stored_trace_id
from storage.search.meaning import fulfils
from storage.search.subject import Subject
from tests.storage.samples import make_record
from tests.support.cases import each_of

MAPPED = bytes(10) + b"\xff\xff"


def test_networks() -> None:
    """An address is a network of one; host bits are forgiven."""
    assert read_network("10.1.2.3/8") == Or(
        (
            InNetwork(b"\n\0\0\0", b"\n\xff\xff\xff"),
            InNetwork(MAPPED + b"\n\0\0\0", MAPPED + b"\n\xff\xff\xff"),
        )
    )
    assert read_network("::1") == InNetwork(bytes(15) + b"\1", bytes(15) + b"\1")
    assert read_network("10.1.2.3") == read_network("::ffff:10.1.2.3")
    assert read_network("10.0.0.0/8") == read_network("::ffff:10.0.0.0/104")
    assert read_network("10.1.2") is None


@each_of("network", ["10.0.0.0/8", "10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203", "0.0.0.0/0"])
def test_an_address_of_ipv4_is_found_however_it_is_written(network: str) -> None:
    """A socket that listens on `[::]` names clients of IPv4 as addresses of IPv6."""
    search = read_network(network)
    assert search is not None
    for address in ("10.1.2.3", "::ffff:10.1.2.3"):
        assert fulfils(Subject(make_record(client_ip=address)), search)
    for other in ("2001:db8::a01:203", "::10.1.2.3", "unix", None):
        assert not fulfils(Subject(make_record(client_ip=other)), search)


def test_trace_ids() -> None:
    """A UUID loses its hyphens; what is no trace id stays."""
    assert (
        stored_trace_id(" 0AF76519-16CD-43DD-8448-EB211C80319C ")
        == "0af7651916cd43dd8448eb211c80319c"
    )
    assert stored_trace_id("a-b") == "a-b"


@each_of(
    ("text", "found"),
    [
        ("14", [14]), ("unavailable", [14]), ("UNAVAILABLE", [14]), ("OK", [0]), ("0", [0]), ("!OK", [5, 14]),
        ("!14", [0, 5]), ("99", []), ("nonsense", None), ("!", None), ("", None), ("\u0661", None), ("1" * 12, None),
    ],
)  # fmt: skip
def test_a_status_of_grpc_is_asked_for_by_name_or_number(
    text: str, found: list[int] | None
) -> None:
    """Behind an exclamation mark any other that was said: a call without one, and what is no call,
    is none.
    """
    search = read_grpc_status(text)
    assert (search is None) == (found is None)
    if search is not None:
        calls = [make_record(grpc=grpc) for grpc in (None, Grpc(), Grpc(0), Grpc(5), Grpc(14))]
        fulfilled = [
            call.grpc.status for call in calls if call.grpc and fulfils(Subject(call), search)
        ]
        assert fulfilled == found
        assert not fulfils(Subject(make_record()), search)
