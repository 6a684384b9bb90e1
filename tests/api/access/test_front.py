"""What a proxy in front says of the browser."""

from api.access.front import Front, front_of
from tests.support.cases import each_of


@each_of(
    ("said", "base_path"),
    [
        ("/sidelog", "/sidelog"), ("/sidelog/", "/sidelog"), ("/ops/log_1.2~x", "/ops/log_1.2~x"),
        ("/sidelog, /other", "/sidelog"), ("", "/set"), ("/", "/set"), ("sidelog", "/set"),
        ("//evil.example", "/set"), ("/a//b", "/set"), ("/../etc", "/set"), ("/a/..", "/set"),
        ("https://evil.example", "/set"), ("/\\evil.example", "/set"), ('/"><script>', "/set"), ("/a%2f", "/set"),
        ("/a;b", "/set"), ("/a b", "/set"), ("/" + "a" * 256, "/set"),
    ],
)  # fmt: skip
def test_a_prefix_is_a_plain_path_or_nothing(said: str, base_path: str) -> None:
    """What could lead elsewhere, or end an attribute, counts as not said; a stranger says nothing."""
    headers = {"X-Forwarded-Prefix": said}
    for is_trusted, expected in ((True, base_path), (False, "/set")):
        front = front_of(headers, "a", is_trusted=is_trusted, is_secure=False, base_path="/set")
        assert front.base_path == expected


@each_of(
    ("is_trusted", "is_secure", "proto", "expected"),
    [
        (True, False, "https", True), (True, False, "HTTPS, http", True), (True, True, "http", False),
        (True, True, None, True), (False, False, "https", False), (False, True, "http", True),
    ],
)  # fmt: skip
def test_a_trusted_proxy_says_how_the_browser_came(
    is_trusted: bool, is_secure: bool, proto: str | None, expected: bool
) -> None:
    """Its scheme and host; a stranger's are what we see."""
    headers = {"X-Forwarded-Host": "logs.example", "X-Forwarded-For": "9.9.9.9, 10.1.2.3"} | (
        {} if proto is None else {"X-Forwarded-Proto": proto}
    )
    front = front_of(
        headers,
        "inner:8090",
        is_trusted=is_trusted,
        is_secure=is_secure,
        base_path="",
        sender="10.0.0.1",
    )
    assert (front.is_secure, front.authority) == (expected, "inner:8090")
    assert (front.host, front.client) == (
        ("logs.example", "10.1.2.3") if is_trusted else ("inner:8090", "10.0.0.1")
    )


@each_of(
    ("target", "inner"),
    [
        ("/sidelog/", "/"),
        ("/sidelog/requests?a=/sidelog/", "/requests?a=/sidelog/"),
        ("/sidelog", ""),
        ("/sidelog?a=/", ""),
        ("/sidelogs/requests", None),
        ("/requests", None),
        ("/requests?/sidelog/", None),
        ("/sidelog//evil.example", None),
        ("http://host/sidelog/", None),
    ],
)
def test_the_base_path_is_taken_off(target: str, inner: str | None) -> None:
    """A whole one, from what is then a path, or nothing; without any nothing is."""
    assert Front(base_path="/sidelog").inner(target) == inner
    assert Front().inner(target) is None
