"""The data directory's token, read again when its file was replaced, so that `sidelog token rotate`
works without a restart.
"""

import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from proxy.process.data_dir import TOKEN_FILE
from proxy.process.files import replace_file

CHECK_EVERY_S: Final = 0.5

log = logging.getLogger(__name__)


class AdminToken:
    """Returns the current token; checks the file twice a second at most."""

    def __init__(
        self, data_path: Path, token: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = data_path / TOKEN_FILE
        self._token = token
        self._clock = clock
        self._signature = self._stat()
        self._checked_s = clock()

    def __call__(self) -> str:
        now_s = self._clock()
        if now_s - self._checked_s >= CHECK_EVERY_S:
            self._checked_s = now_s
            signature = self._stat()
            if signature is not None and signature != self._signature:
                self._reload(signature)
        return self._token

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _reload(self, signature: tuple[int, int, int]) -> None:
        try:
            token = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            log.warning(
                "the admin token could not be read again, keeping the current one: %s", error
            )
            return

        self._signature = signature
        if token and token != self._token:
            self._token = token
            log.info("the admin token was rotated, sessions opened with the old one have ended")


def rotate_token(data_path: Path) -> str:
    """Replace the token of a data directory atomically; only the owner can read the new file.

    Raises:
        OSError: the directory or the file cannot be written.
    """
    token = secrets.token_urlsafe(32)
    replace_file(data_path / TOKEN_FILE, f"{token}\n".encode())
    return token
