"""TLS contexts for our own ports and for upstreams, from the files in the settings.

Standards: RFC 8446, RFC 9325. Nothing below TLS 1.2, no compression, no renegotiation. From a
client's protocols (ALPN, RFC 7301) our ports choose `http/1.1`; they choose `h2` if the client
offers nothing else, or if HTTP/2 is preferred and the client has a suitable cipher. Without a
common
protocol the handshake names none; a client that speaks HTTP/2 anyway is refused with a reason and a
record.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NoReturn

from proxy.process.files import read_file

Http2 = Literal["on", "off", "prefer"]
_PROTOCOLS: Final[dict[Http2, list[str]]] = {
    "off": ["http/1.1"],
    "on": ["http/1.1", "h2"],
    "prefer": ["h2", "http/1.1"],
}
"""Protocols of a port, the preferred one first."""

ContextOf = Callable[[bytes], ssl.SSLContext]
"""Returns the context for a client by the first bytes that it sends."""

HELLO_BYTES: Final = 512
"""Bytes of a ClientHello that are examined. Its ciphers are at the beginning."""
_SESSION_AT: Final = 43
"""Offset of the length of the session id, after two headers, a version and a random value."""
_FIT_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
"""TLS 1.2 ciphers that are allowed for HTTP/2."""


def server_context(cert_file: str, key_file: str, *, http2: Http2 = "off") -> ssl.SSLContext | None:
    """Return the context of a listening port; None if no certificate is set.

    Args:
        cert_file: PEM file, leaf first, then intermediates.
        key_file: PEM file; empty if the certificate's file holds the key as well.
        http2: support of HTTP/2; `prefer` chooses it for every client that offers it.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: no certificate in it, or key and certificate do not belong together.
        ValueError: the key has a passphrase.
    """
    if not cert_file:
        return None
    for file in filter(None, (cert_file, key_file)):
        read_file(Path(file))  # read with a time limit, unlike in OpenSSL
    context = bare_server_context(_PROTOCOLS[http2])
    context.load_cert_chain(cert_file, key_file or None, _refuse_to_ask)
    return context


def bare_server_context(protocols: list[str]) -> ssl.SSLContext:
    """Return the context of a port that speaks some protocols, without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(protocols)
    return context


def context_chooser(preferred: ssl.SSLContext, other: ssl.SSLContext) -> ContextOf:
    """Return a function that chooses a context by the beginning of a ClientHello (RFC 8446 §4.1.2).

    It chooses `other`, which prefers HTTP/1.1, for a client without a cipher that is suitable for
    HTTP/2. Python's callback for server names runs before the cipher is chosen and does not show
    the offered ones. Restricting the ciphers for all would refuse these clients, although HTTP/1.1
    serves them well.
    """
    fit = {
        int(cipher["id"]) & 0xFFFF
        for cipher in preferred.get_ciphers()
        if cipher["protocol"] == "TLSv1.3" or is_fit_for_http2("TLSv1.2", cipher["name"])
    }

    def choose(hello: bytes) -> ssl.SSLContext:
        at = _SESSION_AT + 1 + int.from_bytes(hello[_SESSION_AT : _SESSION_AT + 1], "big")
        end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
        offered = {int.from_bytes(hello[each : each + 2], "big") for each in range(at + 2, end, 2)}
        is_unfit = at + 2 < end <= len(hello) and fit.isdisjoint(offered)
        if is_unfit:
            return other
        return preferred

    return choose


def is_fit_for_http2(version: str, cipher: str) -> bool:
    """Return True if HTTP/2 allows the cipher: for TLS 1.2 only AEAD with ephemeral keys (RFC 9113
    §9.2).
    """
    is_authenticated = any(name in cipher for name in ("GCM", "CHACHA20", "CCM"))
    return version != "TLSv1.2" or (is_authenticated and cipher.startswith(("ECDHE-", "DHE-")))


def _refuse_to_ask() -> NoReturn:
    """Raise an error instead of letting OpenSSL prompt and block, in each process and at each
    restart.
    """
    raise ValueError(
        "the key has a passphrase, which sidelog cannot ask for: use a key without one"
    )


def client_context(trusted_cert_file: str) -> ssl.SSLContext:
    """Return a context for local clients that trusts the admin port's own certificate and the
    system's.

    The certificate itself is the anchor, so a self-signed one works; its name need not be the
    loopback address.
    """
    context = ssl.create_default_context()
    if trusted_cert_file:
        context.load_verify_locations(trusted_cert_file)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
    return context


def upstream_context(
    ca_file: str,
    protocol: str = "http/1.1",
    *,
    is_verified: bool,
    cert_file: str = "",
    key_file: str = "",
) -> ssl.SSLContext:
    """Return the context for connections to an upstream.

    It trusts the authorities in `ca_file`, else the system's. It offers one protocol by ALPN, and
    presents our certificate if the upstream asks for one (RFC 8446 §4.3.2).

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: it holds no certificate, or key and certificate do not belong together.
        ValueError: the key has a passphrase.
    """
    for file in filter(None, (ca_file, cert_file, key_file)):
        read_file(Path(file))
    context = ssl.create_default_context(cafile=ca_file or None)
    context.set_alpn_protocols([protocol])
    if protocol == "h2":
        # An upstream that prefers another cipher would choose that.
        context.set_ciphers(_FIT_CIPHERS)
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        context.load_cert_chain(cert_file, key_file or None, _refuse_to_ask)
    return context
