"""Who may call a route with an API key: one pure decision, in the order in which seed 002 names its six codes.

Strategy: the presented secret is hashed and the hash looked up. That needs no comparison in constant time: a look-up
tells by its time at most something about SHA-256 values, which say nothing about secrets of 32 random bytes; octets
are hashed as they came, so any value can be presented. A value is one of ours when it begins with `sk_`; such a value
is judged even where keys are optional, and never forwarded. Other values may be the upstream's (Azure uses the same
header) and pass where keys are optional.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.http1.errors import KEYS_UNAVAILABLE
from proxy.ring.key_snapshot import KnownKey
from proxy.settings.model import RouteSettings
from storage.keys import PREFIX, secret_digest

PASSED: Final = ""

_PREFIX: Final = PREFIX.encode()
_BEARER: Final = b"bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one route asks of its callers, and whose word it takes."""

    is_keyed: bool
    """Whether keys are looked at."""
    is_required: bool
    """Whether a call without one is refused."""
    header: bytes
    """Lower-case name of the field with the key."""
    scope: str
    """Scope a key needs; empty: any."""
    agent: str
    """Agent a key must be allowed to call; empty: any."""
    believes_headers: bool
    """Whether a trusted proxy may name project or user."""

    def presented(self, lines: Sequence[bytes]) -> list[bytes]:
        """Take the values of the key's field out of field lines, without the word Bearer."""
        start, size = self.header + b":", len(self.header) + 1
        return [_value(line[size:]) for line in lines if line[:size].lower() == start]

    def without_key(self, lines: bytes) -> bytes:
        """Leave our keys out of forwarded field lines, each with its CRLF.

        Names with underscores count as well: CGI-style servers take them for the same field.
        """
        if not self.is_keyed:
            return lines
        return b"".join(line for line in lines.splitlines(keepends=True) if not self._is_own_line(line))

    def _is_own_line(self, line: bytes) -> bool:
        name, _, value = line.partition(b":")
        return name.lower().replace(b"_", b"-") == self.header.replace(b"_", b"-") and is_own(_value(value))


def compile_access(route: RouteSettings) -> Access | None:
    """Compile what a route asks; None when that is nothing."""
    believes_headers = bool(route.project_header or route.user_header)
    if route.auth == "off" and not believes_headers:
        return None
    return Access(
        is_keyed=route.auth != "off",
        is_required=route.auth == "required",
        header=route.key_header.lower().encode(),
        scope=route.scope,
        agent=route.agent,
        believes_headers=believes_headers,
    )


def is_own(value: bytes) -> bool:
    """Tell whether a value is, or lists, what looks like a key of ours."""
    return _PREFIX in value and any(part.strip(b" \t").startswith(_PREFIX) for part in value.split(b","))


def evaluate(
    access: Access, presented: Sequence[bytes], keys: Mapping[bytes, KnownKey] | None, now_us: int
) -> tuple[KnownKey | None, str]:
    """Judge a call to a keyed route.

    Args:
        access: of the route.
        presented: values of the key's field, in order.
        keys: by hash; None when no snapshot is there.
        now_us: the wall clock, Unix µs.

    Returns:
        The key that was presented, if it is known, and why the call is refused: one of `errors.AUTH_CODES`,
        `keys_unavailable`, or `PASSED`.
    """
    if not access.is_required and not any(map(is_own, presented)):
        return None, PASSED
    if keys is None:
        return None, KEYS_UNAVAILABLE
    if not any(presented):
        return None, "missing_token"
    key = keys.get(secret_digest(presented[0])) if len(presented) == 1 else None
    if key is None:
        return None, "invalid_token"
    return key, _objection(access, key, now_us)


def _objection(access: Access, key: KnownKey, now_us: int) -> str:
    if key.disabled:
        return "disabled"
    if key.expires_at_us is not None and key.expires_at_us <= now_us:
        return "expired"
    if access.scope and key.scopes is not None and access.scope not in key.scopes:
        return "scope_denied"
    if access.agent and key.agents is not None and access.agent not in key.agents:
        return "agent_denied"
    return PASSED


def explain(access: Access, code: str) -> str:
    """Say in words for the client why a call is refused, and how to mend it (seed 002, troubleshooting)."""
    header = access.header.decode()
    return {
        KEYS_UNAVAILABLE: "API keys cannot be checked yet, try again",
        "missing_token": f"no {header} header was sent; add the header {header}: {PREFIX}<your-secret>",
        "invalid_token": f"the {header} header does not match any key",
        "disabled": "the key is disabled",
        "expired": "the key is past its expiry date",
        "scope_denied": f"the key does not have the scope {access.scope!r}",
        "agent_denied": f"the key's agent access does not include {access.agent!r}",
    }[code]


def _value(raw: bytes) -> bytes:
    value = raw.strip(b" \t\r\n")
    return value[len(_BEARER) :].strip(b" \t") if value[: len(_BEARER)].lower() == _BEARER else value
