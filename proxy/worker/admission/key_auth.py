"""The check of API keys: it decides if a caller may use a route, before anything is forwarded.

Strategy: the presented secret is hashed and the hash is looked up. A comparison in constant time is
not needed: the time of a look-up reveals at most something about SHA-256 values, and those reveal
nothing about secrets of 32 random bytes. A value that begins with `sk_` is one of our keys: it is
checked even if keys are optional, and is never forwarded. Other values may be meant for the
upstream (Azure uses the same header), and pass if keys are optional.

The collector increases a number in the segment's header page once a new snapshot of the keys is in
place. The engine's tick compares that number and reads the file again, so requests never look at
shared memory or files. The invariant: without a snapshot a route that requires keys is closed
(`keys_unavailable`), never open.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.http1.errors import KEYS_UNAVAILABLE, Refused
from proxy.http1.forwarded import TrustedProxies
from proxy.http1.request_head import RequestHead
from proxy.ring.exchange import ACCESS, NO_KEY, Exchange
from proxy.ring.inflight import Caller
from proxy.ring.key_snapshot import KnownKey, read_snapshot
from proxy.ring.segment_layout import KEYS_GENERATION
from proxy.settings.model import RouteSettings
from proxy.worker.recorder import Recorder
from storage.keys import PREFIX, secret_digest

log = logging.getLogger(__name__)

PASSED: Final = ""

_PREFIX: Final = PREFIX.encode()
_BEARER: Final = b"bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The demands of one route on its callers, and the names that it trusts."""

    is_keyed: bool
    """True if keys are checked, be they required or optional."""
    is_required: bool
    """True if calls without a key are refused."""
    header: bytes
    """Lower-case name of the field with the key."""
    scope: str
    """The scope that a key needs; empty: any."""
    agent: str
    """The agent that a key must be allowed to call; empty: any."""
    believes_headers: bool
    """True if a trusted proxy may name project or user."""
    project_header: bytes = b""
    """Lower-case name of the field in which the proxy names the project; empty without one."""
    user_header: bytes = b""
    """Lower-case name of the field in which the proxy names the user; empty without one."""

    def caller(self, exchange: Exchange) -> Caller:
        """Return the owner of an admitted exchange."""
        is_trusted = exchange.access and ACCESS.unpack(exchange.access)[0]
        if not (is_trusted and self.believes_headers):
            return Caller(exchange.access)

        lines = exchange.request_head.split(b"\r\n")[1:]
        return Caller(
            exchange.access, _first(lines, self.project_header), _first(lines, self.user_header)
        )

    def presented(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return the values of all key fields among field lines."""
        start = self.header + b":"
        size = len(self.header) + 1
        return [_value(line[size:]) for line in lines if line[:size].lower() == start]

    def without_key(self, lines: bytes) -> bytes:
        """Return field lines, each with its CRLF, without our keys.

        Names with underscores count too: CGI-style servers take them for the same field.
        """
        if not self.is_keyed:
            return lines
        return b"".join(
            line for line in lines.splitlines(keepends=True) if not self._is_own_line(line)
        )

    def _is_own_line(self, line: bytes) -> bool:
        name, _, value = line.partition(b":")
        return name.lower().replace(b"_", b"-") == self.header.replace(b"_", b"-") and is_own(
            _value(value)
        )


def compile_access(route: RouteSettings) -> Access | None:
    """Compile the demands of a route on its callers; None if it has none."""
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
        project_header=route.project_header.lower().encode(),
        user_header=route.user_header.lower().encode(),
    )


def _first(lines: Sequence[bytes], name: bytes) -> bytes:
    """Return the value of the first field of that name."""
    start = name + b":"
    size = len(name) + 1
    return next(
        (line[size:].strip(b" \t") for line in lines if name and line[:size].lower() == start), b""
    )


def is_own(value: bytes) -> bool:
    """Return True if a value looks like one of our keys, or is a list that contains one."""
    return _PREFIX in value and any(
        part.strip(b" \t").startswith(_PREFIX) for part in value.split(b",")
    )


def evaluate(
    access: Access, presented: Sequence[bytes], keys: Mapping[bytes, KnownKey] | None, now_us: int
) -> tuple[KnownKey | None, str]:
    """Check a request to a keyed route.

    Args:
        access: the demands of the route.
        presented: the values of the request's key fields.
        keys: the snapshot, by digests of secrets; None if it could not be read.
        now_us: the wall clock.

    Returns:
        The presented key, if it is known; and the reason for a refusal, one of `errors.AUTH_CODES`
        or `keys_unavailable`, else `PASSED`.
    """
    if not access.is_required and not any(map(is_own, presented)):
        return None, PASSED
    if keys is None:
        return None, KEYS_UNAVAILABLE
    if not any(presented):
        return None, "missing_token"

    if len(presented) == 1:
        key = keys.get(secret_digest(presented[0]))
    else:
        key = None
    if key is None:
        return None, "invalid_token"

    return key, _objection(access, key, now_us)


def _objection(access: Access, key: KnownKey, now_us: int) -> str:
    """Return the reason for refusing a known key on a route, else `PASSED`."""
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
    """Return the message for a refused client: the reason, and how to fix it."""
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
    """Return the value of a key field without `Bearer`."""
    value = raw.strip(b" \t\r\n")
    if value[: len(_BEARER)].lower() == _BEARER:
        return value[len(_BEARER) :].strip(b" \t")
    return value


class Gate:
    """Admits exchanges to routes with demands on their callers, by the newest key snapshot."""

    def __init__(
        self,
        cells: "memoryview[int]",
        directory: Path,
        trusted: TrustedProxies,
        recorder: Recorder,
        *,
        is_keyed: bool,
    ) -> None:
        """Read the snapshot in the data directory, if a route checks keys.

        Args:
            cells: the header page of the segment, with the number of the newest snapshot.
            directory: the data directory.
            trusted: the proxies that may name project and user.
            recorder: counts refusals.
            is_keyed: True if a route checks keys.
        """
        self._cells = cells
        self._directory = directory
        self._trusted = trusted
        self._recorder = recorder
        self._keys: Mapping[bytes, KnownKey] | None = None
        self._is_keyed = is_keyed
        self._generation = 0
        self._failed_generation = 0
        if self._is_keyed:
            self._load(cells[KEYS_GENERATION])

    def refresh(self) -> None:
        """Read the snapshot again when the collector has replaced it; called by the tick."""
        generation = self._cells[KEYS_GENERATION]
        if generation != self._generation and self._is_keyed:
            self._load(generation)

    def _load(self, generation: int) -> None:
        try:
            self._keys = read_snapshot(self._directory)
        except FileNotFoundError as error:
            if generation:
                self._report(generation, error)
        except (OSError, ValueError) as error:
            self._report(generation, error)
        else:
            self._generation = generation

    def _report(self, generation: int, error: Exception) -> None:
        """Log once that a snapshot cannot be read; the previous one stays valid, and the next tick
        tries again.
        """
        if self._failed_generation != generation or not generation:
            self._failed_generation = generation
            log.error("the key snapshot cannot be read: %s", error)

    def admit(self, exchange: Exchange, access: Access, head: RequestHead, peer: bytes) -> None:
        """Check the key of a request, and note it on the exchange.

        Raises:
            Refused: `keys_unavailable`, or one of `errors.AUTH_CODES`.
        """
        key_id = NO_KEY
        code = ""
        if access.is_keyed:
            presented = access.presented(head.lines)
            key, code = evaluate(access, presented, self._keys, exchange.started_at_ns // 1000)
            if key is not None:
                key_id = key.id

        is_trusted = access.believes_headers and self._trusted.has(peer.decode())
        exchange.access = ACCESS.pack(is_trusted, key_id)
        if code:
            self._recorder.count("auth_failures", code)
            raise Refused(code, explain(access, code))
