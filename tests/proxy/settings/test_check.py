"""Checks of meaning: every refusal names its setting and value."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.settings.check import warnings
from proxy.settings.check_outgoing import check_via
from proxy.settings.load import load
from proxy.settings.model import (
    HeaderSettings,
    LlmSettings,
    PriceSettings,
    ProxySettings,
    RouteSettings,
    Settings,
    SettingsError,
)
from tests.support.cases import each_of
from tests.support.certificate import self_signed

ROUTE = '[{"id": "a", "upstream": "http://a", %s}]'


def refusal(environ: dict[str, str]) -> str:
    """Load with an upstream (unless routes are given) and return the whole report."""
    overrides = {} if "SIDELOG_ROUTES" in environ else {"proxy.upstream": "http://app:3000"}
    with pytest.raises(SettingsError) as caught:
        load(overrides, environ, None)
    return "\n".join(caught.value.problems)


@each_of(
    ("variable", "value", "expected"),
    [
        ("PROXY__LISTEN", "8080", "proxy.listen: expected host:port"),
        ("PROXY__LISTEN", "unix:proxy.sock", "proxy.listen: expected unix: and an absolute path"),
        ("ADMIN__LISTEN", "unix:/run/admin.sock", "admin.listen: expected host:port"),
        ("PROXY__LISTEN", "127.0.0.1:8090", "admin.listen: is the address of the data port too"),
        ("ADMIN__METRICS_LISTEN", "9100", "admin.metrics_listen: expected host:port"),
        (
            "ADMIN__METRICS_LISTEN",
            "127.0.0.1:8090",
            "admin.metrics_listen: is the address of the admin port too",
        ),
        ("ADMIN__HEALTH_LISTEN", "x:99999", "admin.health_listen: the port is above 65535"),
        (
            "ADMIN__HEALTH_LISTEN",
            "127.0.0.1:8080",
            "admin.health_listen: is the address of the data port too",
        ),
        ("REPLAY__TARGETS", '["http://a"]', "replay.targets: has no effect without replay.enabled"),
        (
            "REPLAY__TARGETS",
            '["unix:/a"]',
            "replay.targets: expected http://… or https://…, got 'unix:/a'",
        ),
        (
            "REPLAY__TARGETS",
            '["http://a/b"]',
            "replay.targets: expected scheme, host and port without a path",
        ),
        ("PROXY__WORKERS", "-1", "proxy.workers: expected a whole number from 0 to 64, got '-1'"),
        ("PROXY__SOURCE", "fast", "proxy.source: expected one of backend, edge, got 'fast'"),
        (
            "PROXY__TRUSTED_PROXIES",
            '["10.0.0.0/33"]',
            "proxy.trusted_proxies: expected an address, a CIDR",
        ),
        (
            "PROXY__CLIENT_ADDRESS_HEADER",
            "a b",
            "proxy.client_address_header: expected a header name",
        ),
        ("PROXY__CLIENT_ADDRESS_HEADER", "Forwarded", "Forwarded has another meaning to the proxy"),
        (
            "PROXY__CLIENT_ADDRESS_HEADER",
            "X-Real-IP",
            "proxy.client_address_header: has no effect without trusted",
        ),
        ("PROXY__RECORD_ID_HEADER", "a b", "proxy.record_id_header: expected a header name"),
        (
            "PROXY__RECORD_ID_HEADER",
            "Content-Length",
            "proxy.record_id_header: Content-Length has another meaning",
        ),
        ("PROXY__INSTANCE", "a b", "proxy.instance: expected letters"),
        ("PROXY__STAGE", "a\nb", "proxy.stage: expected text without CR"),
        ("PROXY__LIMITS__MAX_HEADER_BYTES", "10", "expected 0 or at least 256 bytes, got 10"),
        (
            "PROXY__LIMITS__TIMEOUT_CONNECT_S",
            "-1",
            "proxy.limits.timeout_connect_s: expected a number from 0 to 1000000000, or a text "
            "with a unit of ms",
        ),
        (
            "ADMIN__ALLOWED_HOSTS",
            '["a:8090"]',
            "expected a host without a port: it is accepted with any, got 'a:8090'",
        ),
        (
            "RING__BYTES",
            "1048575",
            "ring.bytes: expected a whole number of bytes from 1048576 to 68719476736",
        ),
        ("RING__DIRECTORY", "/does/not/exist", "ring.directory: is not a directory"),
        ("CAPTURE__REQUEST_BODY_BYTES", "60000000", "ring.bytes: the windows of one exchange"),
        (
            "RETENTION__MAX_BYTES",
            "8388607",
            "retention.max_bytes: expected 0 or at least 8388608 bytes, got 8388607",
        ),
        (
            "STORAGE__BATCH_MAX_AGE_MS",
            "0",
            "storage.batch_max_age_ms: expected a whole number from 1 to 60000",
        ),
    ],
)
def test_bad_value_is_refused_with_its_reason(variable: str, value: str, expected: str) -> None:
    """Each value outside its range or syntax is named with what was expected."""
    report = refusal({f"SIDELOG_{variable}": value})
    assert expected in report
    assert f"SIDELOG_{variable}" in report or "default" in report


def test_smallest_ring_holds_the_default_windows() -> None:
    """The lower limit of the ring is usable with everything else at its default."""
    assert (
        load({"proxy.upstream": "http://app"}, {"SIDELOG_RING__BYTES": "1048576"}, None).ring.bytes
        == 1 << 20
    )


@each_of(
    ("more", "expected"),
    [
        ('"path": "/a?b"', "routes[0].path: expected a raw path"),
        ('"host": "a.example:8080"', "routes[0].host: expected a host without a port"),
        ('"upstream_host": "a b"', "routes[0].upstream_host: expected a host"),
        ('"headers": {"set_request": {"a b": "x"}}', "expected header names, got 'a b'"),
        (
            '"headers": {"set_request": {"a": "x\\u0000"}}',
            "the value of 'a' must not hold CR, LF or NUL",
        ),
        (
            '"headers": {"set_request": {"Content-Length": "1"}}',
            "Content-Length belongs to the proxy",
        ),
        (
            '"upstream_ca_file": "/does/not/exist"',
            "routes[0].upstream_ca_file: cannot be used: No such file",
        ),
        (
            '"upstream_cert_file": "/etc/passwd"',
            "upstream_cert_file: has no effect on an upstream that is not https",
        ),
        (
            '"upstream": "https://a", "upstream_key_file": "/x"',
            "upstream_key_file: has no upstream_cert_file beside it",
        ),
        (
            '"upstream": "https://a", "upstream_cert_file": "/x"',
            "upstream_cert_file: cannot be used: No such file",
        ),
        ('"via": "socks5://a"', "routes[0].via: expected off, or http://host:port"),
        ('"via": "http://127.0.0.1:8080"', "routes[0].via: is this proxy's own address"),
        (
            '"upstream_ca_file": "/etc/passwd"',
            "upstream_ca_file: has no effect on an upstream that is not https",
        ),
        ('"protobuf": "/does/not/exist"', "routes[0].protobuf: cannot be read: No such file"),
        ('"protobuf": "/etc/passwd"', "routes[0].protobuf: expected a set of file descriptors"),
        (
            '"capture": "all"',
            "routes[0].capture: expected one of none, meta, usage, headers, body, got 'all'",
        ),
        ('"nothing": 1', "routes[0].nothing: unknown setting"),
        ('"auth": "on"', "routes[0].auth: expected one of off, optional, required, got 'on'"),
        (
            '"auth": "optional", "key_header": ""',
            "routes[0].key_header: expected a header name, got an empty one",
        ),
        ('"key_header": "a b"', "routes[0].key_header: expected a header name, got 'a b'"),
        ('"key_header": "Cookie"', "routes[0].key_header: Cookie has another meaning to the proxy"),
        (
            '"project_header": "Host"',
            "routes[0].project_header: Host has another meaning to the proxy",
        ),
        (
            '"user_header": "X-Request-Id"',
            "routes[0].user_header: X-Request-Id has another meaning",
        ),
        ('"scope": "agent"', "routes[0].scope: has no effect while auth is `off`"),
        ('"agent": "billing"', "routes[0].agent: has no effect while auth is `off`"),
    ],
)
def test_bad_route_is_refused_with_its_reason(more: str, expected: str) -> None:
    """Route by route, key by key."""
    assert expected in refusal({"SIDELOG_ROUTES": ROUTE % more})


@each_of(
    ("upstream", "expected"),
    [
        ("http://a/v1/../x", "the path of an upstream has no empty segments, no . or .."),
        ("http://me:pw@a", "must not carry credentials"),
        ("ftp://a", "expected http://host:port"),
        ("http://127.0.0.1:8080", "is this proxy's own address"),
        ("http://localhost:8090", "is this proxy's own address"),
    ],
)
def test_bad_upstream_is_refused(upstream: str, expected: str) -> None:
    """An upstream is an origin, and never ourselves: not the data port, not the admin port."""
    with pytest.raises(SettingsError, match="upstream: ") as caught:
        load({"proxy.upstream": upstream}, {}, None)
    assert expected in caught.value.problems[0]
    assert "(--upstream)" in caught.value.problems[0]


def test_a_unix_socket_of_our_own_is_no_upstream() -> None:
    """It would be a loop, as a port is."""
    with pytest.raises(SettingsError, match="is this proxy's own address"):
        load({"proxy.upstream": "unix:///run/a.sock", "proxy.listen": "unix:/run/a.sock"}, {}, None)


@pytest.mark.parametrize("name", ["metrics_listen", "health_listen"])
def test_the_open_ports_are_our_own_too(name: str) -> None:
    """An upstream that is one of them is a loop."""
    with pytest.raises(SettingsError, match="is this proxy's own address"):
        load(
            {"proxy.upstream": "http://localhost:9100", f"admin.{name}": "127.0.0.1:9100"}, {}, None
        )


def test_authorities_are_read_and_used(tmp_path: Path) -> None:
    """A file without a certificate would end every worker at its start; one that nobody asks checks
    nothing.
    """
    empty, (authority, _) = tmp_path / "empty.pem", self_signed(tmp_path)
    empty.write_text("no certificate\n")
    route = {"id": "a", "upstream": "https://a"}

    def environ(**more: object) -> dict[str, str]:
        return {"SIDELOG_ROUTES": json.dumps([route | more])}

    assert "routes[0].upstream_ca_file: cannot be used: " in refusal(
        environ(upstream_ca_file=str(empty))
    )
    unchecked = refusal(environ(upstream_ca_file=str(authority), tls_verify=False))
    assert "routes[0].upstream_ca_file: has no effect while tls_verify is false" in unchecked
    load({}, environ(upstream_ca_file=str(authority)), None)


def test_certificates_of_a_port_are_read(tmp_path: Path) -> None:
    """A key needs a certificate; a file that is not there, or has none, is named."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    _, key = self_signed(tmp_path)
    for port in ("proxy", "admin"):
        for kind, path, expected in (
            ("key", key, "has no tls_cert_file beside it"),
            ("cert", tmp_path / "none.pem", "cannot be used: "),
            ("cert", empty, "cannot be used: "),
        ):
            variable = f"SIDELOG_{port.upper()}__TLS_{kind.upper()}_FILE"
            assert f"{port}.tls_{kind}_file: {expected}" in refusal({variable: str(path)})


