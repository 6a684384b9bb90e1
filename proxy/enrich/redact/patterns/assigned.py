"""Find secrets that a text assigns to a name: `password = hunter2`, `export X_TOKEN=…`, `machine h
login u password p`.

Strategy: the value after a secret name is examined, without knowing if the text is a settings file,
a program or prose. A quoted value is a secret. A bare value is one if it is more than words with
dots between them, as in programs and types. After an upper-case name, as in the environment, and
below a table name, a single word is one, too. Names in double quotes before a colon belong to JSON
and are read elsewhere.

Invariant: a replaced value is not matched again. Standard: the `.netrc` of GNU inetutils.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from proxy.enrich.redact.checks import has_non_word
from proxy.enrich.redact.edits import MARK, Edit, rule_of_name
from proxy.enrich.redact.names import ENDINGS, PASSWORDS, may_be_secret, normalise, spelled_forms
from proxy.enrich.redact.naming.values import is_fact
from proxy.enrich.redact.patterns.escaped import ENDS_WORD
from proxy.enrich.redact.patterns.views import SPACE

_TYPED: Final = (
    "cvv",
    "cvc",
    "otp",
    "pin",
    "seed_phrase",
    "recovery_phrase",
    "mnemonic",
    *PASSWORDS,
)
_ENDINGS: Final = tuple(
    dict.fromkeys(
        normalise(form.encode())
        for name in (*ENDINGS, "pwd", "token", *_TYPED)
        for form in spelled_forms(name)
    )
)
"""Endings of names that are secret in any text; other secret endings have further meanings
there.
"""
_RANKS: Final = {ending: rank for rank, ending in enumerate(_ENDINGS)}
_LENGTHS: Final = tuple(sorted({len(ending) for ending in _ENDINGS}))
PHRASES: Final = (b"mnemonic", b"seedphrase", b"recoveryphrase")
_DIGITS: Final = (b"cvv", b"cvc", b"otp", b"pin")
"""Names whose values consist of digits."""
MNEMONIC: Final = re.compile(rb"(?:[a-z]{3,8}[ ,]{1,2}){11,23}[a-z]{3,8}\b")
"""A mnemonic phrase from which a key is derived (BIP 39)."""
_NUMBER: Final = re.compile(rb"[0-9]{3,10}")
_TOKENS: Final = tuple(
    ending for ending in _ENDINGS if ending.endswith(b"token") and ending != b"token"
)
_REST: Final = re.compile(rb"[\w-]{0,64}")
_SIGN: Final = re.compile(
    rb"""\\*["']?\]?[ \t]*(?:=>|:?=(?!=))[ \t]*|\\*'?[ \t]*:(?![:=])(?:\*\*)?[ \t]*"""
)
_PASS: Final = re.compile(rb"(?i)(?:.*[-_])pass", re.DOTALL)
_NETRC: Final = re.compile(
    rb"(?i)\b(machine|login|account)%b+[^\s+\\]+%b+(?:(?:login|account)%b+[^\s+\\]+%b+)?password%b+"
    % ((SPACE,) * 5)
)
_NETRC_BYTES: Final = 200
_BLANKS: Final = (b" ", b"\t", b"\n", b"\r", b"+")
_BARE_VALUE: Final = (
    rb"""(?:[^\s"'\\&;%<]++|<(?!/|br\b)|%(?!(?:25)*(?:0[9adAD]|2[0267]|5[cC]))"""
    rb"""|[&;](?![\w.\[\] -]{1,40}=)|"""
)
_VALUE: Final = re.compile(
    rb"""\\*(?:[bfruBFRU]{1,2}(?=["']))?(?:"([^"\\\r\n]*)|'([^'\\\r\n]*)|(%b\\(?![nrtbfu"'/\\]))++))"""
    % _BARE_VALUE
)
_BEGINS: Final = re.compile(rb"""\\*["']|[^\s"'\\\[<{(=:]""")
_PLACEHOLDER: Final = re.compile(
    rb"[\[<{(*:]|\$(?![a-z0-9]{1,10}\$)|%[(sdr{]|(?i:null|none|nil|true|false|undefined)\b|(.)\1*\Z|\.\.\.|HTTP/[0-9]"
    rb"|(?i:your)[-_]|![01]\b|\.[a-z]"
)
_WORDS: Final = re.compile(
    rb"[&!]?[A-Za-z_\x80-\xff]*(?:(?:\.|::|->|\?\.)[A-Za-z_]+)*|[A-Za-z_][\w.:]*[(\[<{].*|[a-z]+(?:8|16|32|64|128|256)"
    rb"|0x[0-9A-Fa-f]{1,8}|[^A-Za-z]{1,5}|[A-Za-z_]+(?:,[A-Za-z_]+)+",
    re.DOTALL,
)
"""Values as they occur in programs, types and prose."""
_CODE: Final = re.compile(
    rb"(?:[\w$]{1,3}|(?:this|[A-Za-z_$]{1,3})(?:\.[A-Za-z_$]+)+)"
    rb"(?:,[\w$.]+[:=,)}&|(]|[)}\]]+(?:[,;.(=]|\Z)|=>|\|\||&&|\?)|[A-Za-z_$]+\}(?:if|else|return|function|var|let|const)\b"
)
"""The continuation of a value in a minified program."""
_BEFORE: Final = re.compile(ENDS_WORD + rb"?([\w.-]*)\Z")
_MIXED: Final = re.compile(rb"(?=.*[0-9])(?=.*[A-Za-z]).{8,}", re.DOTALL)
_MIN_BYTES: Final = 4
_MIN_DIGITS: Final = 3
_MIN_GENERATED_BYTES: Final = 12
_MIN_VARIABLE_BYTES: Final = 6
_SOME: Final = frozenset(b"my your the some any test dummy fake example sample new old".split())
_TRAILING: Final = b",;)]}.!?:"
_NEAR_BYTES: Final = 64
_JUDGED_BYTES: Final = 256
"""Number of bytes of a value that are judged, because harmless text may be long and contain many
names.
"""
_BARE: Final = 3
_NETRC_RULE: Final = "netrc"
_TABLE: Final = re.compile(rb"(?:\A|[\n\"=])\[(?!REDACTED\])[A-Za-z][\w .:/-]*\]\s*[\r\n]")
_TABLE_BYTES: Final = 2048
_QUOTES: Final = (b'"', b"'")
_LINE_ENDS: Final = (b"", b"\n", b"\r", b'"')


