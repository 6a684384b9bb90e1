"""The plan of the house: what CONTRIBUTING.md promises of files, functions, folders, imports and
citations holds.

`make check` runs this file; `make test` and `make test-all`, which begin with its checks, do not run
it again.
"""

import ast
import gc
import json
import posixpath
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import grimp
import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("proxy", "storage", "api")

MAX_FUNCTION_STATEMENTS: Final = 50

TESTED_ELSEWHERE: Final = {
    "storage/search/index/joint_arrays.py": "test_word_arrays.py beside it: the arrays against the scalar form",
    "storage/search/readable_bytes.py": "tests/storage/search/test_octets.py, through `readable_runs`",
    "storage/sqlite": "the conformance suite, tests/contract, runs over every backend",
    "storage/postgres": "the same",
    "storage/relational": "the same",
    "storage/clickhouse/reads": "the same, most of it with make test-clickhouse",
    "storage/clickhouse/store.py": "the same",
    "storage/clickhouse/register": "the same: keys, values and views; test_register.py has what is below them",
    "storage/clickhouse/engine/legacy.py": "the same, over Debian's server",
    "storage/clickhouse/cluster.py": "tests/storage/clickhouse/cluster, through stores whose servers are killed",
    "storage/clickhouse/replicas.py": "the same",
    "storage/clickhouse/upkeep": "tests/storage/clickhouse/upkeep/test_upkeep.py, through a store",
    "api/middleware.py": "tests/api/test_app.py asks through a whole application",
    "api/app.py": "tests/api/test_health.py and tests/e2e/test_open_ports.py",
    "api/openapi/parameters.py": "tests/api/openapi/test_schemathesis.py",
    "api/http/route.py": "tests/api/test_access.py asks each route in each state of a token",
    "api/native/find.py": "tests/api/native/test_records.py asks in every spelling of an id",
    "api/access/stream_limits.py": "tests/api/stream/test_streams.py opens too many streams",
    "api/stream/tail_ring.py": "tests/api/stream/test_tail.py, through the tail that holds it",
    "proxy/enrich/formats/json_parts.py": "tests/proxy/enrich/llm: documents with their middle cut out",
    "proxy/enrich/http/exchange.py": "tests/proxy/enrich/test_records.py: whole entries",
    "proxy/enrich/live": "tests/proxy/enrich/live: whole messages through the record builder",
    "proxy/enrich/llm/provider.py": "tests/proxy/enrich/llm, through the table of each provider",
    "proxy/enrich/merge.py": "tests/proxy/enrich: whole exchanges through the record builder",
    "proxy/enrich/readers": "the same",
    "proxy/enrich/mcp": "tests/proxy/enrich/mcp: whole exchanges through the record builder",
    "proxy/enrich/redact/patterns/assigned.py": "test_corpus.py, by the rows of text.txt",
    "proxy/enrich/redact/patterns/given.py": "the same",
    "proxy/single.py": "tests/e2e: every test of processes runs it with workers = 0",
    "proxy/worker/exits": "tests/proxy/worker, through sockets",
    "proxy/worker/upstream/places.py": "test_opener.py, test_pool.py and test_http2_pool.py beside it",
    "proxy/worker/relay": "tests/proxy/worker, through sockets",
    "proxy/worker/tls_downstream.py": "tests/proxy/network/test_tls_accept.py, over both event loops",
    "proxy/worker/tunnel.py": "tests/fuzz and tests/e2e/test_websocket.py",
    "proxy/cli": "tests/proxy/cli and tests/e2e run the commands as processes, or through `main`",
}
"""Files and folders whose modules need no test that imports them, and why."""

PLAIN_ROOTS: Final = ("proxy", "api", "storage")
"""Rooms whose files are held to plain words."""
UNPLAIN_WORDS: Final = ("told", "somebody", "nobody", "whoever", "for ever", "of no account")
"""Words around which sentences turned that had to be read twice: say who does what."""

