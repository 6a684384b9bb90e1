"""Values under secret names that are not secret, by their position and form.

A schema describes a secret, and a validation error the problem with one: both are texts in members
with known names. Any value with the form of a key stays secret, and so does a value that is neither
a sentence nor a word.

In traffic of language models three credential names can hold content. `token` is a piece of text if
its log probability or its position is next to it. `session` is a configuration if it is an object
with the members of a realtime session. `signature`, next to a thought, is returned to the model.
Configured paths except members from redaction by name.
"""

import re
from collections.abc import Iterable
from typing import Final

from proxy.enrich.redact.checks import is_random

_DESCRIPTIONS: Final = frozenset(
    b"title description documentation summary $comment comment message messages msg detail details "
    b"reason error errors _errors hint help placeholder label kind rule code type format "
    b"in name field property scheme bearerFormat validator keyword severity "
    b"defaultMessage errorMessage".split()
)
"""Members whose values are sentences and words."""
_PLACES: Final = frozenset(
    b"$ref $id $schema pattern path domain pointer instancePath schemaPath propertyPath requestUri "
    b"authorizationUrl tokenUrl refreshUrl openIdConnectUrl contentMediaType "
    b"contentEncoding required propertyOrdering".split()
)
"""Members whose values are names or locations."""
_NAMES: Final = frozenset(b"secretName secretKeyRef resolved shape".split())
"""Members whose values identify a secret, a type or the location of a package."""
_SAMPLES: Final = frozenset(b"default example examples const enum".split())
"""Members of a schema that may hold a secret; words are not secret."""
_MAPS: Final = frozenset((b"scopes", b"constraints", b"_errors"))
"""Members with arbitrary names and sentences as values."""
_SAYS: Final = frozenset(
    b"already and are at be been blank can cannot character characters common "
    b"confirmation contain contains do does empty ensure enter error expected expired "
    b"failed field format has have incorrect invalid is least length letter letters long "
    b"many match matching max maximum may min minimum missing mismatch most must needs no "
    b"not please present presence required short should similar string taken than the "
    b"this to too uppercase valid value was weak wrong".split()
)
"""Words of validation errors."""
_WORD: Final = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+")
_WORDS: Final = re.compile(
    rb"(?:(?:(?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})(?:[A-Z][a-z]{1,20}){0,4}|(?:base|float|ipv|oauth|sha|u?int)[0-9]{1,3})"
    rb"(?:[ ._:/-]{1,2}|\Z)){1,8}"
)
_LETTER: Final = re.compile(rb"(?<!\\)\\+u([0-9A-Fa-f]{4})|\xe3\x80\x82")
"""An escaped character, or the full stop of Chinese and Japanese."""
_NO_WORD: Final = re.compile(
    rb"[A-Za-z]{25}|\S{65}|(?=\S{0,64}[A-Za-z])(?=\S{0,64}[0-9])[\w$!#%^&*+/=-]{5}"
)
"""Text that no validation error contains: keys, and letters and digits mixed."""
_SENTENCE: Final = re.compile(rb"[A-Z\x80-\xff].*[.!]\Z", re.DOTALL)
_PLACE: Final = re.compile(rb"(?:[/.#^]|https?://)[^?@]{0,256}\Z")
_TIME: Final = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.+Z-]{0,20}")
_HOLDERS: Final = frozenset(
    b"stringdata secretstring credential credentials secret secrets auths session cookie cookies".split()
)
"""Names of containers for other secrets, which may be words."""
_EXPRESSION: Final = re.compile(rb"[\^\[(\\]")
_FOLDER: Final = re.compile(rb"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\]++[\w.@+ -]{0,32}+){1,32}+")
_NUMBER: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_PIN: Final = re.compile(rb"[0-9]{3,}")
_TYPED: Final = re.compile(
    rb"(?:pass(?:word|wd|code|phrase|wort)?|kennwort|wachtwoord|contrase(?:n|\xc3\xb1|\\u00f1)a|motdepasse|pwd?|psk|pin"
    rb"|otp|cv[vc]|csc|code|cardnumber)s?(?:confirm\w{0,32}|[0-9])?\Z"
)
"""Names of secrets that people type, as they are compared."""
_FACT: Final = re.compile(
    rb"arn:aws[a-z-]*:[A-Za-z0-9:/*._-]{4,200}|"
    rb"[~^]?[0-9]+(?:\.[0-9]+){2}(?:[.+-][\w.+-]{0,32})?|sha(?:1|256|384|512)-[A-Za-z0-9+/]{27,88}={0,2}"
    rb"|read|write|none|include|omit|same-origin|inherit|enabled|disabled|required|optional"
)
_TAG: Final = re.compile(rb"</?[a-z][^<>]{0,200}>")
_REGION: Final = re.compile(
    rb"(?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)/[A-Z][A-Za-z_]{2,30}"
    rb"|[a-z]{2,3}-[A-Z][a-z]{3}-[A-Z]{2}"
)
"""A time zone, or a language with script and country: of Palau (pw), of Pinai (pin)."""
_SIGN: Final = re.compile(
    rb"(?:\\+u(?:[eE][0-9a-fA-F]|[fF][0-8])[0-9a-fA-F]{2}|\\+u2[67][0-9a-fA-F]{2}"
    rb"|\\+u[dD]83[c-eC-E]\\+u[dD][c-fC-F][0-9a-fA-F]{2}|\\+[ef][0-9a-f]{3}"
    rb"|\xee[\x80-\xbf]{2}|\xef[\x80-\xa3][\x80-\xbf]|\xe2[\x98-\x9f][\x80-\xbf]|\xf0\x9f[\x8c-\xab][\x80-\xbf])"
    rb"(?:\\+u[fF][eE]0[fF]|\xef\xb8\x8f)?"
)
"""One emoji (U+2600 to U+27BF, U+1F300 to U+1FAFF), or one private-use character of a font (U+E000
to U+F8FF).
"""
_REFERENCE: Final = re.compile(rb"\$\{(?:\{ ?[\w.-]{1,64} ?\}|\w{1,64})\}")


