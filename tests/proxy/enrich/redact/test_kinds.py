"""What a body is read as, by its content type as far as it is borne out."""

import pytest

from proxy.enrich.redact.kinds import Kind, kind_of, kind_of_text
from tests.support.cases import each_of


@each_of(
    ("content_type", "head", "kind"),
    [
        (b"application/json", b'{"a": 1}', "other"),
        (b"application/x-www-form-urlencoded", b'{"a": 1}', "other"),
        (b"application/x-www-form-urlencoded", b"a=1&b=2", "form"),
        (b"", b"a=1&b=2\n", "form"),
        (b"text/plain", b"a = 1\nb = 2\n", "assignments"),
        (b"text/plain", b"[a]\nb = 2\n", "assignments"),
        (b"text/plain", b"[1, 2]\n", "other"),
        (b"text/plain", b"a word, b = 2\n", "other"),
        (b"text/html", b"a = 1\n", "other"),
        (b"application/toml", b"", "assignments"),
        (b"application/toml+json", b"{}", "other"),
        (b"Text/CSV", b"a,b", "separated"),
        (b"text/vnd.yaml", b"a: 1", "yaml"),
        (b"", b"apiVersion: v1", "yaml"),
        (b"multipart/mixed; boundary=b", b"", "multipart"),
        (b"text/plain", b'--b\r\nContent-Disposition: form-data; name="a"\r\n', "multipart"),
        (b"message/http", b"GET / HTTP/1.1", "http"),
    ],
)
def test_bodies(content_type: bytes, head: bytes, kind: Kind) -> None:
    """Of the types that programs send, and of those they leave out."""
    assert kind_of(content_type, head) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.yml", "yaml"), ("a.tsv", "separated"), (".env", "assignments"), ("a", "other")],
)
def test_parts(name: str, kind: Kind) -> None:
    """By the name of their file."""
    assert (
        kind_of_text(f'content-disposition: form-data; name="f"; filename="{name}"'.encode(), b"x")
        == kind
    )


def test_settings_that_are_markup() -> None:
    """As of .NET."""
    assert (
        kind_of_text(
            b'content-disposition: form-data; name="f"; filename="web.config"', b"\n<?xml ?>"
        )
        == "other"
    )
