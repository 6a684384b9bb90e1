"""A reader of event streams that follows the WHATWG standard ("event stream interpretation"), byte
for byte.
"""

import re
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\r|\n")


class SseEvent(NamedTuple):
    """One dispatched event."""

    id: str
    name: str
    data: str


class SseReader:
    """Fed with bytes as they come, answers the events that are complete."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.comments = 0
        self.retry_ms: int | None = None
        self._buffer = b""
        self._data: list[str] = []
        self._name = ""

    def feed(self, raw: bytes) -> list[SseEvent]:
        """Take bytes; answer what they complete."""
        self._buffer += raw
        events: list[SseEvent] = []
        while (match := _LINE_END.search(self._buffer)) is not None:
            if match[0] == b"\r" and match.end() == len(self._buffer):
                break  # it may be the first half of CRLF
            line = self._buffer[: match.start()].decode()
            self._buffer = self._buffer[match.end() :]
            if line:
                self._field(line)
            elif self._data:
                events.append(
                    SseEvent(self.last_event_id, self._name or "message", "\n".join(self._data))
                )
                self._data = []
                self._name = ""
            else:
                self._name = ""

        return events

    def _field(self, line: str) -> None:
        if line.startswith(":"):
            self.comments += 1
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self.last_event_id = value
        elif name == "retry" and value.isdigit():
            self.retry_ms = int(value)
