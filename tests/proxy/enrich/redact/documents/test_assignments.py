"""Settings: what is assigned to a secret name is gone, however it is written, and the rest stays
byte for byte.
"""

import configparser
import json
import tomllib
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proxy.enrich.redact.documents.redacting import REDACTOR, SECRET, stored
from tests.support.cases import each_of


def shown(text: str, kind: str = "application/toml") -> str:
    return stored(text, kind)


@each_of(
    ("text", "expected"),
    [
        ("a = 1\npassword = @\nb = 2\n", "a = 1\npassword = R\nb = 2\n"),
        ("a=1\r\npassword=@\r\nb=2\r\n", "a=1\r\npassword=R\r\nb=2\r\n"),
        ('[db]\npassword = "@" # c\nuser = "u"\n', '[db]\npassword = "R"\nuser = "u"\n'),
        ("'db'.\"api-key\"='@'\nb = 1", '\'db\'."api-key"="R"\nb = 1'),
        (
            "spring.datasource.password=@\n%prod.db.password: @",
            "spring.datasource.password=R\n%prod.db.password: R",
        ),
        (
            "users[0].secret=@\n//registry.example/:_authToken=@\n",
            "users[0].secret=R\n//registry.example/:_authToken=R\n",
        ),
        (
            "export db_password=@\n# password = @\n;token: @",
            "export db_password=R\n# password = R\n;token: R",
        ),
        ('secret = """\n@\n@""" # c\nb = 1', 'secret = "R"\nb = 1'),
        ("secret = '''@\n@'''\nb = 1", 'secret = "R"\nb = 1'),
        ('token = [\n  """]"x""", "@", # ]\n  "@",\n]\nb = 1', 'token = "R"\nb = 1'),
        ('secret = {a = "}", b = "@"}\nb = 1', 'secret = "R"\nb = 1'),
        ('db = {user = "u", password = "@", b = 1}', 'db = {user = "u", password = "R", b = 1}'),
        ("db = {user = 'u', password = 123@}", "db = {user = 'u', password = R}"),
        ('private_key = "-----\n@\n@"\nb = 1', 'private_key = "R"\nb = 1'),
        ("password = a\\\n  @\\\n@\nb = 1", "password = R\nb = 1"),
        ("password = a\\\\\nb = 1", "password = R\nb = 1"),
        ("password =\n  @\n  @\nb = 1", "password =R\nb = 1"),
        ("  password = @\n  b = 1\n", "  password = R\n  b = 1\n"),
        ('[db.secret]\na = "@"\nb = "@"\n\n[c]\nb = 1', "[db.secret]\n# R\n[c]\nb = 1"),
        ("\ufeffpassword = @\n  @\nb = 1", "\ufeffpassword = R\nb = 1"),
        ("[[auths]]\na = '@'", "[[auths]]\n# R"),
        (
            "db = {\n  user = 'u',\n  password = '@',\n}",
            "db = {\n  user = 'u',\n  password = \"R\"\n}",
        ),
        ("password = none\ndb_password=1.2.3\n", "password = R\ndb_password=R\n"),
        ("jdbc=driver,user=u,password=@,b=1\n", "jdbc=driver,user=u,password=R,b=1\n"),
    ],
)
def test_values_go_by_their_names(text: str, expected: str) -> None:
    """Keys with prefixes and quotes; strings, arrays, tables; lines that go on; comments."""
    assert shown(text.replace("@", SECRET)) == expected.replace("R", "[REDACTED]")


@each_of(
    "text",
    [
        "password =\nb = 1\n",
        "password = ''\ntoken: null\nsecret = false\n[db]\nsecret = []\n",
        "cookie = ^0.6.0\ntoken = 'none'\npassword = ${DB_PASSWORD}\n",
        "tokens = 3\nmax_token = 1\npasswords_file = a\n",
        "[tokens]\na = 1\n",
        "# the password is in the vault = there\n",
        "url = http://password:80/\n",
    ],
)
def test_what_is_no_value_stays(text: str) -> None:
    """Nothing, other names, what is no name."""
    assert shown(text) == text


@each_of(
    ("kind", "beginning"),
    [
        ("application/toml", ""),
        ("text/x-java-properties; charset=latin1", ""),
        ("text/x-ini", ""),
        ("text/plain", "a = 1\n"),
        ("text/plain", "# settings\n\n[db]\n"),
        ("", "[[users]]\r\n"),
        ("application/octet-stream", "db.user=u\n"),
        ("application/x-www-form-urlencoded", "db.user=u\n"),
    ],
)
def test_what_is_taken_for_settings(kind: str, beginning: str) -> None:
    """A content type; where it says nothing, how the text begins; a file that curl sends as a form."""
    assert SECRET not in shown(f"{beginning}db.password = {SECRET}\nb = 1\n", kind)


@pytest.mark.parametrize("kind", ["text/plain", "text/javascript"])
def test_other_text_is_not(kind: str) -> None:
    """Code and prose are stored as they are."""
    text = "let a\npassword = request.secret\n"
    assert shown(text, kind) == text


def test_a_form_whose_values_have_lines_is_still_one() -> None:
    """Some programs do not encode them."""
    assert (
        shown("note=a\nb&password=x1&c=2", "application/x-www-form-urlencoded")
        == "note=a\nb&password=[REDACTED]&c=2"
    )