def test_route_ids_are_unique_and_clean() -> None:
    """The same id twice, `default` beside [proxy].upstream, and blanks around an id are refused."""
    double = '[{"id": "a", "upstream": "http://a"}, {"id": "a", "upstream": "http://b"}]'
    assert "routes[1].id: is the id of routes[0] too, got 'a'" in refusal(
        {"SIDELOG_ROUTES": double}
    )
    assert "expected printable text" in refusal(
        {"SIDELOG_ROUTES": '[{"id": " a", "upstream": "http://a"}]'}
    )
    environ = {"SIDELOG_ROUTES": '[{"id": "default", "upstream": "http://a"}]'}
    with pytest.raises(SettingsError) as caught:
        load({"proxy.upstream": "http://b"}, environ, None)
    assert caught.value.problems[0].startswith(
        "proxy.upstream: makes the route `default`, as routes[0] is"
    )


@each_of(
    ("first", "second", "is_refused"),
    [
        ({}, {"path": "/api/"}, True),
        ({"path": "/api"}, {"path": "/api/users", "host": "a"}, True),
        ({"host": "A.example"}, {"host": "a.example", "path": "/api/"}, True),
        ({"path": "/api/"}, {"path": "/api/"}, True),
        ({"path": "/api/"}, {"path": "/api"}, False),
        ({"path": "/api/users"}, {"path": "/api/"}, False),
        ({"host": "a.example"}, {"path": "/api/"}, False),
        ({"host": "a.example"}, {"host": "b.example"}, False),
    ],
)
def test_a_route_that_gets_no_request_is_refused(
    first: dict[str, str], second: dict[str, str], is_refused: bool
) -> None:
    """Routes are tried in order: behind one that takes everything of theirs others would never be
    asked.
    """
    routes = [
        {"id": name, "upstream": "http://a"} | more for name, more in (("a", first), ("b", second))
    ]
    environ = {"SIDELOG_ROUTES": json.dumps(routes)}
    if not is_refused:
        assert len(load({}, environ, None).routes) == 2
        return

    assert (
        "routes[1].path: gets no request: routes[0] is tried first and takes them all"
        in refusal(environ)
    )