def is_fact(name: bytes, value: bytes) -> bool:
    """True if a value is not secret under a name; the name is given as compared.

    The value is a version, a package digest or a setting (`{"cookie": "^0.6.0"}`, `id-token:
    write`) and the name not that of a password. Or it is a reference to a secret (`${{ secrets.DB
    }}`), a time zone or a locale.
    """
    is_one = _FACT.fullmatch(value) is not None and _TYPED.search(name) is None
    return is_one or any(each.fullmatch(value) is not None for each in (_REFERENCE, _REGION))


def is_sign(value: bytes) -> bool:
    """True if a value is a single picture: icon lists have keys, pins and cookies."""
    return _SIGN.fullmatch(value) is not None


def is_number_kept(name: bytes, number: bytes) -> bool:
    """True if a number is not secret under a name; under passwords and PINs it may be. The name is
    given as compared.
    """
    return _NUMBER.fullmatch(number) is not None and (
        _PIN.fullmatch(number) is None or not _TYPED.search(name)
    )


def is_folder(name: bytes, value: bytes) -> bool:
    """True if a value is the directory that a shell stores as PWD."""
    if not name.endswith(b"pwd") or _FOLDER.fullmatch(value) is None or is_random(value):
        return False
    return value.count(b"/") + value.count(b"\\") > 1 or not any(
        byte in b"0123456789" for byte in value
    )


def is_refusal(value: bytes) -> bool:
    """True if a text next to validation errors reads like one: a sentence in any language, or a
    code.
    """
    plain = _plain(value)
    if _NO_WORD.search(plain) is not None:
        return False
    return len(plain.split()) > 1 or not plain.isascii() or _is_code(plain)


