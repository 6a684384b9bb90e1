"""A request that OAuth refused for its token, before it was read as MCP.

The error code is in `WWW-Authenticate`, in the body, or in both. The body may be JSON-RPC, or not
JSON at all.
Standards: RFC 6750 §3 and §3.1, RFC 6749 §5.2, RFC 9449 §5 and §7.1, RFC 9470 §3; MCP,
Authorization.
"""

import re
from typing import Final, NamedTuple

from proxy.enrich.formats.json_parts import members_of, value_in
from proxy.enrich.http.exchange import DecodedExchange
from storage.record import Record

_STATUSES: Final = frozenset((400, 401, 403))
CODES: Final = frozenset(
    (
        "invalid_token",
        "insufficient_scope",
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "access_denied",
        "invalid_target",
        "insufficient_user_authentication",
        "invalid_dpop_proof",
        "use_dpop_nonce",
    )
)
_CHALLENGE: Final = re.compile(rb"(?i)\nwww-authenticate:([^\r\n]{1,4096})")
_PARAMETER: Final = re.compile(
    rb'(?i)(?<![\w-])(error|error_description)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([\w-]+))'
)


class Refusal(NamedTuple):
    """OAuth error of a refused request."""

    code: str
    message: str | None


def refusal_of(record: Record, exchange: DecodedExchange) -> Refusal | None:
    """Return the refusal of an exchange; None if it was not refused, or not with an OAuth error
    code.
    """
    if record.status not in _STATUSES:
        return None
    stated: dict[str, object] = {}
    body = exchange.response_body
    if body is not None and not body.is_truncated:
        found = members_of(body.head)
        stated = {name: value_in(found, name) for name in ("error", "error_description")}
    challenged = _challenge(exchange.response.redacted)
    for said in (stated, challenged):
        code = said.get("error")
        if isinstance(code, str) and code in CODES:
            message = said.get("error_description") or challenged.get("error_description")
            return Refusal(code, message if isinstance(message, str) else None)

    return None


def _challenge(head: bytes) -> dict[str, object]:
    """Return the error parameters of the first challenge with an error."""
    for line in _CHALLENGE.findall(b"\n" + head):
        said: dict[str, object] = {
            name.lower().decode(): (quoted or token).decode("utf-8", "replace")
            for name, quoted, token in _PARAMETER.findall(line)
        }
        if "error" in said:
            return said

    return {}
