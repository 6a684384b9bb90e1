"""Hosts of a command whose calls are decrypted."""

import pytest

from proxy.cli.commands.run import outgoing
from proxy.cli.commands.run.outgoing import MODEL_HOSTS, hosts_of, obstacle, upstream_proxy
from proxy.cli.commands.run.own_sidelog import settings_environment
from proxy.egress.hosts import HostList, is_pattern
from tests.support.cases import each_of


@each_of(
    "host",
    [
        "api.openai.com",
        "api.anthropic.com",
        "chatgpt.com",
        "generativelanguage.googleapis.com",
        "mine.openai.azure.com",
        "opencode.ai",
    ],
)
def test_hosts_of_models_are_known(host: str) -> None:
    assert HostList(MODEL_HOSTS).has(host)


@each_of("host", ["example.com", "openai.com", "storage.googleapis.com", "azure.com", "127.0.0.1"])
def test_other_hosts_are_not(host: str) -> None:
    assert not HostList(MODEL_HOSTS).has(host)
    assert all(map(is_pattern, MODEL_HOSTS))


def test_further_hosts_stand_behind_them() -> None:
    """Given once or more, each time one or several."""
    assert hosts_of(["a.test, *.b.test", "*"], {})[-3:] == ("a.test", "*.b.test", "*")
    assert hosts_of([], {}) == MODEL_HOSTS


@each_of(
    ("name", "region", "host"),
    [
        ("AWS_REGION", "eu-west-1", "bedrock-runtime.eu-west-1.amazonaws.com"),
        ("CLOUD_ML_REGION", "us-east5", "us-east5-aiplatform.googleapis.com"),
    ],
)
def test_hosts_of_a_region_are_read_where_it_is_known(name: str, region: str, host: str) -> None:
    """An empty variable or an invalid region adds no host."""
    assert hosts_of([], {name: region}) == (*MODEL_HOSTS, host)
    for other in ("", "a b", "x/y"):
        assert hosts_of([], {name: other}) == MODEL_HOSTS


@each_of("text", ["https://a.test", "a.test:443", "", "a.test,,b.test", "a b"])
def test_what_is_no_host_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a host: expected"):
        hosts_of([text], {})


@each_of(
    ("environ", "proxy", "is_hindered"),
    [
        ({}, "", False),
        ({"HTTPS_PROXY": "http://corp:3128"}, "http://corp:3128", False),
        ({"https_proxy": "http://a:1", "ALL_PROXY": "socks5://b:2"}, "http://a:1", False),
        ({"ALL_PROXY": "socks5://b:2"}, "socks5://b:2", True),
        ({"HTTPS_PROXY": "https://corp:3129"}, "https://corp:3129", True),
    ],
)
def test_only_a_proxy_of_http_can_stand_behind_ours(
    environ: dict[str, str], proxy: str, is_hindered: bool
) -> None:
    assert upstream_proxy(environ) == proxy
    why = obstacle(environ)
    assert bool(why) == is_hindered
    assert proxy in why or not why


def test_without_the_library_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""
    monkeypatch.setattr(outgoing, "find_spec", lambda name: None)
    assert "pip install 'sidelog[egress]'" in obstacle({})


def test_outgoing_calls_are_off_where_no_host_is_read() -> None:
    """Whatever the environment says; else it may say more of them, and records have the service."""
    given = {"SIDELOG_EGRESS__LISTEN": "127.0.0.1:8888", "SIDELOG_EGRESS__UPSTREAM_CA": "/corp.pem"}
    assert not [name for name in settings_environment(given, [], "app") if "EGRESS" in name]
    found = settings_environment(given, [], "app", ["*"])
    assert {name: value for name, value in found.items() if "EGRESS" in name} == {
        "SIDELOG_EGRESS__LISTEN": "127.0.0.1:0",
        "SIDELOG_EGRESS__HOSTS": '["*"]',
        "SIDELOG_EGRESS__SERVICE": "app",
        "SIDELOG_EGRESS__UPSTREAM_CA": "/corp.pem",
    }


def test_the_proxy_of_the_user_stands_behind_ours() -> None:
    """In the place of one that the settings name, where there is one."""
    given = {"SIDELOG_EGRESS__VIA": "http://named:1"}
    found = settings_environment(given, [], "app", ["*"])
    assert found["SIDELOG_EGRESS__VIA"] == "http://named:1"
    found = settings_environment(given | {"ALL_PROXY": "http://corp:1"}, [], "app", ["*"])
    assert found["SIDELOG_EGRESS__VIA"] == "http://corp:1"
