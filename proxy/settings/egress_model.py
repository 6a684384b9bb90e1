"""The settings of outgoing calls, declared: part of `model.py`."""

from typing import Annotated, Final

from proxy.settings.section import Section, about

EGRESS_ROUTE: Final = "egress"
"""Id of the route that records of outgoing calls have; no route of the settings may have it."""


class EgressSettings(Section, frozen=True):
    """[egress]: a forward proxy, which records what programs ask of others."""

    listen: Annotated[
        str, about("address of its port, host:port; clients use it as http://…; empty: off")
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        about(
            "hosts whose TLS is read, with a certificate that sidelog's own authority signs: "
            "names, addresses, *.example.com for names below one, * for all; others are tunnelled"
        ),
    ] = ()
    tunnel: Annotated[
        tuple[str, ...], about("hosts that are never read, whatever hosts says; the same forms")
    ] = ()
    clients: Annotated[
        tuple[str, ...],
        about(
            "who may use it beside this machine: addresses, CIDRs, or `private` for all private "
            "networks; required where it does not listen on loopback"
        ),
    ] = ()
    service: Annotated[
        str,
        about(
            "service name on records of outgoing calls; empty: that of the routes, if they have the "
            "same",
            max_length=256,
        ),
    ] = ""
    upstream_ca: Annotated[
        str,
        about("PEM file of further authorities that may sign for hosts, beside the system's"),
    ] = ""
    via: Annotated[
        str,
        about(
            "proxy that tunnels to the hosts: http://[user:password@]host:port; off: none; empty: "
            "what HTTPS_PROXY says"
        ),
    ] = ""
    """As it is in effect after `load`."""
    http_via: Annotated[
        str,
        about(
            "proxy that is asked for http:// URLs, in the same form; empty: that of via, or what "
            "http_proxy says"
        ),
    ] = ""
    """As it is in effect after `load`."""
    no_via: Annotated[
        str,
        about("hosts that are reached without them, as NO_PROXY has them; empty: what that says"),
    ] = ""
    """As it is in effect after `load`."""
