"""Patterns of hosts."""

from proxy.egress.hosts import HostList, is_pattern, plain_host
from tests.support.cases import each_of


@each_of(
    ("pattern", "host", "has"),
    [
        ("api.example.com", "api.example.com", True),
        ("API.Example.com.", "api.example.COM", True),
        ("api.example.com", "xapi.example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "a.b.example.com.", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*", "anything", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("[::1]", "0:0:0:0:0:0:0:1", True),
    ],
)
def test_a_pattern_has_hosts(pattern: str, host: str, has: bool) -> None:
    assert is_pattern(pattern.strip("[]"))
    assert HostList([pattern]).has(plain_host(host)) == has


def test_an_address_is_named_by_itself_alone() -> None:
    assert HostList(["169.254.169.254"]).names("169.254.169.254")
    assert not HostList(["*"]).names("169.254.169.254")


@each_of("text", ["", "a b", "a.com:443", "http://a.com", "a*.com", "*.", "*a.com", ".a.com"])
def test_what_is_no_pattern_is_known(text: str) -> None:
    assert not is_pattern(text)