def may_be_assigned(name: bytes) -> bool:
    """True if some text may assign a secret to this word."""
    return normalise(name).endswith(_ENDINGS)


def assigned_at(text: bytes, start: int, stop: int) -> Edit | None:
    """Return the edit for the value assigned to the name around `text[start:stop]`; None if it is
    not secret.
    """
    rest = _REST.match(text, stop)
    assert rest is not None

    name_stop = rest.end()
    if (sign := _SIGN.match(text, name_stop)) is not None:
        value = _value(text, sign.end())
        if value is None:
            return None

        before = _BEFORE.search(text, max(0, start - _NEAR_BYTES), start)
        name = (b"" if before is None else before[1]) + text[start:name_stop]
        if not _is_secret(text, start, name, sign[0].strip(b"\\"), value):
            return None
        quote = text[value.start - 1 : value.start]
        if (
            value.content[:1] in b"),;]}+"
            and quote in _QUOTES
            and text[name_stop - len(name) - 1 : name_stop - len(name)] == quote
        ):
            return None  # The quote closes a string that ends with the name and a colon.
        if (words := MNEMONIC.match(text, value.start)) is not None:
            return Edit(*words.span(), MARK, rule_of_name(name))

        return Edit(value.start, _whole_stop(text, sign.end(), value), MARK, rule_of_name(name))

    if text[name_stop : name_stop + 1] not in _BLANKS:
        return None

    near = _NETRC.finditer(text, max(0, start - _NETRC_BYTES), stop + _NETRC_BYTES)
    found = next((each for each in near if each.end() > stop), None)
    if found is None:
        return None

    value = _value(text, found.end())
    if value is None or (
        found[1].lower() != b"machine" and _WORDS.fullmatch(value.content) is not None
    ):
        return None

    return Edit(value.start, _whole_stop(text, found.end(), value), MARK, _NETRC_RULE)


class _Value(NamedTuple):
    """A value: its bounds, the bytes that are judged, and True if it is quoted or may go on."""

    start: int
    stop: int
    content: bytes
    is_quoted: bool
    is_cut: bool


