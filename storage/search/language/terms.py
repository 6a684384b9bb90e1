"""Parse one term of a search to a condition on a record; its word determines how values are parsed.
Pure.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from storage.grpc import STATUSES, status_name
from storage.record import LEVELS, format_id, parse_id
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    InNetwork,
    Is,
    Like,
    Not,
    Substring,
    Text,
    either,
)
from storage.search.language.errors import BadValue, SearchError, shown
from storage.search.language.lexer import Term, Value, escaped
from storage.search.language.moments import EXPECTED_RELATIVE, moment_us
from storage.search.language.quantities import (
    COUNT,
    DECIMAL,
    DURATION,
    NUMBER,
    SIZE,
    Measure,
    is_compared,
    read_range,
)
from storage.search.language.words import (
    PREFIXES,
    SYNONYMS,
    WORDS,
    Word,
    all_names,
    closest,
    find_word,
    meant_method,
    method_spellings,
)
from storage.search.phrase import Phrase
from storage.search.reason import has_reason

_CLASS: Final = re.compile(r"[1-5][xX][xX]", re.ASCII)
_STATUSES: Final = re.compile(
    r"[1-5][0-9][0-9]|(?:>=?|<=?)[1-9][0-9][0-9]|[1-9][0-9][0-9]\.\.[1-9][0-9][0-9]", re.ASCII
)
"""A service may send statuses outside of HTTP; a range finds them."""
_EXPECTED_STATUS: Final = (
    "a status from 100 to 599 such as 404, a class from 1xx to 5xx, >=400, or a range such as "
    "600..999"
)
_LEVEL_SIGNS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    ">=": int.__ge__, "<=": int.__le__, ">": int.__gt__, "<": int.__lt__,
}  # fmt: skip
_HEX_OR_UUID: Final = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII
)
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""Prefix of an IPv4 address that is written as IPv6."""
_ALMOST_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.(?:\d{1,3}|\*)){2,3}(?:/.*)?", re.ASCII)
"""Text meant as an IPv4 address or network, valid or not."""
_EXPECTED_ADDRESS: Final = "an address or a network such as 10.0.0.0/8"

_EXPECTED_GRPC_STATUS: Final = "a status of gRPC such as 14, UNAVAILABLE or !OK"
_MAX_CODE_DIGITS: Final = 9
_UNENCODED: Final = "/!$&'()*+,;=:@~"
"""Characters that clients leave as they are in a path (RFC 3986 §3.3)."""
_INDEX: Final = re.compile(r"\[(\d*)\]", re.ASCII)

_EXPECTED_ID: Final = "an id, which is a UUID or req_ and 26 characters"
_MAX_MS: Final = ((1 << 63) - 1) // 1000
_LATENCIES: Final[Mapping[str, Callable[[int], Between]]] = {
    "min_latency_ms": lambda us: Between("duration_us", us, None),
    "max_latency_ms": lambda us: Between("duration_us", None, us),
}
"""Names of parameters that the search box does not suggest, since `duration` does the same."""
_CONTAINED: Final = "q"
"""Name of another such parameter: `q:part` is `*part*`."""


def read_term(term: Term, now_us: int) -> Expression:
    """Parse a term.

    Raises:
        SearchError: the word is unknown, or it does not accept a value.
    """
    if term.name is None:
        return _bare(term.values[0])
    if (bound := _LATENCIES.get(term.name.lower())) is not None:
        return any_of([bound(1000 * _whole_ms(value, term.name)) for value in term.values])
    if term.name.lower() == _CONTAINED:
        return any_of([_contained(value) for value in term.values])

    word = _word(term.name, term)
    if word.name in ("since", "until"):
        return any_of([_moment(value, word, now_us) for value in term.values])

    return any_of([_read(value, word) for value in term.values])


def _read(value: Value, word: Word) -> Expression:
    """Parse a value; `*` alone matches any value."""
    is_any = value.parts == ("", "") and word.kind not in ("choice", "text", "reason")
    if is_any:
        return Has(word.field)
    return _READERS[word.kind](value, word)


def _word(name: str, term: Term) -> Word:
    prefix, _, key = name.partition(".")
    found = PREFIXES.get(prefix.lower())
    is_place = found is not None and found.kind == "place"

    if key and found is not None:
        if is_place and _INDEX.search(key) and '"' not in key:
            meant = _INDEX.sub(r".\1", name).replace("..", ".").removesuffix(".")
            reason = f"{shown(name)}: items of a list are named as in {meant}"
            raise SearchError(reason, term.position, len(name), expected=(meant,))

        key = key if is_place else key.lower()
        return Word(
            name=name,
            kind=found.kind,
            field=f"{found.field}.{key}",
            help=found.help,
            example=found.example,
        )

    word = find_word(name)
    if word is None:
        near = closest(name)
        names = tuple(all_names())
        if near:
            meant = f"; did you mean {' or '.join(near)}?"
        else:
            meant = f"; the words are {', '.join(names)}."
        if is_place:
            as_text = 'text in a body, write it alone: "…"'
        else:
            as_text = f'it as text, put it in quotes: "{name}:…"'
        reason = f"{shown(name)} is an unknown search word{meant} To find {as_text}"
        raise SearchError(
            reason, term.position, len(name), expected=tuple(dict.fromkeys((*near, *names)))
        )

    return word


