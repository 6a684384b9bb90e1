"""Loading settings: precedence, conversion, complete reports."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from proxy.settings.addresses import PRIVATE_NETWORKS
from proxy.settings.load import load, read
from proxy.settings.model import Settings, SettingsError, freeze, thaw
from proxy.settings.sources import TABLES, fields_of, section_of
from tests.support.cases import each_of

UP = {"proxy.upstream": "http://127.0.0.1:3000"}


def write(directory: Path, text: str) -> Path:
    """Put a configuration file into a directory."""
    path = directory / "sidelog.toml"
    path.write_text(text)
    return path


def problems_of(
    overrides: dict[str, str], environ: dict[str, str] | None = None, path: Path | None = None
) -> list[str]:
    """Load and return the problems it must report."""
    with pytest.raises(SettingsError) as caught:
        load(overrides, environ or {}, path)
    return caught.value.problems


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Each source overrides the ones before it, setting by setting."""
    path = write(
        tmp_path, '[proxy]\nlisten = "127.0.0.1:1"\nstage = "file"\nrecord_id_header = "X-File"\n'
    )
    environ = {"SIDELOG_PROXY__LISTEN": "127.0.0.1:2", "SIDELOG_PROXY__STAGE": "env"}
    settings = load(UP | {"proxy.listen": "127.0.0.1:3"}, environ, path)
    assert (settings.proxy.listen, settings.proxy.stage, settings.proxy.record_id_header) == (
        *("127.0.0.1:3", "env", "X-File"),
    )
    assert settings.proxy.source == "backend"


def test_environment_values_take_the_type_of_their_setting() -> None:
    """Numbers, floats, lists and tables are read from text; routes as one value."""
    environ = {
        "SIDELOG_PROXY__WORKERS": "2",
        "SIDELOG_PROXY__LIMITS__TIMEOUT_CONNECT_S": "1.5",
        "SIDELOG_PROXY__TRUSTED_PROXIES": '["10.0.0.0/8"]',
        "SIDELOG_REDACT__HEADERS": "['x-a', 'x-b']",
        "SIDELOG_ROUTES": '[{"id": "a", "upstream": "http://a", "tls_verify": false}]',
    }
    settings = load({}, environ, None)
    assert settings.proxy.workers == 2
    assert settings.proxy.limits.timeout_connect_s == 1.5
    assert settings.proxy.trusted_proxies == ("10.0.0.0/8",)
    assert settings.redact.headers == ("x-a", "x-b")
    assert settings.routes[0].tls_verify is False


def test_routes_of_the_environment_replace_those_of_the_file(tmp_path: Path) -> None:
    """The list of routes is one setting."""
    path = write(
        tmp_path,
        '[[routes]]\nid="f"\nupstream="http://f"\n[[routes]]\nid="g"\nupstream="http://g"\n',
    )
    settings = load({}, {"SIDELOG_ROUTES": '[{id = "e", upstream = "http://e"}]'}, path)
    assert [route.id for route in settings.routes] == ["e"]


def test_upstream_becomes_the_last_route(tmp_path: Path) -> None:
    """[proxy].upstream is the catch-all `default`, behind the configured routes."""
    path = write(tmp_path, '[[routes]]\nid="a"\nupstream="http://a"\npath="/a/"\ncapture="meta"\n')
    routes = load(UP, {}, path).routes
    assert [(route.id, route.path, route.capture) for route in routes] == [
        ("a", "/a/", "meta"),
        ("default", "/", "body"),
    ]


def test_data_directory_is_absolute_and_follows_its_sources(tmp_path: Path) -> None:
    """Flag, then SIDELOG_DATA_DIR, then the first of STATE_DIRECTORY, then ./sidelog-data."""
    environ = {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}
    assert load(UP, {}, None).data_dir == str(Path.cwd() / "sidelog-data")
    assert load(UP, environ, None).data_dir == "/var/lib/a"
    assert load(UP, environ | {"SIDELOG_DATA_DIR": str(tmp_path)}, None).data_dir == str(tmp_path)
    assert (
        load(UP | {"data_dir": "/f"}, environ | {"SIDELOG_DATA_DIR": str(tmp_path)}, None).data_dir
        == "/f"
    )


