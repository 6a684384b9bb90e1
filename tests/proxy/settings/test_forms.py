"""The forms of values."""

from proxy.settings import forms
from proxy.settings.forms import Form
from tests.support.cases import each_of


@each_of(
    ("form", "fitting", "others"),
    [
        (forms.LISTEN, ("[::1]:8080", "unix:/run/a.sock"), ("8080", "unix:a.sock")),
        (forms.NETWORK, ("private", "10.0.0.1", "10.1.2.3/8"), ("10.0.0.0/33", "public")),
        (forms.DAY, ("2026-03-01",), ("1.3.2026", "2026-02-30")),
        (forms.HEADER, ("", "X-Id"), ("a b", "x:y")),
        (forms.RECEIVED_HOST, ("", "a.example", "[::1]"), ("a/b", "a.example:80", "[::1]:80")),
        (forms.SENT_HOST, ("", "a.example:80"), ("a b", "a:123456")),
        (forms.ADMIN_HOST, ("a.example",), ("A.example", "a.example:1", "")),
        (forms.PATH, ("/", "/a%20b~"), ("", "v1", "/a?b", "/a#b", "/a b")),
        (forms.ROUTE_ID, ("a b",), (" a", "a\n")),
        (forms.TOKEN_NAME, ("admins", "a" * 64), ("admin", "a b", "a" * 65)),
        (forms.kept_name, ("token", "body.*", "a..b"), ("", "-", "body..a")),
        (forms.RULE_ID, ("acme-key", "a" * 64), ("Acme", "a-", "a" * 65)),
        (forms.LITERAL, ("x" * 64,), ("x", "x" * 65, "a\\b", 'a"', "clé_", "key\n")),
        (forms.HEAD_BYTES, (0, 256), (1, 255)),
        (forms.SHARE, (0, 0.000001, 1), (1e-7,)),
    ],
)
def test_a_form_refuses_other_values(
    form: Form, fitting: tuple[object, ...], others: tuple[object, ...]
) -> None:
    """The fault names the value."""
    assert [form(value) for value in fitting] == [""] * len(fitting)
    for value in others:
        assert form(value).endswith(f", got {value!r}")
