"""Made-up secrets of every kind, for planting."""

import base64
import json
import random
import string

_ALPHANUMERIC = string.ascii_letters + string.digits


def _text(generator: random.Random, length: int, characters: str = _ALPHANUMERIC) -> str:
    return "".join(generator.choice(characters) for _ in range(length))


def _jwt(generator: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": _text(generator, 12), "iat": 1_700_000_000})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, _text(generator, 43)])


def make_secrets(seed: int = 1) -> dict[str, str]:
    """Make one secret of each kind, by name; none of them belongs to anybody."""
    g = random.Random(seed)
    hexadecimal = "0123456789abcdef"
    key_body = "\n".join(_text(g, 64, _ALPHANUMERIC + "+/") for _ in range(12))
    return {
        "openai": "sk-proj-" + _text(g, 74, _ALPHANUMERIC + "-_") + "T3BlbkFJ" + _text(g, 40),
        "openai old": "sk-" + _text(g, 48),
        "anthropic": "sk-ant-api03-" + _text(g, 93, _ALPHANUMERIC + "-_") + "-AA",
        "openrouter": "sk-or-v1-" + _text(g, 64, hexadecimal),
        "own key": "sk_" + _text(g, 43),
        "google": "AIza" + _text(g, 35, _ALPHANUMERIC + "-_"),
        "google oauth": "ya29." + _text(g, 60, _ALPHANUMERIC + "-_"),
        "aws": "AKIA" + _text(g, 16, string.ascii_uppercase + string.digits),
        "github": "ghp_" + _text(g, 36),
        "github fine": "github_pat_" + _text(g, 22) + "_" + _text(g, 59),
        "gitlab": "glpat-" + _text(g, 20),
        "slack": "xoxb-" + _text(g, 12, string.digits) + "-" + _text(g, 24),
        "stripe": "sk_live_" + _text(g, 24),
        "jwt": _jwt(g),
        "sendgrid": "SG." + _text(g, 22) + "." + _text(g, 43),
        "huggingface": "hf_" + _text(g, 34, string.ascii_letters),
        "npm": "npm_" + _text(g, 36),
        "pem": f"-----BEGIN RSA PRIVATE KEY-----\n{key_body}\n-----END RSA PRIVATE KEY-----",
    }
