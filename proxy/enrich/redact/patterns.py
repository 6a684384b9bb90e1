r"""Secrets of known formats: provider keys, tokens, private keys, credentials in URLs.

Strategy: one google-re2 pattern over all kinds, linear in the text and quick to say no; what it finds is
examined (is this `sk-…` a key, or hyphenated words?) and replaced, except for the words that say what it was. A secret
may be written with JSON escapes (`\u0073k-`, `:\/\/`) or percent-encoded: such text is also searched as it reads
unescaped.

Invariant: redacting twice changes nothing. Ordinary text, code, hashes and UUIDs are left alone (a test measures it).
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.enrich.formats.linear_patterns import compile_bytes, held_by
from proxy.enrich.redact.json_keys import MARK, MAX_HITS, Edit, edited
from proxy.enrich.redact.names import DECODE_ROUNDS, ENDINGS
from proxy.enrich.redact.octets import BACKSLASH, PERCENT

MIN_BYTES: Final = 16
"""The shortest thing any pattern finds is longer."""

_TOKENS: Final = (
    rb"sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse and others
    rb"sk_[A-Za-z0-9]{40,}",  # keys of the proxied service; ElevenLabs
    rb"(?:sk|rk|pk)_(?:org_)?(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}",  # Stripe
    rb"AIza[A-Za-z0-9_-]{35}|AQ\.[A-Za-z0-9_-]{40,}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}"
    rb"|1//0[A-Za-z0-9_-]{40,}",  # Google
    rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{60,}=*"
    rb"|(?:IQoJb3JpZ2lu|F[wQ]oGZXIvYXdz)[A-Za-z0-9+/]{60,}=*",  # AWS: keys, of Bedrock, sessions
    rb"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,}|[A-Za-z0-9]{52}JQQJ9[A-Za-z0-9]{26,}"
    rb"|[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}",  # Azure: clients, services, DevOps
    rb"gh[pour]_[A-Za-z0-9_]{30,}|ghs_[A-Za-z0-9_.-]{30,}|github_pat_[A-Za-z0-9_]{22,}",
    rb"gl(?:pat|ptt|dt|rtr?|cbt|ft|ffct|wt|soat|agent|imt|oas)-[A-Za-z0-9_.-]{20,}|GR1348941[A-Za-z0-9_-]{20,}",
    rb"xox[a-eoprs]-[A-Za-z0-9%-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}",  # Slack
    rb"(?:sk\.)?eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*|sk\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    # JWT and JWE (RFC 7519), Mapbox
    rb"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|SK[a-f0-9]{32}|x(?:key|smtp)sib-[a-f0-9]{64}-[A-Za-z0-9]{10,}|[a-f0-9]{32}-us[0-9]{1,2}"
    rb"|re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}",  # SendGrid, Twilio, Brevo, Mailchimp, Resend
    rb"(?:apify_api|api_org|aio|bkua|cfat|cfk|cfut|crsr|e2b|ek|fw|glsa|gsk|hf|KGAT|lin_(?:api|oauth)|napi|nfp|npm|ntn"
    rb"|phx|pnu|r8|rdme|rnd|rpa|rubygems|sbp|secret|sgp_(?:local|[a-f0-9]{16})|shippo_(?:live|test)|sntryu|sq[apu]"
    rb"|vc[aciprk])_[A-Za-z0-9]{24,}",
    rb"(?:CCIPAT|dckr_[op]at|figd|f[mo][12]|jina|pcsk|pscale_(?:tkn|pw|oauth)|sb_secret|sntrys|tfp|tgp_v1|wandb_v1)"
    rb"_[A-Za-z0-9_+/=.-]{27,}",
    rb"pypi-[A-Za-z0-9_-]{50,}|xai-[A-Za-z0-9]{40,}|pplx-[A-Za-z0-9]{40,}|nvapi-[A-Za-z0-9_-]{40,}|tvly-[A-Za-z0-9-]{20,}",
    rb"csk-[a-z0-9]{40,}|fc-[a-f0-9]{32}|sess-[A-Za-z0-9]{40,}|LLM\|[0-9]{10,}\|[A-Za-z0-9_-]{20,}",
    rb"do[opr]_v1_[a-f0-9]{64}|dapi[a-f0-9]{32}|shp(?:at|ca|pa|ss|tka)_[a-fA-F0-9]{32}|hv[sbr]\.[A-Za-z0-9_-]{24,}",
    rb"cio[A-Za-z0-9]{32}\b|oy2[a-z0-9]{43}\b|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}|pul-[a-f0-9]{40}"
    rb"|dp\.[a-z]{2,5}\.[A-Za-z0-9.-]{40,}|HRKU-[A-Za-z0-9_-]{30,}|v1\.0-[a-f0-9]{24}-[a-f0-9]{100,}",
    rb"AT[AC]TT3[A-Za-z0-9_=-]{60,}|ATBB[A-Za-z0-9_=.-]{20,}|AKCp[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9]{40,}",
    rb"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}|pat-[a-z]{2}[0-9]-[a-f0-9-]{36}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}"
    rb"|NR(?:AK|II|SP|AL)-[A-Za-z0-9_-]{24,}|CFPAT-[A-Za-z0-9_-]{40,}|EZ[AT]K[A-Za-z0-9]{54}|dt0[a-z]01\.[A-Z0-9]{24}\."
    rb"[A-Z0-9]{64}",  # Airtable, HubSpot, Postman, New Relic, Contentful, EasyPost, Dynatrace
    rb"ops_eyJ[A-Za-z0-9+/_-]{40,}|glc_eyJ[A-Za-z0-9+/_-]{32,}=*|tskey-[a-z]+-[A-Za-z0-9-]{20,}|sha256~[A-Za-z0-9_-]{43}"
    rb"|AstraCS:[A-Za-z0-9]{20,}:[a-f0-9]{64}|AQVN[A-Za-z0-9_-]{35,}|LTAI[A-Za-z0-9]{20}|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}"
    rb"|access-(?:sandbox|production)-[a-f0-9-]{36}|FLWSECK[_-][A-Za-z0-9_-]{20,}|EAA[A-Za-z0-9]{100,}",
    rb"LS0tLS1CRUdJTi[A-Za-z0-9+/]{20,}(?:(?:\s|\\+[nr]){1,8}[A-Za-z0-9+/]{16,})*=*"
    rb"|(?:eyJhdXRocyI6|eyAiYXV0aHMiO|ewo(?:JImF1dGhzIj|gICJhdXRocyI6|gICAgImF1dGhzIj))[A-Za-z0-9+/]{20,}=*",
    # In base64, as Kubernetes has them: PEM, of which only private keys are secrets, and Docker's logins
    rb"AGE-SECRET-KEY-1[A-Z0-9]{50,}|lsv2_(?:pt|sk)_[A-Za-z0-9_]{32,}",
    rb"(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{33}|(?:ST|PT|PGT|TGT)-[0-9]+-[A-Za-z0-9_-]{20,}",  # Telegram, CAS
    rb"[MNO][A-Za-z0-9]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",  # Discord
    rb"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,}",
    rb"discord(?:app)?\.com/api/webhooks/[0-9]{15,20}/[A-Za-z0-9_-]{40,}",
)
_MAY_BE_WORDS: Final = re.compile(
    rb"sk-|CCIPAT_|dckr_|figd_|f[mo][12]_|jina_|pcsk_|pscale_|sb_|sntrys_|tfp_|tgp_|wandb_|[MNO].{23,27}\."
)
"""Tokens that may be words with hyphens, underscores or dots between them."""
_PEM: Final = b"LS0t"
_TICKET: Final = re.compile(rb"[A-Z]{2,3}-[0-9]+-")
"""Of CAS; issues and branches are named so, too."""
_LINE_ENDS: Final = re.compile(rb"\s|\\+[nr]")
_BLANKS: Final = rb"(?:[\s+]|%20|\\[nrt])+"
_SQL_NAME: Final = rb"(?:[^\s+%\\]|%[^\s+2]|%2[^\s+0]|\\[^\s+nrt])+"
"""Of a user; without what is a blank, so that a long one is read once, wherever it might end."""
_SQL_WORDS: Final = rb"(?i:\b(?:%b)(?:[\s+]|\\[nrt])*)" % b"|".join(
    words.replace(b" ", _BLANKS)
    for words in (
        rb"with (?:encrypted )?password",
        rb"set password for %b(?:[\s+]|\\[nrt])*=" % _SQL_NAME.replace(rb"^\s", rb"^\s'="),
        rb"(?:user|role) (?:if not exists )?%b (?:encrypted password|identified (?:with \w+ )?by)" % _SQL_NAME,
    )
)
"""Before the password that a statement gives a user: InfluxDB, Postgres, MySQL, ClickHouse."""
_VARIABLE: Final = rb"(?:%b|--(?:[a-z0-9]+-)*(?:token|%b))=" % (
    "|".join(name.upper() for name in (*ENDINGS, "_token")).encode(),
    "|".join(name.replace("_", "-") for name in ENDINGS).encode(),
)
"""How the names of variables end whose values are secrets, in files and commands that set an environment; options."""
_NOT_END: Final = rb"""(?:[^"'-]|-[^-"'])*"""
_KINDS: Final = (
    rb"(?:\b|\\[nrtbf]|%%[0-9A-Fa-f]{2})(?:%b)" % b"|".join(_TOKENS),
    # PKCS #8 and its like (RFC 7468 §10), closed or cut off
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----%b(?:-----END[^-]*-----)?" % _NOT_END,
    rb"(?i:\bbearer(?:\s|%20|\+)+)[A-Za-z0-9._~+/-]{16,}=*",
    rb"(?i:\bbasic\s+)[A-Za-z0-9+/]{8,}={0,2}",
    rb"""://[^/?#\s"'<>@\\\[]*:[^/?#\s"'<>@\\\[]+@""",
    rb"""(?i:[?&#](?:(?:[a-z0-9._-]*[_.-])?(?:security-token|credential"""
    rb"""|(?:access|refresh|id|auth|password|reset|confirmation|verification|activation|invit(?:ation|e)|login)[-_]?token"""
    rb"""|api[-_]?key|secret|password|passwd|pwd|jwt|sig|signature)|token|session[-_]?id)=)[^&#\s"'<>\\\[]{6,}""",
    rb"(?i:;jsessionid=)[A-Za-z0-9._!~-]{8,}",  # in paths of Java's servlets
    rb"""(?:\b|\\[nr])passcode:[^\s"\\\x00\[][^\s"\\\x00]{3,}""",  # in a STOMP CONNECT frame, also within JSON (SockJS)
    rb"""(?:;\s?(?:Password|PASSWORD|Pwd|PWD)=)[^;&\s"'<>\\\[]{4,}""",  # how to connect, as ADO.NET and ODBC are told
    rb"""(?i:\baws[-_]?secret[-_]?(?:access[-_]?)?key)[\\"'\s:=]{1,8}[A-Za-z0-9/+=]{40}""",
    rb"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}=*",
    rb"%b'[^']*'?" % _SQL_WORDS,
    rb"""%b(?:\\*"[^"\\\r\n\[$<{][^"\\\r\n]{5,}|\\*'[^'\\\r\n\[$<{][^'\\\r\n]{5,}"""
    rb"""|[^\s"'\\\[$<{(%%][^\s"'\\]{5,})""" % _VARIABLE,
)
_COUNT: Final = re.compile(rb"\{(\d+)(?:,\d*)?\}")
_COARSE_COUNT: Final = 8


def _coarse(pattern: bytes) -> bytes:
    """Count no further than to eight: an automaton that counts further has too many states to keep.

    Text that brings it into many of them would then be searched without one, at 1.2 ms a KiB.
    """
    return _COUNT.sub(lambda found: b"{8,}" if int(found[1]) > _COARSE_COUNT else found[0], pattern)


PATTERN: Final = _coarse(b"|".join(_KINDS))
"""All kinds, for a pre-filter together with others; how long a token is, is looked at where one was found."""
ESCAPED: Final = rb"\\u00(?:2[03dDeE]|3[0-9aAfF]|[46][0-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])"
"""What is part of tokens and URLs, and nobody needs to escape in JSON."""
_USUAL: Final = (
    *((b"\\u0026", b"&"), (b"\\u0027", b"'"), (b"\\u002b", b"+"), (b"\\u002B", b"+"), (b"\\u002f", b"/")),
    *((b"\\u002F", b"/"), (b"\\u003d", b"="), (b"\\u003D", b"=")),
)
"""What Go, .NET, Gson and others escape in each JSON they write; PHP escapes slashes."""
_has_usual: Final = held_by(compile_bytes(b"|".join(re.escape(text) for text in (b"\\/", *dict(_USUAL)))))
_has_any: Final = held_by(compile_bytes(rb"\\(?:/|u00[2-7])"))
_MAX_BACKSLASHES: Final = 7
"""Before a slash: JSON within a string of JSON within another has so many."""

_EXACT: Final = re.compile(b"|".join(_KINDS))
_FOUND: Final = compile_bytes(PATTERN)
_MAX_CANDIDATES: Final = 20_000
"""That only begin like secrets, 8 us each."""
_may_hold: Final = held_by(_FOUND)
_ESCAPE: Final = re.compile(rb"(?<!\\)\\+u00([2-7][0-9a-fA-F])")
"""With more backslashes in JSON within a string of JSON; a run of them is read once, from its first."""
_LEAD: Final = re.compile(rb"\\[nrtbf]|%[0-9A-Fa-f]{2}")
_KEPT: Final = re.compile(
    rb"""(?i:bearer(?:\s|%20|\+)+|basic\s+|passcode:|[?&#;]\s?[a-z0-9._-]+=|aws[-_]?secret[-_]?(?:access[-_]?)?key[\\"'\s:=]{1,8}"""
    rb"""|(?:AccountKey|SharedAccessKey)=|hooks\.slack\.com/[a-z]+/|discord(?:app)?\.com/api/webhooks/|bot(?=[0-9]+:AA))|"""
    + b"|".join((_VARIABLE + rb"""\\*["']?""", _SQL_WORDS))
)
_RUN: Final = re.compile(rb"[A-Za-z0-9]+")
_TURN: Final = re.compile(rb"[a-z](?=[A-Z0-9])|[0-9](?=[A-Za-z])")
"""From a small letter to a large one or a digit, or back: hyphenated words have few."""
_MIN_TURNS: Final = 4
_UUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPENINGS: Final = (
    rb"(?:sk-|sk_|rk_|AIza|AQ\.|ya29|AKIA|ASIA|ABSK|IQoJ|F[wQ]oG|gh[pousr]_|github_pat_|gl[a-z]{2,6}-|glc_|xox|xapp-|eyJ"
    rb"|hf_|gsk_|npm_|pypi-|hv[sbr]\.|ATATT|dckr_|sntrys_|ops_)"
)
_OPEN: Final = re.compile(_OPENINGS)
_OPEN_WITHIN: Final = re.compile(rb"\b" + _OPENINGS)
TOKEN_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=%-"
"""What tokens are made of; anything else ends one."""


def redact_patterns(text: bytes) -> bytes:
    """Replace what looks like a secret; the same object comes back when nothing does."""
    if len(text) < MIN_BYTES:
        return text
    if BACKSLASH in text and _has_any(text):
        text = _redact_escaped(text)
    if not _may_hold(text):  # 0.7 us less for nearly all (bench/micro, redact)
        return text
    return edited(text, find_secrets(text))


def behind_escapes(may_hold: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """Have a first look at a text followed by one without the usual escapes, where there are some."""

    def look(text: bytes) -> bool:
        return may_hold(text) or (BACKSLASH in text and _has_usual(text) and may_hold(_without_usual_escapes(text)))

    return look


def _without_usual_escapes(text: bytes) -> bytes:
    """Return JSON without the escapes that many write."""
    for escape, plain in _USUAL:
        text = text.replace(escape, plain)
    for _ in range(_MAX_BACKSLASHES):
        if text.find(b"\\/") < 0:
            break
        text = text.replace(b"\\/", b"/")
    return text


def find_secrets(text: bytes) -> Iterator[Edit]:
    """Yield where secrets start and stop, and what stands in for each, in order.

    After `MAX_HITS` of them, or so many candidates, the rest of the text counts as one.
    """
    position = candidates = hits = 0
    while (candidate := _FOUND.search(text, position)) is not None:
        candidates += 1
        start = candidate.start()
        if hits >= MAX_HITS or candidates > _MAX_CANDIDATES:
            yield start, len(text), MARK
            return
        found = _EXACT.match(text, start)
        position = start + 1 if found is None else max(found.end(), start + 1)
        replacement = None if found is None else _replacement(found.group())
        if found is not None and replacement is not None:
            hits += 1
            yield start, found.end(), replacement


def has_encoded_secret(text: bytes) -> bool:
    """Whether percent-encoded text looks like a secret once it is decoded."""
    for _ in range(DECODE_ROUNDS):
        if PERCENT not in text:
            return False
        text = unquote_to_bytes(text)
        if next(find_secrets(text), None) is not None:
            return True
    return False


def begins_secret(run: bytes) -> bool:
    """Whether an unbroken run of token bytes that a window cuts off begins as known keys begin."""
    return _OPEN.match(run) is not None


def without_beginning(text: bytes) -> bytes:
    """Replace what a text that may be cut ends in, where known keys begin so."""
    run = len(text) - len(text.rstrip(TOKEN_BYTES))
    found = _OPEN_WITHIN.search(text, len(text) - run)
    return text if found is None else text[: found.start()] + MARK


def _redact_escaped(text: bytes) -> bytes:
    """Unescape letters, digits and slashes where that shows a secret; other text keeps its escapes."""
    plain = _without_usual_escapes(_ESCAPE.sub(_unescape, text))
    return plain if plain != text and _hides_secret(text, plain) else text


def _hides_secret(text: bytes, plain: bytes) -> bool:
    """Whether one of the secrets in the unescaped text does not stand in the other as it is."""
    at = 0
    for start, stop, _ in find_secrets(plain):
        found = text.find(plain[start:stop], at)
        if found < 0:
            return True
        at = found + stop - start
    return False


def _unescape(found: re.Match[bytes]) -> bytes:
    character = bytes((int(found[1], 16),))
    return character if character.isalnum() or character in b"-_.:/@=+ ~?&'" else found[0]


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
    if word.rstrip() == b"basic":
        try:
            return b":" in base64.b64decode(token + b"==")
        except binascii.Error:
            return False
    if word.startswith(b"bearer"):
        return len(token) >= 30 or any(byte in b"0123456789" for byte in token)
    if token.startswith(_PEM):
        plain = _LINE_ENDS.sub(b"", token).rstrip(b"=")
        return b"PRIVATE KEY-" in base64.b64decode(plain[: len(plain) // 4 * 4])
    ticket = _TICKET.match(token)
    if ticket is not None or token.startswith(b"sk-"):
        key = token if ticket is None else token[ticket.end() :]
        return is_random(key) or len(_TURN.findall(key)) >= _MIN_TURNS
    return _MAY_BE_WORDS.match(token) is None or is_random(token)


def is_random(token: bytes) -> bool:
    """Tell a key from words: a UUID, a long run with a digit in it, or letters of both cases and digits mixed."""
    if _UUID.search(token) is not None or any(len(run) >= 16 and not run.isalpha() for run in _RUN.findall(token)):
        return True
    letters = token.decode("latin-1")
    return min(sum(map(str.isdigit, letters)), sum(map(str.isupper, letters))) >= 3
