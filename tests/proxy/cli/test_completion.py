"""What a shell is offered: words and values of a search, names of views; nothing where nobody
answers.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.completion import search_completions
from tests.support.cases import each_of
from tests.support.programs import PROGRAM_S


def values(facet: str) -> list[str]:
    redacted = ["github-token", "name:password", "name:pin"]
    return {"service": ["orders", "a b", "other"], "method": ["GET", "BREW"], "redacted": redacted}[
        facet
    ]


@each_of(
    ("before", "incomplete", "expected"),
    [
        ([], "stat", ["status:"]),
        ([], "head", ["header."]),
        ([], "-(meth", ["-(method:"]),
        ([], "status:5", ["status:5xx", "status:500"]),
        ([], "status:404,5x", ["status:404,5xx"]),
        ([], "method:B", ["method:BREW"]),
        ([], "service:o", ["service:orders", "service:other"]),
        ([], "service:a", []),
        ([], "latency:", []),
        ([], "nonsense:x", []),
        ([], "status:5xx -serv", ["status:5xx -service:"]),
        ([], "status:5xx service:or", ["status:5xx service:orders"]),
        (["status"], ":", ["2xx", "3xx", "4xx", "5xx", "404", "429", "500"]),
        (["path", ":", "/x", "-status", ":"], "4", ["4xx", "404", "429"]),
        ([":"], ":", []),
        ([], "redacted:name:p", ["redacted:name:password", "redacted:name:pin"]),
        (["redacted", ":"], "na", ["name:password", "name:pin"]),
        (["redacted", ":", "name"], ":", ["password", "pin"]),
        (["path", ":", "/x", "-redacted", ":", "name", ":"], "pa", ["password"]),
    ],
)
def test_a_search_is_completed_at_its_end(
    before: list[str], incomplete: str, expected: list[str]
) -> None:
    """Whatever stands in front of the last term stays; bash's words, which end at colons, get what
    follows them.
    """
    assert search_completions(before, incomplete, values) == expected


@each_of(
    "value",
    ["`id`", "$HOME", "${IFS}", "a;b", "a|b", "a&b", "a>b", "a<b", "it's", "~", "!1", "#", "a?", "[a]", "{a,b}",
     "{1..9}", "a\nb", "a\tb", "\x1b[2J", "\u202e", "", "a b", 'a"b', "(a)", "a\\b", "a*"],
)  # fmt: skip
def test_nothing_is_offered_that_a_shell_takes_for_more_than_text(value: str) -> None:
    """A client chooses what its model is called, and bash would run what it was offered."""
    assert search_completions([], "model:", lambda facet: [value, "gpt-4o"]) == ["model:gpt-4o"]


def test_endpoints_and_other_languages_are_offered() -> None:
    names = [
        "/api/users/{id}",
        "/{}/x",
        "größe",
        "10.0.0.0/8",
        "2001:db8::1",
        "a@b.example",
        "100%",
        "a+b=c",
    ]
    assert search_completions([], "endpoint:", lambda facet: names) == [
        f"endpoint:{name}" for name in names
    ]


class _Sidelog(BaseHTTPRequestHandler):
    """Answers what a shell asks for."""

    may_answer = threading.Event()

    def do_GET(self) -> None:
        self.may_answer.wait()
        names = ["slow", "fast", "the `id`", "the \x1b[2J", "the slow"]
        found: dict[str, Any] = {"views": [{"name": name} for name in names]}
        if self.path.startswith("/api/facets"):
            found = {"facets": {"service": [{"value": "orders", "count": 1}]}}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """A server that is there, and answers at once."""
    _Sidelog.may_answer.set()
    with HTTPServer(("127.0.0.1", 0), _Sidelog) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        _Sidelog.may_answer.set()
        server.shutdown()
        thread.join()


USUAL = ("-m", "proxy")
PATIENT = ("-c", "from proxy.cli import app, completion; completion.MAX_WAIT_S = 60.0; app.main()")
"""A shell waits for a third of a second, in which a busy machine may not have an answer."""


def offered(words: str, url: str, program: tuple[str, str] = USUAL) -> list[str]:
    """Ask as bash does."""
    return answered({"COMP_LINE": words, "_SIDELOG_COMPLETE": "bash_complete"}, url, program)


def offered_to_fish(words: str, url: str) -> list[str]:
    return answered({"COMP_LINE": words, "_SIDELOG_COMPLETE": "fish_complete"}, url, PATIENT)


def answered(given: dict[str, str], url: str, program: tuple[str, str]) -> list[str]:
    environment = {**os.environ, **given, "SIDELOG_URL": url, "SIDELOG_TOKEN": "x"}
    run = subprocess.run(
        [sys.executable, *program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    assert run.stderr == ""
    return [line for line in run.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sidelog\nquery\nservice\n:\no", "orders"),
        ("sidelog\nquery\n--view\ns", "slow"),
        ("sidelog\nview\ndelete\nf", "fast"),
        ("sidelog\nredact\nlist\ncard-", "card-number"),
        ("sidelog\nexport\ncsv\nstatu", "status:"),
    ],
)
def test_a_shell_is_offered_values_of_the_running_sidelog(
    url: str, words: str, expected: str
) -> None:
    """Of words, and the names of views."""
    assert offered(words, url, PATIENT) == [expected]


def test_shells_that_show_it_are_offered_what_a_rule_is_of(url: str) -> None:
    """Beside its id."""
    assert offered_to_fish("sidelog redact list github-t", url) == ["github-token\tGitHub"]


@pytest.mark.parametrize(
    ("words", "expected"), [("claude-c", ["claude-code"]), ("claude-code\ncl", [])]
)
def test_a_command_to_run_is_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, expected: list[str]
) -> None:
    """Of those that a shell would find; what comes behind it is not known here."""
    for name in ("claude-code", "claude-c`x`"):
        (tmp_path / name).touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert offered(f"sidelog\nrun\n{words}", "http://127.0.0.1:9") == expected


def test_only_shells_that_quote_are_offered_views_that_need_it(url: str) -> None:
    """Bash would run what is between backticks; no terminal gets control characters."""
    assert offered("sidelog\nview\ndelete\nthe", url, PATIENT) == []
    assert offered_to_fish("sidelog view delete the", url) == ["the `id`", "the slow"]


def test_where_nobody_answers_nothing_is_said(url: str) -> None:
    """No sidelog, or one that is slower than a person waits: known values are offered all the same."""
    assert offered("sidelog\nquery\nservice\n:\no", "http://127.0.0.1:9") == []
    assert offered("sidelog\nquery\nstatus\n:\n5", "http://127.0.0.1:9") == ["5xx", "500"]
    _Sidelog.may_answer.clear()
    assert offered("sidelog\nquery\nservice\n:\no", url) == []
