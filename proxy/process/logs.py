"""sidelog's own log: one JSON object a line on stderr, readable lines on a terminal. stdlib only.

Nothing per request is logged above DEBUG, and every message is limited in rate: a log that floods is a failure of its
own. WARN: odd, nothing lost. ERROR: data lost, or an operator must act.
"""

import json
import logging
import sys
import time
from typing import Any, Final

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

RATE_BURST: Final = 20
"""The same message (before formatting) may come this often at once …"""
RATE_PERIOD_S: Final = 10.0
"""… in this time; what is held back is counted on the next one."""


class RateLimit(logging.Filter):
    """Holds back a message that repeats too fast."""

    def __init__(self) -> None:
        """Begin with nothing seen; at most 1 000 different messages are followed."""
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass, with the number of held-back twins, or hold it back."""
        now = time.monotonic()
        key = f"{record.name}:{record.msg}"
        since, count = self._seen.get(key, (now, 0))
        if now - since >= RATE_PERIOD_S:
            if count > RATE_BURST:
                record.__dict__["suppressed"] = count - RATE_BURST
            since, count = now, 0
        if len(self._seen) >= 1000:
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < RATE_BURST


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _PLAIN}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Lines for a person."""

    def __init__(self, role: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {role}: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        return f"{super().format(record)} {extra}".rstrip()


def set_up_log(level: str, role: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter(role) if sys.stderr.isatty() else JsonFormatter(role))
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
