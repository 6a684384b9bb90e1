"""YAML: what stands behind a secret key is gone, however it is written, and the rest stays byte for
byte.
"""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.proxy.enrich.redact.documents.redacting import REDACTOR, SECRET, stored
from tests.support.cases import each_of


def shown(text: str, kind: str = "application/yaml") -> str:
    return stored(text, kind)


@each_of(
    ("text", "expected"),
    [
        ("a: 1\npassword: @\nb: 2\n", 'a: 1\npassword: "R"\nb: 2\n'),
        ("\ufeffpassword: @\n  @\nb: 2\n", '\ufeffpassword: "R"\nb: 2\n'),
        ("a: 1\r\npassword: @\r\nb: 2\r\n", 'a: 1\r\npassword: "R"\r\nb: 2\r\n'),
        ("spring:\n  datasource:\n    db-Password:   '@' # c\n    user: u", None),
        ('- "api_key": "@"\n- user: u', '- "api_key": "R"\n- user: u'),
        ("DB_PASSWORD: !!str @", 'DB_PASSWORD: "R"'),
        ("settings:\n  tls.private_key: |-\n    @\n\n    @\n  user: u", None),
        ("a:\n  secret: >\n    @\n    @\n\nb: 1", 'a:\n  secret: "R"\n\nb: 1'),
        ("secret:\n  one: @\n  two:\n  - @\nb: 1", 'secret: "R"\nb: 1'),
        ("token:\n- @\n- @\nb: 1", 'token: "R"\nb: 1'),
        ("- token:\n  - @\n  b: 1", '- token: "R"\n  b: 1'),
        ("token: @\n  and @\nb: 1", 'token: "R"\nb: 1'),
        ('token: "@\n@"\nb: 1', 'token: "R"\nb: 1'),
        ("token: {a: '}', b: [\n@]}\nb: 1", 'token: "R"\nb: 1'),
        ("note: |\n  {\npassword: |\n  @\nb: 1", 'note: |\n  {\npassword: "R"\nb: 1'),
        ("{a: {b: 1,\n  token: @}, password: '@\n\n  @', c: 1}", '{a: {b: 1,\n  token: "R", c: 1}'),
        ("a: {password: @\n    and @, b: 1}", 'a: {password: "R", b: 1}'),
        ("a:\n  b: c, password: @\n  d: e", 'a:\n  b: c, password: "R"\n  d: e'),
        ("note: a,\npassword: x, @\n  and @\nb: 1", 'note: a,\npassword: "R"\nb: 1'),
        ("# password: @\n#  password: @\n    a: 1", '# password: "R"\n#  password: "R"\n    a: 1'),
        ("login: {user: bob, password: @, b: 1}", 'login: {user: bob, password: "R", b: 1}'),
        (
            "login: {'password': \"@, }\",\n  token: [@, @]}",
            'login: {\'password\': "R",\n  token: "R"}',
        ),
        ("login: {password: '@''', user: u}", 'login: {password: "R", user: u}'),
        ("env:\n- name: DB_PASSWORD\n  value: @\n- name: A\n  value: b", None),
        ("env:\n  - name: 'ACCESS_TOKEN' # c\n    value: @\n  - name: API_KEY\n    value: @", None),
        ("? password\n: 1\npassword: @", '? password\n: 1\npassword: "R"'),
    ],
)
def test_values_go_by_their_keys(text: str, expected: str | None) -> None:
    """Blocks and flows, every style of scalar, entries of lists, comments."""
    redacted = shown(text.replace("@", SECRET))
    assert SECRET not in redacted
    if expected is not None:
        assert redacted == expected.replace('"R"', '"[REDACTED]"')
    for kept in ("user: u", "- name: A\n  value: b"):
        assert (kept in text) == (kept in redacted)


@each_of(
    "text",
    [
        "password:\nb: 1",
        "password: # from the environment\nb: 1",
        "a: {password: null, token: ~}\nsecret: ''\ntoken: true # c\n",
        "tokens: 3\nbypass: 1\nmax_token: 1\n",
        "text: to enter a password press OK\nenv:\n- name: DB_PASSWORD\n  valueFrom: "
        "{configMapKeyRef: {name: a}}",
        "password:x\nhttp://password:80",
    ],
)
def test_what_is_no_value_stays(text: str) -> None:
    """Nulls, comments, other names, what is no key."""
    assert shown(text) == text


