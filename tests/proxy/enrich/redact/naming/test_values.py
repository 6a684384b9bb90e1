"""Values under secret names that are none: schemas, refusals, folders, numbers."""

import json
from typing import Any

from proxy.enrich.redact.naming.values import is_number_kept
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

REDACTOR = Redactor()
PROPERTIES: dict[str, Any] = {
    "token": {"type": "string", "description": "The session's token, as login returned it."},
    "password": {
        "type": ["string", "null"],
        "minLength": 8,
        "maxLength": 128,
        "pattern": "^[a-z0-9]{8,}$",
    },
    "session_id": {"$ref": "#/components/schemas/SessionId"},
    "api_key": {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
        "title": "Api Key",
    },
    "pin": {"type": "integer", "format": "int32", "minimum": 1000, "maximum": 9999},
    "secret": {"type": "string", "enum": ["none", "shared"], "default": "none", "x-order": 3},
    "credentials": {
        "type": "object",
        "description": "How to log in",
        "properties": {
            "user": {"type": "string"},
            "password": {"type": "string", "writeOnly": True},
        },
        "required": ["user", "password"],
    },
}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["token", "password"]}
OAUTH = {
    "password": {
        "tokenUrl": "https://a.example/token",
        "scopes": {"read:pets": "read your pets", "admin": "All"},
    }
}
SCHEMES = {
    "api_key": {
        "type": "apiKey",
        "name": "X-Api-Key",
        "in": "header",
        "description": "From your profile",
    },
    "access_token": {
        "type": "oauth2",
        "flows": OAUTH | {"clientCredentials": {"tokenUrl": "/t", "scopes": {}}},
    },
}
GEMINI = {
    "type": "OBJECT",
    "properties": {"token": {"type": "STRING", "nullable": True}},
    "propertyOrdering": ["token"],
}
DESCRIBED = {
    "openai": {
        "tools": [
            {
                "type": "function",
                "function": {"name": "login", "strict": True, "parameters": SCHEMA},
            }
        ]
    },
    "anthropic": {"tools": [{"name": "login", "input_schema": SCHEMA}]},
    "mcp": {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"tools": [{"name": "login", "inputSchema": SCHEMA}]},
    },
    "gemini": {"tools": [{"functionDeclarations": [{"name": "login", "parameters": GEMINI}]}]},
    "openapi": {
        "components": {"schemas": {"Login": SCHEMA}, "securitySchemes": SCHEMES},
        "security": [{"api_key": []}],
    },
    "in a string": {"arguments": json.dumps({"schema": SCHEMA})},
}


def shown(document: object, kind: str = "application/json") -> str:
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    redacted, _ = REDACTOR.redact_body(text.encode(), b"", kind.encode(), False)
    assert REDACTOR.redact_body(redacted, b"", kind.encode(), False)[0] == redacted
    return redacted.decode()


@each_of("document", DESCRIBED)
@each_of("indent", [None, 2])
def test_schemas_stay_as_sent(document: str, indent: int | None) -> None:
    """What a model was offered, and what a service says it takes."""
    text = json.dumps(DESCRIBED[document], indent=indent)
    assert shown(text) == text


REFUSALS: list[Any] = [
    {"errors": {"password": ["too short"]}},
    {
        "password": [
            "This password is too short. It must contain at least 8 characters.",
            "This field is required.",
        ]
    },
    {"password": [{"message": "This field may not be blank.", "code": "blank"}]},
    {"password": ["is too short (minimum is 8 characters)", "can't be blank"]},
    {"errors": {"password": [{"error": "too_short", "count": 8}]}},
    {
        "message": "The given data was invalid.",
        "errors": {"user.password": ["The password field is required."]},
    },
    {
        "detail": [
            {
                "type": "string_too_short",
                "loc": ["body", "password"],
                "msg": "at least 8",
                "ctx": {"min_length": 8},
            }
        ]
    },
    {
        "errors": [
            {
                "source": {"pointer": "/data/attributes/password"},
                "title": "Invalid",
                "detail": "It is too short.",
            }
        ]
    },
    {
        "formErrors": [],
        "fieldErrors": {"password": ["String must contain at least 8 character(s)"]},
    },
    {"password": {"_errors": ["Required"]}, "_errors": []},
    {
        "issues": [
            {"code": "too_small", "path": ["password"], "message": "Too small: expected string"}
        ]
    },
    {
        "errors": {
            "password": {
                "name": "ValidatorError",
                "kind": "required",
                "path": "password",
                "message": "Missing",
            }
        }
    },
    {"modelState": {"model.Password": ["Pole jest wymagane"]}},
    {"errors": {"user": {"password": ["nie może być puste"], "token": "wygasły lub nieznany"}}},
    {"errors": {"password": ["密码太短", "密碼\u3002"]}},
    {"validation_messages": {"password": {"isEmpty": "Value is required and can't be empty"}}},
    {"violations": {"password": "notBlank"}},
]


@each_of("document", REFUSALS)
def test_refusals_stay_as_sent(document: Any) -> None:
    """As Django, Rails, Laravel, FastAPI, JSON:API, zod, mongoose, ASP.NET and Laminas word them;
    in strings, too.
    """
    for text in (
        json.dumps(document, ensure_ascii=False),
        json.dumps(document),
        json.dumps({"a": json.dumps(document)}),
    ):
        assert shown(text) == text