def test_an_upstream_behind_a_route_for_everything_is_refused() -> None:
    """A flag wins over a file; one that could not have an effect is told."""
    with pytest.raises(
        SettingsError,
        match=r"proxy\.upstream: gets no request: routes\[0\] .*'http://b' \(--upstream",
    ):
        load(
            {"proxy.upstream": "http://b"},
            {"SIDELOG_ROUTES": '[{"id": "a", "upstream": "http://a"}]'},
            None,
        )


def test_admin_without_token_only_on_loopback() -> None:
    """`auth = off` is refused where others could reach the admin port."""
    up = {"proxy.upstream": "http://app:3000", "admin.auth": "off"}
    assert load(up, {}, None).admin.auth == "off"
    with pytest.raises(
        SettingsError, match=r"admin\.auth: `off` is accepted only on a loopback address"
    ):
        load(up | {"admin.listen": "0.0.0.0:8090"}, {}, None)


def test_port_zero_is_allowed_on_both_ports(tmp_path: Path) -> None:
    """Tests let the kernel choose; two zeros are not the same port."""
    overrides = {
        "proxy.upstream": "http://app:3000",
        "proxy.listen": "127.0.0.1:0",
        "admin.listen": "127.0.0.1:0",
    }
    assert load(overrides, {}, None).admin.listen == "127.0.0.1:0"


