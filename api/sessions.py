"""Sessions of the web UI: random secrets in a cookie, of which only hashes are kept, in a small state file.

A session is bound to the token it was opened with (the token's digest goes into the hash), so that rotating the token
ends all of them. It ends by itself after `IDLE_S` without a request. The file may hold other members: they are kept.
"""

import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

IDLE_S: Final = 12 * 3600
"""A session unused for this long is over."""
MAX_SESSIONS: Final = 1000
"""Oldest ones go first above this: a person has a handful, but a script may log in every minute."""
_SAVE_EVERY_S: Final = 300
"""How stale the times in the file may become: a kill shortens a session's idle time by at most this."""

_log = logging.getLogger(__name__)


class Sessions:
    """The open sessions. Opened sessions survive a restart when there is a state file."""

    __slots__ = ("_now_s", "_path", "_saved_s", "_used_s")

    def __init__(self, path: Path | None = None, *, now_s: Callable[[], float] = time.time) -> None:
        """Read the sessions of a state file; without one they live in memory only."""
        self._path = path
        self._now_s = now_s
        self._used_s: dict[str, float] = _load(path)
        self._saved_s = now_s()

    def open(self, binding: bytes) -> str:
        """Start a session bound to a token's digest; the returned secret belongs into the cookie and nowhere else."""
        secret = secrets.token_urlsafe(32)
        self._expire()
        while len(self._used_s) >= MAX_SESSIONS:
            del self._used_s[min(self._used_s, key=self._used_s.__getitem__)]
        self._used_s[_digest(secret, binding)] = self._now_s()
        self._save()
        return secret

    def is_open(self, secret: str, binding: bytes) -> bool:
        """Tell whether a cookie's session is alive under the present token, and note that it was used."""
        digest = _digest(secret, binding)
        used_s = self._used_s.get(digest)
        now_s = self._now_s()
        if used_s is None or now_s - used_s > IDLE_S:
            return False
        self._used_s[digest] = now_s
        if now_s - self._saved_s > _SAVE_EVERY_S:
            self._save()
        return True

    def close(self, secret: str, binding: bytes) -> None:
        """End a session; nothing happens when there is none."""
        if self._used_s.pop(_digest(secret, binding), None) is not None:
            self._save()

    def _expire(self) -> None:
        now_s = self._now_s()
        self._used_s = {digest: used_s for digest, used_s in self._used_s.items() if now_s - used_s <= IDLE_S}

    def _save(self) -> None:
        self._saved_s = self._now_s()
        if self._path is None:
            return
        try:
            state = _read(self._path)
            state["sessions"] = self._used_s
            _replace(self._path, msgspec.json.encode(state))
        except OSError as error:
            # The session works until the next restart: the person logs in once more, nothing else is lost.
            _log.warning("sessions were not saved to %s: %s", self._path, error)


def _digest(secret: str, binding: bytes) -> str:
    return hashlib.sha256(binding + secret.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> dict[str, object]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _load(path: Path | None) -> dict[str, float]:
    found = {} if path is None else _read(path).get("sessions")
    try:
        return msgspec.convert(found or {}, dict[str, float])
    except msgspec.ValidationError:
        return {}


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place whole, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)
