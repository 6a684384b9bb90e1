"""The TLS contexts that clients of outgoing calls are met with, one for each host (RFC 8446).

All certificates of a process share one key: making one would cost more than signing with it.
Strategy: a context is made when its host is first asked for and kept while it is in use, least
recently used out first. Making one takes 0.8 ms (one core, OpenSSL 3) and happens at once, so two
clients never make the same one.
"""

import os
import ssl
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from proxy.egress.authority import LEAF_VALID, Authority, key_pem
from proxy.process.memfd import anonymous_file, write_document
from proxy.process.tls import bare_server_context

MAX_CONTEXTS: Final = 1024
"""Of 19 KiB each."""
_KEPT_S: Final = LEAF_VALID.total_seconds() / 2
"""After so long a certificate is signed anew, well before it ends."""


class Leaves:
    """The contexts of one process."""

    def __init__(self, authority: Authority, clock: Callable[[], float] = monotonic) -> None:
        """Have certificates signed by an authority."""
        self._authority = authority
        self._clock = clock
        key = ec.generate_private_key(ec.SECP256R1())
        self._key = key.public_key()
        self._key_pem = key_pem(key)
        self._contexts: OrderedDict[tuple[str, str], tuple[ssl.SSLContext, float]] = OrderedDict()
        """(host, protocol) → context, and until when it is used."""

    def context(self, host: str, protocol: str) -> ssl.SSLContext:
        """Return the TLS context of a server that has a certificate for `host` and speaks one
        protocol, named for ALPN.
        """
        wanted = (host, protocol)
        found = self._contexts.get(wanted)
        if found is not None and self._clock() < found[1]:
            self._contexts.move_to_end(wanted)
            return found[0]

        context = self._make(host, protocol)
        self._contexts[wanted] = context, self._clock() + _KEPT_S
        self._contexts.move_to_end(wanted)
        if len(self._contexts) > MAX_CONTEXTS:
            self._contexts.popitem(last=False)
        return context

    def _make(self, host: str, protocol: str) -> ssl.SSLContext:
        context = bare_server_context([protocol])
        # OpenSSL reads certificates from files only.
        descriptor = anonymous_file("sidelog-leaf")
        try:
            write_document(descriptor, self._authority.leaf(host, self._key) + self._key_pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context
