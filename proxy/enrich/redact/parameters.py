"""Redact parameters of queries and forms: `a=b&c=d`.

Secrets are found by name, then within percent-encoded values (JSON in a form field, a URL in a
query, a GraphQL document), then by format. A changed value is encoded again; all other bytes stay.

Some servers also split at semicolons: a secret after one is redacted up to the next ampersand. Some
names are secret only together with others: `p` next to `u` is a password (InfluxDB, Subsonic), else
a page; `code` next to `state`, `grant_type` and similar is exchanged for a token (RFC 6749 §4.1),
else it may be a country code.
"""

import re
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from proxy.enrich.redact.documents.graphql import GraphqlRedactor, Variables, redact_members
from proxy.enrich.redact.edits import MARK, Edit, Hits, edited, rule_of_name
from proxy.enrich.redact.json_keys import JsonRedactor
from proxy.enrich.redact.names import DECODE_ROUNDS, SecretNames
from proxy.enrich.redact.octets import EQUALS, HASH, PERCENT, QUESTION, QUOTE, SEMICOLON
from proxy.enrich.redact.patterns.secrets import SecretPatterns

SECRET_IN_CONTEXT: Final = {
    b"p": (b"u=",),
    b"code": (b"state=", b"grant_type=", b"scope=", b"redirect_uri="),
}
"""Names that may be secret → beginnings of parameters; one of them must be present."""
_OTHER_MEANING: Final = re.compile(rb"p=\d{0,3}|code=.{0,9}", re.DOTALL)
_SUBDELIMITER: Final = re.compile(rb"([;?#])")
_NO_QUERY: Final = re.compile(rb'[\s"]')
"""Bytes that show that a decoded value is not a query but other text."""
_ENCODED: Final = re.compile(rb"%(?:25)*(?:22|3[dD])")
"""A quote or an equals sign, percent-encoded any number of times. Without one, no value contains
names.
"""


class ParameterRedactor:
    """Redacts the parameters of one kind of text: queries or forms."""

    __slots__ = ("_graphql", "_hits", "_json", "_patterns", "names")

    def __init__(
        self,
        names: SecretNames,
        json: JsonRedactor,
        graphql: GraphqlRedactor,
        patterns: SecretPatterns | None,
        hits: Hits,
    ) -> None:
        """Values are also searched by `json` and `graphql`. Without `patterns`, only names
        count.
        """
        self._hits = hits
        self.names = names
        self._json = json
        self._graphql = graphql
        self._patterns = patterns

    def redact(self, text: bytes) -> bytes:
        """Redact parameters by name, by the content of their values, and by format, also
        percent-decoded.
        """
        text = redact_parameters(text, self.names, self._hits)
        if text.find(b"query=") >= 0 or _ENCODED.search(text) is not None:
            text = self._redact_values(text)
        if self._patterns is None or not (
            self._patterns.may_hold(text) and self._patterns.find(text)
        ):
            return text

        # Parameters are redacted one by one, so that a match stays within its value.
        return b"&".join(map(self._patterns.redact, text.split(b"&")))

    def _redact_values(self, text: bytes) -> bytes:
        parts = text.split(b"&")
        documents = [part for part in parts if part.startswith(b"query=")]
        variables = self._graphql.variables_in(
            unquote_to_bytes(b" ".join(documents).replace(b"+", b" "))
        )

        for index, part in enumerate(parts):
            name, equals, value = part.partition(b"=")
            if name == b"query":
                value = self._graphql.redact_parameter(value)
            elif name == b"variables" and variables:
                value = self._redact_variables(value, variables)

            if equals and PERCENT in value:
                value = self.redact_encoded(value)
            parts[index] = name + equals + value

        return b"&".join(parts)

    def _redact_variables(self, value: bytes, variables: Variables) -> bytes:
        plain = unquote_to_bytes(value.replace(b"+", b" "))
        redacted = redact_members(plain, variables, self._hits)
        if redacted is plain:
            return value
        return quote_plus(redacted, safe="[]").encode()

    def redact_encoded(self, value: bytes) -> bytes:
        """Redact the parameters within an encoded value by name; return the same object if there
        are none.
        """
        plain = value
        for rounds in range(1, DECODE_ROUNDS + 1):
            if _ENCODED.search(plain) is None:
                break
            plain = unquote_to_bytes(plain.replace(b"+", b" "))
            if QUOTE in plain:
                redacted = self._json.redact(plain)[0]
            else:
                redacted = plain
            if _NO_QUERY.search(plain) is None:
                redacted = redact_parameters(redacted, self.names, self._hits)
            if redacted != plain:
                for _ in range(rounds):
                    redacted = quote_plus(redacted, safe="[]").encode()
                return redacted

        return value


def redact_parameters(text: bytes, names: SecretNames, hits: Hits | None = None) -> bytes:
    """Redact parameters by name, and count them in `hits`; return the same object if nothing
    changes.
    """
    if EQUALS not in text:
        return text
    parts = text.split(b"&")
    is_changed = False
    in_context: dict[bytes, bool] = {}
    for index, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if not equals:
            continue

        is_secret = names.has(name)
        if name in SECRET_IN_CONTEXT and not is_secret and _OTHER_MEANING.fullmatch(part) is None:
            if name not in in_context:  # Thousands of parts may share it.
                in_context[name] = any(other.startswith(SECRET_IN_CONTEXT[name]) for other in parts)
            is_secret = in_context[name]

        if is_secret and (name in SECRET_IN_CONTEXT or names.has(_last_of(name))):
            parts[index] = _without_value(name, part, 0, hits)
            is_changed = True
        elif SEMICOLON in part or QUESTION in part or HASH in part:
            parts[index] = _redact_subparts(part, names, hits)
            is_changed = is_changed or parts[index] is not part

    if is_changed:
        return b"&".join(parts)
    return text


def _redact_subparts(part: bytes, names: SecretNames, hits: Hits | None) -> bytes:
    pieces = _SUBDELIMITER.split(part)
    for index in range(0, len(pieces), 2):
        name, equals, _ = pieces[index].partition(b"=")
        if equals and names.has(name):
            return _without_value(name, part, sum(map(len, pieces[:index])), hits)
    return part


def _without_value(name: bytes, part: bytes, at: int, hits: Hits | None) -> bytes:
    """Redact a part from the value of a name to its end; the name begins at `at`."""
    value = at + len(name) + 1
    return edited(
        part, [Edit(value, len(part), MARK, rule_of_name(unquote_to_bytes(_last_of(name))))], hits
    )


def _last_of(name: bytes) -> bytes:
    """Return a name without the address or subparts in front of it: `token` for `a?token`."""
    return _SUBDELIMITER.split(name)[-1]
