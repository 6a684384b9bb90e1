"""Secret names: spellings that are one name, and names that only look alike."""

import json

from proxy.enrich.redact.names import (
    BUILT_IN,
    HEADER_ENDINGS,
    QUERY_ONLY,
    SecretNames,
    normalise,
    parameter_parts,
)
from proxy.enrich.redact.redactor import Redactor
from tests.proxy.enrich.redact.field_names import FIELD_NAMES
from tests.support.cases import each_of


@each_of(
    "name",
    [
        b"access_token",
        b"Access-Token",
        b"accessToken",
        b"ACCESS_TOKEN ",
        b"-access--token_",
        b"access.Token",
    ],
)
def test_spellings_are_one_name(name: bytes) -> None:
    """Case, hyphens, underscores and blanks around do not matter."""
    assert SecretNames(BUILT_IN).has(name)
    assert normalise(name) == b"accesstoken"


@each_of("name", [b"db_PW", b"DB-PW", b"db_pw", b"csrf", b"csrfToken", b"sessionToken"])
def test_names_beside_those_that_mean_more(name: bytes) -> None:
    """Cursors and codes of countries end in the same words."""
    assert SecretNames(BUILT_IN).has(name)


@each_of("name", [b"max_tokens", b"tokens", b"content-type", b"", b"key", b"\xff\x00"])
def test_other_names_are_not_secret(name: bytes) -> None:
    """A name is compared whole; of its parts only the last word counts, where it is one of the
    endings.
    """
    assert not SecretNames(BUILT_IN).has(name)
    assert not SecretNames(BUILT_IN, endings=(*HEADER_ENDINGS,)).has(name)


TAKEN = ("secret", "other, taken for a secret")
ENDED = (
    *(
        "DB_PASSWORD",
        "smtpPassword",
        "OPENAI_API_KEY",
        "stripe-secret-key",
        "webhook_secret",
        "totpSecret",
    ),
    *(
        "aws_secret_access_key",
        "oauth_token_secret",
        "page_access_token",
        "nextAuthToken",
        "user_passphrase",
    ),
    *("reset_password_token", "inviteToken", "passwordHash", "secret_key_base", "wpa_psk"),
)
COUNTED = (
    *(
        "max_tokens",
        "prompt_tokens",
        "completion_tokens_details",
        "token_type",
        "eos_token",
        "nextToken",
        "page_token",
    ),
    *(
        "input_cost_per_token",
        "idempotency_key",
        "cache_key",
        "author",
        "authority",
        "password_hint_url",
        "secretary",
    ),
    *(
        "secrets_count",
        "monkey",
        "x_secret_name",
        "passwordless",
        "tokenizer",
        "sessions",
        "signatures",
    ),
    *("UsernameToken", "cancellationToken", "node_modules/cookie"),
    *("progressToken", "progress_token", "nextPageToken", "continuationToken", "resumption_token"),
    *(
        "startingToken",
        "token_count",
        "token_endpoint",
        "thinking_token",
        "skipToken",
        "sync_token",
    ),
    *("PW", "en-PW", "en_PW", "en-pw", "und-PW", "pau-Latn-PW"),
)


@each_of("name", ENDED)
def test_some_words_make_a_secret_of_what_they_end(name: str) -> None:
    """Wherever a value has a name."""
    redactor = Redactor()
    graphql = name.replace("-", "_")

    document = {
        name: "S3CRET",
        "a": json.dumps({name: "S3CRET"}),
        "query": f'mutation {{ a({graphql}: "S3CRET") }}',
    }
    for body, kind in (
        (json.dumps(document), "application/json"),
        (
            json.dumps({name.replace("s", chr(92) + "u0073"): "S3CRET"}).replace(
                chr(92) * 2, chr(92)
            ),
            "application/json",
        ),
        (f"a=1&user[{name}]=S3CRET&b=1", "application/x-www-form-urlencoded"),
        (
            f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nS3CRET\r\n--B--\r\n',
            "multipart/form-data",
        ),
    ):
        shown, _ = redactor.redact_body(body.encode(), b"", kind.encode(), False)
        assert b"S3CRET" not in shown
        assert redactor.redact_body(shown, b"", kind.encode(), False)[0] == shown

    head = f"GET /?{name}=S3CRET&a=1 HTTP/1.1\r\nX-{name}: S3CRET".encode()
    assert redactor.redact_head(head) == head.replace(b" S3CRET", b" [REDACTED]").replace(
        b"S3CRET", b"[REDACTED]"
    )


