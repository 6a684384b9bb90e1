"""Names whose values are secrets.

Names are compared in lower case without hyphens, underscores, dots and blanks, so `accessToken`,
`access_token` and `Access Token` are equal. A name is secret if it ends with a secret phrase:
`DB_PASSWORD`, `stripeSecretKeys`. A few short words count only as a separate word: `user_pass` is
secret, `bypass` is not. Suffixes for a variant or a format (`passwordConfirm`, `apiKey1`,
`privateKeyPem`) are ignored. `token` can also mean a cursor or a piece of text; the word before it
decides. Query and form parameters are percent-decoded first, and each part of `user[password]` is
judged.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.enrich.redact.octets import PERCENT

BUILT_IN: Final = tuple(
    (
        "authorization proxy-authorization http_authorization cookie set-cookie x-bf-vk "
        "mcp-session-id x-amz-signature x-goog-signature x-oss-signature q-signature sig "
        "signature id_token_hint code_verifier SAMLResponse oauth_verifier client_assertion "
        "client-key-data auths .dockerconfigjson .dockercfg SecretString stringData SecretBinary "
        "session sessionid jsessionid phpsessid csrf xsrf csrfmiddlewaretoken"
    ).split()
)
"""Secret names wherever they name a value: header, query, form, multipart, JSON."""

_OF_KEYS: Final = (
    "api access account admin aes app application auth client cookie decryption encryption "
    "ephemeral hmac jwt license master private recovery sas secret secret_access server service "
    "session shared signing ssl storage subscription tls webhook wrapped write"
).split()
_OF_TOKENS: Final = (
    "access activation actor api auth bearer bot confirmation connection csrf device id identity "
    "invitation invite jwt login oauth password personal private public push recovery refresh "
    "registration remember reset security session subject unlock user verification webhook xsrf"
).split()
"""Words that, in front of `key` or `token`, make the name secret."""

ENDINGS: Final = (
    *(
        "password passwd passphrase passcode secret credential card_number authenticity_token "
        "password_hash password_digest secret_key_base"
    ).split(),
    *(f"{word}_key" for word in _OF_KEYS),
    *(f"{word}_token" for word in _OF_TOKENS),
)
"""Endings that make a name secret, in singular and plural."""

PASSWORDS: Final = tuple(
    (
        "passwort kennwort wachtwoord contrasena contraseña clave_secreta mot_de_passe senha "
        "passord lösenord losenord adgangskode salasana hasło haslo heslo jelszó jelszo lozinka "
        "parolă parola şifre sifre κωδικός пароль пин-код סיסמה كلمة_المرور 密码 密碼 口令 パスワード 暗証番号 "
        "비밀번호"
    ).split()
)
"""Translations of "password"."""

_OF_CODES: Final = "auth authorization backup device mfa onetime otp recovery security".split()
SHORT_ENDINGS: Final = (
    *"token pwd pwds otp cvv cvc jwt creds cookie cookies sessid session_id".split(),
    *(f"{word}_code{plural}" for word in _OF_CODES for plural in ("", "s")),
    *"seed_phrase recovery_phrase preshared_key mnemonic".split(),
    *PASSWORDS,
    *"client_secret reset_code sms_code 2fa_code two_factor_code verification_code".split(),
)
"""Further secret endings. Running text is not searched for them, because there they often mean
something else.
"""

WORDS: Final = (b"pass", b"pin", b"pw", b"csc", b"psk")
"""Words that make a name secret only as its separate last word."""

COMMON_ENDINGS: Final = (*ENDINGS, *(f"{ending}s" for ending in ENDINGS), *SHORT_ENDINGS)

HEADER_ENDINGS: Final = (
    "auth",
    "authorization",
    "authentication",
    "crumb",
    "customer_key",
    "functions_key",
    "clickhouse_key",
)
"""Further secret endings of header names, such as the keys of S3 (SSE-C), Azure and ClickHouse."""

QUERY_ONLY: Final = ("key", "sid")
"""Google's API key and session ids of Engine.IO. JSON keys and form fields use these words for too
many other things.
"""

PARAMETERS_ONLY: Final = ("assertion",)
"""OAuth exchanges an assertion for a token, in a query or form. In JSON the word mostly belongs to
tests.
"""

HEADERS_ONLY: Final = (
    "sec-websocket-protocol",
    "x-session",
    "x-honeycomb-team",
    "x-appwrite-key",
    "set-cookie2",
    "x-registry-config",
)
"""Secret headers: subprotocols may contain tokens (`fields.py`), Docker sends logins in base64, and
the rest are sessions, cookies and API keys.
"""

MCP_ARGUMENT: Final = "mcp-param-"
"""Prefix of the headers in which an MCP client repeats the arguments of a tool (revision
2026-07-28).
"""

TAILS: Final = tuple(
    (
        "confirm confirmation confirmed repeat repeated again retype verify input old new current "
        "previous primary secondary default live prod production sandbox dev test value text "
        "string str data raw plain plaintext pem hex jwe base64 b64 bin hash hashed digest enc "
        "encoded encrypted ciphertext"
    ).split()
)
"""Suffixes that follow a secret ending and name a variant or a format."""

_NOT_FIRST: Final = frozenset(
    b"has is no can should must need needs require requires required allow allows allowed enable "
    b"enabled disable disabled show hide use uses using with without forgot min max num total "
    b"count skip include exclude missing invalid expire preserve protect automount always enforce".split()
)
"""First words of names for settings, facts and counts."""
_PACKAGE: Final = [b"node", b"modules"]
"""First words of a path in an npm lock file."""
_NOT_BEFORE: Final = {
    b"token": frozenset(
        b"next prev previous page pages pagination paging continuation continue cursor sync skip "
        b"delta watch scroll resume marker offset idempotency eos bos pad unk unknown sep cls "
        b"mask special per first last start stop end min max cache cached prompt completion input "
        b"output total text image audio video word sub cancel cancellation username progress starting "
        b"resumption partial reasoning thinking consistency".split()
    ),
    b"pass": frozenset(
        b"first second third last next one two single multi render boarding season day hall ski "
        b"travel test tests by high low band shader depth color post".split()
    ),
    b"pin": frozenset(
        b"map gpio led input output data clock bowling hair rolling safety drop push".split()
    ),
}
"""Words that, in front of the key, give it a harmless meaning: a cursor, progress or piece of text;
a run or ticket; a connector or place. In SOAP, `UsernameToken` is an element that contains a
password.
"""

_PALAU: Final = re.compile(
    rb"(?:(?:[a-z]{2,3}-|(?:en|ja|pau|sov|tox|und)_)(?:[A-Z][a-z]{3}[-_])?)?PW|(?:en|ja|pau|sov|tox|und)[_-]pw"
)
"""The country code of Palau, alone or after a language (RFC 5646)."""
_MEMO_NAMES: Final = 4096
_MEMO_NAME_BYTES: Final = 64
DECODE_ROUNDS: Final = 3
"""No server we know decodes a value more often than this."""

_PARTS: Final = re.compile(rb"[\[\].]+")
_WORD: Final = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_TAIL: Final = re.compile(
    rb"(?:%b|[0-9]++)++\Z" % "|".join(sorted(TAILS, key=len, reverse=True)).encode()
)
"""Possessive, so that a run of digits is tried only once. Longer words come first, so that a
shorter one with the same beginning does not win.
"""
_MAX_TAIL_BYTES: Final = 40
_ESCAPED_LEVELS: Final = 4


def normalise(name: bytes) -> bytes:
    return name.strip().lower().translate(None, b"-_. ")


def spelled_forms(name: str) -> tuple[str, ...]:
    r"""Return the spellings of a name that is not ASCII: upper and title case, and JSON escapes
    (`\u00f1`).

    Escapes are nested up to `_ESCAPED_LEVELS` deep, as queue events hold messages that hold bodies.
    An ASCII name is returned alone.
    """
    if name.isascii():
        return (name,)
    cases = list(dict.fromkeys((name, name.lower(), name.title(), name.upper())))
    forms = list(cases)
    for _ in range(_ESCAPED_LEVELS):
        cases = [json.dumps(case)[1:-1] for case in cases]
        forms += cases
    return tuple(forms)


def plain_parts(name: bytes) -> Iterable[bytes]:
    """Return the name itself, as the only part of a header name or JSON key."""
    return (name,)


def parameter_parts(name: bytes) -> Iterable[bytes]:
    """Return a query or form parameter percent-decoded, then each part of `user[password]`."""
    for _ in range(DECODE_ROUNDS):
        if PERCENT not in name:
            break
        name = unquote_to_bytes(name)
    name = name.replace(b"+", b" ")
    return (name, *_PARTS.split(name))


class SecretNames:
    """A set of secret names. It memoises up to 4096 spellings, because most messages repeat a few
    names.
    """

    __slots__ = ("_memo", "_names", "_parts_of", "_phrases", "endings", "excepted", "spelled")

    def __init__(
        self,
        *groups: Iterable[str],
        endings: Iterable[str] = (),
        parts_of: Callable[[bytes], Iterable[bytes]] = plain_parts,
        excepted: Iterable[str] = (),
    ) -> None:
        """Unite groups of names, given in any spelling.

        Args:
            groups: Names that are secret as a whole.
            endings: Secret endings in addition to `COMMON_ENDINGS`.
            parts_of: Splits a name into the parts that are judged.
            excepted: Names that are never secret.
        """
        whole = frozenset(name for group in groups for name in group)
        self.spelled = frozenset(
            form
            for name in (*whole, *COMMON_ENDINGS, *endings, *(word.decode() for word in WORDS))
            for form in spelled_forms(name)
        )
        """All names, endings and words as they may be written in text."""
        self._names = frozenset(
            normalise(form.encode()) for name in whole for form in spelled_forms(name)
        )
        self.excepted = frozenset(
            normalise(form.encode()) for name in excepted for form in spelled_forms(name)
        )
        phrases = (form for ending in (*COMMON_ENDINGS, *endings) for form in spelled_forms(ending))
        self.endings = tuple(dict.fromkeys(normalise(form.encode()) for form in phrases))
        self._phrases = frozenset(self.endings)
        self._parts_of = parts_of
        self._memo: dict[bytes, bool] = {}

    def __iter__(self) -> Iterator[bytes]:
        """Yield the names as they are compared: lower case, without separators. `endings` has the
        same form.
        """
        return iter(sorted(self._names))

    def has(self, name: bytes) -> bool:
        is_secret = self._memo.get(name)
        if is_secret is None:
            parts = tuple(self._parts_of(name))
            is_secret = normalise(parts[0]) not in self.excepted and any(
                map(self._is_secret, parts)
            )
            if len(name) <= _MEMO_NAME_BYTES:
                if len(self._memo) >= _MEMO_NAMES:
                    self._memo.clear()
                self._memo[name] = is_secret

        return is_secret

    def has_phrase(self, name: bytes) -> bool:
        """True if a name with blanks is secret as a whole.

        Its ending is not enough: sentences end with these words, too.
        """
        compared = normalise(name)
        return (
            name[:1] > b" "
            and compared not in self.excepted
            and (compared in self._names or compared in self._phrases)
        )

    def _is_secret(self, name: bytes) -> bool:
        name = name.removesuffix(b"]").rpartition(b"[")[2]  # `card[cvc]`
        compared = normalise(name)
        if compared in self._names or compared in self.excepted:
            return compared not in self.excepted
        if compared.endswith(self.endings):
            return may_be_secret(name, compared)

        tail = _TAIL.search(compared, max(0, len(compared) - _MAX_TAIL_BYTES))
        if tail is not None and tail.start():
            name = _without(name, len(compared) - tail.start())
            compared = compared[: tail.start()]
            if compared.endswith(self.endings):
                return may_be_secret(name, compared)

        words = _words(name)
        return bool(words) and words[-1] in WORDS and may_be_secret(name, compared)


def _words(name: bytes) -> list[bytes]:
    return [word.lower() for word in _WORD.findall(name)]


def _without(name: bytes, letters: int) -> bytes:
    """Return a name without its last `letters` letters; separators are not counted."""
    at = len(name)
    while letters:
        at -= 1
        letters -= name[at] not in b"-_. \t\r\n"
    return name[:at]


def may_be_secret(name: bytes, compared: bytes) -> bool:
    """True if the words before a secret ending leave the name secret."""
    if b"::" in name or _PALAU.fullmatch(name) is not None:  # Names of types are not secret.
        return False
    if not name.isascii() or b"\\u" in name:
        return True

    words = _words(name)
    if len(words) > 1 and (words[0] in _NOT_FIRST or words[:2] == _PACKAGE):
        return False

    for word, others in _NOT_BEFORE.items():
        if compared.endswith(word):
            if words and words[-1] != word:
                joined = words[-1][: -len(word)]
            else:
                joined = b"".join(words[-2:-1])
            return joined not in others

    return True