def test_all_problems_come_at_once_each_with_its_origin(tmp_path: Path) -> None:
    """A wrong type, an unknown key, a bad limit and a bad flag are all in one report, with lines
    and names.
    """
    path = write(
        tmp_path,
        "[proxy]\nworkers = 65\nlisten = 7\n\n[proxy.limits]\nmax_heders = 1\n[[routes]]\nid = "
        '""\npath = "x"\n',
    )
    found = "\n".join(problems_of({"admin.listen": "nowhere"}, {"SIDELOG_RING__BYTES": "7"}, path))
    assert f"proxy.workers: expected a whole number from 0 to 64, got 65 ({path}:2)" in found
    assert f"proxy.listen: expected text in quotes, got 7 ({path}:3)" in found
    assert (
        f"proxy.limits.max_heders: unknown setting; did you mean max_headers? ({path}:6)" in found
    )
    assert f"({path}:8)" in found
    assert f"routes[0].upstream: is missing ({path}:7)" in found
    assert "routes[0].path: expected a raw path" in found
    assert f"({path}:9)" in found
    assert "got '7' (SIDELOG_RING__BYTES)" in found
    assert "got 'nowhere' (--admin-listen)" in found


def test_unknown_names_are_errors_but_foreign_variables_are_not() -> None:
    """A misspelt setting is refused; what Kubernetes puts into the environment is left alone."""
    load(
        UP,
        {
            "SIDELOG_PORT": "tcp://10.0.0.1:8080",
            "SIDELOG_SERVICE_HOST": "10.0.0.1",
            "OTHER__X": "1",
        },
        None,
    )
    (problem,) = problems_of(UP, {"SIDELOG_PROXY__LISTN": "x"})
    assert (
        problem == "proxy.listn: unknown setting; did you mean proxy.listen? (SIDELOG_PROXY__LISTN)"
    )
    (problem,) = problems_of(
        UP, {"SIDELOG_LOG_LEVEL": "debug", "SIDELOG_PROXY_DATA_PORT": "tcp://10.0.0.1:80"}
    )
    assert problem == (
        "log.level: expected two underscores between levels, as in SIDELOG_LOG__LEVEL "
        "(SIDELOG_LOG_LEVEL)"
    )
    (problem,) = problems_of(UP | {"proxy.nothing_like_it": "x"})
    assert problem.startswith("proxy.nothing_like_it: unknown setting")


def test_a_setting_in_the_wrong_section_is_told_its_own(tmp_path: Path) -> None:
    """The name is known, only elsewhere: in another section, or in a section of a route."""
    path = write(
        tmp_path,
        'upstream = "http://app"\n[proxy]\ntimeout_connect_s = 3\n'
        '[[routes]]\nid = "a"\nupstream = "http://app"\nmax_body_bytes = 9\n',
    )
    assert problems_of({}, {}, path) == [
        f"upstream: unknown setting; did you mean proxy.upstream? ({path}:1)",
        "proxy.timeout_connect_s: unknown setting; did you mean proxy.limits.timeout_connect_s? "
        f"({path}:3)",
        "routes[0].max_body_bytes: unknown setting; did you mean "
        f"routes[0].limits.max_body_bytes? ({path}:7)",
    ]


def test_tables_of_the_environment_replace_those_of_the_file(tmp_path: Path) -> None:
    """A list of tables is one value: an empty one takes all of the file away."""
    path = write(
        tmp_path,
        '[[tokens]]\nname = "a"\ntoken = "a-secret-of-some-length"\n[[admin_hosts]]\nname = '
        '"h"\nprojects = ["p"]\n',
    )
    assert [token.name for token in load(UP, {}, path).tokens] == ["a"]
    settings = load(
        UP, {"SIDELOG_TOKENS": "[]", "SIDELOG_ADMIN_HOSTS": '[{name="i",projects=["q"]}]'}, path
    )
    assert (settings.tokens, [host.name for host in settings.admin_hosts]) == ((), ["i"])


def test_a_file_that_cannot_be_read_is_the_only_problem(tmp_path: Path) -> None:
    """What it would have said is not missing besides."""
    path = write(tmp_path, "[proxy\nupstream = 'http://app'")
    (problem,) = problems_of({}, {}, path)
    assert "is not TOML" in problem