def any_of(parts: list[Expression]) -> Expression:
    """Return a condition that holds if one of the parts does; exact values of one field become one
    leaf.
    """
    exact = [part for part in parts if isinstance(part, Is)]
    if len(exact) > 1:
        values = tuple(dict.fromkeys(value for part in exact for value in part.values))
        parts = [Is(exact[0].field, values), *(part for part in parts if not isinstance(part, Is))]
    return either(parts)


def _bare(value: Value) -> Expression:
    if value.text.startswith("/") and not value.is_quoted:
        return _part(value, WORDS["path"])
    return _text(value, WORDS["path"])


def _whole_ms(value: Value, name: str) -> int:
    text = value.text
    is_whole = text.isascii() and text.isdigit() and len(text) <= 64
    if not is_whole or int(text) > _MAX_MS:
        raise _refused(value, name, f"whole milliseconds, a decimal number from 0 to {_MAX_MS}")
    return int(text)


def _contained(value: Value) -> Expression:
    return _text(replace(value, parts=("", value.text, "")), WORDS["text"])


def _refused(value: Value, name: str, limit: str, *, expected: tuple[str, ...] = ()) -> BadValue:
    """Return the error for a value that its word does not accept."""
    reason = f"{name} is {shown(value.text)}, expected {limit}"
    return BadValue(value.text, limit, reason, value.position, value.length, expected=expected)


def _text(value: Value, word: Word) -> Expression:
    """Parse words, a phrase, a prefix of a word, or a substring."""
    parts = value.parts
    if len(parts) == 3 and not parts[0] and not parts[2] and parts[1]:
        return Substring(parts[1])
    if len(parts) > 2 or (len(parts) == 2 and parts[1]):
        reason = (
            f"{shown(value.text)}: a * stands behind the beginning of a word, or at both ends of "
            "a part of a text"
        )
        raise SearchError(reason, value.position, value.length)

    phrase = Phrase.of(parts[0], is_prefix=len(parts) == 2)
    if phrase is None:
        if parts[0]:
            hint = f"; *{escaped(parts[0])}* finds it as it is written"
        else:
            hint = ""
        reason = f"{shown(value.text)} holds no letter or digit{hint}"
        raise SearchError(reason, value.position, max(value.length, 1))

    return Text(phrase)


def _place(value: Value, word: Word) -> Expression:
    """Parse a comparison or a range of numbers, else as `_name` does."""
    if not value.is_literal and (
        is_compared(value.text) or (".." in value.text and not value.is_quoted)
    ):
        return _number(value, word, NUMBER)
    return _name(value, word)


def _name(value: Value, word: Word) -> Expression:
    if value.is_pattern:
        return Like(word.field, value.parts)
    if word.is_upper:
        text = value.text.upper()
        meant = meant_method(text)
        if meant is not None and not value.is_quoted:
            reason = (
                f'{word.name} is {shown(text)}, did you mean {meant}? {word.name}:"{text}" finds it'
            )
            limit = f'{meant}, or query={word.name}:"{text}" for this one'
            raise BadValue(text, limit, reason, value.position, value.length, expected=(meant,))
        return Is(word.field, method_spellings(value.text))

    if word.is_lower:
        text = value.text.lower()
    else:
        text = value.text
    return Is(word.field, (text,))


def _part(value: Value, word: Word) -> Expression:
    """Parse a substring; a pattern, or a text after `=`, must match the whole value."""
    if value.is_pattern:
        parts = value.parts
    else:
        parts = ("", *value.parts, "")
    if value.parts[0].startswith("=") and not value.is_literal:
        parts = (value.parts[0][1:], *value.parts[1:])
    if word.field != "path":
        return Like(word.field, parts)
    if value.is_quoted or "?" not in value.text:
        return _path(parts)

    return _target(parts)


def _target(parts: tuple[str, ...]) -> Expression:
    """Parse a path with a query, as lists show it: the part before the `?` ends the path, the part
    after it begins the query.
    """
    place = next(place for place, part in enumerate(parts) if "?" in part)
    before, _, behind = parts[place].partition("?")
    path = (*parts[:place], before)
    query = (behind, *parts[place + 1 :])
    return And((_path(path), Like("query", query)))


def path_contains(text: str) -> Expression:
    """Require that the path contains a text, literally or percent-encoded."""
    return _path(("", text, ""))


def path_spellings(text: str) -> list[str]:
    """Return a part of a path literally and percent-encoded, as clients send `café` and `a b`."""
    encoded = quote(text, safe=_UNENCODED, errors="surrogatepass")
    if encoded == text:
        return [text]
    return [text, encoded]


def _path(parts: tuple[str, ...]) -> Expression:
    spellings = [path_spellings(part) for part in parts]
    written = dict.fromkeys(
        (tuple(each[0] for each in spellings), tuple(each[-1] for each in spellings))
    )
    return any_of([Like("path", spelling) for spelling in written])


