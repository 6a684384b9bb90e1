"""Redaction of JSON: against a model that parses, on everything JSON can be."""

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.json_keys import JsonRedactor
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.names import BUILT_IN, SecretNames, normalise
from proxy.enrich.redact.naming.anchors import anchors_of
from proxy.enrich.redact.naming.values import (
    is_fact,
    is_folder,
    is_member_kept,
    is_number_kept,
    is_sign,
    is_word_kept,
)
from proxy.enrich.redact.scanner import Scanner
from tests.support.cases import each_of


def redactor_of(names: SecretNames) -> JsonRedactor:
    return JsonRedactor(names, (), Counter(), Scanner((), anchors_of(names.spelled)))


SECRET_NAMES = SecretNames(BUILT_IN)
REDACTOR = redactor_of(SECRET_NAMES)
MARK = "[REDACTED]"

texts = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), max_size=12)
keys = st.one_of(
    texts, st.sampled_from([*BUILT_IN, "accessToken", "PASSWORD", "max_tokens", "Api_Key"])
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3).map(json.dumps),  # JSON inside a string
        st.dictionaries(keys, inner, max_size=3).map(
            lambda value: json.dumps(value, ensure_ascii=False, indent=1)
        ),
    ),
    max_leaves=12,
)


def model(value: Any) -> Any:
    """Redact by parsing, strings that hold JSON included."""
    if isinstance(value, dict):
        return {
            key: secret(key, inner) if is_secret(key) else model(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [model(inner) for inner in value]
    if (parsed := inner_of(value)) is not None:
        return ["inner", model(parsed)]

    return value


def secret(name: str, value: Any, member: str = "", outer: str = "", is_in: bool = False) -> Any:
    """Redact what has a secret name, or is within it."""
    if isinstance(value, dict):
        return {key: secret(name, inner, key, member, is_in=True) for key, inner in value.items()}
    if isinstance(value, list):
        return [secret(name, inner, member, outer, is_in=True) for inner in value]
    if isinstance(value, str):
        return judged(name, value, member, outer, is_in=is_in)

    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (
        is_number
        and not member
        and not is_number_kept(normalise(name.encode()), str(value).encode())
    ):
        return MARK

    return value


class Undecided(str):
    """A string that may stay or go: it is judged as it is written, and its spellings are judged
    differently.
    """

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return other == MARK or str.__eq__(self, other)


def judged(name: str, value: str, member: str, outer: str, *, is_in: bool) -> str:
    """Judge a string in each way it may be written, alone and in strings within strings."""
    spellings = {value}
    for _ in range(3):
        spellings |= {
            json.dumps(each, ensure_ascii=is_ascii)[1:-1]
            for each in spellings
            for is_ascii in (False, True)
        }

    kept = {is_string_kept(name, each.encode(), member, outer, is_in=is_in) for each in spellings}
    if len(kept) == 2:
        return Undecided(value)

    return value if kept == {True} else MARK


def is_string_kept(name: str, value: bytes, member: str, outer: str, *, is_in: bool) -> bool:
    """Judge a string as the redactor must."""
    compared = normalise(name.encode())
    if is_fact(compared, value):
        return True
    if not is_in:
        return is_sign(value) or is_folder(compared, value)

    endings = ("value", "password", "secret", "token", "key")
    is_word = not member.lower().endswith(endings) and is_word_kept(compared, value)
    return is_word or is_member_kept(member.encode(), outer.encode(), value, is_refused=False)


def parsed_alike(value: Any) -> Any:
    """Parse strings that hold JSON as the model does, without redacting."""
    if isinstance(value, dict):
        return {
            key: inner if is_secret(key) else parsed_alike(inner) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [parsed_alike(inner) for inner in value]
    if (parsed := inner_of(value)) is not None:
        return ["inner", parsed_alike(parsed)]

    return value


def inner_of(value: Any) -> Any:
    """Return the object a string holds, else None."""
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None


def is_secret(key: str) -> bool:
    """Judge a key as the redactor must."""
    return SECRET_NAMES.has(key.encode())


@given(documents, st.booleans(), st.sampled_from([None, 0, 2]))
def test_same_as_parsing(document: Any, is_ascii: bool, indent: int | None) -> None:
    """Valid JSON in, valid JSON out, equal to redacting the parsed document; twice is the same as
    once.
    """
    text = json.dumps(document, ensure_ascii=is_ascii, indent=indent).encode()
    shown, end = REDACTOR.redact(text)
    assert parsed_alike(json.loads(shown)) == model(document)
    assert end is End.OUTSIDE
    assert REDACTOR.redact(shown)[0] == shown


@given(st.dictionaries(texts.filter(lambda key: not is_secret(key)), scalars, max_size=5))
def test_document_without_secrets_comes_back_itself(document: dict[str, Any]) -> None:
    """Not even a copy is made."""
    text = json.dumps(document).encode()
    assert REDACTOR.redact(text)[0] is text


@given(st.binary(max_size=300), st.integers(0, 3))
def test_any_bytes_around_a_secret(noise: bytes, where: int) -> None:
    """Whatever stands before or behind, the string of a secret key is gone."""
    planted = b'"password": "S3CRET-VALUE"'
    text = (planted + noise, noise + planted, noise + planted + noise, noise + b"\n" + planted)[
        where
    ]
    shown, _ = REDACTOR.redact(text)
    assert b"S3CRET-VALUE" not in shown or b"S3CRET-VALUE" in noise
    assert REDACTOR.redact(shown)[0] == shown


@given(documents, st.data())
def test_any_cut_loses_the_same_secrets(document: Any, data: st.DataObject) -> None:
    """A document cut anywhere keeps nothing of a string whose key was seen."""
    text = json.dumps({"a": document, "password": "S3CRET-VALUE", "b": document}).encode()
    cut = data.draw(st.integers(0, len(text)))
    assert b"S3C" not in REDACTOR.redact(text[:cut])[0]


@each_of(
    ("text", "expected", "end"),
    [
        (b'{"password": "S', b'{"password": "[REDACTED]"', End.IN_STRING),
        (b'{"password": "S\\', b'{"password": "[REDACTED]"', End.IN_STRING),
        (b'{"password": \\', b'{"password": "[REDACTED]"', End.IN_STRING),
        (b'{"password": ', b'{"password": ', End.IN_STRING),
        (b'{"session": {"a": "S', b'{"session": {"a": "[REDACTED]"', End.IN_CONTAINER),
        (b'{"session": [1, ', b'{"session": [1, ', End.IN_CONTAINER),
        (b'{"password": \'S', b'{"password": "[REDACTED]"', End.IN_STRING),
        (b'{"password": 12', b'{"password": "[REDACTED]"', End.OUTSIDE),
        (b'{"password"', b'{"password"', End.OUTSIDE),
        (
            b'{"name":"password","value":"S',
            b'{"name":"password","value":"[REDACTED]"',
            End.IN_STRING,
        ),
    ],
)
def test_text_that_ends_within_a_value_says_so(text: bytes, expected: bytes, end: End) -> None:
    """The value is gone to the end, and the caller learns that the rest of it may follow."""
    assert REDACTOR.redact(text) == (expected, end)


def test_name_beyond_ascii_and_with_signs() -> None:
    """Configured names are matched literally, whatever they are made of."""
    redactor = redactor_of(SecretNames(["pässwort", "a.b*c"]))
    assert redactor.redact('{"Pässwort": "S", "a.b*c": "S", "aXbbc": 1}'.encode())[0] == (
        '{"Pässwort": "[REDACTED]", "a.b*c": "[REDACTED]", "aXbbc": 1}'.encode()
    )
