"""Refuse syntax of other search tools, with a suggestion in ours. Pure.

As text, `status=500`, `duration:>5 s` or `/user.*/` would silently find something else. Such text
must be quoted.
"""

import re
from collections.abc import Sequence
from typing import Final, NoReturn

from storage.search.language.errors import SearchError, shown
from storage.search.language.lexer import Sign, Term, Value
from storage.search.language.quantities import BYTES, COUNTS, DURATIONS
from storage.search.language.words import WORDS, Word, word_of

_SIGNS: Final = r"=~|!~|==|!=|<>|>=|<=|[=<>~]"
_WITHOUT_COLON: Final = re.compile(rf"([A-Za-z][A-Za-z0-9_.-]*)({_SIGNS})(.*)", re.DOTALL)
_APART: Final = re.compile(rf"({_SIGNS}|:)(.*)", re.DOTALL)
_COMPARISON: Final = re.compile(r"[<>]=?(?:[-.$]?\d.*)?", re.DOTALL)
_LEADING: Final = re.compile(r"(=~|!~|==|!=|<>|[=~!^])(.*)", re.DOTALL)
_REGEX: Final = re.compile(
    r"/(?=.*(?:\.[*+?]|\[[^\]]{1,40}\]|\w\+/|[$^|])).*/[gimsu]{0,2}", re.DOTALL
)
_URL: Final = re.compile(r"//([^/?#]+)(/[^?#]*)?")
_QUOTES: Final = tuple("'`‘’‚“”„«»")
_MAX_REGEX: Final = 500
"""Longer texts are not typed regular expressions, and matching them would take milliseconds."""
_CLASS: Final = re.compile(r"[1-5]xx", re.IGNORECASE)
_JOINTS: Final = {"&&": "and", "||": "or", "|": "or"}
_CLOCK: Final = re.compile(r"\d\d?:\d\d(?::\d\d.*)?|[+-]\d\d:?\d\d")
_COMPARED: Final = ("status", "duration", "bytes", "count", "decimal")
_UNITS: Final = {"duration": DURATIONS, "bytes": BYTES, "count": COUNTS}


def refuse_misread(found: Sequence[Term | Sign]) -> None:
    """Refuse a search with a part in another tool's syntax.

    Raises:
        SearchError: with the suggested form.
    """
    for token in found:
        if isinstance(token, Term):
            if (
                token.name in ("http", "https")
                and (url := _URL.match(token.values[0].text)) is not None
            ):
                _refuse(token.values[0], "a URL is not read", f"host:{url[1]} path:{url[2] or '/'}")

            for value in token.values:
                if not value.is_literal:
                    _check_value(token.name, value)

    for first, second, third in zip(found, found[1:], (*found[2:], None), strict=False):
        if isinstance(first, Term) and isinstance(second, Term) and second.name is None:
            _check_pair(
                first, second.values[0], third.values[0].text if isinstance(third, Term) else "…"
            )


def _check_value(name: str | None, value: Value) -> None:
    text = value.text
    before = "" if name is None else f"{name}:"
    if text.startswith(_QUOTES):
        _refuse(value, 'only " quotes a text', f'{before}"{text.strip("".join(_QUOTES))}…"')
    if len(text) <= _MAX_REGEX and _REGEX.fullmatch(text):
        _refuse_regex(value, name)
    if name is None:
        _check_bare(value)
    if value.is_quoted:
        return

    for joint, operator in _JOINTS.items():
        if joint in text:
            parts = [part for part in text.split(joint) if part]
            if name and operator == "or":
                alternatives = before + ",".join(parts)
            else:
                alternatives = f" {operator} ".join(parts)
            _refuse(value, f"{joint} joins nothing", alternatives if len(parts) > 1 else operator)

    if (
        name
        and (word := word_of(name)) is not None
        and (sign := _LEADING.fullmatch(text)) is not None
    ):
        is_known = sign[1] == "=" and (word.kind in ("part", *_COMPARED) or not sign[2])
        is_known |= word.kind == "grpc" and sign[1] == "!"
        if not is_known and word.kind != "text":
            _refuse_sign(value, name, sign[1], sign[2])


def _check_bare(value: Value) -> None:
    if _CLASS.fullmatch(value.text):
        _refuse(value, "a class of statuses follows its word", f"status:{value.text.lower()}")
    if _COMPARISON.fullmatch(value.text) and value.text.strip("<>="):
        _refuse(value, "a comparison follows a word and a colon", f"duration:{value.text}")
    found = _WITHOUT_COLON.fullmatch(value.text)
    if (
        found is not None
        and (word := word_of(found[1])) is not None
        and _can_follow(found[2], word)
    ):
        _refuse_sign(value, found[1], found[2], found[3] or "…")


def _can_follow(sign: str, word: Word) -> bool:
    is_compared = word.kind in (*_COMPARED, "place") or word.name == "level"
    return sign[0] not in "<>" or sign == "<>" or is_compared


def _check_pair(first: Term, second: Value, behind: str) -> None:
    """Check two terms that were meant as one with a blank."""
    before = first.values[-1]
    text = second.text
    if second.is_quoted:
        return

    if first.name is None:
        word = word_of(before.text)
        sign = _APART.fullmatch(text)
        if (
            word is not None
            and not before.is_quoted
            and sign is not None
            and _can_follow(sign[1], word)
        ):
            _refuse_sign(second, before.text, sign[1].replace(":", "="), sign[2] or behind)
    elif (word := word_of(first.name)) is not None:
        is_cut_number = before.text[-1:].isdigit() and text.lower() in _UNITS.get(word.kind, ())
        if is_cut_number and text:
            _refuse(second, "a number and its unit are one", f"{first.name}:{before.text}{text}")
        if word.kind == "time" and (_CLOCK.fullmatch(text) or text.lower() in ("ago", *DURATIONS)):
            _refuse(
                second, "a time with a blank goes in quotes", f'{first.name}:"{before.text} {text}"'
            )


def _refuse_sign(value: Value, name: str, sign: str, rest: str) -> NoReturn:
    if sign in ("~", "=~", "!~", "^"):
        _refuse_regex(value, name)
    if sign[0] == "!" or sign == "<>":
        negation = "-"
    else:
        negation = ""
    if sign in ("<", ">", "<=", ">="):
        compared = sign
    else:
        compared = ""
    _refuse(
        value, "a word is followed by a colon and its value", f"{negation}{name}:{compared}{rest}"
    )


def _refuse_regex(value: Value, name: str | None) -> NoReturn:
    word = word_of(name or "path") or WORDS["path"]
    _refuse(value, "regular expressions are not supported, * stands for any text", word.example)


def _refuse(value: Value, rule: str, meant: str) -> NoReturn:
    reason = f"{shown(value.text)}: {rule}, as in {meant}; text goes in quotes"
    raise SearchError(reason, value.position, value.length, expected=(meant,))
