"""Routes: which one a request takes, and what the upstream gets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.errors import Refused
from proxy.http1.field_lines import name_of
from proxy.http1.request_head import RequestHead, parse_request_head
from proxy.http1.trailers import forwarded_trailers
from proxy.ring.capture_windows import Windows
from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF
from proxy.settings.model import (
    CaptureSettings,
    HeaderSettings,
    ProxySettings,
    RouteSettings,
    Settings,
)
from proxy.worker.routes import Route, RouteTable, normalise
from tests.proxy.conftest import Start
from tests.support.cases import each_of
from tests.support.plane import EngineName
from tests.support.script import Script

UPSTREAM = "http://up:81"


def route(index: int = 0, **settings: Any) -> Route:
    return Route(
        index, RouteSettings(**{"id": f"r{index}", "upstream": UPSTREAM, **settings}), Settings()
    )


def table(*routes: dict[str, Any]) -> RouteTable:
    return RouteTable([route(index, **settings) for index, settings in enumerate(routes)])


TABLE = table(
    {"path": "/v1/", "host": "api.local"}, {"path": "/v1/"}, {"path": "/exact"}, {"path": "/"}
)


@each_of(
    ("host", "target", "index"),
    [
        (b"a", b"/v1/x", 1), (b"a", b"/v1", 1), (b"a", b"/v1?q=/../x", 1), (b"a", b"/v10", 3), (b"a", b"/V1/x", 3),
        (b"api.local", b"/v1/x", 0), (b"API.Local:8080", b"/v1/x", 0), (b"api.local.", b"/v1/x", 0),
        (b"api.local.:8080", b"/v1/x", 0), (b"api.local..", b"/v1/x", 1), (b"api.local", b"/other", 3),
        (b"a", b"/exactly", 2), (b"a", b"/", 3), (b"", b"/v1/", 1), (b"[::1]:80", b"/", 3), (b"a", b"/v1/a%20b", 1),
        (b"a", b"/v1/./x", 1), (b"a", b"/v1//x", 1), (b"a", b"/other/%2e%2e/x", 3),
    ],
)  # fmt: skip
def test_the_first_route_whose_host_and_path_match_is_taken(
    host: bytes, target: bytes, index: int
) -> None:
    """Prefixes of the raw path, narrowed by host without port, in the order written."""
    found = TABLE.match(host, target)
    assert found is not None
    assert found.index == index


@each_of("name", ["a.example", "A.example."])
@each_of("host", [b"a.example", b"a.example.", b"A.Example.:80"])
def test_a_dot_behind_a_name_says_that_it_is_whole(name: str, host: bytes) -> None:
    """It names the same host (RFC 3986 §3.2.2), so it must not lead past a route that asks for a
    key.
    """
    found = table({"host": name}, {}).match(host, b"/")
    assert found is not None
    assert found.index == 0


@each_of(
    "target",
    [
        b"/v1/../admin", b"/v1/%2e%2e/admin", b"/v1/.%2E/admin", b"/v1%2fx", b"/%761/x", b"//v1/x", b"/./v1/x",
        b"/x/../v1/x", b"/v1/..%5cadmin", b"/x\\..\\v1\\y", b"/v1\\x", b"/x%5c..%5cv1/y",
        b"/x/%2e%2e/v1/y", b"/x/..%2fv1/y", b"/%761/y", b"/x/%2E./v1/", b"/x/..;/v1/y", b"/x/..%3bz/v1/y",
        b"/v1;x/y", b"/v1/..;/x",
    ],
)  # fmt: skip
def test_a_path_that_two_readers_could_route_differently_is_refused(target: bytes) -> None:
    """Encoded, doubled, back or dotted separators may not lead to another route than the raw path
    (P10).
    """
    with pytest.raises(Refused) as caught:
        TABLE.match(b"a", target)
    assert caught.value.code == "bad_request"


def test_no_route_is_none() -> None:
    """Without a catch-all, some requests have no route."""
    assert table({"path": "/v1/"}).match(b"a", b"/v2") is None
    assert table({"host": "b"}).match(b"a", b"/") is None


def test_options_of_the_server_takes_the_route_that_takes_all_of_its_host() -> None:
    """`*` has no path, and asks about no part of a server."""
    found = TABLE.match(b"a", b"*")
    assert found is not None
    assert found.index == 3
    assert table({"path": "/v1/"}, {"host": "b"}, {"path": "/v2"}).match(b"a", b"*") is None
    assert route(path="/v1/", strip_prefix=True).target(b"*") == b"*"


def test_one_route_for_everything_is_known() -> None:
    """The common case needs no matching at all."""
    assert table({}).catch_all is not None
    assert table({"host": "a"}).catch_all is None
    assert table({"path": "/v1"}).catch_all is None
    assert TABLE.catch_all is None


@given(st.binary(max_size=40).map(lambda path: b"/" + path))
def test_a_normal_path_stays_as_it_is(path: bytes) -> None:
    """Normalising, as often as one likes, ends in a path without dots, doubles or backslashes."""
    normal = normalise(path.replace(b"%", b""))
    assert normalise(normal) == normal
    assert b"//" not in normal
    assert b"\\" not in normal
    assert b"/../" not in normal + b"/"


@each_of(
    ("path", "normal"),
    [
        (b"/", b"/"), (b"/a/", b"/a/"), (b"/a/.", b"/a/"), (b"/a/b/..", b"/a/"), (b"/../..", b"/"),
        (b"/%61%2Fb", b"/a/b"), (b"/a/..;x/b;y=/", b"/b/"), (b"/a/b/..;", b"/a/"),
    ],
)  # fmt: skip
def test_normal_forms(path: bytes, normal: bytes) -> None:
    """Dot segments are resolved, at the end they leave a slash, above the root they are nothing."""
    assert normalise(path) == normal


@each_of(
    ("path", "target", "expected"),
    [
        ("/v1/", b"/v1/x?y", b"/x?y"), ("/v1/", b"/v1", b"/"), ("/v1/", b"/v1?y", b"/?y"), ("/v1", b"/v1/x", b"/x"),
        ("/v1/", b"/v1//x", b"//x"), ("/", b"/x", b"/x"),
    ],
)  # fmt: skip
def test_a_stripped_prefix_leaves_a_path(path: str, target: bytes, expected: bytes) -> None:
    """Only the prefix goes; what is left begins with a slash and is otherwise untouched."""
    assert route(path=path, strip_prefix=True).target(target) == expected
    assert route(path=path).target(target) == target


@each_of(
    ("strip", "target", "expected"),
    [
        (False, b"/v1/x?y", b"/base/v1/x?y"),
        (True, b"/v1/x?y", b"/base/x?y"),
        (True, b"/v1", b"/base/"),
        (True, b"/v1?y", b"/base/?y"),
        (False, b"*", b"*"),
    ],
)
def test_the_path_of_the_upstream_comes_first(
    *, strip: bool, target: bytes, expected: bytes
) -> None:
    """Behind it is what would have been sent without it."""
    found = route(path="/v1/", upstream="http://app:1/base/", strip_prefix=strip)
    assert found.changes_target
    assert found.target(target) == expected
    assert not route(path="/v1/", upstream="http://app:1/").changes_target


@each_of(
    ("settings", "client", "expected"),
    [
        ({}, b"client:1", b"client:1"),
        ({}, b"", b"up:81"),
        ({"upstream": "unix:/run/a.sock"}, b"client", b"client"),
        ({"upstream": "unix:/run/a.sock"}, b"", b"localhost"),
        ({"upstream": "https://up"}, b"client", b"up"),
        ({"upstream": "https://up:444"}, b"client", b"up:444"),
        ({"upstream_host": "fixed:9"}, b"client", b"fixed:9"),
        ({"upstream": "https://up", "upstream_host": "fixed"}, b"client", b"fixed"),
        ({"upstream": "http://[::1]:81"}, b"", b"[::1]:81"),
    ],
)
def test_the_host_sent_upstream(settings: dict[str, Any], client: bytes, expected: bytes) -> None:
    """The client's for http and unix, the upstream's own for https, or a literal (`upstream_host`)."""
    head = RequestHead(is_keep_alive=True)
    head.host = client
    assert route(**settings).render(head, b"me").split(b"\r\n")[0] == b"Host: " + expected


@pytest.mark.parametrize(
    "upstream", ["https://api.local", "https://api.local.", "https://api.local.:8443"]
)
def test_no_certificate_names_the_dot_behind_a_name(upstream: str) -> None:
    """It spares the resolver its search list, and is no part of the name that TLS asks for."""
    found = route(upstream=upstream)
    assert found.server_name == "api.local"
    assert found.address.host == upstream.removeprefix("https://").removesuffix(":8443")


def test_set_headers_replace_the_clients() -> None:
    """A field that the route sets comes once, with the route's value, whatever the client sent."""
    head = RequestHead(is_keep_alive=True)
    head.host = b"a"
    head.hops = [b"other"]
    head.request_id = b"r1"
    head.content_length = 3
    head.lines = [b"AUTHORIZATION: client", b"X: 1", b"x-Set: client"]
    rendered = route(
        headers=HeaderSettings(set_request={"Authorization": "ours", "X-Set": "s"})
    ).render(head, b"me")
    assert rendered.split(b"\r\n") == [
        b"Host: a", b"X: 1", b"Authorization: ours", b"X-Set: s", b"X-Request-Id: r1", b"X-Sidelog-Hop: other, me",
        b"Content-Length: 3", b"",
    ]  # fmt: skip
    assert [name_of(line) for line in head.lines] == [b"authorization", b"x", b"x-set"]


