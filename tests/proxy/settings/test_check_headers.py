"""Header rules in the settings: what they may name, where values come from, and that nobody is
shown them.
"""

import pytest

from proxy.settings.load import load
from proxy.settings.model import Settings, SettingsError, redacted
from tests.support.cases import each_of


def loaded(rules: str, environ: dict[str, str] | None = None, owner: str = "routes") -> Settings:
    """Load a route, or everything, with these rules."""
    route = '"id": "a", "upstream": "http://a"' + (
        f', "headers": {{{rules}}}' if owner == "routes" else ""
    )
    return load({}, {"SIDELOG_ROUTES": f"[{{{route}}}]", **(environ or {})}, None)


@each_of(
    ("rules", "reason"),
    [
        ('"set_request": {"Content-Length": "1"}', "Content-Length belongs to the proxy"),
        ('"set_request": {"host": ""}', "host belongs to the proxy"),
        ('"set_request": {"X-Forwarded-For": "1"}', "X-Forwarded-For belongs to the proxy"),
        ('"set_response": {"Transfer-Encoding": ""}', "Transfer-Encoding belongs to the proxy"),
        ('"set_response": {"Connection": "close"}', "Connection belongs to the proxy"),
        ('"set_response": {"a b": "1"}', "expected header names, got 'a b'"),
        ('"set_response": {"a": "1\\r\\nb: 2"}', "the value of 'a' must not hold CR, LF or NUL"),
        (
            '"set_response": {"a": "\u20ac"}',
            "the value of 'a' must hold characters of Latin-1 only",
        ),
        ('"set_response": ["a"]', "expected a table"),
        ('"sets": {}', "unknown setting"),
    ],
)
def test_what_a_rule_may_not_do(rules: str, reason: str) -> None:
    """The setting is named, with the header."""
    with pytest.raises(SettingsError, match=r"^routes\[0\]\.headers\.\w+: ") as caught:
        loaded(rules)
    assert reason in str(caught.value)


def test_the_record_id_is_the_proxys() -> None:
    """Its header, however it is called, is none for a general rule."""
    general = {
        "proxy.upstream": "http://a",
        "proxy.record_id_header": "X-Id",
        "proxy.headers.set_response": '{"x-id":"1"}',
    }
    with pytest.raises(
        SettingsError, match=r"proxy\.headers\.set_response: x-id belongs to the proxy"
    ):
        load(general, {}, None)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("proxy.headers.set_request", '{"traceparent": "1"}'),
        ("proxy.headers.set_request", '{"Traceparent": ""}'),
    ],
)
def test_a_trace_context_that_is_made_is_the_proxys(setting: str, value: str) -> None:
    """A rule would give a request two of them, or none; one that nobody makes is a header like any
    other.
    """
    given = {"proxy.upstream": "http://a", setting: value}
    with pytest.raises(
        SettingsError, match=f"^{setting}: (t|T)raceparent belongs to the proxy while proxy.trace_c"
    ):
        load(given | {"proxy.trace_context": "true"}, {}, None)
    load(given, {}, None)


def test_a_trace_context_that_is_made_is_no_routes() -> None:
    """Neither in its rules nor among the headers it sets."""
    made = {"SIDELOG_PROXY__TRACE_CONTEXT": "true"}
    with pytest.raises(
        SettingsError, match=r"^routes\[0\]\.headers\.set_request: traceparent belongs"
    ):
        loaded('"set_request": {"traceparent": "1"}', made)

    route = (
        '[{"id": "a", "upstream": "http://a", "headers": {"set_request": {"traceparent": "1"}}}]'
    )
    with pytest.raises(
        SettingsError, match=r"^routes\[0\]\.headers\.set_request: traceparent belongs"
    ):
        load({}, made | {"SIDELOG_ROUTES": route}, None)


def test_values_come_from_the_environment_and_are_not_shown() -> None:
    """Of both kinds, general ones and a route's; one that is missing is a problem."""
    rules = ", ".join(f'"{key}": {{"a": "env:SECRET"}}' for key in ("set_request", "set_response"))
    settings = loaded(
        rules, {"SECRET": "s3cret", "SIDELOG_PROXY__HEADERS__SET_RESPONSE": '{"b": "env:SECRET"}'}
    )
    assert (
        settings.routes[0].headers.set_request
        == settings.routes[0].headers.set_response
        == {"a": "s3cret"}
    )
    assert settings.proxy.headers.set_response == {"b": "s3cret"}
    assert "s3cret" not in repr(redacted(settings))

    with pytest.raises(
        SettingsError, match=r"routes\[0\].headers.set_request: the environment has no SECRET for a"
    ):
        loaded(rules)
