"""Redact captured heads and bodies before they are stored.

Secrets are found first by the names of headers, parameters and JSON keys, then by the format of
known secrets (`rules/`, `patterns/secrets.py`). Heads are read line by line, parameters one by one,
bodies lexically by their content type. One pass over a text finds all candidates (`scanner.py`),
and every reader looks only there. Bytes outside secret values stay as they are.

Invariant: redacting twice changes nothing. A value whose name was seen is removed. At the edge of a
window, a possible rest of a secret is cut off (`windows.py`).
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
from proxy.enrich.redact.masked_runs import mask_runs, masked_text, unmask_runs
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
from proxy.enrich.redact.parameters import ParameterRedactor, redact_parameters
from proxy.enrich.redact.patterns.secrets import MIN_BYTES, SecretPatterns
from proxy.enrich.redact.rule import Rule, built_in_rules
from proxy.enrich.redact.spanning import spanning_text
from proxy.enrich.redact.streamed import joined_pieces, redact_split, redact_split_names
from proxy.enrich.redact.windows import cut_end, cut_start, without_beginning
from storage.record import Content
from storage.redactions import bounded
from storage.repeated_texts import RepeatedTexts

_MAX_NESTING: Final = 8
"""Parts and messages within each other; anything deeper is redacted as a whole."""
_PATH_BYTES: Final = 3
"""Minimum length of a path before a secret. Shorter paths are not searched; a search takes 1 us
(bench/micro, redact).
"""
_CLEAN_BYTES: Final = 1024 * 1024


class Redactor:
    """Redacts by built-in and configured names, patterns and rules. Not thread-safe: it memoises
    names.
    """

    __slots__ = (
        "_by_kind", "_clean", "_form", "_graphql", "_headers", "_json", "_markup", "_min_bytes", "_parts_left",
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
        """Add names, patterns and rules to the built-in ones, or disable some. Names may have any
        spelling.

        Args:
            headers: Further names of secret header fields.
            query: Further names of secret query and form parameters.
            json_keys: Further names of secret members in bodies.
            excepted: Names that are not secret, and paths (`naming/values.py`).
            patterns: Further expressions; False disables all recognition by format.
            rules: Rules in addition to the built-in ones.
            disabled: Ids of rules that are not applied.
        """
        self.hits: Final[Hits] = Counter()
        """Secrets redacted since `take_hits`, by rule."""
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
        self._clean: Final[RepeatedTexts[tuple[int, int]]] = RepeatedTexts(_CLEAN_BYTES)
        """For large bodies without secrets that occur again and again: how many bytes of the head
        and of the tail are shown.
        """

    def _may_hold(self, text: bytes) -> bool:
        """Return False if a text certainly has nothing to redact; fast.

        The text is not a document with a format of its own, such as YAML or markup.
        """
        if self._json.may_hold(text) or self._graphql.may_hold(text):
            return True
        return self._patterns is not None and self._patterns.may_hold(text)

    def take_hits(self) -> dict[str, int] | None:
        """Return the number of secrets that each rule has redacted since the last call; None if
        there were none.
        """
        if not self.hits:
            return None
        taken = bounded(self.hits)
        self.hits.clear()
        return taken

    def redact_head(self, head: bytes) -> bytes:
        """Redact a message head: secret fields, and parameters in the target and in URLs.

        Lines may end with CR, LF or both.
        """
        pieces = fields.LINE_END.split(head)
        lines = pieces[::2]
        lines[0] = self._redact_start_line(lines[0])
        self._redact_lines(lines)
        pieces[::2] = lines
        return self._by_pattern(pieces)

    def _by_pattern(self, pieces: list[bytes]) -> bytes:
        """Redact header lines by pattern. For an excepted name only the value is searched, because
        patterns also match names.
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
        """Redact known formats of secrets, regardless of names."""
        if self._patterns is None:
            return text
        return self._patterns.redact(text)

    def redact_text(self, text: str | None) -> str | None:
        """Redact short text taken from a body, such as a model name."""
        if text is None or len(text) < self._min_bytes:
            return text
        redacted = self.redact_by_pattern(text.encode("utf-8", "surrogatepass"))
        if self._patterns is not None and len(text) >= MAX_TEXT_CHARACTERS:  # Longer texts are cut.
            redacted = without_beginning(redacted, self._patterns.scanner.begins_in)
        return redacted.decode("utf-8", "surrogatepass")

    def redact_value(self, value: bytes, kind: Kind = "other") -> bytes:
        return self._redact_window(value, kind, None, None if is_utf8(value) else "octets")[0]

    def may_hold_secret(self, text: bytes) -> bool:
        """Return False if a text without secret names needs no redaction."""
        return len(text) >= self._min_bytes and (PERCENT in text or self._may_hold(text))

    def are_clean(self, texts: Iterable[bytes]) -> bool:
        """True if no text holds a JSON key or pattern to redact. One search covers all texts.

        They are joined by line ends, which hide no match.
        """
        return not self._may_hold(b"\n".join(texts))

    def redact_query_names(self, query: bytes) -> bytes:
        """Redact a raw query by parameter names alone; enough if `may_hold_secret` is False. Return
        the same object if no name is secret.
        """
        return redact_parameters(query, self._query.names, self.hits)

    def redact_query(self, query: bytes) -> bytes:
        return self._query.redact(self._json.redact(query)[0] if QUOTE in query else query)

    def redact_path(self, path: bytes) -> bytes:
        """Redact a raw path: parameters of its segments (`/a;token=x/b`), and a fragment, which
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
        """Redact the head and tail windows of a decoded body that is not media.

        Args:
            head: the first kept bytes; all of them unless `is_truncated`.
            tail: the last kept bytes; the rest of a secret that began before them is cut off.
            content_type: as sent; empty if missing.
            is_truncated: True if bytes between head and tail are missing.
            is_clean: True if `are_clean` was True for the head.
            content: kind of binary content; None for text.
        """
        if not is_truncated and tail:
            is_clean = False  # Which was said of the head alone.
            head += tail
            tail = b""
        if is_truncated:
            kind = b"%d\n%s%s" % (len(content_type), content_type, tail)
        else:
            kind = content_type
        key = self._clean.key_of(head, kind)
        if key is not None and (kept := self._clean.get(key)) is not None:
            head_bytes, tail_bytes = kept
            return head[:head_bytes], tail[len(tail) - tail_bytes :]

        hits = self.hits.total()
        shown_head, shown_tail = self._redact_windows(
            head, tail, content_type, is_truncated, is_clean=is_clean, content=content
        )
        if key is not None and hits == self.hits.total():
            is_cut_only = head.startswith(shown_head) and tail.endswith(shown_tail)
            if is_cut_only:
                self._clean.put(key, (len(shown_head), len(shown_tail)))
        return shown_head, shown_tail

    def _redact_windows(
        self,
        head: bytes,
        tail: bytes,
        content_type: bytes,
        is_truncated: bool,
        *,
        is_clean: bool,
        content: Content | None,
    ) -> tuple[bytes, bytes]:
        """Redact windows of a body whose result is not known; see `redact_body`."""
        if (
            not is_truncated
            and content_type.startswith(b"application/json")
            and head[:1] in JSON_OPENS
            and NUL not in head[:4]
            and (is_clean or not self._may_hold(masked_text(head)))
        ):  # Nearly all bodies end here, 0.9 us faster for 1 KB (bench/micro).
            return head, b""

        kind = kind_of(content_type, head)
        if kind == "multipart":
            boundary = boundary_of(content_type, head)
        else:
            boundary = None
        self._parts_left = MAX_PARTS
        if is_streamed(content_type, head):
            head, tail = redact_encoded_events(
                head, tail, content_type, is_truncated, self._redact_stream, self.hits
            )
            return self._redact_stream(head, tail, kind, boundary, is_truncated)

        redacted, end = self._redact_window(head, kind, boundary, content)
        if is_truncated and self._patterns is not None:
            redacted = cut_end(redacted, self._patterns.scanner.begins_in)
        # The rest of an object has nothing that marks its end.
        if not tail or end is End.IN_CONTAINER:
            return redacted, b""

        return redacted, self._redact_window(
            cut_start(tail, end, kind, boundary), kind, boundary, content
        )[0]

    def _redact_stream(
        self, head: bytes, tail: bytes, kind: Kind, boundary: bytes | None, is_truncated: bool
    ) -> tuple[bytes, bytes]:
        """Redact the windows of a stream.

        First values that span frames, by name; then each frame; then the rest by format.
        """
        if not is_truncated:
            return self._redact_whole_stream(head, kind, boundary), b""
        joined = joined_pieces(head)
        whole, open_names = redact_split_names(head, joined, self._json)
        redacted, end = self._redact_window(whole, kind, boundary)
        if self._patterns is not None:
            redacted = cut_end(redacted, self._patterns.scanner.begins_in)
            if redacted is head:
                joined = joined
            else:
                joined = joined_pieces(redacted)
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
        """Redact a stream that was kept whole. Frames are joined only if a prefilter finds that a
        secret may span them.
        """
        spanning = spanning_text(masked_text(text))
        whole = text
        if spanning is None or (QUOTE in spanning and self._json.may_hold(spanning)):
            whole, _ = redact_split_names(text, joined_pieces(text), self._json)
        redacted, _ = self._redact_window(whole, kind, boundary)
        if self._patterns is None:
            return redacted

        if redacted is not text:
            spanning = spanning_text(masked_text(redacted))
        if spanning is None or self._patterns.may_hold_any(spanning):
            return redact_split(redacted, joined_pieces(redacted), self._patterns)
        return redacted

    def _redact_window(
        self, text: bytes, kind: Kind, boundary: bytes | None, content: Content | None = None
    ) -> tuple[bytes, End]:
        masked, runs = mask_runs(text, content)
        redacted, end = self._redact_kind(masked, kind, boundary)
        if redacted == masked:
            return text, end
        return unmask_runs(redacted, runs), end

    def _redact_kind(self, text: bytes, kind: Kind, boundary: bytes | None) -> tuple[bytes, End]:
        end = End.OUTSIDE
        if boundary is not None:
            text, is_open = self._redact_parts(text, boundary, 0)
            end = End.IN_STRING if is_open else End.OUTSIDE
        elif kind == "http":
            text = self._redact_messages(text, 0)
        elif kind == "form":
            text, end = self._json.redact(self._form.redact(text))
            if LF in text:  # curl sends settings files with this type.
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
        """Redact a text by its format, if that is not JSON."""
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
        """Redact HTTP messages within a body. A response to TRACE repeats the request head, cookies
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
        """Redact content that has its own type within a body. It may contain further parts, as
        OData batches do.

        Args:
            content_type: as sent; empty if missing.
            named: further evidence of its type: headers with the file name.
            content: all of it, or the captured part.
            depth: number of bodies that it is nested in.

        Returns:
            The redacted content, and True if it ended within a secret.
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
        """Redact a whole text without reading it."""
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
            colon = line.find(b":", 1)  # A pseudo-field of HTTP/2 begins with a colon.
            if is_secret_before and (colon < 1 or line[0] in b" \t"):
                if line:  # A folded value, or one split at a bare CR.
                    lines[index] = b" " + MARK
                continue

            is_secret_before = colon > 0 and is_secret(line[:colon].lstrip(b":"))
            if is_secret_before:
                lines[index] = fields.redact_secret_field(line, colon)
            else:
                lines[index] = self._redact_plain_field(line)

    def _redact_plain_field(self, line: bytes) -> bytes:
        """Redact secrets within the value of a field that is not secret: parameters, JSON, the user
        of a URL.
        """
        if fields.BINARY_FIELD.match(line) is not None:
            return fields.redact_binary(line, partial(self.redact_value, kind="binary"))
        if EQUALS in line:
            line = self._redact_value(line)
        if PERCENT in line:  # gRPC encodes its status messages this way.
            name, colon, value = line.partition(b": ")
            line = name + colon + self._query.redact_encoded(value)
        if QUOTE in line:
            line = self._json.redact(line)[0]
        else:
            line = line
        if AT in line:
            return self._without_user(line)
        return line

    def _without_user(self, line: bytes) -> bytes:
        found = fields.HOST_USER.match(line)
        if found is None:
            return line
        return found[1] + MARK + line[found.end() - 1 :]

    def _redact_value(self, value: bytes) -> bytes:
        """Redact the parameters of URLs in a field such as Referer or Location."""
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