def test_no_route_at_all_says_how_to_give_one() -> None:
    """Without anything to proxy to the report says how to name it."""
    assert problems_of({}) == [
        "routes: no upstream configured: use --upstream URL or add [[routes]]"
    ]


def test_secrets_are_read_from_the_environment_and_never_repeated(tmp_path: Path) -> None:
    """env:NAME is resolved; a missing one is named; a bad value is not echoed."""
    text = (
        '[[routes]]\nid="a"\nupstream="http://a"\nheaders.set_request = { authorization = '
        '"env:UPSTREAM_AUTH" }\n'
    )
    path = write(tmp_path, text)
    settings = load({}, {"UPSTREAM_AUTH": "Bearer s3cret"}, path)
    assert settings.routes[0].headers.set_request == {"authorization": "Bearer s3cret"}
    (problem,) = problems_of({}, {}, path)
    assert "the environment has no UPSTREAM_AUTH for authorization" in problem
    assert f"{path}:4" in problem
    (problem,) = problems_of({}, {"UPSTREAM_AUTH": "s3cret\r\nx: y"}, path)
    assert "s3cret" not in problem


def _addresses(section: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Yield each setting that may be given an address: its name, and whether it is a list."""
    for key, field in fields_of(section).items():
        kind = field.type
        if section_of(kind):
            yield from _addresses(kind, f"{prefix}{key}.")
        elif key in TABLES and not prefix:
            yield from _addresses(TABLES[key], f"{key}.")
        elif key.endswith(("upstream", "url", "via", "host", "listen", "endpoint", "openapi")):
            yield f"{prefix}{key}", False
        elif key in ("targets", "allowed_hosts", "trusted_proxies"):
            yield f"{prefix}{key}", True


_ADDRESSES = (
    *("http://user:PW@host", "https://PW@host/x?y#z", "http://user:P@PW@host", "user:PW@host:80"),
    *("http:/user:PW@host", "//user:PW@host", "http://user:P/PW@host", "http://us'er:\"PW@host"),
    *("ftp://user:PW@host", "postgresql://user:PW@host:x/db", "clickhouse://user:PW@host:x"),
    *("http://user:PW@host:99999", "http://[user:PW@host", "http://user:" + 99 * "x" + "PW@host"),
)


@each_of("address", _ADDRESSES)
def test_no_problem_shows_the_password_of_an_address(tmp_path: Path, address: str) -> None:
    """Of any setting, in a file, as a flag and in the environment, also as another type."""
    names = dict(_addresses(Settings))
    assert {"proxy.upstream", "routes.upstream", "replay.targets", "otel.endpoint"} <= set(names)
    problems = []
    for value in (address, [address]):
        sections: dict[str, list[str]] = {}
        for name in names:
            section, _, key = name.rpartition(".")
            sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
        headers = {section: f"[[{section}]]" for section in TABLES}
        lines = [
            line
            for section, rows in sections.items()
            for line in (headers.get(section, f"[{section}]"), *rows)
        ]
        problems += read({}, {}, write(tmp_path, "\n".join(lines)))[1]

    given = {
        name: json.dumps([address]) if is_list else address
        for name, is_list in names.items()
        if name.rpartition(".")[0] not in TABLES
    }
    variables = {"SIDELOG_" + name.upper().replace(".", "__"): text for name, text in given.items()}
    problems += read(given, {}, None)[1] + read({}, variables, None)[1]
    told = {re.sub(r"\[\d+\]", "", problem.partition(":")[0]) for problem in problems}
    assert names.keys() <= told
    assert not [problem for problem in problems if "PW" in problem]


@pytest.mark.parametrize("text", ["listen = ", "[proxy\n", "\udcff"])
def test_unreadable_file_is_a_problem(tmp_path: Path, text: str) -> None:
    """Broken TOML and broken UTF-8 are reported with the file's name."""
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert str(path) in problems_of(UP, {}, path)[0]
    assert "cannot read" in problems_of(UP, {}, tmp_path / "missing.toml")[0]


def test_tables_and_lists_have_to_be_such(tmp_path: Path) -> None:
    """A section given as a value, routes given as a table, text that is neither JSON nor TOML."""
    assert "expected a table" in problems_of(UP, {}, write(tmp_path, "proxy = 1\n"))[0]
    limits = "[[routes]]\nid = 'a'\nupstream = 'http://a'\npath = '/a'\nlimits = 5\n"
    assert (
        "expected a table, as in [routes.limits]" in problems_of(UP, {}, write(tmp_path, limits))[0]
    )
    assert (
        "expected a list of tables" in problems_of(UP, {}, write(tmp_path, "[routes]\nid = 1\n"))[0]
    )
    assert "expected JSON or a TOML value" in problems_of(UP, {"SIDELOG_ROUTES": "["})[0]
    assert "expected JSON or a TOML value" in problems_of(UP, {"SIDELOG_REDACT__QUERY": "a,b"})[0]
    assert "not in a file" in problems_of(UP, {}, write(tmp_path, 'data_dir = "x"\n'))[0]


def test_defaults_are_valid_but_for_the_missing_upstream() -> None:
    """With an upstream alone everything else is at its default."""
    settings = load(UP, {}, None)
    assert settings.capture == Settings().capture
    assert settings.storage == Settings().storage


def test_private_networks_have_a_name() -> None:
    """Written out, so that everybody who reads the settings in effect sees which they are."""
    given = '["private", "203.0.113.7"]'
    settings = load({"proxy.upstream": "http://a", "proxy.trusted_proxies": given}, {}, None)
    assert settings.proxy.trusted_proxies == (*PRIVATE_NETWORKS, "203.0.113.7")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Editors of Windows begin a file with one."""
    path = tmp_path / "sidelog.toml"
    path.write_text("[proxy]\nworkers = 2\n", "utf-8-sig")
    assert load(UP, {}, path).proxy.workers == 2


def test_what_is_not_utf_8_is_a_problem() -> None:
    """Such bytes of the environment or of the command line have no place in the document that all
    processes read.
    """
    text = os.fsdecode(b"/tmp/\xff")
    assert problems_of(UP, {"SIDELOG_PROXY__STAGE": text}) == [
        "proxy.stage: expected text in UTF-8, got '/tmp/\\udcff' (SIDELOG_PROXY__STAGE)"
    ]
    assert "data_dir: expected text in UTF-8" in problems_of(UP | {"data_dir": text}, {})[0]
    assert (
        "redact.query: expected text in UTF-8"
        in problems_of(UP, {"SIDELOG_REDACT__QUERY": f'["{text}"]'})[0]
    )
    assert (
        "routes: "
        in problems_of(UP, {"SIDELOG_ROUTES": f'[{{"id": "{text}", "upstream": "http://a"}}]'})[0]
    )


def test_a_table_of_a_route_is_named_with_its_line(tmp_path: Path) -> None:
    """It belongs to the last route before it."""
    path = tmp_path / "sidelog.toml"
    route = '[[routes]]\nid = "%s"\npath = "/%s"\nupstream = "http://a"\n[routes.limits]\n%s = 1\n'
    path.write_text(route % ("a", "a", "max_body_bytes") + route % ("b", "b", "nope"))
    with pytest.raises(SettingsError) as caught:
        load({}, {}, path)
    assert caught.value.problems == [f"routes[1].limits.nope: unknown setting ({path}:12)"]


def test_patterns_are_a_switch_or_a_list(tmp_path: Path) -> None:
    """In the file and in the environment, which replaces what the file says, either by either."""
    file = tmp_path / "sidelog.toml"
    own = "[redact]\npatterns = ['\\bE-\\d+']\n"
    listed = ("\\bE-\\d+",)

    cases: tuple[tuple[str, dict[str, str], bool | tuple[str, ...]], ...] = (
        ("", {}, True),
        ("[redact]\npatterns = false\n", {}, False),
        (own, {}, listed),
        (own, {"SIDELOG_REDACT__PATTERNS": "false"}, False),
        (
            "[redact]\npatterns = false\n",
            {"SIDELOG_REDACT__PATTERNS": '["x"]'},
            ("x",),
        ),
    )
    for text, environ, expected in cases:
        file.write_text(text)
        settings = load({"proxy.upstream": "http://a"}, environ, file)
        assert settings.redact.patterns == expected
        assert thaw(freeze(settings)).redact.patterns == expected