_DOCUMENT: Final = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.(?:md|py|js|css|sql))(?![\w/-])")
_RULE: Final = re.compile(r"\b[PF]\d{1,2}\b")
_RULES: Final = ("proxy/http1/RULES.md", "proxy/http2/RULES.md")


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files of the tree that git knows, relative to its root."""
    return tuple(path for path in listed_by_git() if (ROOT / path).is_file())


def listed_by_git(*options: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [Path(name) for name in listed.decode().split("\0") if name]


@cache
def python_files() -> tuple[tuple[Path, str, ast.Module], ...]:
    """Return every Python file with its text and its tree."""
    gc.disable()  # millions of nodes, and all of them stay
    found = []
    for path in tracked():
        if path.suffix == ".py":
            text = (ROOT / path).read_text()
            found.append((path, text, ast.parse(text)))

    gc.freeze()
    gc.enable()
    return tuple(found)


def modules() -> dict[str, ast.Module]:
    """Return the trees of all modules of the product by their names."""
    return {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): tree
        for path, _, tree in python_files()
        if path.parts[0] in PACKAGES
    }


def statement_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines on which the statements of a function begin: no docstring, blank or rest of a
    call.
    """
    body = function.body[ast.get_docstring(function) is not None :]
    return len(
        {node.lineno for part in body for node in ast.walk(part) if isinstance(node, ast.stmt)}
    )


def test_functions_are_short() -> None:
    """No function has more statements than the limit."""
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, _, tree in python_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and statement_lines(node) > MAX_FUNCTION_STATEMENTS
    ]
    assert long == []


def test_what_is_made_is_not_kept() -> None:
    """A file that git is told to ignore would take the place of one that each machine makes for
    itself.
    """
    assert listed_by_git("--cached", "--ignored", "--exclude-standard") == []


def test_no_imports_go_in_a_circle() -> None:
    """No module imports itself by way of others, type checking included."""
    graph = grimp.build_graph(*PACKAGES)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    # What is imported by nothing, or imports nothing, is in no circle: taken away until only
    # circles are left.
    while free := [m for m, targets in imported.items() if not targets]:
        for module in free:
            del imported[module]
        imported = {module: targets - set(free) for module, targets in imported.items()}

    importers = Counter(target for targets in imported.values() for target in targets)
    while free := [m for m in imported if not importers[m]]:
        for module in free:
            importers.subtract(imported.pop(module))
    assert sorted(imported) == []


def test_every_module_has_its_tests() -> None:
    """A test below `tests/<its folder>` imports it, or has its name; where it is tested otherwise
    is listed.
    """
    tested: dict[str, set[str]] = defaultdict(set)
    for path, _, tree in python_files():
        if path.parts[0] == "tests":
            for folder in path.parents[:-2]:
                tested[str(folder.relative_to("tests"))] |= imports_of(ast.walk(tree)) | {
                    path.stem.removeprefix("test_")
                }

    missing = []
    for path, _, tree in python_files():
        if (
            path.parts[0] not in PACKAGES
            or path.name in ("__init__.py", "__main__.py")
            or not _has_code(tree)
        ):
            continue

        name = ".".join(path.with_suffix("").parts)
        if {name, path.stem}.isdisjoint(tested[str(path.parent)]) and not _is_excused(path):
            missing.append(str(path))

    assert missing == []
    assert [place for place in TESTED_ELSEWHERE if not (ROOT / place).exists()] == []


def _is_excused(path: Path) -> bool:
    return any(str(place) in TESTED_ELSEWHERE for place in (path, *path.parents))


def imports_of(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the full names of all that the statements among some nodes import."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _has_code(tree: ast.Module) -> bool:
    """Whether a module defines a function; declarations are tested by those that use them."""
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))