@each_of(
    ("level", "flags", "is_recorded", "window"),
    [
        ("body", 0, True, 11),
        ("headers", FLAG_BODIES_OFF, True, 0),
        ("usage", FLAG_BODIES_OFF | FLAG_HEADS_OFF, True, 0),
        ("meta", FLAG_BODIES_OFF | FLAG_HEADS_OFF, True, 0),
        ("none", FLAG_BODIES_OFF | FLAG_HEADS_OFF, False, 0),
    ],
)
def test_the_capture_level_of_a_route(
    level: str, flags: int, is_recorded: bool, window: int
) -> None:
    """The route's own level wins over the general one, and decides windows and flags."""
    settings = Settings(
        capture=CaptureSettings(level="headers", request_body_bytes=11, response_body_bytes=11)
    )
    found = Route(0, RouteSettings(id="r", upstream=UPSTREAM, capture=level), settings)  # type: ignore[arg-type]
    assert (found.flags, found.is_recorded) == (flags, is_recorded)
    assert found.windows.plain == Windows(*(window,) * 4)
    assert (found.request_window_bytes, found.response_window_bytes) == (window, window)
    assert Route(0, RouteSettings(id="r", upstream=UPSTREAM), settings).flags == FLAG_BODIES_OFF


def test_header_rules_of_all_and_of_a_route_meet_on_a_request() -> None:
    """The route's come last and win; a client's spelling does not matter, be it with underscores."""
    general = HeaderSettings(set_request={"X-A": "1", "X-Gone": "", "Via-Us": "1"})
    own = HeaderSettings(set_request={"x-a": "2", "X-Set": "ours"})
    made = Settings(proxy=ProxySettings(headers=general))
    fields = (
        b"Host: a\r\nX-Gone: 1\r\nx-A: client\r\nX_a: client\r\nx_Gone: client\r\nX-Kept: "
        b"1\r\nX_b: 1\r\n"
    )
    head = parse_request_head(b"HTTP/1.1\r\n" + fields + b"\r\n", max_headers=9, max_line_bytes=99)
    rendered = Route(0, RouteSettings(id="a", upstream="http://a", headers=own), made).render(
        head, b"me"
    )
    assert b"X-Kept: 1\r\nX_b: 1\r\nVia-Us: 1\r\nx-a: 2\r\nX-Set: ours\r\n" in rendered
    assert b"client" not in rendered
    assert b"X-Gone" not in rendered


