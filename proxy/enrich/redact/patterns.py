r"""Secrets of known formats: provider keys, tokens, private keys, credentials in URLs.

Strategy: one google-re2 pattern over all kinds, linear in the text and quick to say no; what it finds is
examined (is this `sk-…` a key, or hyphenated words?) and replaced, except for the words that say what it was. A secret
may be written with JSON escapes (`\u0073k-`) or percent-encoded: such text is also searched as it reads unescaped.

Invariant: redacting twice changes nothing. Ordinary text, code, hashes and UUIDs are left alone (a test measures it).
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.enrich.redact.json_keys import MARK, MAX_HITS, compile_bytes, held_by
from proxy.enrich.redact.octets import PERCENT

MIN_BYTES: Final = 16
"""The shortest thing any pattern finds is longer."""
_DECODE_ROUNDS: Final = 3

_TOKENS: Final = (
    rb"sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek and others
    rb"sk_[A-Za-z0-9]{40,}",  # keys of the proxied service
    rb"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}",  # Stripe
    rb"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}|1//0[A-Za-z0-9_-]{40,}",  # Google
    rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    rb"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}",
    rb"gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt|oas)-[A-Za-z0-9_.-]{20,}",
    rb"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}",  # Slack
    rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*",  # JWT and JWE (RFC 7519)
    rb"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
    rb"npm_[A-Za-z0-9]{36,}|pypi-[A-Za-z0-9_-]{50,}|hf_[A-Za-z]{30,}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}",
    rb"pplx-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{36,}|nvapi-[A-Za-z0-9_-]{40,}|tvly-[A-Za-z0-9-]{20,}",
    rb"do[opr]_v1_[a-f0-9]{64}|dapi[a-f0-9]{32}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|hv[sb]\.[A-Za-z0-9_-]{24,}",
    rb"AGE-SECRET-KEY-1[A-Z0-9]{50,}|lsv2_(?:pt|sk)_[A-Za-z0-9_]{32,}|ntn_[A-Za-z0-9]{40,}|lin_api_[A-Za-z0-9]{32,}",
    rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram
    rb"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
)
_BLANKS: Final = rb"(?:[\s+]|%20|\\[nrt])+"
_SQL_WORDS: Final = rb"(?i:\b(?:%b)(?:[\s+]|\\[nrt])*)" % b"|".join(
    words.replace(b" ", _BLANKS)
    for words in (
        rb"with (?:encrypted )?password",
        rb"set password for [^\s'+]+(?:[\s+]|\\[nrt])*=",
        rb"(?:user|role) (?:if not exists )?[^\s+]+ (?:encrypted password|identified (?:with \w+ )?by)",
    )
)
"""Before the password that a statement gives a user: InfluxDB, Postgres, MySQL, ClickHouse."""
_NOT_END: Final = rb"""(?:[^"'-]|-[^-"'])*"""
_KINDS: Final = (
    rb"(?:\b|\\[nrtbf]|%%[0-9A-Fa-f]{2})(?:%b)" % b"|".join(_TOKENS),
    # PKCS #8 and its like (RFC 7468 §10), closed or cut off
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----%b(?:-----END[^-]*-----)?" % _NOT_END,
    rb"(?i:\bbearer(?:\s|%20|\+)+)[A-Za-z0-9._~+/-]{16,}=*",
    rb"(?i:\bbasic\s+)[A-Za-z0-9+/]{8,}={0,2}",
    rb"""://[^/?#\s"'<>@\\\[]*:[^/?#\s"'<>@\\\[]+@""",
    rb"""(?i:[?&](?:x-amz-(?:signature|security-token|credential)|(?:access|refresh|id|auth)[-_]?token|api[-_]?key"""
    rb"""|client[-_]?secret|token|secret|password|passwd|sig|signature|sessionid|session[-_]id)=)[^&#\s"'<>\\\[]{6,}""",
    rb"""(?i:\baws[-_]?secret[-_]?(?:access[-_]?)?key)[\\"'\s:=]{1,8}[A-Za-z0-9/+=]{40}""",
    rb"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}=*",
    rb"%b'[^']*'?" % _SQL_WORDS,
)
PATTERN: Final = b"|".join(_KINDS)
"""All kinds, for a pre-filter together with others."""
ESCAPED: Final = rb"\\u00(?:2[dD]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])"
"""A letter, digit, hyphen or underscore that nobody needs to escape in JSON."""

_FOUND: Final = compile_bytes(PATTERN)
_may_hold: Final = held_by(_FOUND)
_ESCAPE: Final = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_LEAD: Final = re.compile(rb"\\[nrtbf]|%[0-9A-Fa-f]{2}")
_KEPT: Final = re.compile(
    rb"""(?i:bearer(?:\s|%20|\+)+|basic\s+|[?&][A-Za-z_-]+=|aws[-_]?secret[-_]?(?:access[-_]?)?key[\\"'\s:=]{1,8}"""
    rb"""|(?:AccountKey|SharedAccessKey)=|hooks\.slack\.com/services/)|""" + _SQL_WORDS
)
_RUN: Final = re.compile(rb"[A-Za-z0-9]+")
_OPEN: Final = re.compile(
    rb"(?:sk-|sk_|rk_|AIza|ya29|AKIA|ASIA|gh[pousr]_|github_pat_|gl[a-z]{2,6}-|xox|xapp-|eyJ|hf_|gsk_|npm_|pypi-|hv[sb]\.)"
)
TOKEN_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=%-"
"""What tokens are made of; anything else ends one."""


def redact_patterns(text: bytes) -> bytes:
    """Replace what looks like a secret; the same object comes back when nothing does."""
    if len(text) < MIN_BYTES:
        return text
    if text.find(b"\\u00") >= 0:
        text = _redact_escaped(text)
    if not _may_hold(text):  # 0.7 us less for nearly all (bench/micro, redact)
        return text
    pieces: list[bytes] = []
    kept = 0
    for number, (start, stop, replacement) in enumerate(find_secrets(text), 1):
        pieces += (text[kept:start], replacement)
        kept = stop
        if number == MAX_HITS:  # what follows goes as a whole
            return b"".join((*pieces, MARK))
    return b"".join((*pieces, text[kept:])) if pieces else text


def find_secrets(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield where secrets start and stop, and what stands in for each, in order.

    After `MAX_HITS` candidates, the rest of the text counts as one.
    """
    position = candidates = 0
    while (found := _FOUND.search(text, position)) is not None:
        candidates += 1
        if candidates > MAX_HITS:
            yield found.start(), len(text), MARK
            return
        start, stop = found.start(), found.end()
        position = max(stop, start + 1)
        replacement = _replacement(text[start:stop])
        if replacement is not None:
            yield start, stop, replacement


def has_encoded_secret(text: bytes) -> bool:
    """Whether percent-encoded text looks like a secret once it is decoded."""
    for _ in range(_DECODE_ROUNDS):
        if PERCENT not in text:
            return False
        text = unquote_to_bytes(text)
        if next(find_secrets(text), None) is not None:
            return True
    return False


def begins_secret(run: bytes) -> bool:
    """Whether an unbroken run of token bytes that a window cuts off begins as known keys begin."""
    return _OPEN.match(run) is not None


def _redact_escaped(text: bytes) -> bytes:
    """Unescape letters and digits where that shows a secret; other text keeps its escapes."""
    plain = _ESCAPE.sub(_unescape, text)
    return text if plain == text or next(find_secrets(plain), None) is None else plain


def _unescape(found: re.Match[bytes]) -> bytes:
    character = bytes((int(found[1], 16),))
    return character if character.isalnum() or character in b"-_.:/@=+ ~?&" else found[0]


def _replacement(found: bytes) -> bytes | None:
    """Return what replaces a match; None when it is no secret after all."""
    if found.startswith(b"://"):
        return b"://" + MARK + b"@"
    if found.startswith(b"-----"):
        return MARK
    lead = _LEAD.match(found)
    prefix = lead.group() if lead is not None else b""
    token = found[len(prefix) :]
    kept = _KEPT.match(token)
    word = kept.group() if kept is not None else b""
    return prefix + word + MARK if _is_secret(word[:6].lower(), token[len(word) :]) else None


def _is_secret(word: bytes, token: bytes) -> bool:
    if word.startswith(b"basic"):
        try:
            return b":" in base64.b64decode(token + b"==")
        except binascii.Error:
            return False
    if word.startswith(b"bearer"):
        return len(token) >= 30 or any(byte in b"0123456789" for byte in token)
    if token.startswith(b"sk-"):
        return is_random(token)
    return True


def is_random(token: bytes) -> bool:
    """Tell a key from words with hyphens: a long run with a digit in it, or letters of both cases and digits mixed."""
    if any(len(run) >= 16 and not run.isalpha() for run in _RUN.findall(token)):
        return True
    letters = token.decode("latin-1")
    return min(sum(map(str.isdigit, letters)), sum(map(str.isupper, letters))) >= 3
