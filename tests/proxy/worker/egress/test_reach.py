"""Which addresses outgoing calls may reach. Forms as clients write them: `test_client.py`."""

import socket

import pytest

from proxy.egress.hosts import HostList
from proxy.http1.errors import Denied
from proxy.worker.egress.reach import Reach
from tests.support.cases import each_of


def judge(text: str, port: int, own: tuple[str, int] = ("127.0.0.1", 1), listed: str = "x") -> None:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    Reach([own], HostList([listed])).judge((family, (text, port)))


@each_of(
    ("text", "port", "own"),
    [
        ("127.0.0.1", 8080, ("127.0.0.1", 8080)),
        ("127.0.0.1", 8080, ("0.0.0.0", 8080)),
        ("::ffff:127.0.0.1", 8080, ("127.0.0.1", 8080)),
        ("0.0.0.0", 8080, ("127.0.0.1", 8080)),
        ("::", 8080, ("127.0.0.1", 8080)),
        ("::1", 8080, ("localhost", 8080)),
        ("127.0.0.1", 8080, ("Localhost", 8080)),
        ("127.0.0.1", 8080, ("a-name-of-ours", 8080)),
        ("::1", 8080, ("::", 8080)),
        ("169.254.169.254", 80, ("127.0.0.1", 1)),
        ("fe80::1%lo", 80, ("127.0.0.1", 1)),
    ],
)
def test_it_is_refused(text: str, port: int, own: tuple[str, int]) -> None:
    with pytest.raises(Denied, match=r"is a"):
        judge(text, port, own)


@each_of(
    ("text", "port", "own", "listed"),
    [
        ("127.0.0.1", 8081, ("127.0.0.1", 8080), "x"),
        ("192.0.2.1", 8080, ("a-name-of-ours", 8080), "x"),
        ("192.0.2.1", 8080, ("0.0.0.0", 8080), "x"),
        ("127.0.0.2", 8080, ("127.0.0.1", 8080), "x"),
        ("10.0.0.1", 80, ("127.0.0.1", 1), "x"),
        ("169.254.169.254", 80, ("127.0.0.1", 1), "169.254.169.254"),
    ],
)
def test_it_is_allowed(text: str, port: int, own: tuple[str, int], listed: str) -> None:
    judge(text, port, own, listed)