def test_a_rule_with_underscores_means_both_spellings() -> None:
    """CGI-style servers take them for the same, so a client must not write the one beside ours."""
    headers = HeaderSettings(set_request={"X_User": "service", "X_Gone": ""})
    settings = Settings(proxy=ProxySettings(headers=headers))
    route = Route(
        0, RouteSettings(id="r", upstream="http://u", auth="required", key_header="x_key"), settings
    )
    block = b"HTTP/1.1\r\nHost: a\r\nX-User: admin\r\nX_user: admin\r\nx-gone: 1\r\n\r\n"
    head = parse_request_head(block, max_headers=9, max_line_bytes=99)
    rendered = route.render(head, b"here")
    assert (
        rendered.count(b"admin"),
        rendered.count(b"X_User: service\r\n"),
        b"gone" in rendered,
    ) == (0, 1, False)
    section = b"X-User: admin\r\nX-Gone: 1\r\nX-Key: sk_1\r\n"
    assert forwarded_trailers(section, b"", route.request_trailers_without)[0] == b""


@pytest.mark.parametrize("engine", ["protocol", "reference"])
def test_header_rules_change_what_clients_get(start: Start, engine: EngineName) -> None:
    """Again and again, also for a head that was read before; the record keeps what the upstream
    sent.
    """
    rules = HeaderSettings(set_response={"X-Frame-Options": "DENY", "X-Powered-By": ""})
    upstream = Script(b"HTTP/1.1 200 OK\r\nX-Powered-By: leaky/1\r\nContent-Length: 2\r\n\r\nok")

    plane = start(upstream, engine=engine, route={"headers": rules})
    with plane.connect() as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.answer()
            assert (answer.body, answer.field("X-Frame-Options"), answer.field("X-Powered-By")) == (
                b"ok",
                "DENY",
                None,
            )

    assert all(
        b"X-Powered-By: leaky/1" in exchange.response_head for exchange in plane.exchanges(2)
    )
