"""No pattern of `re` takes more than linear time over what is captured, asked or answered.

All patterns of the program are collected, with how each is asked for (searched for, or matched
where something begins), and judged by the ambiguity of their automata. What is not linear is in
`BOUNDED`, with why its text is short.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.cases import each_of
from tests.support.patterns.automaton import Use
from tests.support.patterns.calls import ROOT, Call, calls
from tests.support.patterns.collect import Compiled
from tests.support.patterns.judge import Verdict, judge

_ENDS = (
    "what is not closed goes to the end of the text and is found: each search finds something "
    "where it begins"
)
_OURS = "it is read by those who operate it, not captured"
BOUNDED = {
    ("proxy/enrich/endpoints/envelopes.py", "_BULK"): "512 bytes are looked at",
    (
        "proxy/enrich/endpoints/segments.py",
        "_SHAPES",
    ): "a segment has 64 characters at the most, longer ones are values",
    ("proxy/enrich/formats/json_parts.py", "STRUCTURE"): _ENDS,
    ("proxy/enrich/redact/documents/assignments.py", "_PARTS"): _ENDS,
    ("proxy/enrich/redact/documents/separated.py", "fields"): _ENDS,
    ("proxy/enrich/redact/documents/yaml_keys.py", "_PARTS"): _ENDS,
    (
        "proxy/enrich/redact/documents/graphql.py",
        "_BEFORE",
    ): "the 256 bytes before a name are looked at",
    (
        "proxy/enrich/redact/json_keys.py",
        "_IS_MEMBER",
    ): "the last 32 bytes are looked at, and backslashes",
    ("proxy/enrich/redact/names.py", "_TAIL"): "the last 40 bytes are looked at",
    ("proxy/enrich/redact/naming/values.py", "_STRUCTURE"): _ENDS,
    (
        "proxy/enrich/redact/patterns/assigned.py",
        "_BEFORE",
    ): "the 64 bytes before a name are looked at",
    (
        "proxy/enrich/redact/patterns/numbers.py",
        "_NAME",
    ): "the 64 bytes before a number are looked at",
    ("api/assets.py", "_IMPORT"): "its text is a file of the program",
    (
        "api/replay/judge.py",
        "_DATA_KEY",
    ): "with DOTALL what is behind a sign goes to the end, whatever it is",
    ("storage/clickhouse/wire/answers.py", "_TAIL"): "messages of the database are cut to a line",
    ("storage/clickhouse/wire/native.py", "_SEPARATOR"): "types of our own tables",
    ("storage/sqlite/schema.py", "_COMMENT"): "its text is a file of the program",
}
"""Patterns that are not linear, by file and name, and why that is no harm."""
HANDED_ON: dict[tuple[str, str], Use] = {
    ("proxy/enrich/redact/json_keys.py", "_MEMBERS"): "fullmatch",
    ("proxy/enrich/redact/json_keys.py", "_ENTERED"): "fullmatch",
    ("proxy/enrich/redact/json_keys.py", "_PAIRS"): "fullmatch",
    # Of rules: around a literal, in a window of at most 1 280 bytes.
    ("proxy/enrich/redact/forms.py", "_pattern"): "match",
    ("proxy/enrich/redact/naming/keys.py", "_REST"): "match",
    ("proxy/enrich/redact/naming/keys.py", "_ESCAPED_REST"): "match",
    ("proxy/enrich/redact/documents/graphql.py", "_REST"): "match",
    ("proxy/enrich/redact/documents/graphql.py", "_ESCAPED_REST"): "match",
    ("proxy/enrich/redact/naming/named.py", "_after"): "match",
    # In the 512 bytes before a name.
    ("proxy/enrich/redact/naming/named.py", "_before"): "match",
    ("proxy/enrich/redact/patterns/given.py", ""): "match",
    ("proxy/enrich/endpoints/envelopes.py", ""): "match",
    ("proxy/enrich/endpoints/endpoints.py", ""): "fullmatch",
    ("proxy/enrich/redact/documents/separated.py", "row"): "match",
}
"""How those are asked for that are handed on to a function."""
ASSEMBLED = {
    "proxy/http1/memo/varying_fields.py": "names and literal pieces of a head, whose values are possessive and bounded",
    "proxy/enrich/redact/forms.py": "rules of our files, which test_rule_files.py judges, behind a bounded beginning",
    "proxy/otel/sender.py": "words of the configuration, escaped: nothing in them repeats",
    "proxy/settings/model.py": "a model's name of the configuration, for the price list that is read once",
    "storage/search/language/moments.py": "an age, which was matched as a whole before",
    "api/native/run.py": "the name of a tool, escaped, at an end",
}
"""Files that assemble patterns of what is configured or asked, and of what."""
OUTSIDE = ("proxy/settings/", "proxy/cli/")
"""Rooms that read no capture, but a configuration or a command line."""


@pytest.fixture(scope="module")
def compiled() -> list[Compiled]:
    command = [sys.executable, "-m", "tests.support.patterns.collect"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [Compiled(**each) for each in json.loads(found)]


def _constants() -> Iterator[tuple[Call, re.Pattern[bytes] | re.Pattern[str]]]:
    """Yield patterns that are written where they are used, within functions that nothing has called
    yet.
    """
    for call, node in calls().items():
        if (
            node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, bytes | str)
        ):
            given = [*node.args[1:], *(keyword.value for keyword in node.keywords)]
            names = {
                part.attr
                for each in given
                for part in ast.walk(each)
                if isinstance(part, ast.Attribute)
            }
            flags = [getattr(re, name) for name in names if name.isupper()]
            yield call, re.compile(node.args[0].value, sum(flags))


def _uses_of(call: Call) -> frozenset[Use]:
    """Return how a pattern is asked for; one that is handed on may be searched for."""
    name = (call.file, call.name)
    if name in BOUNDED or call.file.startswith(OUTSIDE):
        return frozenset()
    if name in HANDED_ON:
        return frozenset((HANDED_ON[name],))
    return call.uses or frozenset[Use](("search",))


def test_patterns_are_linear(compiled: list[Compiled]) -> None:
    known = [*calls()]
    harmful = []
    for each in compiled:
        call = _call_of(each, known)
        found = [(judge(each.again(), use), use) for use in _uses_of(call)]
        harmful += [
            (call, use, each.pattern, found) for found, use in found if found[0] != "linear"
        ]

    assert harmful == []


def test_patterns_within_functions_are_linear() -> None:
    found = [
        (call, use, judge(pattern, use)) for call, pattern in _constants() for use in _uses_of(call)
    ]
    assert [each for each in found if each[-1][0] != "linear"] == []


def test_all_calls_are_known(compiled: list[Compiled]) -> None:
    """A pattern that is assembled when something runs is made by the collection, or is of what is
    configured.
    """
    lines = {(each.file, each.line) for each in compiled}
    constants = {(call.file, call.line) for call, _ in _constants()}
    missed = [
        call
        for call in calls()
        if (call.file, call.line) not in constants
        and not any((call.file, line) in lines for line in range(call.line, call.end_line + 1))
        and call.file not in ASSEMBLED
        and not call.file.startswith(OUTSIDE)
    ]
    assert missed == []


def test_exceptions_are_of_use(compiled: list[Compiled]) -> None:
    """Each names a pattern, and one that would not be linear."""
    known = [*calls()]
    names = {(each.file, _call_of(each, known).name): each for each in compiled}
    assert BOUNDED.keys() <= names.keys()
    assert HANDED_ON.keys() <= names.keys()
    assert {call.file for call in known} >= ASSEMBLED.keys()
    linear = [
        name
        for name in BOUNDED
        if all(judge(names[name].again(), use)[0] == "linear" for use in _uses(name))
    ]
    assert linear == []


def _uses(name: tuple[str, str]) -> frozenset[Use]:
    return next(call.uses for call in calls() if (call.file, call.name) == name) or frozenset[Use](
        ("search",)
    )


def _call_of(each: Compiled, known: list[Call]) -> Call:
    """Return the innermost call around the line that compiled a pattern; one that asks anything
    where none is.
    """
    around = [
        call for call in known if call.file == each.file and call.line <= each.line <= call.end_line
    ]
    return min(
        around,
        key=lambda call: call.end_line - call.line,
        default=Call(each.file, 0, 0, "", frozenset()),
    )


@each_of(
    ("pattern", "use", "verdict"),
    [
        # What once stopped the recording: names of digits, a folder of slashes.
        (r"(?:old|new|test|[0-9]+)+\Z", "search", "exponential"),
        (r"(?:[/\\]+[\w.@+ -]{0,32}){1,32}", "fullmatch", "exponential"),
        (r"(a+)+b", "match", "exponential"),
        (r"(a*)*b", "match", "exponential"),
        (r"(a|a)*b", "match", "exponential"),
        (r"(a|ab|b)*c", "match", "exponential"),
        (r"(?:[0-9]{1,3})+\Z", "match", "exponential"),
        (r"(?:(?:a*)?b)*c", "match", "exponential"),
        (r"(?:\w+\s?)+\Z", "match", "exponential"),
        (r"(?i)(?:[a-z]+|A)*!", "match", "exponential"),
        # What took a second for some kilobytes.
        (r"://[^/ ]*:[^/@ ]+@", "match", "polynomial"),
        (r"\\+[nrt]", "search", "polynomial"),
        (r"password +[ ]*\(?'", "match", "polynomial"),
        (r"([a-z]+)://([^/?#]*)([^#]*)", "fullmatch", "polynomial"),
        (r"[^<]*(?:<\?[^>]*>)?\s*<fault>", "match", "polynomial"),
        (r'"start"[^\n]*"tool"', "search", "polynomial"),
        (r"\s+\Z", "search", "polynomial"),
        (r"\s++\Z", "search", "polynomial"),
        (r'"(?:[^"\\]|\\.)*"', "search", "polynomial"),
        (r"foo.*?bar", "search", "polynomial"),
        (r"a*a*c", "match", "polynomial"),
        (r"a[ab]*c|a", "search", "polynomial"),
        (r"(?:(?!.*foo).)*", "match", "polynomial"),
        (r"(?m)^\s+x", "search", "polynomial"),
    ],
)
def test_what_is_not_linear_is_found(pattern: str, use: Use, verdict: Verdict) -> None:
    assert judge(re.compile(pattern), use)[0] == verdict


@each_of(
    ("pattern", "use"),
    [
        (r"(?:old|new|test|[0-9]++)++\Z", "match"),
        (r"(?:[/\\]++[\w.@+ -]{0,32}+){1,32}+", "fullmatch"),
        (r"://(?:[^/ @]*@)*[^/ :@]*:[^/@ ]+@", "match"),
        (r"(?<!\\)\\+[nrt]", "search"),
        (r"([a-z]++)://([^/?#]*+)([^#]*+)", "fullmatch"),
        (r"[^<]*+(?:<\?[^>]*+>\s*+)?<fault>", "match"),
        (r"(?<!\s)\s+\Z", "search"),
        (r"\A\s+x", "search"),
        (r"[a-z]+", "search"),
        (r'"[^"]*"', "search"),
        (r"a*+a*c", "match"),
        (r"(?:(?!--).)*--", "match"),
        (r"(?:[0-9]{3})+\Z", "match"),
        (r"(?:(?>a+)b)*c", "match"),
        (r"(a|b)*c", "match"),
        (r"[a-z]{1,200}x", "search"),
    ],
)
def test_what_is_linear_is_none_of_it(pattern: str, use: Use) -> None:
    assert judge(re.compile(pattern), use) == ("linear", "")
