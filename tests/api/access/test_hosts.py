"""Names of the admin port."""

from api.access.hosts import host_name, is_allowed_host
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