def is_word_kept(name: bytes, value: bytes) -> bool:
    """True if a string in an object or list is a word, and therefore not secret under the name.

    Tokens and keys are made by machines: words below them are descriptions or pieces of text.
    Passwords that people type may be words.
    """
    return _TYPED.search(name) is None and name not in _HOLDERS and is_words(value)


def is_member_kept(member: bytes, outer: bytes, value: bytes, *, is_refused: bool) -> bool:
    """True if a string within an object or list under a secret name is not secret.

    Args:
        member: Its name there; empty in a list.
        outer: Name of the object or list around it.
        value: The string, with its escapes.
        is_refused: True if the whole value describes validation errors.
    """
    if not value or _TIME.fullmatch(value) is not None:
        return True
    if member in _NAMES:
        return not is_random(value)
    if member in _DESCRIPTIONS:
        value = _TAG.sub(b"", value)
        return (b" " in value and len(value.split()) > 2) or is_words(value) or is_refusal(value)
    if member == b"pattern" and _EXPRESSION.search(value) is not None:
        return True
    if member in _PLACES:
        return is_words(value) or (_PLACE.match(value) is not None and not is_random(value))
    if member in _SAMPLES:
        return is_words(value)
    if is_refused or outer in _MAPS:
        return is_refusal(value) or (outer in _MAPS and is_words(value))

    return (
        not member
        and is_refusal(value)
        and (_is_code(_plain(value)) or _SENTENCE.match(_plain(value)) is not None)
    )


def _plain(value: bytes) -> bytes:
    return _LETTER.sub(lambda found: b"." if found[1] in (None, b"3002") else b"\xff\xff", value)


def is_words(value: bytes) -> bool:
    return _WORDS.fullmatch(value) is not None


def _is_code(value: bytes) -> bool:
    """True if a text contains words of validation errors: `too short`, `min_length`, `notBlank`."""
    return any(word.lower() in _SAYS for word in _WORD.findall(value))


MAX_TOKEN_BYTES: Final = 96
"""Maximum size of one text token, escapes included; the longest ones are runs of blanks."""
_LOOK_BYTES: Final = 8192
"""The distance into a session in which its members are searched. `instructions` may be long, but do
not come first.
"""

_KEY: Final = re.compile(rb'"(token|session|signature)"\s*:\s*\Z')
_LOGPROB: Final = re.compile(
    rb'"(?:[^"\\]|\\.){0,%d}"(?=\s*,\s*(?:"(?:bytes|id|token_?[iI]d)"\s*:\s*(?:\[[0-9,\s]{0,400}\]|null|-?[0-9]{1,12})'
    rb'\s*,\s*)*"(?:logprob|logProbability|log_probability|start_offset)"\s*:\s*(?:-?[0-9]|null))'
    % MAX_TOKEN_BYTES
)
_REALTIME: Final = re.compile(
    rb'"(?:object|type)"\s*:\s*"(?:realtime(?:\.[a-z_]+)?|transcription)"|"(?:output_)?modalities"\s*:\s*\['
    rb'|"turn_detection"\s*:|"input_audio_(?:format|transcription)"\s*:'
)
_THOUGHT_BYTES: Final = 1 << 16
_BLANK: Final = rb"\s{0,32}+"
_NEXT: Final = rb"%b,%b" % (_BLANK, _BLANK)
_THOUGHT_BEGINS: Final = (b'"thinking"', b'"reasoningText"', b'"reasoning.text"')
_THOUGHT: Final = re.compile(
    rb"""(?:"thinking"B:B|"reasoningText"B:B\{B"text"B:B|"reasoning\.text"N"text"B:B)"[^"\\]*+(?:\\.[^"\\]*+)*+"N""".replace(
        b"B", _BLANK
    ).replace(b"N", _NEXT),
    re.DOTALL,
)
"""A thought with the comma after it."""
_BEFORE_SIGNATURE: Final = re.compile(
    rb"""(?:"type"B:B"(?:thinking|signature_delta|reasoning\.text)"N|"reasoning(?:Text|Content)"B:B\{B)\Z""".replace(
        b"B", _BLANK
    ).replace(b"N", _NEXT)
)
_SIGNATURE: Final = re.compile(
    rb'"(?:[A-Za-z0-9+/=_-]|\\/)*+"(N"(?:thinking"B:|type"B:B"thinking"))?'.replace(
        b"B", _BLANK
    ).replace(b"N", _NEXT)
)
_SESSION: Final = re.compile(rb'\{\s*"')