def _value(text: bytes, at: int) -> _Value | None:
    """Read the value at a position; None if it is too short or a placeholder."""
    if _BEGINS.match(text, at) is None:
        return None
    value = _VALUE.match(text, at, at + _JUDGED_BYTES)
    if value is None or value.lastindex is None:
        return None

    start, stop = value.span(value.lastindex)
    is_quoted = value.lastindex < _BARE
    if not is_quoted:
        stop = start + len(value[_BARE].rstrip(_TRAILING))
    content = text[start:stop]
    if len(content) < _MIN_DIGITS or _PLACEHOLDER.match(content) is not None:
        return None

    return _Value(start, stop, content, is_quoted, value.end() == at + _JUDGED_BYTES)


def _whole_stop(text: bytes, at: int, value: _Value) -> int:
    """Return the end of a value that may be longer than its judged part."""
    if not value.is_cut:
        return value.stop
    whole = _VALUE.match(text, at)
    if whole is None:
        return value.stop
    return whole.end()


def _is_in_table(text: bytes, start: int) -> bool:
    """True if a line follows a table name, as in settings files, where words are values."""
    return _TABLE.search(text, max(0, start - _TABLE_BYTES), start) is not None


def _is_placeholder(ending: bytes, content: bytes) -> bool:
    """True if a value only names what belongs there: `my-api-key`, `MYTOKEN`,
    `ed25519.Ed25519PrivateKey`.
    """
    said = normalise(content)
    return said.endswith(ending) and (b"." in content or said.removesuffix(ending) in _SOME)


def _is_own_word(name: bytes, ending: bytes) -> bool:
    """True if a short ending is a separate word: `user_pin` and `userPin`, not `spin`."""
    before = name[: -len(ending)]
    return not before[-1:].isalpha() or (
        before[-1:].islower() and name[-len(ending) :][:1].isupper()
    )


@lru_cache(4096)
def _ending_of(name: bytes) -> bytes | None:
    """Return the highest-ranked ending of a name. Endings are looked up by their lengths."""
    ends = (name[-length:] for length in _LENGTHS)
    return min((end for end in ends if end in _RANKS), key=_RANKS.__getitem__, default=None)


def _is_secret(text: bytes, start: int, name: bytes, sign: bytes, value: _Value) -> bool:
    """Judge a value by its name, the sign between them, and its form."""
    content = value.content
    last = name.rpartition(b".")[2]
    compared = normalise(last)

    ending = _ending_of(compared)
    if ending is None and _PASS.fullmatch(last) is not None:
        ending = b"pass"
    if (
        ending is None
        or normalise(content) in (ending, compared)
        or (ending == b"pwd" and content[:1] in b"/~.")
    ):
        return False
    if not value.is_quoted and _CODE.match(content) is not None:
        return False
    if (
        is_fact(compared, content)
        or not may_be_secret(last, compared)
        or _is_placeholder(ending, content)
    ):
        return False
    if ending in _DIGITS:
        return _NUMBER.fullmatch(content) is not None and _is_own_word(last, ending)
    if ending in PHRASES and MNEMONIC.match(text, value.start) is not None:
        return True
    if len(content) < _MIN_BYTES:
        return False

    return _is_secret_by_form(text, start, name, sign, value, ending)


def _is_secret_by_form(
    text: bytes, start: int, name: bytes, sign: bytes, value: _Value, ending: bytes
) -> bool:
    """Judge a value that may belong to a program, a type or prose."""
    content = value.content
    if sign == b"=" and len(content) >= _MIN_VARIABLE_BYTES:
        is_variable = name[:2] == b"--" or name.isupper()
        is_last = text[value.stop : value.stop + 1] in _LINE_ENDS
        if is_variable or (not value.is_quoted and content.isalpha() and is_last):
            return True

    if (
        ending == b"token"
        and not normalise(name).endswith(_TOKENS)
        and _MIXED.match(content) is None
    ):
        return False
    if name.isupper() and len(content) >= _MIN_GENERATED_BYTES and has_non_word(content):
        return True
    if value.is_quoted:
        # `errors["password"] = "is too short"`.
        return b" " not in content or (b"=" in sign and b"]" not in sign)

    return _WORDS.fullmatch(content) is None or (b"=" in sign and _is_in_table(text, start))
