"""The web UI's files: served from a table, harmless by construction, and their pure parts run in
node.
"""

import fnmatch
import posixpath
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from api.assets import PAGES, load_assets
from api.routes import routes
from tests.api.conftest import Client
from tests.support.cases import each_of
from tests.support.programs import PROGRAM_S, find

UI = Path(__file__).parents[2] / "api" / "ui"
SCRIPTS = sorted(str(path.relative_to(UI)) for path in UI.rglob("*.js"))
IMPORT = re.compile(r"^(?:import|export)\b[^\"]*\"(\.[^\"]+)\"", re.MULTILINE)
IMPORT_ON_DEMAND = re.compile(r"\bimport\(\"(\.[^\"]+)\"\)")


def imported(name: str, pattern: re.Pattern[str]) -> set[str]:
    """Return what a script imports, as paths below the UI's folder."""
    found = pattern.findall((UI / name).read_text())
    return {posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in found}


FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\(\"style\""
    r"|srcdoc|javascript:"
)


def test_every_file_of_the_ui_is_served_and_no_other() -> None:
    """Python files of the package stay inside."""
    files = load_assets().files
    assert {name for name in files if name.endswith(".js")} == set(SCRIPTS)
    assert "__init__.py" not in files
    assert {"index.html", "login.html", "style.css", "icon.svg"} <= files.keys()