def content_end(text: bytes, key: bytes, start: int) -> int:
    """Return the position after a value that is content; -1 if it may be secret.

    `key` is the matched text directly in front of `start`.
    """
    name = _KEY.search(key)
    if name is None:
        return -1
    if name[1] == b"token":
        value = _LOGPROB.match(text, start, start + MAX_TOKEN_BYTES + 600)
        if value is None:
            return -1
        return value.end()
    if name[1] == b"signature":
        return _signature_end(text, start - len(key), start)
    if (
        _SESSION.match(text, start) is not None
        and _REALTIME.search(text, start, start + _LOOK_BYTES) is not None
    ):
        return start + 1

    return -1


def _signature_end(text: bytes, begin: int, start: int) -> int:
    """Return the end of a thought's signature whose key is at `begin`; -1 if it does not belong to
    a thought.
    """
    value = _SIGNATURE.match(text, start)
    if value is None:
        return -1
    low = max(0, begin - _THOUGHT_BYTES)
    if value[1] is None and _BEFORE_SIGNATURE.search(text, max(0, begin - 160), begin) is None:
        thought = max(text.rfind(sign, low, begin) for sign in _THOUGHT_BEGINS)
        if thought < 0:
            found = None
        else:
            found = _THOUGHT.match(text, thought, begin)
        if found is None or found.end() != begin:
            return -1

    return value.end()


BODY: Final = "body."
ANY: Final = b"*"
_DOCUMENT: Final = re.compile(rb"\s*[{\[]")
_STRUCTURE: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)(?:"\s*+(:?)|\\?\Z)|([{}\[\]])', re.DOTALL)
"""An unclosed string extends to the end, so that no structure is found in it."""


class PlaceFinder:
    """Tracks the path of members while a text is read from its beginning.

    A path leads from the outermost object, as in docs/fields.md: `*` is any member, and lists add
    no step. A text that does not begin with a document has no paths.
    """

    __slots__ = ("_frames", "_places", "_position", "_text")

    def __init__(self, text: bytes, places: Iterable[tuple[bytes, ...]]) -> None:
        if _DOCUMENT.match(text) is not None:
            self._places = tuple(places)
        else:
            self._places = ()
        self._text = text
        self._position = 0
        self._frames: list[bytes | None] = []
        """The current member name of each open object; None for a list."""

    def is_excepted(self, at: int, name: bytes) -> bool:
        """True if a member that begins at a position has an excepted path. Positions must never
        decrease.
        """
        if not self._places:
            return False
        for found in _STRUCTURE.finditer(self._text, self._position, at):
            if found[3] is None:
                if found[2] and self._frames:
                    self._frames[-1] = found[1]
            elif found[3] in (b"{", b"["):
                self._frames.append(b"" if found[3] == b"{" else None)
            elif self._frames:
                self._frames.pop()

        self._position = max(at, self._position)
        path = [member for member in self._frames[:-1] if member is not None]
        return any(_matches(place, (*path, name)) for place in self._places)


def places_in(excepted: Iterable[str]) -> tuple[tuple[bytes, ...], ...]:
    """Return the member paths among the exceptions."""
    return tuple(
        tuple(text.removeprefix(BODY).encode().split(b"."))
        for text in excepted
        if text.startswith(BODY)
    )


def _matches(place: tuple[bytes, ...], path: tuple[bytes, ...]) -> bool:
    return len(place) == len(path) and all(
        part in (ANY, member) for part, member in zip(place, path, strict=True)
    )