def test_json_that_is_named_like_settings_is_still_json() -> None:
    """Its commas stay."""
    text = '{\n  "password": "x1",\n  "a": 1\n}'
    assert json.loads(shown(text, "application/vnd.example.config+json")) == {
        "password": "[REDACTED]",
        "a": 1,
    }


@pytest.mark.parametrize("name", [".env", "pyproject.toml", "application.properties", "tox.ini"])
def test_files_in_forms(name: str) -> None:
    """By their name."""
    part = (
        '--B\r\nContent-Disposition: form-data; name="f"; '
        f'filename="{name}"\r\n\r\npassword={SECRET}\r\n--B--\r\n'
    )
    assert SECRET not in shown(part, "multipart/form-data; boundary=B")


NAMES = st.sampled_from(["password", "user", "db_password", "items", "api-key", "note"])
PLAIN = st.sampled_from(
    ["a b", "x: y", "x = y", "[z]", "'", '"', "# n", "{", "true", "1", "é", "\\", "l\nm"]
)
SECRETS = st.sampled_from(
    [SECRET, f"{SECRET} # {SECRET}", f"{SECRET}'\"{SECRET}", f"[{SECRET}", f"x\n{SECRET}\\"]
)


def _is_secret(name: str) -> bool:
    return name.endswith(("password", "api-key"))


def _tables(
    plain: st.SearchStrategy[str], secrets: st.SearchStrategy[str]
) -> st.SearchStrategy[dict[str, Any]]:
    members = st.dictionaries(NAMES, plain, max_size=4).flatmap(
        lambda table: st.fixed_dictionaries(
            {name: secrets if _is_secret(name) else st.just(value) for name, value in table.items()}
        )
    )
    return st.dictionaries(st.sampled_from(["a", "b.c", "d"]), members, max_size=3)


def _without_secrets(tables: dict[str, Any]) -> dict[str, Any]:
    return {
        table: {
            name: "[REDACTED]" if _is_secret(name) else value for name, value in members.items()
        }
        for table, members in tables.items()
    }


def _string(value: str, style: str) -> str:
    if style == '"""':
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"""\n{escaped}"""'
    if style == "'" and not {"'", "\n"} & set(value):
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)


@given(
    _tables(PLAIN, SECRETS),
    st.sampled_from(['"', "'", '"""']),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_toml_as_programs_write_it(
    tables: dict[str, Any], style: str, is_inline: bool, line_end: str
) -> None:
    """No secret is left, and the rest is read as it was."""
    lines = []
    for table, members in tables.items():
        pairs = [f"{name} = {_string(value, style)}" for name, value in members.items()]
        if is_inline and style != '"""':
            lines.append(f'"{table}" = {{{", ".join(pairs)}}}')
        else:
            lines += [f'["{table}"]', *pairs]

    text = line_end.join(lines)
    assert tomllib.loads(text) == tables or style == '"""'
    redacted = shown(text)
    assert SECRET not in redacted
    assert tomllib.loads(redacted) == _without_secrets(tomllib.loads(text))


@given(
    _tables(
        st.text("ab =:#;'[]{}", min_size=1).map(str.strip),
        st.sampled_from([SECRET, f"x\n{SECRET}\n{SECRET}", f"{SECRET} = x"]),
    ),
    st.booleans(),
)
def test_ini_as_python_writes_it(tables: dict[str, Any], has_spaces: bool) -> None:
    """With values of several lines."""
    parser = configparser.RawConfigParser()
    parser.read_dict(tables)
    file = StringIO()
    parser.write(file, space_around_delimiters=has_spaces)
    redacted = shown(file.getvalue(), "text/x-ini")
    assert SECRET not in redacted
    again = configparser.RawConfigParser()
    again.read_string(redacted)
    assert {
        name: dict(section) for name, section in again.items() if name != "DEFAULT"
    } == _without_secrets(tables)


@pytest.mark.parametrize(
    "template",
    [
        "a = 1\npassword = %s\nb = 1\n",
        'a = 1\nsecret = """\n%s"""\nb = 1\n',
        "a = {b = 1, password = '%s'}\nb = 1\n",
    ],
)
def test_no_half_secret_survives_at_the_edge_of_a_window(template: str) -> None:
    """Wherever the head window ends, with a tail that begins behind the value or within it."""
    body = template.replace("%s", SECRET).encode()
    pieces = [SECRET[place : place + 6].encode() for place in range(len(SECRET) - 5)]
    for end in range(1, len(body)):
        for start in range(end + 1, len(body), 3):
            head, tail = REDACTOR.redact_body(body[:end], body[start:], b"application/toml", True)
            left = [piece for piece in pieces if piece in head + b"|" + tail]
            assert not left or ('"""' in template and b'secret = "' not in body[:end]), (end, start)


@each_of(
    "unit",
    [
        *(
            b"password = a\n", b"password =\n", b"{password = ", b'token = "', b"token = '''", b"password = [\n",
            b"\\\n",
        ),
        *(
            b"password = \\\n", b"password =\n ", b" password =\n", b",token=", b"[token]\n", b"[[token", b"a.b/c:",
            b"#",
        ),
        *(b"#\n", b"[a\n", b"=", b" ", b"\n"),
    ],
)  # fmt: skip
@each_of("kind", [b"application/toml", b"text/plain"])
def test_hostile_repetition_costs_no_more_than_its_length(unit: bytes, kind: bytes) -> None:
    """Each search goes on where the last one ended."""
    text = unit * (300_000 // len(unit))
    assert len(REDACTOR.redact_body(text, b"", kind, False)[0]) <= 2 * len(text)
