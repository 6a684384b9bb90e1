"""A text or a head as it would be stored, and the rules that redacted something in it."""

import json
import random

from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.trial import OTHER, try_body, try_head
from tests.proxy.enrich.redact.secrets import make_secrets

GITHUB = make_secrets()["github"]


def test_rules_are_counted() -> None:
    body = json.dumps({"password": "x", "a": [GITHUB, GITHUB]}).encode()
    trial = try_body(Redactor(), body, b"application/json")
    assert trial.counts == {"name:password": 1, "github-token": 2}
    assert json.loads(trial.redacted) == {"password": "[REDACTED]", "a": ["[REDACTED]"] * 2}


def test_a_text_in_another_charset_is_read() -> None:
    trial = try_body(Redactor(), f"é {GITHUB}".encode("utf-16"), b"text/plain")
    assert (trial.redacted, trial.counts) == ("é [REDACTED]".encode(), {"github-token": 1})


def test_pictures_stay_as_they_are() -> None:
    picture = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(400) + GITHUB.encode()
    assert try_body(Redactor(), picture, b"image/png") == (picture, {})


def test_a_secret_field_within_a_body_counts_as_other() -> None:
    body = b"GET / HTTP/1.1\r\nAuthorization: x\r\n\r\n"
    trial = try_body(Redactor(), body, b"message/http")
    assert trial.counts == {OTHER: 1}
    assert trial.redacted == body.replace(b": x", b": [REDACTED]")


def test_a_secret_field_of_a_head_counts_under_its_name() -> None:
    fields = ("Authorization: x", "Accept: a", f"X-Note: {GITHUB}")
    trial = try_head(Redactor(), "/a?token=b", fields)
    assert trial.counts == {"name:token": 1, "name:authorization": 1, "github-token": 1}
    assert trial.redacted == (
        b"GET /a?token=[REDACTED] HTTP/1.1\n"
        b"Authorization: [REDACTED]\nAccept: a\nX-Note: [REDACTED]\n"
    )
