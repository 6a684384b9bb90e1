"""Read heads: the values for columns of a record, and the redacted form of the whole head.

Heads of one client differ in the same few values. These are cut out (`proxy.http1.memo`), and the
rest is looked up with its redacted form and columns. A value is only cut out if its redaction is
known in advance: ids, lengths and dates in a form that no secret has stay; cookies keep their
names; secrets are removed. All other heads are read line by line. Invariant: a lookup returns the
same as reading line by line.
"""

from collections.abc import Iterable
from typing import Final

from proxy.enrich.http.field_lines import WANTED, FieldLineReader
from proxy.enrich.http.head_facts import HeadFacts, facts_of, field_of, parse_head
from proxy.enrich.redact.fields import PARTLY_SECRET
from proxy.enrich.redact.names import normalise
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.memo.head_templates import ConnectionHeads, HeadTemplates, Template
from proxy.http1.memo.varying_fields import GAP, VaryingFields, as_format

_ID: Final = rb"(?=[0-9a-f-]{1,80}+\r)"
_TAG: Final = rb'(?=(?:W/)?"[0-9a-f-]{0,80}+"\r)'
_DATE: Final = rb"(?=[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT\r)"
"""RFC 9110 §5.6.7."""
_TRACE: Final = rb"(?=[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\r)"
"""The form of a valid traceparent (W3C, level 1)."""
_FORMS: Final = {
    b"x-request-id": _ID,
    b"traceparent": _TRACE,
    b"content-length": _ID,
    b"age": _ID,
    b"etag": _TAG,
    b"if-none-match": _TAG,
    b"date": _DATE,
    b"last-modified": _DATE,
    b"if-modified-since": _DATE,
}
"""Names of fields that differ in each message → form in which their values hold no secret."""
_COOKIE_VALUES: Final = rb"(?<==)[ -!#-:<-~]*+"
_NO_QUOTE: Final = rb'(?=[^"\r]*+\r)'
"""A quoted cookie value may contain the separators of others."""
_SECRETS: Final = (
    b"authorization",
    b"proxy-authorization",
    b"x-api-key",
    b"api-key",
    b"x-goog-api-key",
    b"x-auth-token",
    b"x-csrf-token",
    b"x-xsrf-token",
    b"x-amz-security-token",
)
"""Names of fields whose values are removed, in addition to configured ones."""
_NOT_GONE: Final = (*PARTLY_SECRET, b"mcpsessionid")
"""Secret fields of which a part stays; a session is hashed."""


class HeadReader:
    """Reads heads, from the CRLF after the first line. Not thread-safe, except for `read_lines`."""

    def __init__(self, redactor: Redactor, secrets: Iterable[str] = ()) -> None:
        """`secrets` names further header fields with secrets."""
        templates = _Heads(redactor, secrets)
        self.read_lines = templates.read_lines
        self._heads = ConnectionHeads(templates)
        self._block = b""
        self._facts = self.read_lines(b"")

    def read(self, block: bytes) -> HeadFacts:
        # Responses within one second are often alike: 2 us less (bench/micro, collector).
        if block != self._block:
            self._facts = self._heads.read(block)
            self._block = block
        return self._facts


class _Heads(HeadTemplates[HeadFacts]):
    def __init__(self, redactor: Redactor, secrets: Iterable[str]) -> None:
        names = (*_SECRETS, *(name.lower().encode() for name in secrets if name), *_FORMS)
        gone = [
            name
            for name in names
            if redactor.is_secret_header(name) and normalise(name) not in _NOT_GONE
        ]
        skipped = dict.fromkeys(gone, rb"[ -~]+")
        forms = {name: form for name, form in _FORMS.items() if name not in skipped}
        if redactor.is_secret_header(b"cookie"):
            skipped[b"cookie"] = _COOKIE_VALUES
        fields = VaryingFields(forms, forms=forms | {b"cookie": _NO_QUOTE}, skipped=skipped)
        super().__init__(self.read_lines, fields)
        self._redactor = redactor
        self._lines = FieldLineReader(redactor, forms)

    def read_lines(self, block: bytes) -> HeadFacts:
        """Read the field lines of a head one by one, redacted, with the facts in them."""
        self._redactor.take_hits()
        lines = block.removesuffix(b"\r\n\r\n").split(b"\r\n")
        known = self._lines.known
        kept = [lines[0]]
        found: dict[bytes, bytes] = {}

        for raw in lines[1:]:
            line = known.get(raw) or self._lines.read(raw)
            if line is None:
                return self._read_malformed(block)

            redacted, name, value = line
            kept.append(redacted)
            if name:
                # The last id counts, as it does for the upstream.
                is_listed = name in found and name != b"x-request-id"
                found[name] = found[name] + b", " + value if is_listed else value

        return facts_of(b"\r\n".join(kept), found, self._redactor.take_hits())

    def _read_malformed(self, block: bytes) -> HeadFacts:
        """Read the head of a refused request: lines may be folded, have any line end, or come from
        HTTP/2.
        """
        self._redactor.take_hits()
        redacted = self._redactor.redact_head(block)
        redactions = self._redactor.take_hits()
        _, fields = parse_head(redacted)
        found = {name: value for name in WANTED if (value := field_of(fields, name)) is not None}
        if b"host" not in found and (authority := field_of(fields, b":authority")) is not None:
            found[b"host"] = authority
        return facts_of(redacted.removesuffix(b"\r\n\r\n"), found, redactions)

    def _template_of(
        self, head: HeadFacts, left: bytes, names: list[bytes], values: list[bytes]
    ) -> Template[HeadFacts] | None:
        redacted = head.redacted.split(b"\r\n")
        lines = left.removesuffix(b"\r\n\r\n").split(b"\r\n")
        is_sound = all(
            line in self._lines.known or self._lines.read(line) is not None for line in lines[1:]
        )
        self._redactor.take_hits()
        lower = [name.partition(b":")[0].lower() for name in names]
        is_listed = any(
            left.lower().count(b"\r\n%b:" % name) > 1 for name in lower if name in WANTED
        )
        if not is_sound or is_listed or left.count(GAP) != len(names):
            return None

        for place, line in enumerate(lines):
            if line.endswith(GAP):
                redacted[place] = line
        return _Template(head, as_format(b"\r\n".join(redacted)), lower)


class _Template(Template[HeadFacts]):
    """A known head with gaps for the values that vary; fills the columns that depend on them."""

    __slots__ = ("_format", "_head", "_request_at", "_trace_at")

    def __init__(self, head: HeadFacts, redacted: bytes, names: list[bytes]) -> None:
        """`redacted` is a format; `names` are the fields that fill its gaps, in order."""
        super().__init__(len(names))
        self._head = head
        self._format = redacted
        if b"traceparent" in names:
            self._trace_at = names.index(b"traceparent")
        else:
            self._trace_at = -1
        if b"x-request-id" in names:
            self._request_at = names.index(b"x-request-id")
        else:
            self._request_at = -1

    def fill(self, values: list[bytes]) -> HeadFacts:
        head = self._head
        trace_at = self._trace_at
        request_at = self._request_at
        return HeadFacts(
            self._format % tuple(values), head.host, head.user_agent,
            head.trace_id if trace_at < 0 else values[trace_at][3:35].decode(),
            head.span_id if trace_at < 0 else values[trace_at][36:52].decode(),
            head.request_id if request_at < 0 else values[request_at].decode(),
            head.content_type, head.content_encoding, head.mcp_session, head.mcp_version, head.llm_request_id,
            head.redactions,
        )  # fmt: skip