def test_what_is_cited_exists() -> None:
    """Documents, files and rules that the code and its documents name are in the repository."""
    names = {path.name for path in tracked()}
    paths = {str(path) for path in tracked()}
    rules = {
        rule
        for path in _RULES
        for rule in re.findall(rf"^## ({_RULE.pattern})", (ROOT / path).read_text(), re.M)
    }
    missing = []
    prose = {path: _prose(text, tree) for path, text, tree in python_files() if _is_shown(path)}

    prose |= {
        path: (ROOT / path).read_text().splitlines()
        for path in tracked()
        if path.suffix == ".md" and _is_shown(path)
    }
    for path, lines in prose.items():
        for number, line in enumerate(lines, 1):
            cited = (
                _DOCUMENT.findall(line) if path.suffix == ".py" or path.parts[0] == "docs" else []
            )
            missing += [
                f"{path}:{number} {name}" for name in cited if not _exists(name, path, names, paths)
            ]
            if path.parts[0] == "proxy":
                missing += [
                    f"{path}:{number} {rule}" for rule in _RULE.findall(line) if rule not in rules
                ]

    assert missing == []


def _is_shown(path: Path) -> bool:
    return path.parts[0] not in ("tests", "deploy") and path.name != "CHANGELOG.md"


def _prose(text: str, tree: ast.Module) -> list[str]:
    """Return the lines of a Python file with all but docstrings and comments blanked."""
    lines = text.splitlines()
    shown = [line[line.index("# ") :] if "# " in line else "" for line in lines]
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                shown[number] = lines[number]

    return shown


def _exists(cited: str, by: Path, names: set[str], paths: set[str]) -> bool:
    if "/" not in cited:
        return cited in names or cited in ("state.json", "pyproject.toml", "openapi.json")
    beside = posixpath.normpath(posixpath.join(by.parent, cited))
    return cited in paths or beside in paths or any(path.endswith(f"/{cited}") for path in paths)


def test_words_of_the_workshop_stay_out() -> None:
    """What was written for those who built it says nothing to those who read it."""
    words = re.compile(r"\b(?:seed 00|house\.md|headroom\.md)", re.IGNORECASE)
    here = str(Path(__file__).relative_to(ROOT))
    texts = (".py", ".md", ".js", ".html", ".toml", ".yaml")
    found = [
        str(path)
        for path in tracked()
        if path.suffix in texts and str(path) != here and words.search((ROOT / path).read_text())
    ]
    assert found == []


def test_words_are_plain() -> None:
    """Docstrings, comments, messages and names say who does what, without the words that hid it."""
    words = re.compile(rf"\b(?:{'|'.join(UNPLAIN_WORDS)})\b".replace(" ", r"\s+"), re.IGNORECASE)
    found = []
    for path in tracked():
        if path.parts[0] in PLAIN_ROOTS and path.suffix in (".py", ".md", ".js", ".html", ".css"):
            text = (ROOT / path).read_text()
            found += [
                f"{path}:{text.count(chr(10), 0, hit.start()) + 1} {hit[0]}"
                for hit in words.finditer(text)
            ]

    assert found == []


def test_the_supervisor_needs_the_standard_library_only() -> None:
    """A process that keeps the others alive imports nothing that is installed."""
    code = (
        "import sys; before = set(sys.modules); import proxy.supervisor.__main__;"
        "mine = {name.partition('.')[0] for name in set(sys.modules) - before} - "
        "set(sys.stdlib_module_names);"
        "print(sorted(mine))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "['proxy']"


@pytest.mark.parametrize(
    ("process", "strangers"),
    [
        (
            "proxy.worker",
            ("aiohttp", "api", "proxy.enrich", "storage.base", "click", "rich", "numpy"),
        ),
        ("proxy.collector", ("proxy.worker", "click", "rich", "asyncpg", "genai_prices", "numpy")),
    ],
)
def test_a_process_starts_without_what_it_may_never_need(
    process: str, strangers: tuple[str, ...]
) -> None:
    """Imports are most of a start and much of a process's memory: aiohttp alone is more than a
    whole worker.
    """
    code = f"import json, sys; import {process}.__main__; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = json.loads(run.stdout)
    assert [
        name
        for name in loaded
        if name.startswith(tuple(f"{each}." for each in strangers)) or name in strangers
    ] == []
