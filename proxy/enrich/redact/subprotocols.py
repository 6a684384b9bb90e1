"""WebSocket subprotocols (RFC 6455 §11.3.4): the names that a browser offers stay, the credentials among them go. Pure.

Script in a browser cannot set a header of a handshake but this one, so servers take tokens in it: Bokeh, Jupyter,
Kubernetes (`base64url.bearer.authorization.k8s.io.…`), Phoenix, Streamlit. A name is made of words; what has a long run
of letters and digits mixed is none. Of `name.token` the name stays.
"""

from typing import Final

from proxy.enrich.redact.json_keys import MARK
from proxy.enrich.redact.patterns import is_random

_MAX_NAME_BYTES: Final = 64
"""The longest name that IANA registered has 38."""


def redact_subprotocols(value: bytes) -> bytes:
    """Redact the value of a Sec-WebSocket-Protocol field: `graphql-ws, mqtt`."""
    return b", ".join(_redact_offer(offer.strip(b" \t")) for offer in value.split(b","))


def _redact_offer(offer: bytes) -> bytes:
    if offer.endswith(MARK) or (len(offer) <= _MAX_NAME_BYTES and not is_random(offer)):
        return offer
    words = offer.split(b".")
    for index, word in enumerate(words):
        if len(word) > _MAX_NAME_BYTES or is_random(word):
            return b".".join((*words[:index], MARK))
    return MARK
