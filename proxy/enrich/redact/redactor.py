"""Redact what was captured, before it is written anywhere: by the names of headers, parameters and
JSON keys.

Strategy: heads line by line, parameters part by part, bodies by their content type, lexically;
after the names, by the looks of known secrets (`rules/`, `patterns/secrets.py`). One pass over a
text finds where anything may be (`scanner.py`), and every reader looks there only. What is not a
secret value stays byte for byte.

Invariant: redacting twice changes nothing; a value whose name was seen is gone, and at a window's
edge what might be the rest of one is cut off (`windows.py`).
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Final

from proxy.enrich.formats.content import is_utf8
from proxy.enrich.formats.frames import is_streamed
from proxy.enrich.formats.json_parts import MAX_TEXT_CHARACTERS
from proxy.enrich.redact import fields
from proxy.enrich.redact.aside import put_back, set_aside, without_aside
from proxy.enrich.redact.documents.assignments import AssignmentRedactor
from proxy.enrich.redact.documents.encoded_events import redact_encoded_events
from proxy.enrich.redact.documents.extents import ValueRedactor
from proxy.enrich.redact.documents.graphql import GraphqlRedactor
from proxy.enrich.redact.documents.markup import MarkupRedactor, is_markup
from proxy.enrich.redact.documents.multipart import (
    MAX_PARTS,
    boundary_of,
    content_type_in,
    messages_of,
    redact_multipart,
)
from proxy.enrich.redact.documents.separated import SeparatedRedactor
from proxy.enrich.redact.documents.yaml_keys import YamlRedactor
from proxy.enrich.redact.edits import (
    MARK,
    NAME,
    REST,
    Edit,
    Hits,
    edited,
    rule_of_name,
)
from proxy.enrich.redact.json_keys import JsonRedactor
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.kinds import HTTP, JSON_OPENS, Kind, is_binary, kind_of, kind_of_text
from proxy.enrich.redact.names import (
    BUILT_IN,
    HEADER_ENDINGS,
    HEADERS_ONLY,
    MCP_ARGUMENT,
    PARAMETERS_ONLY,
    QUERY_ONLY,
    SecretNames,
    normalise,
    parameter_parts,
)
from proxy.enrich.redact.octets import (
    AT,
    EQUALS,
    HASH,
    LF,
    NUL,
    PERCENT,
    QUESTION,
    QUOTE,
    SEMICOLON,
)
from proxy.enrich.redact.parameters import BESIDE, ParameterRedactor, redact_parameters
from proxy.enrich.redact.patterns.secrets import MIN_BYTES, SecretPatterns
from proxy.enrich.redact.rule import Rule, built_in_rules
from proxy.enrich.redact.spanning import spanning_text
from proxy.enrich.redact.streamed import joined_pieces, redact_split, redact_split_names
from proxy.enrich.redact.windows import cut_end, cut_start, without_beginning
from storage.record import Content
from storage.redactions import bounded

_MAX_NESTING: Final = 8
"""Of parts and messages within each other; what is deeper is a secret as a whole."""
_USER_RULE: Final = "url-password"
"""By which what stands before the name of a host goes."""
_PATH_BYTES: Final = 3
"""At the least, before what is a secret: short paths are not searched, which takes 1 us
(bench/micro, redact).
"""


class Redactor:
    """Redacts by the built-in names and the configured ones. Not thread-safe: it memoises names."""

    __slots__ = (
        "_by_kind", "_form", "_graphql", "_headers", "_json", "_markup", "_min_bytes", "_parts_left",
        "_patterns", "_query", "hits",
    )  # fmt: skip

    def __init__(
        self,
        headers: Iterable[str] = (),
        query: Iterable[str] = (),
        json_keys: Iterable[str] = (),
        excepted: Iterable[str] = (),
        *,
        patterns: bool | Iterable[str] = True,
        rules: Iterable[Rule] = (),
        disabled: Iterable[str] = (),
    ) -> None:
        """Add names, in any spelling, patterns and rules; leave out some.

        Args:
            headers: Further names of fields whose values are secrets.
            query: The same, of parameters of queries and forms.
            json_keys: The same, of members of bodies.
            excepted: Names that are none, and places (`naming/values.py`).
            patterns: Further expressions; False leaves out all that is known by its looks.
            rules: Beside those that are built in.
            disabled: Ids of rules that do not count.
        """
        self.hits: Final[Hits] = Counter()
        """What was taken out since `take_hits`, by rule."""
        own = () if isinstance(patterns, bool) else patterns
        disabled = frozenset(disabled)
        query = tuple(query)
        json_keys = tuple(json_keys)
        places = tuple(excepted)
        excepted = (*places, *(id_.removeprefix(NAME) for id_ in disabled if id_.startswith(NAME)))
        excepted += tuple(MCP_ARGUMENT + name for name in excepted)
        named = partial(SecretNames, BUILT_IN, excepted=excepted)
        arguments = (MCP_ARGUMENT + name for name in (*BUILT_IN, *json_keys))
        self._headers = named(HEADERS_ONLY, headers, arguments, endings=HEADER_ENDINGS)
        parameters = partial(named, PARAMETERS_ONLY, query, parts_of=parameter_parts)
        in_query = parameters(QUERY_ONLY)
        in_form = parameters(json_keys)
        names = named(json_keys)
        found = SecretPatterns(own, (*built_in_rules(), *rules), disabled, self.hits, names)
        self._patterns = None if patterns is False else found
        if self._patterns is None:
            self._min_bytes = MIN_BYTES
        else:
            self._min_bytes = self._patterns.min_bytes
        by_names = names, self.hits, found.scanner
        self._json = JsonRedactor(names, places, self.hits, found.scanner)
        self._graphql, self._markup = GraphqlRedactor(*by_names), MarkupRedactor(*by_names)
        self._by_kind: Final[dict[Kind, ValueRedactor | SeparatedRedactor]] = {
            "assignments": AssignmentRedactor(*by_names),
            "separated": SeparatedRedactor(names, self.hits),
            "yaml": YamlRedactor(*by_names),
        }
        self._query = ParameterRedactor(
            in_query, self._json, self._graphql, self._patterns, self.hits
        )
        self._form = ParameterRedactor(
            in_form, self._json, self._graphql, self._patterns, self.hits
        )
        self._parts_left = MAX_PARTS

    def _may_hold(self, text: bytes) -> bool:
        """Whether a text that is no document of a format of its own has anything to take out: quick
        to say no.
        """
        if self._json.may_hold(text) or self._graphql.may_hold(text):
            return True
        return self._patterns is not None and self._patterns.may_hold(text)

    def take_hits(self) -> dict[str, int] | None:
        """Return how many secrets each rule has taken out since this was asked; None where there
        were none.
        """
        if not self.hits:
            return None
        taken = bounded(self.hits)
        self.hits.clear()
        return taken

    def redact_head(self, head: bytes) -> bytes:
        """Redact a head, whose lines may end in any way: secret fields, and parameters of the
        target and of URLs.
        """
        pieces = fields.LINE_END.split(head)
        lines = pieces[::2]
        lines[0] = self._redact_start_line(lines[0])
        self._redact_lines(lines)
        pieces[::2] = lines
        return self._by_pattern(pieces)

    def _by_pattern(self, pieces: list[bytes]) -> bytes:
        """Redact lines by pattern; where a name is excepted only the value, because patterns judge
        by names, too.
        """
        excepted = self._headers.excepted
        if not excepted:
            return self.redact_by_pattern(b"".join(pieces))

        cuts = [
            piece.find(b":") + 1 if normalise(piece.partition(b":")[0]) in excepted else 0
            for piece in pieces
        ]
        pairs = zip(pieces, cuts, strict=True)
        return b"".join([piece[:cut] + self.redact_by_pattern(piece[cut:]) for piece, cut in pairs])

    def redact_field(self, line: bytes) -> bytes:
        colon = line.find(b":")
        is_secret = colon > 0 and self._headers.has(line[:colon])
        return self._by_pattern(
            [
                fields.redact_secret_field(line, colon)
                if is_secret
                else self._redact_plain_field(line)
            ]
        )

    def is_secret_header(self, name: bytes) -> bool:
        return self._headers.has(name)

    def redact_by_pattern(self, text: bytes) -> bytes:
        """Redact known formats of secrets, without regard to names."""
        if self._patterns is None:
            return text
        return self._patterns.redact(text)

    def redact_text(self, text: str | None) -> str | None:
        """Redact short text that came out of a body, such as the name of a model."""
        if text is None or len(text) < self._min_bytes:
            return text
        redacted = self.redact_by_pattern(text.encode("utf-8", "surrogatepass"))
        if self._patterns is not None and len(text) >= MAX_TEXT_CHARACTERS:  # longer ones were cut
            redacted = without_beginning(redacted, self._patterns.scanner.begins_in)
        return redacted.decode("utf-8", "surrogatepass")

    def redact_value(self, value: bytes, kind: Kind = "other") -> bytes:
        return self._redact_window(value, kind, None, None if is_utf8(value) else "octets")[0]

    def may_hold_secret(self, text: bytes) -> bool:
        """Whether text must be redacted, when no name in it says so."""
        return len(text) >= self._min_bytes and (PERCENT in text or self._may_hold(text))

    def are_clean(self, texts: Iterable[bytes]) -> bool:
        """Whether none of several texts holds the name of a JSON key or a pattern: one search for
        all of them.

        What one text holds by itself it also holds between line ends, so none is missed.
        """
        return not self._may_hold(b"\n".join(texts))

    def names_secret(self, query: bytes) -> bool:
        """Whether a raw query gives a value to the name of a secret."""
        return redact_parameters(query, self._query.names) is not query

    def redact_query_names(self, query: bytes) -> bytes:
        """Redact a raw query that cannot hold a secret but by the name of a parameter
        (`may_hold_secret`).
        """
        if SEMICOLON not in query and QUESTION not in query and HASH not in query:
            is_secret = self._query.names.has
            for part in query.split(b"&"):
                name, equals, _ = part.partition(b"=")
                if equals and (name in BESIDE or is_secret(name)):
                    break
            else:  # nearly all: 0.5 us less
                return query

        return redact_parameters(query, self._query.names, self.hits)

    def redact_query(self, query: bytes) -> bytes:
        return self._query.redact(self._json.redact(query)[0] if QUOTE in query else query)

    def redact_path(self, path: bytes) -> bytes:
        """Redact a raw path: parameters of its segments (`/a;token=x/b`), and a fragment that
        should not be there.
        """
        has_value = EQUALS in path
        if has_value and (SEMICOLON in path or HASH in path):
            path, mark, fragment = path.partition(b"#")
            path = fields.PATH_PARAMETER.sub(self._redact_path_parameter, path)
            path += mark + self._query.redact(fragment)

        if has_value or len(path) >= self._min_bytes + _PATH_BYTES:
            return self.redact_by_pattern(path)

        return path

    def redact_body(
        self,
        head: bytes,
        tail: bytes,
        content_type: bytes,
        is_truncated: bool,
        *,
        is_clean: bool = False,
        content: Content | None = None,
    ) -> tuple[bytes, bytes]:
        """Redact the windows of a decoded body, which is no media.

        Args:
            head: the first kept bytes; all of them unless `is_truncated`.
            tail: the last kept bytes; what might be the rest of a secret from before them is cut off.
            content_type: as sent; empty when there was none.
            is_truncated: whether bytes between head and tail are missing.
            is_clean: whether `are_clean` said so of the head.
            content: what it is, where that is no text.
        """
        if (
            not is_truncated
            and not tail
            and content_type.startswith(b"application/json")
            and head[:1] in JSON_OPENS
            and NUL not in head[:4]
            and (is_clean or not self._may_hold(without_aside(head)))
        ):  # nearly all bodies: nothing below would find another kind (0.9 us less for 1 KB, bench/micro)
            return head, b""

        kind = kind_of(content_type, head)
        if kind == "multipart":
            boundary = boundary_of(content_type, head)
        else:
            boundary = None
        self._parts_left = MAX_PARTS
        if not is_truncated and tail:
            head = head + tail
            tail = b""
        if is_streamed(content_type, head):
            head, tail = redact_encoded_events(
                head, tail, content_type, is_truncated, self._redact_stream, self.hits
            )
            return self._redact_stream(head, tail, kind, boundary, is_truncated)

        redacted, end = self._redact_window(head, kind, boundary, content)
        if is_truncated and self._patterns is not None:
            redacted = cut_end(redacted, self._patterns.scanner.begins_in)
        # The rest of an object has no mark that shows its end.
        if not tail or end is End.IN_CONTAINER:
            return redacted, b""

        return redacted, self._redact_window(
            cut_start(tail, end, kind, boundary), kind, boundary, content
        )[0]

    def _redact_stream(
        self, head: bytes, tail: bytes, kind: Kind, boundary: bytes | None, is_truncated: bool
    ) -> tuple[bytes, bytes]:
        """Redact the windows of a stream: by names what spans its frames, then each frame, then the
        rest by looks.
        """
        if not is_truncated:
            return self._redact_whole_stream(head, kind, boundary), b""
        joined = joined_pieces(head)
        whole, open_names = redact_split_names(head, joined, self._json)
        redacted, end = self._redact_window(whole, kind, boundary)
        if self._patterns is not None:
            redacted = cut_end(redacted, self._patterns.scanner.begins_in)
            joined = joined if redacted is head else joined_pieces(redacted)
            redacted = redact_split(redacted, joined, self._patterns, is_cut_at_end=True)
        if not tail or end is End.IN_CONTAINER:
            return redacted, b""

        tail = cut_start(tail, end, kind, boundary)
        tail, _ = redact_split_names(tail, joined_pieces(tail), self._json, open_names)
        tail = self._redact_window(tail, kind, boundary)[0]
        if self._patterns is not None:
            tail = redact_split(tail, joined_pieces(tail), self._patterns, is_cut_at_start=True)
        return redacted, tail

    def _redact_whole_stream(self, text: bytes, kind: Kind, boundary: bytes | None) -> bytes:
        """Redact a stream that was kept whole. Frames are joined only where a quick look says that a
        secret may span them.
        """
        spanning = spanning_text(without_aside(text))
        whole = text
        if spanning is None or (QUOTE in spanning and self._json.may_hold(spanning)):
            whole, _ = redact_split_names(text, joined_pieces(text), self._json)
        redacted, _ = self._redact_window(whole, kind, boundary)
        if self._patterns is None:
            return redacted

        if redacted is not text:
            spanning = spanning_text(without_aside(redacted))
        if spanning is None or self._patterns.may_hold_any(spanning):
            return redact_split(redacted, joined_pieces(redacted), self._patterns)
        return redacted

    def _redact_window(
        self, text: bytes, kind: Kind, boundary: bytes | None, content: Content | None = None
    ) -> tuple[bytes, End]:
        left, aside = set_aside(text, content)
        redacted, end = self._redact_kind(left, kind, boundary)
        if redacted == left:
            return text, end
        return put_back(redacted, aside), end

    def _redact_kind(self, text: bytes, kind: Kind, boundary: bytes | None) -> tuple[bytes, End]:
        end = End.OUTSIDE
        if boundary is not None:
            text, is_open = self._redact_parts(text, boundary, 0)
            end = End.IN_STRING if is_open else End.OUTSIDE
        elif kind == "http":
            text = self._redact_messages(text, 0)
        elif kind == "form":
            text, end = self._json.redact(self._form.redact(text))
            if LF in text:  # a file of settings, which curl sends so
                text, end_of_line = self._by_kind["assignments"].redact(text)
                end = end_of_line if end is End.OUTSIDE else end
        else:
            text, end = self._redact_document(text, kind)
            if not self._may_hold(text):
                return text, end
            text, end_of_value = self._redact_named(text, is_body=True)
            end = end_of_value if end is End.OUTSIDE else end

        return self.redact_by_pattern(text), end

    def _redact_document(self, text: bytes, kind: Kind) -> tuple[bytes, End]:
        """Redact a text by its format, where that is not JSON."""
        if (own := self._by_kind.get(kind)) is not None:
            return own.redact(text)
        if is_markup(text):
            return self._markup.redact(text)
        return self._patterns.redact_octets(text) if self._patterns and is_binary(
            kind, text
        ) else text, End.OUTSIDE

    def _redact_named(self, text: bytes, *, is_body: bool = False) -> tuple[bytes, End]:
        text, end = self._json.redact(text, is_body=is_body)
        text, end_of_argument = self._graphql.redact(text)
        return text, end if end_of_argument is End.OUTSIDE else end_of_argument

    def _redact_parts(self, text: bytes, boundary: bytes, depth: int) -> tuple[bytes, bool]:
        return redact_multipart(
            text, boundary, self._form.names.has, partial(self._redact_part, depth), self.hits
        )

    def _redact_part(self, depth: int, headers: bytes, content: bytes) -> tuple[bytes, bool]:
        if not self._parts_left:
            return self._without_rest(headers + content), True
        self._parts_left -= 1
        headers = self.redact_head(headers)
        content, is_open = self._redact_within(content_type_in(headers), headers, content, depth)
        return headers + content, is_open

    def _redact_messages(self, text: bytes, depth: int) -> bytes:
        """Redact HTTP messages in a body: TRACE sends back the head of the request, cookies
        included.
        """
        pieces: list[bytes] = []
        seen: list[bytes] = []
        for head, content in messages_of(text):
            if not self._parts_left:
                pieces.append(self._without_rest(text[sum(map(len, seen)) :]))
                break
            seen += head, content
            self._parts_left -= 1
            content_type = content_type_in(head)
            content, _ = self._redact_within(content_type, content_type, content, depth)
            pieces += self.redact_head(head), content

        return b"".join(pieces)

    def _redact_within(
        self, content_type: bytes, named: bytes, content: bytes, depth: int
    ) -> tuple[bytes, bool]:
        """Redact what has a type of its own, within a body, and may be made of others, as in
        batches of OData.

        Args:
            content_type: as sent; empty when there was none.
            named: further evidence of its type: headers with the name of its file.
            content: all of it, or the captured part.
            depth: within so many others.

        Returns:
            The content, and whether it ended within a secret.
        """
        end = End.OUTSIDE
        kind = content_type.lower()
        is_multipart = b"multipart/" in kind
        is_http = HTTP.search(named) is not None
        if (is_multipart or is_http) and depth == _MAX_NESTING:
            return self._without_rest(content), True
        if is_multipart and (boundary := boundary_of(content_type, content.lstrip())) is not None:
            return self._redact_parts(content, boundary, depth + 1)
        if is_http:
            return self._redact_messages(content, depth + 1), False

        if b"x-www-form-urlencoded" in kind:
            content = self._form.redact(content)
        else:
            content, end = self._redact_document(content, kind_of_text(named.lower(), content))

        content, end_of_value = self._redact_named(content)
        return content, end is not End.OUTSIDE or end_of_value is not End.OUTSIDE

    def _without_rest(self, text: bytes) -> bytes:
        """Take out all of a text that is not looked into."""
        return edited(text, [Edit(0, len(text), MARK, REST)], self.hits)

    def _redact_start_line(self, line: bytes) -> bytes:
        target, space, version = line.rpartition(b" ")
        if not version.startswith(b"HTTP/"):
            target = redact_parameters(line, self._query.names, self.hits)
            space = b""
            version = b""

        path, mark, query = target.partition(b"?")
        query = self.redact_query(query)
        return b"".join((self.redact_path(path), mark, query, space, version))

    def _redact_lines(self, lines: list[bytes]) -> None:
        is_secret_before = False
        is_secret = self._headers.has

        for index in range(1, len(lines)):
            line = lines[index]
            colon = line.find(b":", 1)  # behind the one that begins a pseudo-field of HTTP/2
            if is_secret_before and (colon < 1 or line[0] in b" \t"):
                if line:  # a folded value, or one cut by a bare CR
                    lines[index] = b" " + MARK
                continue

            is_secret_before = colon > 0 and is_secret(line[:colon].lstrip(b":"))
            if is_secret_before:
                lines[index] = fields.redact_secret_field(line, colon)
            else:
                lines[index] = self._redact_plain_field(line)

    def _redact_plain_field(self, line: bytes) -> bytes:
        """Redact the secrets within a field's value that is not a secret itself: parameters, JSON,
        user of a URL.
        """
        if fields.BINARY_FIELD.match(line) is not None:
            return fields.redact_binary(line, partial(self.redact_value, kind="binary"))
        if EQUALS in line:
            line = self._redact_value(line)
        if PERCENT in line:  # as messages of gRPC are written
            name, colon, value = line.partition(b": ")
            line = name + colon + self._query.redact_encoded(value)
        line = self._json.redact(line)[0] if QUOTE in line else line
        return self._without_user(line) if AT in line else line

    def _without_user(self, line: bytes) -> bytes:
        found = fields.HOST_USER.match(line)
        if found is None:
            return line
        return found[1] + MARK + line[found.end() - 1 :]

    def _redact_value(self, value: bytes) -> bytes:
        """Redact parameters of URLs in a field, such as a Referer or a Location."""
        if SEMICOLON in value and fields.URL_FIELD.match(value) is not None:
            value = fields.URL_PATH.sub(self._redact_url_path, value)
        if QUESTION not in value and HASH not in value:
            return value
        return fields.URL_QUERY.sub(self._redact_url_query, value)

    def _redact_path_parameter(self, found: re.Match[bytes]) -> bytes:
        if not self._query.names.has(found[2]):
            return found[0]
        start = found.start(3) - found.start()
        return edited(
            found[0], [Edit(start, len(found[0]), MARK, rule_of_name(found[2]))], self.hits
        )

    def _redact_url_path(self, found: re.Match[bytes]) -> bytes:
        return fields.PATH_PARAMETER.sub(self._redact_path_parameter, found[0])

    def _redact_url_query(self, found: re.Match[bytes]) -> bytes:
        text = found[0]
        return text[:1] + self.redact_query(text[1:])