@each_of("name", COUNTED)
def test_names_that_only_have_such_words_in_them_are_kept(name: str) -> None:
    """Counts, kinds, cursors, and words that begin alike."""
    redactor = Redactor()
    body = json.dumps({name: "value"}).encode()
    assert redactor.redact_body(body, b"", b"application/json", False)[0] is body
    assert redactor.redact_query(f"{name}=value".encode()) == f"{name}=value".encode()


@each_of(
    ("name", "is_secret"),
    [
        *(
            (name, True)
            for name in ("X-Gitlab-Token", "X-Plex-Token", "X-Auth-Key", "X-ClickHouse-Key")
        ),
        *(
            (name, True)
            for name in (
                "x-amz-server-side-encryption-customer-key",
                "X-Registry-Auth",
                "X-Functions-Key",
            )
        ),
        *(
            (name, True)
            for name in (
                "auth",
                "X-Sentry-Auth",
                "DD-APPLICATION-KEY",
                "X-Session-Id",
                "X-Honeycomb-Team",
            )
        ),
        *(
            (name, False)
            for name in ("Idempotency-Key", "X-Author", "anthropic-ratelimit-tokens-limit")
        ),
    ],
)
def test_headers_have_endings_of_their_own(name: str, is_secret: bool) -> None:
    """What is a cursor in a document is a credential in a header."""
    assert Redactor().is_secret_header(name.encode()) is is_secret


@each_of("kind", FIELD_NAMES)
def test_names_of_public_descriptions(kind: str) -> None:
    """Which of them are taken for secrets is known; a name that is judged better moves to its place
    in the list.
    """
    names = SecretNames(BUILT_IN)
    wrong = [name for name in FIELD_NAMES[kind] if names.has(name.encode()) != (kind in TAKEN)]
    assert wrong == []
    assert len(FIELD_NAMES["secret, missed"]) <= 20
    assert len(FIELD_NAMES["other, taken for a secret"]) <= 11


def test_a_sentence_is_no_name() -> None:
    """In files of translations, texts are keys."""
    body = b'{"Enter your password": "Bitte Passwort eingeben", "a \\" password": "b"}'
    assert Redactor().redact_body(body, b"", b"application/json", False)[0] is body


@each_of(
    "name",
    [
        b"p%61ssword",
        b"p%2561ssword",
        b"user[password]",
        b"user.password",
        b"token[]",
        b"key",
        b"%6bey",
    ],
)
def test_parameters_are_decoded_and_taken_apart(name: bytes) -> None:
    """Percent-encoded once or twice, and in brackets or after a dot."""
    names = SecretNames(BUILT_IN, QUERY_ONLY, parts_of=parameter_parts)
    assert names.has(name)
    assert names.has(name), "remembered verdicts are the same"
    assert not names.has(b"monkey")
    assert not names.has(b"%")


def test_configured_names_are_added_in_any_spelling() -> None:
    """Groups are united; iteration gives the compared form once each."""
    names = SecretNames(("X-My_Key",), ("xmykey", "other"))
    assert names.has(b"xMyKey")
    assert list(names) == [b"other", b"xmykey"]


def test_memory_of_spellings_is_bounded() -> None:
    """Ten thousand different names leave no more than the bound behind, and verdicts stay right."""
    names = SecretNames(BUILT_IN)
    assert not any(names.has(b"n%d" % number) for number in range(10_000))
    assert not names.has(b"x" * 10_000)
    assert len(names._memo) <= 4096
    assert names.has(b"token")


@each_of("end", [b"x", b"-", b"_id", b"b", b"value1x"])
def test_long_numbers_in_names_are_tried_once(end: bytes) -> None:
    """A run of digits that no tail follows is not tried in all its parts: 26 of them once took 19
    s.
    """
    for digits in (26, 40, 64 * 1024):
        assert not SecretNames(BUILT_IN).has(b"1" * digits + end)
        assert SecretNames(BUILT_IN).has(b"1" * digits + b"password" + b"1" * 26)


@each_of(
    "tail",
    [
        "Confirmation",
        "_plaintext",
        "Plain_Text",
        "_base64",
        "B64",
        "_hashed",
        "Value2",
        "1_confirmed_2",
    ],
)
def test_tails_of_names_are_read_whole(tail: str) -> None:
    """Of two words that begin alike the longer one is the tail, and several may follow each other."""
    assert SecretNames(BUILT_IN).has(f"api_key{tail}".encode())