@each_of(
    "document",
    [
        {"errors": {"password": "@"}},
        {"errors": {"password": ["@"]}},
        {"errors": {"password": ["the value @ is too short"]}},
        {"errors": {"a": 1}, "password": "correct horse battery @"},
        {"passphrase": ["correct horse battery @"]},
        {"passwords": ["@", "too@short"]},
        {"password": {"type": "string", "value": "@"}},
        {"password": {"type": "@", "description": "@", "title": "@", "$ref": "@", "format": "@"}},
        {
            "properties": {
                "password": {
                    "type": "string",
                    "default": "@",
                    "example": "@",
                    "const": "@",
                    "enum": ["@"],
                }
            }
        },
        {
            "properties": {
                "token": {"type": "object", "properties": {"a": {"type": "string", "default": "@"}}}
            }
        },
        {"credentials": {"user": "a", "value": "@"}},
        {"api_key": {"current": "@", "old": ["@", {"deep": "@"}]}},
        {"session": [{"type": "bearer", "secret": "@"}]},
        {"cookies": [{"name": "sid", "value": "@", "path": "/", "domain": ".example.com"}]},
        {
            "pin": 98712,
            "otp": 987123,
            "cvv": 987,
            "password": 9871234,
            "backup_codes": [9871, 9872],
        },
        {"password": {"value": 9871}},
        {"password": "none", "db_passwords": ["read", "1.2.3"], "psk": {"version": "required"}},
        {"passwort": 9871, "userPw": 98712, "wpa_psk": 98712345},
        {"pwd": "x/@"},
        {"pwd": "/@"},
    ],
)
@each_of("secret", ["hunter2", "kX9vQ2mN7pL4", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop"])
def test_no_shape_hides_a_secret(document: Any, secret: str) -> None:
    """A key is one in a schema and among refusals; a phrase only says what is wrong where others
    do.
    """
    redacted = shown(json.dumps(document).replace("@", secret))
    assert not any(
        text in redacted for text in (secret, "987", "none", "read", "1.2.3", '"required')
    )
    json.loads(redacted)


@each_of(
    "document",
    [
        {"pwd": "/srv/app"},
        {"PWD": "/app", "OLDPWD": "~/src/x1"},
        {"pwd": "C:\\Users\\bob"},
        {"env": [{"name": "PWD", "value": "/srv/app"}]},
        {
            "tokens": [
                {
                    "token": "quick",
                    "start_offset": 0,
                    "end_offset": 5,
                    "type": "word",
                    "position": 0,
                }
            ]
        },
        {
            "token": 5,
            "session": 12345,
            "secret": True,
            "password": None,
            "signature": 1.5,
            "pass": 3,
            "pin": 13,
        },
        {"secrets": [{"name": "GH_TOKEN", "created_at": "2026-01-02T03:04:05Z"}], "total_count": 1},
        {"volumes": [{"secret": {"secretName": "default-token-x7k2p", "defaultMode": 420}}]},
        {
            "cookie": "^0.6.0",
            "jsonwebtoken": "9.0.0-rc.1",
            "credentials": "same-origin",
            "id-token": "write",
        },
        {"password": "${{ secrets.DB }}", "passwd": "${DB_PASSWORD}", "password-hash": "0.5.0"},
        {
            "cookie": {
                "version": "0.6.0",
                "resolved": "https://h/cookie-0.6.0.tgz",
                "integrity": "sha512-" + "aB3+" * 22,
            }
        },
        {"session": {"count": 3, "is_new": False, "expires": "2026-01-02T03:04:05.678+02:00"}},
        {
            "en-PW": {"_cldrVersion": "45", "language": "en"},
            "en_PW": ["latn"],
            "und-PW": "pau-Latn-PW",
        },
        {"pw": ["Pacific/Palau"], "pin": "pin-Latn-PG", "sig": "sig-Latn-GH"},
        {
            "ListSecrets": {
                "shape": "S1u",
                "http": {"requestUri": "/v1/clusters/{arn}/secrets"},
                "documentation": "<p>Secret.</p><p>The key of the <a>store</a>.</p>",
            }
        },
        {"clientToken": {"shape": "__string", "location": "header"}},
    ],
)
def test_what_a_name_means_elsewhere_stays(document: Any) -> None:
    """Folders of shells, pieces of text, counts, names and times of secrets."""
    assert shown(json.dumps(document)) == json.dumps(document)


def test_numbers_are_kept_but_of_what_is_typed_in() -> None:
    """Of three digits and more."""
    assert not any(
        is_number_kept(name, b"1234")
        for name in (b"pin", b"otp", b"cvv2", b"password", b"verificationcode")
    )
    assert all(
        is_number_kept(name, b"1234") for name in (b"token", b"sessionid", b"secret", b"apikey")
    )
    assert all(is_number_kept(b"pin", number) for number in (b"13", b"-1", b"1.5"))


@each_of(
    ("text", "is_kept"),
    [
        (
            "password:\n  type: string\n  description: The password of the user\n  minLength: 8\n",
            True,
        ),
        ("token:\n  $ref: '#/components/schemas/Token'\n", True),
        ("token:\n  type: string\n  enum:\n    - none\n    - shared\n", True),
        ("secret:\n  secretName: db\nid-token: write\n", True),
        ("cookie:\n  specifier: ^0.6.0\npassword: ${{ secrets.DB }}\n", True),
        ("password: none\n", False),
        ("password:\n  - none\n", False),
        ("token:\n  type: string\n  example: hunter2\n", False),
        ("token:\n  type: string\n  value: x\n", False),
        ("tokens_secret:\n  - hunter2\n", False),
    ],
)
def test_schemas_in_yaml(text: str, is_kept: bool) -> None:
    """They stay whole, or go whole."""
    assert (shown(f"a: 1\n{text}b: 1\n", "application/yaml") == f"a: 1\n{text}b: 1\n") is is_kept
