"""The key check as a pure decision: six codes in order, what counts as a key of ours, what is
withheld.
"""

import dataclasses
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.errors import AUTH_CODES, KEYS_UNAVAILABLE, STATUS_OF
from proxy.ring.key_snapshot import KnownKey
from proxy.settings.model import RouteSettings
from proxy.worker.admission.key_auth import Access, compile_access, evaluate, explain, is_own
from storage.keys import secret_digest
from tests.support.cases import each_of

NOW_US = 1_790_000_000_000_000
SECRET = b"sk_" + b"a" * 43
REQUIRED = Access(
    is_keyed=True,
    is_required=True,
    header=b"api-key",
    scope="agent",
    agent="billing",
    believes_headers=False,
)
OPTIONAL = dataclasses.replace(REQUIRED, is_required=False)


def known(**members: Any) -> KnownKey:
    """Make a key that opens the route, unless changed."""
    plain: dict[str, Any] = {
        "secret_sha256": secret_digest(SECRET), "id": b"k" * 16, "scopes": ("agent",), "agents": ("billing", "other"),
        "expires_at_us": NOW_US + 1, "disabled": False,
    }  # fmt: skip
    return KnownKey(**(plain | members))


@each_of(
    ("presented", "required", "optional"),
    [
        ([], "missing_token", ""),
        ([b""], "missing_token", ""),
        ([b"", b""], "missing_token", ""),
        ([b"azure-key"], "invalid_token", ""),
        ([b"SK_" + SECRET[3:]], "invalid_token", ""),
        ([b"sk_"], "invalid_token", "invalid_token"),
        ([SECRET + b"x"], "invalid_token", "invalid_token"),
        ([SECRET[:-1]], "invalid_token", "invalid_token"),
        ([SECRET, SECRET], "invalid_token", "invalid_token"),
        ([b"azure-key", SECRET], "invalid_token", "invalid_token"),
        ([b"azure-key, " + SECRET], "invalid_token", "invalid_token"),
        ([b"sk_\xff\x00"], "invalid_token", "invalid_token"),
        ([b"azure-key", b"other"], "invalid_token", ""),
    ],
)
def test_what_is_no_key(presented: list[bytes], required: str, optional: str) -> None:
    """Where keys are required everything else is refused; where they are optional only what looks
    like ours.
    """
    key = known()
    assert evaluate(REQUIRED, presented, {key.secret_sha256: key}, NOW_US) == (None, required)
    assert evaluate(OPTIONAL, presented, {key.secret_sha256: key}, NOW_US) == (None, optional)


def test_a_call_passes_exactly_when_nothing_objects() -> None:
    """The code is the first objection of the list that holds, whatever else holds after it."""
    scopes = (None, (), ("agent",), ("data_agent", "agent"), ("Agent", "agents", ""))
    agents = (None, (), ("billing",), ("Billing",))
    keys = [
        known(disabled=disabled, expires_at_us=expires_at_us, scopes=scopes, agents=agents)
        for disabled, expires_at_us, scopes, agents in product(
            (False, True), (None, -1, 0, NOW_US, NOW_US + 1), scopes, agents
        )
    ]
    values = (SECRET, b"", b"azure", b"sk_other")
    offers = [[], *([value] for value in values), *map(list, product(values, repeat=2))]
    routes = [
        dataclasses.replace(REQUIRED, is_required=is_required, scope=scope, agent=agent)
        for is_required, scope, agent in product((False, True), ("", "agent"), ("", "billing"))
    ]
    for key, presented, access, has_snapshot in product(keys, offers, routes, (False, True)):
        snapshot = {key.secret_sha256: key} if has_snapshot else None
        found, code = evaluate(access, presented, snapshot, NOW_US)
        is_judged = access.is_required or SECRET in presented or b"sk_other" in presented
        objections = [
            (KEYS_UNAVAILABLE, not has_snapshot),
            ("missing_token", not any(presented)),
            ("invalid_token", presented != [SECRET]),
            ("disabled", key.disabled),
            ("expired", key.expires_at_us is not None and key.expires_at_us <= NOW_US),
            (
                "scope_denied",
                access.scope and key.scopes is not None and access.scope not in key.scopes,
            ),
            (
                "agent_denied",
                access.agent and key.agents is not None and access.agent not in key.agents,
            ),
        ]
        objection = next((name for name, holds in objections if holds), "")
        assert code == (objection if is_judged else ""), (key, presented, access, has_snapshot)
        assert (found is key) == (is_judged and has_snapshot and presented == [SECRET])


