"""gRPC as far as a worker knows it: which calls are, their time, and how they are refused."""

from proxy.http2.grpc import LATE_NS, expires_ns, grpc_message, grpc_status_of, is_grpc
from tests.support.cases import each_of


@each_of(
    ("value", "is_call"),
    [
        *(
            (b"application/grpc", True),
            (b"application/grpc+proto", True),
            (b"application/grpc;a=b", True),
        ),
        *(
            (b"application/grpc-web", False),
            (b"application/grpc-web+proto", False),
            (b"application/grpcx", False),
        ),
        *((b"application/json", False), (b"x application/grpc", False)),
    ],
)
def test_a_call_is_known_by_its_content_type(value: bytes, is_call: bool) -> None:
    """gRPC-Web is HTTP of any version, and none."""
    assert is_grpc(b"Host: a\r\ncontent-type: %b\r\nx: y\r\n" % value) == is_call


def test_no_other_field_makes_a_call() -> None:
    """Not one whose value holds the name, nor one whose name ends like it."""
    assert not is_grpc(
        b"Host: a\r\nx: content-type: application/grpc\r\nx-content-type: application/grpc\r\n"
    )


@each_of(
    ("value", "limit_ns"),
    [
        *((b"1H", 3_600_000_000_000), (b"2M", 120_000_000_000), (b"3S", 3_000_000_000)),
        *((b"4m", 4_000_000), (b"5u", 5_000), (b"99999999n", 99_999_999)),
        *((b"", 0), (b"5", 0), (b"123456789S", 0), (b"-1S", 0), (b"1s", 0)),
    ],
)
def test_the_time_of_a_call(value: bytes, limit_ns: int) -> None:
    """At most eight digits and a unit; what cannot be read is no limit."""
    expected_ns = 7 + limit_ns + LATE_NS if limit_ns else 0
    assert expires_ns(b"Host: a\r\ngrpc-timeout: %b\r\n" % value, 7) == expected_ns


@each_of(
    ("status", "code"),
    [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (429, 14),
        (502, 14),
        (503, 14),
        (504, 14),
        (408, 2),
        (500, 2),
    ],
)
def test_statuses_are_mapped_as_grpc_has_it(status: int, code: int) -> None:
    """As its document on statuses of HTTP does."""
    assert grpc_status_of(status) == code


def test_a_message_is_percent_encoded() -> None:
    """All but printable ASCII, and the sign itself."""
    assert grpc_message("50 % of ä\r\n~") == b"50 %25 of %C3%A4%0D%0A~"
