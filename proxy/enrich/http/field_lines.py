"""Read field lines of heads: redact them, and extract the values for columns of a record.

Nine of ten lines of a client repeat, so they are memoised, bounded in number and length. Ids,
dates, lengths, cookies and secrets vary and are not memoised: they would only displace others.
"""

import re
from collections.abc import Collection
from typing import Final

from proxy.enrich.redact.octets import CR, LF
from proxy.enrich.redact.redactor import Redactor

MAX_MEMO_LINES: Final = 4096
MAX_MEMO_LINE_BYTES: Final = 256
"""Together with `MAX_MEMO_LINES`, up to about 3 MiB of lines."""

WANTED: Final = frozenset(
    (
        b"host",
        b"user-agent",
        b"traceparent",
        b"x-request-id",
        b"content-type",
        b"content-encoding",
        b"mcp-session-id",
        b"mcp-protocol-version",
        b"x-llm-request-id",
    )
)
"""Names of the fields with columns in a record."""
_SESSION: Final = b"mcp-session-id"
_FIELD_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Line = tuple[bytes, bytes, bytes]
"""The redacted line; the lower-case name if it is in `WANTED`, else empty; the value. A plain
tuple: a named one costs 0.2 us more.
"""


class FieldLineReader:
    """Reads field lines, given without their CRLF. Not thread-safe."""

    def __init__(self, redactor: Redactor, varying: Collection[bytes]) -> None:
        """Lines with a name in `varying`, in lower case, are not memoised."""
        self._redactor = redactor
        self._varying = frozenset(varying)
        self.known: dict[bytes, Line] = {}
        """The memo: raw line → its parts."""

    def read(self, raw: bytes) -> Line | None:
        """Read a field line that is not memoised; None if the line is malformed."""
        if LF in raw or CR in raw:  # Fields may be hidden after it.
            return None
        raw_name, colon, value = raw.partition(b":")
        if not colon or not _FIELD_NAME.fullmatch(raw_name):
            return None

        name = raw_name.lower()
        hits = self._redactor.hits.total()
        redacted = self._redactor.redact_field(raw)
        if redacted is not raw and name != _SESSION:  # A session is hashed, never stored.
            value = redacted.partition(b":")[2]
        line = redacted, name if name in WANTED else b"", value.strip(b" \t")
        if hits != self._redactor.hits.total():  # Read each time, so that it is counted.
            return line

        if (
            len(raw) <= MAX_MEMO_LINE_BYTES
            and name not in self._varying
            and not self._holds_secret(raw_name, name)
        ):
            if len(self.known) >= MAX_MEMO_LINES:
                self.known.clear()
            self.known[raw] = line

        return line

    def _holds_secret(self, raw_name: bytes, name: bytes) -> bool:
        return name != _SESSION and self._redactor.is_secret_header(raw_name)
