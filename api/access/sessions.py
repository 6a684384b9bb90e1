"""Sessions of the web UI: random secrets in cookies. Only their hashes are kept.

A session is bound to the token it was opened with (the hash covers the token's digest), so that
rotating the token ends it. It also ends after `IDLE_S` without a request.
"""

import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

IDLE_S: Final = 12 * 3600
"""Time after which an unused session ends."""
MAX_SESSIONS: Final = 1000
MAX_OF_TOKEN: Final = 100
"""Limit per token, the oldest goes first: a person has a handful, but a script may log in every
minute.
"""
_OWNER_DIGITS: Final = 16
_SAVE_EVERY_S: Final = 300
"""Limit of the age of the saved times: a kill shortens a session's idle time by at most this."""

_log = logging.getLogger(__name__)


class Sessions:
    """The open sessions. They survive a restart if they are saved."""

    __slots__ = ("_now_s", "_save_all", "_saved_s", "_used_s", "mark")

    def __init__(
        self,
        saved: object = None,
        save: Callable[[dict[str, float]], None] | None = None,
        *,
        mark: str = "",
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Continue saved sessions.

        Args:
            saved: last argument of `save`, as it was read back; anything else means no sessions.
            save: keeps hashes with the times of their last use; may raise OSError. None for in
                memory only.
            mark: part of the cookie's name that only this instance and its logged-in users know.
            now_s: wall clock.
        """
        self.mark = mark
        self._save_all = save
        self._now_s = now_s
        self._used_s = _restored(saved)
        self._saved_s = now_s()

    def open(self, binding: bytes) -> str:
        """Start a session bound to a token's digest.

        The returned secret goes into the cookie only.
        """
        secret = secrets.token_urlsafe(32)
        self._expire()
        owner = _owner(binding)
        own = [digest for digest in self._used_s if digest.startswith(owner)]
        if len(own) >= MAX_OF_TOKEN or len(self._used_s) >= MAX_SESSIONS:
            del self._used_s[min(own or self._used_s, key=self._used_s.__getitem__)]
        self._used_s[_digest(secret, binding)] = self._now_s()
        self._save()
        return secret

    def is_open(self, secret: str, binding: bytes) -> bool:
        """Return True if a cookie's session is valid with the current token; record its use."""
        if not self.has(secret, binding):
            return False
        now_s = self._now_s()
        self._used_s[_digest(secret, binding)] = now_s
        if now_s - self._saved_s > _SAVE_EVERY_S:
            self._save()
        return True

    def has(self, secret: str, binding: bytes) -> bool:
        """Return True if a cookie's session is valid with the current token, without recording a
        use of it.
        """
        used_s = self._used_s.get(_digest(secret, binding))
        return used_s is not None and self._now_s() - used_s <= IDLE_S

    def close(self, secret: str, binding: bytes) -> None:
        """End a session; does nothing if there is none."""
        if self._used_s.pop(_digest(secret, binding), None) is not None:
            self._save()

    def _expire(self) -> None:
        now_s = self._now_s()
        self._used_s = {
            digest: used_s for digest, used_s in self._used_s.items() if now_s - used_s <= IDLE_S
        }

    def _save(self) -> None:
        self._saved_s = self._now_s()
        if self._save_all is None:
            return
        try:
            self._save_all(dict(self._used_s))
        except OSError as error:
            # The session works until the next restart: the person logs in once more, nothing else
            # is lost.
            _log.warning("sessions were not saved: %s", error)


def _owner(binding: bytes) -> str:
    """Return the common prefix of all sessions of a token."""
    return hashlib.sha256(binding).hexdigest()[:_OWNER_DIGITS]


def _digest(secret: str, binding: bytes) -> str:
    return (
        _owner(binding)
        + hashlib.sha256(binding + secret.encode("utf-8", "surrogateescape")).hexdigest()
    )


def _restored(saved: object) -> dict[str, float]:
    try:
        return msgspec.convert(saved or {}, dict[str, float])
    except msgspec.ValidationError:
        return {}
