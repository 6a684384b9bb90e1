"""YAML: what stands behind a secret key is gone, however it is written, and the rest stays byte for
byte.
"""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.proxy.enrich.redact.documents.redacting import SECRET, stored


def shown(text: str, kind: str = "application/yaml") -> str:
    return stored(text, kind)


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
