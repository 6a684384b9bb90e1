"""Parameters of the API, and flags of commands, as terms of the search language.

`model=gpt-4o` is `model:"gpt-4o"`: the parameter's name is a search word. The value is literal
text, as in quotes, without wildcards. Statuses, numbers, times and addresses are parsed as in a
search.
"""

import re
from collections.abc import Sequence
from typing import Final

from storage.record import format_id, parse_id
from storage.search.expression import Expression, Is
from storage.search.language.errors import BadValue, shown
from storage.search.language.lexer import Term, Value, escaped, quoted
from storage.search.language.terms import read_term
from storage.search.language.words import word_of

SEARCH: Final = "query"
"""The parameter that takes a whole search."""
LISTS: Final = (
    "status", "method", "host", "endpoint", "route", "service", "project", "container", "client", "key", "level",
    "source", "direction", "outcome", "error_type", "request_id", "client_ip", "provider", "model", "finish_reason",
    "called_tool", "tool_error", "tool", "grpc_status", "redacted", "conversation",
)  # fmt: skip
"""Parameters that take several alternatives."""
SINGLES: Final = (
    "since", "until", "kind", "path", "trace_id", "user_agent", "header", "q", "min_latency_ms", "max_latency_ms",
)  # fmt: skip
"""Parameters that take one value."""
PARAMETERS: Final = (*LISTS, *SINGLES)
"""All parameters that are terms."""
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)", re.ASCII | re.DOTALL)
_EXPECTED_HEADER: Final = "a name, a colon and a part of the value, such as x-tenant:acme"
_ANY: Final = Value(("", ""), 0, 1, is_quoted=False, is_literal=False)


def read_parameter(name: str, texts: Sequence[str], now_us: int) -> Expression:
    """Parse the values of a parameter, at least one, as a term.

    Raises:
        BadValue: one of them is invalid.
    """
    if name == "conversation":
        # As a parameter, an invalid id matches nothing; in a search it is an error.
        ids = (parse_id(text) for text in texts)
        return Is(name, tuple(format_id(found) for found in ids if found is not None))
    if name == "header":
        return read_term(_header(texts[0]), now_us)

    # A quoted method would not be checked for misspelling.
    values = tuple(_literal(text, is_quoted=name != "method") for text in texts)
    return read_term(Term(name, values, 0, 0), now_us)


def written_term(name: str, text: str) -> str | None:
    """Return the search term for a parameter with a value; None if its name is not a search word.

    A value of a JSON path is escaped instead of quoted, since it may be compared with numbers.
    """
    word = word_of(name)
    if word is None:
        return None
    return f"{name}:{escaped(text) if word.kind == 'place' else quoted(text)}"


def _header(text: str) -> Term:
    found = _HEADER.fullmatch(text)
    if found is None:
        reason = f"header is {shown(text)}, expected {_EXPECTED_HEADER}"
        raise BadValue(text, _EXPECTED_HEADER, reason, 0, len(text))

    part = found[2].strip()
    return Term(f"header.{found[1]}", (_literal(part) if part else _ANY,), 0, 0)


def _literal(text: str, *, is_quoted: bool = True) -> Value:
    return Value((text,), 0, len(text), is_quoted=is_quoted, is_literal=True)