@each_of(
    ("line", "value"),
    [
        (b"api-key: sk_1", b"sk_1"), (b"API-Key:sk_1", b"sk_1"), (b"Api-Key: \t sk_1 \t", b"sk_1"),
        (b"api-key: Bearer sk_1", b"sk_1"), (b"api-key: bearer   sk_1", b"sk_1"), (b"api-key:", b""),
        (b"api-key: a b", b"a b"),
    ],
)  # fmt: skip
def test_a_value_is_taken_out_of_its_line(line: bytes, value: bytes) -> None:
    """Whatever the case of the name and the blanks around the value; the word Bearer may come
    before it.
    """
    assert REQUIRED.presented([b"accept: */*", line, b"x-api-key: sk_2", b"api-key2: sk_3"]) == [
        value
    ]


def test_every_line_of_the_field_is_seen() -> None:
    """Two are two: which of them counts is not ours to guess."""
    assert REQUIRED.presented([b"api-key: a", b"b: c", b"API-KEY: d"]) == [b"a", b"d"]


@each_of("name", [b"api-key", b"API_KEY", b"Api_Key"])
@each_of("value", [SECRET, b"Bearer " + SECRET, b"x, " + SECRET, b" sk_"])
def test_a_key_of_ours_is_withheld(name: bytes, value: bytes) -> None:
    """Under every spelling of the name that an upstream may take for it."""
    lines = b"A: 1\r\n%b:%b\r\nB: 2\r\n" % (name, value)
    assert REQUIRED.without_key(lines) == b"A: 1\r\nB: 2\r\n"


@pytest.mark.parametrize(
    "line", [b"api-key: azure", b"x-api-key: sk_1", b"api-key: ask_1", b"authorization: sk_1"]
)
def test_everything_else_is_forwarded(line: bytes) -> None:
    """Values of others under the same name, and other fields whatever they hold."""
    assert OPTIONAL.without_key(line + b"\r\n") == line + b"\r\n"
    assert REQUIRED.without_key(b"") == b""


def test_a_route_that_asks_nothing_has_no_check() -> None:
    """So that its requests pay for nothing."""
    assert compile_access(RouteSettings(id="a", upstream="http://x")) is None


def test_a_route_that_only_believes_headers_looks_at_no_keys() -> None:
    """Its callers' `sk_` values are their own and pass."""
    access = compile_access(RouteSettings(id="a", upstream="http://x", user_header="x-user"))
    assert access is not None
    assert not access.is_keyed
    assert access.without_key(b"api-key: sk_1\r\n") == b"api-key: sk_1\r\n"


def test_every_code_has_words_and_a_status() -> None:
    """Nobody is told another's secret: the words name header, scope and agent of the route only."""
    for code in (*AUTH_CODES, KEYS_UNAVAILABLE):
        assert explain(REQUIRED, code)
    assert [STATUS_OF[code] for code in AUTH_CODES] == [401, 401, 401, 401, 403, 403]
    assert STATUS_OF[KEYS_UNAVAILABLE] == 503


@given(st.binary(max_size=20))
def test_any_value_can_be_presented(value: bytes) -> None:
    """It is a key of ours or not, and never an error."""
    key = known()
    assert evaluate(REQUIRED, [value], {key.secret_sha256: key}, NOW_US)[1] in (
        "missing_token",
        "invalid_token",
    )
    assert is_own(value) == any(part.strip(b" \t").startswith(b"sk_") for part in value.split(b","))
