"""TLS on our own ports and towards others: a context each, made from the files in the settings (RFC
8446, RFC 9325).

Nothing below TLS 1.2, no compression, no renegotiation. Of the protocols that a client offers
(ALPN, RFC 7301) our ports choose one that they speak: `http/1.1`, and `h2` where the client offers
nothing else, or where HTTP/2 is preferred and the client has a cipher that is fit for it. Without
one in common the handshake names none; a client that goes on in HTTP/2 all the same is refused with
a reason and a record.
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
"""What a port speaks, the preferred protocol first."""

ContextOf = Callable[[bytes], ssl.SSLContext]
"""Returns the context for a client by the first bytes that it sends."""

HELLO_BYTES: Final = 512
"""How much of a ClientHello has to be looked at: its ciphers are at the beginning."""
_SESSION_AT: Final = 43
"""Where the length of the session's id is, behind two headers, a version and a random value."""
_FIT_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
"""Those of TLS 1.2 over which HTTP/2 may be spoken."""


def server_context(cert_file: str, key_file: str, *, http2: Http2 = "off") -> ssl.SSLContext | None:
    """Make the context of a listening port; None when no certificate is set.

    Args:
        cert_file: PEM, leaf first, then intermediates.
        key_file: PEM; empty when the certificate's file holds the key too.
        http2: whether the port speaks it, and chooses it for all that offer it.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: no certificate in it, or key and certificate do not belong together.
        ValueError: the key has a passphrase.
    """
    if not cert_file:
        return None
    for file in filter(None, (cert_file, key_file)):
        read_file(Path(file))  # in time, which OpenSSL does not
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_PROTOCOLS[http2])
    context.load_cert_chain(cert_file, key_file or None, _refuse_to_ask)
    return context


def context_chooser(preferred: ssl.SSLContext, other: ssl.SSLContext) -> ContextOf:
    """Return a function that chooses a context by the beginning of a ClientHello (RFC 8446 §4.1.2).

    It is `other`, which prefers HTTP/1.1, for a client without a cipher that is fit for HTTP/2.
    Python's callback for names comes before the cipher is chosen, and does not tell what is offered.
    Fewer ciphers for all would turn such clients away, which HTTP/1.1 serves well.
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
        return other if is_unfit else preferred

    return choose


def is_fit_for_http2(version: str, cipher: str) -> bool:
    """Return whether HTTP/2 may be spoken over it: TLS 1.2 only with AEAD and ephemeral keys (RFC
    9113 §9.2).
    """
    is_authenticated = any(name in cipher for name in ("GCM", "CHACHA20", "CCM"))
    return version != "TLSv1.2" or (is_authenticated and cipher.startswith(("ECDHE-", "DHE-")))


def _refuse_to_ask() -> NoReturn:
    """Fail where OpenSSL would ask the terminal and wait, in each process and at each restart."""
    raise ValueError(
        "the key has a passphrase, which sidelog cannot ask for: use a key without one"
    )


def client_context(trusted_cert_file: str) -> ssl.SSLContext:
    """Make the context of a client on this machine that trusts the admin port's own certificate,
    and the system's.

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
    """Make the context of connections to an upstream, which trusts the system's authorities, or
    those in the file.

    It offers one protocol by ALPN, and shows a certificate of ours where the upstream asks for one
    (RFC 8446 §4.3.2).

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
        # An upstream that prefers another one would choose that.
        context.set_ciphers(_FIT_CIPHERS)
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        context.load_cert_chain(cert_file, key_file or None, _refuse_to_ask)
    return context
