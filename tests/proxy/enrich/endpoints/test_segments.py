"""What a segment of a path tells by itself."""

from proxy.enrich.endpoints.segments import (
    MAX_SEGMENTS,
    PATH,
    Class,
    asset,
    class_of,
    placeholder,
    split,
)
from tests.support.cases import each_of


@each_of(
    ("segment", "shown"),
    [
        ("123", "{id}"),
        ("-5", "{id}"),
        ("order-1234", "{id}"),
        ("user_42", "{id}"),
        ("cus_NffrFeUfNV2Hib", "{id}"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{id}"),
        ("550e8400-e29b-41d4-a716-446655440000", "{uuid}"),
        ("507f1f77bcf86cd799439011", "{hash}"),
        ("a1b2c3d", "{hash}"),
        ("2024-05-12", "{date}"),
        ("2024-05-12T10:00:00Z", "{date}"),
        ("10.0.0.1", "{ip}"),
        ("1.2.3-beta", "{version}"),
        ("52.52,13.40", "{number}"),
        ("bob@example.org", "{email}"),
        ("bob%40example.org", "{email}"),
        ("[REDACTED]", "{redacted}"),
        ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "{token}"),
        ("x" * 65, "{value}"),
        ("{id}", "{value}"),
        ("*.js", "{value}"),
        ("123.json", "{id}.json"),
    ],
)
def test_values_are_known_by_their_shape(segment: str, shown: str) -> None:
    """Numbers, ids, hashes, dates and the like are values, whatever the traffic."""
    assert placeholder(segment) == shown


@each_of(
    "segment",
    [
        "users",
        "v1",
        "oauth2",
        "deadbeef",
        "web3",
        "user-profile",
        "internationalization",
        "get_metadata",
        "report.pdf",
    ],
)
def test_names_are_no_values(segment: str) -> None:
    """What may be the name of a resource is left alone."""
    assert placeholder(segment) is None


@each_of(
    ("literal", "expected"),
    [
        ("users", "word"), ("v1", "word"), (".well-known", "word"), ("chat.postMessage", "call"), ("getUser", "call"),
        ("get_metadata", "call"), ("how-to-cook-rice", "data"), ("bob42", "data"), ("na%C3%AFve", "data"),
        ("how-to-cook-rice.html", "data"),
    ],
)  # fmt: skip
def test_names_have_classes(literal: str, expected: Class) -> None:
    """Words, remote procedures, and what looks like a title or a user's name."""
    assert class_of(literal) == expected


def test_files_are_told_by_their_kind() -> None:
    """Static files have a kind; documents and well-known files have none."""
    assert asset("main.3f2a.JS") == "*.js"
    assert asset("logo.woff2") == "*.woff2"
    assert [asset(name) for name in ("report.pdf", "favicon.ico", ".js", "users")] == [None] * 4


def test_paths_are_split() -> None:
    """Empty segments and parameters are left out, deep paths are cut."""
    assert split("//a/b;v=1/;x/") == ["a", "b"]
    deep = split("/a" * (MAX_SEGMENTS + 5))
    assert len(deep) == MAX_SEGMENTS
    assert deep[-1] == PATH
