"""Fields of whose values something stays: names and attributes do, values and tokens go, and what
may be one too.
"""

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.enrich.redact.fields import redact_cookies, redact_set_cookie

S = b"S3CRET"
M = b"[REDACTED]"


@given(
    st.lists(
        st.sampled_from([S, b"=", b";", b'"', b" ", b",", b"a", b"Path=/", b"\\"]), max_size=12
    ).map(b"".join)
)
@example(b"a;Path=/S3CRET")
def test_no_value_survives(value: bytes) -> None:
    """A secret stays only where the name of a cookie is expected, alone before the first equals
    sign, or in a path.
    """
    cookie = redact_cookies(value).split(b"; ")
    set_cookie = redact_set_cookie(value).split(b"; ")
    for piece in (
        *cookie,
        set_cookie[0],
        *(piece for piece in set_cookie[1:] if not piece.startswith(b"Path=/")),
    ):
        name, _, rest = piece.partition(b"=")
        assert S not in rest
        assert S not in name or rest == M