def test_without_a_data_port_no_upstream_is_needed() -> None:
    """Nor is anything deleted; but a store in memory has nothing to show."""
    settings = load({"proxy.data_port": "false"}, {"SIDELOG_RETENTION__MAX_AGE_DAYS": "3"}, None)
    assert (settings.retention.max_age_days, settings.retention.max_bytes) == (0, 0)
    assert "proxy.listen" not in settings.listens

    with pytest.raises(
        SettingsError, match=r"proxy\.data_port: must be true with a store in memory"
    ):
        load({"proxy.data_port": "false", "storage.url": "memory:"}, {}, None)


def test_unknown_storage_scheme_is_refused() -> None:
    """The storage URL needs a backend."""
    assert "storage.url: " in refusal({"SIDELOG_STORAGE__URL": "mongodb://db/logs"})


@each_of(
    ("changes", "listen", "is_told"),
    [
        ({"headers": HeaderSettings(set_request={"x-api-key": "k"})}, "0.0.0.0:8080", True),
        ({"headers": HeaderSettings(set_request={"Authorization": "Bearer k"})}, "[::]:8080", True),
        (
            {"headers": HeaderSettings(set_request={"x-goog-api-key": "k"}), "auth": "optional"},
            "10.0.0.1:80",
            True,
        ),
        ({"headers": HeaderSettings(set_request={"x-api-key": "k"})}, "127.0.0.1:8080", False),
        (
            {"headers": HeaderSettings(set_request={"x-api-key": "k"}), "auth": "required"},
            "0.0.0.0:8080",
            False,
        ),
        ({"headers": HeaderSettings(set_request={"authorization": ""})}, "0.0.0.0:8080", False),
        (
            {"headers": HeaderSettings(set_request={"x-tenant": "a", "x-author": "b"})},
            "0.0.0.0:8080",
            False,
        ),
    ],
)
def test_a_key_for_everybody_is_warned_of(
    changes: dict[str, Any], listen: str, *, is_told: bool
) -> None:
    """What a route sets on requests is used by all who reach the port, unless they need a key of
    their own.
    """
    route = RouteSettings(id="a", upstream="http://a", **changes)
    settings = Settings(proxy=ProxySettings(listen=listen), routes=(route,))
    assert [name for name, _ in warnings(settings)] == ["routes[0].auth"] * is_told


