"""What an MCP message asks for: its method, and the tool or prompt that it names. Pure.

All messages of a server are posted to one path, so only these distinguish its requests. They are read by structure: a
name within the arguments of a tool is not the name of the message. A client's response to a request of the server, and
a batch, have no operation.
"""

import re
from typing import Final, NamedTuple

from proxy.enrich.formats.cut_json import members_at_start
from proxy.enrich.formats.json_parts import decode_text
from proxy.enrich.http.decoded_body import DecodedBody

MAX_BYTES: Final = 16_384
"""Of a message that is looked into: clients write its method first, or behind the parameters of a short one."""
_NAMES: Final = frozenset((b"jsonrpc", b"method", b"params", b"name"))
_METHOD: Final = re.compile(r"[a-zA-Z]+(?:/[a-zA-Z_]+){0,3}", re.ASCII)
_NAME: Final = re.compile(r"[\w./-]{1,64}", re.ASCII)
_NAMED: Final = frozenset(("tools/call", "prompts/get"))
"""Methods whose names are those of the server's own; a resource's is an address."""
_MAX_METHOD_CHARACTERS: Final = 64


class Operation(NamedTuple):
    method: str
    name: str | None

    def __str__(self) -> str:
        return self.method if self.name is None else f"{self.method}/{self.name}"


def read_operation(body: DecodedBody) -> Operation | None:
    """Read the operation of a message; None where it is none of JSON-RPC, or asks for nothing."""
    text = body.head[:MAX_BYTES]
    is_cut = body.is_truncated or len(body.head) > MAX_BYTES
    chain = members_at_start(text, _NAMES) if b'"method"' in text else []
    message = chain[0] if chain else {}
    method = decode_text(message.get(b"method"))
    if method is None or len(method) > _MAX_METHOD_CHARACTERS or _METHOD.fullmatch(method) is None:
        return None
    is_sure = b"jsonrpc" in message or (is_cut and "/" in method)  # it may stand behind the cut
    if not is_sure:
        return None
    if method not in _NAMED:
        return Operation(method, None)
    params = message.get(b"params")
    inner = members_at_start(params, _NAMES) if params is not None else chain[1:]
    name = decode_text(inner[0].get(b"name")) if inner else None
    return Operation(method, name if name is not None and _NAME.fullmatch(name) else None)
