"""The port of outgoing calls of one worker, wired from the settings.

Imported only where it is on: it brings `cryptography` along.
"""

from pathlib import Path

from proxy.egress.authority import open_authority
from proxy.egress.hosts import HostList
from proxy.egress.leaves import Leaves
from proxy.http1.forwarded import TrustedProxies
from proxy.network.accept import MAX_HANDSHAKE_S
from proxy.process.data_dir import AUTHORITY_DIRECTORY, LISTENS_NAME, read_state
from proxy.settings.addresses import is_loopback, parse_listen
from proxy.settings.model import Settings
from proxy.worker.egress.client import EgressPort
from proxy.worker.egress.destinations import Destinations
from proxy.worker.egress.reach import Reach
from proxy.worker.engine import Engine


def egress_port(settings: Settings, engine: Engine) -> EgressPort:
    """Return the port of outgoing calls; its authority is made at first use.

    Raises:
        AuthorityError: the authority cannot be used.
        OSError: a file cannot be read or written.
    """
    egress = settings.egress
    data_dir = Path(settings.data_dir)
    authority = open_authority(data_dir / AUTHORITY_DIRECTORY)
    reach = Reach(own_listeners(settings), HostList((*egress.hosts, *egress.tunnel)))
    clients = TrustedProxies(egress.clients)
    return EgressPort(
        engine=engine,
        destinations=Destinations(settings, engine, reach),
        leaves=Leaves(authority),
        hosts=HostList(egress.hosts),
        unread=HostList(egress.tunnel),
        is_client=lambda peer: is_loopback(peer.decode()) or clients.has(peer.decode()),
        authority_file=str(authority.path),
        max_head_s=settings.proxy.limits.timeout_headers_s or MAX_HANDSHAKE_S,
    )


def own_listeners(settings: Settings) -> list[tuple[str, int]]:
    """Return host and port of all our listeners; a port that the kernel chose is in `state.json`."""
    chosen = read_state(Path(settings.data_dir)).get(LISTENS_NAME) or {}
    own = []
    for name, text in settings.listens.items():
        host, port = parse_listen(text)
        if port or isinstance(chosen.get(name), int):
            own.append((host, int(chosen.get(name, port))))
    return own