@each_of(
    ("kind", "beginning"),
    [
        ("application/yaml", ""),
        ("text/x-yaml; charset=utf-8", ""),
        ("application/apply-patch+yaml", ""),
        ("text/plain", "---\n"),
        ("", "apiVersion: v1\n"),
    ],
)
def test_what_is_taken_for_yaml(kind: str, beginning: str) -> None:
    """A content type, or a beginning; nothing else is."""
    assert shown(f"{beginning}password: {SECRET}\n", kind) == f'{beginning}password: "[REDACTED]"\n'
    assert shown("password: required\n", "text/plain") == "password: required\n"


def test_files_in_forms() -> None:
    """By their name."""
    part = (
        '--B\r\nContent-Disposition: form-data; name="f"; filename="a.yml"\r\n\r\npassword: '
        f"{SECRET}\r\n--B--\r\n"
    )
    assert SECRET not in shown(part, "multipart/form-data; boundary=B")
    assert SECRET not in shown(
        part.replace("password:", "<<: *a\npassword:"), "multipart/form-data; boundary=B"
    )


NAMES = st.sampled_from(["password", "user", "db_password", "items", "api-key", "note"])
PLAIN = st.sampled_from(
    ["", "a b", "x: y", "- z", "l\nm", "'", '"', "# n", "[", "{", "true", "  s", "1", "é"]
)
SECRETS = st.sampled_from([
    SECRET, f"{SECRET} x {SECRET}", f"{SECRET}\n{SECRET}", f"x: {SECRET} # 1", f"  {SECRET}'", f'"{SECRET}\n\n z',
])  # fmt: skip


def _is_secret(name: str) -> bool:
    return name.endswith(("password", "api-key"))


def _member(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    return NAMES.flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(SECRETS, st.lists(SECRETS, min_size=1), st.dictionaries(
            st.just("x"), SECRETS, min_size=1,
        )) if _is_secret(name) else values)
    )  # fmt: skip


DOCUMENTS = st.recursive(
    PLAIN,
    lambda values: st.one_of(
        st.lists(values, max_size=3), st.lists(_member(values), max_size=4).map(dict)
    ),
    max_leaves=8,
).filter(lambda document: isinstance(document, dict))


def _without_secrets(document: Any) -> Any:
    if isinstance(document, dict):
        return {
            name: "[REDACTED]" if _is_secret(name) else _without_secrets(value)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return list(map(_without_secrets, document))
    return document


@given(
    DOCUMENTS,
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.sampled_from([None, True, False]),
    st.sampled_from([2, 4]),
    st.sampled_from([12, 80]),
)
def test_documents_as_programs_write_them(
    document: Any, style: str | None, flow: bool | None, indent: int, width: int
) -> None:
    """In every style of PyYAML: no secret is left, and all else is as it was, but what follows in a
    broken flow.
    """
    text = yaml.safe_dump(
        document, default_style=style, default_flow_style=flow, indent=indent, width=width, allow_unicode=True,
    )  # fmt: skip
    redacted = shown(text)
    assert SECRET not in redacted
    if not any(line.rstrip().endswith((",", "{")) for line in text.splitlines()):
        assert yaml.safe_load(redacted) == _without_secrets(document)


@pytest.mark.parametrize(
    "template",
    [
        "a: 1\npassword: %s\nb: 1\n",
        "a: 1\nsecret: |\n  %s\n  %s\nb: 1\n",
        "a: {b: 1, password: '%s'}\nb: 1\n",
    ],
)
def test_no_half_secret_survives_at_the_edge_of_a_window(template: str) -> None:
    """Wherever the head window ends, with a tail that begins behind the value or within it."""
    body = template.replace("%s", SECRET).encode()
    pieces = [SECRET[place : place + 6].encode() for place in range(len(SECRET) - 5)]
    for end in range(1, len(body)):
        for start in range(end + 1, len(body), 3):
            head, tail = REDACTOR.redact_body(body[:end], body[start:], b"text/yaml", True)
            left = [piece for piece in pieces if piece in head + b"|" + tail]
            assert not left or (template.count("%s") == 2 and b"secret: |" not in body[:end]), (
                end,
                start,
            )


@each_of(
    "unit",
    [
        *(b"password: a\n", b"password:\n", b"{password: ", b'token: "', b"- ", b"password: [\n"),
        *(
            b" ", b"\n", b"password: {'\n", b"name: token\nvalue: |\n", b"# token: '\n", b",token:", b",\n token: [",
            b",\n  token: {a}, b\n",
        ),
    ],
)  # fmt: skip
def test_hostile_repetition_costs_no_more_than_its_length(unit: bytes) -> None:
    """Each search goes on where the last one ended."""
    text = unit * (300_000 // len(unit))
    assert len(REDACTOR.redact_body(text, b"", b"text/yaml", False)[0]) <= 2 * len(text)
