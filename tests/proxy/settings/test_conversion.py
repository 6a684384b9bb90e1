"""A value that cannot be converted is refused with what was expected."""

from pathlib import Path

import pytest

from proxy.settings.load import load
from proxy.settings.model import SettingsError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[retention]\nmax_bytes = '10GB'",
            "retention.max_bytes: expected a whole number of bytes, at least 0, got '10GB'",
        ),
        ("[log]\naccess = true", "log.access: expected one of off, json, common, got true"),
        ("[redact]\npatterns = 'yes'", "redact.patterns: expected true or false, got 'yes'"),
        ("[redact]\nheaders = 'x-a'", "redact.headers: expected a list, got 'x-a'"),
        ("[redact]\nheaders = ['x-a', 1]", "redact.headers: expected a list of texts in quotes, got ['x-a', 1]"),
        ("[otel]\nsignals = ['metrics']", "otel.signals: expected a list of some of traces, logs, got ['metrics']"),
        (
            "[[routes]]\nid = 'a'\nupstream = 'http://a'\nhost = 'a'\ntool_cost_usd = { a = -1 }",
            "routes[0].tool_cost_usd: expected a table of numbers from 0 to 1000000000, got {'a': -1}",
        ),
        (
            "[[routes]]\nid = 'a'\nupstream = 'http://a'\nhost = 'a'\n[routes.limits]\nmax_body_bytes = '10MB'",
            "routes[0].limits.max_body_bytes: expected a whole number of bytes, at least 0, got '10MB'",
        ),
        ("[otel]\nservice_name = ''", "otel.service_name: expected text in quotes from 1 to 256 characters, got ''"),
        ("[tokens]\nname = 'g'", "tokens: expected a list of tables, as in [[tokens]]"),
        ("[proxy]\nstage = '%s'" % ("x" * 129), "proxy.stage: expected text in quotes, at most 128 characters"),
        (
            "[proxy.limits]\ntimeout_connect_s = inf",
            "proxy.limits.timeout_connect_s: expected a number from 0 to 1000000000, got inf",
        ),
        (
            "[[routes]]\nid = 'a'\nupstream = 'http://a'\nhost = 'a'\ntool_cost_usd = { a = 1e308 }",
            "routes[0].tool_cost_usd: expected a table of numbers from 0 to 1000000000, got {'a': 1e+308}",
        ),
        ("[otel]\nheaders = 'a=b'", "otel.headers: expected a table ("),
    ],
)
def test_what_was_expected_is_said_in_words_of_the_file(tmp_path: Path, text: str, expected: str) -> None:
    """Neither types of Python nor those of JSON: what to write there, with its bounds."""
    path = tmp_path / "sidelog.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load({"proxy.upstream": "http://app"}, {}, path)
    (problem,) = caught.value.problems
    assert expected in problem
