"""Secrets of known formats: provider keys, tokens, private keys, credentials in URLs and statements.

Strategy: `KINDS` say how each reads, with what it must not be part of; what is found is examined (is this `sk-…` a key,
or hyphenated words?), and the words that say what it was stay.

Invariant: what stands in for a secret is none. Ordinary text, code, hashes and UUIDs are left alone (tests measure it).
"""

import base64
import binascii
import re
from typing import Final

from proxy.enrich.redact.json_values import MARK
from proxy.enrich.redact.names import ENDINGS
from proxy.enrich.redact.patterns.views import SPACE, Span

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
    rb"hooks\.slack\.com/(?:services|workflows|triggers|commands|actions)/[A-Za-z0-9/]{20,}",
    rb"discord(?:app)?\.com/api/webhooks/[0-9]{15,20}/[A-Za-z0-9_-]{40,}",
    rb"webhook\.office\.com/webhookb2/[A-Za-z0-9@/_-]{40,}",
)
_MAY_BE_WORDS: Final = re.compile(
    rb"sk-|CCIPAT_|dckr_|figd_|f[mo][12]_|jina_|pcsk_|pscale_|sb_|sntrys_|tfp_|tgp_|wandb_|[MNO].{23,27}\."
)
"""Tokens that may be words with hyphens, underscores or dots between them."""
_MAY_BE_WORD: Final = re.compile(
    rb"bearer|author|proxy-|[\s+\"']-|env[\s+]|define|requi|set[\s+]-|setx|sshpas|login|mysql|mongo|redis-"
)
_CLOSED: Final = re.compile(rb"<|[^&]{1,64}&")
"""What is named in markup, with what ends its value."""
_PEM: Final = b"LS0t"
_TICKET: Final = re.compile(rb"[A-Z]{2,3}-[0-9]+-")
"""Of CAS; issues and branches are named so, too."""
_LINE_ENDS: Final = re.compile(rb"\s|\\+[nr]")
_SQL_NAME: Final = rb"""(?:"[^"]*"|[^\s+"])+"""
"""Of a user; without what is a blank, so that a long one is read once, wherever it might end."""
_SQL_WORDS: Final = b"".join((
    rb"(?i:\b(?:",
    b"|".join(
        words.replace(b" ", SPACE + b"+")
        for words in (
            rb"(?:password|secret) ",
            rb"set password for " + _SQL_NAME.replace(rb"\s", rb"\s'=") + SPACE + b"*=",
            rb"(?:user|role|to) (?:if not exists )?" + _SQL_NAME + rb" identified (?:with \w+ )?(?:by|as)",
        )
    ),
    rb")", SPACE, rb"*\(?)",
))  # fmt: skip
"""Before the password that a statement gives: InfluxDB, Postgres, MySQL, ClickHouse, DuckDB."""
_NOT_END: Final = rb"""(?:[^"'-]|-[^-"']|["'],\s*["'])*"""
"""Also in the next strings of a list of lines."""
_SECRET: Final = rb"(?:%b|pwd)" % "|".join(name.replace("_", "[-_]?") for name in ENDINGS).encode()
_QUOTES: Final = rb"(?:&quot;|&#34;|&#x22;)"
_ELEMENT: Final = (
    rb"(?i:<(?:[a-z0-9_.:-]*%b|(?:[a-z0-9_.-]*:)?token)(?:\s[^<>]*)?>"
    rb"|(?:%b|[^a-z0-9_-]token)%b\s*:\s*%b)" % (_SECRET, _SECRET, _QUOTES, _QUOTES)
)
"""Markup before a secret, or JSON in markup, wherever it stands in a text."""
_JWK: Final = rb"""\"(?:[dkpq]|d[pq]|qi)\"\s*:\s*\""""
"""Before a number of a private key (RFC 7518 §6)."""
_COOKIE: Final = rb"(?i:\b(?:set-)?cookie:[ \t]*)"
_LOGIN: Final = (
    rb"""(?:\bcurl(?:\s[^\r\n|;]*?)?\s(?:(?:-u|--user|--proxy-user)[ =]?["']?[^\s:"'\\\[]{1,64}:"""
    rb"""|(?:-b|--cookie)[ =]?["']?[^\s="'\\\[]{1,64}=)|(?i:jdbc:\w+:thin:)[^/\s"'@]{1,64}/)"""
)
_ARGUMENT: Final = (
    rb"""(?i:\b(?:proxy-)?authorization:B*(?:[a-z][a-z0-9-]{1,20}B+)?"""
    rb"""|(?:B|["'])--?(?:(?:[a-z]+-)*%b|(?:key|store)pass|token)(?:B+["']?|["'],B*["'])"""
    rb"""|\b(?:env|setx|set -[a-z]+)B+[a-z0-9_]*%bB+|\brequirepassB+["']?|-pass(?:in|out)?B+["']?pass:"""
    rb"""|\b(?:sshpass|login|mysql\w*|mongo\w*|redis-cli)(?:B[^\r\n|;]*?)?B-[pa]B?["']?)""" % (_SECRET, _SECRET)
).replace(b"B", SPACE)
"""Of commands, and headers in a text: before what may be words."""
_DEFINED: Final = rb"""(?i:\bdefine\(B*["'][a-z0-9_]*%b["']B*,B*["'])""".replace(b"B", SPACE) % _SECRET
"""Of a constant in PHP; those of WordPress have keys of 64 bytes."""
KINDS: Final = (
    rb"\b(?:%b)" % b"|".join(_TOKENS),
    # PKCS #8 and its like (RFC 7468 §10), closed or cut off
    rb"-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-{4,5}%b(?:-{4,5} ?END[^-]*-{4,5})?" % _NOT_END,
    rb"\bPrivate-Lines: [0-9]+(?:[A-Za-z0-9/=]|%b){40,}" % SPACE,  # PuTTY's
    rb"(?i:\bbearer%b+)[A-Za-z0-9._~+/-]{16,}=*" % SPACE,
    rb"(?i:\bbasic%b+|\b_auth ?= ?)[A-Za-z0-9+/]{8,}={0,2}" % SPACE,
    rb""":[\w!$%&()*+,.;=^{|}~-]{4,}@(?:tcp6?|unix)\(""",  # in data source names of Go's driver for MySQL
    rb"""://[^/?#\s"'<>\\\[]*:[^/?#\s"'<>@\\\[]+@""",
    rb"""(?i:[?&#](?:(?:[a-z0-9._-]*[_.-])?(?:security-token|credential"""
    rb"""|(?:access|refresh|id|auth|password|reset|confirmation|verification|activation|invit(?:ation|e)|login)[-_]?token"""
    rb"""|api[-_]?key|secret|password|passwd|pwd|jwt|sig|signature)|token|session[-_]?id)=)[^&#\s"'<>\\\[]{6,}""",
    rb"(?i:;jsessionid=)[A-Za-z0-9._!~-]{8,}",  # in paths of Java's servlets
    rb"""\bpasscode:[^\s"\\\x00\[][^\s"\\\x00]{3,}""",  # in a STOMP CONNECT frame, also within JSON (SockJS)
    rb"""(?:;\s?(?:Password|PASSWORD|Pwd|PWD)=)[^;&\s"'<>\\\[]{4,}""",  # in connection strings of ADO.NET and ODBC
    rb"""(?i:\baws[-_]?secret[-_]?(?:access[-_]?)?key)[\\"'\s:=]{1,8}[A-Za-z0-9/+=]{40}""",
    rb"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}=*",
    rb"""(?i:secret_?id)[\\"'\s:=]{1,8}[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}""",  # Vault's; others are names
    rb"%b'[^'\[][^']*'?" % _SQL_WORDS,
    rb"\$(?:2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{22,}|(?:[156y]|apr1)\$[./A-Za-z0-9=$]{24,}|argon2[id]{1,2}\$[^\s\"'\\:]{24,})",
    rb"%b[A-Za-z0-9_-]{43,}" % _JWK,
    rb"%b[^<>&\s\[][^<>&]{5,}(?:</|&)" % _ELEMENT,
    rb"""%b[^\s=;"'<>\[]{1,64}=[^\r\n"'\\\[][^\r\n"'\\]{3,}""" % _COOKIE,
    rb"""%b[^\s"'\\\[@]{4,}""" % _LOGIN,
    rb"%b[A-Za-z0-9._~/=!@#$^-]{6,}" % _ARGUMENT,
    rb"""%b(?:[^\r\n"'\\\[]{64,}|[^\s"'\\\[]{4,})""" % _DEFINED,
)
"""All of them, in the syntax that google-re2 and `re` share."""
_KEPT: Final = re.compile(
    rb"""(?i:secret_?id[\\"'\s:=]{1,8}|bearer[\s+]+|basic[\s+]+|_auth ?= ?|passcode:|[?&#;]\s?[a-z0-9._-]+="""
    rb"""|aws[-_]?secret[-_]?(?:access[-_]?)?key[\\"'\s:=]{1,8}"""
    rb"""|(?:AccountKey|SharedAccessKey)=|hooks\.slack\.com/[a-z]+/|discord(?:app)?\.com/api/webhooks/"""
    rb"""|webhook\.office\.com/webhookb2/|bot(?=[0-9]+:AA))|"""
    + b"|".join((_SQL_WORDS, _ELEMENT, _COOKIE, _LOGIN, _ARGUMENT, _DEFINED, _JWK))
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


def secret_in(text: bytes) -> Span | None:
    """Return where the secret stands in what one of `KINDS` matched; None when it is none after all."""
    if text.startswith(b"://"):
        return 3, len(text) - 1
    if text[:1] == b":":
        return 1, text.rindex(b"@")
    if text.startswith(b"----"):
        return 0, len(text)
    kept = _KEPT.match(text)
    begin = 0 if kept is None else kept.end()
    text = text.removesuffix(b"</").removesuffix(b"&") if _CLOSED.match(text) is not None else text
    return (begin, len(text)) if _is_secret(text[: min(begin, 6)].lower(), text[begin:]) else None


def begins_secret(run: bytes) -> bool:
    """Whether an unbroken run of token bytes that a window cuts off begins as known keys begin."""
    return _OPEN.match(run) is not None


def without_beginning(text: bytes) -> bytes:
    """Replace what a text that may be cut ends in, where known keys begin so."""
    run = len(text) - len(text.rstrip(TOKEN_BYTES))
    found = _OPEN_WITHIN.search(text, len(text) - run)
    return text if found is None else text[: found.start()] + MARK


def _is_secret(word: bytes, token: bytes) -> bool:
    if word.rstrip() in (b"basic", b"_auth", b"_auth="):
        try:
            return b":" in base64.b64decode(token + b"==")
        except binascii.Error:
            return False
    if _MAY_BE_WORD.match(word) is not None:
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
    """Whether it is a key and no words: a UUID, a long run with a digit in it, or both cases and digits mixed."""
    if _UUID.search(token) is not None or any(len(run) >= 16 and not run.isalpha() for run in _RUN.findall(token)):
        return True
    letters = token.decode("latin-1")
    return min(sum(map(str.isdigit, letters)), sum(map(str.isupper, letters))) >= 3
