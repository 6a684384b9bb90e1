"""Find numbers of payment cards and bank accounts, also as printed: in groups, with blanks or
hyphens.

Strategy: a card number has an issuer's prefix, a length that this issuer uses, and a check digit.
An IBAN has the length of its country and a checksum. One in forty identifiers or times with sixteen
digits passes by chance, so digits without separators stay if their name suggests such a value.

Standard: ISO/IEC 7812 (check digit by Luhn), issuers' published ranges; ISO 13616 and the SWIFT
IBAN registry.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.checks import has_non_word
from proxy.enrich.redact.edits import MARK, Edit
from proxy.enrich.redact.octets import BAR
from proxy.enrich.redact.patterns.views import Span

_SEPARATOR: Final = rb"(?:[ +-]|\xc2?\xa0|\xe2\x80[\x87\xaf]|\xff|\\+u[0-9a-fA-F]{4})"
_COUNTRIES: Final = {
    countries[at : at + 2].encode(): length
    for length, countries in (
        (15, "NO"), (16, "BE"), (18, "DKFIFKFOGLNLSD"), (19, "MKSI"), (20, "ATBAEEKZLTLUMNXK"), (21, "CHHRLILV"),
        (22, "BGBHCRDEGBGEIEMERSVA"), (23, "AEGIILIQOMSOTL"), (24, "ADCZESMDPKROSASESKTNVG"), (25, "LYPTST"),
        (26, "ISTR"), (27, "BIDJFRGRITMCMRSM"), (28, "ALAZBYCYDOGTHNHULBNIPLSV"), (29, "BREGPSQAUA"), (30, "JOKWMUYE"),
        (31, "MTSC"), (32, "LC"), (33, "RU"),
    )
    for at in range(0, len(countries), 2)
}  # fmt: skip
_SPLIT: Final = re.compile(rb"(?<!\\)" + _SEPARATOR)
_CARD_GROUPS: Final = 4
_COUNTRY: Final = b"|".join(_COUNTRIES)
_DIGITS: Final = {b"AE": 21, b"BA": 18, b"BE": 14, b"DE": 20, b"EE": 18, b"AD": 10}
"""Countries whose codes are hexadecimal digits, as identifiers may begin → number of digits that
follow: all, except for AD.
"""
_OTHER_COUNTRY: Final = b"|".join([country for country in _COUNTRIES if country not in _DIGITS])
_DIGITS_IN_GROUPS: Final = 10
"""Number of these digits that are judged in a printed account: those of the first three groups."""

_ISSUED_DIGITS: Final = (
    rb"4[0-9]{12}(?:[0-9]{3}){0,2}"  # Visa
    # Mastercard.
    rb"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    # American Express; Diners Club.
    rb"|3[47][0-9]{13}|(?:30[0-5]|3[689][0-9])[0-9]{11}(?:[0-9]{2,5})?"
    # Discover, RuPay, JCB.
    rb"|(?:60[0-9]{2}|64[4-9][0-9]|65[0-9]{2}|35(?:2[89]|[3-8][0-9]))[0-9]{12}(?:[0-9]{3})?"
    rb"|62[0-9]{14,17}|220[0-4][0-9]{12}(?:[0-9]{3})?|508[0-9]{13}"  # UnionPay; Mir; RuPay
    rb"|(?:50[1-3][0-9]|5[68][0-9]{2}|63[0-9]{2}|67[0-9]{2})[0-9]{9,15}"  # Maestro
)
_ISSUED: Final = re.compile(_ISSUED_DIGITS)
_GROUPED: Final = rb"[2-6][0-9]{3}%b(?:[0-9]{4}%b[0-9]{4}%b[0-9]{4}|[0-9]{6}%b[0-9]{4,5})" % (
    (_SEPARATOR,) * 4
)
_BEGINNING: Final = compile_bytes(
    rb"\b(?:(?:%b|%b)\b|(?i:%b)[0-9]{2}(?:%b?[0-9]){8}|(?i:%b)[0-9]{2}(?:%b?[0-9A-Za-z]){11})"
    % (_ISSUED_DIGITS, _GROUPED, b"|".join(_DIGITS), _SEPARATOR, _OTHER_COUNTRY, _SEPARATOR)
)
"""Finds where a number may begin."""
_EXACT: Final = re.compile(
    rb"""(?<![\w.%%-])(?:([2-6][0-9]{12,18})(?!\w|[.-][0-9]|-\w)"""
    rb"""|([2-6][0-9]{3}(?P<s>%b)(?:[0-9]{4}(?P=s)[0-9]{4}(?P=s)[0-9]{4}(?:(?P=s)[0-9]{1,3})?|[0-9]{6}(?P=s)[0-9]{4,5}))(?!\w)"""
    rb"""|((?i:%b)[0-9]{2}(?:%b?[0-9A-Za-z]){11,29}))""" % (_SEPARATOR, _COUNTRY, _SEPARATOR)
)
_APP_RULE: Final = "facebook-app-token"
_APP_TOKEN: Final = compile_bytes(rb"\b[0-9]{13,17}\|([A-Za-z0-9_-]{27,40})\b")
"""The number of an application and its secret. It has no literal that is rare in logs."""
_SAMPLE_STEP: Final = 3
_SAMPLED: Final = (b"111", b"1 1 1", b"11 11")
"""Samples of numbers: every third character, with digits as ones and separators as blanks. Each
number has at least eight digits in a row, or groups of four with up to two bytes between them.
"""
_LONG_SPACES: Final = (b"\xe2\x80\xaf", b"\xe2\x80\x87")
"""Separators of three bytes are missed by a sample; few texts have any."""
_SAMPLES: Final = bytes(
    49 if byte in b"0123456789" else 32 if byte in b" -+\xa0\xc2\xe2\x80\x87\xaf\xff" else 0
    for byte in range(256)
)
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")
_NAME: Final = re.compile(rb"""([A-Za-z0-9_.-]++)\\*+["']?\s*+[:=]\s*+\\*+["']?\Z""")
_OTHER_NAME: Final = re.compile(
    rb"(?i:.*(?:time|timestamp|date|offset|sequence|seq|nonce|epoch|created|updated|version|size|bytes|hash))"
    rb"|(?i:(?:.*[_.-])?(?:id|ids|ts|[mnu]s|nanos|micros))|.*[a-z0-9](?:Ids?|IDs?|At|Ns|Ms|Us)"
)
"""Names of digits that are not a card number."""
_NEAR_BYTES: Final = 64


def secrets_in(text: bytes, disabled: Collection[str] = ()) -> Iterator[Edit]:
    """Yield the numbers of cards and accounts in a text, and application tokens, without decoding
    escapes.

    Numbers whose rule is disabled are left out.
    """
    if not may_hold_number(text):
        return
    if BAR in text and _APP_RULE not in disabled:
        for token in _APP_TOKEN.finditer(text):
            if has_non_word(token[1]):
                yield Edit(*token.span(), MARK, _APP_RULE)

    position = 0
    while (candidate := _BEGINNING.search(text, position)) is not None:
        start = candidate.start()
        position = start + 1
        found = _EXACT.match(text, start)
        if found is None:
            span = None
        else:
            span = secret_in(text, found)
        if found is None or span is None or id_of(found) in disabled:
            continue

        position = span[1]
        yield Edit(*span, MARK, id_of(found))


def may_hold_number(text: bytes) -> bool:
    """Return False if a sample shows that a text has no card or account number."""
    sample = text[::_SAMPLE_STEP].translate(_SAMPLES)
    return any(digits in sample for digits in _SAMPLED) or any(
        text.find(space) >= 0 for space in _LONG_SPACES
    )


def secret_in(text: bytes, found: re.Match[bytes]) -> Span | None:
    """Return the span of a valid number within a match of `_EXACT`; None if it is not one."""
    start, stop = found.span()
    if found[1] is not None:
        if not _is_card(found[1]):
            return None
        name = _NAME.search(text, max(0, start - _NEAR_BYTES), start)
        if name is None or _OTHER_NAME.fullmatch(name[1]) is None:
            return (start, stop)
        return None

    if found[2] is None:
        return _account(text, start)

    groups = _SPLIT.split(found[2])
    if _is_card(b"".join(groups)):
        return start, stop
    # The last group does not belong to the card number.
    if len(groups) > _CARD_GROUPS and _is_card(b"".join(groups[:_CARD_GROUPS])):
        return start, stop - len(groups[-1]) - len(found["s"])

    return None


def id_of(found: re.Match[bytes]) -> str:
    """Return the id of the rule for a match of `_EXACT`."""
    if found[1] is None and found[2] is None:
        return "iban"
    return "card-number"


def _is_card(digits: bytes) -> bool:
    if _ISSUED.fullmatch(digits) is None:
        return False
    return (
        sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED)) - 48 * len(digits)
    ) % 10 == 0


def _account(text: bytes, start: int) -> Span | None:
    """Return the span of an IBAN, without a word after it."""
    left = _COUNTRIES[text[start : start + 2].upper()]
    found = re.compile(rb"(?:%b?[0-9A-Za-z]){%d}(?!\w)" % (_SEPARATOR, left)).match(text, start)
    if found is None:
        return None

    number = found[0]
    end = found.end()
    number = text[start:end]
    groups = _SPLIT.split(number)
    is_printed = len(groups) == 1 or (
        {len(group) for group in groups[:-1]} == {4} and len(groups[-1]) <= 4
    )
    if not is_printed or not (number.isupper() or number.islower()):
        return None

    digits = b"".join(groups).decode()
    sure = _DIGITS.get(digits[:2].upper().encode(), 0)
    if len(groups) > 1:
        sure = min(sure, _DIGITS_IN_GROUPS)
    if sure and not digits[2 : 2 + sure].isdigit():
        return None
    checked = "".join(str(int(character, 36)) for character in digits[4:] + digits[:4])
    if int(checked) % 97 == 1:
        return (start, end)
    return None
