"""Settings: what is assigned to a secret name is gone, however it is written, and the rest stays
byte for byte.
"""

import configparser
import json
import tomllib
from io import StringIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.proxy.enrich.redact.documents.redacting import SECRET, stored


def shown(text: str, kind: str = "application/toml") -> str:
    return stored(text, kind)


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
