"""Judges trailers: what stands behind a body goes on as it came, but for what has a meaning in a
head only.
"""

from typing import Final

from tests.fuzz.strict import Fields

_HEAD_ONLY: Final = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding content-length upgrade "
    b"host expect "
    b"authorization cookie set-cookie content-type content-encoding cache-control "
    b"proxy-authorization proxy-authenticate vary date age expires location pragma range retry-after".split()
)
REQUEST_ONLY: Final = _HEAD_ONLY | set(
    b"x-forwarded-for x-forwarded-proto x-forwarded-host x-request-id".split()
)
RESPONSE_ONLY: Final = _HEAD_ONLY | {b"x-sidelog-id"}


def misjudged_trailers(
    head_only: frozenset[bytes], head: Fields, sent: Fields, got: Fields, noted: bytes
) -> str:
    """Return what is wrong with trailers that were sent behind a head, passed on, and noted on the
    record.
    """
    if got != passed_on(head_only, head, sent):
        return f"trailers {sent} became {got}"
    lines = [line.partition(b":") for line in noted.split(b"\r\n")[:-1]]
    recorded = [(name.lower(), value.strip(b" \t")) for name, _, value in lines]
    if recorded == sent:
        return ""

    return f"trailers {sent} were recorded as {recorded}"


def passed_on(head_only: frozenset[bytes], head: Fields, sent: Fields) -> Fields:
    """Return the trailers that are expected to go on."""
    values = (value for name, value in head if name == b"connection")
    gone = head_only | {
        option.strip(b" \t").lower() for value in values for option in value.split(b",")
    }
    return [
        (name, value)
        for name, value in sent
        if name not in gone and name.replace(b"_", b"-") not in gone
    ]
