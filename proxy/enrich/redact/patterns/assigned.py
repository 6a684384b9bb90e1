r"""Secrets that a text gives to a name: `password = hunter2`, `export X_TOKEN=…`, `machine h login u password p`.

Strategy: what stands behind a name that ends as those of secrets do is examined. Nothing says whether a text is a file
of settings, a program or prose: a value in quotes is a secret, and so is a bare one that is more than words with dots
between them, as programs and types are written; behind names in capitals, as the environment has them, and below the
name of a table a word is one, too. Names in double quotes before a colon belong to JSON, and are read elsewhere.

Invariant: what stands in for a secret is none. Standard: the `.netrc` of GNU inetutils.
"""

import re
from typing import Final

from proxy.enrich.redact.names import ENDINGS, may_be_one, normalise
from proxy.enrich.redact.naming.values import is_fact
from proxy.enrich.redact.patterns.views import SPACE, Span

_NAMES: Final = "|".join((*(name.replace("_", "[-_]?") for name in ENDINGS), "pwd", "[-_]pass", "token")).encode()
_NETRC: Final = rb"\b(?:machine|login|account)%b+[^\s+\\]+%b+(?:(?:login|account)%b+[^\s+\\]+%b+)?password%b+" % (
    (SPACE,) * 5
)
COARSE: Final[bytes] = (
    rb"""(?i:(?:%b)(?:(?:\\*["'])?\]?[ \t]*(?:=>|:?=)|'?[ \t]*:)[ \t]*|%b)(?:\\*["']|[^\s"'\\\[<{(=:])"""
    % (_NAMES, _NETRC)
)
EXACT: Final = re.compile(
    rb"""(?i:(%b)(?:["']?\]?[ \t]*(?:=>|:?=(?!=))|'?[ \t]*:(?![:=])(?:\*\*)?)([ \t]*)|%b)""" % (_NAMES, _NETRC)
)
_BARE_VALUE: Final = (
    rb"""(?:[^\s"'\\&;%<]++|<(?!/|br\b)|%(?!(?:25)*(?:0[9adAD]|2[0267]|5[cC]))|[&;](?![\w.\[\] -]{1,40}=)|"""
)
_VALUE: Final = re.compile(
    rb"""\\*(?:[bfruBFRU]{1,2}(?=["']))?(?:"([^"\\\r\n]*)|'([^'\\\r\n]*)|(%b\\(?![nrtbfu"'/\\]))++))""" % _BARE_VALUE
)
_PLACEHOLDER: Final = re.compile(
    rb"[\[<{(*:]|\$(?![a-z0-9]{1,10}\$)|%[(sdr{]|(?i:null|none|nil|true|false|undefined)\b|(.)\1*\Z|\.\.\.|HTTP/[0-9]"
    rb"|(?i:your)[-_]"
)
_WORDS: Final = re.compile(
    rb"[&!]?[A-Za-z_\x80-\xff]*(?:(?:\.|::|->|\?\.)[A-Za-z_]+)*|[A-Za-z_][\w.:]*[(\[<{].*|[a-z]+(?:8|16|32|64|128|256)"
    rb"|0x[0-9A-Fa-f]{1,8}|[^A-Za-z]{1,5}",
    re.DOTALL,
)
"""As programs, types and prose are written."""
_BEFORE: Final = re.compile(rb"(?:\\[nrtbf]|\\u[0-9a-fA-F]{4}|%[0-9a-fA-F]{2})?([\w.-]*)\Z")
_MIXED: Final = re.compile(rb"(?=.*[0-9])(?=.*[A-Za-z]).{8,}", re.DOTALL)
_MIN_BYTES: Final = 4
_MIN_VARIABLE_BYTES: Final = 6
_TRAILING: Final = b",;)]}.!?:"
_NEAR_BYTES: Final = 64
_JUDGED_BYTES: Final = 256
"""Of a value: what is no secret may be long, and hold many names."""
_BARE: Final = 3
_TABLE: Final = re.compile(rb"(?:\A|[\n\"=])\[(?!REDACTED\])[A-Za-z][\w .:/-]*\]\s*[\r\n]")
_TABLE_BYTES: Final = 2048
_LINE_ENDS: Final = (b"", b"\n", b"\r", b'"')


def secret_in(text: bytes, found: re.Match[bytes]) -> Span | None:
    """Return where the secret stands behind what `EXACT` matched; None when it is none."""
    value = _VALUE.match(text, found.end(), found.end() + _JUDGED_BYTES)
    if value is None or value.lastindex is None:
        return None
    start, stop = value.span(value.lastindex)
    is_quoted = value.lastindex < _BARE
    if not is_quoted:
        stop = start + len(value[_BARE].rstrip(_TRAILING))
    content = text[start:stop]
    if len(content) < _MIN_BYTES or _PLACEHOLDER.match(content) is not None:
        return None
    if found[1] is None:
        is_secret = found[0][:1] in b"mM" or _WORDS.fullmatch(content) is None
    else:
        is_secret = _is_secret(text, found, stop, content, is_quoted=is_quoted)
    if is_secret and value.end() == found.end() + _JUDGED_BYTES and (value := _VALUE.match(text, found.end())):
        stop = value.end()
    return (start, stop) if is_secret else None


def _is_in_table(text: bytes, start: int) -> bool:
    """Whether a line stands below the name of a table, as in files of settings, whose words are values."""
    return _TABLE.search(text, max(0, start - _TABLE_BYTES), start) is not None


def _is_secret(text: bytes, found: re.Match[bytes], stop: int, content: bytes, *, is_quoted: bool) -> bool:
    """Judge a value that stops at `stop` by its name, by the sign between them, and by how it is written."""
    before = _BEFORE.search(text, max(0, found.start() - _NEAR_BYTES), found.start())
    prefix = b"" if before is None else before[1]
    name, sign = found[1].lower(), found[0][len(found[1]) :]
    if content.lower() in (name, prefix.lower() + name) or (name == b"pwd" and content[:1] in b"/~."):
        return False
    full = prefix.rpartition(b".")[2] + found[1]
    if is_fact(compared := normalise(full), content) or not may_be_one(full, compared):
        return False
    if sign == b"=" and len(content) >= _MIN_VARIABLE_BYTES:
        is_variable = prefix[:2] == b"--" or (prefix + found[1]).isupper()
        if is_variable or (not is_quoted and content.isalpha() and text[stop : stop + 1] in _LINE_ENDS):
            return True
    if name == b"token" and _MIXED.match(content) is None:
        return False
    if is_quoted:
        return b" " not in content or (b"=" in sign and b"]" not in sign)  # `errors["password"] = "is too short"`
    return _WORDS.fullmatch(content) is None or (b"=" in sign and _is_in_table(text, found.start()))
