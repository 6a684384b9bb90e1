"""What the types cannot say of [egress]: patterns of hosts, and who may use the port."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from proxy.settings.addresses import is_loopback, parse_address
from proxy.settings.check_outgoing import check_authorities, check_via
from proxy.settings.model import EgressSettings, Settings
from proxy.settings.section import Problem

_EXTRA: Final = "pip install 'sidelog[egress]'"


def check_egress(settings: Settings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield what is wrong with [egress], where `own` are our own addresses."""
    egress = settings.egress
    if not egress.listen:
        for name in egress.__struct_fields__:
            if value := getattr(egress, name):
                shown = list(value) if isinstance(value, tuple) else value
                yield f"egress.{name}", f"has no effect while egress.listen is empty, got {shown!r}"
        return

    if not settings.proxy.data_port:
        yield "egress.listen", f"has no effect without a data port, got {egress.listen!r}"
    if find_spec("cryptography") is None:
        yield "egress.listen", f"needs certificates: {_EXTRA}, got {egress.listen!r}"

    yield from _check_clients(egress)
    yield from check_via("egress.via", egress.via, own)
    yield from check_via("egress.http_via", egress.http_via, own)
    if egress.upstream_ca:
        yield from check_authorities("egress.upstream_ca", egress.upstream_ca)


def _check_clients(egress: EgressSettings) -> Iterator[Problem]:
    try:
        host, _ = parse_address(egress.listen)
    except ValueError:
        return  # reported with the ports
    if not is_loopback(host) and not egress.clients:
        yield (
            "egress.clients",
            f"must name who may use {egress.listen}, which other machines reach: a proxy that is "
            "open to all would be misused",
        )