def _choice(value: Value, word: Word) -> Expression:
    text = value.text.lower()
    text = SYNONYMS.get(text, text)
    if value.is_pattern:
        return Like(word.field, value.parts)

    if word.name == "level":
        for sign, holds in _LEVEL_SIGNS.items():
            if text.startswith(sign) and text.removeprefix(sign) in LEVELS:
                than = tuple(LEVELS).index(text.removeprefix(sign))
                return Is(
                    word.field,
                    tuple(name for place, name in enumerate(LEVELS) if holds(place, than)),
                )

    if text not in word.values:
        raise _refused(value, word.name, f"one of {', '.join(word.values)}", expected=word.values)
    if word.name == "kind" and text == "all":
        return Has(word.field)

    return Is(word.field, (text,))


def read_status(text: str) -> Expression | None:
    """Parse a status, a class, a comparison or a range; None if the text is invalid."""
    if _CLASS.fullmatch(text):
        return Between("status", int(text[0]) * 100, int(text[0]) * 100 + 99)
    if _STATUSES.fullmatch(text):
        return read_range("status", text, COUNT)
    return None


def _status(value: Value, word: Word) -> Expression:
    found = read_status(value.text)
    if found is None:
        raise _refused(value, word.name, _EXPECTED_STATUS)
    return found


def _number(value: Value, word: Word, measure: Measure) -> Expression:
    found = read_range(word.field, value.text, measure)
    if found is None:
        raise _refused(value, word.name, measure.expected)
    return found


def _moment(value: Value, word: Word, now_us: int) -> Expression:
    try:
        at_us = moment_us(value.text, now_us)
    except ValueError:
        raise _refused(value, word.name, EXPECTED_RELATIVE) from None
    since = word.name == "since"
    return Between(word.field, at_us if since else None, None if since else at_us - 1)


def read_network(text: str) -> Expression | None:
    """Parse an address or a network; None if the text is invalid.

    An IPv4 address matches both of its notations: a socket of both families reports
    `::ffff:10.0.0.1` (RFC 4291).
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None

    first = network.network_address.packed
    last = network.broadcast_address.packed
    if first[:-4] == last[:-4] == _MAPPED:
        first = first[-4:]
        last = last[-4:]
    found = InNetwork(first, last)
    if len(first) == 4:
        return either((found, InNetwork(_MAPPED + first, _MAPPED + last)))

    return found


def _address(value: Value, word: Word) -> Expression:
    network = read_network(value.text)
    if network is None:
        raise _refused(value, word.name, _EXPECTED_ADDRESS)
    return network


def _client(value: Value, word: Word) -> Expression:
    """Parse an address or a network, or else the name of a client."""
    if value.is_quoted:
        return _name(value, word)
    if _ALMOST_ADDRESS.fullmatch(value.text):
        return _address(value, word)
    return read_network(value.text) or _name(value, word)


def stored_trace_id(text: str) -> str:
    """Return a trace id as it is stored: lower case, without the hyphens of a UUID."""
    lowered = text.strip().lower()
    if _HEX_OR_UUID.fullmatch(lowered):
        return lowered.replace("-", "")
    return lowered


def _trace(value: Value, word: Word) -> Expression:
    if value.is_pattern:
        return _name(value, word)
    return Is(word.field, (stored_trace_id(value.text),))


def _id(value: Value, word: Word) -> Expression:
    found = parse_id(value.text)
    if found is None:
        raise _refused(value, word.name, _EXPECTED_ID)
    return Is(word.field, (format_id(found),))


def read_grpc_status(text: str) -> Expression | None:
    """Parse the name or number of a gRPC status; after `!` any other status. None if the text is
    invalid.
    """
    name = text.removeprefix("!").upper()
    if name.isascii() and name.isdigit() and len(name) <= _MAX_CODE_DIGITS:
        name = status_name(int(name))
    if name not in STATUSES:
        return None

    found = Is("grpc_status", (name,))
    if text.startswith("!"):
        return And((Has("grpc_status"), Not(found)))

    return found


def _grpc_status(value: Value, word: Word) -> Expression:
    if value.is_pattern:
        return Like(word.field, value.parts)
    found = read_grpc_status(value.text)
    if found is None:
        raise _refused(value, word.name, _EXPECTED_GRPC_STATUS, expected=word.values)
    return found


_READERS: Final[Mapping[str, Callable[[Value, Word], Expression]]] = {
    "name": _name,
    "place": _place,
    "part": _part,
    "choice": _choice,
    "status": _status,
    "duration": lambda value, word: _number(value, word, DURATION),
    "bytes": lambda value, word: _number(value, word, SIZE),
    "count": lambda value, word: _number(value, word, COUNT),
    "decimal": lambda value, word: _number(value, word, DECIMAL),
    "address": _address,
    "client": _client,
    "trace": _trace,
    "id": _id,
    "text": _text,
    "grpc": _grpc_status,
    "reason": lambda value, word: has_reason(value.parts),
}
