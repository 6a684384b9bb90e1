"""The forms of values: rules for the value of a setting, beyond its type and bounds.

A form returns the fault of a value, in words, or an empty text. Standards: RFC 9110 §5.1 (field
names are tokens), §7.2 (Host).
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from typing import Any, Final

from proxy.egress.hosts import is_pattern
from proxy.settings.addresses import PRIVATE, parse_address, parse_listen, parse_upstream
from proxy.settings.templates import is_template

Form = Callable[[Any], str]
"""Returns the fault of a value; empty if it has the form."""

_MIN_STORE_BYTES: Final = 8 * 1024 * 1024
"""Smallest size cap: a store needs about this much for its own tables, its indexes and its newest
records.
"""
_MIN_HEAD_BYTES: Final = 256
"""Smallest limit on heads; a lower one would refuse every request."""
_MIN_SHARE: Final = 0.000001
"""Smallest share, since weights are kept to a millionth."""
_MAX_EXAMPLE_LENGTH: Final = 4000
_TCHAR: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"


def _expecting(expected: str, fits: Callable[[Any], object]) -> Form:
    """Return the form of all values that `fits` accepts."""

    def fault_of(value: Any) -> str:
        if fits(value):
            return ""
        return f"expected {expected}, got {value!r}"

    return fault_of


def _matching(expected: str, pattern: str) -> Form:
    """Return the form of texts that match a pattern as a whole."""
    return _expecting(expected, re.compile(pattern).fullmatch)


def _parsed_by(parse: Callable[[str], object], fault: str = "") -> Form:
    """Return the form of texts that a parser accepts. Without a fault its error is the fault."""

    def fault_of(text: str) -> str:
        try:
            parse(text)
        except ValueError as error:
            return f"{fault or error}, got {text!r}"
        return ""

    return fault_of


def _parse_network(text: str) -> None:
    if text != PRIVATE:
        ipaddress.ip_network(text, strict=False)


def _parse_target(text: str) -> None:
    address = parse_upstream(text)
    if address.scheme == "unix":
        raise ValueError("expected http://… or https://…")
    if address.base_path:
        raise ValueError("expected scheme, host and port without a path")


def _zero_or_at_least(least: int) -> Form:
    return _expecting(f"0 or at least {least} bytes", lambda size: not 0 < size < least)


def kept_name(text: str) -> str:
    """Return the fault of a name that is not secret, or of a place in bodies."""
    if text.startswith("body.") and "" in text.split("."):
        return f"expected a place such as body.properties.*, got {text!r}"
    return SECRET_NAME(text)


def example(text: str) -> str:
    """Return the fault of an example of a rule, whose text may be long."""
    if 0 < len(text) <= _MAX_EXAMPLE_LENGTH:
        return ""
    return f"expected a text of 1 to {_MAX_EXAMPLE_LENGTH} characters, got {len(text)}"


LISTEN: Final = _parsed_by(parse_listen)
ADDRESS: Final = _parsed_by(parse_address)
TARGET: Final = _parsed_by(_parse_target)
NETWORK: Final = _parsed_by(_parse_network, "expected an address, a CIDR or `private`")
DAY: Final = _parsed_by(date.fromisoformat, "expected a day such as 2026-03-01")
HEADER_NAME: Final = _matching("header names", f"{_TCHAR}+")
HEADER: Final = _matching("a header name", f"{_TCHAR}*")
"""Of a setting that may be empty."""
LABEL: Final = _matching("letters, digits, `.`, `_` and `-`", "[A-Za-z0-9._-]*")
LINE: Final = _matching("text without CR, LF and NUL", r"[^\r\n\0]*")
RECEIVED_HOST: Final = _matching(
    "a host without a port: it takes requests for any", f"(?:{_HOST})?"
)
ALLOWED_HOST: Final = _matching("a host without a port: it is accepted with any", _HOST)
SENT_HOST: Final = _matching("a host, or host:port", f"(?:{_HOST}(?::[0-9]{{1,5}})?)?")
ADMIN_HOST: Final = _matching(
    "a host name in lower case without port", r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*"
)
HOST_PATTERN: Final = _expecting(
    "a name or an address without a port, *.example.com or *", is_pattern
)
PATH: Final = _matching(
    "a raw path that begins with /, without query", r"/[!-\"$->@-~]*"
)  # visible ASCII without # and ?
TEMPLATE: Final = _expecting("a path that begins with /, without query", is_template)
ROUTE_ID: Final = _expecting(
    "printable text without blanks around it",
    lambda text: text.isprintable() and text == text.strip(),
)
ALERT_NAME: Final = _expecting(
    "printable characters and no slash", lambda text: text.isprintable() and "/" not in text
)
TOKEN_NAME: Final = _matching(
    "letters, digits, `.`, `_`, `-`, and not `admin`", r"(?!admin\Z)[A-Za-z0-9._-]{1,64}"
)
SECRET_NAME: Final = _expecting(
    "a name of more than - and _",
    # An empty name would be the part of `items[]` that is empty, too.
    lambda text: text.strip().strip("-_."),
)
RULE_ID: Final = _matching(
    "at most 64 small letters and digits, with hyphens between them",
    r"(?=.{1,64}\Z)[a-z0-9]+(?:-[a-z0-9]+)*",
)
LITERAL: Final = _matching(
    "2 to 64 characters of ASCII, without quotes, backslashes and ends of lines",
    r"[ !#-&(-\[\]-~]{2,64}",
)
"""Quotes, backslashes and ends of lines are often escaped, and escaped literals are not found."""
SHARE: Final = _expecting(f"0, or {_MIN_SHARE} at least", lambda share: not 0 < share < _MIN_SHARE)
HEAD_BYTES: Final = _zero_or_at_least(_MIN_HEAD_BYTES)
STORE_BYTES: Final = _zero_or_at_least(_MIN_STORE_BYTES)
