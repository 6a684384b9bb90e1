"""Variables for the proxy and for the authority."""

from pathlib import Path

from proxy.egress.trust import TRUST, UserFiles, proxy_variables, trust_variables, user_files
from tests.support.cases import each_of

CA = Path("/data/ca")


@each_of(
    ("before", "direct"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": ".corp"}, ".corp,localhost,127.0.0.1,::1"),
        ({"no_proxy": ".corp", "NO_PROXY": ".corp"}, ".corp,localhost,127.0.0.1,::1"),
        ({"no_proxy": "a,localhost", "NO_PROXY": "b"}, "a,localhost,b,127.0.0.1,::1"),
    ],
)
def test_a_proxy_is_named_in_both_spellings(before: dict[str, str], direct: str) -> None:
    """This machine, and what is reached directly so far, is excepted."""
    variables = proxy_variables("http://127.0.0.1:8888", before)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        assert variables[name] == "http://127.0.0.1:8888"
    assert variables["NO_PROXY"] == variables["no_proxy"] == direct
    assert variables["NODE_USE_ENV_PROXY"] == "1"


def test_who_adds_gets_ours_and_who_replaces_gets_all() -> None:
    variables = trust_variables(CA, {})
    assert variables.keys() == {each.name for each in TRUST}
    assert variables["NODE_EXTRA_CA_CERTS"] == "/data/ca/ca.pem"
    assert variables["SSL_CERT_FILE"] == "/data/ca/bundle.pem"


def test_a_file_that_is_added_so_far_is_kept(tmp_path: Path) -> None:
    """The variable has room for one, so both are in the bundle."""
    corp, roots = tmp_path / "corp.pem", tmp_path / "roots.pem"
    corp.touch()
    roots.touch()
    before = {
        "NODE_EXTRA_CA_CERTS": str(corp),
        "SSL_CERT_FILE": str(roots),
        "REQUESTS_CA_BUNDLE": str(roots),
        "PIP_CERT": str(tmp_path / "gone.pem"),
    }
    assert trust_variables(CA, before)["NODE_EXTRA_CA_CERTS"] == "/data/ca/bundle.pem"
    assert user_files(before) == UserFiles((roots,), (corp,))
    assert user_files({}) == UserFiles((), ())