def test_every_file_that_is_served_is_in_the_wheel() -> None:
    """The patterns of the package data cover each folder of the UI."""
    settings = tomllib.loads((UI.parents[1] / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["api.ui"]
    for name in load_assets().files:
        matching = [
            each
            for each in patterns
            if each.count("/") == name.count("/") and fnmatch.fnmatch(name, each)
        ]
        assert matching, name


@each_of("name", SCRIPTS)
def test_scripts_write_text_nodes_only_and_import_what_exists(name: str) -> None:
    """No way from a record to markup, and no dangling import."""
    text = (UI / name).read_text()
    assert not FORBIDDEN.search(text)
    assert imported(name, IMPORT) | imported(name, IMPORT_ON_DEMAND) <= set(SCRIPTS)


@pytest.mark.parametrize("name", ["index.html", "login.html"])
def test_pages_obey_the_content_security_policy(name: str) -> None:
    """Nothing inline, nothing from elsewhere, every reference served."""
    text = (UI / name).read_text()
    assert not re.search(r"\sstyle=|\son\w+=|https?://|<style|<script(?![^>]*\ssrc=)", text)
    for reference in re.findall(r"(?:src|href)=\"ui/([^\"]+)\"", text):
        assert reference in load_assets().files


_ROOTS = "|".join(
    sorted({re.escape(route.path.split("/")[1]) for route in routes() if route.path != "/"})
)
_ABSOLUTE = re.compile(
    rf"""["'`]/(?:{_ROOTS})\b|\b(?:src|href|action|assign|go|open)(?:=|:? ?\()?["'`]/|url\(["']?/"""
)


@each_of("name", sorted(name for name in load_assets().files if not name.endswith(".svg")))
def test_addresses_are_relative(name: str) -> None:
    """Pages lie side by side: what they name relatively is found below whatever path a proxy puts
    them.
    """
    assert _ABSOLUTE.findall((UI / name).read_text()) == []
    assert all("/" not in path.removeprefix("/") for path in (*PAGES, "/login", "/docs"))


def test_the_scripts_find_their_elements() -> None:
    """Every id the scripts ask for stands in one of the pages."""
    pages = "".join((UI / name).read_text() for name in ("index.html", "login.html"))
    for name in SCRIPTS:
        for identifier in re.findall(r"\$\(\"([\w-]+)\"\)", (UI / name).read_text()):
            assert f'id="{identifier}"' in pages, (name, identifier)


@pytest.mark.parametrize("path", [*PAGES, "/login", "/docs"])
async def test_a_page_names_every_file_it_needs_for_good(client: Client, path: str) -> None:
    """All are kept without asking again, under the version of all; no module waits for another to
    be read.
    """
    page = await client.get(path)
    assert page.headers["Cache-Control"] == "no-cache"
    text = await page.text()
    addresses = re.findall(r'(?:src|href)="(ui/[^"]+)"', text)
    assert addresses

    for address in addresses:
        assert address.startswith(f"ui/{load_assets().version}/")
        file = await client.get("/" + address)
        assert (file.status, "immutable" in file.headers["Cache-Control"]) == (200, True)

    named = {address.split("/", 2)[2] for address in addresses}
    for name in [name for name in named if name.endswith(".js")]:
        assert imported(name, IMPORT) <= named
    assert PAGES.get(path, "style.css") in named


async def test_an_older_page_gets_the_newest_files(client: Client) -> None:
    """One that was open over an update is answered, but its browser keeps nothing under the old
    address.
    """
    response = await client.get("/ui/0123456789ab/app.js")
    assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")
    assert (await client.get("/ui/0123456789ab/none.js")).status == 404


@pytest.mark.parametrize(("path", "home"), [("/no", "./"), ("/no/such/page", "../../")])
async def test_an_unknown_page_leads_a_browser_home(client: Client, path: str, home: str) -> None:
    """With a relative link, logged in or not; other clients get a problem in JSON."""
    page = await client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status, page.content_type) == (404, "text/html")
    assert f'href="{home}"' in await page.text()
    assert (await client.get(path)).content_type == "application/problem+json"


async def test_files_are_revalidated(client: Client) -> None:
    """A browser that has the file gets 304, so that an update shows at once and costs little."""
    response = await client.get("/ui/app.js")
    assert (response.status, response.content_type) == (200, "text/javascript")
    again = await client.get("/ui/app.js", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


PURE = """
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
const encode = (text) => "data:text/javascript;base64," + Buffer.from(text).toString("base64");
const zone = encode(readFileSync("lib/zone.js", "utf8"));
const load = (name) => import(encode(readFileSync(name, "utf8").replace("./zone.js", zone)));
const { explain } = await load("lib/explanations.js");
const { prettyJson, queryText, size, duration, count, grade } = await load("lib/format.js");
const { isId, narrowed, parametersOf, term, toggled, valuesOf, without, words } = await load("lib/filter.js");

const text = '{"a":[1.0,12345678901234567890,{}],"b":"x\\\\"{[,:","c":[],"a":null}';
const pretty = prettyJson(text);
assert.equal(pretty.replace(/\\s+/g, ""), text);
assert.ok(pretty.includes("\\n    12345678901234567890,"));
assert.throws(() => prettyJson("{broken"));

assert.equal(queryText("q=caf%C3%A9%20a&b=%26%3D%0A%ff&c=a+b%2Bc"), "q=caf\u00e9 a&b=%26%3D%0A%ff&c=a+b%2Bc");
assert.deepEqual(size(999), ["999", "B"]);
assert.deepEqual(size(18200), ["18.2", "kB"]);
assert.deepEqual(size(null), ["–", ""]);
assert.deepEqual(duration(212000), ["212", "ms"]);
assert.deepEqual(duration(8420000), ["8.42", "s"]);
assert.equal(count(1284402), "1\\u202f284\\u202f402");

assert.deepEqual(parametersOf('status:5xx "a b"'), { query: 'status:5xx "a b"' });
assert.deepEqual([parametersOf("  "), parametersOf(undefined)], [{}, {}]);
assert.deepEqual(["a", "a b", "<a", "1..2", "it's", "a|b", "/a+/", "/users/{id}"].map((value) => term("model", value)),
  ["model:a", 'model:"a b"', 'model:"<a"', 'model:"1..2"', `model:"it's"`, 'model:"a|b"',
   'model:"/a+/"', "model:/users/{id}"]);
assert.equal(term("path", "/a b", { exactly: true }), 'path:="/a b"');
assert.deepEqual(words(' status:5xx  path:"a (b" -method:GET '), ["status:5xx", 'path:"a (b"', "-method:GET"]);
for (const whole of ["a or b", "(a b) c", "not a"]) assert.deepEqual(words(whole), [whole]);
assert.deepEqual(words(""), []);
assert.equal(without('(level:warn or a) path:"x)" level:error -level:info', "level"),
  '(level:warn or a) path:"x)" -level:info');
assert.equal(without("level:error or a", "level"), "level:error or a");
assert.equal(narrowed("path:/a or path:/b", "ua:x"), "(path:/a or path:/b) ua:x");
assert.equal(narrowed('(a or b) "c or d"', "ua:x"), '(a or b) "c or d" ua:x');
assert.equal(narrowed("", "ua:x"), "ua:x");
const failed = { kind: "exchange", duration_us: 5e6, upstream: "a:1", first_byte_us: null };
for (const [changes, said, next] of [
  [{ error_type: "upstream_timeout" }, "took longer than 5.0 s", "timeout_first_byte_s"],
  [{ error_type: "upstream_timeout", upstream: null }, "No connection to the upstream", "timeout_connect_s"],
  [{ error_type: "upstream_timeout", first_byte_us: 1 }, "in the middle of", "timeout_upstream_idle_s"],
  [{ error_type: "upstream_reset" }, "before sending a complete response head", "TLS"],
  [{ error_type: "upstream_reset", first_byte_us: 1 }, "in the middle of", "time limit of its own"],
  [{ error_type: "upstream_reset", first_byte_us: 1, status: 101 }, "without a close frame", "time limit of its own"],
  [{ error_type: "upstream_timeout", first_byte_us: 1, status: 101 }, "stopped reading", "timeout_write_stall_s"],
]) {
  const plain = explain({ ...failed, ...changes });
  assert.ok(plain.what.includes(said) && plain.next.includes(next), plain.what + plain.next);
}
for (const [after, said] of [[[], "no retry-after"], [["7"], "wait 7 s"], [["Fri"], "See"]]) {
  const headers = after.map((value) => ["Retry-After", value]);
  assert.ok(explain({ ...failed, status: 429, response: { headers } }).next.includes(said));
}
const told = { kind: "exchange", status: 200, provider: "anthropic", error_type: "tool_error", outcome: "ok" };
const tools = { failed_tools: ["run", "run"], data: { error_in: "request" } };
assert.equal(explain({ ...told, ...tools }).what, "The tool run failed before this call.");
assert.equal(explain({ ...told, ...tools }).next, "See the request.");
tools.failed_tools.push("edit");
assert.match(explain({ ...told, ...tools }).what, /The tools run, edit failed/);
assert.match(explain({ ...told, failed_tools: ["run"], data: {} }).what, /anthropic reported an error in a 200/);
assert.equal(grade({ level: "info", error_type: "tls_on_plain_port", status: 400 }), "info");

let chosen = "status:5xx model:gpt-*";
const values = ["Shop A", "b", "/x,y", '/"z"'];
for (const value of values) chosen = toggled(chosen, "project", value);
assert.equal(chosen, 'status:5xx model:gpt-* project:"Shop A",b,"/x,y","/\\\\"z\\\\""');
assert.deepEqual(valuesOf(chosen, "project"), values);
assert.equal(toggled(chosen, "model", "m"), chosen.replace("model:gpt-* ", "") + " model:gpt-*,m");
for (const value of values) chosen = toggled(chosen, "project", value);
assert.equal(chosen, "status:5xx model:gpt-*");
assert.ok(isId(" req_01j9xkz3p4q5r6s7t8u9v0w1x2 ") && !isId("/v1/users"));
"""


def test_pure_parts_of_the_scripts_hold() -> None:
    """JSON is indented without touching a token, filters are told from searches, queries are read
    in one way.
    """
    node = find("node")
    ran = subprocess.run(
        [node, "--input-type=module", "-"],
        input=PURE,
        cwd=UI,
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    assert ran.returncode == 0, ran.stderr
