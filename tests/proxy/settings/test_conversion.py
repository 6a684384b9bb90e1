"""A value that cannot be converted is refused with what was expected."""

from pathlib import Path

import pytest

from proxy.settings.load import load
from proxy.settings.model import SettingsError
from tests.support.cases import each_of


@each_of(
    ("text", "expected"),
    [
        (
            "[retention]\nmax_bytes = '10 loads'",
            "retention.max_bytes: expected a whole number of bytes, at least 0, or a text with a "
            "unit of B, ",
        ),
        ("[log]\naccess = true", "log.access: expected one of off, json, common, got true"),
        (
            "[redact]\npatterns = 'yes'",
            "redact.patterns: expected true or false, or a list of texts in quotes, got 'yes'",
        ),
        ("[redact]\nheaders = 'x-a'", "redact.headers: expected a list, got 'x-a'"),
        (
            "[redact]\nheaders = ['x-a', 1]",
            "redact.headers: expected a list of texts in quotes, got ['x-a', 1]",
        ),
        (
            "[otel]\nsignals = ['metrics']",
            "otel.signals: expected a list of some of traces, logs, got ['metrics']",
        ),
        (
            "[[routes]]\nid = 'a'\nupstream = 'http://a'\nhost = 'a'\ntool_cost_usd = { a = -1 }",
            "routes[0].tool_cost_usd: expected a table of numbers from 0 to 1000000000, got {'a': "
            "-1}",
        ),
        (
            "[[routes]]\nid = 'a'\nupstream = 'http://a'\nhost = "
            "'a'\n[routes.limits]\nmax_body_bytes = 'ten'",
            "routes[0].limits.max_body_bytes: expected a whole number of bytes, at least 0, or a "
            "text with a unit",
        ),
        (
            "[redact]\npatterns = [1]",
            "redact.patterns: expected true or false, or a list of texts in quotes, got [1]",
        ),
        ("[tokens]\nname = 'g'", "tokens: expected a list of tables, as in [[tokens]]"),
        (
            "[proxy]\nstage = '%s'" % ("x" * 129),
            "proxy.stage: expected text in quotes, at most 128 characters",
        ),
        (
            "[proxy.limits]\ntimeout_connect_s = inf",
            "proxy.limits.timeout_connect_s: expected a number from 0 to 1000000000, or a text "
            "with a unit of ms",
        ),
        (
            "[[routes]]\nid = 'a'\nupstream = 'http://a'\nhost = 'a'\ntool_cost_usd = { a = 1e308 "
            "}",
            "routes[0].tool_cost_usd: expected a table of numbers from 0 to 1000000000, got {'a': "
            "1e+308}",
        ),
        ("[otel]\nheaders = 'a=b'", "otel.headers: expected a table ("),
    ],
)
def test_what_was_expected_is_said_in_words_of_the_file(
    tmp_path: Path, text: str, expected: str
) -> None:
    """Neither types of Python nor those of JSON: what to write there, with its bounds."""
    path = tmp_path / "sidelog.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load({"proxy.upstream": "http://app"}, {}, path)
    (problem,) = caught.value.problems
    assert expected in problem


@each_of(
    ("name", "text", "number"),
    [
        ("retention.max_bytes", "10GB", 10**10),
        ("retention.max_bytes", "512MiB", 512 << 20),
        ("retention.max_bytes", "1.5 GiB", 3 << 29),
        ("retention.max_bytes", "10g", 10**10),
        ("retention.max_bytes", "1Ti", 1 << 40),
        ("proxy.limits.max_body_bytes", "8 M", 8 * 10**6),
        ("proxy.limits.timeout_first_byte_s", "1h30m", 5400),
        ("proxy.limits.timeout_first_byte_s", " 1m 30.5s ", 90.5),
        ("retention.max_age_days", "2w", 14),
        ("retention.max_age_days", "36h", 1.5),
        ("proxy.limits.drain_timeout_s", "2min", 120),
        ("proxy.limits.timeout_connect_s", "500ms", 0.5),
        ("storage.batch_max_age_ms", "0.2s", 200),
    ],
)
@each_of("is_file", [True, False])
def test_sizes_and_times_may_have_a_unit(
    tmp_path: Path, name: str, text: str, number: float, *, is_file: bool
) -> None:
    """In the file as text, and in the environment."""
    section, _, key = name.rpartition(".")
    path = tmp_path / "sidelog.toml"
    path.write_text(f"[{section}]\n{key} = '{text}'" if is_file else "")
    environ = {} if is_file else {f"SIDELOG_{name.upper().replace('.', '__')}": text}
    value: object = load({"proxy.upstream": "http://app"}, environ, path)
    for part in name.split("."):
        value = getattr(value, part)
    assert value == number


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("retention", "max_bytes = '30s'"), ("retention", "max_bytes = '0.0003KB'"),
        ("retention", "max_age_days = '10GB'"), ("proxy.limits", "timeout_connect_s = '1m 3x'"),
        ("proxy.limits", "max_headers = '10s'"),
    ],
)  # fmt: skip
def test_units_of_something_else_are_refused(tmp_path: Path, section: str, line: str) -> None:
    """A size is no time, and a rate is neither."""
    path = tmp_path / "sidelog.toml"
    path.write_text(f"[{section}]\n{line}")
    with pytest.raises(SettingsError):
        load({"proxy.upstream": "http://app"}, {}, path)
