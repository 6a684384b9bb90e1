"""Names of the admin port."""

from api.access.hosts import authority_of, host_name, is_allowed_host
from tests.support.cases import each_of


@each_of(
    ("authority", "name"),
    [
        ("A.Test:80", "a.test"), ("a.test.", "a.test"), ("a.test:", "a.test"), ("[::1]:8090", "::1"),
        ("[::1]", "::1"), ("[::1]evil.example", ""), ("[::1", ""), ("::1", ""), ("localhost:8090:evil", ""),
        ("localhost@evil.example", ""), ("localhost/evil", ""), ("local host", ""), ("", ""), (":80", ""),
    ],
)  # fmt: skip
def test_the_name_is_cut_out_strictly(authority: str, name: str) -> None:
    """What is no authority has no name, and so is not ours."""
    assert host_name(authority) == name
    if not name:
        assert not is_allowed_host(authority, "localhost", ("evil.example",))


@each_of(
    ("target", "host_fields", "authority"),
    [
        ("/api", ["a:1"], "a:1"),
        ("/http://evil/api", ["a"], "a"),
        ("//evil/api", ["a"], "a"),
        ("*", ["a"], "a"),
        ("http://evil:80/api", ["a"], "evil:80"),
        ("HTTP://Evil.", ["a"], "Evil."),
        ("https://evil?x", ["a"], "evil"),
        ("ftp://evil#x", ["a"], "evil"),
        ("http://a@evil/", ["a"], "a@evil"),
        ("http://[::1]/", ["evil"], "[::1]"),
        ("http://a/", [], "a"),
        ("/api", [], ""),
        ("/api", ["a", "evil"], ""),
    ],
)
def test_an_absolute_target_names_the_server(
    target: str, host_fields: list[str], authority: str
) -> None:
    """Its authority takes the place of Host (RFC 9112 §3.2.2), as on the data port."""
    assert authority_of(target, host_fields) == authority