def test_a_key_that_is_set_on_all_routes_is_warned_of_for_each() -> None:
    """Also the catch-all."""
    headers = HeaderSettings(set_request={"api-key": "k"})
    proxy = ProxySettings(upstream="http://a", listen="0.0.0.0:8080", headers=headers)
    settings = Settings(proxy=proxy, routes=(RouteSettings(id="default", upstream="http://a"),))
    assert [name for name, _ in warnings(settings)] == ["proxy.auth"]


@each_of("rule", ['{"query": "x", "share": 7}', '{"query": "x", "share": "half", "by": "trace"}'])
def test_a_share_that_cannot_be_read_is_the_only_complaint(rule: str) -> None:
    """Without it, a rule would have no effect."""
    [problem] = refusal({"SIDELOG_CAPTURE__RULES": f"[{rule}]"}).splitlines()
    assert problem.startswith("capture.rules[0].share: expected a number from 0 to 1, got ")


@each_of(
    ("rule", "expected"),
    [
        (
            '{"query": "path:/healthz"}',
            "capture.rules[0]: has no effect without share or level: share = 0 leaves all of it "
            "out",
        ),
        (
            '{"query": "pth:/x", "share": 0}',
            "capture.rules[0].query: cannot be read, at character 1: 'pth' is an unknown search "
            "word",
        ),
        ('{"query": " ", "share": 0}', "capture.rules[0].query: expected a search, got ' '"),
        ('{"share": 0}', "capture.rules[0].query: is missing"),
        (
            '{"query": "x", "share": 2}',
            "capture.rules[0].share: expected a number from 0 to 1, got 2",
        ),
        ('{"query": "x", "level": "none"}', "capture.rules[0].level: expected one of"),
        (
            '{"query": "x", "share": 1e-7}',
            "capture.rules[0].share: expected 0, or 1e-06 at least, got 1e-07",
        ),
        ('{"query": "x", "share": 0.1, "by": "user"}', "capture.rules[0].by: expected one of"),
        (
            '{"query": "x", "share": 0, "by": "trace"}',
            "capture.rules[0].by: has no effect unless a share is kept",
        ),
    ],
)
def test_a_rule_of_capture_is_refused_with_its_reason(rule: str, expected: str) -> None:
    """Its search is read as the search box reads it."""
    assert expected in refusal({"SIDELOG_CAPTURE__RULES": f"[{rule}]"})


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ('{"input_usd": 1}', "llm.prices[0].model: is missing"),
        (
            '{"model": "x", "since": "1.3.2026"}',
            "llm.prices[0].since: expected a day such as 2026-03-01, got '1.3",
        ),
        (
            '{"model": "x", "input_usd": -1}',
            "llm.prices[0].input_usd: expected a number from 0 to 1000000000, got -1",
        ),
    ],
)
def test_an_own_price_is_refused_with_its_reason(price: str, expected: str) -> None:
    """Of a list of tables inside a section, as of any other."""
    assert expected in refusal({"SIDELOG_LLM__PRICES": f"[{price}]"})


OLD = PriceSettings(model="gpt-*", since="2025-03-01")
"""A price of some models."""


@each_of(
    ("later", "is_warned_of"),
    [
        (OLD, True),
        (PriceSettings(model="gpt-*", since="2026-03-01"), True),
        (PriceSettings(model="gpt-4*", provider="openai", since="2025-03-01"), True),
        (PriceSettings(model="gpt-*"), False),
        (PriceSettings(model="*", since="2026-03-01"), False),
        (PriceSettings(model="GPT-5", since="2026-03-01"), False),
    ],
)
def test_a_price_behind_one_that_takes_all_its_calls_is_warned_of(
    later: PriceSettings, *, is_warned_of: bool
) -> None:
    """A rise written behind the old price changes nothing."""
    settings = Settings(llm=LlmSettings(prices=(OLD, later)))
    assert [name for name, _ in warnings(settings)] == ["llm.prices[1]"] * is_warned_of


def test_the_proxy_of_a_route_may_have_an_ipv6_address() -> None:
    """It is refused only where this proxy listens itself."""
    via = "http://[::1]:3128"
    assert [*check_via("routes[0].via", via, [("127.0.0.1", 3128)])] == []
    assert [*check_via("routes[0].via", via, [("::1", 3128)])] == [
        ("routes[0].via", "is this proxy's own address")
    ]
