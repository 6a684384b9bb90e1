"""Addresses of metadata services."""

from ipaddress import ip_address

from proxy.network.metadata import is_metadata
from tests.support.cases import each_of


@each_of(
    "text",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_they_are_known_in_every_form(text: str) -> None:
    assert is_metadata(ip_address(text))


@each_of("text", ["127.0.0.1", "::1", "10.0.0.1", "100.64.0.1", "2001:db8::1", "fd00::1"])
def test_others_are_none(text: str) -> None:
    assert not is_metadata(ip_address(text))
