"""What is wrong with [egress]."""

from pathlib import Path

import pytest

from proxy.settings.load import load
from proxy.settings.model import EgressSettings, RouteSettings, Settings, SettingsError
from tests.proxy.settings.test_load import write
from tests.support.cases import each_of

ON = {"egress.listen": "127.0.0.1:8888"}


def problems(given: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(given, {}, None)
    return "\n".join(caught.value.problems)


@each_of(
    ("given", "says"),
    [
        ({"egress.hosts": '["a.test"]', "proxy.upstream": "http://a"}, "has no effect while"),
        (ON | {"egress.hosts": '["a.test:443"]'}, "without a port"),
        (ON | {"egress.tunnel": '["http://a"]'}, "without a port"),
        ({"egress.listen": "0.0.0.0:8888"}, "egress.clients: must name who may use"),
        (ON | {"egress.clients": '["10.0.0.0/99"]'}, "expected an address, a CIDR or"),
        (ON | {"egress.upstream_ca": "/no/such/file"}, "No such file"),
        (ON | {"egress.via": "ftp://a"}, "egress.via"),
        (ON | {"egress.http_via": "ftp://a"}, "egress.http_via"),
        (ON | {"egress.via": "http://127.0.0.1:8888"}, "own address"),
        ({"egress.listen": "127.0.0.1:8080"}, "is the address of the data port too"),
        ({"egress.listen": "8888"}, "expected host:port"),
        (ON | {"proxy.data_port": "false"}, "has no effect without a data port"),
    ],
)
def test_a_problem_is_named(given: dict[str, str], says: str) -> None:
    assert says in problems(given)


def test_no_route_is_needed_beside_it() -> None:
    settings = load(ON | {"egress.hosts": '["*"]', "egress.clients": '["private"]'}, {}, None)
    assert settings.routes == ()
    assert [route.id for route in settings.recorded_routes] == ["egress"]
    assert "10.0.0.0/8" in settings.egress.clients
    assert settings.listens["egress.listen"] == "127.0.0.1:8888"


def test_no_route_has_its_id(tmp_path: Path) -> None:
    toml = '[[routes]]\nid = "egress"\nupstream = "http://a"\n'
    with pytest.raises(SettingsError, match="id of outgoing calls"):
        load({}, {}, write(tmp_path, toml))


def test_the_proxy_of_the_environment_is_taken() -> None:
    """That of the settings comes first, for both, and `off` is none; URLs without TLS have one of
    their own, whose variable is in small letters.
    """
    environ = {
        "HTTPS_PROXY": "http://corp:3128",
        "NO_PROXY": "intern.test",
        "HTTP_PROXY": "http://sent-by-a-client",
    }
    egress = load(ON, environ, None).egress
    assert (egress.via, egress.http_via, egress.no_via) == ("http://corp:3128", "", "intern.test")
    environ["http_proxy"] = "http://plain:3128"
    assert load(ON, environ, None).egress.http_via == "http://plain:3128"
    egress = load(ON | {"egress.via": "off"}, environ, None).egress
    assert (egress.via, egress.http_via) == ("off", "off")


def test_cryptography_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.settings.check_outgoing.find_spec", lambda _: None)
    assert "pip install 'sidelog[egress]'" in problems(ON)


@each_of(
    ("own", "services", "expected"),
    [
        ("", (), ""),
        ("", ("shop",), "shop"),
        ("", ("shop", "shop"), "shop"),
        ("", ("shop", "search"), ""),
        ("jobs", ("shop",), "jobs"),
    ],
)
def test_outgoing_calls_have_the_service_of_all_routes(
    own: str, services: tuple[str, ...], expected: str
) -> None:
    """Unless they have one of their own; there is none where routes differ."""
    routes = tuple(
        RouteSettings(id=str(number), upstream="http://a", service=service)
        for number, service in enumerate(services)
    )
    egress = EgressSettings(listen="127.0.0.1:8888", service=own)
    assert Settings(routes=routes, egress=egress).recorded_routes[-1].service == expected
