"""What trailers and heads of gRPC say: status, message, deadline, encoding."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.grpc.status import encoding_in, status_in, timeout_us
from storage.grpc import Grpc, status_name
from tests.support.cases import each_of


@each_of(
    ("fields", "wanted"),
    [
        (b"grpc-status: 0\r\n", (0, None)),
        (b"Grpc-Status:14\r\nGrpc-Message: no%20one\r\n", (14, b"no one")),
        (b"\r\nserver: x\r\ngrpc-message: a\r\ngrpc-status: 5", (5, b"a")),
        (b"grpc-message: %C3%A9 50% \r\ngrpc-status: 2 \r\n", (2, b"\xc3\xa9 50%")),
        (b"x-grpc-status: 3\r\n", None),
        (b"grpc-status: \r\n", None),
        (b"grpc-status: 1x\r\n", None),
        (b"grpc-status: -1\r\n", None),
        (b"grpc-message: x\r\n", None),
        (b"", None),
    ],
)
def test_a_status_is_read_from_its_own_field_alone(
    fields: bytes, wanted: tuple[int, bytes | None] | None
) -> None:
    """In any case and place, its message percent-decoded; what is no number is none."""
    assert status_in(fields) == wanted


@given(st.binary(max_size=200))
def test_any_octets_are_read(fields: bytes) -> None:
    """Whatever they are, nothing raises."""
    for line in (
        fields,
        b"grpc-status: " + fields,
        b"grpc-timeout: " + fields,
        b"grpc-encoding: " + fields,
    ):
        status_in(line)
        timeout_us(line)
        encoding_in(line)


def test_codes_have_the_names_and_levels_of_the_standard() -> None:
    """A code that is not defined means UNKNOWN, as it does to clients."""
    assert [status_name(code) for code in (0, 4, 7, 14, 16)] == [
        "OK", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "UNAVAILABLE", "UNAUTHENTICATED",
    ]  # fmt: skip
    assert [status_name(code) for code in (17, 999_999_999)] == ["UNKNOWN", "UNKNOWN"]
    assert [code for code in range(20) if Grpc(code).is_fault] == [2, 4, 12, 13, 14, 15, 17, 18, 19]
    assert not Grpc().is_fault


@each_of(
    ("value", "wanted"),
    [
        (b"1S", 1_000_000), (b"20m", 20_000), (b"2M", 120_000_000), (b"1H", 3_600_000_000), (b"99999999n", 99_999),
        (b"7u", 7), (b"1s", None), (b"123456789S", None), (b"-1S", None), (b"S", None),
    ],
)  # fmt: skip
def test_a_deadline_is_read_in_its_unit(value: bytes, wanted: int | None) -> None:
    """Units are letters whose case matters; more than eight digits are none."""
    assert timeout_us(b"\r\nte: trailers\r\ngrpc-timeout: " + value + b"\r\nx: y") == wanted


def test_identity_is_no_encoding() -> None:
    """It leaves messages as they are."""
    assert encoding_in(b"\r\ngrpc-encoding: gzip") == "gzip"
    assert encoding_in(b"\r\ngrpc-encoding: identity") is None
    assert encoding_in(b"\r\ngrpc-accept-encoding: gzip") is None
